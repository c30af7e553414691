// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {JobId, UnitId} from "../types/Identifiers.sol";
import {
    Batch,
    Claim,
    ClaimedUnit,
    FinalizedRound,
    PassReason,
    RoundState,
    Unit,
    UnitStatus
} from "../types/Work.sol";
import {IRefereeCallback} from "./IReferee.sol";

/// @title Leases, rounds, audits and their outcome
/// @notice No unit can stay in a waiting state: every wait has a deadline after which anyone may
/// move the unit on.
interface IWorkLedger is IRefereeCallback {
    /// @notice A node became the coordinator of a job. `epoch` counts its holders from 1.
    event LeaseTaken(JobId indexed jobId, address indexed holder, uint64 expiresAt, uint32 epoch);

    /// @notice A call of the coordinator extended its lease.
    event LeaseRenewed(JobId indexed jobId, address indexed holder, uint64 expiresAt);

    /// @notice Results of open slots are committed. The hash of `drawBlock` decides who is audited
    /// by whom.
    event RoundCommitted(
        JobId indexed jobId,
        uint32 indexed round,
        uint32 batch,
        bytes32 claimsRoot,
        uint256 drawBlock,
        Claim[] claims
    );

    /// @notice Nobody captured a draw within 256 blocks: another block's hash is its seed, and it spares
    /// nobody.
    event DrawMissed(JobId indexed jobId, uint32 indexed round, uint32 batch, uint48 drawBlock);

    /// @notice The draw is fixed. `late`: it had been missed, so every unit is drawn.
    event DrawCaptured(
        JobId indexed jobId,
        uint32 indexed round,
        uint32 batch,
        bytes32 seed,
        bool late
    );

    /// @notice A unit has a (new) auditor, who must commit by `deadline`.
    event UnitDrawn(
        UnitId indexed unitId,
        address indexed auditor,
        JobId indexed jobId,
        uint32 round,
        uint32 slot,
        uint32 attempt,
        address worker,
        uint64 deadline
    );

    /// @notice A unit counts without an audit; challenges until `deadline`.
    event UnitPassed(
        UnitId indexed unitId,
        JobId indexed jobId,
        PassReason reason,
        uint64 deadline
    );

    /// @notice The auditor committed; by `deadline` the worker must open or, if it has, the auditor
    /// reveal.
    event AuditCommitted(UnitId indexed unitId, address indexed auditor, uint64 deadline);

    /// @notice The worker's unit root is public; by `deadline` the auditor must reveal (0 while
    /// disputed).
    event UnitOpened(UnitId indexed unitId, bytes32 unitRoot, uint64 deadline);

    /// @notice The auditor's unit root is public.
    event AuditRevealed(UnitId indexed unitId, address indexed auditor, bytes32 unitRoot);

    /// @notice An audit (challenges until `deadline`) or a verdict (`deadline` 0) agrees with the
    /// worker.
    event UnitVerified(UnitId indexed unitId, JobId indexed jobId, uint64 deadline);

    /// @notice The referee decides; `by` is the auditor or the challenger.
    event UnitDisputed(UnitId indexed unitId, JobId indexed jobId, address indexed by);

    /// @notice The worker was wrong or did not open; its slot is open again.
    event UnitFaulted(
        UnitId indexed unitId,
        JobId indexed jobId,
        address indexed worker,
        uint256 slashedWei
    );

    /// @notice The auditor revealed another root than the verdict's.
    event AuditorFaulted(UnitId indexed unitId, address indexed auditor, uint256 slashedWei);

    /// @notice Nobody could tell; the slot is open again and nobody is slashed.
    event UnitVoided(UnitId indexed unitId, JobId indexed jobId);

    /// @notice The referee found that the job's data is unavailable: the unit is void, or faulted if
    /// its worker was silent, and the submitter's data deposit pays.
    event InputUnavailable(UnitId indexed unitId, JobId indexed jobId);

    /// @notice The lock of a unit that can no longer be faulted was given back before its round's end.
    event LockReleased(UnitId indexed unitId, address indexed worker, uint256 lockWei);

    /// @notice A challenger paid its deposit.
    event ChallengeOpened(UnitId indexed unitId, address indexed challenger, uint256 depositWei);

