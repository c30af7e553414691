// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {UnitId} from "../types/Identifiers.sol";
import {Parameter} from "../types/Parameter.sol";
import {PassReason, Unit, UnitStatus} from "../types/Work.sol";
import {LedgerLocks} from "./LedgerLocks.sol";

/// @title The outcomes of a unit: the only places that write a final status
abstract contract LedgerOutcomes is LedgerLocks {
    /// @dev A unit that was drawn counts without an audit. It earns its worker no trust.
    function _pass(UnitId unitId, Unit storage entry, PassReason reason) internal {
        entry.status = UnitStatus.Passed;
        entry.deadline = _after(Parameter.ChallengeWindowS);
        emit UnitPassed(unitId, entry.jobId, reason, entry.deadline);
    }

    /// @dev An audit agreed.
    function _verify(UnitId unitId, Unit storage entry) internal {
        entry.status = UnitStatus.Verified;
        entry.deadline = _after(Parameter.ChallengeWindowS);
        ++_cleanUnits[entry.worker];
        emit UnitVerified(unitId, entry.jobId, entry.deadline);
    }

    /// @dev A verdict agreed. INVARIANT: a unit has at most one dispute, for with deadline 0 no
    /// challenge is in time.
    function _uphold(UnitId unitId, Unit storage entry) internal {
        entry.status = UnitStatus.Verified;
        entry.deadline = 0;
        emit UnitVerified(unitId, entry.jobId, 0);
    }

    /// @dev The worker was wrong or silent: it loses what was locked for the unit, is unpaid, and its
    /// slot is open again.
    // The vault is fixed at deployment and calls nobody but the token.
    // slither-disable-next-line reentrancy-no-eth
    function _fault(UnitId unitId, Unit storage entry, address[] memory bountyTo) internal {
        entry.status = UnitStatus.Faulted;
        _reopenSlot(entry);
        _cleanUnits[entry.worker] = 0;
        uint256 lockWei = _unlock(_batchOf(entry), entry.slot, entry.worker);
        uint256 slashed = vault.slash(entry.worker, lockWei, bountyTo);
        emit UnitFaulted(unitId, entry.jobId, entry.worker, slashed);
        _withdrawAnchors(entry.jobId, entry.round);
    }

    /// @dev Nobody could tell: unpaid, unpunished, and the slot is open again.
    // As in _fault.
    // slither-disable-next-line reentrancy-no-eth
    function _void(UnitId unitId, Unit storage entry) internal {
        entry.status = UnitStatus.Voided;
        _reopenSlot(entry);
        _unlock(_batchOf(entry), entry.slot, entry.worker);
        emit UnitVoided(unitId, entry.jobId);
        _withdrawAnchors(entry.jobId, entry.round);
    }

    /// @dev INVARIANT: of all units of a slot only that of the greatest attempt is not Faulted,
    /// Voided or Dissolved.
    function _reopenSlot(Unit storage entry) private {
        entry.deadline = 0;
        ++_reissues[entry.jobId][entry.round][entry.slot];
        _rounds[entry.jobId][entry.round].claimedBitmap &= ~_bit(entry.slot);
    }
}
