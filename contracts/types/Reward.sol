// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What an account has earned in a token, and what of it was paid out. Neither ever falls.
/// One word.
struct Account {
    uint128 earnedWei;
    uint128 claimedWei;
}

/// @dev Accounts, or epochs of one account, in one call.
uint256 constant MAX_CLAIMS_PER_CALL = 256;
