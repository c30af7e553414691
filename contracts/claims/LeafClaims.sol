// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";

import {ILeafClaims} from "../interfaces/ILeafClaims.sol";
import {IWorkLedger} from "../interfaces/IWorkLedger.sol";
import {Hashes} from "../libraries/Hashes.sol";
import {JobId} from "../types/Identifiers.sol";
import {MAX_CLAIMS_PER_CALL, RewardClaim} from "../types/Reward.sol";
import {FinalizedRound} from "../types/Work.sol";

/// @title Takes proofs of reward leaves, each leaf once
/// @notice The only root it trusts is the one that the ledger built on chain.
abstract contract LeafClaims is ILeafClaims {
    using BitMaps for BitMaps.BitMap;

    IWorkLedger public immutable ledger;

    mapping(JobId jobId => mapping(uint32 round => BitMaps.BitMap)) private _claimed;

    constructor(IWorkLedger ledger_) {
        ledger = ledger_;
    }

    /// @inheritdoc ILeafClaims
    function claim(RewardClaim[] calldata claims) external {
        if (claims.length == 0 || claims.length > MAX_CLAIMS_PER_CALL) {
            revert BadClaimCount(claims.length, MAX_CLAIMS_PER_CALL);
        }
        for (uint256 i = 0; i < claims.length; ++i) {
            _claim(claims[i]);
        }
    }

    /// @inheritdoc ILeafClaims
    function isClaimed(JobId jobId, uint32 round, uint256 index) external view returns (bool) {
        return _claimed[jobId][round].get(index);
    }

    /// @dev Pays for a leaf that was proved and marked just now.
    /// @param totalWei The sum of the round's leaves.
    function _pay(RewardClaim calldata item, uint256 totalWei) internal virtual;

    function _claim(RewardClaim calldata item) private {
        FinalizedRound memory finalized = ledger.finalized(item.jobId, item.round);
        if (finalized.rewardsRoot == 0) revert NotFinalized(item.jobId, item.round);
        BitMaps.BitMap storage claimed = _claimed[item.jobId][item.round];
        if (claimed.get(item.index)) revert AlreadyClaimed(item.jobId, item.round, item.index);
        bytes32 leaf = Hashes.rewardLeaf(
            item.jobId,
            item.round,
            item.index,
            item.account,
            item.amount
        );
        if (!MerkleProof.verifyCalldata(item.proof, finalized.rewardsRoot, leaf)) {
            revert BadProof(item.jobId, item.round, item.index);
        }
        // INVARIANT: a leaf is paid at most once.
        claimed.set(item.index);
        _pay(item, finalized.totalWei);
    }
}
