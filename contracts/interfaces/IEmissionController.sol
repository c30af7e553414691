// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {JobId} from "../types/Identifiers.sol";
import {RoundEmission} from "../types/Emission.sol";
import {ILeafClaims} from "./ILeafClaims.sol";

/// @title New tokens for verified work, never more than the fee burned for it
interface IEmissionController is ILeafClaims {
    /// @notice A round was finalised and counts in this epoch.
    event RoundCounted(
        JobId indexed jobId,
        uint32 indexed round,
        uint256 indexed epoch,
        uint256 flops,
        uint256 capWei,
        uint256 treasuryBps
    );

    /// @notice Emission was minted to the account of a reward leaf.
    event EmissionClaimed(
        JobId indexed jobId,
        uint32 indexed round,
        uint256 index,
        address indexed account,
        uint256 amount
    );

    /// @notice The treasury's share of a round was minted, with the round's first claim.
    event TreasuryPaid(JobId indexed jobId, uint32 indexed round, uint256 amount);

    /// @notice Only the escrow counts rounds.
    error NotEscrow(address caller);

    /// @notice Until its epoch is over nobody knows what a round gets.
    error EpochNotOver(JobId jobId, uint32 round, uint256 endsAt);

    /// @notice Counts a finalised round in the running epoch. Only the escrow, once a round. Never
    /// reverts for it.
    /// @param flops Of all units of the round.
    /// @param feeWei Burned for the round.
    function register(JobId jobId, uint32 round, uint256 flops, uint256 feeWei) external;

    /// @notice What was counted for a round; all zero if it is not final.
    function rounds(JobId jobId, uint32 round) external view returns (RoundEmission memory);

    /// @notice The FLOPs counted in an epoch.
    function epochFlops(uint256 epoch) external view returns (uint256);

    /// @notice What a round whose epoch is over gives, and the treasury's share of it.
    function emissionOf(
        JobId jobId,
        uint32 round
    ) external view returns (uint256 emissionWei, uint256 treasuryWei);
}
