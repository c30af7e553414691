// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ComputeToken} from "../ComputeToken.sol";
import {IBondVault} from "../interfaces/IBondVault.sol";
import {INetworkParameters} from "../interfaces/INetworkParameters.sol";

/// @title What the vault knows of each account
abstract contract BondState is IBondVault {
    struct Account {
        uint128 bond; // pending and locked included
        uint128 pending;
        uint128 locked; // for open units; may be pending too
        uint40 availableAt;
        uint40 activeSince; // the block in which it entered the list
        uint32 place; // on the list, from 1; 0: not on it
    }

    ComputeToken public immutable token;
    INetworkParameters public immutable parameters;

    mapping(address account => Account) internal _accounts;

    constructor(ComputeToken token_, INetworkParameters parameters_) {
        token = token_;
        parameters = parameters_;
    }

    /// @dev Not below zero: what is locked may be pending too, and gone before its unit's end.
    function _free(Account storage entry) internal view returns (uint256) {
        uint256 taken = uint256(entry.pending) + entry.locked;
        return entry.bond > taken ? entry.bond - taken : 0;
    }

    function _isActive(address account, uint256 minBond) internal view returns (bool) {
        Account storage entry = _accounts[account];
        return entry.bond - entry.pending >= minBond;
    }
}
