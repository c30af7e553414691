// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBondVault} from "../../contracts/interfaces/IBondVault.sol";
import {IWorkLedger} from "../../contracts/interfaces/IWorkLedger.sol";
import {JobId, UnitId} from "../../contracts/types/Identifiers.sol";
import {Parameter} from "../../contracts/types/Parameter.sol";
import {Claim, ClaimedUnit, UnitStatus} from "../../contracts/types/Work.sol";
import {Stage} from "./helpers/Stage.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice A lock for each unit: when it begins and ends, and what it does not hold up.
contract LocksTest is Stage {
    uint256 private constant BOND = 1_000 ether;

    JobId private jobId;
    address private worker;

    function setUp() public {
        stage(8);
        jobId = openJob(20, 4);
        worker = node(1);
    }

    /// @notice From the commitment to the end of the round, for each unit its own part.
    function test_lock_committedUnits_untilTheRoundIsFinal() public {
        jobId = openJob(2, 2);
        uint256 lockWei = unitLock();
        same(lockWei, (uint256(net.UNIT_WEI()) * 16_667) / 500, "price x factor / floor");
        UnitId first = drawn(jobId, 0, 0, worker, TRUTH);
        UnitId second = drawn(jobId, 0, 1, worker, TRUTH);
        same(vault.lockedOf(worker), 2 * lockWei, "two units, two locks");
        same(vault.freeOf(worker), BOND - 2 * lockWei, "the rest is free");
        audit(first, TRUTH, TRUTH);
        audit(second, TRUTH, TRUTH);
        same(vault.lockedOf(worker), 2 * lockWei, "a challenge may come");
        net.pass(31);
        finalize(jobId, 0);
        same(vault.lockedOf(worker), 0, "free");
        same(lockOf(first) + lockOf(second), 0, "nothing is locked");
        release(first);
        same(vault.lockedOf(worker), 0, "and nothing comes back twice");
    }

    /// @notice A claim beyond the bond is refused, with worker, need and what is free.
    function test_commit_beyondTheBond_isRefusedByName() public {
        setParameter(Parameter.LockFactorBps, 66_667);
        uint256 lockWei = unitLock();
        commitOne(jobId, 0, 0, worker, TRUTH);
        commitOne(jobId, 0, 1, worker, TRUTH);
        uint256 free = BOND - 2 * lockWei;
        check(free < lockWei, "covers two");
        refuse(lockWei, free);
        VM.prank(worker);
        vault.bond(lockWei - free, "");
        commitOne(jobId, 0, 2, worker, TRUTH);
        same(vault.freeOf(worker), 0, "to the wei");
    }

    /// @notice What is leaving answers for no new unit, though it is still there.
    function test_commit_unbondingBond_isNotFree() public {
        uint256 lockWei = unitLock();
        VM.prank(worker);
        vault.requestUnbond(BOND - lockWei);
        setParameter(Parameter.MinBondWei, 1 ether);
        commitOne(jobId, 0, 0, worker, TRUTH);
        refuse(lockWei, 0);
        VM.prank(worker);
        vault.cancelUnbond();
        commitOne(jobId, 0, 1, worker, TRUTH);
    }

    /// @notice The lock follows the audit floor, for units that come after the change.
    function test_lock_floorChanged_isThatOfTheCommitment() public {
        uint256 before = unitLock();
        UnitId old = commitOne(jobId, 0, 0, worker, TRUTH);
        setParameter(Parameter.AuditFloorBps, 250);
        uint256 later = unitLock();
        check(later == 2 * before || later == 2 * before + 1, "half the audits, twice the lock");
        UnitId young = commitOne(jobId, 0, 1, worker, TRUTH);
        same(lockOf(old), before, "as it was");
        same(lockOf(young), later, "as it is");
        same(vault.lockedOf(worker), before + later, "both");
        capture(jobId, 0);
        uint256 bonded = vault.bondOf(worker);
        audit(young, TRUTH, LIE);
        decide(young, LIE, LIE, LIE);
        same(bonded - vault.bondOf(worker), later, "a fault takes that of its own batch");
        same(vault.lockedOf(worker), before, "and leaves the other's");
    }

    /// @notice Nobody can tell: the lock comes back whole.
    function test_void_unit_freesTheLock() public {
        UnitId unitId = drawn(jobId, 0, 0, worker, LIE);
        audit(unitId, LIE, TRUTH);
        decide(unitId, TRUTH, LIE, 2);
        same(status(unitId), UnitStatus.Voided, "void");
        same(vault.lockedOf(worker), 0, "free");
        same(vault.bondOf(worker), BOND, "whole");
        release(unitId);
        same(vault.lockedOf(worker), 0, "once");
    }

    /// @notice A fault takes exactly the unit's lock, and leaves those of the other units.
    function test_fault_unit_takesItsLockAlone() public {
        uint256 lockWei = unitLock();
        UnitId lie = drawn(jobId, 0, 0, worker, LIE);
        commitOne(jobId, 0, 1, worker, TRUTH);
        convict(lie);
        same(vault.bondOf(worker), BOND - lockWei, "one lock");
        same(vault.lockedOf(worker), lockWei, "the other stands");
        same(vault.freeOf(worker), BOND - 2 * lockWei, "the rest is free");
    }

    /// @notice Attack: ask for the whole bond back in the block of the lie, and let every step of
    /// the verdict take its longest. The bond is still there.
    function test_attack_unbondJustBeforeSlash_isSlashed() public {
        uint256 lockWei = unitLock();
        setParameter(Parameter.UnbondDelayS, parameters.exposureS());
        UnitId lie = commitOne(jobId, 0, 0, worker, LIE);
        capture(jobId, 0);
        VM.prank(worker);
        vault.requestUnbond(BOND);
        (, uint64 availableAt) = vault.pendingOf(worker);
        for (uint256 i = 0; i < 4; ++i) {
            waitOut(lie);
            commitAudit(lie, LIE);
            waitOut(lie);
            if (i == 0) open(lie, LIE);
            waitOut(lie);
            if (i == 3) break;
            VM.warp(uint256(unitOf(lie).deadline) + 1);
            ledger.expire(lie);
        }
        reveal(lie, LIE);
        waitOut(lie);
        address challenger = unitOf(lie).auditor == node(7) ? node(6) : node(7);
        VM.prank(challenger);
        challenge(lie);
        address[] memory jurors = seat(lie);
        VM.warp(committee.dispute(lie).commitDeadline);
        for (uint256 i = 0; i < 3; ++i) {
            vote(lie, jurors[i], TRUTH);
        }
        VM.warp(committee.dispute(lie).revealDeadline);
        for (uint256 i = 0; i < 3; ++i) {
            revealVote(lie, jurors[i], TRUTH);
        }
        check(VM.getBlockTimestamp() <= availableAt, "the verdict comes first");
        VM.prank(worker);
        if (VM.getBlockTimestamp() < availableAt) {
            VM.expectRevert(
                abi.encodeWithSelector(IBondVault.NotYetAvailable.selector, worker, availableAt)
            );
            vault.withdraw();
        }
        committee.resolve(lie);
        same(vault.bondOf(worker), BOND - lockWei, "slashed");
    }

    /// @notice Attack: be slashed while all of it is leaving. The exit pays what is left, in time.
    function test_attack_slashWhileUnbonding_exitPaysTheRest() public {
        uint256 lockWei = unitLock();
        UnitId lie = drawn(jobId, 0, 0, worker, LIE);
        VM.prank(worker);
        vault.requestUnbond(BOND);
        (, uint64 availableAt) = vault.pendingOf(worker);
        convict(lie);
        (uint256 pending, uint64 unchanged) = vault.pendingOf(worker);
        same(pending, BOND - lockWei, "what is left");
        same(unchanged, availableAt, "no longer than before");
        uint256 wealth = token.balanceOf(worker);
        VM.warp(availableAt);
        VM.prank(worker);
        vault.withdraw();
        same(token.balanceOf(worker), wealth + BOND - lockWei, "paid");
        same(vault.bondOf(worker), 0, "gone");
    }

    /// @notice Attack: a unit that nobody moved on outlives its bond. The exit was not held up, and
    /// the fault takes what there is: nothing, without standing in the unit's way.
    function test_attack_slashAboveBalance_takesWhatThereIs() public {
        UnitId lie = drawn(jobId, 0, 0, worker, LIE);
        audit(lie, LIE, TRUTH);
        VM.prank(worker);
        vault.requestUnbond(BOND - 1 ether);
        net.pass(2_000);
        VM.prank(worker);
        vault.withdraw();
        same(vault.bondOf(worker), 1 ether, "the exit succeeds, lock or not");
        same(vault.freeOf(worker), 0, "nothing is free, nothing underflows");
        uint256 supply = token.totalSupply();
        seat(lie);
        net.pass(1_000);
        committee.resolve(lie);
        same(status(lie), UnitStatus.Voided, "jurors were silent");
        same(vault.freeOf(worker), 1 ether, "and its lock is over");
        lie = unopened();
        uint256 bonded = vault.bondOf(worker);
        VM.prank(worker);
        vault.requestUnbond(bonded);
        net.pass(2_000);
        VM.prank(worker);
        vault.withdraw();
        ledger.expire(lie);
        same(status(lie), UnitStatus.Faulted, "the unit goes on");
        same(vault.lockedOf(worker), 0, "no lock survives it");
        same(token.totalSupply(), supply, "there was nothing to burn");
    }

    /// @notice A delay that is raised holds nobody who asked before; one that is lowered frees
    /// nobody early.
    function test_unbond_delayChanged_holdsForLaterOnes() public {
        VM.prank(worker);
        vault.requestUnbond(10 ether);
        (, uint64 availableAt) = vault.pendingOf(worker);
        setParameter(Parameter.UnbondDelayS, 90 days);
        VM.warp(availableAt - 1);
        VM.prank(worker);
        VM.expectRevert(
            abi.encodeWithSelector(IBondVault.NotYetAvailable.selector, worker, availableAt)
        );
        vault.withdraw();
        VM.warp(availableAt);
        VM.prank(worker);
        vault.withdraw();
        VM.prank(worker);
        vault.requestUnbond(1);
        (, availableAt) = vault.pendingOf(worker);
        same(availableAt, VM.getBlockTimestamp() + 90 days, "the new delay");
    }

    /// @notice What was dissolved is given back by whoever asks, once, with the lock of its own time.
    function test_release_dissolvedUnit_anyoneOnce() public {
        JobId ahead = openJobAhead(3, 1, 2);
        UnitId lie = drawn(ahead, 0, 0, node(2), LIE);
        anchor(ahead, 0, keccak256("a"));
        UnitId honest = drawn(ahead, 1, 0, worker, TRUTH);
        uint256 lockWei = unitLock();
        convict(lie);
        same(status(honest), UnitStatus.Dissolved, "dissolved");
        same(vault.lockedOf(worker), lockWei, "waits to be given back");
        setParameter(Parameter.LockFactorBps, 10_000);
        commitOne(ahead, 0, 0, node(3), TRUTH);
        anchor(ahead, 0, keccak256("b"));
        commitOne(ahead, 1, 0, worker, TRUTH);
        same(vault.lockedOf(worker), lockWei + unitLock(), "two units, two amounts");
        VM.prank(submitter);
        release(honest);
        same(vault.lockedOf(worker), unitLock(), "the dissolved one's, whole");
        release(honest);
        same(vault.lockedOf(worker), unitLock(), "once");
    }

    /// @notice A round that is never finished holds no bond for ever.
    function test_release_acceptedUnit_afterItsWindow() public {
        uint256 lockWei = unitLock();
        UnitId unitId = drawn(jobId, 0, 0, worker, TRUTH);
        release(unitId);
        audit(unitId, TRUTH, TRUTH);
        uint64 deadline = unitOf(unitId).deadline;
        VM.warp(deadline);
        release(unitId);
        same(vault.lockedOf(worker), lockWei, "can still be challenged");
        VM.warp(uint256(deadline) + 1);
        release(unitId);
        same(vault.lockedOf(worker), 0, "free");
        for (uint32 slot = 1; slot < 4; ++slot) {
            audit(drawn(jobId, 0, slot, worker, TRUTH), TRUTH, TRUTH);
        }
        same(vault.lockedOf(worker), 3 * lockWei, "the others'");
        net.pass(31);
        finalize(jobId, 0);
        same(vault.lockedOf(worker), 0, "three came back, not four");
    }

    /// @notice What can still be faulted is not given back, nor what nobody committed.
    function test_release_openUnit_staysLocked() public {
        ClaimedUnit[] memory nobodys = new ClaimedUnit[](1);
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.WrongClaims.selector, jobId, 0));
        ledger.releaseLocks(jobId, 0, 0, 0, nobodys);
        UnitId unitId = commitOne(jobId, 0, 0, worker, LIE);
        releaseNothing(unitId);
        capture(jobId, 0);
        releaseNothing(unitId);
        commitAudit(unitId, TRUTH);
        releaseNothing(unitId);
        open(unitId, LIE);
        reveal(unitId, TRUTH);
        releaseNothing(unitId);
        decide(unitId, TRUTH, TRUTH, TRUTH);
        same(vault.lockedOf(worker), 0, "its fault took it");
        release(unitId);
        same(vault.lockedOf(worker), 0, "once");
    }

    /// @notice Of one batch the units that are at their end are given back, the others stay; what the
    /// draw spared needs no record for that.
    function test_release_sparedUnits_afterTheirWindow() public {
        setParameter(Parameter.ProbationUnits, 1);
        cover(worker, 30);
        trust();
        UnitId[] memory units = new UnitId[](4);
        Claim[] memory claims = new Claim[](4);
        for (uint32 slot = 0; slot < 4; ++slot) {
            claims[slot] = net.claimOf(jobId, 0, slot, worker, TRUTH);
            units[slot] = ledger.slotUnit(jobId, 0, slot);
        }
        VM.prank(coordinator);
        commit(jobId, 0, claims);
        capture(jobId, 0);
        uint256 spared = 0;
        for (uint256 i = 0; i < 4; ++i) {
            if (status(units[i]) == UnitStatus.Passed) ++spared;
        }
        check(spared > 0, "some are spared");
        VM.warp(batchOf(units[0]).challengeDeadline);
        releaseNothing(units[0]);
        VM.warp(VM.getBlockTimestamp() + 1);
        release(units[0]);
        same(vault.lockedOf(worker), (4 - spared) * unitLock(), "the drawn ones'");
        for (uint256 i = 0; i < 4; ++i) {
            if (status(units[i]) == UnitStatus.Drawn) audit(units[i], TRUTH, TRUTH);
        }
        net.pass(31);
        finalize(jobId, 0);
        same(vault.lockedOf(worker), 0, "none came back twice");
    }

    /// @notice A batch that was dissolved before its draw gives all back at once.
    function test_release_dissolvedBeforeItsDraw_isWhole() public {
        JobId ahead = openJobAhead(3, 1, 2);
        UnitId lie = drawn(ahead, 0, 0, node(2), LIE);
        anchor(ahead, 0, keccak256("a"));
        UnitId honest = commitOne(ahead, 1, 0, worker, TRUTH);
        releaseNothing(honest);
        convict(lie);
        same(status(honest), UnitStatus.Dissolved, "dissolved");
        release(honest);
        same(vault.lockedOf(worker), 0, "free");
        release(honest);
        same(vault.lockedOf(worker), 0, "once");
    }

    /// @notice Only the ledger locks and unlocks.
    function test_seat_strangers_lockNothing() public {
        VM.expectRevert(abi.encodeWithSelector(IBondVault.NotLedger.selector, address(this)));
        vault.lock(worker, 1);
        VM.expectRevert(abi.encodeWithSelector(IBondVault.NotLedger.selector, address(this)));
        vault.unlock(worker, 1);
    }

    /// @notice Attack: 100 lies before the first verdict, by a worker that the draw trusts, at the
    /// public network's figures. Each has a lock of its own, and the lies lose.
    function test_attack_hundredLiesAtOnce_lose() public {
        setParameter(Parameter.ProbationUnits, 1);
        setParameter(Parameter.LockFactorBps, 38_500);
        same(unitLock(), 77 * net.UNIT_WEI(), "77 prices");
        VM.prank(worker);
        vault.bond(8_900 ether, "");
        trust();
        net.equip(worker, 20_000 ether);
        uint256 need = 100 * unitLock();
        uint256 bonded = vault.bondOf(worker);
        VM.prank(worker);
        vault.bond(need - bonded, "");
        JobId one = openJob(1, 50);
        JobId two = openJob(1, 50);
        UnitId[] memory lies = new UnitId[](100);
        lie50(one, lies, 0);
        lie50(two, lies, 50);
        same(vault.freeOf(worker), 0, "every token answers for one lie");
        commitLie(openJob(1, 1), 0, true);
        capture(one, 0);
        capture(two, 0);
        uint256 caught = 0;
        for (uint256 i = 0; i < 100; ++i) {
            if (status(lies[i]) != UnitStatus.Drawn) continue;
            convict(lies[i]);
            ++caught;
        }
        check(caught >= 2 && caught <= 15, "five are drawn, more or less");
        uint256 lost = need - vault.bondOf(worker);
        same(lost, caught * unitLock(), "each fault takes a whole lock");
        uint256 back = (lost * 4_000) / 10_000;
        check(lost - back > 100 * uint256(net.UNIT_WEI()), "more than all lies could be paid");
    }

    /// @dev 30 honest units, one after the other: the worker is audited at the floor from then on.
    function trust() private {
        JobId past = openJob(1, 30);
        for (uint32 slot = 0; slot < 30; ++slot) {
            UnitId unitId = drawn(past, 0, slot, worker, TRUTH);
            if (status(unitId) == UnitStatus.Drawn) audit(unitId, TRUTH, TRUTH);
        }
        net.pass(31);
        finalize(past, 0);
        same(ledger.cleanUnits(worker), 30, "trusted");
        same(vault.lockedOf(worker), 0, "nothing is open");
    }

    function lie50(JobId job, UnitId[] memory lies, uint256 from) private {
        Claim[] memory claims = new Claim[](50);
        for (uint32 slot = 0; slot < 50; ++slot) {
            claims[slot] = net.claimOf(job, 0, slot, worker, LIE);
            lies[from + slot] = ledger.slotUnit(job, 0, slot);
        }
        VM.prank(coordinator);
        commit(job, 0, claims);
    }

    function commitLie(JobId job, uint256 free, bool isRefused) private {
        Claim[] memory claims = new Claim[](1);
        claims[0] = net.claimOf(job, 0, 0, worker, LIE);
        uint256 lockWei = unitLock();
        if (isRefused) expectShort(lockWei, free);
        VM.prank(coordinator);
        ledger.commitRound(job, 0, claims);
        if (!isRefused) remember(job, 0, claims);
    }

    function releaseNothing(UnitId unitId) private {
        uint256 locked = vault.lockedOf(worker);
        release(unitId);
        same(vault.lockedOf(worker), locked, "nothing given back");
    }

    function refuse(uint256 lockWei, uint256 free) private {
        Claim[] memory claims = new Claim[](1);
        claims[0] = net.claimOf(jobId, 0, 3, worker, TRUTH);
        expectShort(lockWei, free);
        VM.prank(coordinator);
        ledger.commitRound(jobId, 0, claims);
    }

    function expectShort(uint256 lockWei, uint256 free) private {
        VM.expectRevert(
            abi.encodeWithSelector(IBondVault.InsufficientFreeBond.selector, worker, lockWei, free)
        );
    }

    /// @dev A drawn lie, audited honestly and judged.
    function convict(UnitId lie) private {
        audit(lie, LIE, TRUTH);
        decide(lie, TRUTH, TRUTH, TRUTH);
        same(status(lie), UnitStatus.Faulted, "convicted");
    }

    /// @dev A unit whose auditor has committed and whose worker is silent.
    function unopened() private returns (UnitId unitId) {
        VM.prank(worker);
        vault.bond(BOND, "");
        VM.prank(coordinator);
        ledger.takeLease(jobId);
        unitId = drawn(jobId, 0, 0, worker, LIE);
        commitAudit(unitId, TRUTH);
    }

    function waitOut(UnitId unitId) private {
        VM.warp(unitOf(unitId).deadline);
    }
}
