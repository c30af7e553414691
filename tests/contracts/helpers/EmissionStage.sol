// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {JobId, UnitId} from "../../../contracts/types/Identifiers.sol";
import {JobTerms} from "../../../contracts/types/Job.sol";
import {Stage} from "./Stage.sol";
import {VM} from "./Vm.sol";

/// @notice Whole rounds, who earned by them, and the ends of their epochs.
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

    /// @notice What an account gets of the round's FLOPs.
    function partOf(JobId jobId, uint256 index, uint256 flops) internal view returns (uint256) {
        uint256 total = 0;
        for (uint256 i = 0; i < amounts[jobId].length; ++i) {
            total += amounts[jobId][i];
        }
        return (flops * amounts[jobId][index]) / total;
    }

    /// @notice Everybody who earned by a job claims, for its work and for this epoch.
    function claimAll(JobId jobId, uint256 epoch) internal {
        for (uint256 i = 0; i < accounts[jobId].length; ++i) {
            emission.claim(accounts[jobId][i], one(epoch));
        }
    }

    /// @notice To the end of the running epoch.
    function nextEpoch() internal {
        VM.warp(schedule.epochEndsAt(schedule.currentEpoch()));
    }
}
