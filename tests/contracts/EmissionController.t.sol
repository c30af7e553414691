// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IEmissionController} from "../../contracts/interfaces/IEmissionController.sol";
import {ILeafClaims} from "../../contracts/interfaces/ILeafClaims.sol";
import {RoundEmission} from "../../contracts/types/Emission.sol";
import {JobId} from "../../contracts/types/Identifiers.sol";
import {Parameter} from "../../contracts/types/Parameter.sol";
import {RewardClaim} from "../../contracts/types/Reward.sol";
import {EmissionStage} from "./helpers/EmissionStage.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice What rounds and leaves get of an epoch's budget, and how claims are refused.
contract EmissionControllerTest is EmissionStage {
    function setUp() public {
        stage(5);
    }

    /// @notice Workers and auditors share what the treasury leaves by their leaves' amounts.
    function test_claim_everyLeaf_sharesTheRound() public {
        JobId jobId = finished(0, 3);
        RoundEmission memory counted = emission.rounds(jobId, 0);
        same(counted.flops, 3 * 7_000_000_001, "all units' FLOPs");
        same(counted.capWei, escrow.jobs(jobId).fees, "at most the fee: EmissionBps is 10000");
        nextEpoch();
        (uint256 round, uint256 share) = emission.emissionOf(jobId, 0);
        same(round, counted.capWei, "far below the budget, so the fee bounds it");
        same(share, (round * 1_234 + 9_999) / 10_000, "the treasury's, rounded up");
        uint256 total = ledger.finalized(jobId, 0).totalWei;
        uint256 minted = 0;
        for (uint256 i = 0; i < accounts[jobId].length; ++i) {
            uint256 wealth = token.balanceOf(accounts[jobId][i]);
            // Anyone relays; the money goes to the owner of the leaf.
            VM.prank(submitter);
            emission.claim(proved(jobId, i));
            uint256 got = token.balanceOf(accounts[jobId][i]) - wealth;
            same(got, ((round - share) * amounts[jobId][i]) / total, "by the leaf's amount");
            minted += got;
        }
        same(token.balanceOf(net.TREASURY()), share, "once, with the first claim");
        check(minted + share <= round && round - minted - share < 8, "all but dust");
        same(schedule.emittedWei(), minted + share, "nothing else");
    }

    /// @notice Rounds of one epoch share a small budget by their FLOPs, in whole numbers.
    function test_emissionOf_smallBudget_isSharedByFlops() public {
        // The budget has fallen to a hundredth of what the fees would allow.
        VM.warp(schedule.epochEndsAt(4 * 9));
        JobId small = finished(0, 1);
        JobId large = finished(7_000_000_001 * 3, 1);
        uint256 epoch = emission.rounds(small, 0).epoch;
        same(emission.rounds(large, 0).epoch, epoch, "the same epoch");
        same(emission.epochFlops(epoch), 4 * 7_000_000_001, "summed");
        nextEpoch();
        uint256 budget = schedule.budgetOf(epoch);
        (uint256 first, ) = emission.emissionOf(small, 0);
        (uint256 second, ) = emission.emissionOf(large, 0);
        same(first, budget / 4, "a quarter");
        same(second, (budget * 3) / 4, "three quarters");
        check(first + second <= budget, "rounded down");
    }

    /// @notice Until its epoch is over a round gives nothing, and then the same for ever.
    function test_claim_beforeTheEpochEnds_isRefused() public {
        JobId jobId = finished(0, 1);
        uint256 end = schedule.epochEndsAt(emission.rounds(jobId, 0).epoch);
        RewardClaim[] memory claims = proved(jobId, 0);
        VM.warp(end - 1);
        bytes memory reason = abi.encodeWithSelector(
            IEmissionController.EpochNotOver.selector,
            jobId,
            0,
            end
        );
        VM.expectRevert(reason);
        emission.claim(claims);
        VM.expectRevert(reason);
        emission.emissionOf(jobId, 0);
        VM.warp(end);
        (uint256 round, ) = emission.emissionOf(jobId, 0);
        finished(0, 1);
        VM.warp(end + 365 days);
        (uint256 later, ) = emission.emissionOf(jobId, 0);
        same(later, round, "later rounds are of later epochs");
        emission.claim(claims);
    }

    /// @notice A leaf is paid once, also within one call; the distributor's mark is another.
    function test_claim_twice_isRefused() public {
        JobId jobId = finished(0, 1);
        nextEpoch();
        RewardClaim[] memory claims = proved(jobId, 0);
        distributor.claim(claims);
        RewardClaim[] memory both = new RewardClaim[](2);
        (both[0], both[1]) = (claims[0], claims[0]);
        bytes memory reason = abi.encodeWithSelector(
            ILeafClaims.AlreadyClaimed.selector,
            jobId,
            0,
            0
        );
        VM.expectRevert(reason);
        emission.claim(both);
        emission.claim(claims);
        check(emission.isClaimed(jobId, 0, 0), "marked");
        VM.expectRevert(reason);
        emission.claim(claims);
    }

    /// @notice No other amount, account or index can be proved.
    function testFuzz_claim_alteredLeaf_isRefused(uint256 amount, address account) public {
        JobId jobId = finished(0, 2);
        nextEpoch();
        RewardClaim[] memory claims = proved(jobId, 0);
        VM.assume(amount != claims[0].amount && account != claims[0].account);
        claims[0].amount = amount;
        refuse(claims, abi.encodeWithSelector(ILeafClaims.BadProof.selector, jobId, 0, 0));
        claims = proved(jobId, 0);
        claims[0].account = account;
        refuse(claims, abi.encodeWithSelector(ILeafClaims.BadProof.selector, jobId, 0, 0));
        claims = proved(jobId, 0);
        claims[0].index = 1_000;
        refuse(claims, abi.encodeWithSelector(ILeafClaims.BadProof.selector, jobId, 0, 1_000));
        claims = proved(jobId, 0);
        claims[0].proof = new bytes32[](0);
        refuse(claims, abi.encodeWithSelector(ILeafClaims.BadProof.selector, jobId, 0, 0));
    }

    /// @notice The leaf of one round proves nothing in another, of this job or of another one.
    function test_claim_leafOfAnotherRound_isRefused() public {
        JobId jobId = finished(0, 2);
        JobId other = finished(0, 2);
        nextEpoch();
        RewardClaim[] memory claims = proved(jobId, 0);
        claims[0].jobId = other;
        refuse(claims, abi.encodeWithSelector(ILeafClaims.BadProof.selector, other, 0, 0));
        claims = proved(jobId, 0);
        claims[0].round = 1;
        refuse(claims, abi.encodeWithSelector(ILeafClaims.NotFinalized.selector, jobId, 1));
        VM.expectRevert(abi.encodeWithSelector(ILeafClaims.NotFinalized.selector, jobId, 1));
        emission.emissionOf(jobId, 1);
    }

    /// @notice Only the escrow counts rounds: nobody invents FLOPs or a burned fee.
    function test_register_stranger_isRefused() public {
        VM.expectRevert(
            abi.encodeWithSelector(IEmissionController.NotEscrow.selector, address(this))
        );
        emission.register(JobId.wrap(bytes32(uint256(1))), 0, 1, 1 ether);
    }

    /// @notice A vote changes later rounds only: a round keeps what held when it was finalised.
    function test_parameters_changedLater_leaveCountedRounds() public {
        JobId jobId = finished(0, 1);
        setParameter(Parameter.EmissionBps, 0);
        setParameter(Parameter.TreasuryShareBps, 5_000);
        setParameter(Parameter.EmissionGflopFeeWei, 1_000 ether);
        JobId later = finished(0, 1);
        VM.warp(schedule.epochEndsAt(emission.rounds(later, 0).epoch));
        (uint256 round, uint256 share) = emission.emissionOf(jobId, 0);
        same(round, escrow.jobs(jobId).fees, "as it was");
        same(share, (round * 1_234 + 9_999) / 10_000, "as it was");
        (uint256 nothing, ) = emission.emissionOf(later, 0);
        same(nothing, 0, "switched off");
        emission.claim(proved(later, 0));
        same(schedule.emittedWei(), 0, "a leaf of it is worth nothing");
    }

    /// @notice A claim is cheap, and no dearer for what others claimed before.
    function test_gas_claims_stayWithinBounds() public {
        JobId jobId = finished(0, 3);
        nextEpoch();
        check(spend(proved(jobId, 0)) < 200_000, "first of a round, with the treasury's share");
        check(spend(proved(jobId, 1)) < 120_000, "later ones");
    }

    function spend(RewardClaim[] memory claims) private returns (uint256 gas) {
        gas = gasleft();
        emission.claim(claims);
        gas -= gasleft();
    }

    function refuse(RewardClaim[] memory claims, bytes memory reason) private {
        VM.expectRevert(reason);
        emission.claim(claims);
    }
}
