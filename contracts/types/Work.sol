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

/// @notice Where a unit stands. docs/spec/contracts.md has the table of transitions.
enum UnitStatus {
    None, // no claim yet: the slot is open
    Committed, // waits for the draw
    Passed, // not drawn, or nobody could audit it
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

/// @notice One work unit. The first three words and both roots are written by its commit.
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
    bool isReleased; // its lock was given back by releaseLocks
    bytes32 resultRoot;
    bytes32 commitment;
    bytes32 unitRoot; // 0 until the worker opens
    bytes32 auditCommitment; // 0 until the auditor commits
    bytes32 auditRoot; // 0 until the auditor reveals
    address challenger; // 0 unless challenged
    uint96 depositWei; // the challenger's, held by the ledger until the verdict
}

/// @notice One commitRound call.
struct Batch {
    bytes32 claimsRoot; // Merkle root over the claims, see docs/spec/contracts.md
    bytes32 seed; // 0 until captured
    address coordinator; // who committed it; audits none of its units
    uint64 committedAt; // Unix seconds
    bool captured;
    uint64 slotsBitmap; // bit s: slot s has a unit in this batch
    uint64 drawBlock; // its hash is the seed
    uint128 lockWei; // of each worker's bond, for each of its units
}

/// @notice What finalizeRound fixed for ever.
struct FinalizedRound {
    bytes32 checkpoint; // state root of the round state after the round
    bytes32 checkpointBlobRoot;
    bytes32 rewardsRoot; // Merkle root over the reward leaves; 0 while not finalised
    uint64 checkpointSize;
    uint32 rewardCount; // leaves
    uint256 totalWei; // their sum
}
