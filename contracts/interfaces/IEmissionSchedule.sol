// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title How many tokens there can be, and when
/// @notice The token's own part of emission: the clock of epochs, their budgets, and the one account
/// that may mint within them.
interface IEmissionSchedule {
    /// @notice The minter's seat was given away, once and for ever.
    event MinterBound(address indexed minter);

    /// @notice An epoch lasts 1 to `maxEpochS` seconds, and the budget halves after 1 to
    /// `maxHalvingEpochs` epochs.
    error BadSchedule(
        uint256 epochS,
        uint256 halvingEpochs,
        uint256 maxEpochS,
        uint256 maxHalvingEpochs
    );

    /// @notice The supply at the start and all budgets together exceed `max`.
    error SupplyTooHigh(uint256 supplyWei, uint256 max);

    /// @notice Only the minter mints.
    error NotMinter(address caller);

    /// @notice More than the epochs that are over allow.
    error ScheduleExceeded(uint256 emittedWei, uint256 amount, uint256 scheduledWei);

    /// @notice Only the deployer binds the seat.
    error NotDeployer(address caller);

    /// @notice The seat was given already, or to nobody.
    error BadBinding(address minter);

    /// @notice Gives the minter's seat away. Only the deployer, once.
    function bind(address minter) external;

    /// @notice Mints within the schedule. Only the minter.
    function mint(address to, uint256 amount) external;

    /// @notice The epoch that is running, counted from 0 at the deployment.
    function currentEpoch() external view returns (uint256);

    /// @notice When an epoch ends (Unix seconds); the next begins in this second.
    function epochEndsAt(uint256 epoch) external view returns (uint256);

    /// @notice What may be minted for an epoch.
    function budgetOf(uint256 epoch) external view returns (uint256);

    /// @notice What may have been minted until now: the budgets of the epochs that are over.
    function scheduledWei() external view returns (uint256);

    /// @notice What was minted by the minter so far.
    function emittedWei() external view returns (uint256);

    /// @notice What the minter can mint in all time.
    function emissionCapWei() external view returns (uint256);
}