    /// @notice A deposit left the ledger. deposit = returned + bounty + burned.
    event ChallengeClosed(
        UnitId indexed unitId,
        address indexed challenger,
        uint256 returnedWei,
        uint256 bountyWei,
        uint256 burnedWei
    );

    /// @notice The checkpoint after a round is on chain before the round is final: the next round
    /// starts from it.
    event RoundAnchored(
        JobId indexed jobId,
        uint32 indexed round,
        bytes32 checkpoint,
        bytes32 checkpointBlobRoot,
        uint64 checkpointSize
    );

    /// @notice The anchors of `round` and of all rounds after it are gone. All units of the rounds
    /// after `round` up to `head` are dissolved, and `round` takes claims again.
    event AnchorsWithdrawn(JobId indexed jobId, uint32 indexed round, uint32 head);

    /// @notice A round is final: its checkpoint stands and its rewards are credited.
    event RoundFinalized(
        JobId indexed jobId,
        uint32 indexed round,
        bytes32 checkpoint,
        bytes32 checkpointBlobRoot,
        uint64 checkpointSize,
        uint256 totalWei
    );

    /// @notice What a finalised round was credited to whom: its receipt.
    event RoundRewards(
        JobId indexed jobId,
        uint32 indexed round,
        address[] accounts,
        uint256[] amounts
    );

    /// @notice The referee's seat was given away, once and for ever.
    event RefereeBound(address indexed referee);

    /// @notice The account's bond is below the minimum.
    error NotActive(address account);

    /// @notice Completed, cancelled, expired or settled: the job takes no more work.
    error JobNotOpen(JobId jobId);

    /// @notice Another node coordinates the job until `expiresAt`.
    error LeaseHeld(JobId jobId, address holder, uint64 expiresAt);

    /// @notice The caller does not hold the job's lease.
    error NotLeaseHolder(JobId jobId, address caller, address holder);

    /// @notice The round is not the one that the call is for now.
    error WrongRound(JobId jobId, uint32 round, uint32 expected);

    /// @notice As many rounds are anchored as the job's terms allow.
    error TooFarAhead(JobId jobId, uint32 round, uint8 roundsAhead);

    /// @notice No round follows that could start from the anchor.
    error LastRound(JobId jobId, uint32 round);

    /// @notice The slot has no claim: the round has no checkpoint yet.
    error SlotOpen(JobId jobId, uint32 round, uint32 slot);

    /// @notice The round has no anchor.
    error NotAnchored(JobId jobId, uint32 round);

    /// @notice An anchor is not withdrawn under the lease that put it there.
    error OwnAnchor(JobId jobId, uint32 round, uint32 leaseEpoch);

    /// @notice Later rounds were computed from another checkpoint.
    error WrongCheckpoint(JobId jobId, uint32 round, bytes32 checkpoint, bytes32 anchored);

    /// @notice The unit has no deposit to return.
    error NoDeposit(UnitId unitId);

    /// @notice None, or more than `max` items in one call.
    error BadCount(uint256 count, uint256 max);

    /// @notice Two arrays of one call differ in length.
    error LengthMismatch(uint256 first, uint256 second);

    /// @notice The round has no such slot.
    error BadSlot(uint32 slot, uint32 slots);

    /// @notice The slot's next unit has another attempt number.
    error WrongAttempt(uint32 slot, uint32 attempt, uint32 expected);

    /// @notice The slot has a unit that is neither faulted nor void.
    error SlotTaken(UnitId unitId);

    /// @notice These claims do not stand by ascending slot, or are not those that the batch's root keeps,
    /// all of them.
    error WrongClaims(JobId jobId, uint32 round);

    /// @notice A result root, commitment or checkpoint is zero.
    error ZeroValue();

    /// @notice The worker did not sign this claim.
    error BadSignature(UnitId unitId, address worker);

    /// @notice A round has had its greatest number of batches.
    error TooManyBatches(JobId jobId, uint32 round);

    /// @notice No such batch.
    error UnknownBatch(JobId jobId, uint32 round, uint32 batch);

    /// @notice The draw was captured already.
    error AlreadyCaptured(JobId jobId, uint32 round, uint32 batch);

