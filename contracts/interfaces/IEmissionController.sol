// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EpochEmission} from "../types/Emission.sol";
import {JobId} from "../types/Identifiers.sol";

/// @title New tokens for verified work, never more than the fee burned for it
interface IEmissionController {
    /// @notice The first round of an epoch is counted: these rates hold for all of the epoch.
    event EpochOpened(
        uint256 indexed epoch,
        uint256 emissionBps,
        uint256 treasuryBps,
        uint256 gflopFeeWei
    );

    /// @notice A round was finalised and counts in this epoch. Who earned by it shares its FLOPs.
    event RoundCounted(
        JobId indexed jobId,
        uint32 indexed round,
        uint256 indexed epoch,
        uint256 flops
    );

    /// @notice Emission was minted for what an account did in an epoch, and credited.
    event EmissionClaimed(
        uint256 indexed epoch,
        address indexed account,
        uint256 amount,
        uint256 treasuryWei
    );

    /// @notice Only the escrow counts rounds.
    error NotEscrow(address caller);

    /// @notice Until an epoch is over nobody knows what it gives.
    error EpochNotOver(uint256 epoch, uint256 endsAt);

    /// @notice None, or more than `max` epochs in one call.
    error BadEpochCount(uint256 count, uint256 max);

    /// @notice Counts a finalised round in the running epoch. Only the escrow, once a round. Never
    /// reverts for it.
    /// @param accounts Who earned by the round, each once, and how much.
    /// @param flops Of all units of the round.
    /// @param feeWei Burned for the round.
    function register(
        JobId jobId,
        uint32 round,
        address[] calldata accounts,
        uint256[] calldata amounts,
        uint256 flops,
        uint256 feeWei
    ) external;

    /// @notice Mints what epochs that are over give an account and has the distributor pay it, with
    /// all else that it has earned. Anyone may call for anyone. Epochs that give it nothing, or that
    /// were claimed, are passed over; NothingToClaim if nothing is left.
    function claim(address account, uint256[] calldata epochs) external;

    /// @notice The same without the payment: what is minted is credited. For who has it bonded.
    function collect(address account, uint256[] calldata epochs) external;

    /// @notice What is counted in an epoch, and its rates; all zero if nothing is.
    function epochOf(uint256 epoch) external view returns (EpochEmission memory);

    /// @notice An account's part of an epoch's FLOPs; 0 once it was claimed.
    function flopsOf(uint256 epoch, address account) external view returns (uint256);

    /// @notice Has a share of all emission, and the fees that are not burned: the timelock.
    function treasury() external view returns (address);

    /// @notice What an account can claim for an epoch that is over, and the treasury's share besides.
    function emissionOf(
        address account,
        uint256 epoch
    ) external view returns (uint256 amount, uint256 treasuryWei);
}
