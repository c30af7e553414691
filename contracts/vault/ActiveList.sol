// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBondVault} from "../interfaces/IBondVault.sol";
import {Parameter} from "../types/Parameter.sol";
import {BondState} from "./BondState.sol";

/// @title The list that auditors and jurors are drawn from
/// @notice Every account on it has a place that it keeps until it leaves; a place that was left is the
/// next newcomer's. INVARIANT: once a seed is known no owner changes what it draws but by taking accounts
/// of its own out (a slash or a vote on MinBondWei may take others out): places do not move, who comes is not eligible, and the number of places is that of
/// the draw block. So owners of many accounts cannot come and go until the draw suits them.
abstract contract ActiveList is BondState {
    struct Place {
        address account; // who has it, or had it before it was left
        uint48 since; // the block in which the list grew by it
    }

    /// @dev Uniform tries: a bound on a draw's gas. They miss with probability (1 - l)^128 where l is the
    /// share of places whose accounts are eligible. A list of up to 64 is searched whole after a few; a
    /// longer one is not, for whoever comes after many vacant places would be found for all of them.
    uint256 private constant DRAW_TRIES = 128;
    uint256 private constant FEW_TRIES = 16;
    uint256 private constant DRAW_SCAN = 64;

    /// @dev By ascending `since`; there are never fewer.
    Place[] private _places;
    uint32[] private _vacant;

    /// @inheritdoc IBondVault
    function refresh(address account) external {
        _place(account);
    }

    /// @inheritdoc IBondVault
    function activeCount() external view returns (uint256) {
        return _places.length - _vacant.length;
    }

    /// @inheritdoc IBondVault
    function placeCount() external view returns (uint256) {
        return _places.length;
    }

    /// @inheritdoc IBondVault
    function activeAt(uint256 place) external view returns (address account) {
        account = _places[place].account;
        if (_accounts[account].place != place + 1) account = address(0);
    }

    /// @inheritdoc IBondVault
    function draw(
        bytes32 seed,
        address[] calldata excluded,
        uint256 drawBlock
    ) external view returns (address) {
        return _draw(seed, excluded, drawBlock, parameters.get(Parameter.MinBondWei));
    }

    /// @inheritdoc IBondVault
    function drawMany(
        bytes32 seed,
        address[] calldata excluded,
        uint256 drawBlock,
        uint256 count
    ) external view returns (address[] memory drawn) {
        uint256 minBond = parameters.get(Parameter.MinBondWei);
        address[] memory taken = new address[](excluded.length + count);
        for (uint256 i = 0; i < excluded.length; ++i) {
            taken[i] = excluded[i];
        }
        drawn = new address[](count);
        uint256 found = 0;
        for (; found < count; ++found) {
            address next = _draw(keccak256(abi.encode(seed, found)), taken, drawBlock, minBond);
            if (next == address(0)) break;
            drawn[found] = next;
            taken[excluded.length + found] = next;
        }
        if (found < count) drawn = _head(drawn, found);
    }

    /// @dev Puts an account on the list or takes it off, as its bond says.
    function _place(address account) internal {
        Account storage entry = _accounts[account];
        bool active = _isActive(account, parameters.get(Parameter.MinBondWei));
        if (active == (entry.place != 0)) return;
        // INVARIANT: _places[_accounts[a].place - 1] == a for every a on the list.
        if (active) {
            entry.place = _takePlace(account);
            entry.activeSince = uint40(block.number);
        } else {
            _vacant.push(entry.place);
            entry.place = 0;
        }
        emit ActiveChanged(account, active);
    }

    /// @return place From 1.
    function _takePlace(address account) private returns (uint32 place) {
        uint256 vacant = _vacant.length;
        if (vacant != 0) {
            place = _vacant[vacant - 1];
            _vacant.pop();
            _places[place - 1].account = account;
        } else {
            _places.push(Place(account, uint48(block.number)));
            place = uint32(_places.length);
        }
    }

    /// @dev How many places there were at the end of a block: a binary search, after a look at the last
    /// place, for most lists have not grown since.
    function _placeCountAt(uint256 blockNumber) private view returns (uint256 low) {
        uint256 high = _places.length;
        if (high == 0 || _places[high - 1].since <= blockNumber) return high;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (_places[middle].since <= blockNumber) low = middle + 1;
            else high = middle;
        }
    }

    function _draw(
        bytes32 seed,
        address[] memory excluded,
        uint256 drawBlock,
        uint256 minBond
    ) private view returns (address) {
        uint256 count = _placeCountAt(drawBlock);
        if (count == 0) return address(0);
        uint256 tries = count <= DRAW_SCAN ? FEW_TRIES : DRAW_TRIES;
        for (uint256 i = 0; i < tries; ++i) {
            uint256 place = uint256(keccak256(abi.encode(seed, i))) % count;
            if (_isEligible(place, excluded, drawBlock, minBond)) {
                return _places[place].account;
            }
        }
        for (uint256 i = 0; i < count && count <= DRAW_SCAN; ++i) {
            uint256 place = addmod(uint256(seed), i, count);
            if (_isEligible(place, excluded, drawBlock, minBond)) {
                return _places[place].account;
            }
        }
        return address(0);
    }

    function _isEligible(
        uint256 place,
        address[] memory excluded,
        uint256 drawBlock,
        uint256 minBond
    ) private view returns (bool) {
        address candidate = _places[place].account;
        if (_accounts[candidate].place != place + 1) return false;
        for (uint256 i = 0; i < excluded.length; ++i) {
            if (excluded[i] == candidate) return false;
        }
        // Nobody can add accounts to the draw once its seed, the hash of drawBlock, is known.
        return _accounts[candidate].activeSince < drawBlock && _isActive(candidate, minBond);
    }

    function _head(
        address[] memory items,
        uint256 count
    ) private pure returns (address[] memory head) {
        head = new address[](count);
        for (uint256 i = 0; i < count; ++i) {
            head[i] = items[i];
        }
    }
}
