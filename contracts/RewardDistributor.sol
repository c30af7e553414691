// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";

import {ComputeToken} from "./ComputeToken.sol";
import {IRewardDistributor} from "./interfaces/IRewardDistributor.sol";
import {IWorkLedger} from "./interfaces/IWorkLedger.sol";
import {Hashes} from "./libraries/Hashes.sol";
import {JobId} from "./types/Identifiers.sol";
import {MAX_CLAIMS_PER_CALL, RewardClaim} from "./types/Reward.sol";

/// @title Pays rewards that a finalised round proves
/// @notice INVARIANT: for every round at most totalWei leaves, which the escrow sent here when the
/// round was finalised. The only root it trusts is the one that the ledger built on chain.
contract RewardDistributor is IRewardDistributor {
    using BitMaps for BitMaps.BitMap;
    using SafeERC20 for ComputeToken;

    ComputeToken public immutable token;
    IWorkLedger public immutable ledger;

    mapping(JobId jobId => mapping(uint32 round => BitMaps.BitMap)) private _claimed;

    constructor(ComputeToken token_, IWorkLedger ledger_) {
        token = token_;
        ledger = ledger_;
    }

    /// @inheritdoc IRewardDistributor
    function claim(RewardClaim[] calldata claims) external {
        if (claims.length == 0 || claims.length > MAX_CLAIMS_PER_CALL) {
            revert BadClaimCount(claims.length, MAX_CLAIMS_PER_CALL);
        }
        for (uint256 i = 0; i < claims.length; ++i) {
            _claim(claims[i]);
        }
    }

    /// @inheritdoc IRewardDistributor
    function isClaimed(JobId jobId, uint32 round, uint256 index) external view returns (bool) {
        return _claimed[jobId][round].get(index);
    }

    function _claim(RewardClaim calldata item) private {
        bytes32 root = ledger.finalized(item.jobId, item.round).rewardsRoot;
        if (root == 0) revert NotFinalized(item.jobId, item.round);
        BitMaps.BitMap storage claimed = _claimed[item.jobId][item.round];
        if (claimed.get(item.index)) revert AlreadyClaimed(item.jobId, item.round, item.index);
        bytes32 leaf = Hashes.rewardLeaf(
            item.jobId,
            item.round,
            item.index,
            item.account,
            item.amount
        );
        if (!MerkleProof.verifyCalldata(item.proof, root, leaf)) {
            revert BadProof(item.jobId, item.round, item.index);
        }
        // INVARIANT: a leaf is paid at most once.
        claimed.set(item.index);
        emit Claimed(item.jobId, item.round, item.index, item.account, item.amount);
        token.safeTransfer(item.account, item.amount);
    }
}
