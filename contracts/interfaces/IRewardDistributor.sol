// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {JobId} from "../types/Identifiers.sol";
import {RewardClaim} from "../types/Reward.sol";

/// @title Pays rewards that a finalised round proves
interface IRewardDistributor {
    /// @notice A reward was paid to its account.
    event Claimed(
        JobId indexed jobId,
        uint32 indexed round,
        uint256 index,
        address indexed account,
        uint256 amount
    );

    /// @notice None, or more than `max` claims in one call.
    error BadClaimCount(uint256 count, uint256 max);

    /// @notice The round is not finalised.
    error NotFinalized(JobId jobId, uint32 round);

    /// @notice The reward was paid already.
    error AlreadyClaimed(JobId jobId, uint32 round, uint256 index);

    /// @notice The proof does not lead to the round's rewards root.
    error BadProof(JobId jobId, uint32 round, uint256 index);

    /// @notice Pays each reward to its account. Anyone may call for anyone.
    function claim(RewardClaim[] calldata claims) external;

    /// @notice Whether a reward was paid.
    function isClaimed(JobId jobId, uint32 round, uint256 index) external view returns (bool);
}
