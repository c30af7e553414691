// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev Newcomers that a batch's audited-for-a-bond unit has places for, on average.
uint256 constant PLACES_PER_BATCH = 2;

/// @dev A registration, and every audit that earned, counts for the rest of its period and all of the
/// next: so who does nothing makes nobody's chance smaller for longer than two of them.
uint256 constant PERIOD_S = 30 days;

/// @dev What is promised for an audit waits so long, from the end of the time to commit, for its reveal.
uint256 constant REVEAL_S = 7 days;

/// @notice What an account without a bond has come to. INVARIANT: both sums are parts of what FirstBonds
/// holds.
struct Newcomer {
    uint112 retainedWei; // earned, and kept until it is a bond
    uint112 promisedWei; // for audits that are committed and not revealed
    bool hasLeft; // was paid out, for good
    uint24 audits; // that agreed
}

/// @notice A unit that newcomers have committed to.
struct ExaminedUnit {
    bytes32 claimLeaf; // of its batch's tree; 0 while nobody has committed
    uint40 commitDeadline; // nothing may be revealed until it is over
    uint112 payWei; // for an audit that agrees
}

/// @notice Where an account stands with a batch of claims.
struct NewcomerPlace {
    bool hasPlace; // it may audit the batch's unit in `slot`, if the draw spared it
    uint32 slot; // one of the batch
    uint40 commitDeadline; // until when; 0 while the draw is not captured
}

/// @notice What opens a worker's commitment.
struct Opening {
    bytes32 traceRoot;
    bytes32 salt;
}
