// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobEscrow} from "../../contracts/interfaces/IJobEscrow.sol";
import {IWorkLedger} from "../../contracts/interfaces/IWorkLedger.sol";
import {JobId, UnitId} from "../../contracts/types/Identifiers.sol";
import {Job, JobTerms} from "../../contracts/types/Job.sol";
import {Parameter} from "../../contracts/types/Parameter.sol";
import {Claim, UnitStatus} from "../../contracts/types/Work.sol";
import {Stage} from "./helpers/Stage.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice Rounds that run ahead of open audits, and what a fault behind them dissolves.
contract WorkLedgerLineageTest is Stage {
    bytes32 private constant A = keccak256("checkpoint after round 0");
    bytes32 private constant B = keccak256("checkpoint after round 1");

    function setUp() public {
        stage(8);
    }

    /// @notice Without rounds ahead nothing can be anchored, and no later round takes claims.
    function test_anchor_notAllowedByTerms_isRefused() public {
        JobId jobId = openJob(2, 1);
        commitOne(jobId, 0, 0, node(1), TRUTH);
        expectTooFar(jobId, 0, 0);
        anchor(jobId, 0, A);
        commitRefused(jobId, 1, wrongRound(jobId, 1, 0));
    }

    /// @notice Every condition of an anchor holds at its edge.
    function test_anchor_conditions_areChecked() public {
        JobId jobId = openJobAhead(3, 2, 1);
        commitOne(jobId, 0, 1, node(1), TRUTH);
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.SlotOpen.selector, jobId, 0, 0));
        anchor(jobId, 0, A);
        commitOne(jobId, 0, 0, node(2), TRUTH);
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.ZeroValue.selector));
        anchor(jobId, 0, 0);
        VM.expectRevert(wrongRound(jobId, 1, 0));
        anchor(jobId, 1, A);
        VM.expectRevert(
            abi.encodeWithSelector(
                IWorkLedger.NotLeaseHolder.selector,
                jobId,
                address(this),
                coordinator
            )
        );
        ledger.anchorRound(jobId, 0, A, A, 1);
        anchor(jobId, 0, A);
        same(ledger.headRound(jobId), 1, "claims go to the next");
        same(ledger.openRound(jobId), 0, "nothing is final");
        fill(jobId, 1);
        expectTooFar(jobId, 1, 1);
        anchor(jobId, 1, B);
        commitRefused(jobId, 0, wrongRound(jobId, 0, 1));
    }

    /// @notice The last round leads nowhere: there is no anchor after it.
    function test_anchor_lastRound_isRefused() public {
        JobId jobId = openJobAhead(1, 1, 1);
        commitOne(jobId, 0, 0, node(1), TRUTH);
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.LastRound.selector, jobId, 0));
        anchor(jobId, 0, A);
    }

    /// @notice Claims of the next round name the anchor as their parent and no other checkpoint.
    function test_lineage_anchored_isTheParent() public {
        JobId jobId = openJobAhead(3, 1, 2);
        commitOne(jobId, 0, 0, node(1), TRUTH);
        (bytes32 parent, ) = ledger.lineage(jobId, 1);
        check(parent == 0, "none yet");
        Claim memory before = net.claimOf(jobId, 1, 0, node(1), TRUTH);
        anchor(jobId, 0, A);
        (parent, ) = ledger.lineage(jobId, 1);
        check(parent == A, "the anchor");
        Claim[] memory claims = new Claim[](1);
        claims[0] = before;
        UnitId unitId = ledger.slotUnit(jobId, 1, 0);
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.BadSignature.selector, unitId, node(1)));
        VM.prank(coordinator);
        ledger.commitRound(jobId, 1, claims);
        commitOne(jobId, 1, 0, node(1), TRUTH);
        check(status(unitId) == UnitStatus.Committed, "taken");
    }

    /// @notice Rounds that ran ahead become final in order, each with its anchor, and are paid once.
    function test_finalize_anchoredRounds_inOrderAndAsAnchored() public {
        JobId jobId = openJobAhead(3, 1, 2);
        verified(jobId, 0);
        anchor(jobId, 0, A);
        verified(jobId, 1);
        anchor(jobId, 1, B);
        verified(jobId, 2);
        net.pass(100);
        VM.expectRevert(wrongRound(jobId, 1, 0));
        finalizeAs(jobId, 1, B);
        VM.expectRevert(
            abi.encodeWithSelector(IWorkLedger.WrongCheckpoint.selector, jobId, 0, B, A)
        );
        finalizeAs(jobId, 0, B);
        finalizeAs(jobId, 0, A);
        check(ledger.anchorOf(jobId, 0) == 0, "final, no more an anchor");
        finalizeAs(jobId, 1, B);
        finalizeAs(jobId, 2, keccak256("last"));
        Job memory job = escrow.jobs(jobId);
        same(job.roundsPaid, 3, "three rounds");
        same(job.paid, 3 * uint256(job.terms.unitWei + job.auditWei), "each once");
    }

    /// @notice A fault slashes the liar alone: what was computed from the anchor is dissolved,
    /// unpaid, without blame, and is computed again as a later attempt.
    function test_fault_behindAnchors_dissolvesLaterRounds() public {
        JobId jobId = openJobAhead(4, 2, 2);
        UnitId lie = drawn(jobId, 0, 0, node(1), LIE);
        drawn(jobId, 0, 1, node(2), TRUTH);
        anchor(jobId, 0, A);
        fill(jobId, 1);
        UnitId honest = ledger.slotUnit(jobId, 1, 0);
        anchor(jobId, 1, B);
        UnitId early = drawn(jobId, 2, 1, node(3), TRUTH);
        same(ledger.startedRounds(jobId), 3, "three started");
        uint256 bond = vault.bondOf(node(2));
        convict(lie);
        check(status(lie) == UnitStatus.Faulted, "the liar");
        check(vault.bondOf(node(1)) < net.BOND(), "is slashed");
        same(vault.bondOf(node(2)), bond, "nobody else is");
        check(status(honest) == UnitStatus.Dissolved, "round 1 is gone");
        check(status(early) == UnitStatus.Dissolved, "round 2 is gone");
        same(ledger.headRound(jobId), 0, "claims go to the faulted slot");
        same(ledger.startedRounds(jobId), 1, "one started");
        same(ledger.roundState(jobId, 1).batches, 0, "its batches are gone");
        same(ledger.attemptOf(jobId, 1, 0), 1, "later attempts");
        same(ledger.attemptOf(jobId, 0, 1), 0, "the round itself stands");
        check(ledger.anchorOf(jobId, 0) == 0, "no anchor");
        commitOne(jobId, 0, 0, node(2), TRUTH);
        anchor(jobId, 0, B);
        UnitId again = commitOne(jobId, 1, 0, node(4), TRUTH);
        check(again != honest, "another unit");
        same(unitOf(again).attempt, 1, "attempt");
    }

    /// @notice A dissolved unit takes no call of an audit any more.
    function test_dissolvedUnit_anyCall_isRefused() public {
        JobId jobId = openJobAhead(2, 1, 1);
        UnitId lie = drawn(jobId, 0, 0, node(1), LIE);
        anchor(jobId, 0, A);
        UnitId waiting = drawn(jobId, 1, 0, node(2), TRUTH);
        address auditor = unitOf(waiting).auditor;
        bytes32 commitment = net.commitment(waiting, auditor, TRUTH);
        convict(lie);
        expectStatusError(waiting, UnitStatus.Dissolved);
        VM.prank(auditor);
        ledger.commitAudits(ids(waiting), words(commitment));
        expectStatusError(waiting, UnitStatus.Dissolved);
        ledger.openUnits(ids(waiting), words(commitment), words(commitment));
        expectStatusError(waiting, UnitStatus.Dissolved);
        ledger.revealAudits(ids(waiting), words(commitment), words(commitment));
        net.pass(1_000);
        expectStatusError(waiting, UnitStatus.Dissolved);
        ledger.expire(waiting);
        address anybody = node(3);
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.UnknownBatch.selector, jobId, 1, 0));
        VM.prank(anybody);
        challenge(waiting);
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.NoDeposit.selector, waiting));
        ledger.returnDeposit(waiting);
    }

    /// @notice A draw of a dissolved batch does not exist, and does not touch the one after it.
    function test_captureDraw_dissolvedBatch_isUnknown() public {
        JobId jobId = openJobAhead(2, 1, 1);
        UnitId lie = drawn(jobId, 0, 0, node(1), LIE);
        anchor(jobId, 0, A);
        UnitId waiting = commitOne(jobId, 1, 0, node(2), TRUTH);
        convict(lie);
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.UnknownBatch.selector, jobId, 1, 0));
        ledger.captureDraw(jobId, 1, 0, claimsAt(jobId, 1, 0));
        check(status(waiting) == UnitStatus.Dissolved, "never drawn");
        commitOne(jobId, 0, 0, node(2), TRUTH);
        anchor(jobId, 0, B);
        UnitId again = drawn(jobId, 1, 0, node(2), TRUTH);
        check(status(again) == UnitStatus.Drawn, "the new one is");
    }

    /// @notice A challenger of a dissolved unit has its deposit back, once, whoever asks for it, and
    /// a verdict that comes later slashes nobody.
    function test_dispute_dissolved_returnsDepositAndBlamesNobody() public {
        JobId jobId = openJobAhead(2, 1, 1);
        UnitId lie = drawn(jobId, 0, 0, node(1), LIE);
        anchor(jobId, 0, A);
        UnitId unitId = verified(jobId, 1);
        VM.prank(node(5));
        challenge(unitId);
        convict(lie);
        uint256 wealth = token.balanceOf(node(5)) + net.defaults()[11];
        uint256 bond = vault.bondOf(unitOf(unitId).worker);
        ledger.returnDeposit(unitId);
        same(token.balanceOf(node(5)), wealth, "whole");
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.NoDeposit.selector, unitId));
        ledger.returnDeposit(unitId);
        decide(unitId, LIE, LIE, LIE);
        check(status(unitId) == UnitStatus.Dissolved, "as it was");
        same(vault.bondOf(unitOf(unitId).worker), bond, "not slashed");
        same(token.balanceOf(node(5)), wealth, "nothing twice");
        same(token.balanceOf(address(ledger)), 0, "nothing kept");
    }

    /// @notice A verdict alone returns the deposit of a dissolved unit too.
    function test_dispute_dissolvedThenResolved_returnsDeposit() public {
        JobId jobId = openJobAhead(2, 1, 1);
        UnitId lie = drawn(jobId, 0, 0, node(1), LIE);
        anchor(jobId, 0, A);
        UnitId unitId = verified(jobId, 1);
        VM.prank(node(5));
        challenge(unitId);
        convict(lie);
        uint256 wealth = token.balanceOf(node(5)) + net.defaults()[11];
        net.nextBlock();
        net.nextBlock();
        committee.draw(unitId);
        net.pass(1_000);
        committee.resolve(unitId);
        same(token.balanceOf(node(5)), wealth, "whole");
        same(token.balanceOf(address(ledger)), 0, "nothing kept");
    }

    /// @notice A fault in the middle leaves the rounds before it alone.
    function test_fault_inTheMiddle_leavesEarlierRounds() public {
        JobId jobId = openJobAhead(4, 1, 3);
        UnitId first = verified(jobId, 0);
        anchor(jobId, 0, A);
        UnitId lie = drawn(jobId, 1, 0, node(1), LIE);
        anchor(jobId, 1, B);
        UnitId later = drawn(jobId, 2, 0, node(2), TRUTH);
        convict(lie);
        check(status(first) == UnitStatus.Verified, "round 0 stands");
        check(ledger.anchorOf(jobId, 0) == A, "with its anchor");
        check(status(later) == UnitStatus.Dissolved, "round 2 does not");
        same(ledger.headRound(jobId), 1, "round 1 takes claims");
        net.pass(100);
        finalizeAs(jobId, 0, A);
        same(ledger.openRound(jobId), 1, "and it is paid");
    }

    /// @notice A void takes the rounds after it as a fault does, and no round that is final.
    function test_void_behindAnchors_dissolvesLaterRounds() public {
        JobId jobId = openJobAhead(5, 1, 2);
        verified(jobId, 0);
        net.pass(100);
        finalizeAs(jobId, 0, A);
        UnitId unclear = drawn(jobId, 1, 0, node(1), LIE);
        anchor(jobId, 1, B);
        UnitId later = drawn(jobId, 2, 0, node(2), TRUTH);
        audit(unclear, LIE, TRUTH);
        decide(unclear, TRUTH, LIE, 2);
        check(status(unclear) == UnitStatus.Voided, "nobody could tell");
        check(status(later) == UnitStatus.Dissolved, "round 2 is gone");
        same(ledger.headRound(jobId), 1, "round 1 takes claims");
        same(ledger.openRound(jobId), 1, "round 0 is final");
    }

    /// @notice Cancelling keeps the price of every started round, and none that was dissolved
    /// begins again: the rest goes back.
    function test_cancel_severalRoundsStarted_keepsTheirPrice() public {
        JobId jobId = openJobAhead(5, 1, 2);
        UnitId lie = drawn(jobId, 0, 0, node(1), LIE);
        anchor(jobId, 0, A);
        verified(jobId, 1);
        anchor(jobId, 1, B);
        verified(jobId, 2);
        Job memory job = escrow.jobs(jobId);
        uint256 price = 3 * uint256(job.terms.unitWei + job.auditWei);
        VM.prank(submitter);
        escrow.cancel(jobId);
        uint256 kept = price + (price * job.feeBps) / 10_000 + job.dataWei;
        same(escrow.heldOf(jobId), kept, "three rounds");
        convict(lie);
        verified(jobId, 0);
        anchor(jobId, 0, B);
        commitRefused(jobId, 1, abi.encodeWithSelector(IWorkLedger.JobNotOpen.selector, jobId));
        net.pass(100);
        finalizeAs(jobId, 0, B);
        same(escrow.jobs(jobId).paid, price / 3, "one round");
        escrow.settle(jobId);
        same(token.balanceOf(address(escrow)), 0, "the rest went back");
    }

    /// @notice Cancelled with several rounds started: all of them may still be earned.
    function test_cancel_severalRoundsStarted_areFinishedAndPaid() public {
        JobId jobId = openJobAhead(4, 2, 1);
        fillVerified(jobId, 0);
        anchor(jobId, 0, A);
        UnitId half = ledger.slotUnit(jobId, 1, 1);
        verifiedSlot(jobId, 1, 0);
        VM.prank(submitter);
        escrow.cancel(jobId);
        verifiedSlot(jobId, 1, 1);
        check(status(half) == UnitStatus.Verified, "a started round is filled");
        net.pass(100);
        finalizeAs(jobId, 0, A);
        finalizeAs(jobId, 1, B);
        same(escrow.jobs(jobId).roundsPaid, 2, "both");
        escrow.settle(jobId);
        same(token.balanceOf(address(escrow)), 0, "empty");
    }

    /// @notice After the deadline started rounds are finished, and no other begins.
    function test_deadline_severalRoundsStarted_areFinished() public {
        JobId jobId = openJobAhead(4, 1, 1);
        verified(jobId, 0);
        anchor(jobId, 0, A);
        verified(jobId, 1);
        net.pass(10_000);
        VM.prank(coordinator);
        ledger.takeLease(jobId);
        finalizeAs(jobId, 0, A);
        anchor(jobId, 1, B);
        commitRefused(jobId, 2, abi.encodeWithSelector(IWorkLedger.JobNotOpen.selector, jobId));
        finalizeAs(jobId, 1, B);
        VM.prank(submitter);
        escrow.settle(jobId);
        same(escrow.jobs(jobId).roundsPaid, 2, "both were paid");
    }

    /// @notice Another holder goes on with the rounds that are open, and may withdraw an anchor that
    /// it finds wrong; the one who put it there may not.
    function test_withdrawAnchors_bySuccessor_dissolves() public {
        JobId jobId = openJobAhead(4, 1, 2);
        verified(jobId, 0);
        anchor(jobId, 0, A);
        UnitId unitId = verified(jobId, 1);
        anchor(jobId, 1, B);
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.OwnAnchor.selector, jobId, 0, 1));
        VM.prank(coordinator);
        ledger.withdrawAnchors(jobId, 0);
        net.pass(500);
        coordinator = node(7);
        VM.startPrank(coordinator);
        ledger.takeLease(jobId);
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.NotAnchored.selector, jobId, 2));
        ledger.withdrawAnchors(jobId, 2);
        ledger.withdrawAnchors(jobId, 1);
        VM.stopPrank();
        check(status(unitId) == UnitStatus.Verified, "the round itself stands");
        same(ledger.headRound(jobId), 1, "and has the next anchor before it");
        anchor(jobId, 1, keccak256("another"));
        verified(jobId, 2);
        finalizeAs(jobId, 0, A);
    }

    /// @notice Dissolving costs the same whatever the rounds hold.
    function test_dissolve_manyUnits_costsNoMore() public {
        uint256 small = convictionGas(1);
        uint256 large = convictionGas(32);
        check(large < small + 20_000, "no loop over units");
    }

    /// @notice More rounds ahead than the bound are not sold.
    function test_fund_tooManyRoundsAhead_isRefused() public {
        JobTerms memory terms = net.terms(20, 1);
        terms.roundsAhead = 9;
        VM.expectRevert(abi.encodeWithSelector(IJobEscrow.BadRoundsAhead.selector, 9, 8));
        VM.prank(submitter);
        escrow.fund(terms);
        terms.roundsAhead = 8;
        VM.prank(submitter);
        escrow.fund(terms);
    }

    /// @notice Any number of anchors, a fault anywhere: the rounds before it stand and those after
    /// it are gone.
    function testFuzz_fault_anywhere_cutsThere(uint8 ahead, uint8 where) public {
        ahead = 1 + (ahead % 8);
        where = where % (ahead + 1);
        JobId jobId = openJobAhead(10, 1, ahead);
        UnitId[] memory units = new UnitId[](ahead + 1);
        for (uint32 round = 0; round <= ahead; ++round) {
            units[round] = drawn(jobId, round, 0, node(1), round == where ? LIE : TRUTH);
            if (round < ahead) anchor(jobId, round, keccak256(abi.encode(round)));
        }
        convict(units[where]);
        same(ledger.headRound(jobId), where, "head");
        for (uint32 round = 0; round <= ahead; ++round) {
            UnitStatus expected = round < where ? UnitStatus.Drawn : UnitStatus.Dissolved;
            if (round == where) expected = UnitStatus.Faulted;
            check(status(units[round]) == expected, "cut there");
            bytes32 kept = round < where ? keccak256(abi.encode(round)) : bytes32(0);
            check(ledger.anchorOf(jobId, round) == kept, "anchors");
        }
        same(ledger.startedRounds(jobId), uint256(where) + 1, "started");
    }

    function convictionGas(uint32 slots) private returns (uint256 used) {
        // So low are the locks then that one bond covers two rounds.
        setParameter(Parameter.AuditFloorBps, 10_000);
        JobId jobId = openJobAhead(2, slots, 1);
        for (uint32 slot = 1; slot < slots; ++slot) {
            commitOne(jobId, 0, slot, node(2), TRUTH);
        }
        UnitId lie = drawn(jobId, 0, 0, node(1), LIE);
        anchor(jobId, 0, A);
        fill(jobId, 1);
        commitAudit(lie, TRUTH);
        net.pass(60);
        used = gasleft();
        ledger.expire(lie);
        used -= gasleft();
        check(status(lie) == UnitStatus.Faulted, "silent");
        same(ledger.headRound(jobId), 0, "dissolved");
    }

    /// @dev The audit of a lie, and a verdict against it.
    function convict(UnitId unitId) private {
        audit(unitId, LIE, TRUTH);
        decide(unitId, TRUTH, TRUTH, TRUTH);
    }

    function verified(JobId jobId, uint32 round) private returns (UnitId) {
        return verifiedSlot(jobId, round, 0);
    }

    function verifiedSlot(JobId jobId, uint32 round, uint32 slot) private returns (UnitId unitId) {
        unitId = drawn(jobId, round, slot, node(2), TRUTH);
        audit(unitId, TRUTH, TRUTH);
    }

    function fill(JobId jobId, uint32 round) private {
        (uint32 slots, , ) = escrow.workTerms(jobId);
        for (uint32 slot = 0; slot < slots; ++slot) {
            commitOne(jobId, round, slot, node(2), TRUTH);
        }
    }

    function fillVerified(JobId jobId, uint32 round) private {
        (uint32 slots, , ) = escrow.workTerms(jobId);
        for (uint32 slot = 0; slot < slots; ++slot) {
            verifiedSlot(jobId, round, slot);
        }
    }

    function commitRefused(JobId jobId, uint32 round, bytes memory reason) private {
        Claim[] memory claims = new Claim[](1);
        claims[0] = net.claimOf(jobId, round, 0, node(1), TRUTH);
        VM.expectRevert(reason);
        VM.prank(coordinator);
        ledger.commitRound(jobId, round, claims);
    }

    function finalizeAs(JobId jobId, uint32 round, bytes32 checkpoint) private {
        VM.prank(coordinator);
        ledger.finalizeRound(
            jobId,
            round,
            checkpoint,
            keccak256("checkpoint blob"),
            99,
            roundClaims(jobId, round)
        );
    }

    function wrongRound(
        JobId jobId,
        uint32 round,
        uint32 expected
    ) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IWorkLedger.WrongRound.selector, jobId, round, expected);
    }

    function expectTooFar(JobId jobId, uint32 round, uint8 roundsAhead) private {
        VM.expectRevert(
            abi.encodeWithSelector(IWorkLedger.TooFarAhead.selector, jobId, round, roundsAhead)
        );
    }
}
