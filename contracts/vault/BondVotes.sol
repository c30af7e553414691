// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Time} from "@openzeppelin/contracts/utils/types/Time.sol";

import {IBondVotes} from "../interfaces/IBondVotes.sol";

/// @title What each owner had bonded at any time
/// @notice INVARIANT: the votes of all owners together are the sum of all bonds, at every second. A
/// bonded token is the vault's on the token's own books, which delegates to nobody, so no token votes
/// twice. No event tells of votes: those of bonds and owners say the same.
abstract contract BondVotes is IBondVotes {
    using Checkpoints for Checkpoints.Trace208;
    using SafeCast for uint256;

    mapping(address owner => Checkpoints.Trace208) private _votes;

    /// @inheritdoc IBondVotes
    function votesOf(address owner) public view returns (uint256) {
        return _votes[owner].latest();
    }

    /// @inheritdoc IBondVotes
    function pastVotesOf(address owner, uint256 timepoint) external view returns (uint256) {
        // INVARIANT: what was told once stays true, whatever is bonded in the same second.
        if (timepoint >= block.timestamp) revert FutureLookup(timepoint, block.timestamp);
        Checkpoints.Trace208 storage trace = _votes[owner];
        // Where there is none, both others are 0.
        // slither-disable-next-line unused-return
        (, uint48 since, uint208 votes) = trace.latestCheckpoint();
        // Most bonds are older than the proposal: one read instead of a search.
        return since <= timepoint ? votes : trace.upperLookupRecent(uint48(timepoint));
    }

    /// @dev With every increase of a bond of `owner`.
    function _addVotes(address owner, uint256 amount) internal {
        // What it was and is, is known here.
        // slither-disable-next-line unused-return
        _votes[owner].push(Time.timestamp(), (votesOf(owner) + amount).toUint208());
    }

    /// @dev With every decrease of a bond of `owner`.
    function _removeVotes(address owner, uint256 amount) internal {
        // What it was and is, is known here.
        // slither-disable-next-line unused-return
        _votes[owner].push(Time.timestamp(), (votesOf(owner) - amount).toUint208());
    }
}
