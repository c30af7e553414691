// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Votes of bonded tokens
/// @notice What an owner has bonded, pending and locked parts included, votes for this owner and for
/// nobody else, and so does what a holder has delegated to the bond of another. The token's delegations do not move it: they have no history that could be read at a
/// proposal's snapshot. Times are seconds, by the token's clock.
interface IBondVotes {
    /// @notice Only seconds that are over are told: later ones may still change.
    error FutureLookup(uint256 timepoint, uint256 current);

    /// @notice What an owner has bonded and delegated now.
    function votesOf(address owner) external view returns (uint256);

    /// @notice What an owner had bonded and delegated when second `timepoint` was over.
    function pastVotesOf(address owner, uint256 timepoint) external view returns (uint256);
}
