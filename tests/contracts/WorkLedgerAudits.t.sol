// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IWorkLedger} from "../../contracts/interfaces/IWorkLedger.sol";
import {JobId, UnitId} from "../../contracts/types/Identifiers.sol";
import {Parameter} from "../../contracts/types/Parameter.sol";
import {Batch, PassReason, Unit, UnitStatus} from "../../contracts/types/Work.sol";
import {Stage} from "./helpers/Stage.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice The draw and the blind audit.
contract WorkLedgerAuditsTest is Stage {
    JobId private jobId;

    function setUp() public {
        stage(6);
        jobId = openJob(40, 2);
    }

    /// @notice In probation every unit is drawn, and neither worker nor coordinator audits it.
    function testFuzz_captureDraw_probation_drawsAnIndependentAuditor(
        uint8 blocks,
        uint8 worker
    ) public {
        VM.roll(VM.getBlockNumber() + blocks);
        UnitId unitId = drawn(jobId, 0, 0, node(worker % 6), TRUTH);
        Unit memory unit = unitOf(unitId);
        same(unit.status, UnitStatus.Drawn, "drawn");
        check(unit.auditor != unit.worker && unit.auditor != coordinator, "independent");
        check(vault.isActive(unit.auditor), "active");
        same(unit.deadline, VM.getBlockTimestamp() + 100, "deadline");
    }

    /// @notice Where nobody else is active, units pass unaudited and earn no trust.
    function test_captureDraw_nobodyEligible_passesUnaudited() public {
        stage(2);
        jobId = openJob(1, 1);
        UnitId unitId = commitOne(jobId, 0, 0, node(1), TRUTH);
        net.nextBlock();
        net.nextBlock();
        VM.expectEmit(address(ledger));
        emit IWorkLedger.UnitPassed(
            unitId,
            jobId,
            PassReason.NobodyEligible,
            uint64(VM.getBlockTimestamp() + 30)
        );
        ledger.captureDraw(jobId, 0, 0, claimsAt(jobId, 0, 0));
        same(status(unitId), UnitStatus.Passed, "passed");
        same(ledger.cleanUnits(node(1)), 0, "no trust");
        net.pass(31);
        finalize(jobId, 0);
    }

    /// @notice A node that alone coordinates and works finishes a job.
    function test_captureDraw_singleNode_finishesTheJob() public {
        stage(1);
        jobId = openJob(2, 1);
        for (uint32 round = 0; round < 2; ++round) {
            drawn(jobId, round, 0, coordinator, TRUTH);
            net.pass(31);
            finalize(jobId, round);
        }
        same(ledger.openRound(jobId), 2, "done");
    }

    /// @notice Who captures what was missed knows no seed: the next one is of a block to come, again and
    /// again, and is told.
    function test_captureDraw_missed_setsABlockToCome() public {
        commitOne(jobId, 0, 0, node(1), TRUTH);
        for (uint256 i = 0; i < 3; ++i) {
            VM.roll(VM.getBlockNumber() + 300);
            uint48 next = uint48(VM.getBlockNumber() + 1);
            VM.expectEmit(address(ledger));
            emit IWorkLedger.DrawMissed(jobId, 0, 0, next);
            ledger.captureDraw(jobId, 0, 0, claimsAt(jobId, 0, 0));
            VM.roll(next);
            VM.expectRevert(abi.encodeWithSelector(IWorkLedger.DrawTooEarly.selector, next, next));
            ledger.captureDraw(jobId, 0, 0, claimsAt(jobId, 0, 0));
        }
        net.nextBlock();
        ledger.captureDraw(jobId, 0, 0, claimsAt(jobId, 0, 0));
        check(ledger.batch(jobId, 0, 0, 0).isLate, "late");
        check(ledger.batch(jobId, 0, 0, 0).seed != 0, "captured");
    }

    /// @notice A draw that nobody captured in time spares nobody.
    function test_captureDraw_late_drawsEveryUnit() public {
        setParameter(Parameter.ProbationUnits, 1);
        setParameter(Parameter.AuditFloorBps, 100);
        cover(node(1), 2);
        trust(node(1), 12);
        (uint256 spared, uint256 all) = (0, 0);
        for (uint32 i = 0; i < 4; ++i) {
            UnitId onTime = drawn(jobId, 12 + i, 0, node(1), TRUTH);
            if (status(onTime) == UnitStatus.Passed) ++spared;
            UnitId unitId = commitOne(jobId, 12 + i, 1, node(1), TRUTH);
            VM.roll(VM.getBlockNumber() + 300);
            ledger.captureDraw(jobId, 12 + i, 1, claimsAt(jobId, 12 + i, 1));
            check(status(unitId) == UnitStatus.Committed, "not drawn yet");
            net.nextBlock();
            net.nextBlock();
            ledger.captureDraw(jobId, 12 + i, 1, claimsAt(jobId, 12 + i, 1));
            if (status(unitId) == UnitStatus.Drawn) ++all;
            if (status(onTime) == UnitStatus.Drawn) audit(onTime, TRUTH, TRUTH);
            audit(unitId, TRUTH, TRUTH);
            net.pass(31);
            finalize(jobId, 12 + i);
        }
        check(spared > 0, "some are spared in time");
        same(all, 4, "none is spared late");
    }

    /// @notice Only nodes that were active before the draw block can be drawn.
    function test_captureDraw_nodeJoinsAfterTheDraw_isNotEligible() public {
        stage(2);
        jobId = openJob(1, 1);
        UnitId unitId = commitOne(jobId, 0, 0, node(1), TRUTH);
        net.nextBlock();
        net.join(address(0xD00D));
        net.nextBlock();
        ledger.captureDraw(jobId, 0, 0, claimsAt(jobId, 0, 0));
        same(unitOf(unitId).auditor, address(0), "nobody");
    }

    /// @notice The legal path: blind commit, open, reveal, verified.
    function test_audit_equalRoots_verifies() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        audit(unitId, TRUTH, TRUTH);
        Unit memory unit = unitOf(unitId);
        same(unit.status, UnitStatus.Verified, "verified");
        same(unit.auditRoot, unit.unitRoot, "roots");
        same(ledger.cleanUnits(node(1)), 1, "trust");
    }

    /// @notice A lie that is audited becomes a dispute.
    function test_audit_unequalRoots_disputes() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), LIE);
        audit(unitId, LIE, TRUTH);
        same(status(unitId), UnitStatus.Disputed, "disputed");
    }

    /// @notice Only the drawn auditor commits, once, with something, while it has a bond.
    function test_commitAudits_illegalNeighbours_areRefused() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        address auditor = unitOf(unitId).auditor;
        VM.startPrank(coordinator);
        VM.expectRevert(
            abi.encodeWithSelector(IWorkLedger.NotAuditor.selector, unitId, coordinator, auditor)
        );
        ledger.commitAudits(ids(unitId), words(keccak256("c")));
        VM.stopPrank();
        VM.startPrank(auditor);
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.ZeroValue.selector));
        ledger.commitAudits(ids(unitId), words(0));
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.LengthMismatch.selector, 1, 0));
        ledger.commitAudits(ids(unitId), new bytes32[](0));
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.BadCount.selector, 0, 64));
        ledger.commitAudits(new UnitId[](0), new bytes32[](0));
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.BadCount.selector, 65, 64));
        ledger.commitAudits(new UnitId[](65), new bytes32[](65));
        vault.requestUnbond(950 ether);
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.NotActive.selector, auditor));
        ledger.commitAudits(ids(unitId), words(keccak256("c")));
        vault.cancelUnbond();
        ledger.commitAudits(ids(unitId), words(keccak256("c")));
        expectStatusError(unitId, UnitStatus.AuditCommitted);
        ledger.commitAudits(ids(unitId), words(keccak256("d")));
        VM.stopPrank();
    }

    /// @notice The trace stays hidden until the audit is committed, so an audit cannot be copied.
    function test_openUnits_beforeTheAuditIsCommitted_isRefused() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        (, bytes32 traceRoot) = net.roots(unitId, TRUTH);
        bytes32 salt = net.salt(unitId, node(1));
        expectStatusError(unitId, UnitStatus.Drawn);
        ledger.openUnits(ids(unitId), words(traceRoot), words(salt));
    }

    /// @notice A worker opens exactly what it committed to, once.
    function testFuzz_openUnits_otherTraceOrSalt_isRefused(bytes32 traceRoot, bytes32 salt) public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        commitAudit(unitId, TRUTH);
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.WrongReveal.selector, unitId));
        ledger.openUnits(ids(unitId), words(traceRoot), words(salt));
        open(unitId, TRUTH);
        same(unitOf(unitId).unitRoot, net.unitRoot(unitId, TRUTH), "root");
        (, bytes32 trueTrace) = net.roots(unitId, TRUTH);
        bytes32 trueSalt = net.salt(unitId, node(1));
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.AlreadyOpened.selector, unitId));
        ledger.openUnits(ids(unitId), words(trueTrace), words(trueSalt));
    }

    /// @notice An auditor reveals after the worker, and exactly what it committed to.
    function test_revealAudits_beforeTheWorkerOrOtherRoot_isRefused() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        commitAudit(unitId, TRUTH);
        bytes32 salt = net.salt(unitId, unitOf(unitId).auditor);
        (bytes32 truth, bytes32 lie) = (net.unitRoot(unitId, TRUTH), net.unitRoot(unitId, LIE));
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.NotOpened.selector, unitId));
        ledger.revealAudits(ids(unitId), words(truth), words(salt));
        open(unitId, TRUTH);
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.WrongReveal.selector, unitId));
        ledger.revealAudits(ids(unitId), words(lie), words(salt));
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.ZeroValue.selector));
        ledger.revealAudits(ids(unitId), words(0), words(salt));
        reveal(unitId, TRUTH);
        expectStatusError(unitId, UnitStatus.Verified);
        ledger.revealAudits(ids(unitId), words(truth), words(salt));
    }

    /// @notice Nothing late counts, and nothing expires early.
    function test_deadlines_atTheSecond_areExact() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        uint64 deadline = unitOf(unitId).deadline;
        VM.warp(deadline);
        VM.expectRevert(
            abi.encodeWithSelector(IWorkLedger.DeadlineNotPassed.selector, unitId, deadline)
        );
        ledger.expire(unitId);
        commitAudit(unitId, TRUTH);
        deadline = unitOf(unitId).deadline;
        VM.warp(uint256(deadline) + 1);
        (, bytes32 traceRoot) = net.roots(unitId, TRUTH);
        bytes32 salt = net.salt(unitId, node(1));
        VM.expectRevert(
            abi.encodeWithSelector(IWorkLedger.DeadlinePassed.selector, unitId, deadline)
        );
        ledger.openUnits(ids(unitId), words(traceRoot), words(salt));
    }

    /// @notice A worker that does not open is slashed; its slot is open again; nobody earns by its
    /// silence.
    function test_expire_workerSilent_faults() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        commitAudit(unitId, TRUTH);
        address auditor = unitOf(unitId).auditor;
        (uint256 bond, uint256 wealth, uint256 supply) = (
            vault.bondOf(node(1)),
            token.balanceOf(auditor),
            token.totalSupply()
        );
        net.pass(51);
        ledger.expire(unitId);
        same(status(unitId), UnitStatus.Faulted, "faulted");
        same(vault.bondOf(node(1)), bond - unitLock(), "slashed");
        same(token.balanceOf(auditor), wealth, "no bounty");
        same(token.totalSupply(), supply - unitLock(), "burned");
        same(ledger.attemptOf(jobId, 0, 0), 1, "open again");
        check(ledger.slotUnit(jobId, 0, 0) != unitId, "another unit");
        expectStatusError(unitId, UnitStatus.Faulted);
        ledger.expire(unitId);
        UnitId again = drawn(jobId, 0, 0, node(2), TRUTH);
        audit(again, TRUTH, TRUTH);
        same(status(again), UnitStatus.Verified, "second attempt");
    }

    /// @notice An overdue auditor is replaced by another, at most three times; then the unit
    /// passes.
    function test_expire_auditorsSilent_areReplacedThenTheUnitPasses() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        address[4] memory seen;
        for (uint256 i = 0; i < 4; ++i) {
            seen[i] = unitOf(unitId).auditor;
            for (uint256 j = 0; j < i; ++j) {
                check(seen[i] != seen[j], "never the same while another is eligible");
            }
            net.pass(101);
            ledger.expire(unitId);
        }
        Unit memory unit = unitOf(unitId);
        same(unit.status, UnitStatus.Passed, "passed");
        same(unit.auditor, address(0), "unaudited");
        same(ledger.cleanUnits(node(1)), 0, "no trust");
    }

    /// @notice With one eligible auditor only, it is drawn again.
    function test_expire_onlyOneEligible_drawsItAgain() public {
        stage(3);
        jobId = openJob(1, 1);
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        same(unitOf(unitId).auditor, node(2), "the only one");
        net.pass(101);
        ledger.expire(unitId);
        same(unitOf(unitId).auditor, node(2), "again");
        audit(unitId, TRUTH, TRUTH);
        same(status(unitId), UnitStatus.Verified, "verified");
    }

    /// @notice An auditor that commits and does not reveal is replaced; the next one finishes the
    /// open unit.
    function test_expire_auditorDoesNotReveal_isReplaced() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        commitAudit(unitId, TRUTH);
        open(unitId, TRUTH);
        net.pass(51);
        ledger.expire(unitId);
        same(status(unitId), UnitStatus.Drawn, "drawn again");
        commitAudit(unitId, TRUTH);
        reveal(unitId, TRUTH);
        same(status(unitId), UnitStatus.Verified, "verified");
    }

    /// @dev Gives a worker `rounds` rounds with one verified unit each in both slots' worth of
    /// trust.
    function trust(address worker, uint32 rounds) private {
        for (uint32 round = 0; round < rounds; ++round) {
            for (uint32 slot = 0; slot < 2; ++slot) {
                UnitId unitId = drawn(jobId, round, slot, worker, TRUTH);
                if (status(unitId) == UnitStatus.Drawn) audit(unitId, TRUTH, TRUTH);
            }
            net.pass(31);
            finalize(jobId, round);
        }
    }
}
