// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {ComputeToken} from "../ComputeToken.sol";
import {IBondVault} from "../interfaces/IBondVault.sol";
import {INetworkParameters} from "../interfaces/INetworkParameters.sol";
import {RAY} from "../types/Bond.sol";

/// @title What the vault knows of each account
abstract contract BondState is IBondVault {
    struct Account {
        uint128 bond; // its own, pending and locked included
        uint128 pending;
        uint128 locked; // for open units; may be pending too
        uint40 availableAt;
        uint40 activeSince; // the block in which it entered the list
        uint32 place; // on the list, from 1; 0: not on it
        uint16 terms; // its commission in basis points, plus 1; 0: nothing was ever delegated to it
    }

    /// @dev What others have delegated to an account, in shares that are worth `index` each.
    struct Pool {
        uint128 delegated; // tokens, leaving included
        uint128 shares;
        uint128 leaving; // shares
        uint128 index; // tokens of a share, times RAY
        uint80 number; // of the account among those that have a pool, from 1
        bool isClosed;
    }

    ComputeToken public immutable token;
    INetworkParameters public immutable parameters;

    mapping(address account => Account) internal _accounts;
    /// @dev Read only where `terms` says that there is one: other accounts pay nothing for it.
    mapping(address account => Pool) internal _pools;

    constructor(ComputeToken token_, INetworkParameters parameters_) {
        token = token_;
        parameters = parameters_;
    }

    /// @dev Not below zero: what is locked may be leaving too, and gone before its unit's end.
    /// INVARIANT: at least half of what covers a unit is the account's own.
    function _free(address account, Account storage entry) internal view returns (uint256) {
        (uint256 own, uint256 locked) = (entry.bond - entry.pending, entry.locked);
        uint256 cover = own;
        if (_hasPool(entry)) {
            Pool storage pool = _pools[account];
            cover += Math.min(_worth(pool.shares - pool.leaving, pool.index), own);
        }
        return cover > locked ? cover - locked : 0;
    }

    function _isActive(address account, uint256 minBond) internal view returns (bool) {
        Account storage entry = _accounts[account];
        return entry.bond - entry.pending >= minBond;
    }

    /// @dev What others have delegated to an account, what is leaving included.
    function _delegatedTo(address account) internal view returns (uint256) {
        return _hasPool(_accounts[account]) ? _pools[account].delegated : 0;
    }

    /// @dev Whether anything was ever delegated to an account, or may have been.
    function _hasPool(Account storage entry) internal view returns (bool) {
        return entry.terms != 0;
    }

    /// @dev Rounded down: INVARIANT: what all holders have is at most what is delegated. Shares and an
    /// index of 128 bits each do not overflow.
    function _worth(uint256 shares, uint256 index) internal pure returns (uint256) {
        return (shares * index) / RAY;
    }
}
