// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Where a dispute stands; derived from its facts and the clock.
enum DisputePhase {
    None, // no dispute
    Drawing, // waits for draw, possible from the block after drawBlock
    Voting, // jurors commit until commitDeadline or until all have
    Revealing, // jurors reveal until revealDeadline; the worker must have opened by then
    Resolvable, // resolve may be called
    Resolved
}

/// @notice One unit before the committee.
struct Dispute {
    DisputePhase phase;
    address worker; // sits on no jury of its own unit
    address coordinator; // neither
    address accuser; // auditor or challenger; a juror only where seats would stay empty
    uint64 openedAt;
    uint64 commitDeadline; // 0 until the jury is drawn
    uint64 revealDeadline; // 0 until the jury is drawn
    uint256 drawBlock;
    address[] jurors;
    bytes32[] commitments; // by seat; 0 until committed
    bytes32[] votes; // by seat; 0 until revealed
    bytes32 verdict; // 0 while unresolved, or void
}
