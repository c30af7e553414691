// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {JobId, UnitId} from "../../../contracts/types/Identifiers.sol";
import {JobTerms} from "../../../contracts/types/Job.sol";
import {RewardClaim} from "../../../contracts/types/Reward.sol";
import {Stage} from "./Stage.sol";
import {VM} from "./Vm.sol";

/// @notice Whole rounds, their reward leaves, and the ends of their epochs.
abstract contract EmissionStage is Stage {
    mapping(JobId => address[]) internal accounts;
    mapping(JobId => uint256[]) internal amounts;

    /// @notice A job of one round, audited and final; 0 FLOPs: as the network's terms have it.
    function finished(uint64 unitFlops, uint32 slots) internal returns (JobId jobId) {
        JobTerms memory terms = net.terms(1, slots);
        if (unitFlops != 0) terms.unitFlops = unitFlops;
        return finishedOf(terms, submitter);
    }

    /// @notice The same with these terms and this submitter.
    function finishedOf(JobTerms memory terms, address payer) internal returns (JobId jobId) {
        VM.prank(payer);
        jobId = escrow.fund(terms);
        VM.prank(coordinator);
        ledger.takeLease(jobId);
        for (uint32 slot = 0; slot < terms.slots; ++slot) {
            UnitId unitId = drawn(jobId, 0, slot, node(1 + (slot % (net.nodeCount() - 1))), TRUTH);
            audit(unitId, TRUTH, TRUTH);
        }
        net.pass(31);
        VM.recordLogs();
        finalize(jobId, 0);
        (accounts[jobId], amounts[jobId]) = recordedRewards();
    }

    /// @notice One leaf of a job's round, proved.
    function proved(
        JobId jobId,
        uint256 index
    ) internal view returns (RewardClaim[] memory claims) {
        claims = new RewardClaim[](1);
        claims[0] = net.rewardClaim(jobId, 0, accounts[jobId], amounts[jobId], index);
    }

    /// @notice To the end of the running epoch.
    function nextEpoch() internal {
        VM.warp(schedule.epochEndsAt(schedule.currentEpoch()));
    }
}
