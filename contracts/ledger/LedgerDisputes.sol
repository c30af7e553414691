// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

import {ComputeToken} from "../ComputeToken.sol";
import {IRefereeCallback} from "../interfaces/IReferee.sol";
import {IWorkLedger} from "../interfaces/IWorkLedger.sol";
import {Hashes} from "../libraries/Hashes.sol";
import {JobId, UnitId} from "../types/Identifiers.sol";
import {BPS, Parameter} from "../types/Parameter.sol";
import {Batch, ClaimedUnit, Unit, UnitStatus} from "../types/Work.sol";
import {LedgerOutcomes} from "./LedgerOutcomes.sol";

/// @title Disputes: how one begins, and what a verdict does
/// @notice INVARIANT: the ledger's tokens are the deposits of the units that are disputed or were
/// when they were dissolved.
abstract contract LedgerDisputes is LedgerOutcomes {
    using SafeERC20 for ComputeToken;

    /// @inheritdoc IWorkLedger
    function challenge(
        JobId jobId,
        uint32 round,
        uint32 index,
        ClaimedUnit calldata claim,
        bytes32[] calldata proof
    ) external {
        UnitId unitId = _record(jobId, round, index, claim, proof);
        Unit storage entry = _units[unitId];
        UnitStatus status = _statusOf(entry);
        if (status != UnitStatus.Passed && status != UnitStatus.Verified)
            revert WrongStatus(unitId, status);
        if (block.timestamp > entry.deadline) revert DeadlinePassed(unitId, entry.deadline);
        if (!_isActive(msg.sender)) revert NotActive(msg.sender);
        if (entry.worker == msg.sender) revert OwnUnit(unitId, msg.sender);
        _requireJurors(entry);
        uint256 depositWei = _parameter(_index(Parameter.ChallengeDepositWei));
        entry.challenger = msg.sender;
        // Fits: NetworkParameters bounds the deposit far below 2^96.
        entry.depositWei = uint96(depositWei);
        emit ChallengeOpened(unitId, msg.sender, depositWei);
        _dispute(unitId, entry, msg.sender);
        token.safeTransferFrom(msg.sender, address(this), depositWei);
    }

    /// @inheritdoc IWorkLedger
    function returnDeposit(UnitId unitId) external {
        Unit storage entry = _units[unitId];
        UnitStatus status = _statusOf(entry);
        if (status != UnitStatus.Dissolved) revert WrongStatus(unitId, status);
        if (entry.depositWei == 0) revert NoDeposit(unitId);
        _returnDeposit(unitId, entry);
    }

    /// @inheritdoc IRefereeCallback
    // The verdict is on record before vault and escrow are called: no call finds the unit disputed.
    // slither-disable-next-line reentrancy-no-eth
    function onVerdict(UnitId unitId, bytes32 root, address[] calldata upheldBy) external {
        if (msg.sender != address(referee)) revert NotReferee(msg.sender);
        Unit storage entry = _units[unitId];
        if (entry.status != UnitStatus.Disputed) revert WrongStatus(unitId, entry.status);
        // INVARIANT: no verdict on a dissolved unit costs or earns anybody anything.
        if (_statusOf(entry) == UnitStatus.Dissolved) return _returnDeposit(unitId, entry);
        bool silent = entry.unitRoot == 0 && block.timestamp > entry.deadline;
        if (root == 0) {
            if (silent) _fault(unitId, entry, new address[](0));
            else _void(unitId, entry);
            return _returnDeposit(unitId, entry);
        }
        if (root == Hashes.INPUT_UNAVAILABLE) return _inputUnavailable(unitId, entry, upheldBy);
        bool workerRight = entry.unitRoot == root;
        address[] memory bountyTo = workerRight ? upheldBy : _provers(entry, root, upheldBy);
        if (workerRight) _uphold(unitId, entry);
        else _fault(unitId, entry, bountyTo);
        // An audit that verified a wrong unit is as wrong as one that disputed a right one.
        if (entry.auditRoot != 0 && entry.auditRoot != root) _faultAuditor(unitId, entry, bountyTo);
        if (workerRight) _forfeitDeposit(unitId, entry, upheldBy);
        else _returnDeposit(unitId, entry);
    }

    /// @dev A unit that the draw spared comes on record; every other one is.
    function _record(
        JobId jobId,
        uint32 round,
        uint32 index,
        ClaimedUnit calldata claim,
        bytes32[] calldata proof
    ) private returns (UnitId unitId) {
        Batch storage from = _batchAt(jobId, round, index);
        bytes32 leaf = _claimLeaf(jobId, round, claim);
        // INVARIANT: nobody is accused of a claim that is not on chain.
        if (!MerkleProof.verifyCalldata(proof, from.claimsRoot, leaf))
            revert WrongClaims(jobId, round);
        unitId = Hashes.unitId(jobId, round, claim.slot, claim.attempt);
        uint40 deadline = from.challengeDeadline;
        if (_units[unitId].status != UnitStatus.None) return unitId;
        if (deadline == 0) revert WrongStatus(unitId, UnitStatus.Committed);
        Unit storage entry = _writeUnit(unitId, jobId, round, index, claim);
        entry.status = UnitStatus.Passed;
        entry.deadline = deadline;
    }

    /// @dev Puts a unit before the referee. A worker that has not opened it must do so; see
    /// `silent` above.
    function _dispute(UnitId unitId, Unit storage entry, address accuser) internal {
        entry.status = UnitStatus.Disputed;
        entry.deadline = uint40(
            _after(Parameter.AuditWindowS) + _parameter(_index(Parameter.OpenWindowS))
        );
        emit UnitDisputed(unitId, entry.jobId, accuser);
        address coordinator = _batchOf(entry).coordinator;
        referee.open(unitId, entry.worker, coordinator, accuser);
    }

    /// @dev INVARIANT: missing data is the submitter's to answer, nobody is slashed for it, whatever
    /// root it revealed. Silence stays the worker's own fault: it can open without any data.
    // As in onVerdict.
    // slither-disable-next-line reentrancy-no-eth
    function _inputUnavailable(
        UnitId unitId,
        Unit storage entry,
        address[] calldata upheldBy
    ) private {
        bool opened = entry.unitRoot != 0;
        emit InputUnavailable(unitId, entry.jobId);
        if (opened) _void(unitId, entry);
        else _fault(unitId, entry, new address[](0));
        bool accused = entry.auditRoot == Hashes.INPUT_UNAVAILABLE;
        escrow.chargeData(
            entry.jobId,
            opened ? entry.worker : address(0),
            accused ? entry.auditor : address(0),
            upheldBy
        );
        _returnDeposit(unitId, entry);
    }

    /// @dev Who vouched for a wrong root as an auditor loses as much as its worker had at stake, of
    /// all its bond: nothing is locked for an audit.
    function _faultAuditor(UnitId unitId, Unit storage entry, address[] memory bountyTo) private {
        address auditor = entry.auditor;
        _cleanUnits[auditor] = 0;
        uint256 slashed = vault.slash(auditor, _batchOf(entry).lockWei, bountyTo);
        emit AuditorFaulted(unitId, auditor, slashed);
    }

    function _returnDeposit(UnitId unitId, Unit storage entry) private {
        (address challenger, uint256 depositWei) = _takeDeposit(entry);
        if (depositWei == 0) return;
        emit ChallengeClosed(unitId, challenger, depositWei, 0, 0);
        token.safeTransfer(challenger, depositWei);
    }

    /// @dev The challenger was wrong: the jurors who said so share the bounty, the rest is burned.
    function _forfeitDeposit(
        UnitId unitId,
        Unit storage entry,
        address[] calldata upheldBy
    ) private {
        (address challenger, uint256 depositWei) = _takeDeposit(entry);
        if (challenger == address(0)) return;
        uint256 share =
            upheldBy.length == 0
                ? 0
                : (depositWei * _parameter(_index(Parameter.BountyBps))) / BPS / upheldBy.length;
        // Everybody gets the same; what the division leaves is burned.
        // slither-disable-next-line divide-before-multiply
        uint256 bounty = share * upheldBy.length;
        emit ChallengeClosed(unitId, challenger, 0, bounty, depositWei - bounty);
        token.burn(depositWei - bounty);
        for (uint256 i = 0; i < upheldBy.length && share != 0; ++i) {
            token.safeTransfer(upheldBy[i], share);
        }
    }

    /// @dev INVARIANT: a deposit leaves once. The challenger stays on record.
    function _takeDeposit(
        Unit storage entry
    ) private returns (address challenger, uint256 depositWei) {
        (challenger, depositWei) = (entry.challenger, entry.depositWei);
        entry.depositWei = 0;
    }

    /// @dev A jury of fewer than CommitteeSize would only void the unit: that must not be had for a
    /// returned deposit.
    function _requireJurors(Unit storage entry) private view {
        address coordinator = _batchOf(entry).coordinator;
        uint256 eligible = vault.activeCount();
        if (_isActive(entry.worker)) --eligible;
        if (coordinator != entry.worker && _isActive(coordinator)) --eligible;
        uint256 seats = _parameter(_index(Parameter.CommitteeSize));
        if (eligible < seats) revert TooFewJurors(eligible, seats);
    }

    /// @dev Who shares the bounty of a wrong worker: the jurors of the verdict, and the accuser
    /// unless it was wrong too or sat on the jury.
    function _provers(
        Unit storage entry,
        bytes32 root,
        address[] calldata upheldBy
    ) private view returns (address[] memory provers) {
        address accuser = entry.challenger;
        if (accuser == address(0) && entry.auditRoot == root) accuser = entry.auditor;
        bool listed = accuser == address(0);
        for (uint256 i = 0; i < upheldBy.length; ++i) {
            if (upheldBy[i] == accuser) listed = true;
        }
        provers = new address[](upheldBy.length + (listed ? 0 : 1));
        for (uint256 i = 0; i < upheldBy.length; ++i) {
            provers[i] = upheldBy[i];
        }
        if (!listed) provers[upheldBy.length] = accuser;
    }
}
