// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {DisputePhase} from "../../../contracts/types/Dispute.sol";
import {JobId, UnitId} from "../../../contracts/types/Identifiers.sol";
import {Parameter} from "../../../contracts/types/Parameter.sol";
import {Unit, UnitStatus} from "../../../contracts/types/Work.sol";
import {Moves} from "./Moves.sol";
import {VM} from "./Vm.sol";

/// @notice Everybody at once: submitters, coordinators, workers, auditors, jurors, challengers, honest,
/// lying, silent, in random order; and how everything is brought to an end when they have left.
contract Players is Moves {
    constructor(uint256 nodeCount) {
        stage(nodeCount);
        for (uint256 i = 0; i < COLD_KEYS; ++i) {
            net.equip(cold(i), 1_000 ether);
        }
        for (uint256 i = 0; i < LENDERS; ++i) {
            net.equip(lender(i), 1_000 ether);
        }
        // Trust comes soon, so that the draw spares some.
        setParameter(Parameter.ProbationUnits, 1);
        VM.recordLogs();
    }

    /// @notice One random move.
    function move(uint256 dice) external {
        uint256 kind = dice % MOVES;
        dice = uint256(keccak256(abi.encode(dice)));
        if (_try(kind, dice)) ++done[kind];
        _collect();
        _noteVotes();
    }

    /// @notice What keeps work flowing: the next step of one of the latest units, or of a job.
    function work(uint256 dice) external {
        uint256 kind = _nextKind(dice);
        dice = uint256(keccak256(abi.encode(dice)));
        if (_try(kind, dice)) ++done[kind];
        _collect();
        _noteVotes();
    }

    function _nextKind(uint256 dice) private returns (uint256) {
        uint256[5] memory always = [uint256(2), 3, 9, 22, 24];
        uint256 count = unitIds.length;
        if (count == 0 || dice % 3 == 0) return always[(dice >> 8) % 5];
        _focus = unitIds[count - 1 - ((dice >> 8) % (count < 6 ? count : 6))];
        Unit memory unit = unitOf(_focus);
        if (unit.status == UnitStatus.Committed) return 4;
        // Now and then somebody is silent until the others have waited long enough.
        if (unit.deadline != 0 && VM.getBlockTimestamp() > unit.deadline && (dice >> 20) % 2 == 0)
            return 8;
        if ((dice >> 24) % 8 == 0) return 21;
        if (unit.status == UnitStatus.Drawn) return 5;
        if (unit.status == UnitStatus.AuditCommitted) return unit.unitRoot == 0 ? 6 : 7;
        if (unit.status == UnitStatus.Disputed)
            return
                (dice >> 16) % 4 == 0
                    ? (dice >> 18) % 2 == 0
                        ? 6
                        : 12
                    : 11;
        if (unit.status == UnitStatus.Dissolved) return unit.depositWei == 0 ? 24 : 27;
        if ((dice >> 16) % 8 == 1) return 24;
        return (dice >> 16) % 8 == 0 ? 10 : 9;
    }

    /// @notice Everybody leaves: only calls that anyone may make, and time. At the end no unit
    /// waits and no money is left anywhere but with people.
    function drain() external {
        for (uint256 i = 0; i < jobIds.length; ++i) {
            _captureAll(jobIds[i]);
        }
        for (uint256 i = 0; i < unitIds.length; ++i) {
            _end(unitIds[i]);
        }
        _release();
        for (uint256 i = 0; i < jobIds.length; ++i) {
            if (escrow.jobs(jobIds[i]).settled) continue;
            uint256 time = escrow.settleableAt(jobIds[i]);
            if (time > VM.getBlockTimestamp()) VM.warp(time);
            escrow.settle(jobIds[i]);
        }
        _collect();
        _leaveLent();
        _leave();
        _collectAll();
    }

    /// @dev Half of all by way of emission, which pays the rest too.
    function _collectAll() private {
        for (uint256 i = 0; i < net.nodeCount(); ++i) {
            if (i % 2 == 0) _claim(node(i));
            _collect();
            for (uint256 j = 0; j < _epochs.length; ++j) {
                _claimEpoch(node(i), _epochs[j]);
                _collect();
            }
            _claim(node(i));
            _collect();
        }
        _claim(net.TREASURY());
        _collect();
    }

    /// @dev Every unit is at its end: what is still locked comes back by calls that anyone may make.
    function _release() private {
        net.pass(100);
        for (uint256 i = 0; i < unitIds.length; ++i) {
            release(unitIds[i]);
        }
    }

    function _leave() private {
        for (uint256 i = 0; i < net.nodeCount(); ++i) {
            address account = node(i);
            (uint256 pending, ) = vault.pendingOf(account);
            uint256 free = vault.bondOf(account) - pending;
            VM.prank(vault.ownerOf(account));
            if (free != 0) vault.requestUnbondOf(account, free);
        }
        net.pass(100 days);
        for (uint256 i = 0; i < net.nodeCount(); ++i) {
            address account = node(i);
            (uint256 pending, ) = vault.pendingOf(account);
            VM.prank(vault.ownerOf(account));
            if (pending != 0) vault.withdrawOf(account);
        }
    }

    function _captureAll(JobId jobId) private {
        net.pass(30);
        uint32 head = ledger.headRound(jobId);
        for (uint32 round = ledger.openRound(jobId); round <= head; ++round) {
            for (uint32 index = 0; index < ledger.roundState(jobId, round).batches; ++index) {
                _captureOne(jobId, round, index);
            }
        }
    }

    /// @dev A draw that was missed takes a second call, two blocks later.
    function _captureOne(JobId jobId, uint32 round, uint32 index) private {
        uint32 dissolutions = ledger.roundState(jobId, round).dissolutions;
        for (uint256 tries = 0; tries < 2; ++tries) {
            if (ledger.batch(jobId, round, dissolutions, index).challengeDeadline != 0) return;
            ledger.captureDraw(jobId, round, index, claimsAt(jobId, round, index));
            net.nextBlock();
            net.nextBlock();
        }
    }

    /// @dev Moves a unit to an end by anyone's calls; the bound on steps is part of what is tested.
    function _end(UnitId unitId) private {
        for (uint256 step = 0; step < 8; ++step) {
            Unit memory unit = unitOf(unitId);
            if (unit.status == UnitStatus.Drawn || unit.status == UnitStatus.AuditCommitted) {
                if (VM.getBlockTimestamp() <= unit.deadline) VM.warp(uint256(unit.deadline) + 1);
                ledger.expire(unitId);
            } else if (unit.status == UnitStatus.Disputed) {
                _endDispute(unitId);
            } else if (unit.status == UnitStatus.Dissolved && unit.depositWei != 0) {
                ledger.returnDeposit(unitId);
            } else {
                check(
                    unit.status != UnitStatus.None && unit.status != UnitStatus.Committed,
                    "an end"
                );
                return;
            }
        }
        check(false, "a unit is stuck");
    }

    function _endDispute(UnitId unitId) private {
        if (committee.dispute(unitId).phase == DisputePhase.Drawing) {
            net.pass(30);
            committee.draw(unitId);
        } else {
            uint64 deadline = committee.dispute(unitId).revealDeadline;
            if (VM.getBlockTimestamp() <= deadline) VM.warp(uint256(deadline) + 1);
            committee.resolve(unitId);
        }
    }
}
