// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {JobId} from "../../contracts/types/Identifiers.sol";
import {JobTerms} from "../../contracts/types/Job.sol";
import {Parameter} from "../../contracts/types/Parameter.sol";
import {EmissionStage} from "./helpers/EmissionStage.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice Jobs to oneself: one party is submitter, coordinator, worker and auditor, and owns every
/// other node too. It loses whatever the terms, the epoch and the parameters are.
contract WashComputeTest is EmissionStage {
    function setUp() public {
        stage(3);
    }

    /// @notice Wash compute for emission: at the best parameters that a vote can set, alone in its
    /// epoch, the party gets back less than it burned.
    function testFuzz_washCompute_oneParty_losesMoney(
        uint128 unitWei,
        uint64 unitFlops,
        uint16 treasuryBps,
        uint16 emissionBps,
        uint8 slots
    ) public {
        setParameter(Parameter.EmissionBps, emissionBps % 10_001);
        setParameter(Parameter.TreasuryShareBps, 500 + (treasuryBps % 4_501));
        setParameter(Parameter.EmissionGflopFeeWei, 1);
        setParameter(Parameter.ProtocolFeeBps, 2_000);
        JobTerms memory terms = net.terms(1, 1 + (slots % 3));
        // Three units of one worker fit its bond of 1,000 AIN.
        terms.unitWei = 1 + (unitWei % 9 ether);
        terms.unitFlops = unitFlops % (2 ** 62);
        uint256 before = wealth();
        JobId jobId = wash(terms);
        uint256 burned = escrow.jobs(jobId).fees;
        check(wealth() <= before, "never more");
        check(burned == 0 || wealth() < before, "the treasury's share and the roundings are lost");
    }

    /// @notice The same job again and again, in one epoch or in many, loses every time.
    function test_washCompute_sameJobAgain_losesEveryTime() public {
        JobTerms memory terms = net.terms(1, 2);
        uint256 wealthBefore = wealth();
        for (uint256 i = 0; i < 6; ++i) {
            terms.deadline = uint64(VM.getBlockTimestamp() + 10_000);
            wash(terms);
            uint256 now_ = wealth();
            check(now_ < wealthBefore, "lost again");
            wealthBefore = now_;
        }
    }

    /// @notice Many small rounds instead of one: what roundings give away is never more than was
    /// burned, down to fees of a wei and less.
    function testFuzz_roundingGames_tinyRounds_gainNothing(uint8 unitWei, uint8 rounds) public {
        setParameter(Parameter.EmissionGflopFeeWei, 1);
        uint256 before = wealth();
        uint256 burned = 0;
        for (uint256 i = 0; i < 1 + (rounds % 4); ++i) {
            JobTerms memory terms = net.terms(1, 1);
            terms.unitWei = 1 + uint128(unitWei);
            JobId jobId = wash(terms);
            burned += escrow.jobs(jobId).fees;
        }
        check(wealth() <= before, "nothing gained");
        check(burned == 0 || wealth() < before, "a wei burned is a wei lost at least");
    }

    /// @notice FLOPs that nobody computed take the budget from others only as far as their fee is
    /// burned: a job that states 2^62 FLOPs for a unit counts by what it paid.
    function test_inflatedFlops_ofACheapJob_dilutesNobody() public {
        // An epoch in which the fees would allow far more than the budget.
        VM.warp(schedule.epochEndsAt(4 * 9));
        uint256 epoch = schedule.currentEpoch();
        JobTerms memory cheap = net.terms(1, 1);
        (cheap.unitWei, cheap.unitFlops) = (1e12, 2 ** 62);
        JobId liar = finishedOf(cheap, submitter);
        uint256 bought = (escrow.jobs(liar).fees * 1e9) / 1e16;
        same(emission.epochOf(epoch).flops, bought, "counted by its fee");
        JobTerms memory fair = net.terms(1, 1);
        // Fee and FLOPs fit: all count.
        fair.unitFlops = 10_000_000_000;
        fair.deadline = uint64(VM.getBlockTimestamp() + 10_000);
        finishedOf(fair, submitter);
        same(emission.epochOf(epoch).flops, bought + 10_000_000_000, "counted whole");
        check(bought * 100 < 10_000_000_000, "so nearly all of the budget is the honest job's");
    }

    /// @notice What a node did for others at a high price makes no FLOPs worth buying from itself:
    /// beside any other work, its own and others', a fee that it burns brings it less than the fee.
    function testFuzz_washCompute_besideOtherWork_losesMoney(
        uint256[3] memory flops,
        uint256[3] memory fees,
        uint256 ownFlops,
        uint256 ownFee
    ) public {
        // Two epochs with the same budget, with and without what it buys.
        uint256 first = schedule.currentEpoch();
        for (uint256 epoch = first; epoch < first + 2; ++epoch) {
            same(schedule.budgetOf(epoch), net.FIRST_BUDGET(), "the same budget");
            for (uint256 i = 0; i < 3; ++i) {
                // The first is its own work for others, so dear that not all of its fee buys FLOPs, the
                // second both parties', the third others'.
                register(i, 1 + (flops[i] % 10 ** (9 + i)), fees[i] % 1_000 ether);
            }
            if (epoch == first) nextEpoch();
        }
        uint256 fee = 1 + (ownFee % 1 ether);
        register(0, 1 + (ownFlops % 2 ** 62), fee);
        nextEpoch();
        (uint256 without, ) = emission.emissionOf(address(0xB), first);
        (uint256 with_, ) = emission.emissionOf(address(0xB), first + 1);
        check(with_ <= without + fee, "never more");
        check(fee < 20 || with_ < without + fee, "less, but for dust");
    }

    /// @dev A paid round as the escrow reports it.
    function register(uint256 kind, uint256 flops, uint256 fee) private {
        address[] memory earners = new address[](2);
        (earners[0], earners[1]) = (address(0xA), address(0xB));
        uint256[] memory pay = new uint256[](2);
        (pay[0], pay[1]) = (kind, 2 - kind);
        VM.prank(address(escrow));
        emission.register(JobId.wrap(bytes32(kind)), 0, earners, pay, flops, fee);
    }

    /// @dev A job of the party's own, done, paid, and its emission claimed by the party.
    function wash(JobTerms memory terms) private returns (JobId jobId) {
        jobId = finishedOf(terms, submitter);
        uint256 epoch = schedule.currentEpoch();
        nextEpoch();
        claimAll(jobId, epoch);
        escrow.settle(jobId);
    }

    /// @dev Of the party: every account but the treasury.
    function wealth() private view returns (uint256 sum) {
        sum = token.balanceOf(submitter) + token.balanceOf(address(escrow));
        for (uint256 i = 0; i < net.nodeCount(); ++i) {
            sum += token.balanceOf(node(i));
        }
    }
}
