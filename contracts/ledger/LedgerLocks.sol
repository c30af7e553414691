// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IWorkLedger} from "../interfaces/IWorkLedger.sol";
import {UnitId} from "../types/Identifiers.sol";
import {Parameter} from "../types/Parameter.sol";
import {MAX_UNITS_PER_CALL, Unit, UnitStatus} from "../types/Work.sol";
import {LedgerLineage} from "./LedgerLineage.sol";

/// @title What answers for a unit: a part of its worker's bond, from its commitment to its end
/// @notice INVARIANT: what the vault holds locked for an account is the sum of `lockOf` over its
/// units.
/// @dev A lock's amount is its batch's; whether it stands follows from the unit and its round. Only
/// that it was given back early is stored, so that an ordinary unit costs no word for its lock.
abstract contract LedgerLocks is LedgerLineage {
    /// @inheritdoc IWorkLedger
    function releaseLocks(UnitId[] calldata unitIds) external {
        _requireCount(unitIds.length, MAX_UNITS_PER_CALL);
        for (uint256 i = 0; i < unitIds.length; ++i) {
            _releaseLock(unitIds[i]);
        }
    }

    /// @inheritdoc IWorkLedger
    function lockWeiOf(uint256 unitWei) public view returns (uint256) {
        uint256 floorBps = parameters.get(Parameter.AuditFloorBps);
        return (unitWei * parameters.get(Parameter.LockFactorBps)) / floorBps;
    }

    /// @inheritdoc IWorkLedger
    function lockOf(UnitId unitId) external view returns (uint256) {
        Unit storage entry = _units[unitId];
        return _isLocked(entry) ? _lockWei(entry) : 0;
    }

    /// @dev What was locked when the unit was committed.
    function _lockWei(Unit storage entry) internal view returns (uint256) {
        return _batches[entry.jobId][entry.round][entry.dissolutions][entry.batch].lockWei;
    }

    /// @dev The lock's end where the unit is faulted or void.
    function _unlock(Unit storage entry) internal returns (uint256 lockWei) {
        lockWei = _lockWei(entry);
        vault.unlock(entry.worker, lockWei);
    }

    function _releaseLock(UnitId unitId) private {
        Unit storage entry = _units[unitId];
        UnitStatus status = _statusOf(entry);
        // INVARIANT: what can still be faulted stays locked.
        bool isAccepted = status == UnitStatus.Passed || status == UnitStatus.Verified;
        if (isAccepted && block.timestamp <= entry.deadline)
            revert DeadlineNotPassed(unitId, entry.deadline);
        if (!isAccepted && status < UnitStatus.Faulted) revert WrongStatus(unitId, status);
        // Somebody else may have been faster: that must not cost the other units of the call.
        if (!_isLocked(entry)) return;
        // INVARIANT: a lock ends once.
        entry.isReleased = true;
        uint256 lockWei = _unlock(entry);
        emit LockReleased(unitId, entry.worker, lockWei);
    }

    function _isLocked(Unit storage entry) private view returns (bool) {
        UnitStatus status = _statusOf(entry);
        if (status == UnitStatus.None || status == UnitStatus.Faulted) return false;
        if (status == UnitStatus.Voided || entry.isReleased) return false;
        // Whose round is final it freed, but for units that were not the round's any more.
        return status == UnitStatus.Dissolved || entry.round >= _jobs[entry.jobId].openRound;
    }
}
