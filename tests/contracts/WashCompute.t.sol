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
            terms.unitWei = 1 + unitWei;
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
        setParameter(Parameter.EmissionGflopFeeWei, 1e16);
        JobTerms memory cheap = net.terms(1, 1);
        (cheap.unitWei, cheap.unitFlops) = (1e12, 2 ** 62);
        JobId liar = finishedOf(cheap, submitter);
        JobTerms memory fair = net.terms(1, 1);
        // Fee and FLOPs fit: all count.
        fair.unitFlops = 10_000_000_000;
        fair.deadline = uint64(VM.getBlockTimestamp() + 10_000);
        JobId honest = finishedOf(fair, submitter);
        uint256 epoch = emission.rounds(honest, 0).epoch;
        same(emission.rounds(liar, 0).epoch, epoch, "the same epoch");
        same(emission.rounds(honest, 0).flops, 10_000_000_000, "counted whole");
        same(
            emission.rounds(liar, 0).flops,
            (escrow.jobs(liar).fees * 1e9) / 1e16,
            "counted by its fee"
        );
        nextEpoch();
        (uint256 got, ) = emission.emissionOf(honest, 0);
        check(got > (schedule.budgetOf(epoch) * 99) / 100, "nearly all of the budget");
    }

    /// @dev A job of the party's own, done, paid, and its emission claimed by the party.
    function wash(JobTerms memory terms) private returns (JobId jobId) {
        jobId = finishedOf(terms, submitter);
        nextEpoch();
        for (uint256 i = 0; i < accounts[jobId].length; ++i) {
            distributor.claim(proved(jobId, i));
            emission.claim(proved(jobId, i));
        }
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
