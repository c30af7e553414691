// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

import {IWorkLedger} from "../interfaces/IWorkLedger.sol";
import {Hashes} from "../libraries/Hashes.sol";
import {JobId, UnitId} from "../types/Identifiers.sol";
import {Batch, Claim, FinalizedRound, Unit, UnitStatus} from "../types/Work.sol";
import {LedgerOutcomes} from "./LedgerOutcomes.sol";

/// @title The coordinator's part: commit, finalise
abstract contract LedgerRounds is LedgerOutcomes {
    struct Rewards {
        address[] accounts;
        uint256[] amounts;
        uint256[] locks; // of the account's units, to be freed
        uint256 count;
        uint256 totalWei;
    }

    /// @inheritdoc IWorkLedger
    function commitRound(JobId jobId, uint32 round, Claim[] calldata claims) external {
        _requireHolder(jobId);
        _requireHead(jobId, round);
        Batch[] storage batches = _batchesOf(jobId, round);
        uint256 index = batches.length;
        if (!escrow.acceptsWork(jobId, index != 0)) revert JobNotOpen(jobId);
        (uint32 slots, uint128 unitWei, ) = escrow.workTerms(jobId);
        _requireCount(claims.length, slots);
        if (index > type(uint16).max || _dissolutions[jobId][round] > type(uint16).max) {
            revert TooManyBatches(jobId, round);
        }
        uint256 lockWei = lockWeiOf(unitWei);
        (bytes32 claimsRoot, uint64 bitmap) = _storeClaims(
            jobId,
            round,
            uint16(index),
            slots,
            lockWei,
            claims
        );
        // INVARIANT: the seed is a block hash that nobody knows at the commitment.
        uint64 drawBlock = uint64(block.number + 1);
        batches.push(
            Batch({
                claimsRoot: claimsRoot,
                seed: 0,
                coordinator: msg.sender,
                committedAt: uint64(block.timestamp),
                captured: false,
                slotsBitmap: bitmap,
                drawBlock: drawBlock,
                // Fits: a price is at most the supply, a lock at most 1,000 prices.
                lockWei: uint128(lockWei)
            })
        );
        emit RoundCommitted(jobId, round, uint32(index), claimsRoot, drawBlock, claims);
        _renewLease(jobId);
    }

    /// @inheritdoc IWorkLedger
    function finalizeRound(
        JobId jobId,
        uint32 round,
        bytes32 checkpoint,
        bytes32 checkpointBlobRoot,
        uint64 checkpointSize
    ) external {
        _requireHolder(jobId);
        _requireOpenRound(jobId, round);
        if (checkpoint == 0 || checkpointBlobRoot == 0 || checkpointSize == 0) revert ZeroValue();
        Rewards memory rewards = _collectRewards(jobId, round);
        bytes32 rewardsRoot = _rewardsRoot(jobId, round, rewards);
        _requireAnchored(jobId, round, checkpoint);
        // INVARIANT: a round is finalised at most once, in order.
        _jobs[jobId].openRound = uint24(round + 1);
        _finalized[jobId][round] = FinalizedRound({
            checkpoint: checkpoint,
            checkpointBlobRoot: checkpointBlobRoot,
            rewardsRoot: rewardsRoot,
            checkpointSize: checkpointSize,
            rewardCount: uint32(rewards.count),
            totalWei: rewards.totalWei
        });
        emit RoundFinalized(
            jobId,
            round,
            checkpoint,
            checkpointBlobRoot,
            checkpointSize,
            rewardsRoot,
            rewards.totalWei
        );
        emit RoundRewards(jobId, round, rewards.accounts, rewards.amounts);
        _renewLease(jobId);
        _freeLocks(rewards);
        // INVARIANT: what the distributor may be asked for, it has received: totalWei is the sum of
        // the leaves.
        escrow.payRound(jobId, round, rewards.totalWei);
    }

    function _storeClaims(
        JobId jobId,
        uint32 round,
        uint16 index,
        uint32 slots,
        uint256 lockWei,
        Claim[] calldata claims
    ) private returns (bytes32 claimsRoot, uint64 bitmap) {
        bytes32[] memory leaves = new bytes32[](claims.length);
        for (uint256 i = 0; i < claims.length; ++i) {
            Claim calldata claim = claims[i];
            if (claim.slot >= slots) revert BadSlot(claim.slot, slots);
            UnitId unitId = _storeClaim(jobId, round, index, claim);
            // INVARIANT: a claim stands behind a part of its worker's bond that is its own.
            vault.lock(claim.worker, lockWei);
            leaves[i] = Hashes.claimLeaf(unitId, claim.worker, claim.resultRoot, claim.commitment);
            bitmap |= uint64(1) << claim.slot;
        }
        claimsRoot = Hashes.treeRoot(leaves);
    }

    function _storeClaim(
        JobId jobId,
        uint32 round,
        uint16 index,
        Claim calldata claim
    ) private returns (UnitId unitId) {
        uint32 attempt = attemptOf(jobId, round, claim.slot);
        if (claim.attempt != attempt) revert WrongAttempt(claim.slot, claim.attempt, attempt);
        unitId = Hashes.unitId(jobId, round, claim.slot, attempt);
        Unit storage entry = _units[unitId];
        if (entry.status != UnitStatus.None) revert SlotTaken(unitId, entry.status);
        if (claim.resultRoot == 0 || claim.commitment == 0) revert ZeroValue();
        if (!vault.isActive(claim.worker)) revert NotActive(claim.worker);
        // INVARIANT: nobody answers with its bond for a commitment that it did not sign, nor for one
        // that it made for another checkpoint or under another lease.
        (bytes32 parent, uint32 leaseEpoch) = lineage(jobId, round);
        bytes32 digest = claimDigest(
            unitId,
            parent,
            leaseEpoch,
            claim.resultRoot,
            claim.commitment
        );
        if (!SignatureChecker.isValidSignatureNowCalldata(claim.worker, digest, claim.signature)) {
            revert BadSignature(unitId, claim.worker);
        }
        entry.jobId = jobId;
        entry.worker = claim.worker;
        entry.round = round;
        entry.slot = claim.slot;
        entry.attempt = attempt;
        entry.status = UnitStatus.Committed;
        entry.batch = index;
        // Fits: commitRound has looked.
        entry.dissolutions = uint16(_dissolutions[jobId][round]);
        entry.resultRoot = claim.resultRoot;
        entry.commitment = claim.commitment;
    }

    /// @dev Every slot's worker earns the unit's price, every auditor that agreed the audit's; one
    /// leaf per account.
    function _collectRewards(
        JobId jobId,
        uint32 round
    ) private view returns (Rewards memory rewards) {
        (uint32 slots, uint128 unitWei, uint128 auditWei) = escrow.workTerms(jobId);
        rewards.accounts = new address[](2 * uint256(slots));
        rewards.amounts = new uint256[](2 * uint256(slots));
        rewards.locks = new uint256[](2 * uint256(slots));
        for (uint32 slot = 0; slot < slots; ++slot) {
            UnitId unitId = slotUnit(jobId, round, slot);
            Unit storage entry = _units[unitId];
            _requireFinal(unitId, entry);
            uint256 place = _credit(rewards, entry.worker, unitWei);
            if (!entry.isReleased) rewards.locks[place] += _lockWei(entry);
            if (entry.auditRoot != 0 && entry.auditRoot == entry.unitRoot && auditWei != 0) {
                _credit(rewards, entry.auditor, auditWei);
            }
        }
        (rewards.accounts, rewards.amounts) = _trim(rewards);
    }

    /// @dev The round is final, so its units' locks are over.
    function _freeLocks(Rewards memory rewards) private {
        for (uint256 i = 0; i < rewards.accounts.length; ++i) {
            if (rewards.locks[i] != 0) vault.unlock(rewards.accounts[i], rewards.locks[i]);
        }
    }

    /// @dev INVARIANT: no unit is paid that was not passed or verified and beyond challenge.
    function _requireFinal(UnitId unitId, Unit storage entry) private view {
        UnitStatus status = entry.status;
        bool done = status == UnitStatus.Passed || status == UnitStatus.Verified;
        if (!done || block.timestamp <= entry.deadline)
            revert SlotNotFinal(unitId, status, entry.deadline);
    }

    /// @dev INVARIANT: later rounds were computed from the checkpoint that becomes final.
    function _requireAnchored(JobId jobId, uint32 round, bytes32 checkpoint) private {
        JobState storage job = _jobs[jobId];
        if (job.ahead == 0) return;
        bytes32 anchored = _anchors[jobId][round].checkpoint;
        if (checkpoint != anchored) revert WrongCheckpoint(jobId, round, checkpoint, anchored);
        delete _anchors[jobId][round];
        --job.ahead;
    }

    function _requireOpenRound(JobId jobId, uint32 round) private view {
        uint32 open = _jobs[jobId].openRound;
        if (round != open) revert WrongRound(jobId, round, open);
    }

    /// @return i The account's place among the rewards.
    function _credit(
        Rewards memory rewards,
        address account,
        uint256 amount
    ) private pure returns (uint256 i) {
        while (i < rewards.count && rewards.accounts[i] != account) ++i;
        if (i == rewards.count) {
            rewards.accounts[i] = account;
            ++rewards.count;
        }
        rewards.amounts[i] += amount;
        rewards.totalWei += amount;
    }

    function _trim(
        Rewards memory rewards
    ) private pure returns (address[] memory accounts, uint256[] memory amounts) {
        accounts = new address[](rewards.count);
        amounts = new uint256[](rewards.count);
        for (uint256 i = 0; i < rewards.count; ++i) {
            (accounts[i], amounts[i]) = (rewards.accounts[i], rewards.amounts[i]);
        }
    }

    function _rewardsRoot(
        JobId jobId,
        uint32 round,
        Rewards memory rewards
    ) private pure returns (bytes32) {
        bytes32[] memory leaves = new bytes32[](rewards.count);
        for (uint256 i = 0; i < rewards.count; ++i) {
            leaves[i] = Hashes.rewardLeaf(jobId, round, i, rewards.accounts[i], rewards.amounts[i]);
        }
        return Hashes.treeRoot(leaves);
    }
}
