// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFirstBonds} from "../../contracts/interfaces/IFirstBonds.sol";
import {IWorkLedger} from "../../contracts/interfaces/IWorkLedger.sol";
import {UnitId} from "../../contracts/types/Identifiers.sol";
import {Opening} from "../../contracts/types/Newcomer.sol";
import {Parameter} from "../../contracts/types/Parameter.sol";
import {ClaimedUnit, UnitStatus} from "../../contracts/types/Work.sol";
import {FirstBondsStage} from "./helpers/FirstBondsStage.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice What liars, copiers, swarms and colluders get of the pot for first bonds.
contract FirstBondsAttacksTest is FirstBondsStage {
    function setUp() public {
        stageFirstBonds();
    }

    /// @notice Who sends another's commitment as its own cannot show what is in it.
    function test_attack_newcomerCopiesCommitment_cannotReveal() public {
        registerAll(2);
        claimRound(0, TRUTH);
        UnitId unitId = examined(0);
        commitAs(newcomer(0), 0, TRUTH);
        commitWith(newcomer(1), 0, net.commitment(unitId, newcomer(0), TRUTH));
        endRound(0);
        bytes32 root = net.unitRoot(unitId, TRUTH);
        Opening memory opened = opening(unitId, TRUTH);
        refuses(IFirstBonds.WrongReveal.selector);
        revealWith(newcomer(1), 0, opened, root, net.salt(unitId, newcomer(0)));
        refuses(IFirstBonds.WrongReveal.selector);
        revealWith(newcomer(1), 0, opened, root, net.salt(unitId, newcomer(1)));
        revealAs(newcomer(0), 0, TRUTH);
        same(bonds.newcomerOf(newcomer(1)).retainedWei, 0, "nothing for the copy");
    }

    /// @notice While others may commit, or while the round is open, nothing is shown here.
    function test_attack_revealEarly_isRefused() public {
        registerAll(2);
        claimRound(0, TRUTH);
        commitAs(newcomer(0), 0, TRUTH);
        uint40 deadline = placeOf(0, newcomer(0)).commitDeadline;
        refuses(IFirstBonds.NotOpenable.selector);
        revealAs(newcomer(0), 0, TRUTH);
        VM.warp(deadline + 1);
        // The round is not final: a fault in an earlier one could have the unit computed again.
        refuses(IFirstBonds.NotOpenable.selector);
        revealAs(newcomer(0), 0, TRUTH);
        uint32 slot = placeOf(0, newcomer(0)).slot;
        check(!bonds.isOpenable(jobId, 0, slot, 0), "nor does the worker tell");
        finalize(jobId, 0);
        check(bonds.isOpenable(jobId, 0, slot, 0), "now");
        check(!bonds.isOpenable(jobId, 0, slot, 1), "no other attempt");
        revealAs(newcomer(0), 0, TRUTH);
        claimRound(1, TRUTH);
        commitAs(newcomer(0), 1, TRUTH);
        net.pass(31);
        finalize(jobId, 1);
        // Final, but another newcomer may still commit.
        refuses(IFirstBonds.NotOpenable.selector);
        revealAs(newcomer(0), 1, TRUTH);
        commitAs(newcomer(1), 1, TRUTH);
    }

    /// @notice A unit that somebody challenged takes no commitment, and one that was faulted pays none.
    function test_attack_newcomerOnDisputedUnit_getsNothing() public {
        registerAll(2);
        claimRound(0, LIE);
        UnitId unitId = examined(0);
        commitAs(newcomer(0), 0, LIE);
        VM.prank(node(2));
        challenge(unitId);
        bytes32 commitment = net.commitment(unitId, newcomer(1), LIE);
        refuses(IFirstBonds.NotSpared.selector);
        commitWith(newcomer(1), 0, commitment);
        open(unitId, LIE);
        decide(unitId, TRUTH, TRUTH, TRUTH);
        same(status(unitId), UnitStatus.Faulted, "found out");
        net.pass(COMMIT_S);
        refuses(IFirstBonds.NotOpenable.selector);
        revealAs(newcomer(0), 0, LIE);
        net.pass(8 days);
        bonds.release(unitId, newcomer(0));
        same(bonds.potWei(), POT, "the pot's again");
    }

    /// @notice Who makes accounts once the draw block is known has no place with any of them.
    function test_attack_registerAfterTheDraw_hasNoPlace() public {
        registerAll(1);
        claimRound(0, TRUTH);
        for (uint256 i = 1; i < 20; ++i) {
            VM.prank(newcomer(i));
            bonds.register();
            check(!placeOf(0, newcomer(i)).hasPlace, "registered too late");
        }
        bytes32 commitment = net.commitment(examined(0), newcomer(5), TRUTH);
        refuses(IFirstBonds.NoPlace.selector);
        commitWith(newcomer(5), 0, commitment);
        check(placeOf(0, newcomer(0)).hasPlace, "who was there before is as likely as before");
    }

    /// @notice In the draw block itself it is too late, too; in the one before it is not.
    function test_attack_registerInTheDrawBlock_hasNoPlace() public {
        VM.prank(newcomer(0));
        bonds.register();
        commitOne(jobId, 0, 0, node(1), TRUTH);
        VM.prank(newcomer(1));
        bonds.register();
        net.nextBlock();
        VM.prank(newcomer(2));
        bonds.register();
        capture(jobId, 0);
        check(placeOf(0, newcomer(0)).hasPlace, "before the claims");
        check(placeOf(0, newcomer(1)).hasPlace, "in their block");
        check(!placeOf(0, newcomer(2)).hasPlace, "in the draw block");
    }

    /// @notice Who registers in the very block of the claims, the last one in time, shares the places.
    function test_attack_manyInTheLastBlock_shareThePlaces() public {
        for (uint256 i = 0; i < 40; ++i) {
            VM.prank(newcomer(i));
            bonds.register();
        }
        commitOne(jobId, 0, 0, node(1), TRUTH);
        capture(jobId, 0);
        uint256 places = 0;
        for (uint256 i = 0; i < 40; ++i) {
            if (placeOf(0, newcomer(i)).hasPlace) ++places;
        }
        check(places < 12, "two on average, not forty");
    }

    /// @notice One who goes as two has two chances of twice as many, and each pays its own registration.
    function test_attack_twoAccounts_haveNoMoreThanTwo() public {
        registerAll(2);
        claimRound(0, TRUTH);
        commitAs(newcomer(0), 0, TRUTH);
        commitAs(newcomer(1), 0, TRUTH);
        bytes32 commitment = net.commitment(examined(0), newcomer(0), TRUTH);
        refuses(IFirstBonds.AlreadyCommitted.selector);
        commitWith(newcomer(0), 0, commitment);
        endRound(0);
        revealAs(newcomer(0), 0, TRUTH);
        refuses(IFirstBonds.NothingCommitted.selector);
        revealAs(newcomer(0), 0, TRUTH);
        same(bonds.retainedWei(), PAY_MAX, "each once");
        bytes memory again = abi.encodeWithSelector(
            IFirstBonds.AlreadyCommitted.selector,
            examined(0),
            newcomer(0)
        );
        uint32 slot = placeOf(0, newcomer(0)).slot;
        (ClaimedUnit memory claim, bytes32[] memory proof) = shown(0, slot);
        VM.warp(placeOf(0, newcomer(0)).commitDeadline);
        VM.expectRevert(again);
        VM.prank(newcomer(0));
        bonds.commit(jobId, 0, 0, claim, proof, commitment);
    }

    /// @notice What was committed to for one unit shows nothing for another.
    function test_attack_newcomerReplaysForAnotherUnit_isRefused() public {
        registerAll(1);
        claimRound(0, TRUTH);
        UnitId first = examined(0);
        commitAs(newcomer(0), 0, TRUTH);
        endRound(0);
        claimRound(1, TRUTH);
        UnitId second = examined(1);
        commitWith(newcomer(0), 1, net.commitment(first, newcomer(0), TRUTH));
        endRound(1);
        refuses(IFirstBonds.WrongReveal.selector);
        revealWith(
            newcomer(0),
            1,
            opening(second, TRUTH),
            net.unitRoot(first, TRUTH),
            net.salt(first, newcomer(0))
        );
        refuses(IFirstBonds.WrongOpening.selector);
        revealWith(
            newcomer(0),
            1,
            opening(first, TRUTH),
            net.unitRoot(first, TRUTH),
            net.salt(first, newcomer(0))
        );
    }

    /// @notice Another slot, an altered claim, a foreign proof, a drawn unit: no place.
    function test_attack_newcomerWrongProof_isRefused() public {
        address account = newcomer(0);
        registerAll(1);
        claimRound(0, TRUTH);
        uint32 slot = placeOf(0, account).slot;
        bytes32 commitment = net.commitment(examined(0), account, TRUTH);
        uint32 other = (slot + 1) % SLOTS;
        (ClaimedUnit memory claim, bytes32[] memory proof) = shown(0, other);
        VM.expectPartialRevert(IFirstBonds.NoPlace.selector);
        VM.prank(account);
        bonds.commit(jobId, 0, 0, claim, proof, commitment);
        ClaimedUnit memory own;
        (own, ) = shown(0, slot);
        VM.expectPartialRevert(IFirstBonds.WrongClaim.selector);
        VM.prank(account);
        bonds.commit(jobId, 0, 0, own, proof, commitment);
        (own, proof) = shown(0, slot);
        own.commitment = commitment;
        VM.expectPartialRevert(IFirstBonds.WrongClaim.selector);
        VM.prank(account);
        bonds.commit(jobId, 0, 0, own, proof, commitment);
        commitAs(account, 0, TRUTH);
        endRound(0);
        // The worker that the claim names, another would have another salt.
        UnitId unitId = examined(0);
        Opening memory opened = opening(unitId, TRUTH);
        own.worker = node(2);
        VM.expectPartialRevert(IFirstBonds.WrongClaim.selector);
        VM.prank(account);
        bonds.reveal(jobId, 0, own, opened, commitment, commitment);
    }

    /// @notice A unit that the draw did not spare has an auditor, who would be told by a newcomer's reveal.
    function test_attack_newcomerOnDrawnUnit_isRefused() public {
        registerAll(1);
        trust(node(1), 0);
        claimRound(0, TRUTH);
        bytes32 commitment = net.commitment(examined(0), newcomer(0), TRUTH);
        refuses(IFirstBonds.NotSpared.selector);
        commitWith(newcomer(0), 0, commitment);
    }

    /// @notice An account that was the unit's worker, and had no bond when it registered, is no newcomer to it.
    function test_attack_workerAsItsOwnNewcomer_isRefused() public {
        address worker = node(1);
        uint256 bond = vault.bondOf(worker);
        VM.prank(worker);
        vault.requestUnbond(bond);
        net.pass(2_001);
        VM.prank(worker);
        vault.withdraw();
        VM.prank(worker);
        bonds.register();
        VM.prank(worker);
        vault.bond(bond, "");
        net.nextBlock();
        claimRound(0, TRUTH);
        VM.prank(worker);
        vault.requestUnbond(bond);
        bytes32 commitment = net.commitment(examined(0), worker, TRUTH);
        refuses(IFirstBonds.OwnUnit.selector);
        commitWith(worker, 0, commitment);
    }

    /// @notice A swarm that computes nothing is promised a day's cap, and gets nothing of it.
    function test_attack_swarm_cannotPassTheDaysCap() public {
        registerAll(2);
        uint256 promised = 0;
        for (uint32 i = 0; promised + PAY_MAX <= DAY_CAP; ++i) {
            claimRound(i, TRUTH);
            commitAs(newcomer(i % 2), i, LIE);
            promised += PAY_MAX;
            net.pass(31);
            finalize(jobId, i);
        }
        same(bonds.promisedTodayWei(), promised, "as much as a day has");
        uint32 last = round + 1;
        claimRound(last, TRUTH);
        bytes32 commitment = net.commitment(examined(last), newcomer(0), TRUTH);
        refuses(IFirstBonds.DayCapReached.selector);
        commitWith(newcomer(0), last, commitment);
        // What is left of the second's half of the bond is free, so the cap alone refused.
        VM.warp((VM.getBlockTimestamp() / 1 days + 1) * 1 days);
        same(bonds.promisedTodayWei(), 0, "a new day");
    }

    /// @notice An empty pot promises nothing: no commitment is taken that could not be paid.
    function test_attack_emptyPot_promisesNothing() public {
        bonds = deployBonds(DAY_CAP, PAY_MAX);
        bonds.fund(PAY_MAX);
        registerAll(2);
        claimRound(0, TRUTH);
        commitAs(newcomer(0), 0, TRUTH);
        bytes32 commitment = net.commitment(examined(0), newcomer(1), TRUTH);
        refuses(IFirstBonds.PotTooSmall.selector);
        commitWith(newcomer(1), 0, commitment);
        token.transfer(address(bonds), PAY_MAX);
        commitWith(newcomer(1), 0, commitment);
        same(bonds.potWei(), 0, "all promised");
    }

    /// @notice A worker that tells its root to its own newcomer: paid without work, and never more than a bond
    /// and one audit an account.
    function test_attack_workerTellsItsNewcomer_isBounded() public {
        registerAll(1);
        for (uint32 i = 0; i < 3; ++i) {
            // The worker's own root, whatever it is: nobody computed it.
            claimRound(i, LIE);
            commitAs(newcomer(0), i, LIE);
            endRound(i);
            UnitId unitId = examined(i);
            bytes32 root = net.unitRoot(unitId, LIE);
            bytes32 salt = net.salt(unitId, newcomer(0));
            revealWith(newcomer(0), i, opening(unitId, LIE), root, salt);
        }
        same(
            bonds.newcomerOf(newcomer(0)).retainedWei,
            3 * PAY_MAX,
            "more than a bond by one audit"
        );
        claimRound(3, LIE);
        bytes32 commitment = net.commitment(examined(3), newcomer(0), LIE);
        refuses(IFirstBonds.EarnedEnough.selector);
        commitWith(newcomer(0), 3, commitment);
    }

    /// @notice Promises count as earned, so that nobody is promised many bonds at once.
    function test_attack_manyPromisesAtOnce_areBounded() public {
        bonds = deployBonds(100 ether, PAY_MAX);
        bonds.fund(POT);
        registerAll(1);
        for (uint32 i = 0; i < 4; ++i) {
            claimRound(i, TRUTH);
            bytes32 commitment = net.commitment(examined(i), newcomer(0), TRUTH);
            if (i == 3) refuses(IFirstBonds.EarnedEnough.selector);
            commitWith(newcomer(0), i, commitment);
            net.pass(31);
            finalize(jobId, i);
        }
        same(bonds.promisedWei(), 3 * PAY_MAX, "three");
        setParameter(Parameter.MinBondWei, 3 ether);
        claimRound(4, TRUTH);
        commitAs(newcomer(0), 4, TRUTH);
    }

    /// @notice What was computed from a checkpoint that was withdrawn is not shown: the same unit may be
    /// due again, and its auditor has to be blind.
    function test_attack_revealOfDissolvedUnit_isRefused() public {
        jobId = openJobAhead(10, SLOTS, 2);
        registerAll(1);
        claimRound(0, LIE);
        UnitId lie = ledger.slotUnit(jobId, 0, 0);
        anchor(jobId, 0, keccak256("checkpoint"));
        claimRound(1, TRUTH);
        UnitId unitId = examined(1);
        uint32 slot = placeOf(1, newcomer(0)).slot;
        commitAs(newcomer(0), 1, TRUTH);
        (ClaimedUnit memory claim, ) = shown(1, slot);
        Opening memory opened = opening(unitId, TRUTH);
        VM.prank(node(2));
        challenge(lie);
        open(lie, LIE);
        decide(lie, TRUTH, TRUTH, TRUTH);
        same(status(unitId), UnitStatus.Dissolved, "withdrawn");
        net.pass(COMMIT_S);
        VM.expectPartialRevert(IFirstBonds.NotOpenable.selector);
        VM.prank(newcomer(0));
        bonds.reveal(jobId, 1, claim, opened, claim.resultRoot, claim.resultRoot);
        check(ledger.attemptOf(jobId, 1, slot) == 1, "another attempt");
    }
}
