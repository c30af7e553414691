// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobEscrow} from "../../contracts/interfaces/IJobEscrow.sol";
import {Hashes} from "../../contracts/libraries/Hashes.sol";
import {JobId, UnitId} from "../../contracts/types/Identifiers.sol";
import {Job, JobStatus, JobTerms} from "../../contracts/types/Job.sol";
import {UnitStatus} from "../../contracts/types/Work.sol";
import {Stage} from "./helpers/Stage.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice The verdict that a job's data was not to be had, and the attacks on it.
contract InputUnavailableTest is Stage {
    JobId private jobId;

    function setUp() public {
        stage(8);
        jobId = openJob(20, 1);
    }

    /// @notice The formula, for any price: worker, auditor, jurors, fire, in this order, to the wei.
    function testFuzz_charge_anyTerms_paysByTheFormula(
        uint32 rounds,
        uint32 slots,
        uint128 unitWei,
        uint8 jurors
    ) public {
        JobTerms memory terms = net.terms(1 + (rounds % 50), 1 + (slots % 64));
        terms.unitWei = 1 + (unitWei % 100 ether);
        VM.prank(submitter);
        jobId = escrow.fund(terms);
        Job memory job = escrow.jobs(jobId);
        uint256 price =
            uint256(terms.rounds) * terms.slots * (uint256(terms.unitWei) + job.auditWei);
        same(job.dataWei, (price * 1_000 + 9_999) / 10_000, "a share of the price, rounded up");
        address[] memory voters = new address[](jurors % 4);
        for (uint256 i = 0; i < voters.length; ++i) {
            voters[i] = address(uint160(0xC0 + i));
        }
        (uint256 supply, uint256 left) = (token.totalSupply(), job.dataWei);
        VM.prank(address(ledger));
        escrow.chargeData(jobId, address(0xA), address(0xB), voters);
        same(credit(address(0xA)), least(terms.unitWei, left), "worker");
        left -= least(terms.unitWei, left);
        same(credit(address(0xB)), least(job.auditWei, left), "auditor");
        left -= least(job.auditWei, left);
        for (uint256 i = 0; i < voters.length; ++i) {
            same(credit(voters[i]), least(job.auditWei, left / voters.length), "juror");
        }
        if (voters.length != 0) left -= voters.length * least(job.auditWei, left / voters.length);
        same(token.totalSupply(), supply - left, "the rest burned");
        conserves();
        escrow.settle(jobId);
        conserves();
        same(token.balanceOf(address(escrow)), openJobsWei(), "nothing of it stays");
    }

    /// @notice A submitter that serves data to the worker only: no worker and no auditor is blamed, its
    /// deposit pays them and the jurors, no further round starts, the rest goes back.
    function test_attack_submitterServesTheWorkerOnly_itsDepositPays() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        audit(unitId, TRUTH, MISSING);
        address auditor = unitOf(unitId).auditor;
        Job memory job = escrow.jobs(jobId);
        uint256 wealth = token.balanceOf(submitter);
        address[] memory jurors = decide(unitId, MISSING, MISSING, TRUTH);
        same(status(unitId), UnitStatus.Voided, "void");
        same(vault.bondOf(node(1)), net.BOND(), "worker whole");
        same(vault.bondOf(auditor), net.BOND(), "auditor whole");
        same(credit(node(1)), job.terms.unitWei, "worker's price");
        same(credit(auditor), job.auditWei, "auditor's pay");
        check(credit(jurors[0]) > credit(jurors[2]), "jurors of the verdict only");
        job = escrow.jobs(jobId);
        check(job.status == JobStatus.InputUnavailable, "ended");
        same(job.charged, job.dataWei, "charged whole");
        check(!escrow.acceptsWork(jobId, false), "no further round");
        check(escrow.acceptsWork(jobId, true), "the started one may still be earned");
        VM.warp(escrow.settleableAt(jobId));
        escrow.settle(jobId);
        same(token.balanceOf(submitter), wealth + job.deposited - job.charged, "the rest back");
        same(token.balanceOf(address(escrow)), 0, "empty");
    }

    /// @notice Auditor and worker who blame an honest submitter need most of a committee: the jury
    /// that has the data upholds the unit, and the auditor is slashed.
    function test_attack_auditorAndWorkerBlameTheSubmitter_juryUpholds() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        audit(unitId, TRUTH, MISSING);
        address auditor = unitOf(unitId).auditor;
        decide(unitId, TRUTH, TRUTH, MISSING);
        same(status(unitId), UnitStatus.Verified, "stands");
        same(vault.bondOf(auditor), net.BOND() - unitLock(), "lying auditor slashed");
        same(escrow.jobs(jobId).charged, 0, "submitter whole");
        check(escrow.acceptsWork(jobId, false), "the job goes on");
    }

    /// @notice One vote short of a majority the unit is void and the submitter whole.
    function test_attack_minorityOfJurors_chargesNothing() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        audit(unitId, TRUTH, MISSING);
        decide(unitId, MISSING, LIE, TRUTH);
        same(status(unitId), UnitStatus.Voided, "void");
        same(escrow.jobs(jobId).charged, 0, "nothing charged");
        same(vault.bondOf(unitOf(unitId).auditor), net.BOND(), "nobody slashed");
    }

    /// @notice A lie is a lie: the accusation does not save a worker whose root the jury refutes.
    function test_attack_workerLiesBehindMissingData_isSlashed() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), LIE);
        audit(unitId, LIE, MISSING);
        decide(unitId, TRUTH, TRUTH, MISSING);
        same(status(unitId), UnitStatus.Faulted, "faulted");
        same(vault.bondOf(node(1)), net.BOND() - unitLock(), "slashed");
        same(escrow.jobs(jobId).charged, 0, "nothing charged");
    }

    /// @notice A second verdict, in the same round, charges nothing more and slashes nobody.
    function test_attack_chargingTwice_chargesOnce() public {
        jobId = openJob(20, 2);
        UnitId first = drawn(jobId, 0, 0, node(1), TRUTH);
        UnitId second = drawn(jobId, 0, 1, node(2), TRUTH);
        audit(first, TRUTH, MISSING);
        audit(second, TRUTH, MISSING);
        decide(first, MISSING, MISSING, MISSING);
        (uint256 charged, uint256 wealth) = (escrow.jobs(jobId).charged, credit(node(2)));
        decide(second, MISSING, MISSING, MISSING);
        same(status(second), UnitStatus.Voided, "void");
        same(escrow.jobs(jobId).charged, charged, "once");
        check(credit(node(2)) <= wealth + 3 ether, "no second compensation");
        conserves();
    }

    /// @notice A verdict after the books are closed ends the dispute and moves no money.
    function test_attack_chargingAfterSettle_movesNothing() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        audit(unitId, TRUTH, MISSING);
        VM.warp(escrow.settleableAt(jobId));
        escrow.settle(jobId);
        uint256 supply = token.totalSupply();
        decide(unitId, MISSING, MISSING, MISSING);
        same(status(unitId), UnitStatus.Voided, "void");
        same(escrow.jobs(jobId).charged, 0, "nothing charged");
        same(token.totalSupply(), supply, "nothing burned");
        conserves();
    }

    /// @notice A submitter that cancels while a unit is disputed does not save its data deposit.
    function test_attack_cancelBeforeTheVerdict_isChargedAllTheSame() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        audit(unitId, TRUTH, MISSING);
        VM.prank(submitter);
        escrow.cancel(jobId);
        decide(unitId, MISSING, MISSING, MISSING);
        Job memory job = escrow.jobs(jobId);
        same(job.charged, job.dataWei, "charged");
        VM.warp(escrow.settleableAt(jobId));
        escrow.settle(jobId);
        conserves();
        same(token.balanceOf(address(escrow)), 0, "empty");
    }

    /// @notice After the charge the submitter cannot cancel, nor end the started round early.
    function test_cancel_afterTheCharge_isRefused() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        audit(unitId, TRUTH, MISSING);
        decide(unitId, MISSING, MISSING, MISSING);
        VM.prank(submitter);
        VM.expectRevert(abi.encodeWithSelector(IJobEscrow.NotCancellable.selector, jobId));
        escrow.cancel(jobId);
    }

    /// @notice Whoever finds the data after all may finish the started round; it is paid, and no other.
    function test_charge_startedRoundFinishedAllTheSame_isPaid() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        audit(unitId, TRUTH, MISSING);
        decide(unitId, MISSING, MISSING, MISSING);
        VM.prank(coordinator);
        ledger.takeLease(jobId);
        unitId = drawn(jobId, 0, 0, node(2), TRUTH);
        audit(unitId, TRUTH, TRUTH);
        net.pass(31);
        finalize(jobId, 0);
        check(escrow.jobs(jobId).paid != 0, "paid");
        escrow.settle(jobId);
        conserves();
        same(token.balanceOf(address(escrow)), 0, "empty");
    }

    /// @notice A challenger that is right about missing data gets its deposit back, no more; an auditor
    /// that had the data and agreed is not slashed.
    function test_challenge_dataVanishedSince_returnsTheDeposit() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        audit(unitId, TRUTH, TRUTH);
        address auditor = unitOf(unitId).auditor;
        address challenger = node(1) == node(7) || auditor == node(7) ? node(6) : node(7);
        uint256 wealth = token.balanceOf(challenger);
        VM.prank(challenger);
        challenge(unitId);
        decide(unitId, MISSING, MISSING, MISSING);
        same(token.balanceOf(address(ledger)), 0, "deposit left");
        check(token.balanceOf(challenger) >= wealth, "returned");
        same(vault.bondOf(auditor), net.BOND(), "auditor whole");
        same(vault.bondOf(node(1)), net.BOND(), "worker whole");
    }

    /// @notice Silence stays the worker's own fault, for opening needs no data; no bounty is paid.
    function test_verdict_silentWorker_isFaultedWithoutBounty() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        VM.warp(unitOf(unitId).deadline + 1);
        for (uint256 i = 0; i < 4; ++i) {
            ledger.expire(unitId);
            VM.warp(unitOf(unitId).deadline + 1);
            if (status(unitId) == UnitStatus.Passed) break;
        }
        VM.warp(unitOf(unitId).deadline);
        address challenger = node(7) == unitOf(unitId).auditor ? node(6) : node(7);
        VM.prank(challenger);
        challenge(unitId);
        address[] memory jurors = seat(unitId);
        uint256 bond = vault.bondOf(node(1));
        for (uint256 i = 0; i < 3; ++i) {
            vote(unitId, jurors[i], MISSING);
        }
        for (uint256 i = 0; i < 3; ++i) {
            revealVote(unitId, jurors[i], MISSING);
        }
        VM.warp(committee.dispute(unitId).revealDeadline + 1);
        uint256 supply = token.totalSupply();
        committee.resolve(unitId);
        Job memory job = escrow.jobs(jobId);
        uint256 paid = 3 * uint256(job.auditWei);
        same(supply - token.totalSupply(), job.dataWei - paid + unitLock(), "nobody has its price");
        same(status(unitId), UnitStatus.Faulted, "faulted");
        same(vault.bondOf(node(1)), bond - unitLock(), "slashed");
        same(credit(node(1)), 0, "no price");
    }

    /// @notice Nobody but the ledger charges; a job that nobody funded cannot be.
    function test_charge_strangerOrUnknown_isRefused() public {
        VM.expectRevert(abi.encodeWithSelector(IJobEscrow.NotLedger.selector, address(this)));
        escrow.chargeData(jobId, address(1), address(2), new address[](0));
        JobId unknown = JobId.wrap(keccak256("unknown"));
        VM.prank(address(ledger));
        VM.expectRevert(abi.encodeWithSelector(IJobEscrow.UnknownJob.selector, unknown));
        escrow.chargeData(unknown, address(1), address(2), new address[](0));
    }

    /// @notice The reserved root is a hash of another kind than unit roots, and the documented one.
    function test_reservedRoot_isTheDocumentedConstant() public pure {
        check(
            Hashes.INPUT_UNAVAILABLE == keccak256(bytes("ainur.input-unavailable")),
            "docs/spec/protocol.md"
        );
    }

    function conserves() private view {
        Job memory job = escrow.jobs(jobId);
        same(
            job.deposited,
            job.paid + job.fees + job.refunded + job.charged + escrow.heldOf(jobId),
            "conservation"
        );
    }

    /// @dev What the escrow holds for the jobs that are not settled.
    function openJobsWei() private view returns (uint256 held) {
        for (uint256 i = 0; i < escrow.jobCount(); ++i) {
            held += escrow.heldOf(escrow.jobIdAt(i));
        }
    }

    /// @dev What an account can claim: nobody is paid by a verdict itself.
    function credit(address account) private view returns (uint256) {
        return distributor.creditOf(token, account);
    }

    function least(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}
