// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IBondVault} from "../interfaces/IBondVault.sol";
import {Parameter} from "../types/Parameter.sol";
import {BondState} from "./BondState.sol";

/// @title The list that auditors and jurors are drawn from
/// @notice It has no vacant place: where an account leaves, the last one takes over its place, so whoever
/// comes and goes leaves nothing behind. A draw is from the list as it was at the end of its draw block, of which
/// every place keeps what a draw may still ask for. INVARIANT: once a seed is known no owner changes what it
/// draws but by taking accounts of its own out (a slash or a vote on MinBondWei may take others out): who moves is
/// found where it was, who comes is not eligible. So owners of many accounts cannot come and go until the draw
/// suits them.
abstract contract ActiveList is BondState {
    struct Size {
        uint32 count; // places, and accounts
        uint32 changed; // the last block in which it did
        uint32 most; // places that there ever were
    }

    /// @dev All zero but `closings` while the list is shorter.
    struct Place {
        address account; // who has it
        uint32 since; // the block in which that one got it
        uint32 opened; // the block in which the list grew by it; others may have had it since, who left the list
        uint32 closings; // how often the list became shorter than it
    }

    /// @dev What a place was when the list became shorter: it was somebody's from the end of `opened` to before
    /// the end of `closed`, and `account` had it last, from the end of `since` on.
    struct Closing {
        address account;
        uint32 since;
        uint32 opened;
        uint32 closed;
    }

    /// @dev Uniform tries: a bound on a draw's gas. They miss with probability (1 - l)^128 where l is the
    /// share of places whose accounts are eligible. A list of up to 64 is searched whole after a few; a
    /// longer one is not, for whoever comes after many who have left would be found for all of them.
    uint256 private constant DRAW_TRIES = 128;
    uint256 private constant FEW_TRIES = 16;
    uint256 private constant DRAW_SCAN = 64;

    Size private _size;
    mapping(uint256 place => Place) private _places;
    /// @dev By ascending `opened`.
    mapping(uint256 place => mapping(uint256 closing => Closing)) private _closings;

    /// @inheritdoc IBondVault
    function refresh(address account) external {
        _place(account);
    }

    /// @inheritdoc IBondVault
    function activeCount() external view returns (uint256) {
        return _size.count;
    }

    /// @inheritdoc IBondVault
    function activeAt(uint256 place) external view returns (address) {
        return _places[place].account;
    }

    /// @inheritdoc IBondVault
    function draw(
        bytes32 seed,
        address[] calldata excluded,
        uint256 drawBlock
    ) external view returns (address) {
        uint256 minBond = parameters.get(Parameter.MinBondWei);
        return _draw(seed, excluded, drawBlock, _countAt(drawBlock), minBond);
    }

    /// @inheritdoc IBondVault
    function drawMany(
        bytes32 seed,
        address[] calldata excluded,
        uint256 drawBlock,
        uint256 count
    ) external view returns (address[] memory drawn) {
        uint256 minBond = parameters.get(Parameter.MinBondWei);
        uint256 places = _countAt(drawBlock);
        address[] memory taken = new address[](excluded.length + count);
        for (uint256 i = 0; i < excluded.length; ++i) {
            taken[i] = excluded[i];
        }
        drawn = new address[](count);
        uint256 found = 0;
        for (; found < count; ++found) {
            bytes32 next = keccak256(abi.encode(seed, found));
            address account = _draw(next, taken, drawBlock, places, minBond);
            if (account == address(0)) break;
            drawn[found] = account;
            taken[excluded.length + found] = account;
        }
        if (found < count) drawn = _head(drawn, found);
    }

    /// @dev Puts an account on the list or takes it off, as its bond says.
    function _place(address account) internal {
        Account storage entry = _accounts[account];
        bool active = _isActive(account, parameters.get(Parameter.MinBondWei));
        if (active == (entry.place != 0)) return;
        // INVARIANT: _places[_accounts[a].place - 1].account == a for every a on the list.
        if (active) {
            entry.place = _append(account);
            entry.activeSince = uint40(block.number);
        } else {
            _remove(entry.place - 1);
            entry.place = 0;
        }
        emit ActiveChanged(account, active);
    }

    /// @return place From 1.
    function _append(address account) private returns (uint32 place) {
        Size memory size = _size;
        uint32 now_ = _blockNow();
        _places[size.count] = Place(account, now_, now_, _places[size.count].closings);
        place = size.count + 1;
        _size = Size(place, now_, place > size.most ? place : size.most);
    }

    /// @dev Whoever leaves pays for what is kept, so that a bond costs the same whatever was before.
    function _remove(uint32 place) private {
        Size memory size = _size;
        uint32 now_ = _blockNow();
        uint32 end = size.count - 1;
        Place memory last = _places[end];
        if (place != end) {
            (_places[place].account, _places[place].since) = (last.account, now_);
            _accounts[last.account].place = place + 1;
        }
        // INVARIANT: where an account moved from, it is found by draws of earlier blocks.
        _closings[end][last.closings] = Closing(last.account, last.since, last.opened, now_);
        _places[end] = Place(address(0), 0, 0, last.closings + 1);
        _size = Size(end, now_, size.most);
    }

    /// @dev 32 bits last 136 years of a block a second. After that draws would be from the list as it is, and
    /// bonds still leave.
    function _blockNow() private view returns (uint32) {
        return uint32(Math.min(block.number, type(uint32).max));
    }

    /// @dev How many places there were at the end of a block: a binary search, for then all below were
    /// somebody's and none above; at most lists nothing has changed since.
    function _countAt(uint256 blockNumber) private view returns (uint256 low) {
        if (_size.changed <= blockNumber) return _size.count;
        uint256 high = _size.most;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            (bool open, ) = _at(middle, blockNumber);
            if (open) low = middle + 1;
            else high = middle;
        }
    }

    /// @dev Whether a place was somebody's at the end of a block, and whose; 0 if that one has left the list
    /// since, which makes it ineligible.
    function _at(
        uint256 place,
        uint256 blockNumber
    ) private view returns (bool open, address account) {
        Place storage entry = _places[place];
        if (entry.account != address(0) && entry.opened <= blockNumber) {
            return (true, entry.since <= blockNumber ? entry.account : address(0));
        }
        (uint256 low, uint256 high) = (0, entry.closings);
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (_closings[place][middle].opened <= blockNumber) low = middle + 1;
            else high = middle;
        }
        if (low == 0) return (false, address(0));
        Closing memory was = _closings[place][low - 1];
        open = blockNumber < was.closed;
        if (open && was.since <= blockNumber) account = was.account;
    }

    function _draw(
        bytes32 seed,
        address[] memory excluded,
        uint256 drawBlock,
        uint256 count,
        uint256 minBond
    ) private view returns (address account) {
        if (count == 0) return address(0);
        uint256 tries = count <= DRAW_SCAN ? FEW_TRIES : DRAW_TRIES;
        for (uint256 i = 0; i < tries; ++i) {
            uint256 place = uint256(keccak256(abi.encode(seed, i))) % count;
            account = _eligibleAt(place, excluded, drawBlock, minBond);
            if (account != address(0)) return account;
        }
        for (uint256 i = 0; i < count && count <= DRAW_SCAN; ++i) {
            uint256 place = addmod(uint256(seed), i, count);
            account = _eligibleAt(place, excluded, drawBlock, minBond);
            if (account != address(0)) return account;
        }
    }

    /// @dev Who had a place in the draw block, if it is eligible; else 0.
    function _eligibleAt(
        uint256 place,
        address[] memory excluded,
        uint256 drawBlock,
        uint256 minBond
    ) private view returns (address) {
        (, address candidate) = _at(place, drawBlock);
        Account storage entry = _accounts[candidate];
        if (entry.place == 0) return address(0);
        for (uint256 i = 0; i < excluded.length; ++i) {
            if (excluded[i] == candidate) return address(0);
        }
        // Nobody can add accounts to the draw once its seed, the hash of drawBlock, is known.
        bool eligible = entry.activeSince < drawBlock && _isActive(candidate, minBond);
        return eligible ? candidate : address(0);
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
