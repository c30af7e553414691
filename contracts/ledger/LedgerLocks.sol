// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IWorkLedger} from "../interfaces/IWorkLedger.sol";
import {Hashes} from "../libraries/Hashes.sol";
import {JobId, UnitId} from "../types/Identifiers.sol";
import {Parameter} from "../types/Parameter.sol";
import {Batch, ClaimedUnit, Unit, UnitStatus} from "../types/Work.sol";
import {LedgerLineage} from "./LedgerLineage.sol";

/// @title What answers for a unit: a part of its worker's bond, from its commitment to its end
/// @notice INVARIANT: what the vault holds locked for an account is the sum of its units' locks.
/// @dev A lock's amount is its batch's, and so is one bit that says that it ended early; that it ended
/// with its round follows from the round. No unit costs a word for its lock.
abstract contract LedgerLocks is LedgerLineage {
    /// @inheritdoc IWorkLedger
    function releaseLocks(
        JobId jobId,
        uint32 round,
        uint32 dissolutions,
        uint32 index,
        ClaimedUnit[] calldata claims
    ) external {
        Batch storage from = _batches[jobId][round][dissolutions][index];
        _requireClaims(jobId, round, from, claims);
        for (uint256 i = 0; i < claims.length; ++i) {
            ClaimedUnit calldata claim = claims[i];
            UnitId unitId = Hashes.unitId(jobId, round, claim.slot, claim.attempt);
            bool isGone = dissolutions != _rounds[jobId][round].dissolutions;
            // INVARIANT: what can still be faulted stays locked.
            if (!isGone && !_isBeyondChallenge(unitId, from)) continue;
            if (!_isLocked(jobId, round, dissolutions, from, claim.slot)) continue;
            // INVARIANT: a lock ends once.
            _unlock(from, claim.slot, claim.worker);
            emit LockReleased(unitId, claim.worker, from.lockWei);
        }
    }

    /// @inheritdoc IWorkLedger
    function lockWeiOf(uint256 unitValueWei) public view returns (uint256) {
        uint256 floorBps = _parameter(_index(Parameter.AuditFloorBps));
        return (unitValueWei * _parameter(_index(Parameter.LockFactorBps))) / floorBps;
    }

    /// @dev The batch of a unit on record, dissolved or not.
    function _batchOf(Unit storage entry) internal view returns (Batch storage) {
        return _batches[entry.jobId][entry.round][entry.dissolutions][entry.batch];
    }

    /// @dev A lock's end before its round's.
    function _unlock(
        Batch storage from,
        uint32 slot,
        address worker
    ) internal returns (uint256 lockWei) {
        from.releasedBitmap |= _bit(slot);
        lockWei = from.lockWei;
        vault.unlock(worker, lockWei);
    }

    /// @dev Whether a unit of a batch that was not dissolved counts for ever.
    function _isBeyondChallenge(UnitId unitId, Batch storage from) internal view returns (bool) {
        Unit storage entry = _units[unitId];
        UnitStatus status = entry.status;
        if (status == UnitStatus.None) {
            uint40 deadline = from.challengeDeadline;
            return deadline != 0 && block.timestamp > deadline;
        }
        bool isAccepted = status == UnitStatus.Passed || status == UnitStatus.Verified;
        return isAccepted && block.timestamp > entry.deadline;
    }

    function _isLocked(
        JobId jobId,
        uint32 round,
        uint32 dissolutions,
        Batch storage from,
        uint32 slot
    ) private view returns (bool) {
        if (from.slotsBitmap & ~from.releasedBitmap & _bit(slot) == 0) return false;
        // Whose round is final it freed, but for units that were not the round's any more.
        return
            dissolutions != _rounds[jobId][round].dissolutions || round >= _jobs[jobId].openRound;
    }
}
