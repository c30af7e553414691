// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IWorkLedger} from "../interfaces/IWorkLedger.sol";
import {Hashes} from "../libraries/Hashes.sol";
import {Lottery} from "../libraries/Lottery.sol";
import {JobId, UnitId} from "../types/Identifiers.sol";
import {MAX_REDRAWS, Parameter} from "../types/Parameter.sol";
import {
    Batch,
    ClaimedUnit,
    MAX_UNITS_PER_CALL,
    PassReason,
    Unit,
    UnitStatus
} from "../types/Work.sol";
import {LedgerDisputes} from "./LedgerDisputes.sol";
import {LedgerRounds} from "./LedgerRounds.sol";

/// @title The draw and the blind audit: commit, open, reveal, or be replaced
abstract contract LedgerAudits is LedgerRounds, LedgerDisputes {
    /// @inheritdoc IWorkLedger
    function captureDraw(
        JobId jobId,
        uint32 round,
        uint32 index,
        ClaimedUnit[] calldata claims
    ) external {
        Batch storage from = _batchAt(jobId, round, index);
        if (from.challengeDeadline != 0) revert AlreadyCaptured(jobId, round, index);
        if (block.number <= from.drawBlock) revert DrawTooEarly(from.drawBlock, block.number);
        bytes32 seed = blockhash(from.drawBlock);
        if (seed == 0) return _missDraw(jobId, round, index, from);
        _requireClaims(jobId, round, from, claims);
        bool late = from.isLate;
        from.challengeDeadline = _after(Parameter.ChallengeWindowS);
        from.seed = seed;
        emit DrawCaptured(jobId, round, index, seed, late);
        uint256 probation = late ? type(uint256).max : _parameter(_index(Parameter.ProbationUnits));
        uint256 floorBps = _parameter(_index(Parameter.AuditFloorBps));
        for (uint256 i = 0; i < claims.length; ++i) {
            // A committed unit leaves its slot only after its draw, unless its whole batch is
            // dissolved and not found here: the present attempt is this batch's.
            _drawUnit(jobId, round, index, claims[i], from, probation, floorBps);
        }
        (address holder, ) = leaseOf(jobId);
        if (holder == msg.sender) _renewLease(jobId);
    }

    /// @inheritdoc IWorkLedger
    function commitAudits(UnitId[] calldata unitIds, bytes32[] calldata commitments) external {
        _requireCount(unitIds.length, MAX_UNITS_PER_CALL);
        _requireSameLength(unitIds.length, commitments.length);
        if (!_isActive(msg.sender)) revert NotActive(msg.sender);
        uint40 deadline = _after(Parameter.OpenWindowS);
        for (uint256 i = 0; i < unitIds.length; ++i) {
            Unit storage entry = _waiting(unitIds[i], UnitStatus.Drawn);
            if (entry.auditor != msg.sender)
                revert NotAuditor(unitIds[i], msg.sender, entry.auditor);
            if (commitments[i] == 0) revert ZeroValue();
            entry.auditCommitment = commitments[i];
            entry.status = UnitStatus.AuditCommitted;
            entry.deadline = deadline;
            emit AuditCommitted(unitIds[i], msg.sender, deadline);
        }
    }

    /// @inheritdoc IWorkLedger
    function openUnits(
        UnitId[] calldata unitIds,
        bytes32[] calldata traceRoots,
        bytes32[] calldata salts
    ) external {
        _requireCount(unitIds.length, MAX_UNITS_PER_CALL);
        _requireSameLength(unitIds.length, traceRoots.length);
        _requireSameLength(unitIds.length, salts.length);
        uint40 deadline = _after(Parameter.OpenWindowS);
        for (uint256 i = 0; i < unitIds.length; ++i) {
            _open(unitIds[i], traceRoots[i], salts[i], deadline);
        }
    }

    /// @inheritdoc IWorkLedger
    function revealAudits(
        UnitId[] calldata unitIds,
        bytes32[] calldata unitRoots,
        bytes32[] calldata salts
    ) external {
        _requireCount(unitIds.length, MAX_UNITS_PER_CALL);
        _requireSameLength(unitIds.length, unitRoots.length);
        _requireSameLength(unitIds.length, salts.length);
        for (uint256 i = 0; i < unitIds.length; ++i) {
            _reveal(unitIds[i], unitRoots[i], salts[i]);
        }
    }

    /// @inheritdoc IWorkLedger
    function expire(UnitId unitId) external {
        Unit storage entry = _units[unitId];
        UnitStatus status = _statusOf(entry);
        if (status != UnitStatus.Drawn && status != UnitStatus.AuditCommitted)
            revert WrongStatus(unitId, status);
        if (block.timestamp <= entry.deadline) revert DeadlineNotPassed(unitId, entry.deadline);
        if (status == UnitStatus.AuditCommitted && entry.unitRoot == 0) {
            // No bounty: silence proves nothing, and nobody should earn by cutting a worker off.
            _fault(unitId, entry, new address[](0));
        } else {
            _replaceAuditor(unitId, entry);
        }
    }

    /// @dev INVARIANT: no seed is known before it is certain to be used; and waiting for another one is no
    /// way to be spared, for a draw that was missed spares nobody.
    function _missDraw(JobId jobId, uint32 round, uint32 index, Batch storage from) private {
        from.isLate = true;
        from.drawBlock = uint48(block.number + 1);
        emit DrawMissed(jobId, round, index, from.drawBlock);
    }

    /// @dev INVARIANT: a unit is drawn or spared once, for a draw is captured once.
    function _drawUnit(
        JobId jobId,
        uint32 round,
        uint32 index,
        ClaimedUnit calldata claim,
        Batch storage from,
        uint256 probation,
        uint256 floorBps
    ) private {
        UnitId unitId = Hashes.unitId(jobId, round, claim.slot, claim.attempt);
        uint256 clean = _cleanUnits[claim.worker];
        if (!Lottery.isDrawn(from.seed, unitId, clean, probation, floorBps)) {
            _cleanUnits[claim.worker] = clean + 1;
            emit UnitPassed(unitId, jobId, PassReason.NotDrawn, from.challengeDeadline);
            return;
        }
        Unit storage entry = _writeUnit(unitId, jobId, round, index, claim);
        _assignAuditor(unitId, entry, _eligible(unitId, entry, from, new address[](0)));
    }

    /// @dev INVARIANT: a unit waits for at most 1 + MAX_REDRAWS auditors.
    function _replaceAuditor(UnitId unitId, Unit storage entry) private {
        address[] storage overdue = _overdueAuditors[unitId];
        overdue.push(entry.auditor);
        if (entry.redraws == MAX_REDRAWS) {
            entry.auditor = address(0);
            entry.auditCommitment = 0;
            return _pass(unitId, entry, PassReason.AuditorsOverdue);
        }
        ++entry.redraws;
        entry.auditCommitment = 0;
        Batch storage from = _batchOf(entry);
        address auditor = _eligible(unitId, entry, from, overdue);
        if (auditor == address(0)) auditor = _eligible(unitId, entry, from, new address[](0));
        _assignAuditor(unitId, entry, auditor);
    }

    function _assignAuditor(UnitId unitId, Unit storage entry, address auditor) private {
        entry.auditor = auditor;
        if (auditor == address(0)) return _pass(unitId, entry, PassReason.NobodyEligible);
        entry.status = UnitStatus.Drawn;
        entry.deadline = _after(Parameter.AuditWindowS);
        emit UnitDrawn(
            unitId,
            auditor,
            entry.jobId,
            entry.round,
            entry.slot,
            entry.attempt,
            entry.worker,
            entry.deadline
        );
    }

    function _open(UnitId unitId, bytes32 traceRoot, bytes32 salt, uint40 deadline) private {
        Unit storage entry = _units[unitId];
        bool disputed = _statusOf(entry) == UnitStatus.Disputed;
        if (!disputed) _waiting(unitId, UnitStatus.AuditCommitted);
        if (entry.unitRoot != 0) revert AlreadyOpened(unitId);
        bytes32 root = Hashes.unitRoot(entry.resultRoot, traceRoot);
        if (Hashes.commitment(unitId, entry.worker, root, salt) != entry.commitment)
            revert WrongReveal(unitId);
        entry.unitRoot = root;
        if (!disputed) entry.deadline = deadline;
        emit UnitOpened(unitId, root, disputed ? 0 : deadline);
    }

    function _reveal(UnitId unitId, bytes32 root, bytes32 salt) private {
        Unit storage entry = _waiting(unitId, UnitStatus.AuditCommitted);
        // INVARIANT: an auditor's root is public only after the worker's, so neither can follow the
        // other.
        if (entry.unitRoot == 0) revert NotOpened(unitId);
        if (root == 0) revert ZeroValue();
        address auditor = entry.auditor;
        if (Hashes.commitment(unitId, auditor, root, salt) != entry.auditCommitment)
            revert WrongReveal(unitId);
        entry.auditRoot = root;
        emit AuditRevealed(unitId, auditor, root);
        if (root == entry.unitRoot) {
            _verify(unitId, entry);
        } else {
            _dispute(unitId, entry, auditor);
        }
    }

    /// @dev A unit in the given waiting status whose deadline has not passed.
    function _waiting(UnitId unitId, UnitStatus status) private view returns (Unit storage entry) {
        entry = _units[unitId];
        UnitStatus found = _statusOf(entry);
        if (found != status) revert WrongStatus(unitId, found);
        if (block.timestamp > entry.deadline) revert DeadlinePassed(unitId, entry.deadline);
    }

    /// @dev An active node that is neither the worker nor the coordinator nor among `others`; 0 if
    /// there is none.
    function _eligible(
        UnitId unitId,
        Unit storage entry,
        Batch storage from,
        address[] memory others
    ) private view returns (address) {
        address[] memory excluded = new address[](2 + others.length);
        (excluded[0], excluded[1]) = (entry.worker, from.coordinator);
        for (uint256 i = 0; i < others.length; ++i) {
            excluded[2 + i] = others[i];
        }
        return
            vault.draw(
                Lottery.auditorSeed(from.seed, unitId, entry.redraws),
                excluded,
                from.drawBlock
            );
    }
}
