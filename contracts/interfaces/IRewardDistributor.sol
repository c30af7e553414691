// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {JobId} from "../types/Identifiers.sol";
import {ILeafClaims} from "./ILeafClaims.sol";

/// @title Pays rewards that a finalised round proves
interface IRewardDistributor is ILeafClaims {
    /// @notice A reward was paid to its account.
    event Claimed(
        JobId indexed jobId,
        uint32 indexed round,
        uint256 index,
        address indexed account,
        uint256 amount
    );
}
