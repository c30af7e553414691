// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {ComputeToken} from "./ComputeToken.sol";
import {LeafClaims} from "./claims/LeafClaims.sol";
import {IRewardDistributor} from "./interfaces/IRewardDistributor.sol";
import {IWorkLedger} from "./interfaces/IWorkLedger.sol";
import {RewardClaim} from "./types/Reward.sol";

/// @title Pays rewards that a finalised round proves
/// @notice INVARIANT: for every round at most totalWei leaves, which the escrow sent here when the
/// round was finalised.
contract RewardDistributor is LeafClaims, IRewardDistributor {
    using SafeERC20 for ComputeToken;

    ComputeToken public immutable token;

    constructor(ComputeToken token_, IWorkLedger ledger_) LeafClaims(ledger_) {
        token = token_;
    }

    /// @inheritdoc LeafClaims
    function _pay(RewardClaim calldata item, uint256) internal override {
        emit Claimed(item.jobId, item.round, item.index, item.account, item.amount);
        token.safeTransfer(item.account, item.amount);
    }
}
