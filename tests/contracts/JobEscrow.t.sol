// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobEscrow} from "../../contracts/interfaces/IJobEscrow.sol";
import {JobId, UnitId} from "../../contracts/types/Identifiers.sol";
import {Job, JobStatus, JobTerms} from "../../contracts/types/Job.sol";
import {Stage} from "./helpers/Stage.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice Deposits and refunds.
contract JobEscrowTest is Stage {
    function setUp() public {
        stage(4);
    }

    /// @notice The deposit is the quote, and covers every round at its dearest.
    function testFuzz_fund_anyTerms_depositCoversEveryRound(
        uint32 rounds,
        uint32 slots,
        uint128 unitWei
    ) public {
        JobTerms memory terms = net.terms(1 + (rounds % 50), 1 + (slots % 64));
        terms.unitWei = 1 + (unitWei % 100 ether);
        uint256 depositWei = escrow.quote(terms);
        VM.prank(submitter);
        JobId jobId = escrow.fund(terms);
        same(escrow.heldOf(jobId), depositWei, "held");
        same(token.balanceOf(address(escrow)), depositWei, "deposited");
        Job memory job = escrow.jobs(jobId);
        uint256 roundWei = uint256(terms.slots) * (uint256(terms.unitWei) + job.auditWei);
        for (uint32 round = 0; round < terms.rounds; ++round) {
            VM.prank(address(ledger));
            escrow.payRound(jobId, round, earner(), one(roundWei));
        }
        job = escrow.jobs(jobId);
        check(job.status == JobStatus.Completed, "completed");
        same(job.paid, roundWei * terms.rounds, "paid");
        check(
            escrow.heldOf(jobId) < job.dataWei + terms.rounds,
            "dust of the fees, and the data deposit"
        );
        escrow.settle(jobId);
        same(token.balanceOf(address(escrow)), 0, "empty");
    }

    /// @notice The greatest job there can be does not overflow.
    function test_quote_greatestTerms_fits() public view {
        JobTerms memory terms = net.terms(1_000_000, 64);
        terms.unitWei = type(uint128).max;
        check(escrow.quote(terms) > uint256(type(uint128).max) * 64_000_000, "fits");
    }

    /// @notice Every bound on the terms holds at its edge.
    function test_fund_illegalTerms_areRefused() public {
        JobTerms memory terms = net.terms(1, 1);
        terms.manifestDigest = 0;
        refuse(
            terms,
            abi.encodeWithSelector(IJobEscrow.BadManifest.selector, 0, terms.manifestRoot, 777)
        );
        terms = net.terms(0, 1);
        refuse(terms, abi.encodeWithSelector(IJobEscrow.BadRounds.selector, 0, 1_000_000));
        terms = net.terms(1_000_001, 1);
        refuse(terms, abi.encodeWithSelector(IJobEscrow.BadRounds.selector, 1_000_001, 1_000_000));
        terms = net.terms(1, 0);
        refuse(terms, abi.encodeWithSelector(IJobEscrow.BadSlots.selector, 0, 64));
        terms = net.terms(1, 65);
        refuse(terms, abi.encodeWithSelector(IJobEscrow.BadSlots.selector, 65, 64));
        terms = net.terms(1, 1);
        terms.unitFlops = 2 ** 62 + 1;
        refuse(terms, abi.encodeWithSelector(IJobEscrow.BadFlops.selector, 2 ** 62 + 1, 2 ** 62));
        terms = net.terms(1, 1);
        terms.unitWei = 0;
        refuse(terms, abi.encodeWithSelector(IJobEscrow.BadPrice.selector, 0));
        uint256 time = VM.getBlockTimestamp();
        terms = net.terms(1, 1);
        terms.deadline = uint64(time);
        refuse(
            terms,
            abi.encodeWithSelector(IJobEscrow.BadDeadline.selector, time, time, time + 366 days)
        );
        terms.deadline = uint64(time + 366 days + 1);
        refuse(
            terms,
            abi.encodeWithSelector(
                IJobEscrow.BadDeadline.selector,
                terms.deadline,
                time,
                time + 366 days
            )
        );
    }

    /// @notice Two jobs with the same terms are two jobs.
    function test_fund_sameTermsTwice_areTwoJobs() public {
        JobTerms memory terms = net.terms(1, 1);
        VM.startPrank(submitter);
        JobId first = escrow.fund(terms);
        JobId second = escrow.fund(terms);
        VM.stopPrank();
        check(first != second, "different");
        same(escrow.jobCount(), 2, "count");
        check(escrow.jobIdAt(1) == second, "enumerable");
    }

    /// @notice A job that nobody started is refunded whole, at once.
    function test_cancel_nothingStarted_refundsAll() public {
        uint256 wealth = token.balanceOf(submitter);
        JobId jobId = openJob(3, 2);
        VM.expectRevert(
            abi.encodeWithSelector(IJobEscrow.NotSubmitter.selector, jobId, address(this))
        );
        escrow.cancel(jobId);
        VM.prank(submitter);
        escrow.cancel(jobId);
        same(token.balanceOf(submitter), wealth, "whole");
        VM.prank(submitter);
        VM.expectRevert(abi.encodeWithSelector(IJobEscrow.NotCancellable.selector, jobId));
        escrow.cancel(jobId);
        VM.expectRevert(abi.encodeWithSelector(IJobEscrow.AlreadySettled.selector, jobId));
        escrow.settle(jobId);
        check(!escrow.acceptsWork(jobId, true), "closed");
    }

    /// @notice A started round stays paid for after a cancellation, and only that.
    function test_cancel_roundStarted_keepsItsPrice() public {
        JobId jobId = openJob(3, 1);
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        VM.prank(submitter);
        escrow.cancel(jobId);
        Job memory job = escrow.jobs(jobId);
        uint256 roundWei = uint256(job.terms.unitWei) + job.auditWei;
        uint256 kept = roundWei + (roundWei * job.feeBps) / 10_000 + job.dataWei;
        same(escrow.heldOf(jobId), kept, "kept");
        uint256 earliest = escrow.settleableAt(jobId);
        same(earliest, VM.getBlockTimestamp() + parameters.exposureS() + 400, "time to finish");
        VM.expectRevert(
            abi.encodeWithSelector(IJobEscrow.NotYetSettleable.selector, jobId, earliest)
        );
        escrow.settle(jobId);
        audit(unitId, TRUTH, TRUTH);
        net.pass(31);
        finalize(jobId, 0);
        same(escrow.jobs(jobId).paid, roundWei, "earned");
        check(!escrow.acceptsWork(jobId, false), "no further round");
        escrow.settle(jobId);
        same(token.balanceOf(address(escrow)), 0, "empty");
    }

    /// @notice Where every round is started a cancellation gives nothing back, and tells of no refund.
    function test_cancel_lastRoundStarted_refundsNothing() public {
        JobId jobId = openJob(1, 1);
        commitOne(jobId, 0, 0, node(1), TRUTH);
        uint256 wealth = token.balanceOf(submitter);
        VM.recordLogs();
        VM.prank(submitter);
        escrow.cancel(jobId);
        same(VM.getRecordedLogs().length, 1, "cancelled, nothing else");
        same(token.balanceOf(submitter), wealth, "nothing");
        check(escrow.jobs(jobId).status == JobStatus.Cancelled, "cancelled");
    }

    /// @notice What is complete, settled or both cannot be cancelled.
    function test_cancel_completedOrSettled_isRefused() public {
        (JobId complete, JobId expired) = (openJob(1, 1), openJob(1, 1));
        VM.prank(address(ledger));
        escrow.payRound(complete, 0, earner(), one(1));
        refuseCancel(complete);
        escrow.settle(complete);
        refuseCancel(complete);
        VM.warp(escrow.jobs(expired).terms.deadline);
        escrow.settle(expired);
        refuseCancel(expired);
    }

    /// @notice After the deadline, work that nobody finalised is refunded; nothing is locked for
    /// ever.
    function test_settle_openRoundNeverFinalised_refundsAll() public {
        uint256 wealth = token.balanceOf(submitter);
        JobId jobId = openJob(2, 1);
        drawn(jobId, 0, 0, node(1), TRUTH);
        uint256 earliest = escrow.settleableAt(jobId);
        VM.warp(earliest - 1);
        VM.expectRevert(
            abi.encodeWithSelector(IJobEscrow.NotYetSettleable.selector, jobId, earliest)
        );
        escrow.settle(jobId);
        VM.warp(earliest);
        VM.prank(node(3));
        escrow.settle(jobId);
        same(token.balanceOf(submitter), wealth, "whole");
        VM.prank(address(ledger));
        VM.expectRevert(abi.encodeWithSelector(IJobEscrow.AlreadySettled.selector, jobId));
        escrow.payRound(jobId, 0, earner(), one(1));
    }

    /// @notice A job without a started round closes at its deadline.
    function test_settle_nothingStarted_closesAtTheDeadline() public {
        JobId jobId = openJob(2, 1);
        uint256 deadline = escrow.jobs(jobId).terms.deadline;
        VM.expectRevert(
            abi.encodeWithSelector(IJobEscrow.NotYetSettleable.selector, jobId, deadline)
        );
        escrow.settle(jobId);
        VM.warp(deadline);
        check(escrow.jobs(jobId).status == JobStatus.Expired, "expired");
        escrow.settle(jobId);
        same(token.balanceOf(address(escrow)), 0, "empty");
    }

    /// @notice Only the ledger pays, in order, not more than a round costs.
    function test_payRound_illegalNeighbours_areRefused() public {
        JobId jobId = openJob(2, 2);
        Job memory job = escrow.jobs(jobId);
        uint256 roundWei = 2 * (uint256(job.terms.unitWei) + job.auditWei);
        VM.expectRevert(abi.encodeWithSelector(IJobEscrow.NotLedger.selector, address(this)));
        escrow.payRound(jobId, 0, earner(), one(1));
        VM.startPrank(address(ledger));
        VM.expectRevert(abi.encodeWithSelector(IJobEscrow.WrongRound.selector, jobId, 1, 0));
        escrow.payRound(jobId, 1, earner(), one(1));
        VM.expectRevert(
            abi.encodeWithSelector(
                IJobEscrow.PaymentTooHigh.selector,
                jobId,
                roundWei + 1,
                roundWei
            )
        );
        escrow.payRound(jobId, 0, earner(), one(roundWei + 1));
        escrow.payRound(jobId, 0, earner(), one(roundWei));
        escrow.payRound(jobId, 1, earner(), one(roundWei));
        // Whatever the ledger says: the last round is the last, and others' deposits are theirs.
        VM.expectRevert(abi.encodeWithSelector(IJobEscrow.WrongRound.selector, jobId, 2, 2));
        escrow.payRound(jobId, 2, earner(), one(1));
        VM.stopPrank();
    }

    /// @notice The dearest round there can be, of 64 slots and 128 accounts that never earned before.
    function test_gas_payRound_128newAccounts_fits() public {
        JobTerms memory terms = net.terms(1, 64);
        VM.prank(submitter);
        JobId jobId = escrow.fund(terms);
        address[] memory accounts = new address[](128);
        uint256[] memory amounts = new uint256[](128);
        for (uint256 i = 0; i < 128; ++i) {
            (accounts[i], amounts[i]) = (address(uint160(0xE000 + i)), terms.unitWei / 2);
        }
        VM.prank(address(ledger));
        uint256 gas = gasleft();
        escrow.payRound(jobId, 0, accounts, amounts);
        gas -= gasleft();
        check(gas > 5_600_000, "two new words for each");
        check(gas < 6_500_000, "and little more");
    }

    /// @notice The seats are given once, by the deployer, to somebody.
    function test_bind_strangerOrTwice_isRefused() public {
        VM.expectRevert(abi.encodeWithSelector(IJobEscrow.NotDeployer.selector, address(this)));
        escrow.bind(address(1), address(2), address(3));
        VM.prank(address(net));
        VM.expectRevert(
            abi.encodeWithSelector(
                IJobEscrow.BadBinding.selector,
                address(1),
                address(2),
                address(3)
            )
        );
        escrow.bind(address(1), address(2), address(3));
    }

    /// @notice There is no price for what cannot be funded.
    function test_quote_illegalTerms_isRefused() public {
        JobTerms memory terms = net.terms(1, 65);
        VM.expectRevert(abi.encodeWithSelector(IJobEscrow.BadSlots.selector, 65, 64));
        escrow.quote(terms);
    }

    /// @notice None of the three seats may be empty.
    function test_bind_emptySeat_isRefused() public {
        IJobEscrow fresh = IJobEscrow(
            net.deploy("JobEscrow", abi.encode(address(token), address(parameters)))
        );
        address[3] memory seats = [address(1), address(2), address(3)];
        for (uint256 i = 0; i < 3; ++i) {
            (address seat_, address none) = (seats[i], address(0));
            seats[i] = none;
            VM.expectRevert(
                abi.encodeWithSelector(IJobEscrow.BadBinding.selector, seats[0], seats[1], seats[2])
            );
            VM.prank(address(net));
            fresh.bind(seats[0], seats[1], seats[2]);
            seats[i] = seat_;
        }
        VM.prank(address(net));
        fresh.bind(seats[0], seats[1], seats[2]);
    }

    function refuseCancel(JobId jobId) private {
        VM.expectRevert(abi.encodeWithSelector(IJobEscrow.NotCancellable.selector, jobId));
        VM.prank(submitter);
        escrow.cancel(jobId);
    }

    function refuse(JobTerms memory terms, bytes memory reason) private {
        VM.prank(submitter);
        VM.expectRevert(reason);
        escrow.fund(terms);
    }
}
