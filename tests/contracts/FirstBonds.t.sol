// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFirstBonds} from "../../contracts/interfaces/IFirstBonds.sol";
import {Places} from "../../contracts/libraries/Places.sol";
import {UnitId} from "../../contracts/types/Identifiers.sol";
import {JobTerms} from "../../contracts/types/Job.sol";
import {
    PERIOD_S,
    PLACES_PER_BATCH,
    NewcomerPlace,
    REVEAL_S
} from "../../contracts/types/Newcomer.sol";
import {Parameter} from "../../contracts/types/Parameter.sol";
import {FirstBondsStage} from "./helpers/FirstBondsStage.sol";
import {PlainToken} from "./helpers/Tokens.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice From nothing to a bond, and what each step refuses.
contract FirstBondsTest is FirstBondsStage {
    function setUp() public {
        stageFirstBonds();
    }

    /// @notice Without a token to its name an account registers, audits, is paid and bonds.
    function test_newcomer_honest_earnsItsBond() public {
        address account = newcomer(0);
        registerAll(1);
        for (uint256 i = 1; i <= 3; ++i) {
            earn(account);
            same(bonds.newcomerOf(account).retainedWei, i * PAY_MAX, "each audit");
            same(bonds.retainedWei(), i * PAY_MAX, "and in all");
            same(bonds.newcomerOf(account).audits, i, "counted");
        }
        same(bonds.promisedWei(), 0, "nothing open");
        same(token.balanceOf(account), 0, "nothing until it is a bond");
        VM.expectEmit(address(bonds));
        emit IFirstBonds.NewcomerPaidOut(account, 3 * PAY_MAX);
        VM.prank(account);
        bonds.payOut();
        same(token.balanceOf(account), 3 * PAY_MAX, "all of it");
        same(bonds.potWei(), POT - 3 * PAY_MAX, "from the pot");
        same(bonds.registeredCount(), 0, "registered no more");
        same(bonds.registeredUntil(account), 0, "nor by itself");
        VM.startPrank(account);
        token.approve(address(vault), MIN_BOND);
        vault.bond(MIN_BOND, "peer");
        VM.stopPrank();
        check(vault.isActive(account), "a node like any other");
    }

    /// @notice Each step tells what it did.
    function test_events_ofAnAudit_tellAll() public {
        address account = newcomer(0);
        uint64 until = uint64((VM.getBlockTimestamp() / PERIOD_S + 2) * PERIOD_S);
        VM.expectEmit(address(bonds));
        emit IFirstBonds.NewcomerRegistered(account, until);
        VM.prank(account);
        bonds.register();
        VM.expectEmit(address(bonds));
        emit IFirstBonds.PotFunded(address(this), 5);
        bonds.fund(5);
        net.nextBlock();
        claimRound(0, TRUTH);
        UnitId unitId = examined(0);
        uint40 deadline = batchOf(unitId).challengeDeadline + 100;
        same(
            placeOf(0, account).commitDeadline,
            deadline,
            "an audit window beyond the challenges'"
        );
        VM.expectEmit(address(bonds));
        emit IFirstBonds.NewcomerCommitted(unitId, account, PAY_MAX, deadline);
        commitAs(account, 0, TRUTH);
        same(bonds.promisedTodayWei(), PAY_MAX, "of today");
        endRound(0);
        VM.expectEmit(address(bonds));
        emit IFirstBonds.NewcomerRevealed(
            unitId,
            account,
            net.unitRoot(unitId, TRUTH),
            PAY_MAX,
            PAY_MAX
        );
        revealAs(account, 0, TRUTH);
    }

    /// @notice What a job pays less than the most is what an audit of it earns.
    function test_pay_ofACheaperJob_isTheJobs() public {
        uint256 auditWei = escrow.jobs(jobId).auditWei;
        bonds = deployBonds(DAY_CAP, auditWei + 1);
        bonds.fund(POT / 2);
        registerAll(1);
        earn(newcomer(0));
        same(bonds.newcomerOf(newcomer(0)).retainedWei, auditWei, "the job's own");
    }

    /// @notice Another root than the worker's earns nothing, and blames nobody.
    function test_reveal_unequalRoot_earnsNothing() public {
        address account = newcomer(0);
        registerAll(1);
        claimRound(0, TRUTH);
        UnitId unitId = examined(0);
        commitAs(account, 0, LIE);
        same(bonds.potWei(), POT - PAY_MAX, "set apart");
        endRound(0);
        VM.expectEmit(address(bonds));
        emit IFirstBonds.NewcomerRevealed(unitId, account, net.unitRoot(unitId, LIE), 0, 0);
        revealAs(account, 0, LIE);
        same(bonds.potWei(), POT, "the pot's again");
        same(vault.bondOf(node(1)), token.balanceOf(address(vault)) - others(), "no bond moved");
        VM.expectRevert(
            abi.encodeWithSelector(IFirstBonds.NotABond.selector, account, 0, MIN_BOND)
        );
        VM.prank(account);
        bonds.payOut();
    }

    /// @notice A registration counts for its period and the next, lapses, and can be had again.
    function test_register_withoutAudits_lapses() public {
        VM.warp((VM.getBlockTimestamp() / PERIOD_S + 1) * PERIOD_S + 5);
        address account = newcomer(0);
        registerAll(1);
        uint64 until = bonds.registeredUntil(account);
        same(until, VM.getBlockTimestamp() - 5 + 2 * PERIOD_S, "two periods");
        same(bonds.registeredCount(), 1, "now");
        VM.expectRevert(
            abi.encodeWithSelector(IFirstBonds.AlreadyRegistered.selector, account, until)
        );
        VM.prank(account);
        bonds.register();
        VM.warp(until - 1);
        same(bonds.registeredCount(), 1, "to the last second");
        VM.warp(until);
        same(bonds.registeredCount(), 0, "and no longer");
        same(bonds.registeredUntil(account), 0, "lapsed");
        registerAll(1);
        same(bonds.registeredCount(), 1, "anew");
    }

    /// @notice An audit that earned renews the registration, one that did not does not.
    function test_register_earning_renews() public {
        VM.warp((VM.getBlockTimestamp() / PERIOD_S + 1) * PERIOD_S + 5);
        jobId = openJob(200, SLOTS);
        registerAll(2);
        uint64 until = bonds.registeredUntil(newcomer(0));
        VM.warp(until - PERIOD_S);
        jobId = openJob(200, SLOTS);
        claimRound(0, TRUTH);
        commitAs(newcomer(0), 0, TRUTH);
        commitAs(newcomer(1), 0, LIE);
        endRound(0);
        revealAs(newcomer(0), 0, TRUTH);
        revealAs(newcomer(1), 0, LIE);
        same(bonds.registeredUntil(newcomer(0)), until + PERIOD_S, "one more period");
        same(bonds.registeredUntil(newcomer(1)), until, "no more for nothing");
        VM.warp(until);
        same(bonds.registeredCount(), 1, "one is left");
    }

    /// @notice Who has a bond or was paid is no newcomer, and says so.
    function test_register_withABondOrPaid_isRefused() public {
        address bonded = node(2);
        VM.expectRevert(abi.encodeWithSelector(IFirstBonds.HasBond.selector, bonded));
        VM.prank(bonded);
        bonds.register();
        address account = newcomer(0);
        registerAll(1);
        earn(account);
        earn(account);
        earn(account);
        VM.startPrank(account);
        bonds.payOut();
        bytes memory reason = abi.encodeWithSelector(IFirstBonds.AlreadyPaidOut.selector, account);
        VM.expectRevert(reason);
        bonds.register();
        VM.expectRevert(reason);
        bonds.payOut();
        VM.stopPrank();
    }

    /// @notice Who bonded meanwhile audits as a node does, not here.
    function test_commit_byANode_isRefused() public {
        address account = newcomer(0);
        registerAll(1);
        net.join(account);
        net.nextBlock();
        claimRound(0, TRUTH);
        check(placeOf(0, account).hasPlace, "it was drawn");
        bytes32 commitment = net.commitment(examined(0), account, TRUTH);
        refuses(IFirstBonds.HasBond.selector);
        commitWith(account, 0, commitment);
    }

    /// @notice Who was paid out has no place any more, nor a commitment by one that it had.
    function test_commit_afterPayOut_isRefused() public {
        address account = newcomer(0);
        registerAll(1);
        for (uint256 i = 0; i < 3; ++i) {
            earn(account);
        }
        claimRound(3, TRUTH);
        check(placeOf(3, account).hasPlace, "as a newcomer");
        VM.prank(account);
        bonds.payOut();
        check(!placeOf(3, account).hasPlace, "no more");
        bytes32 commitment = net.commitment(examined(3), account, TRUTH);
        refuses(IFirstBonds.AlreadyPaidOut.selector);
        commitWith(account, 3, commitment);
    }

    /// @notice The last second to commit, and the first in which nobody may.
    function test_commit_late_isRefused() public {
        registerAll(2);
        claimRound(0, TRUTH);
        uint40 deadline = placeOf(0, newcomer(0)).commitDeadline;
        VM.warp(deadline);
        commitAs(newcomer(0), 0, TRUTH);
        VM.warp(deadline + 1);
        bytes32 commitment = net.commitment(examined(0), newcomer(1), TRUTH);
        refuses(IFirstBonds.DeadlinePassed.selector);
        commitWith(newcomer(1), 0, commitment);
    }

    /// @notice A vote moves neither the deadline nor the pay of a unit that somebody has committed to.
    function test_commit_afterAVote_keepsTheUnitsTerms() public {
        registerAll(2);
        claimRound(0, TRUTH);
        uint40 deadline = placeOf(0, newcomer(0)).commitDeadline;
        commitAs(newcomer(0), 0, TRUTH);
        setParameter(Parameter.AuditWindowS, 1);
        VM.warp(deadline);
        commitAs(newcomer(1), 0, TRUTH);
        same(bonds.promisedWei(), 2 * PAY_MAX, "both");
    }

    /// @notice Zero, and what marks a commitment that is over, are no commitments.
    function test_commit_zeroOrTheMark_isRefused() public {
        registerAll(1);
        claimRound(0, TRUTH);
        bytes32[2] memory bad = [bytes32(0), keccak256("ainur.first-bonds.settled")];
        for (uint256 i = 0; i < 2; ++i) {
            uint32 slot = placeOf(0, newcomer(0)).slot;
            (, bytes32[] memory proof) = shown(0, slot);
            VM.expectRevert(abi.encodeWithSelector(IFirstBonds.BadCommitment.selector, bad[i]));
            VM.prank(newcomer(0));
            bonds.commit(jobId, 0, 0, claimsAt(jobId, 0, 0)[slot], proof, bad[i]);
        }
    }

    /// @notice A job that pays no auditor pays no newcomer.
    function test_commit_jobWithoutAuditPay_isRefused() public {
        setParameter(Parameter.AuditPayBps, 0);
        jobId = openJob(2, SLOTS);
        registerAll(1);
        claimRound(0, TRUTH);
        bytes32 commitment = net.commitment(examined(0), newcomer(0), TRUTH);
        refuses(IFirstBonds.NothingToEarn.selector);
        commitWith(newcomer(0), 0, commitment);
    }

    /// @notice A job in another token pays no newcomer: what its audit costs is not the pot's money.
    function test_commit_jobInAnotherToken_isRefused() public {
        PlainToken other = new PlainToken();
        parameters.setTokenRate(other, 10 ** 30);
        other.mint(submitter, 10 ** 18);
        JobTerms memory terms = net.terms(2, SLOTS);
        (terms.token, terms.unitWei) = (other, 10 ** 6);
        VM.startPrank(submitter);
        other.approve(address(escrow), 10 ** 18);
        jobId = escrow.fund(terms);
        VM.stopPrank();
        VM.prank(coordinator);
        ledger.takeLease(jobId);
        registerAll(1);
        claimRound(0, TRUTH);
        bytes32 commitment = net.commitment(examined(0), newcomer(0), TRUTH);
        refuses(IFirstBonds.NothingToEarn.selector);
        commitWith(newcomer(0), 0, commitment);
    }

    /// @notice What is not revealed within its time is the pot's again, and not before.
    function test_release_unrevealed_goesBack() public {
        address account = newcomer(0);
        registerAll(1);
        claimRound(0, TRUTH);
        UnitId unitId = examined(0);
        VM.expectPartialRevert(IFirstBonds.NothingCommitted.selector);
        bonds.release(unitId, account);
        commitAs(account, 0, TRUTH);
        uint64 deadline = uint64(placeOf(0, account).commitDeadline + REVEAL_S);
        endRound(0);
        VM.warp(deadline);
        VM.expectRevert(
            abi.encodeWithSelector(IFirstBonds.StillPromised.selector, unitId, deadline)
        );
        bonds.release(unitId, account);
        VM.warp(deadline + 1);
        refuses(IFirstBonds.DeadlinePassed.selector);
        revealAs(account, 0, TRUTH);
        VM.expectEmit(address(bonds));
        emit IFirstBonds.PromiseReleased(unitId, account, PAY_MAX);
        bonds.release(unitId, account);
        same(bonds.potWei(), POT, "whole again");
        same(bonds.newcomerOf(account).promisedWei, 0, "nothing open");
        VM.expectPartialRevert(IFirstBonds.NothingCommitted.selector);
        bonds.release(unitId, account);
    }

    /// @notice The last second to reveal is in time.
    function test_reveal_inTheLastSecond_isPaid() public {
        registerAll(1);
        claimRound(0, TRUTH);
        commitAs(newcomer(0), 0, TRUTH);
        uint64 deadline = uint64(placeOf(0, newcomer(0)).commitDeadline + REVEAL_S);
        endRound(0);
        VM.warp(deadline);
        revealAs(newcomer(0), 0, TRUTH);
        same(bonds.retainedWei(), PAY_MAX, "paid");
    }

    /// @notice Who is paid out long after its last audit leaves the period that it still counts for.
    function test_payOut_inTheLastPeriod_leavesIt() public {
        address account = newcomer(0);
        registerAll(2);
        for (uint256 i = 0; i < 3; ++i) {
            earn(account);
        }
        VM.warp((VM.getBlockTimestamp() / PERIOD_S + 1) * PERIOD_S);
        same(bonds.registeredCount(), 2, "both");
        VM.prank(account);
        bonds.payOut();
        same(bonds.registeredCount(), 1, "one is left");
        VM.warp(bonds.registeredUntil(newcomer(1)));
        same(bonds.registeredCount(), 0, "and lapses");
    }

    /// @notice Who was paid out while another audit was open has no more of it; the pot has it at once.
    function test_payOut_withAnAuditOpen_givesItBack() public {
        address account = newcomer(0);
        registerAll(1);
        earn(account);
        earn(account);
        claimRound(2, TRUTH);
        UnitId unitId = examined(2);
        commitAs(account, 2, TRUTH);
        setParameter(Parameter.MinBondWei, 1 ether);
        VM.prank(account);
        bonds.payOut();
        endRound(2);
        refuses(IFirstBonds.AlreadyPaidOut.selector);
        revealAs(account, 2, TRUTH);
        bonds.release(unitId, account);
        same(bonds.potWei(), POT - 2 * PAY_MAX, "the pot's");
    }

    /// @notice Caps that would promise nothing, or more than a sum holds, are refused.
    function test_construction_badCaps_isRefused() public {
        uint256[2][4] memory bad = [
            [uint256(1), 0],
            [uint256(1), 2],
            [uint256(2 ** 128), 1],
            [uint256(2 ** 100), 2 ** 96]
        ];
        for (uint256 i = 0; i < 4; ++i) {
            bytes memory arguments = argumentsOf(bad[i][0], bad[i][1]);
            VM.expectRevert(bytes("FirstBonds"));
            net.deploy("FirstBonds", arguments);
        }
        VM.expectRevert(IFirstBonds.ZeroAmount.selector);
        bonds.fund(0);
    }

    /// @notice Before its draw is captured a batch has no places, and a batch that is not there has none.
    function test_placeOf_withoutADraw_isNone() public {
        registerAll(1);
        NewcomerPlace memory place = placeOf(0, newcomer(0));
        check(!place.hasPlace && place.commitDeadline == 0, "no batch");
    }

    /// @notice The slot that has places is the one that the batch's seed says, another one each round.
    function test_placeOf_slot_followsFromTheSeed() public {
        registerAll(1);
        net.equip(node(1), 10_000 ether);
        cover(node(1), 12);
        uint64 seen = 0;
        for (uint32 i = 0; i < 6; ++i) {
            jobId = openJob(2, SLOTS);
            claimRound(0, TRUTH);
            uint32 slot = placeOf(0, newcomer(0)).slot;
            same(slot, Places.slotOf(ledger.batch(jobId, 0, 0, 0).seed, 7), "the seed's");
            seen |= uint64(1) << slot;
        }
        check(seen & (seen - 1) != 0, "more than one slot");
    }

    /// @notice Places fall on each slot of a batch, and on no other.
    function testFuzz_slotOf_anyBitmap_isASlotOfIt(bytes32 seed, uint64 bitmap) public pure {
        if (bitmap == 0) return;
        uint32 slot = Places.slotOf(seed, bitmap);
        check(slot < 64 && bitmap & (uint64(1) << slot) != 0, "a slot of the batch");
    }

    /// @notice Of many accounts as many are drawn as there are places, on average; of few, all.
    function test_isDrawn_manyAccounts_meetTheRate() public pure {
        uint256 drawn = 0;
        uint256[7] memory slots;
        for (uint256 i = 0; i < 40; ++i) {
            bytes32 seed = keccak256(abi.encode("batch", i));
            for (uint160 account = 1; account <= 50; ++account) {
                if (Places.isDrawn(seed, address(account), 50)) ++drawn;
            }
            ++slots[Places.slotOf(seed, 0x55 | 0x2a)];
            check(Places.isDrawn(seed, address(1), 1), "alone");
            check(Places.isDrawn(seed, address(1), PLACES_PER_BATCH), "as many as places");
        }
        // Binomial, 2,000 tries at 1/25: four standard deviations are 35.
        check(drawn > 45 && drawn < 115, "about 80");
        for (uint256 slot = 0; slot < 7; ++slot) {
            check(slots[slot] != 0, "every slot in its turn");
        }
    }

    /// @dev What nodes other than the worker have bonded.
    function others() private view returns (uint256 sum) {
        for (uint256 i = 0; i < 5; ++i) {
            if (i != 1) sum += vault.bondOf(node(i));
        }
    }
}
