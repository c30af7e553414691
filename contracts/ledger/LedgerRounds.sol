// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {IWorkLedger} from "../interfaces/IWorkLedger.sol";
import {Hashes} from "../libraries/Hashes.sol";
import {JobId, UnitId} from "../types/Identifiers.sol";
import {
    Batch,
    Claim,
    ClaimedUnit,
    FinalizedRound,
    RoundState,
    Unit,
    UnitStatus
} from "../types/Work.sol";
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

    struct Spared {
        address worker;
        uint256 lockWei; // that still stands
    }

    /// @inheritdoc IWorkLedger
    // The vault is fixed at deployment and calls nobody but the token.
    // slither-disable-next-line reentrancy-no-eth
    function commitRound(JobId jobId, uint32 round, Claim[] calldata claims) external {
        _requireHolder(jobId);
        _requireHead(jobId, round);
        RoundState storage state = _rounds[jobId][round];
        uint32 index = state.batches;
        if (!escrow.acceptsWork(jobId, index != 0)) revert JobNotOpen(jobId);
        if (index == type(uint16).max || state.dissolutions > type(uint16).max) {
            revert TooManyBatches(jobId, round);
        }
        (bytes32 claimsRoot, uint64 bitmap, uint256 lockWei) = _takeClaims(jobId, round, claims);
        state.claimedBitmap |= bitmap;
        state.batches = uint16(index + 1);
        // INVARIANT: the seed is a block hash that nobody knows at the commitment.
        uint48 drawBlock = uint48(block.number + 1);
        _batches[jobId][round][state.dissolutions][index] = Batch({
            claimsRoot: claimsRoot,
            coordinator: msg.sender,
            drawBlock: drawBlock,
            challengeDeadline: 0,
            isLate: false,
            slotsBitmap: bitmap,
            releasedBitmap: 0,
            // Fits: a unit is worth at most MAX_UNIT_VALUE_WEI, a lock at most 1,000 times that.
            lockWei: uint128(lockWei),
            seed: 0
        });
        emit RoundCommitted(jobId, round, index, claimsRoot, drawBlock, claims);
        _renewLease(jobId);
    }

    /// @inheritdoc IWorkLedger
    function finalizeRound(
        JobId jobId,
        uint32 round,
        bytes32 checkpoint,
        bytes32 checkpointBlobRoot,
        uint64 checkpointSize,
        ClaimedUnit[][] calldata claims
    ) external {
        _requireHolder(jobId);
        _requireOpenRound(jobId, round);
        if (checkpoint == 0 || checkpointBlobRoot == 0 || checkpointSize == 0) revert ZeroValue();
        Rewards memory rewards = _collectRewards(jobId, round, claims);
        _requireAnchored(jobId, round, checkpoint);
        // INVARIANT: a round is finalised at most once, in order.
        _jobs[jobId].openRound = uint24(round + 1);
        _finalized[jobId][round] = FinalizedRound({
            checkpoint: checkpoint,
            checkpointBlobRoot: checkpointBlobRoot,
            checkpointSize: checkpointSize
        });
        emit RoundFinalized(
            jobId,
            round,
            checkpoint,
            checkpointBlobRoot,
            checkpointSize,
            rewards.totalWei
        );
        emit RoundRewards(jobId, round, rewards.accounts, rewards.amounts);
        _renewLease(jobId);
        _freeLocks(rewards);
        escrow.payRound(jobId, round, rewards.accounts, rewards.amounts);
    }

    /// @dev Examines claims and locks what answers for them; nothing of them is kept but their root.
    function _takeClaims(
        JobId jobId,
        uint32 round,
        Claim[] calldata claims
    ) private returns (bytes32 claimsRoot, uint64 bitmap, uint256 lockWei) {
        (uint32 slots, uint128 unitValueWei) = escrow.lockTerms(jobId);
        _requireCount(claims.length, slots);
        lockWei = lockWeiOf(unitValueWei);
        uint64 taken = _rounds[jobId][round].claimedBitmap;
        (bytes32 parent, uint32 leaseEpoch) = lineage(jobId, round);
        bytes32[] memory leaves = new bytes32[](claims.length);
        for (uint256 i = 0; i < claims.length; ++i) {
            Claim calldata claim = claims[i];
            if (claim.slot >= slots) revert BadSlot(claim.slot, slots);
            // INVARIANT: a slot has one unit at a time that is neither faulted nor void.
            if ((taken | bitmap) & _bit(claim.slot) != 0)
                revert SlotTaken(slotUnit(jobId, round, claim.slot));
            // INVARIANT: claims stand by ascending slot, so that their order is nobody's choice: in it a
            // worker's units meet the draw.
            if (bitmap >> claim.slot != 0) revert WrongClaims(jobId, round);
            leaves[i] = _takeClaim(jobId, round, claim, parent, leaseEpoch);
            // INVARIANT: a claim stands behind a part of its worker's bond that is its own.
            vault.lock(claim.worker, lockWei);
            bitmap |= _bit(claim.slot);
        }
        claimsRoot = Hashes.treeRoot(leaves);
    }

    /// @return The claim's leaf.
    function _takeClaim(
        JobId jobId,
        uint32 round,
        Claim calldata claim,
        bytes32 parent,
        uint32 leaseEpoch
    ) private view returns (bytes32) {
        uint32 attempt = attemptOf(jobId, round, claim.slot);
        if (claim.attempt != attempt) revert WrongAttempt(claim.slot, claim.attempt, attempt);
        UnitId unitId = Hashes.unitId(jobId, round, claim.slot, attempt);
        if (claim.resultRoot == 0 || claim.commitment == 0) revert ZeroValue();
        if (!_isActive(claim.worker)) revert NotActive(claim.worker);
        // INVARIANT: nobody answers with its bond for a commitment that it did not sign, nor for one
        // that it made for another checkpoint or under another lease.
        bytes32 digest = claimDigest(
            unitId,
            parent,
            leaseEpoch,
            claim.resultRoot,
            claim.commitment
        );
        // A worker is a node's key, never a contract.
        // slither-disable-next-line unused-return
        (address signer, ECDSA.RecoverError failure, ) = ECDSA.tryRecoverCalldata(
            digest,
            claim.signature
        );
        if (failure != ECDSA.RecoverError.NoError || signer != claim.worker) {
            revert BadSignature(unitId, claim.worker);
        }
        return Hashes.claimLeaf(unitId, claim.worker, claim.resultRoot, claim.commitment);
    }

    /// @dev Every slot's worker earns the unit's price, every auditor that agreed the audit's; each
    /// account stands once.
    function _collectRewards(
        JobId jobId,
        uint32 round,
        ClaimedUnit[][] calldata claims
    ) private view returns (Rewards memory rewards) {
        (uint32 slots, uint128 unitWei, uint128 auditWei) = escrow.workTerms(jobId);
        rewards.accounts = new address[](2 * uint256(slots));
        rewards.amounts = new uint256[](2 * uint256(slots));
        rewards.locks = new uint256[](2 * uint256(slots));
        Spared[] memory spared = _spared(jobId, round, slots, claims);
        for (uint32 slot = 0; slot < slots; ++slot) {
            UnitId unitId = slotUnit(jobId, round, slot);
            Unit storage entry = _units[unitId];
            if (spared[slot].worker != address(0)) {
                uint256 place = _credit(rewards, spared[slot].worker, unitWei);
                rewards.locks[place] += spared[slot].lockWei;
                continue;
            }
            Batch storage from = _batchOf(entry);
            // INVARIANT: no unit is paid that was not passed or verified and beyond challenge. One that is
            // neither on record nor shown has no batch here.
            if (!_isBeyondChallenge(unitId, from))
                revert SlotNotFinal(unitId, entry.status, entry.deadline);
            rewards.locks[_credit(rewards, entry.worker, unitWei)] += _openLock(from, slot);
            if (entry.auditRoot != 0 && entry.auditRoot == entry.unitRoot && auditWei != 0) {
                _credit(rewards, entry.auditor, auditWei);
            }
        }
        _trim(rewards);
    }

    /// @dev By slot, the units that the draw spared and nobody challenged: what is not on record is
    /// shown again.
    function _spared(
        JobId jobId,
        uint32 round,
        uint32 slots,
        ClaimedUnit[][] calldata claims
    ) private view returns (Spared[] memory spared) {
        spared = new Spared[](slots);
        for (uint32 index = 0; index < claims.length; ++index) {
            if (claims[index].length == 0) continue;
            Batch storage from = _batchAt(jobId, round, index);
            _requireClaims(jobId, round, from, claims[index]);
            for (uint256 i = 0; i < claims[index].length; ++i) {
                ClaimedUnit calldata claim = claims[index][i];
                // A slot that was opened again has its unit in a later batch.
                if (claim.attempt != attemptOf(jobId, round, claim.slot)) continue;
                UnitId unitId = Hashes.unitId(jobId, round, claim.slot, claim.attempt);
                if (_units[unitId].status != UnitStatus.None) continue;
                if (!_isBeyondChallenge(unitId, from))
                    revert SlotNotFinal(unitId, UnitStatus.None, from.challengeDeadline);
                spared[claim.slot] = Spared(claim.worker, _openLock(from, claim.slot));
            }
        }
    }

    /// @dev What a unit of the open round still has locked.
    function _openLock(Batch storage from, uint32 slot) private view returns (uint256) {
        return from.releasedBitmap & _bit(slot) == 0 ? from.lockWei : 0;
    }

    /// @dev The round is final, so its units' locks are over.
    function _freeLocks(Rewards memory rewards) private {
        for (uint256 i = 0; i < rewards.accounts.length; ++i) {
            if (rewards.locks[i] != 0) vault.unlock(rewards.accounts[i], rewards.locks[i]);
        }
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

    /// @dev Cuts the arrays to what was used of them.
    function _trim(Rewards memory rewards) private pure {
        (address[] memory accounts, uint256[] memory amounts) = (rewards.accounts, rewards.amounts);
        uint256 count = rewards.count;
        // Copies would cross the limit of a contract's size.
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            mstore(accounts, count)
            mstore(amounts, count)
        }
    }
}