    /// @notice The draw block has no hash yet.
    error DrawTooEarly(uint256 drawBlock, uint256 blockNumber);

    /// @notice The call does not fit the unit's status.
    error WrongStatus(UnitId unitId, UnitStatus status);

    /// @notice The caller was not drawn to audit this unit.
    error NotAuditor(UnitId unitId, address caller, address auditor);

    /// @notice The wait is over.
    error DeadlinePassed(UnitId unitId, uint64 deadline);

    /// @notice The wait is not over.
    error DeadlineNotPassed(UnitId unitId, uint64 deadline);

    /// @notice The unit is open already.
    error AlreadyOpened(UnitId unitId);

    /// @notice The worker has not opened the unit yet.
    error NotOpened(UnitId unitId);

    /// @notice Root (or trace root) and salt do not fit the commitment.
    error WrongReveal(UnitId unitId);

    /// @notice A worker cannot challenge itself.
    error OwnUnit(UnitId unitId, address worker);

    /// @notice A challenge could only void the unit: there are fewer eligible nodes than seats.
    error TooFewJurors(uint256 eligible, uint256 seats);

    /// @notice A slot has no passed or verified unit, or one that may still be challenged.
    error SlotNotFinal(UnitId unitId, UnitStatus status, uint64 deadline);

    /// @notice Only the referee gives verdicts.
    error NotReferee(address caller);

    /// @notice Only the deployer binds the seat.
    error NotDeployer(address caller);

    /// @notice The seat was given already, or to nobody.
    error BadBinding(address referee);

    /// @notice Takes a free lease, or renews one's own. Only active nodes; only while the job takes
    /// work.
    function takeLease(JobId jobId) external;

    /// @notice Puts results of open slots of the head round on chain, by ascending slot. Only the lease holder. Each claim
    /// locks lockWeiOf(unitValueWei) of its worker's free bond until its unit is final, faulted or void.
    function commitRound(JobId jobId, uint32 round, Claim[] calldata claims) external;

    /// @notice Fixes who is audited by whom, once the draw block is over. Anyone. Units that are drawn
    /// come on record.
    /// @param claims All claims of the batch in their order, as RoundCommitted has them.
    function captureDraw(
        JobId jobId,
        uint32 round,
        uint32 batch,
        ClaimedUnit[] calldata claims
    ) external;

    /// @notice The drawn auditor's commitments to the unit roots that it computed.
    function commitAudits(UnitId[] calldata unitIds, bytes32[] calldata commitments) external;

    /// @notice Opens workers' commitments. Anyone who knows them; only once the audit is committed
    /// or the unit disputed.
    function openUnits(
        UnitId[] calldata unitIds,
        bytes32[] calldata traceRoots,
        bytes32[] calldata salts
    ) external;

    /// @notice Opens auditors' commitments, after the worker has opened. Anyone who knows them.
    /// Equal roots verify the unit, unequal roots open a dispute.
    function revealAudits(
        UnitId[] calldata unitIds,
        bytes32[] calldata unitRoots,
        bytes32[] calldata salts
    ) external;

    /// @notice Moves a unit on whose wait is over: an overdue auditor is replaced, an overdue
    /// worker is at fault. Anyone.
    function expire(UnitId unitId) external;

    /// @notice Disputes a passed or verified unit, for a deposit (the ledger must be approved). Any
    /// active node.
    /// @param claim The unit's claim, of that batch of the round.
    /// @param proof The claim's Merkle proof against the batch's claimsRoot.
    function challenge(
        JobId jobId,
        uint32 round,
        uint32 batch,
        ClaimedUnit calldata claim,
        bytes32[] calldata proof
    ) external;

    /// @notice Gives back the locks of a batch's units that can no longer be faulted: all of a
    /// dissolved one, and those beyond challenge whose round is not final yet or never will be.
    /// Anyone. Units that can still be faulted or have no lock are passed over.
    /// @param dissolutions How often the round had been dissolved when the batch was committed.
    /// @param claims As in captureDraw.
    function releaseLocks(
        JobId jobId,
        uint32 round,
        uint32 dissolutions,
        uint32 batch,
        ClaimedUnit[] calldata claims
    ) external;

