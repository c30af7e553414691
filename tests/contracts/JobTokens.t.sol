// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IJobEscrow} from "../../contracts/interfaces/IJobEscrow.sol";
import {JobId, UnitId} from "../../contracts/types/Identifiers.sol";
import {Job, JobStatus, JobTerms} from "../../contracts/types/Job.sol";
import {Parameter} from "../../contracts/types/Parameter.sol";
import {PlainToken, QuietToken} from "./helpers/Tokens.sol";
import {TokenStage} from "./helpers/TokenStage.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice Jobs that are paid in a token of the list.
contract JobTokensTest is TokenStage {
    PlainToken private other;

    function setUp() public {
        stage(7);
        other = new PlainToken();
        accept(other);
    }

    /// @notice From the deposit to the last claim: everything is in the token, the fee is the
    /// treasury's, nothing is burned and nothing emitted, and no AIN moves but for locks.
    function test_job_inAnotherToken_isPaidInIt() public {
        uint256 supply = token.totalSupply();
        JobTerms memory terms = termsIn(other, 1, 3);
        uint256 depositWei = escrow.quote(terms);
        JobId jobId = finishedOf(terms, submitter);
        same(address(escrow.tokenOf(jobId)), address(other), "named");
        Job memory job = escrow.jobs(jobId);
        same(job.deposited, depositWei, "as quoted");
        same(job.paid, 3 * (uint256(PRICE) + (PRICE * 2_500) / 10_000), "units and audits");
        same(job.fees, (job.paid * 333) / 10_000, "fee");
        conserves(other, jobId);
        same(distributor.creditOf(other, net.TREASURY()), job.fees, "the treasury's");
        same(other.balanceOf(address(distributor)), job.paid + job.fees, "brought");
        for (uint256 i = 0; i < accounts[jobId].length; ++i) {
            address account = accounts[jobId][i];
            same(distributor.creditOf(token, account), 0, "no AIN");
            same(distributor.claim(other, account), amounts[jobId][i], "told");
            same(other.balanceOf(account), amounts[jobId][i], "paid");
        }
        distributor.claim(other, net.TREASURY());
        same(other.balanceOf(net.TREASURY()), job.fees, "anyone claims for the treasury");
        same(other.balanceOf(address(distributor)), 0, "all paid");
        escrow.settle(jobId);
        same(other.balanceOf(submitter), WEALTH - job.paid - job.fees, "the rest back");
        same(token.totalSupply(), supply, "nothing burned");
        uint256 epoch = schedule.currentEpoch();
        nextEpoch();
        same(emission.epochOf(epoch).flops, 0, "nothing counts for emission");
        same(token.balanceOf(address(escrow)), 0, "no AIN came");
    }

    /// @notice A unit locks what its price was worth at the funding, whatever the rate is now.
    function test_lock_rateChanged_isThatOfTheFunding() public {
        JobId jobId = openIn(other, 2, 1);
        uint128 value = PRICE * 2 * 10 ** 12;
        (uint32 slots, uint128 told) = escrow.lockTerms(jobId);
        same(slots, 1, "slots");
        same(told, value, "by the rate");
        same(escrow.jobs(jobId).unitValueWei, value, "told with the job");
        parameters.setTokenRate(other, 5 * RATE);
        drawn(jobId, 0, 0, node(1), TRUTH);
        same(vault.lockedOf(node(1)), ledger.lockWeiOf(value), "locked");
        JobId later = openIn(other, 2, 1);
        same(escrow.jobs(later).unitValueWei, 5 * value, "the next job's");
        JobId inAin = openJob(1, 1);
        (, told) = escrow.lockTerms(inAin);
        same(told, net.UNIT_WEI(), "AIN is worth itself");
        same(escrow.jobs(inAin).unitValueWei, told, "and told so");
        same(address(escrow.tokenOf(inAin)), address(token), "named");
    }

    /// @notice Rounded up: a unit locks something, however little its price is worth.
    function testFuzz_lock_anyPriceAndRate_roundsUp(uint128 unitWei, uint256 rate) public {
        rate = 10 ** 6 + (rate % (10 ** 36 - 10 ** 6 + 1));
        parameters.setTokenRate(other, rate);
        JobTerms memory terms = termsIn(other, 1, 1);
        terms.unitWei = 1 + (unitWei % 10 ** 14);
        uint256 exact = terms.unitWei * rate;
        uint256 value = exact / 10 ** 18 + (exact % 10 ** 18 == 0 ? 0 : 1);
        VM.prank(submitter);
        if (value > 2 ** 96) {
            VM.expectRevert(abi.encodeWithSelector(IJobEscrow.BadPrice.selector, terms.unitWei));
            escrow.fund(terms);
        } else {
            JobId jobId = escrow.fund(terms);
            same(escrow.jobs(jobId).unitValueWei, value, "value");
            check(value != 0, "something");
        }
    }

    /// @notice What a unit may be worth, at the edge.
    function test_fund_dearestUnit_isTheLast() public {
        parameters.setTokenRate(other, 10 ** 18);
        other.mint(submitter, 2 ** 98);
        JobTerms memory terms = termsIn(other, 1, 1);
        terms.unitWei = 2 ** 96;
        VM.prank(submitter);
        JobId jobId = escrow.fund(terms);
        same(escrow.jobs(jobId).unitValueWei, 2 ** 96, "the dearest");
        terms.unitWei = 2 ** 96 + 1;
        VM.expectRevert(abi.encodeWithSelector(IJobEscrow.BadPrice.selector, terms.unitWei));
        escrow.fund(terms);
    }

    /// @notice A token that is not on the list, or no more, pays for no new job; what is funded goes on.
    function test_fund_notOnTheList_isRefused() public {
        PlainToken stranger = new PlainToken();
        JobTerms memory terms = termsIn(stranger, 1, 1);
        VM.expectRevert(abi.encodeWithSelector(IJobEscrow.BadToken.selector, stranger));
        escrow.fund(terms);
        JobId jobId = openIn(other, 1, 1);
        parameters.setTokenRate(other, 0);
        terms = termsIn(other, 1, 1);
        VM.expectRevert(abi.encodeWithSelector(IJobEscrow.BadToken.selector, other));
        escrow.fund(terms);
        audit(drawn(jobId, 0, 0, node(1), TRUTH), TRUTH, TRUTH);
        net.pass(31);
        finalize(jobId, 0);
        check(distributor.claim(other, node(1)) == PRICE, "earned all the same");
        escrow.settle(jobId);
        conserves(other, jobId);
    }

    /// @notice AIN is named 0: by its address, even on the list, a job's fee would not be burned.
    function test_attack_networkTokenByAddress_isRefused() public {
        parameters.setTokenRate(token, 10 ** 18);
        JobTerms memory terms = termsIn(token, 1, 1);
        VM.expectRevert(abi.encodeWithSelector(IJobEscrow.BadToken.selector, token));
        escrow.fund(terms);
    }

    /// @notice Tokens that return nothing, and refuse to move nothing, pay like others.
    function test_job_quietToken_isPaid() public {
        IERC20 quiet = IERC20(address(new QuietToken()));
        accept(quiet);
        parameters.set(Parameter.ProtocolFeeBps, 0);
        JobId jobId = finishedOf(termsIn(quiet, 1, 2), submitter);
        same(escrow.jobs(jobId).fees, 0, "no fee");
        for (uint256 i = 0; i < accounts[jobId].length; ++i) {
            distributor.claim(quiet, accounts[jobId][i]);
            same(quiet.balanceOf(accounts[jobId][i]), amounts[jobId][i], "paid");
        }
        escrow.settle(jobId);
        conserves(quiet, jobId);
    }

    /// @notice A job that is cancelled gives its tokens back, and keeps those that are under way.
    function test_cancel_inAnotherToken_refundsIt() public {
        JobId jobId = openIn(other, 3, 1);
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        VM.prank(submitter);
        escrow.cancel(jobId);
        conserves(other, jobId);
        audit(unitId, TRUTH, TRUTH);
        net.pass(31);
        finalize(jobId, 0);
        escrow.settle(jobId);
        conserves(other, jobId);
        Job memory job = escrow.jobs(jobId);
        same(other.balanceOf(submitter), WEALTH - job.paid - job.fees, "the rest back");
        check(job.status == JobStatus.Cancelled, "cancelled");
    }

    /// @notice Data that is not to be had: what is left of its deposit is the treasury's, unburned.
    function testFuzz_charge_inAnotherToken_leavesTheRestToTheTreasury(uint8 jurors) public {
        JobId jobId = openIn(other, 20, 2);
        address[] memory voters = new address[](jurors % 4);
        for (uint256 i = 0; i < voters.length; ++i) {
            voters[i] = address(uint160(0xC0 + i));
        }
        uint256 supply = other.totalSupply();
        VM.prank(address(ledger));
        escrow.chargeData(jobId, address(0xA), address(0xB), voters);
        Job memory job = escrow.jobs(jobId);
        uint256 given =
            distributor.creditOf(other, address(0xA)) + distributor.creditOf(other, address(0xB));
        for (uint256 i = 0; i < voters.length; ++i) {
            given += distributor.creditOf(other, voters[i]);
        }
        same(distributor.creditOf(other, net.TREASURY()), job.charged - given, "the rest");
        same(other.balanceOf(address(distributor)), job.charged, "brought");
        same(other.totalSupply(), supply, "unburned");
        conserves(other, jobId);
    }

    /// @notice Others have delegated AIN, and have a part of what is earned in AIN only.
    function test_claim_inAnotherToken_isTheAccountsAlone() public {
        address operator = node(1);
        VM.prank(operator);
        vault.setCommission(operator, 1_000);
        VM.startPrank(submitter);
        vault.delegateBond(operator, 1_000 ether, 1_000);
        VM.stopPrank();
        JobId jobId = finishedOf(termsIn(other, 1, 1), submitter);
        uint256 lent = vault.delegatedTo(node(1)).amount;
        same(distributor.claim(other, node(1)), amounts[jobId][0], "told");
        same(other.balanceOf(node(1)), amounts[jobId][0], "whole");
        same(vault.delegatedTo(node(1)).amount, lent, "nothing of it");
    }
}
