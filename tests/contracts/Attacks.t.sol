// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBondVault} from "../../contracts/interfaces/IBondVault.sol";
import {IJobEscrow} from "../../contracts/interfaces/IJobEscrow.sol";
import {INetworkParameters} from "../../contracts/interfaces/INetworkParameters.sol";
import {IRewardDistributor} from "../../contracts/interfaces/IRewardDistributor.sol";
import {IWorkLedger} from "../../contracts/interfaces/IWorkLedger.sol";
import {JobId, UnitId} from "../../contracts/types/Identifiers.sol";
import {JobTerms} from "../../contracts/types/Job.sol";
import {PARAMETER_COUNT, Parameter} from "../../contracts/types/Parameter.sol";
import {Claim, ClaimedUnit, UnitStatus} from "../../contracts/types/Work.sol";
import {EmissionStage} from "./helpers/EmissionStage.sol";
import {HostileWallet} from "./helpers/HostileWallet.sol";
import {Trees} from "./helpers/Trees.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice What somebody could try, and what comes of it. docs/spec/economy.md, "Attacks", has the
/// whole list; those that are tested beside what they attack are named there.
contract AttacksTest is EmissionStage {
    function setUp() public {
        stage(7);
    }

    /// @notice Zero is below the least value of every parameter that is divided by or waited for;
    /// those that may be zero switch something off.
    function test_attack_parameterSetToZero_isRefusedOrHarmless() public {
        uint256 refused = 0;
        for (uint256 i = 0; i < PARAMETER_COUNT; ++i) {
            (uint256 min, uint256 max) = parameters.bounds(Parameter(i));
            if (min != 0) {
                VM.expectRevert(
                    abi.encodeWithSelector(
                        INetworkParameters.OutOfBounds.selector,
                        Parameter(i),
                        0,
                        min,
                        max
                    )
                );
                ++refused;
            }
            parameters.set(Parameter(i), 0);
        }
        same(refused, PARAMETER_COUNT - 4, "all but bounty, fee, audit pay and emission");
        JobId jobId = finished(0, 3);
        nextEpoch();
        same(accounts[jobId].length, 3, "an unpaid audit has no line");
        claimAll(jobId, 0);
        same(schedule.emittedWei(), 0, "no fee, no emission");
        same(token.balanceOf(address(distributor)), 0, "all paid");
    }

    /// @notice Whoever cannot or will not take a call is paid all the same: tokens call nobody.
    function test_attack_failingReceiver_isPaidAllTheSame() public {
        HostileWallet wallet = new HostileWallet();
        net.join(address(wallet));
        net.nextBlock();
        JobTerms memory terms = net.terms(1, 2);
        VM.prank(address(wallet));
        token.approve(address(escrow), type(uint256).max);
        VM.prank(address(wallet));
        JobId jobId = escrow.fund(terms);
        VM.prank(coordinator);
        ledger.takeLease(jobId);
        for (uint32 slot = 0; slot < 2; ++slot) {
            audit(drawn(jobId, 0, slot, node(1), TRUTH), TRUTH, TRUTH);
        }
        net.pass(31);
        VM.recordLogs();
        finalize(jobId, 0);
        (accounts[jobId], amounts[jobId]) = recordedRewards();
        uint256 wealth = token.balanceOf(address(wallet));
        escrow.settle(jobId);
        check(token.balanceOf(address(wallet)) > wealth, "refunded");
        check(!wallet.wasCalled(), "never called");
    }

    /// @notice A worker is a key: no contract, whatever it would say of a signature, takes part in a claim,
    /// and none is asked.
    function test_attack_contractAsWorker_isNeverAsked() public {
        HostileWallet wallet = new HostileWallet();
        net.join(address(wallet));
        net.nextBlock();
        JobId jobId = openJob(1, 2);
        Claim[] memory claims = new Claim[](1);
        claims[0] = unsigned(jobId, 0, address(wallet));
        UnitId unitId = ledger.slotUnit(jobId, 0, 0);
        VM.expectRevert(
            abi.encodeWithSelector(IWorkLedger.BadSignature.selector, unitId, address(wallet))
        );
        VM.prank(coordinator);
        ledger.commitRound(jobId, 0, claims);
        check(!wallet.wasCalled(), "never called");
        commitOne(jobId, 0, 1, node(1), TRUTH);
    }

    /// @notice What was paid is not paid again, whoever asks, in one call or in two.
    function test_attack_doubleClaim_paysOnce() public {
        JobId jobId = finished(0, 3);
        address account = accounts[jobId][0];
        uint256 held = token.balanceOf(address(distributor));
        address[] memory twice = new address[](2);
        (twice[0], twice[1]) = (account, account);
        distributor.claimMany(token, twice);
        same(token.balanceOf(address(distributor)), held - amounts[jobId][0], "once");
        VM.expectRevert(
            abi.encodeWithSelector(IRewardDistributor.NothingToClaim.selector, token, account)
        );
        distributor.claim(token, account);
        same(token.balanceOf(address(distributor)), held - amounts[jobId][0], "still once");
    }

    /// @notice A claim has no deadline: neither years nor the end of its job take a reward back.
    function test_attack_lateClaim_paysAllTheSame() public {
        uint256 epoch = schedule.currentEpoch();
        JobId jobId = finished(0, 3);
        escrow.settle(jobId);
        net.pass(3_650 days);
        claimAll(jobId, epoch);
        distributor.claim(token, net.TREASURY());
        same(token.balanceOf(address(distributor)), 0, "all of it");
    }

    /// @notice Where the money of a round is not there the round does not become final: nothing is
    /// ever credited that cannot be paid.
    function test_attack_underfundedPool_creditsNothing() public {
        JobId jobId = openJob(1, 1);
        audit(drawn(jobId, 0, 0, node(1), TRUTH), TRUTH, TRUTH);
        net.pass(31);
        uint256 held = token.balanceOf(address(escrow));
        VM.prank(address(escrow));
        token.transfer(address(1), held);
        VM.expectRevert();
        finalize(jobId, 0);
        same(ledger.finalized(jobId, 0).checkpoint, 0, "not final");
        same(distributor.creditOf(token, node(1)), 0, "nothing credited");
        same(token.balanceOf(address(distributor)), 0, "nothing there");
    }

    /// @notice Nobody posts what was earned: the ledger adds it up of the units, and credits and money
    /// come in the transaction that makes the round final.
    function test_attack_inventedReward_isNobodysToCredit() public {
        JobId jobId = finished(0, 5);
        uint256 total = 0;
        for (uint256 i = 0; i < accounts[jobId].length; ++i) {
            same(
                distributor.creditOf(token, accounts[jobId][i]),
                amounts[jobId][i],
                "as the receipt says"
            );
            total += amounts[jobId][i];
        }
        same(token.balanceOf(address(distributor)), total, "funded to the wei");
        address[6] memory liars = [
            address(this),
            address(net),
            submitter,
            coordinator,
            address(ledger),
            net.TREASURY()
        ];
        for (uint256 i = 0; i < liars.length; ++i) {
            VM.expectRevert(
                abi.encodeWithSelector(IRewardDistributor.NotCreditor.selector, liars[i])
            );
            VM.prank(liars[i]);
            distributor.credit(token, earner(), one(1));
        }
    }

    /// @notice An inner node is no claim, and a proof that is a hash too short or too long proves
    /// nothing.
    function test_attack_secondPreimageOrWrongDepth_isRefused() public {
        JobId jobId = openJob(1, 6);
        Claim[] memory made = new Claim[](6);
        for (uint32 slot = 0; slot < 6; ++slot) {
            made[slot] = net.claimOf(jobId, 0, slot, node(1 + slot), TRUTH);
        }
        VM.prank(coordinator);
        commit(jobId, 0, made);
        capture(jobId, 0);
        ClaimedUnit[] memory claims = claimsAt(jobId, 0, 0);
        bytes32[] memory real = Trees.proofOf(leavesOf(jobId, 0, claims), 0);
        check(real.length > 1, "a tree");
        bytes32[] memory shorter = new bytes32[](real.length - 1);
        for (uint256 i = 0; i < shorter.length; ++i) {
            shorter[i] = real[i + 1];
        }
        refuse(jobId, claims[0], shorter);
        refuse(jobId, claims[0], new bytes32[](0));
        bytes32[] memory longer = new bytes32[](real.length + 1);
        for (uint256 i = 0; i < real.length; ++i) {
            longer[i] = real[i];
        }
        longer[real.length] = ledger.batch(jobId, 0, 0, 0).claimsRoot;
        refuse(jobId, claims[0], longer);
    }

    /// @notice A claim that was signed on another chain, or for another job, binds nobody here.
    function test_attack_crossChainOrCrossJobReplay_isRefused() public {
        (JobId first, JobId second) = (openJob(1, 1), openJob(1, 1));
        Claim[] memory claims = new Claim[](1);
        claims[0] = net.claimOf(first, 0, 0, node(1), TRUTH);
        bytes memory reason = abi.encodeWithSelector(
            IWorkLedger.BadSignature.selector,
            ledger.slotUnit(second, 0, 0),
            node(1)
        );
        VM.expectRevert(reason);
        VM.prank(coordinator);
        ledger.commitRound(second, 0, claims);
        uint256 here = block.chainid;
        VM.chainId(here + 1);
        claims[0] = net.claimOf(second, 0, 0, node(1), TRUTH);
        VM.chainId(here);
        VM.expectRevert(reason);
        VM.prank(coordinator);
        ledger.commitRound(second, 0, claims);
    }

    /// @notice Whoever copies an auditor's commitment gains nothing: it is not the auditor. Whoever
    /// sends the auditor's words for it does what the auditor wanted.
    function test_attack_frontRunCommitOrReveal_gainsNothing() public {
        JobId jobId = openJob(1, 1);
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        address auditor = unitOf(unitId).auditor;
        bytes32 copied = net.commitment(unitId, auditor, TRUTH);
        address thief = auditor == node(2) ? node(3) : node(2);
        VM.expectRevert(
            abi.encodeWithSelector(IWorkLedger.NotAuditor.selector, unitId, thief, auditor)
        );
        VM.prank(thief);
        ledger.commitAudits(ids(unitId), words(copied));
        commitAudit(unitId, TRUTH);
        open(unitId, TRUTH);
        (bytes32 root, bytes32 salt) = (net.unitRoot(unitId, TRUTH), net.salt(unitId, auditor));
        VM.prank(thief);
        ledger.revealAudits(ids(unitId), words(root), words(salt));
        same(status(unitId), UnitStatus.Verified, "verified");
        same(unitOf(unitId).auditor, auditor, "still its audit");
    }

    /// @notice An auditor that commits to another's commitment cannot reveal it: it names who made
    /// it.
    function test_attack_copiedAudit_cannotBeRevealed() public {
        JobId jobId = openJob(1, 1);
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        address auditor = unitOf(unitId).auditor;
        bytes32 workers = net.commitment(unitId, node(1), TRUTH);
        VM.prank(auditor);
        ledger.commitAudits(ids(unitId), words(workers));
        open(unitId, TRUTH);
        bytes32 root = net.unitRoot(unitId, TRUTH);
        bytes32 salt = net.salt(unitId, node(1));
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.WrongReveal.selector, unitId));
        ledger.revealAudits(ids(unitId), words(root), words(salt));
    }

    /// @notice A coordinator that takes a lease and commits nothing keeps others out for one lease;
    /// without a successor the submitter has everything back at the deadline.
    function test_attack_coordinatorThatNeverCommits_losesTheLease() public {
        JobId jobId = openJob(1, 1);
        (, uint64 expiresAt) = ledger.leaseOf(jobId);
        address successor = node(2);
        VM.expectRevert(
            abi.encodeWithSelector(IWorkLedger.LeaseHeld.selector, jobId, coordinator, expiresAt)
        );
        VM.prank(successor);
        ledger.takeLease(jobId);
        VM.warp(expiresAt);
        VM.prank(successor);
        ledger.takeLease(jobId);
        VM.warp(net.START() + 20_000);
        uint256 wealth = token.balanceOf(submitter);
        escrow.settle(jobId);
        same(
            token.balanceOf(submitter),
            wealth + escrow.jobs(jobId).deposited,
            "all of the deposit"
        );
    }

    /// @notice Neither who owns the parameters, nor who deployed, nor the treasury, nor a node moves
    /// a bond: the seat is the ledger's, given once, and there is nothing to upgrade.
    function test_attack_ownerDeployerTreasury_cannotMoveBonds() public {
        address[4] memory powers = [address(this), address(net), net.TREASURY(), node(2)];
        address victim = node(1);
        uint256 bonded = token.balanceOf(address(vault));
        for (uint256 i = 0; i < powers.length; ++i) {
            bytes memory reason = abi.encodeWithSelector(IBondVault.NotLedger.selector, powers[i]);
            VM.startPrank(powers[i]);
            VM.expectRevert(reason);
            vault.slash(victim, 1, new address[](0));
            VM.expectRevert(reason);
            vault.lock(victim, 1);
            VM.expectRevert(reason);
            vault.unlock(victim, 1);
            VM.expectRevert();
            vault.bind(powers[i], powers[i]);
            VM.expectRevert();
            ledger.bind(powers[i]);
            VM.expectRevert();
            token.transferFrom(address(vault), powers[i], 1);
            VM.stopPrank();
        }
        same(token.balanceOf(address(vault)), bonded, "all there");
        same(vault.bondOf(victim), net.BOND(), "its own");
    }

    function refuse(JobId jobId, ClaimedUnit memory claim, bytes32[] memory proof) private {
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.WrongClaims.selector, jobId, 0));
        VM.prank(address(0xC));
        ledger.challenge(jobId, 0, 0, claim, proof);
    }

    function unsigned(
        JobId jobId,
        uint32 slot,
        address worker
    ) private view returns (Claim memory claim) {
        UnitId unitId = ledger.slotUnit(jobId, 0, slot);
        (bytes32 resultRoot, ) = net.roots(unitId, TRUTH);
        bytes32 committed = net.commitment(unitId, worker, TRUTH);
        claim = Claim(slot, 0, worker, resultRoot, committed, "signed by its code");
    }
}
