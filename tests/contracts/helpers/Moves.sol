// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Dispute, DisputePhase} from "../../../contracts/types/Dispute.sol";
import {JobId, UnitId} from "../../../contracts/types/Identifiers.sol";
import {JobTerms} from "../../../contracts/types/Job.sol";
import {PARAMETER_COUNT, Parameter} from "../../../contracts/types/Parameter.sol";
import {Claim, UnitStatus} from "../../../contracts/types/Work.sol";
import {LendMoves} from "./LendMoves.sol";
import {VM} from "./Vm.sol";

/// @notice Every kind of move. Each picks a legal-looking step and tries it; the contracts may refuse.
abstract contract Moves is LendMoves {
    function _try(uint256 kind, uint256 dice) internal returns (bool) {
        if (kind == 0) return jobIds.length < 8 && _fund(dice);
        if (kind == 1) return _cancel(dice);
        if (kind == 2) return _lease(dice);
        if (kind == 3) return _commit(dice);
        if (kind == 4) return _capture(dice);
        if (kind == 5) return _commitAudit(dice);
        if (kind == 6) return _open(dice);
        if (kind == 7) return _revealAudit(dice);
        if (kind == 8) return _expire(dice);
        if (kind == 9) return _finalize(dice);
        if (kind == 10) return _challenge(dice);
        if (kind == 11) return _vote(dice);
        if (kind == 12) return _resolve(dice);
        if (kind == 13) return _bond(dice);
        if (kind == 14) return _unbond(dice);
        if (kind == 15) return _cancelUnbond(dice);
        if (kind == 16) return _withdraw(dice);
        if (kind == 17) return _settle(dice);
        if (kind == 18) return _claim(_node(dice));
        if (kind == 19) return _parameter(dice);
        if (kind == 20) return dice % 4 == 0 && _wait(dice % 3_000);
        if (kind == 21) return _wait(dice % 50);
        if (kind == 22) return _wait(dice % 12);
        if (kind == 23) return _refresh(dice);
        if (kind == 24) return _anchor(dice);
        if (kind == 25) return _withdrawAnchors(dice);
        if (kind == 26) return _claimEmission(dice);
        if (kind == 27) return _returnDeposit(dice);
        if (kind == 28) return _releaseLocks(dice);
        if (kind == 29) return _own(dice);
        if (kind == 30) return _commission(dice);
        if (kind == 31) return _lend(dice);
        return _unlend(dice);
    }

    function _fund(uint256 dice) private returns (bool) {
        JobTerms memory terms = net.terms(
            uint32(1 + (dice % 3)),
            uint32(1 + ((dice >> 8) % 2) + ((dice >> 9) % 2))
        );
        terms.roundsAhead = uint8((dice >> 16) % 4);
        // One in four states more FLOPs than anybody can compute, another few.
        if ((dice >> 20) % 4 == 0) terms.unitFlops = 2 ** 62;
        if ((dice >> 20) % 4 == 1) terms.unitFlops = uint64((dice >> 24) % 1_000);
        VM.prank(submitter);
        jobIds.push(escrow.fund(terms));
        return true;
    }

    function _cancel(uint256 dice) private returns (bool) {
        if (jobIds.length == 0 || dice % 2 != 0) return false;
        JobId jobId = jobIds[(dice >> 8) % jobIds.length];
        VM.prank(submitter);
        try escrow.cancel(jobId) {
            return true;
        } catch {
            return false;
        }
    }

    function _lease(uint256 dice) private returns (bool) {
        if (jobIds.length == 0) return false;
        JobId jobId = jobIds[dice % jobIds.length];
        VM.prank(_node(dice >> 8));
        try ledger.takeLease(jobId) {
            return true;
        } catch {
            return false;
        }
    }

    function _commit(uint256 dice) private returns (bool) {
        if (jobIds.length == 0) return false;
        JobId jobId = jobIds[dice % jobIds.length];
        (address holder, ) = ledger.leaseOf(jobId);
        if (holder == address(0)) return false;
        uint32 round = ledger.headRound(jobId);
        (Claim[] memory claims, uint256[] memory flavours) = _claims(jobId, round, dice >> 8);
        UnitId[] memory made = new UnitId[](claims.length);
        for (uint256 i = 0; i < claims.length; ++i) {
            made[i] = ledger.slotUnit(jobId, round, claims[i].slot);
        }
        uint256 lockWei = ledger.lockWeiOf(net.UNIT_WEI());
        VM.prank(holder);
        try ledger.commitRound(jobId, round, claims) {
            remember(jobId, round, claims);
            for (uint256 i = 0; i < claims.length; ++i) {
                unitIds.push(made[i]);
                flavourOf[made[i]] = flavours[i];
                lockedFor[made[i]] = lockWei;
            }
            return true;
        } catch {
            return false;
        }
    }

    /// @dev Claims for some slots in a row by random nodes, a quarter of them lies.
    function _claims(
        JobId jobId,
        uint32 round,
        uint256 dice
    ) private view returns (Claim[] memory claims, uint256[] memory flavours) {
        (uint32 slots, , ) = escrow.workTerms(jobId);
        uint256 first = (dice >> 8) % slots;
        claims = new Claim[](1 + (dice % (slots - first)));
        flavours = new uint256[](claims.length);
        for (uint256 i = 0; i < claims.length; ++i) {
            flavours[i] = (dice >> (16 + i)) % 4 == 0 ? LIE : TRUTH;
            uint32 slot = uint32(first + i);
            claims[i] = net.claimOf(jobId, round, slot, _node(dice >> (24 + 4 * i)), flavours[i]);
        }
    }

    function _capture(uint256 dice) private returns (bool) {
        if (jobIds.length == 0) return false;
        JobId jobId = jobIds[dice % jobIds.length];
        uint32 round = _openRound(jobId, dice >> 12);
        uint32 batches = ledger.roundState(jobId, round).batches;
        if (batches == 0) return false;
        net.nextBlock();
        if ((dice >> 8) % 16 == 0) VM.roll(VM.getBlockNumber() + 300);
        try ledger.captureDraw(jobId, round, batches - 1, claimsAt(jobId, round, batches - 1)) {
            return true;
        } catch {
            return false;
        }
    }

    function _commitAudit(uint256 dice) private returns (bool) {
        (bool found, UnitId unitId) = _unitIn(UnitStatus.Drawn, dice);
        if (!found) return false;
        address auditor = unitOf(unitId).auditor;
        uint256 flavour = (dice >> 16) % 4;
        flavour =
            flavour == 0
                ? (dice >> 40) % 2 == 0
                    ? MISSING
                    : 2
                : flavour == 1
                    ? flavourOf[unitId]
                    : TRUTH;
        bytes32 committed = net.commitment(unitId, auditor, flavour);
        VM.prank(auditor);
        try ledger.commitAudits(ids(unitId), words(committed)) {
            auditFlavourOf[unitId] = flavour;
            return true;
        } catch {
            return false;
        }
    }

    function _open(uint256 dice) private returns (bool) {
        (bool found, UnitId unitId) = _unitIn(
            dice % 4 == 0 ? UnitStatus.Disputed : UnitStatus.AuditCommitted,
            dice >> 2
        );
        if (!found) return false;
        (, bytes32 traceRoot) = net.roots(unitId, flavourOf[unitId]);
        bytes32 salt = net.salt(unitId, unitOf(unitId).worker);
        try ledger.openUnits(ids(unitId), words(traceRoot), words(salt)) {
            return true;
        } catch {
            return false;
        }
    }

    function _revealAudit(uint256 dice) private returns (bool) {
        (bool found, UnitId unitId) = _unitIn(UnitStatus.AuditCommitted, dice);
        if (!found) return false;
        bytes32 root = net.unitRoot(unitId, auditFlavourOf[unitId]);
        bytes32 salt = net.salt(unitId, unitOf(unitId).auditor);
        try ledger.revealAudits(ids(unitId), words(root), words(salt)) {
            return true;
        } catch {
            return false;
        }
    }

    function _expire(uint256 dice) private returns (bool) {
        (bool found, UnitId unitId) = _unitIn(
            dice % 2 == 0 ? UnitStatus.Drawn : UnitStatus.AuditCommitted,
            dice >> 1
        );
        if (!found) return false;
        try ledger.expire(unitId) {
            return true;
        } catch {
            return false;
        }
    }

    function _finalize(uint256 dice) private returns (bool) {
        if (jobIds.length == 0) return false;
        JobId jobId = jobIds[dice % jobIds.length];
        (address holder, ) = ledger.leaseOf(jobId);
        uint32 round = ledger.openRound(jobId);
        bytes32 checkpoint = ledger.anchorOf(jobId, round);
        if (checkpoint == 0) checkpoint = keccak256("c");
        VM.prank(holder);
        try
            ledger.finalizeRound(
                jobId,
                round,
                checkpoint,
                keccak256("b"),
                1,
                roundClaims(jobId, round)
            )
        {
            return true;
        } catch {
            // A refused call has no events, but the test runner has recorded them.
            VM.getRecordedLogs();
            return false;
        }
    }

    function _anchor(uint256 dice) private returns (bool) {
        if (jobIds.length == 0) return false;
        JobId jobId = jobIds[dice % jobIds.length];
        (address holder, ) = ledger.leaseOf(jobId);
        uint32 head = ledger.headRound(jobId);
        bytes32 checkpoint = keccak256(abi.encode("checkpoint", dice));
        VM.prank(holder);
        try ledger.anchorRound(jobId, head, checkpoint, keccak256("b"), 1) {
            return true;
        } catch {
            return false;
        }
    }

    function _withdrawAnchors(uint256 dice) private returns (bool) {
        for (uint256 i = 0; i < jobIds.length; ++i) {
            JobId jobId = jobIds[addmod(dice, i, jobIds.length)];
            uint32 round = _openRound(jobId, dice >> 8);
            if (ledger.anchorOf(jobId, round) == 0) continue;
            // A successor: the lease runs out and another node has it.
            if ((dice >> 24) % 2 == 0) net.pass(450);
            address holder = _node(dice >> 16);
            VM.startPrank(holder);
            try ledger.takeLease(jobId) {} catch {}
            try ledger.withdrawAnchors(jobId, round) {
                VM.stopPrank();
                return true;
            } catch {
                VM.stopPrank();
            }
        }
        return false;
    }

    function _returnDeposit(uint256 dice) private returns (bool) {
        (bool found, UnitId unitId) = _unitIn(UnitStatus.Dissolved, dice);
        if (!found) return false;
        try ledger.returnDeposit(unitId) {
            return true;
        } catch {
            return false;
        }
    }

    /// @dev Of a unit in any of the states that end a lock, and whose time may not have come.
    function _releaseLocks(uint256 dice) private returns (bool) {
        UnitStatus wanted = UnitStatus([2, 5, 9][dice % 3]);
        (bool found, UnitId unitId) = _unitIn(wanted, dice >> 8);
        if (!found || lockOf(unitId) == 0) return false;
        uint256 before = lockOf(unitId);
        release(unitId);
        return lockOf(unitId) != before;
    }

    /// @dev One of the rounds that are not final.
    function _openRound(JobId jobId, uint256 dice) private view returns (uint32) {
        uint32 open = ledger.openRound(jobId);
        return open + uint32(dice % (ledger.headRound(jobId) - open + 1));
    }

    function _challenge(uint256 dice) private returns (bool) {
        (bool found, UnitId unitId) = _unitIn(
            dice % 4 == 0 ? UnitStatus.Passed : UnitStatus.Verified,
            dice >> 2
        );
        if (!found) return false;
        return tryChallenge(_node(dice >> 16), unitId);
    }

    /// @dev Draws, commits or reveals, as the phase asks; some jurors lie, some are silent.
    function _vote(uint256 dice) private returns (bool) {
        (bool found, UnitId unitId) = _unitIn(UnitStatus.Disputed, dice);
        if (!found) return false;
        Dispute memory record = committee.dispute(unitId);
        if (record.phase == DisputePhase.Drawing) {
            net.pass(1);
            net.nextBlock();
            committee.draw(unitId);
            return true;
        }
        address juror = record.jurors[(dice >> 16) % record.jurors.length];
        if (record.phase == DisputePhase.Voting) return _commitVote(unitId, juror, dice >> 24);
        if (record.phase != DisputePhase.Revealing) return false;
        bytes32 root = net.unitRoot(unitId, voteOf[unitId][juror]);
        bytes32 salt = net.salt(unitId, juror);
        VM.prank(juror);
        try committee.revealVote(unitId, root, salt) {
            return true;
        } catch {
            return false;
        }
    }

    function _commitVote(UnitId unitId, address juror, uint256 dice) private returns (bool) {
        uint256 flavour =
            (dice >> 16) % 3 == 0 && auditFlavourOf[unitId] == MISSING
                ? MISSING
                : dice % 5 == 0
                    ? 2
                    : dice % 5 == 1
                        ? flavourOf[unitId]
                        : TRUTH;
        bytes32 committed = net.commitment(unitId, juror, flavour);
        VM.prank(juror);
        try committee.commitVote(unitId, committed) {
            voteOf[unitId][juror] = flavour;
            return true;
        } catch {
            return false;
        }
    }

    function _resolve(uint256 dice) private returns (bool) {
        (bool found, UnitId unitId) = _unitIn(UnitStatus.Disputed, dice);
        if (!found) return false;
        try committee.resolve(unitId) {
            return true;
        } catch {
            return false;
        }
    }

    function _settle(uint256 dice) private returns (bool) {
        for (uint256 i = 0; i < jobIds.length; ++i) {
            try escrow.settle(jobIds[addmod(dice, i, jobIds.length)]) {
                return true;
            } catch {}
        }
        return false;
    }

    function _parameter(uint256 dice) private returns (bool) {
        Parameter parameter = Parameter(dice % PARAMETER_COUNT);
        uint256 value = net.defaults()[dice % PARAMETER_COUNT];
        value = (value * (50 + ((dice >> 8) % 100))) / 100;
        try parameters.set(parameter, value) {
            return true;
        } catch {
            return false;
        }
    }

    function _wait(uint256 seconds_) private returns (bool) {
        net.pass(seconds_);
        return true;
    }
}
