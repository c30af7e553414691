// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Time} from "@openzeppelin/contracts/utils/types/Time.sol";

import {IBondVotes} from "../interfaces/IBondVotes.sol";
import {BondState} from "./BondState.sol";

/// @title What each holder had in the vault at any time
/// @notice INVARIANT: the votes of all are the sum of all bonds and of what is delegated, but for what
/// rounding leaves there, at every second. A token in the vault is the vault's on the token's own books,
/// which delegates to nobody, so no token votes twice. No event tells of votes: those of bonds, owners
/// and delegated bonds say the same.
abstract contract BondVotes is BondState {
    using Checkpoints for Checkpoints.Trace208;
    using SafeCast for uint256;

    /// @dev In a checkpoint of `_votes`, above every sum of bonds: the holder has delegated, too. So who
    /// has not is not asked for it, and votes at no more gas.
    uint208 private constant HAS_DELEGATED = 1 << 207;
    /// @dev In a checkpoint of `_delegations`: below it the shares, above it the number of the pool.
    uint256 private constant NUMBER_BIT = 128;

    mapping(address owner => Checkpoints.Trace208) private _votes;
    mapping(address holder => Checkpoints.Trace208) private _delegations;
    mapping(uint256 number => Checkpoints.Trace208) private _indices;

    /// @inheritdoc IBondVotes
    function votesOf(address owner) external view returns (uint256) {
        uint208 word = _votes[owner].latest();
        if (word < HAS_DELEGATED) return word;
        (uint256 number, uint256 shares) = _sharesOf(owner);
        return (word ^ HAS_DELEGATED) + _worth(shares, _indices[number].latest());
    }

    /// @inheritdoc IBondVotes
    function pastVotesOf(address owner, uint256 timepoint) external view returns (uint256) {
        // INVARIANT: what was told once stays true, whatever is bonded in the same second.
        if (timepoint >= block.timestamp) revert FutureLookup(timepoint, block.timestamp);
        Checkpoints.Trace208 storage trace = _votes[owner];
        // Where there is none, both others are 0.
        // slither-disable-next-line unused-return
        (, uint48 since, uint208 word) = trace.latestCheckpoint();
        // Most bonds are older than the proposal: one read instead of a search.
        if (since > timepoint) word = trace.upperLookupRecent(uint48(timepoint));
        return word < HAS_DELEGATED ? word : _withDelegated(owner, word, timepoint);
    }

    /// @dev With every increase of a bond of `owner`.
    function _addVotes(address owner, uint256 amount) internal {
        // What it was and is, is known here.
        // slither-disable-next-line unused-return
        _votes[owner].push(Time.timestamp(), (_votes[owner].latest() + amount).toUint208());
    }

    /// @dev With every decrease of a bond of `owner`.
    function _removeVotes(address owner, uint256 amount) internal {
        // What it was and is, is known here.
        // slither-disable-next-line unused-return
        _votes[owner].push(Time.timestamp(), (_votes[owner].latest() - amount).toUint208());
    }

    /// @dev What a holder has delegated; 0, 0 if nothing.
    function _sharesOf(address holder) internal view returns (uint256 number, uint256 shares) {
        uint208 found = _delegations[holder].latest();
        return (found >> NUMBER_BIT, uint128(found));
    }

    /// @dev With every change of a holder's shares.
    function _setShares(address holder, uint256 number, uint256 shares) internal {
        uint256 found = shares == 0 ? 0 : (number << NUMBER_BIT) | shares;
        // slither-disable-next-line unused-return
        _delegations[holder].push(Time.timestamp(), found.toUint208());
        uint208 word = _votes[holder].latest();
        // INVARIANT: the bit of a second says whether the holder has shares in it.
        if ((word >= HAS_DELEGATED) == (shares != 0)) return;
        // slither-disable-next-line unused-return
        _votes[holder].push(Time.timestamp(), word ^ HAS_DELEGATED);
    }

    /// @dev With every change of a pool's index.
    function _setIndex(Pool storage pool, uint256 index) internal {
        pool.index = index.toUint128();
        // slither-disable-next-line unused-return
        _indices[pool.number].push(Time.timestamp(), index.toUint208());
    }

    /// @dev Past votes of a holder that has delegated, too.
    function _withDelegated(
        address holder,
        uint208 word,
        uint256 timepoint
    ) private view returns (uint256) {
        uint48 time = uint48(timepoint);
        uint208 found = _delegations[holder].upperLookupRecent(time);
        uint208 index = _indices[found >> NUMBER_BIT].upperLookupRecent(time);
        return (word ^ HAS_DELEGATED) + _worth(uint128(found), index);
    }
}
