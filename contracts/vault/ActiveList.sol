// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBondVault} from "../interfaces/IBondVault.sol";
import {Parameter} from "../types/Parameter.sol";
import {BondState} from "./BondState.sol";

/// @title The list that auditors and jurors are drawn from
abstract contract ActiveList is BondState {
    /// @dev Uniform tries before a scan, and the scan's length: bounds on a draw's gas. Where fewer
    /// than half of the list are excluded, 16 tries miss with probability below 2^-16, and a list
    /// of up to 64 is then searched whole.
    uint256 private constant DRAW_TRIES = 16;
    uint256 private constant DRAW_SCAN = 64;

    address[] private _active;

    /// @inheritdoc IBondVault
    function refresh(address account) external {
        _place(account);
    }

    /// @inheritdoc IBondVault
    function activeCount() external view returns (uint256) {
        return _active.length;
    }

    /// @inheritdoc IBondVault
    function activeAt(uint256 index) external view returns (address) {
        return _active[index];
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
        if (active) {
            _active.push(account);
            entry.place = uint32(_active.length);
            entry.activeSince = uint40(block.number);
        } else {
            // INVARIANT: _active[_accounts[a].place - 1] == a for every a on the list.
            address last = _active[_active.length - 1];
            _active[entry.place - 1] = last;
            _accounts[last].place = entry.place;
            _active.pop();
            entry.place = 0;
        }
        emit ActiveChanged(account, active);
    }

    function _draw(
        bytes32 seed,
        address[] memory excluded,
        uint256 drawBlock,
        uint256 minBond
    ) private view returns (address) {
        uint256 count = _active.length;
        if (count == 0) return address(0);
        for (uint256 i = 0; i < DRAW_TRIES; ++i) {
            address candidate = _active[uint256(keccak256(abi.encode(seed, i))) % count];
            if (_isEligible(candidate, excluded, drawBlock, minBond)) return candidate;
        }
        uint256 steps = count < DRAW_SCAN ? count : DRAW_SCAN;
        for (uint256 i = 0; i < steps; ++i) {
            address candidate = _active[addmod(uint256(seed), i, count)];
            if (_isEligible(candidate, excluded, drawBlock, minBond)) return candidate;
        }
        return address(0);
    }

    function _isEligible(
        address candidate,
        address[] memory excluded,
        uint256 drawBlock,
        uint256 minBond
    ) private view returns (bool) {
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
