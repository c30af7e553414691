// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {DisputePhase} from "../../../contracts/types/Dispute.sol";
import {Dispute} from "../../../contracts/types/Dispute.sol";
import {IWorkLedger} from "../../../contracts/interfaces/IWorkLedger.sol";
import {JobId, UnitId} from "../../../contracts/types/Identifiers.sol";
import {Job, JobTerms} from "../../../contracts/types/Job.sol";
import {Parameter} from "../../../contracts/types/Parameter.sol";
import {RewardClaim} from "../../../contracts/types/Reward.sol";
import {Batch, Claim, Unit, UnitStatus} from "../../../contracts/types/Work.sol";
import {Stage} from "./Stage.sol";
import {Log, VM} from "./Vm.sol";

/// @notice Everybody at once: submitters, coordinators, workers, auditors, jurors, challengers, honest, lying, silent,
/// in random order. Every move picks a legal-looking step and tries it; the contracts may refuse.
/// @dev Remembers what it needs to open commitments, and counts money on its own (the ghosts), so that the checks do
/// not believe the contracts' books.
contract Players is Stage {
    uint256 private constant MOVES = 24;

    JobId[] public jobIds;
    UnitId[] public unitIds;
    mapping(UnitId => uint256) public flavourOf; // the worker's
    mapping(UnitId => uint256) public auditFlavourOf; // its auditor's
    mapping(UnitId => mapping(address => uint256)) public voteOf;
    /// @dev Looked at first by moves that search for a unit.
    UnitId private _focus;
    RewardClaim[] private _rewards;
    /// @notice Successful moves by kind: a sequence that does nothing proves nothing.
    uint256[MOVES] public done;

    uint256 public earnedWei; // sum of all reward leaves of finalised rounds
    uint256 public claimedWei;

    constructor(uint256 nodeCount) {
        stage(nodeCount);
        VM.recordLogs();
    }

    /// @notice One random move.
    function move(uint256 dice) external {
        uint256 kind = dice % MOVES;
        dice = uint256(keccak256(abi.encode(dice)));
        if (_try(kind, dice)) ++done[kind];
        _collect();
    }

    /// @notice What keeps work flowing: the next step of one of the latest units, or of a job.
    function work(uint256 dice) external {
        uint256 kind = _nextKind(dice);
        dice = uint256(keccak256(abi.encode(dice)));
        if (_try(kind, dice)) ++done[kind];
        _collect();
    }

    function _nextKind(uint256 dice) private returns (uint256) {
        uint256[4] memory always = [uint256(2), 3, 9, 22];
        uint256 count = unitIds.length;
        if (count == 0 || dice % 3 == 0) return always[(dice >> 8) % 4];
        _focus = unitIds[count - 1 - (dice >> 8) % (count < 6 ? count : 6)];
        Unit memory unit = ledger.unit(_focus);
        if (unit.status == UnitStatus.Committed) return 4;
        // Now and then somebody is silent until the others have waited long enough.
        if (unit.deadline != 0 && VM.getBlockTimestamp() > unit.deadline && (dice >> 20) % 2 == 0) return 8;
        if ((dice >> 24) % 8 == 0) return 21;
        if (unit.status == UnitStatus.Drawn) return 5;
        if (unit.status == UnitStatus.AuditCommitted) return unit.unitRoot == 0 ? 6 : 7;
        if (unit.status == UnitStatus.Disputed) return (dice >> 16) % 4 == 0 ? (dice >> 18) % 2 == 0 ? 6 : 12 : 11;
        return (dice >> 16) % 8 == 0 ? 10 : 9;
    }

    function counts() external view returns (uint256 jobs, uint256 units, uint256 rewards) {
        return (jobIds.length, unitIds.length, _rewards.length);
    }

    /// @notice Everybody leaves: only calls that anyone may make, and time. At the end no unit waits and no money is
    /// left anywhere but with people.
    function drain() external {
        for (uint256 i = 0; i < jobIds.length; ++i) {
            _captureAll(jobIds[i]);
        }
        for (uint256 i = 0; i < unitIds.length; ++i) {
            _end(unitIds[i]);
        }
        for (uint256 i = 0; i < jobIds.length; ++i) {
            if (escrow.jobs(jobIds[i]).settled) continue;
            uint256 time = escrow.settleableAt(jobIds[i]);
            if (time > VM.getBlockTimestamp()) VM.warp(time);
            escrow.settle(jobIds[i]);
        }
        while (_rewards.length != 0) {
            check(_claimLast(), "every leaf is payable");
        }
        _leave();
    }

    function _leave() private {
        for (uint256 i = 0; i < net.nodeCount(); ++i) {
            address account = node(i);
            (uint256 pending,) = vault.pendingOf(account);
            uint256 free = vault.bondOf(account) - pending;
            VM.prank(account);
            if (free != 0) vault.requestUnbond(free);
        }
        net.pass(100 days);
        for (uint256 i = 0; i < net.nodeCount(); ++i) {
            (uint256 pending,) = vault.pendingOf(node(i));
            VM.prank(node(i));
            if (pending != 0) vault.withdraw();
        }
    }

    function _captureAll(JobId jobId) private {
        net.pass(30);
        uint32 round = ledger.openRound(jobId);
        for (uint32 index = 0; index < ledger.batchCount(jobId, round); ++index) {
            if (!ledger.batch(jobId, round, index).captured) ledger.captureDraw(jobId, round, index);
        }
    }

    /// @dev Moves a unit to an end by anyone's calls; the bound on steps is part of what is tested.
    function _end(UnitId unitId) private {
        for (uint256 step = 0; step < 8; ++step) {
            Unit memory unit = ledger.unit(unitId);
            if (unit.status == UnitStatus.Drawn || unit.status == UnitStatus.AuditCommitted) {
                if (VM.getBlockTimestamp() <= unit.deadline) VM.warp(uint256(unit.deadline) + 1);
                ledger.expire(unitId);
            } else if (unit.status == UnitStatus.Disputed) {
                _endDispute(unitId);
            } else {
                check(unit.status != UnitStatus.None && unit.status != UnitStatus.Committed, "an end");
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

    function _try(uint256 kind, uint256 dice) private returns (bool) {
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
        if (kind == 18) return _rewards.length != 0 && _claimLast();
        if (kind == 19) return _parameter(dice);
        if (kind == 20) return dice % 4 == 0 && _wait(dice % 3_000);
        if (kind == 21) return _wait(dice % 50);
        if (kind == 22) return _wait(dice % 12);
        return _refresh(dice);
    }

    function _fund(uint256 dice) private returns (bool) {
        JobTerms memory terms = net.terms(uint32(1 + dice % 3), uint32(1 + (dice >> 8) % 2 + (dice >> 9) % 2));
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
        (address holder,) = ledger.leaseOf(jobId);
        if (holder == address(0)) return false;
        uint32 round = ledger.openRound(jobId);
        (Claim[] memory claims, uint256[] memory flavours) = _claims(jobId, round, dice >> 8);
        UnitId[] memory made = new UnitId[](claims.length);
        for (uint256 i = 0; i < claims.length; ++i) {
            made[i] = ledger.slotUnit(jobId, round, claims[i].slot);
        }
        VM.prank(holder);
        try ledger.commitRound(jobId, round, claims) {
            for (uint256 i = 0; i < claims.length; ++i) {
                unitIds.push(made[i]);
                flavourOf[made[i]] = flavours[i];
            }
            return true;
        } catch {
            return false;
        }
    }

    /// @dev Claims for some slots in a row by random nodes, a quarter of them lies.
    function _claims(JobId jobId, uint32 round, uint256 dice)
        private
        view
        returns (Claim[] memory claims, uint256[] memory flavours)
    {
        (uint32 slots,,) = escrow.workTerms(jobId);
        claims = new Claim[](1 + dice % slots);
        flavours = new uint256[](claims.length);
        for (uint256 i = 0; i < claims.length; ++i) {
            flavours[i] = (dice >> (16 + i)) % 4 == 0 ? LIE : TRUTH;
            uint32 slot = uint32((i + (dice >> 8)) % slots);
            claims[i] = net.claimOf(jobId, round, slot, _node(dice >> (24 + 4 * i)), flavours[i]);
        }
    }

    function _capture(uint256 dice) private returns (bool) {
        if (jobIds.length == 0) return false;
        JobId jobId = jobIds[dice % jobIds.length];
        uint32 round = ledger.openRound(jobId);
        uint32 batches = ledger.batchCount(jobId, round);
        if (batches == 0) return false;
        net.nextBlock();
        if ((dice >> 8) % 16 == 0) VM.roll(VM.getBlockNumber() + 300);
        try ledger.captureDraw(jobId, round, batches - 1) {
            return true;
        } catch {
            return false;
        }
    }

    function _commitAudit(uint256 dice) private returns (bool) {
        (bool found, UnitId unitId) = _unitIn(UnitStatus.Drawn, dice);
        if (!found) return false;
        address auditor = ledger.unit(unitId).auditor;
        uint256 flavour = (dice >> 16) % 4;
        flavour = flavour == 0 ? 2 : flavour == 1 ? flavourOf[unitId] : TRUTH;
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
        (bool found, UnitId unitId) =
            _unitIn(dice % 4 == 0 ? UnitStatus.Disputed : UnitStatus.AuditCommitted, dice >> 2);
        if (!found) return false;
        (, bytes32 traceRoot) = net.roots(unitId, flavourOf[unitId]);
        bytes32 salt = net.salt(unitId, ledger.unit(unitId).worker);
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
        bytes32 salt = net.salt(unitId, ledger.unit(unitId).auditor);
        try ledger.revealAudits(ids(unitId), words(root), words(salt)) {
            return true;
        } catch {
            return false;
        }
    }

    function _expire(uint256 dice) private returns (bool) {
        (bool found, UnitId unitId) = _unitIn(dice % 2 == 0 ? UnitStatus.Drawn : UnitStatus.AuditCommitted, dice >> 1);
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
        (address holder,) = ledger.leaseOf(jobId);
        uint32 round = ledger.openRound(jobId);
        VM.prank(holder);
        try ledger.finalizeRound(jobId, round, keccak256("c"), keccak256("b"), 1) {
            return true;
        } catch {
            return false;
        }
    }

    function _challenge(uint256 dice) private returns (bool) {
        (bool found, UnitId unitId) = _unitIn(dice % 4 == 0 ? UnitStatus.Passed : UnitStatus.Verified, dice >> 2);
        if (!found) return false;
        VM.prank(_node(dice >> 16));
        try ledger.challenge(unitId) {
            return true;
        } catch {
            return false;
        }
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
        uint256 flavour = dice % 5 == 0 ? 2 : dice % 5 == 1 ? flavourOf[unitId] : TRUTH;
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

    function _bond(uint256 dice) private returns (bool) {
        address account = _node(dice);
        uint256 amount = 1 + (dice >> 8) % 200 ether;
        if (token.balanceOf(account) < amount) return false;
        VM.prank(account);
        vault.bond(amount, "");
        return true;
    }

    function _unbond(uint256 dice) private returns (bool) {
        VM.prank(_node(dice >> 8));
        try vault.requestUnbond(1 + (dice >> 16) % 500 ether) {
            return true;
        } catch {
            return false;
        }
    }

    function _cancelUnbond(uint256 dice) private returns (bool) {
        VM.prank(_leaving(dice));
        try vault.cancelUnbond() {
            return true;
        } catch {
            return false;
        }
    }

    function _withdraw(uint256 dice) private returns (bool) {
        if (dice % 4 == 0) net.pass(3_000);
        VM.prank(_leaving(dice));
        try vault.withdraw() {
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
        Parameter parameter = Parameter(dice % 14);
        uint256 value = net.defaults()[dice % 14];
        value = value * (50 + (dice >> 8) % 100) / 100;
        try parameters.set(parameter, value) {
            return true;
        } catch {
            return false;
        }
    }

    function _refresh(uint256 dice) private returns (bool) {
        vault.refresh(_node(dice));
        return true;
    }

    function _wait(uint256 seconds_) private returns (bool) {
        net.pass(seconds_);
        return true;
    }

    function _claimLast() private returns (bool) {
        RewardClaim[] memory claims = new RewardClaim[](1);
        claims[0] = _rewards[_rewards.length - 1];
        _rewards.pop();
        uint256 wealth = token.balanceOf(claims[0].account);
        distributor.claim(claims);
        claimedWei += claims[0].amount;
        return token.balanceOf(claims[0].account) == wealth + claims[0].amount;
    }

    /// @dev Reads the events of the last move: the rewards to claim.
    function _collect() private {
        Log[] memory logs = VM.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter != address(ledger) || logs[i].topics[0] != IWorkLedger.RoundRewards.selector) continue;
            (address[] memory accounts, uint256[] memory amounts) = abi.decode(logs[i].data, (address[], uint256[]));
            JobId jobId = JobId.wrap(logs[i].topics[1]);
            uint32 round = uint32(uint256(logs[i].topics[2]));
            for (uint256 j = 0; j < accounts.length; ++j) {
                _rewards.push(net.rewardClaim(jobId, round, accounts, amounts, j));
                earnedWei += amounts[j];
            }
        }
    }

    function _node(uint256 dice) private view returns (address) {
        return node(dice % net.nodeCount());
    }

    /// @dev A node that is withdrawing, or any.
    function _leaving(uint256 dice) private view returns (address) {
        uint256 count = net.nodeCount();
        for (uint256 i = 0; i < count; ++i) {
            (uint256 pending,) = vault.pendingOf(_node(addmod(dice, i, count)));
            if (pending != 0) return _node(addmod(dice, i, count));
        }
        return _node(dice);
    }

    function _unitIn(UnitStatus wanted, uint256 dice) private view returns (bool, UnitId) {
        if (ledger.unit(_focus).status == wanted) return (true, _focus);
        uint256 count = unitIds.length;
        for (uint256 i = 0; i < count; ++i) {
            UnitId unitId = unitIds[addmod(dice, i, count)];
            if (ledger.unit(unitId).status == wanted) return (true, unitId);
        }
        return (false, UnitId.wrap(0));
    }

    // What must hold after every move.

    /// @notice paid + refunded + fees + held = deposited, and the tokens are there.
    function checkEscrow() external view {
        uint256 held = 0;
        uint256 paid = 0;
        for (uint256 i = 0; i < jobIds.length; ++i) {
            Job memory job = escrow.jobs(jobIds[i]);
            same(job.paid + job.refunded + job.fees + escrow.heldOf(jobIds[i]), job.deposited, "conservation");
            check(!job.settled || escrow.heldOf(jobIds[i]) == 0, "a closed job holds nothing");
            held += escrow.heldOf(jobIds[i]);
            paid += job.paid;
        }
        same(token.balanceOf(address(escrow)), held, "escrow's tokens");
        same(paid, earnedWei, "paid for finalised rounds only");
        same(token.balanceOf(address(distributor)), earnedWei - claimedWei, "distributor's tokens");
    }

    /// @notice The vault holds every bond, and the list holds every active account.
    function checkVault() external view {
        uint256 bonds = 0;
        for (uint256 i = 0; i < net.nodeCount(); ++i) {
            (uint256 pending,) = vault.pendingOf(node(i));
            check(pending <= vault.bondOf(node(i)), "pending is covered");
            bonds += vault.bondOf(node(i));
        }
        same(token.balanceOf(address(vault)), bonds, "vault's tokens");
        for (uint256 i = 0; i < vault.activeCount(); ++i) {
            for (uint256 j = 0; j < i; ++j) {
                check(vault.activeAt(i) != vault.activeAt(j), "listed once");
            }
        }
    }

    /// @notice Tokens are with people or in the books, and the supply only shrinks.
    function checkSupply() external view {
        uint256 sum = token.balanceOf(address(net)) + token.balanceOf(submitter) + token.balanceOf(address(vault))
            + token.balanceOf(address(escrow)) + token.balanceOf(address(ledger)) + token.balanceOf(address(distributor));
        for (uint256 i = 0; i < net.nodeCount(); ++i) {
            sum += token.balanceOf(node(i));
        }
        same(sum, token.totalSupply(), "no token is anywhere else");
        check(sum <= net.SUPPLY(), "never more");
    }

    /// @notice Every waiting unit has what it waits for; deposits are held for disputed units only.
    function checkUnits() external view {
        uint256 deposits = 0;
        for (uint256 i = 0; i < unitIds.length; ++i) {
            Unit memory unit = ledger.unit(unitIds[i]);
            UnitStatus found = unit.status;
            check(found != UnitStatus.None, "a committed unit never vanishes");
            Batch memory batch = ledger.batch(unit.jobId, unit.round, unit.batch);
            if (found == UnitStatus.Drawn || found == UnitStatus.AuditCommitted) {
                check(unit.deadline != 0, "a deadline");
                check(unit.auditor != address(0) && unit.auditor != unit.worker, "an auditor");
                check(unit.auditor != batch.coordinator, "not the coordinator");
            }
            check((found == UnitStatus.Committed) == !batch.captured, "waits for its draw");
            check(unit.redraws <= 3, "bounded");
            check(found == UnitStatus.Disputed || unit.depositWei == 0, "deposits of disputed units only");
            bool current = ledger.slotUnit(unit.jobId, unit.round, unit.slot) == unitIds[i];
            check(current == (found != UnitStatus.Faulted && found != UnitStatus.Voided), "one unit per slot");
            deposits += unit.depositWei;
            if (found == UnitStatus.Disputed) _checkJury(unitIds[i], unit, batch.coordinator);
        }
        same(token.balanceOf(address(ledger)), deposits, "ledger's tokens");
    }

    /// @notice Nothing is left but with people.
    function checkEmpty() external view {
        same(token.balanceOf(address(escrow)), 0, "escrow");
        same(token.balanceOf(address(vault)), 0, "vault");
        same(token.balanceOf(address(ledger)), 0, "ledger");
        same(token.balanceOf(address(distributor)), 0, "distributor");
    }

    function _checkJury(UnitId unitId, Unit memory unit, address coordinator_) private view {
        address[] memory jurors = committee.dispute(unitId).jurors;
        for (uint256 i = 0; i < jurors.length; ++i) {
            check(jurors[i] != unit.worker && jurors[i] != coordinator_, "independent jury");
            for (uint256 j = 0; j < i; ++j) {
                check(jurors[i] != jurors[j], "one seat each");
            }
        }
    }
}
