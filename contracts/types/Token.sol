// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev A rate is how many AIN wei so many of a token's smallest units are worth.
uint256 constant RATE_UNITS = 10 ** 18;

/// @dev Least and greatest rate of a token that jobs are paid in. The greatest makes one smallest unit
/// worth a whole AIN.
uint256 constant MIN_TOKEN_RATE = 10 ** 6;
uint256 constant MAX_TOKEN_RATE = 10 ** 36;

/// @dev Tokens on the list at a time.
uint256 constant MAX_TOKENS = 16;
