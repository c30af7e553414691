// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IWorkLedger} from "../interfaces/IWorkLedger.sol";
import {JobId} from "../types/Identifiers.sol";
import {Parameter} from "../types/Parameter.sol";
import {RoundState} from "../types/Work.sol";
import {LedgerState} from "./LedgerState.sol";

/// @title The lease, and the checkpoints that rounds may start from before they are final
/// @notice INVARIANT: rounds open to claims or audits are those from the open round to the head
/// round, at most roundsAhead + 1; all but the head are anchored, and an anchored round has a claim
/// that is neither faulted nor void in every slot.
abstract contract LedgerLineage is LedgerState {
    /// @inheritdoc IWorkLedger
    function takeLease(JobId jobId) external {
        if (!escrow.acceptsWork(jobId, roundStarted(jobId))) revert JobNotOpen(jobId);
        if (!_isActive(msg.sender)) revert NotActive(msg.sender);
        (address holder, uint64 expiresAt) = leaseOf(jobId);
        if (holder == msg.sender) return _renewLease(jobId);
        // INVARIANT: at most one active node holds a job's lease.
        if (holder != address(0)) revert LeaseHeld(jobId, holder, expiresAt);
        expiresAt = _after(Parameter.LeaseS);
        JobState storage job = _jobs[jobId];
        // The last holder may go on with the claims that it was given.
        if (job.holder != msg.sender) ++job.leaseEpoch;
        job.holder = msg.sender;
        job.leaseExpiresAt = uint40(expiresAt);
        emit LeaseTaken(jobId, msg.sender, expiresAt, job.leaseEpoch);
    }

    /// @inheritdoc IWorkLedger
    function anchorRound(
        JobId jobId,
        uint32 round,
        bytes32 checkpoint,
        bytes32 checkpointBlobRoot,
        uint64 checkpointSize
    ) external {
        _requireHolder(jobId);
        _requireHead(jobId, round);
        if (checkpoint == 0 || checkpointBlobRoot == 0 || checkpointSize == 0) revert ZeroValue();
        JobState storage job = _jobs[jobId];
        (uint32 rounds, uint8 roundsAhead) = escrow.aheadTerms(jobId);
        // INVARIANT: no round starts more than roundsAhead rounds before the oldest open one ends.
        if (job.ahead >= roundsAhead) revert TooFarAhead(jobId, round, roundsAhead);
        // INVARIANT: the head is a round of the job.
        if (round + 1 >= rounds) revert LastRound(jobId, round);
        _requireClaimed(jobId, round);
        ++job.ahead;
        _anchors[jobId][round] = Anchor({checkpoint: checkpoint, leaseEpoch: job.leaseEpoch});
        emit RoundAnchored(jobId, round, checkpoint, checkpointBlobRoot, checkpointSize);
        _renewLease(jobId);
    }

    /// @inheritdoc IWorkLedger
    function withdrawAnchors(JobId jobId, uint32 round) external {
        _requireHolder(jobId);
        Anchor storage anchor = _anchors[jobId][round];
        if (anchor.checkpoint == 0) revert NotAnchored(jobId, round);
        uint32 epoch = _jobs[jobId].leaseEpoch;
        // INVARIANT: nobody takes back what it anchored itself: work that was done on its word is
        // dissolved by a fault, a void or a successor only.
        if (anchor.leaseEpoch == epoch) revert OwnAnchor(jobId, round, epoch);
        _withdrawAnchors(jobId, round);
        _renewLease(jobId);
    }

    /// @dev Withdraws the anchors of a round and of those after it, if there are any, and dissolves
    /// all that was computed from them. Costs at most MAX_ROUNDS_AHEAD steps, whatever the rounds
    /// hold.
    function _withdrawAnchors(JobId jobId, uint32 round) internal {
        uint32 head = headRound(jobId);
        if (round >= head) return;
        for (uint32 later = round; later < head; ++later) {
            delete _anchors[jobId][later];
            // INVARIANT: no claim outlives the checkpoint that it was computed from.
            RoundState storage dissolved = _rounds[jobId][later + 1];
            ++dissolved.dissolutions;
            (dissolved.batches, dissolved.claimedBitmap) = (0, 0);
        }
        JobState storage job = _jobs[jobId];
        job.ahead = uint8(round - job.openRound);
        emit AnchorsWithdrawn(jobId, round, head);
    }

    function _renewLease(JobId jobId) internal {
        uint64 expiresAt = _after(Parameter.LeaseS);
        _jobs[jobId].leaseExpiresAt = uint40(expiresAt);
        emit LeaseRenewed(jobId, msg.sender, expiresAt);
    }

    function _requireHolder(JobId jobId) internal view {
        (address holder, ) = leaseOf(jobId);
        if (holder != msg.sender) revert NotLeaseHolder(jobId, msg.sender, holder);
    }

    function _requireHead(JobId jobId, uint32 round) internal view {
        uint32 head = headRound(jobId);
        if (round != head) revert WrongRound(jobId, round, head);
    }

    function _requireClaimed(JobId jobId, uint32 round) private view {
        // slither-disable-next-line unused-return
        (uint32 slots, , ) = escrow.workTerms(jobId);
        uint64 claimed = _rounds[jobId][round].claimedBitmap;
        for (uint32 slot = 0; slot < slots; ++slot) {
            if (claimed & _bit(slot) == 0) revert SlotOpen(jobId, round, slot);
        }
    }
}
