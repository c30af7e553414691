// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {UnitId} from "../types/Identifiers.sol";
import {IReferee, IRefereeCallback} from "./IReferee.sol";

/// @title The seat of the referee, which changes hands only after everybody could have left
interface IRefereeSeat is IReferee, IRefereeCallback {
    /// @notice The first referee took the seat.
    event RefereeBound(address indexed referee);

    /// @notice From `seatedAt` on, Unix seconds, new disputes are this referee's, unless it is
    /// withdrawn before. Whoever does not want that has the time to leave.
    event SuccessorProposed(address indexed successor, uint64 seatedAt);

    /// @notice A successor will not take the seat.
    event SuccessorWithdrawn(address indexed successor, address indexed by);

    /// @notice Only the ledger opens disputes.
    error NotLedger(address caller);

    /// @notice Only the referee that a dispute was opened with decides it, once.
    error NotJudge(UnitId unitId, address caller);

    /// @notice Only the DAO's timelock proposes a successor; it and the guardian withdraw one.
    error NotDao(address caller);

    /// @notice Only the deployer binds.
    error NotDeployer(address caller);

    /// @notice The seat has a referee already.
    error AlreadyBound(address referee);

    /// @notice It has no code, reports to another seat, or has the seat already.
    error BadReferee(address referee);

    /// @notice One successor waits already: withdraw it first. Its time then begins anew.
    error AlreadyProposed(address successor, uint64 seatedAt);

    /// @notice No successor waits.
    error NothingProposed();

    /// @notice Seats the first referee. Only the deployer, once.
    function bind(IReferee first) external;

    /// @notice Announces who takes the seat `noticeS` from now. Only the DAO's timelock.
    function propose(IReferee successor) external;

    /// @notice Takes back what was proposed, while it waits. The DAO's timelock or the guardian.
    function withdraw() external;

    /// @notice Who has the seat now.
    function referee() external view returns (IReferee);

    /// @notice Who waits for the seat and when it will have it; zeros if nobody does.
    function pending() external view returns (IReferee successor, uint64 seatedAt);

    /// @notice Whom an open dispute is before; 0 if there is none.
    function judgeOf(UnitId unitId) external view returns (IReferee);

    /// @notice How long a successor waits, seconds: longer than any exit can take. Never changes.
    function noticeS() external view returns (uint256);
}
