// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Dispute, DisputePhase} from "../types/Dispute.sol";
import {UnitId} from "../types/Identifiers.sol";
import {IReferee} from "./IReferee.sol";

/// @title A drawn, bonded committee as referee
/// @notice Jurors recompute the unit, commit, then reveal. More than half of the seats must agree,
/// else the unit is void.
interface IAuditCommittee is IReferee {
    /// @notice A dispute waits for its jury; the hash of `drawBlock` draws it. Again if nobody drew
    /// in time.
    event DisputeOpened(UnitId indexed unitId, uint256 drawBlock);

    /// @notice The jury sits.
    event JurorsDrawn(
        UnitId indexed unitId,
        address[] jurors,
        uint64 commitDeadline,
        uint64 revealDeadline
    );

    /// @notice A juror committed.
    event VoteCommitted(UnitId indexed unitId, address indexed juror);

    /// @notice All jurors have committed: revealing may begin at once and ends at `revealDeadline`.
    event VotingClosed(UnitId indexed unitId, uint64 revealDeadline);

    /// @notice A juror revealed.
    event VoteRevealed(UnitId indexed unitId, address indexed juror, bytes32 unitRoot);

    /// @notice The dispute is over; root 0: void.
    event DisputeResolved(UnitId indexed unitId, bytes32 root, uint256 votes, uint256 seats);

    /// @notice Only the referee's seat opens disputes.
    error NotSeat(address caller);

    /// @notice The unit was before the committee already.
    error AlreadyOpened(UnitId unitId);

    /// @notice The call does not fit the phase.
    error WrongPhase(UnitId unitId, DisputePhase phase);

    /// @notice The draw block has no hash yet.
    error DrawTooEarly(UnitId unitId, uint256 drawBlock);

    /// @notice The caller has no seat on this jury.
    error NotJuror(UnitId unitId, address account);

    /// @notice The juror committed already.
    error AlreadyCommitted(UnitId unitId, address juror);

    /// @notice The juror has not committed, or revealed already.
    error NothingToReveal(UnitId unitId, address juror);

    /// @notice A commitment or root is zero.
    error ZeroValue(UnitId unitId);

    /// @notice Root and salt do not fit the commitment.
    error WrongReveal(UnitId unitId, address juror);

    /// @notice Draws the jury once the draw block is over. Anyone. Too few eligible nodes: void at
    /// once. More than 256 blocks late: a new draw block is set.
    function draw(UnitId unitId) external;

    /// @notice A juror's commitment: keccak256(abi.encode(unitId, juror, unitRoot, salt)).
    function commitVote(UnitId unitId, bytes32 commitment) external;

    /// @notice Opens the caller's commitment, once all jurors have committed or the time to do so
    /// is over.
    function revealVote(UnitId unitId, bytes32 unitRoot, bytes32 salt) external;

    /// @notice Counts and tells the seat. Anyone, once all committed votes are revealed and the
    /// worker has opened, or the time to do so is over.
    function resolve(UnitId unitId) external;

    /// @notice All about a dispute.
    function dispute(UnitId unitId) external view returns (Dispute memory);
}
