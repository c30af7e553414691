// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Budgets of epochs that halve: docs/spec/economy.md, "Emission"
library Schedule {
    /// @notice What may be minted for one epoch: the first epoch's budget, halved once in every
    /// `halvingEpochs`, rounded down.
    function budgetOf(
        uint256 firstBudgetWei,
        uint256 halvingEpochs,
        uint256 epoch
    ) internal pure returns (uint256) {
        // A shift by 256 and more gives 0.
        return firstBudgetWei >> (epoch / halvingEpochs);
    }

    /// @notice The budgets of the first `epochs` epochs together.
    /// @dev One step a halving, and none after the budget has fallen to nothing.
    function sumOf(
        uint256 firstBudgetWei,
        uint256 halvingEpochs,
        uint256 epochs
    ) internal pure returns (uint256 sumWei) {
        uint256 budgetWei = firstBudgetWei;
        while (epochs >= halvingEpochs && budgetWei != 0) {
            sumWei += halvingEpochs * budgetWei;
            epochs -= halvingEpochs;
            budgetWei >>= 1;
        }
        if (budgetWei != 0) sumWei += epochs * budgetWei;
    }
}
