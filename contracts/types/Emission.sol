// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev All tokens that there can ever be, in wei: below 2^100.
uint256 constant MAX_SUPPLY_WEI = 10 ** 12 * 1 ether;

/// @dev The longest epoch.
uint256 constant MAX_EPOCH_S = 90 days;

/// @dev The slowest halving.
uint256 constant MAX_HALVING_EPOCHS = 1_000_000;

/// @dev Floating-point operations in a GFLOP.
uint256 constant GFLOP = 10 ** 9;

/// @notice What the token may mint besides its first supply, fixed at deployment.
struct EmissionPlan {
    uint256 epochS; // how long an epoch lasts, 1 to MAX_EPOCH_S
    uint256 firstBudgetWei; // of each epoch until the first halving; 0: nothing is ever minted
    uint256 halvingEpochs; // epochs between two halvings, 1 to MAX_HALVING_EPOCHS
}

/// @notice What is counted in an epoch, and the rates that hold for all of it: those of the moment of
/// its first round. One word.
struct EpochEmission {
    uint128 flops; // verified and counted: at most 2^68 a round
    uint16 emissionBps; // EmissionBps
    uint16 treasuryBps; // TreasuryShareBps
    uint96 gflopFeeWei; // EmissionGflopFeeWei; 0 while no round was final in it
}
