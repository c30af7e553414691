// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {JobId} from "./Identifiers.sol";

/// @notice One reward leaf of a finalised round and its proof.
struct RewardClaim {
    JobId jobId;
    uint32 round;
    uint256 index; // of the leaf, in the order of RoundRewards
    address account;
    uint256 amount;
    bytes32[] proof; // sibling hashes from the leaf upwards
}

/// @dev Claims in one call.
uint256 constant MAX_CLAIMS_PER_CALL = 256;
