// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {JobId} from "./Identifiers.sol";

/// @dev Units in one call of commitAudits, openUnits or revealAudits.
uint256 constant MAX_UNITS_PER_CALL = 64;

/// @notice A worker's result as the coordinator puts it on chain.
struct Claim {
    uint32 slot;
    uint32 attempt;
    address worker;
    bytes32 resultRoot; // public from now on
    bytes32 commitment; // to the unit root, salted, bound to the unit and the worker
    bytes signature; // the worker's, over WorkLedger.claimDigest: nobody is bound unasked
}

/// @notice What a batch's root keeps of a claim. Whoever has the claims of `RoundCommitted` can show
/// them again: the chain keeps nothing else of a unit until it is drawn or challenged.
struct ClaimedUnit {
    uint32 slot;
    uint32 attempt;
    address worker;
    bytes32 resultRoot;
    bytes32 commitment;
}

/// @notice Where a unit stands. docs/spec/contracts.md has the table of transitions.
enum UnitStatus {
    None, // not on record: no claim yet, or one that nobody had to look at
    Committed, // waits for the draw; never on record
    Passed, // not drawn (on record once challenged), or nobody could audit it
    Drawn, // waits for its auditor's commitment
    AuditCommitted, // waits for the worker to open (unitRoot == 0), then for the auditor to reveal
    Verified, // an audit or a verdict agreed with the worker
    Disputed, // waits for the referee
    Faulted, // the worker was wrong or did not open; the slot is open again
    Voided, // no verdict; the slot is open again, nobody is slashed
    Dissolved // computed from a checkpoint that was withdrawn; unpaid, nobody is blamed
}

/// @notice Why a unit passed without an audit.
enum PassReason {
    NotDrawn, // the lot spared it
    NobodyEligible, // no active node but worker and coordinator
    AuditorsOverdue // MAX_REDRAWS replacements missed their deadlines too
}

/// @notice One work unit, written down when it is drawn or challenged.
struct Unit {
    JobId jobId;
    address worker;
    uint32 round;
    uint32 slot;
    uint32 attempt;
    address auditor; // of the latest draw; 0 if none
    UnitStatus status;
    uint8 redraws; // overdue auditors replaced so far
    uint40 deadline; // of the present wait: see docs/spec/contracts.md; 0 if none
    uint16 batch; // of the round
    uint16 dissolutions; // of the round, when it was committed
    bytes32 resultRoot;
    bytes32 commitment;
    bytes32 unitRoot; // 0 until the worker opens
    bytes32 auditCommitment; // 0 until the auditor commits
    bytes32 auditRoot; // 0 until the auditor reveals
    address challenger; // 0 unless challenged
    uint96 depositWei; // the challenger's, held by the ledger until the verdict
}

/// @notice One commitRound call. INVARIANT: the vault has lockWei locked for every slot of
/// slotsBitmap that is not in releasedBitmap, until the round is final (its units are then free).
struct Batch {
    bytes32 claimsRoot; // Merkle root over the claims, see docs/spec/contracts.md
    address coordinator; // who committed it; audits none of its units
    uint48 drawBlock; // its hash is the seed
    uint40 challengeDeadline; // of the units that the draw spared; 0 until it is captured
    bool isLate; // nobody captured it in time: it has another draw block, and spares nobody
    uint64 slotsBitmap; // bit s: slot s has a unit in this batch
    uint64 releasedBitmap; // bit s: that unit's lock ended before its round's end
    uint128 lockWei; // of each worker's bond, for each of its units
    bytes32 seed; // 0 until captured
}

/// @notice What a round's claims come to. They are forgotten by counting: a dissolution raises its
/// count and clears the rest.
struct RoundState {
    uint32 dissolutions; // how often all claims of the round were dissolved
    uint16 batches; // commitRound calls since then
    uint64 claimedBitmap; // bit s: slot s has a unit that is neither faulted nor void
}

/// @notice What finalizeRound fixed for ever.
struct FinalizedRound {
    bytes32 checkpoint; // state root of the round state after the round; 0 while not finalised
    bytes32 checkpointBlobRoot;
    uint64 checkpointSize;
}
