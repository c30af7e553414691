// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IEmissionController} from "../../contracts/interfaces/IEmissionController.sol";
import {IRewardDistributor} from "../../contracts/interfaces/IRewardDistributor.sol";
import {EpochEmission} from "../../contracts/types/Emission.sol";
import {JobId} from "../../contracts/types/Identifiers.sol";
import {Parameter} from "../../contracts/types/Parameter.sol";
import {EmissionStage} from "./helpers/EmissionStage.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice What accounts get of an epoch's budget, and how claims are refused.
contract EmissionControllerTest is EmissionStage {
    uint256 private constant FLOPS = 7_000_000_001;

    function setUp() public {
        stage(5);
    }

    /// @notice Workers and auditors share a round's FLOPs by their pay, and one claim brings both what
    /// they earned and what is minted for it.
    function test_claim_everyAccount_sharesByItsPay() public {
        uint256 epoch = schedule.currentEpoch();
        JobId jobId = finished(0, 3);
        same(emission.epochOf(epoch).flops, 3 * FLOPS, "all units' FLOPs");
        nextEpoch();
        uint256 minted = 0;
        uint256 treasuryWei = 0;
        for (uint256 i = 0; i < accounts[jobId].length; ++i) {
            address account = accounts[jobId][i];
            uint256 part = partOf(jobId, i, 3 * FLOPS);
            same(emission.flopsOf(epoch, account), part, "its part");
            // Far below the budget, so the price of a FLOP bounds it: 0.01 AIN a GFLOP.
            uint256 whole = (part * 1e16) / 1e9;
            uint256 share = (whole * 1_234 + 9_999) / 10_000;
            (uint256 got, uint256 shareToo) = emission.emissionOf(account, epoch);
            same(got, whole - share, "by the formula");
            same(shareToo, share, "the treasury's, rounded up");
            uint256 wealth = token.balanceOf(account);
            // Anyone relays; the money goes to the account.
            VM.prank(submitter);
            emission.claim(account, one(epoch));
            same(token.balanceOf(account) - wealth, amounts[jobId][i] + got, "work and emission");
            (minted, treasuryWei) = (minted + got, treasuryWei + share);
        }
        same(distributor.creditOf(token, net.TREASURY()), treasuryWei, "credited, not pushed");
        same(token.balanceOf(address(distributor)), treasuryWei, "nothing else is there");
        same(schedule.emittedWei(), minted + treasuryWei, "nothing else was minted");
        check(minted + treasuryWei < escrow.jobs(jobId).fees, "less than was burned");
        distributor.claim(token, net.TREASURY());
        same(token.balanceOf(net.TREASURY()), treasuryWei, "anyone has it paid");
    }

    /// @notice What a fee does not cover does not count, and what counts gives at most the fee.
    function test_register_feeBelowItsFlops_countsByTheFee() public {
        uint256 epoch = schedule.currentEpoch();
        JobId jobId = finished(2 ** 62, 2);
        uint256 fee = escrow.jobs(jobId).fees;
        same(emission.epochOf(epoch).flops, (fee * 1e9) / 1e16, "as far as it was burned for");
        nextEpoch();
        claimAll(jobId, epoch);
        check(schedule.emittedWei() <= fee, "never more");
        check(schedule.emittedWei() + 1e8 > fee, "all but dust of a price of 1e7 wei a FLOP");
    }

    /// @notice Accounts share a small budget by their FLOPs of all rounds of an epoch.
    function test_emissionOf_smallBudget_isSharedByFlops() public {
        // The budget has fallen below what the price of a FLOP would allow.
        VM.warp(schedule.epochEndsAt(4 * 10));
        setParameter(Parameter.EmissionGflopFeeWei, 4e15);
        uint256 epoch = schedule.currentEpoch();
        JobId small = finished(0, 1);
        JobId large = finished(uint64(FLOPS) * 3, 1);
        same(emission.epochOf(epoch).flops, 4 * FLOPS, "summed");
        address worker = accounts[small][0];
        same(worker, accounts[large][0], "it worked for both");
        uint256 part = partOf(small, 0, FLOPS) + partOf(large, 0, 3 * FLOPS);
        same(emission.flopsOf(epoch, worker), part, "and so have its FLOPs");
        nextEpoch();
        uint256 budget = schedule.budgetOf(epoch);
        (uint256 got, uint256 share) = emission.emissionOf(worker, epoch);
        same(got + share, (budget * part) / (4 * FLOPS), "its part of the budget");
        claimAll(small, epoch);
        for (uint256 i = 1; i < accounts[large].length; ++i) {
            if (emission.flopsOf(epoch, accounts[large][i]) != 0)
                emission.claim(accounts[large][i], one(epoch));
        }
        check(schedule.emittedWei() <= budget, "rounded down");
        check(schedule.emittedWei() + 1e7 > budget, "all but the budget of some FLOPs");
    }

    /// @notice Until an epoch is over it gives nothing, and then the same for ever.
    function test_claim_beforeTheEpochEnds_isRefused() public {
        uint256 epoch = schedule.currentEpoch();
        JobId jobId = finished(0, 1);
        address worker = accounts[jobId][0];
        uint256 end = schedule.epochEndsAt(epoch);
        VM.warp(end - 1);
        bytes memory reason = abi.encodeWithSelector(
            IEmissionController.EpochNotOver.selector,
            epoch,
            end
        );
        VM.expectRevert(reason);
        emission.claim(worker, one(epoch));
        VM.expectRevert(reason);
        emission.emissionOf(worker, epoch);
        VM.warp(end);
        (uint256 got, ) = emission.emissionOf(worker, epoch);
        finished(0, 1);
        VM.warp(end + 365 days);
        (uint256 later, ) = emission.emissionOf(worker, epoch);
        same(later, got, "later rounds are of later epochs");
        emission.claim(worker, one(epoch));
    }

    /// @notice An epoch is paid once, also within one call; what is claimed already, or was never
    /// earned, is passed over.
    function test_claim_twice_paysOnce() public {
        uint256 epoch = schedule.currentEpoch();
        JobId jobId = finished(0, 1);
        nextEpoch();
        nextEpoch();
        address worker = accounts[jobId][0];
        (uint256 got, uint256 share) = emission.emissionOf(worker, epoch);
        distributor.claim(token, worker);
        uint256[] memory epochs = new uint256[](3);
        (epochs[0], epochs[1], epochs[2]) = (epoch, epoch + 1, epoch);
        uint256 wealth = token.balanceOf(worker);
        emission.claim(worker, epochs);
        same(token.balanceOf(worker), wealth + got, "once");
        same(schedule.emittedWei(), got + share, "minted once");
        same(emission.flopsOf(epoch, worker), 0, "forgotten");
        bytes memory reason = abi.encodeWithSelector(
            IRewardDistributor.NothingToClaim.selector,
            token,
            worker
        );
        VM.expectRevert(reason);
        emission.claim(worker, one(epoch));
    }

    /// @notice Emission can be credited alone, by anybody, to be bonded then with all else.
    function test_collect_thenToBond_bondsEverything() public {
        uint256 epoch = schedule.currentEpoch();
        JobId jobId = finished(0, 2);
        nextEpoch();
        address worker = accounts[jobId][0];
        (uint256 got, uint256 share) = emission.emissionOf(worker, epoch);
        uint256 wealth = token.balanceOf(worker);
        VM.prank(submitter);
        emission.collect(worker, one(epoch));
        same(token.balanceOf(worker), wealth, "not paid");
        same(distributor.creditOf(token, worker), amounts[jobId][0] + got, "credited");
        same(distributor.creditOf(token, net.TREASURY()), share, "and the treasury");
        emission.collect(worker, one(epoch));
        same(schedule.emittedWei(), got + share, "once");
        VM.prank(worker);
        distributor.claimToBond(worker);
        same(vault.bondOf(worker), net.BOND() + amounts[jobId][0] + got, "bonded");
        same(token.balanceOf(worker), wealth, "still not paid");
    }

    /// @notice Where emission is a wei the treasury has it, for its share is rounded up.
    function test_collect_oneWei_isTheTreasurys() public {
        setParameter(Parameter.EmissionGflopFeeWei, 1e9);
        uint256 epoch = schedule.currentEpoch();
        JobId jobId = JobId.wrap(bytes32(uint256(1)));
        VM.prank(address(escrow));
        emission.register(jobId, 0, earner(), one(1), 1, 1 ether);
        nextEpoch();
        emission.collect(earner()[0], one(epoch));
        same(schedule.emittedWei(), 1, "minted");
        same(distributor.creditOf(token, net.TREASURY()), 1, "the treasury's");
        same(distributor.creditOf(token, earner()[0]), 0, "nothing is left");
        same(token.balanceOf(address(distributor)), 1, "it is there");
    }

    /// @notice Several epochs come in one claim, each by its own budget and FLOPs.
    function test_claim_severalEpochs_paysTheSum() public {
        uint256[] memory epochs = new uint256[](3);
        uint256 expected = 0;
        address worker = node(1);
        for (uint256 i = 0; i < 3; ++i) {
            epochs[i] = schedule.currentEpoch();
            finished(uint64(FLOPS * (i + 1)), 1);
            nextEpoch();
            (uint256 got, ) = emission.emissionOf(worker, epochs[i]);
            expected += got;
        }
        expected += distributor.creditOf(token, worker);
        uint256 wealth = token.balanceOf(worker);
        emission.claim(worker, epochs);
        same(token.balanceOf(worker), wealth + expected, "work and three epochs");
    }

    /// @notice Empty and unbounded calls are refused.
    function test_claim_countOutOfBounds_isRefused() public {
        VM.expectRevert(abi.encodeWithSelector(IEmissionController.BadEpochCount.selector, 0, 256));
        emission.claim(submitter, new uint256[](0));
        VM.expectRevert(
            abi.encodeWithSelector(IEmissionController.BadEpochCount.selector, 257, 256)
        );
        emission.claim(submitter, new uint256[](257));
    }

    /// @notice Only the escrow counts rounds: nobody invents FLOPs or a burned fee.
    function test_register_stranger_isRefused() public {
        address[3] memory strangers = [address(this), address(ledger), coordinator];
        for (uint256 i = 0; i < 3; ++i) {
            VM.expectRevert(
                abi.encodeWithSelector(IEmissionController.NotEscrow.selector, strangers[i])
            );
            VM.prank(strangers[i]);
            emission.register(JobId.wrap(bytes32(uint256(1))), 0, earner(), one(1), 1, 1 ether);
        }
    }

    /// @notice A vote changes later epochs only: an epoch keeps the rates of its first round.
    function test_parameters_changedLater_leaveTheEpoch() public {
        uint256 epoch = schedule.currentEpoch();
        JobId jobId = finished(0, 1);
        setParameter(Parameter.EmissionBps, 0);
        setParameter(Parameter.TreasuryShareBps, 5_000);
        setParameter(Parameter.EmissionGflopFeeWei, 1_000 ether);
        finished(0, 1);
        EpochEmission memory counted = emission.epochOf(epoch);
        same(counted.flops, 2 * FLOPS, "counted whole, as the first");
        same(counted.emissionBps, 10_000, "as it was");
        same(counted.treasuryBps, 1_234, "as it was");
        same(counted.gflopFeeWei, 1e16, "as it was");
        nextEpoch();
        uint256 later = schedule.currentEpoch();
        JobId switchedOff = finished(0, 1);
        counted = emission.epochOf(later);
        same(counted.emissionBps, 0, "the new ones");
        same(counted.treasuryBps, 5_000, "the new ones");
        same(counted.gflopFeeWei, 1_000 ether, "the new ones");
        check(counted.flops < FLOPS, "the fee covers less");
        nextEpoch();
        claimAll(jobId, epoch);
        uint256 minted = schedule.emittedWei();
        check(minted != 0, "given");
        (uint256 nothing, uint256 share) = emission.emissionOf(accounts[switchedOff][0], later);
        same(nothing + share, 0, "switched off");
    }

    /// @notice A claim is cheap, however many rounds it pays for.
    function test_gas_claims_stayWithinBounds() public {
        uint256 epoch = schedule.currentEpoch();
        JobId jobId = finished(0, 3);
        nextEpoch();
        check(spend(accounts[jobId][0], epoch) < 200_000, "the first");
        check(spend(accounts[jobId][1], epoch) < 120_000, "later ones");
    }

    function spend(address account, uint256 epoch) private returns (uint256 gas) {
        uint256[] memory epochs = one(epoch);
        gas = gasleft();
        emission.claim(account, epochs);
        gas -= gasleft();
    }
}
