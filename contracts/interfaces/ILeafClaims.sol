// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {JobId} from "../types/Identifiers.sol";
import {RewardClaim} from "../types/Reward.sol";

/// @title What owners of a finalised round's reward leaves may claim, each leaf once
interface ILeafClaims {
    /// @notice None, or more than `max` claims in one call.
    error BadClaimCount(uint256 count, uint256 max);

    /// @notice The round is not finalised.
    error NotFinalized(JobId jobId, uint32 round);

    /// @notice The leaf was paid already.
    error AlreadyClaimed(JobId jobId, uint32 round, uint256 index);

    /// @notice The proof does not lead to the round's rewards root.
    error BadProof(JobId jobId, uint32 round, uint256 index);

    /// @notice Pays what each leaf gives to its account. Anyone may call for anyone.
    function claim(RewardClaim[] calldata claims) external;

    /// @notice Whether a leaf was paid here.
    function isClaimed(JobId jobId, uint32 round, uint256 index) external view returns (bool);
}
