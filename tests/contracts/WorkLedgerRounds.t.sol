// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobEscrow} from "../../contracts/interfaces/IJobEscrow.sol";
import {IWorkLedger} from "../../contracts/interfaces/IWorkLedger.sol";
import {JobId, UnitId} from "../../contracts/types/Identifiers.sol";
import {Job, JobStatus} from "../../contracts/types/Job.sol";
import {Claim, FinalizedRound, RoundState, Unit, UnitStatus} from "../../contracts/types/Work.sol";
import {Stage} from "./helpers/Stage.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice Leases, commitments and the end of a round.
contract WorkLedgerRoundsTest is Stage {
    JobId private jobId;

    function setUp() public {
        stage(6);
        jobId = openJob(2, 2);
    }

    /// @notice A lease excludes others until it expires, and its holder renews it.
    function test_takeLease_whileHeld_isRefusedToOthersAndRenewsForTheHolder() public {
        (address holder, uint64 expiresAt) = ledger.leaseOf(jobId);
        same(holder, coordinator, "holder");
        VM.prank(node(1));
        VM.expectRevert(
            abi.encodeWithSelector(IWorkLedger.LeaseHeld.selector, jobId, coordinator, expiresAt)
        );
        ledger.takeLease(jobId);
        net.pass(100);
        VM.prank(coordinator);
        ledger.takeLease(jobId);
        (, uint64 renewed) = ledger.leaseOf(jobId);
        same(renewed, expiresAt + 100, "renewed");
        net.pass(400);
        (holder, ) = ledger.leaseOf(jobId);
        same(holder, address(0), "expired");
        VM.prank(node(1));
        ledger.takeLease(jobId);
        (holder, ) = ledger.leaseOf(jobId);
        same(holder, node(1), "next holder");
    }

    /// @notice A holder that withdraws its bond loses the lease at once.
    function test_takeLease_holderUnbonds_isFreeAtOnce() public {
        VM.prank(coordinator);
        vault.requestUnbond(950 ether);
        (address holder, ) = ledger.leaseOf(jobId);
        same(holder, address(0), "free");
        VM.prank(node(1));
        ledger.takeLease(jobId);
    }

    /// @notice Who has no bond coordinates nothing.
    function test_takeLease_withoutBond_isRefused() public {
        net.pass(1_000);
        VM.prank(submitter);
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.NotActive.selector, submitter));
        ledger.takeLease(jobId);
    }

    /// @notice A job that nobody funded has no lease.
    function test_takeLease_unknownJob_isRefused() public {
        JobId unknown = JobId.wrap(keccak256("x"));
        VM.prank(node(1));
        VM.expectRevert(abi.encodeWithSelector(IJobEscrow.UnknownJob.selector, unknown));
        ledger.takeLease(unknown);
    }

    /// @notice A commitment stores the root of what it says.
    function test_commitRound_validClaim_storesItsRoot() public {
        UnitId unitId = commitOne(jobId, 0, 1, node(2), TRUTH);
        same(ledger.unit(unitId).status, UnitStatus.None, "nothing of the unit itself");
        check(batchOf(unitId).claimsRoot == leavesOf(jobId, 0, claimsOf(unitId))[0], "its root");
        Unit memory unit = unitOf(unitId);
        (bytes32 resultRoot, ) = net.roots(unitId, TRUTH);
        same(unit.worker, node(2), "worker");
        same(unit.slot, 1, "slot");
        same(unit.resultRoot, resultRoot, "result root");
        same(unit.status, UnitStatus.Committed, "status");
        check(unit.jobId == jobId, "job");
        check(ledger.roundStarted(jobId), "started");
        same(batchOf(unitId).drawBlock, VM.getBlockNumber() + 1, "draw block");
        same(uint256(batchOf(unitId).slotsBitmap), 2, "bitmap");
    }

    /// @notice Every illegal neighbour of a legal commitment is refused with its reason.
    function test_commitRound_illegalNeighbours_areRefused() public {
        UnitId unitId = ledger.slotUnit(jobId, 0, 0);
        Claim[] memory claims = new Claim[](1);
        claims[0] = net.claimOf(jobId, 0, 0, node(1), TRUTH);

        refuse(
            node(1),
            0,
            claims,
            abi.encodeWithSelector(IWorkLedger.NotLeaseHolder.selector, jobId, node(1), coordinator)
        );
        refuse(
            coordinator,
            1,
            claims,
            abi.encodeWithSelector(IWorkLedger.WrongRound.selector, jobId, 1, 0)
        );
        refuse(
            coordinator,
            0,
            new Claim[](0),
            abi.encodeWithSelector(IWorkLedger.BadCount.selector, 0, 2)
        );
        refuse(
            coordinator,
            0,
            new Claim[](3),
            abi.encodeWithSelector(IWorkLedger.BadCount.selector, 3, 2)
        );

        claims[0].slot = 2;
        refuse(coordinator, 0, claims, abi.encodeWithSelector(IWorkLedger.BadSlot.selector, 2, 2));
        claims[0].slot = 0;
        claims[0].attempt = 1;
        refuse(
            coordinator,
            0,
            claims,
            abi.encodeWithSelector(IWorkLedger.WrongAttempt.selector, 0, 1, 0)
        );
        claims[0].attempt = 0;
        (bytes32 kept, bytes32 zero) = (claims[0].resultRoot, bytes32(0));
        claims[0].resultRoot = zero;
        refuse(coordinator, 0, claims, abi.encodeWithSelector(IWorkLedger.ZeroValue.selector));
        claims[0].resultRoot = kept;
        claims[0].worker = submitter;
        refuse(
            coordinator,
            0,
            claims,
            abi.encodeWithSelector(IWorkLedger.NotActive.selector, submitter)
        );
        claims[0].worker = node(2);
        refuse(
            coordinator,
            0,
            claims,
            abi.encodeWithSelector(IWorkLedger.BadSignature.selector, unitId, node(2))
        );

        commitOne(jobId, 0, 0, node(1), TRUTH);
        claims[0].worker = node(1);
        refuse(
            coordinator,
            0,
            claims,
            abi.encodeWithSelector(IWorkLedger.SlotTaken.selector, unitId)
        );
    }

    /// @notice A coordinator cannot commit, and so not have slashed, what a worker did not sign.
    function testFuzz_commitRound_alteredCommitment_isRefused(bytes32 altered) public {
        Claim[] memory claims = new Claim[](1);
        claims[0] = net.claimOf(jobId, 0, 0, node(1), TRUTH);
        VM.assume(altered != claims[0].commitment && altered != 0);
        claims[0].commitment = altered;
        UnitId unitId = ledger.slotUnit(jobId, 0, 0);
        refuse(
            coordinator,
            0,
            claims,
            abi.encodeWithSelector(IWorkLedger.BadSignature.selector, unitId, node(1))
        );
    }

    /// @notice What was computed from another checkpoint, or given to an earlier coordinator, was not
    /// signed for this round.
    function test_commitRound_otherLineage_isRefused() public {
        UnitId unitId = ledger.slotUnit(jobId, 0, 0);
        Claim[] memory claims = new Claim[](1);
        claims[0] = net.claimOf(jobId, 0, 0, node(1), TRUTH);
        (bytes32 parent, uint32 epoch) = ledger.lineage(jobId, 0);
        same(parent, bytes32(0), "parent of the first round");
        same(uint256(epoch), 1, "first lease");
        bytes memory reason = abi.encodeWithSelector(
            IWorkLedger.BadSignature.selector,
            unitId,
            node(1)
        );
        (bytes32 root, bytes32 committed) = (claims[0].resultRoot, claims[0].commitment);
        bytes memory signed = claims[0].signature;
        bytes32 digest = ledger.claimDigest(unitId, keccak256("other"), epoch, root, committed);
        claims[0].signature = net.signature(node(1), digest);
        refuse(coordinator, 0, claims, reason);

        claims[0].signature = signed;
        net.pass(1_000);
        VM.prank(coordinator);
        ledger.takeLease(jobId);
        (, epoch) = ledger.lineage(jobId, 0);
        same(uint256(epoch), 1, "the same holder again");
        net.pass(1_000);
        VM.prank(node(3));
        ledger.takeLease(jobId);
        refuse(node(3), 0, claims, reason);
        claims[0] = net.claimOf(jobId, 0, 0, node(1), TRUTH);
        VM.prank(node(3));
        commit(jobId, 0, claims);
    }

    /// @notice Claims to a later round start from the checkpoint that was finalised before it, and a
    /// renewed lease is the same lease.
    function test_lineage_afterARound_namesItsCheckpoint() public {
        for (uint32 slot = 0; slot < 2; ++slot) {
            audit(drawn(jobId, 0, slot, node(1 + slot), TRUTH), TRUTH, TRUTH);
        }
        net.pass(31);
        finalize(jobId, 0);
        VM.prank(coordinator);
        ledger.takeLease(jobId);
        (bytes32 parent, uint32 epoch) = ledger.lineage(jobId, 1);
        same(parent, ledger.finalized(jobId, 0).checkpoint, "parent");
        check(parent != 0, "there is one");
        same(uint256(epoch), 1, "renewed, not taken");
        commitOne(jobId, 1, 0, node(1), TRUTH);
    }

    /// @notice One slot twice in one call is refused.
    function test_commitRound_duplicateSlot_isRefused() public {
        Claim[] memory claims = new Claim[](2);
        claims[0] = net.claimOf(jobId, 0, 0, node(1), TRUTH);
        claims[1] = claims[0];
        UnitId unitId = ledger.slotUnit(jobId, 0, 0);
        refuse(
            coordinator,
            0,
            claims,
            abi.encodeWithSelector(IWorkLedger.SlotTaken.selector, unitId)
        );
    }

    /// @notice The last batch that can be counted is taken, and under the last dissolution that can be; then
    /// the round takes no more. No test can wait for so many: the counts are written.
    function test_commitRound_asManyBatchesAsAreCounted_isTheLast() public {
        RoundState memory state = RoundState(type(uint16).max, type(uint16).max - 1, 0);
        _setState(state);
        commitOne(jobId, 0, 0, node(1), TRUTH);
        same(ledger.roundState(jobId, 0).batches, type(uint16).max, "the last one");
        bytes memory tooMany = abi.encodeWithSelector(
            IWorkLedger.TooManyBatches.selector,
            jobId,
            0
        );
        Claim[] memory claims = new Claim[](1);
        claims[0] = net.claimOf(jobId, 0, 1, node(2), TRUTH);
        refuse(coordinator, 0, claims, tooMany);
        (state.dissolutions, state.batches) = (uint32(type(uint16).max) + 1, 0);
        _setState(state);
        claims[0] = net.claimOf(jobId, 0, 1, node(2), TRUTH);
        refuse(coordinator, 0, claims, tooMany);
    }

    /// @notice No round starts after the deadline; a started one may be completed for a while.
    function test_commitRound_afterDeadline_onlyStartedRoundGoesOn() public {
        JobId other = openJob(1, 2);
        commitOne(jobId, 0, 0, node(1), TRUTH);
        net.pass(10_000);
        VM.startPrank(coordinator);
        ledger.takeLease(jobId);
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.JobNotOpen.selector, other));
        ledger.takeLease(other);
        VM.stopPrank();
        commitOne(jobId, 0, 1, node(1), TRUTH);
    }

    /// @notice The draw is not known before its block is over, and is fixed once.
    function test_captureDraw_tooEarlyOrTwice_isRefused() public {
        commitOne(jobId, 0, 0, node(1), TRUTH);
        uint256 block0 = VM.getBlockNumber();
        VM.expectRevert(
            abi.encodeWithSelector(IWorkLedger.DrawTooEarly.selector, block0 + 1, block0)
        );
        ledger.captureDraw(jobId, 0, 0, claimsAt(jobId, 0, 0));
        net.nextBlock();
        VM.expectRevert(
            abi.encodeWithSelector(IWorkLedger.DrawTooEarly.selector, block0 + 1, block0 + 1)
        );
        ledger.captureDraw(jobId, 0, 0, claimsAt(jobId, 0, 0));
        net.nextBlock();
        ledger.captureDraw(jobId, 0, 0, claimsAt(jobId, 0, 0));
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.AlreadyCaptured.selector, jobId, 0, 0));
        ledger.captureDraw(jobId, 0, 0, claimsAt(jobId, 0, 0));
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.UnknownBatch.selector, jobId, 0, 1));
        ledger.captureDraw(jobId, 0, 1, claimsAt(jobId, 0, 1));
    }

    /// @notice Its own draw, captured, is a sign of life of the coordinator, a stranger's call is none.
    function test_captureDraw_byTheHolder_renewsItsLease() public {
        commitOne(jobId, 0, 0, node(1), TRUTH);
        commitOne(jobId, 0, 1, node(1), TRUTH);
        net.pass(24);
        (, uint64 until) = ledger.leaseOf(jobId);
        VM.prank(node(2));
        ledger.captureDraw(jobId, 0, 0, claimsAt(jobId, 0, 0));
        (, uint64 afterwards) = ledger.leaseOf(jobId);
        same(afterwards, until, "a stranger's");
        VM.prank(coordinator);
        ledger.captureDraw(jobId, 0, 1, claimsAt(jobId, 0, 1));
        (, afterwards) = ledger.leaseOf(jobId);
        same(afterwards, VM.getBlockTimestamp() + 400, "its own");
    }

    /// @notice A round ends only when every slot has a unit beyond challenge, and then pays exactly
    /// what they earned.
    function test_finalizeRound_allVerified_paysWorkersAndAuditors() public {
        UnitId first = drawn(jobId, 0, 0, node(1), TRUTH);
        refuseFinal(first, UnitStatus.Drawn, unitOf(first).deadline);
        audit(first, TRUTH, TRUTH);
        refuseFinal(first, UnitStatus.Verified, unitOf(first).deadline);
        net.pass(31);
        UnitId second = ledger.slotUnit(jobId, 0, 1);
        refuseFinal(second, UnitStatus.None, 0);
        drawn(jobId, 0, 1, node(1), TRUTH);
        audit(second, TRUTH, TRUTH);
        net.pass(31);

        VM.recordLogs();
        finalize(jobId, 0);
        (address[] memory accounts, uint256[] memory amounts) = recordedRewards();
        Job memory job = escrow.jobs(jobId);
        FinalizedRound memory round = ledger.finalized(jobId, 0);
        same(accounts[0], node(1), "one line for the worker of both slots");
        same(amounts[0], 2 * uint256(job.terms.unitWei), "its pay");
        uint256 total = 0;
        for (uint256 i = 0; i < amounts.length; ++i) {
            total += amounts[i];
            same(distributor.creditOf(token, accounts[i]), amounts[i], "credited");
        }
        same(total, 2 * (uint256(job.terms.unitWei) + job.auditWei), "two units, two audits");
        same(round.checkpoint, keccak256("checkpoint"), "checkpoint");
        same(round.checkpointBlobRoot, keccak256("checkpoint blob"), "its blob");
        same(round.checkpointSize, 99, "and its size");
        same(token.balanceOf(address(distributor)), total, "moved");
        same(job.paid, total, "paid");
        same(job.fees, (total * job.feeBps) / 10_000, "fee");
        same(ledger.openRound(jobId), 1, "next round");
        VM.prank(coordinator);
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.WrongRound.selector, jobId, 0, 1));
        ledger.finalizeRound(jobId, 0, keccak256("c"), keccak256("b"), 1, roundClaims(jobId, 0));
    }

    /// @notice Only the coordinator names the checkpoint, and it names one.
    function test_finalizeRound_strangerOrZeroCheckpoint_isRefused() public {
        bytes memory reason = abi.encodeWithSelector(
            IWorkLedger.NotLeaseHolder.selector,
            jobId,
            submitter,
            coordinator
        );
        VM.prank(submitter);
        VM.expectRevert(reason);
        ledger.finalizeRound(jobId, 0, keccak256("c"), keccak256("b"), 1, roundClaims(jobId, 0));
        VM.prank(coordinator);
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.ZeroValue.selector));
        ledger.finalizeRound(jobId, 0, 0, keccak256("b"), 1, roundClaims(jobId, 0));
        VM.prank(coordinator);
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.ZeroValue.selector));
        ledger.finalizeRound(jobId, 0, keccak256("c"), 0, 1, roundClaims(jobId, 0));
        VM.prank(coordinator);
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.ZeroValue.selector));
        ledger.finalizeRound(jobId, 0, keccak256("c"), keccak256("b"), 0, roundClaims(jobId, 0));
    }

    /// @notice The last round completes the job, and the rest goes back.
    function test_finalizeRound_lastRound_completesTheJob() public {
        for (uint32 round = 0; round < 2; ++round) {
            for (uint32 slot = 0; slot < 2; ++slot) {
                UnitId unitId = drawn(jobId, round, slot, node(1 + slot), TRUTH);
                audit(unitId, TRUTH, TRUTH);
            }
            net.pass(31);
            finalize(jobId, round);
        }
        check(escrow.jobs(jobId).status == JobStatus.Completed, "completed");
        VM.prank(coordinator);
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.JobNotOpen.selector, jobId));
        ledger.takeLease(jobId);
        escrow.settle(jobId);
        same(escrow.heldOf(jobId), 0, "nothing held");
    }

    /// @notice A round of 64 slots, all drawn and all audited, fits the gas of a transaction at
    /// every step (EIP-7825; calldata, at most 0.5M more, is left 1M).
    function test_largestRound_everyStep_fitsATransaction() public {
        uint256 max = 16_777_216 - 1_000_000;
        jobId = openJob(1, 64);
        Claim[] memory claims = new Claim[](64);
        for (uint32 slot = 0; slot < 64; ++slot) {
            claims[slot] = net.claimOf(jobId, 0, slot, node(slot % 6), TRUTH);
        }
        for (uint256 i = 0; i < 6; ++i) {
            cover(node(i), 11);
        }
        VM.prank(coordinator);
        uint256 gas = gasleft();
        commit(jobId, 0, claims);
        check(gas - gasleft() < max, "commitRound");
        net.pass(24);
        gas = gasleft();
        ledger.captureDraw(jobId, 0, 0, claimsAt(jobId, 0, 0));
        check(gas - gasleft() < max, "captureDraw");
        for (uint32 slot = 0; slot < 64; ++slot) {
            audit(ledger.slotUnit(jobId, 0, slot), TRUTH, TRUTH);
        }
        net.pass(31);
        VM.prank(coordinator);
        gas = gasleft();
        ledger.finalizeRound(jobId, 0, keccak256("c"), keccak256("b"), 1, roundClaims(jobId, 0));
        check(gas - gasleft() < max, "finalizeRound");
    }

    /// @dev Writes what the ledger says of round 0.
    function _setState(RoundState memory state) private {
        bytes32 word = bytes32(
            (uint256(state.claimedBitmap) << 48) |
                (uint256(state.batches) << 32) |
                state.dissolutions
        );
        bytes32 place = keccak256(abi.encode(jobId, uint256(2)));
        VM.store(address(ledger), keccak256(abi.encode(uint256(0), place)), word);
        RoundState memory found = ledger.roundState(jobId, 0);
        same(found.batches, state.batches, "batches are there");
        same(found.dissolutions, state.dissolutions, "dissolutions are there");
    }

    function refuse(
        address caller,
        uint32 round,
        Claim[] memory claims,
        bytes memory reason
    ) private {
        VM.prank(caller);
        VM.expectRevert(reason);
        ledger.commitRound(jobId, round, claims);
    }

    function refuseFinal(UnitId unitId, UnitStatus found, uint64 deadline) private {
        VM.prank(coordinator);
        VM.expectRevert(
            abi.encodeWithSelector(IWorkLedger.SlotNotFinal.selector, unitId, found, deadline)
        );
        ledger.finalizeRound(jobId, 0, keccak256("c"), keccak256("b"), 1, roundClaims(jobId, 0));
    }
}