    /// @notice Returns the deposit of a challenge whose unit was dissolved. Anyone.
    function returnDeposit(UnitId unitId) external;

    /// @notice Puts the checkpoint after the head round on chain, so that the next round may start
    /// from it before this one is final. Only the lease holder; only when every slot has a claim and
    /// fewer than roundsAhead rounds are anchored. A fault or a void in the round withdraws it.
    function anchorRound(
        JobId jobId,
        uint32 round,
        bytes32 checkpoint,
        bytes32 checkpointBlobRoot,
        uint64 checkpointSize
    ) external;

    /// @notice Withdraws an anchor that an earlier holder of the lease put there, and those after
    /// it. Only the lease holder, if it finds another checkpoint.
    function withdrawAnchors(JobId jobId, uint32 round) external;

    /// @notice Ends a round all of whose units are passed or verified and beyond challenge. Only
    /// the lease holder; an anchored round only with its anchor's checkpoint.
    /// @param claims By batch, its claims as in captureDraw; none where all its units that count are
    /// on record.
    function finalizeRound(
        JobId jobId,
        uint32 round,
        bytes32 checkpoint,
        bytes32 checkpointBlobRoot,
        uint64 checkpointSize,
        ClaimedUnit[][] calldata claims
    ) external;

    /// @notice Gives the referee's seat away. Only the deployer, once.
    function bind(address referee) external;

    /// @notice The coordinator of a job; (0, 0) if the lease is free.
    function leaseOf(JobId jobId) external view returns (address holder, uint64 expiresAt);

    /// @notice The oldest round that is not final; equals the job's rounds when all are.
    function openRound(JobId jobId) external view returns (uint32);

    /// @notice Whether the open round has committed units.
    function roundStarted(JobId jobId) external view returns (bool);

    /// @notice The round that takes commitments: the first that is not anchored.
    function headRound(JobId jobId) external view returns (uint32);

    /// @notice How many rounds, from the open one on, have committed units.
    function startedRounds(JobId jobId) external view returns (uint32);

    /// @notice The anchored checkpoint after a round that is not final; 0 if there is none.
    function anchorOf(JobId jobId, uint32 round) external view returns (bytes32);

    /// @notice A round's dissolutions, batches and claimed slots.
    function roundState(JobId jobId, uint32 round) external view returns (RoundState memory);

    /// @notice One batch of a round: a present one where `dissolutions` is the round's, all zero where
    /// there is none.
    function batch(
        JobId jobId,
        uint32 round,
        uint32 dissolutions,
        uint32 index
    ) external view returns (Batch memory);

    /// @notice The attempt of a slot that counts: committed, or the one to claim next.
    function attemptOf(JobId jobId, uint32 round, uint32 slot) external view returns (uint32);

    /// @notice The id of that attempt's unit, claimed or not.
    function slotUnit(JobId jobId, uint32 round, uint32 slot) external view returns (UnitId);

    /// @notice All about a unit on record: one that was drawn or challenged. Others are all zero.
    function unit(UnitId unitId) external view returns (Unit memory);

    /// @notice What a unit worth so many AIN wei locks now: unitValueWei * LockFactorBps / AuditFloorBps.
    function lockWeiOf(uint256 unitValueWei) external view returns (uint256);

    /// @notice Units of a worker that were verified or spared by the lot since its last fault.
    function cleanUnits(address worker) external view returns (uint256);

    /// @notice What a finalised round fixed; all zero while it is not final.
    function finalized(JobId jobId, uint32 round) external view returns (FinalizedRound memory);

    /// @notice What claims to a round's units must name: the checkpoint that its units start from (0
    /// in the first round, and while the round before is neither final nor anchored) and the lease that counts now.
    function lineage(
        JobId jobId,
        uint32 round
    ) external view returns (bytes32 parent, uint32 leaseEpoch);

    /// @notice What a worker signs so that a coordinator may commit its claim (EIP-712). `parent` is
    /// the checkpoint that the unit was computed from, `leaseEpoch` the lease that it was given under.
    function claimDigest(
        UnitId unitId,
        bytes32 parent,
        uint32 leaseEpoch,
        bytes32 resultRoot,
        bytes32 commitment
    ) external view returns (bytes32);
}
