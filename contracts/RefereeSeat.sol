// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IGuarded} from "./interfaces/IGuarded.sol";
import {INetworkParameters} from "./interfaces/INetworkParameters.sol";
import {IReferee, IRefereeCallback} from "./interfaces/IReferee.sol";
import {IRefereeSeat} from "./interfaces/IRefereeSeat.sol";
import {UnitId} from "./types/Identifiers.sol";

/// @title The seat of the referee, which changes hands only after everybody could have left
/// @notice The ledger knows this contract as its referee, for ever. It passes disputes on to the
/// referee that has the seat, and verdicts back. Who may take bonds by a verdict is so the DAO's to
/// choose, but never over the head of somebody whose bond is there: an announced successor waits
/// longer than the longest exit. A dispute stays with the referee that it was opened with.
/// @dev Who has the seat follows from the clock: nobody chooses the moment, nobody must call.
contract RefereeSeat is IRefereeSeat {
    /// @dev To hear of a successor and make up one's mind, before the longest exit begins.
    uint256 private constant DECISION_S = 7 days;

    /// @inheritdoc IReferee
    IRefereeCallback public immutable reportsTo;
    /// @notice The only account that proposes: the timelock.
    address public immutable dao;
    /// @notice Names the guardian.
    IGuarded public immutable governor;
    /// @inheritdoc IRefereeSeat
    uint256 public immutable noticeS;
    address private immutable _deployer;

    /// @dev Until _seatedAt, and for good while that is 0.
    IReferee private _referee;
    /// @dev From _seatedAt on.
    IReferee private _successor;
    uint64 private _seatedAt;
    /// @inheritdoc IRefereeSeat
    mapping(UnitId unitId => IReferee) public judgeOf;

    /// @param ledger Whose referee this is.
    /// @param parameters Bound how long an exit can take.
    /// @param dao_ Proposes successors: the timelock.
    /// @param governor_ Names who may withdraw them besides.
    constructor(
        IRefereeCallback ledger,
        INetworkParameters parameters,
        address dao_,
        IGuarded governor_
    ) {
        reportsTo = ledger;
        dao = dao_;
        governor = governor_;
        // INVARIANT: longer than any exit under any parameters that a vote could set.
        noticeS = DECISION_S + parameters.longestExitS();
        _deployer = msg.sender;
    }

    /// @inheritdoc IRefereeSeat
    function bind(IReferee first) external {
        if (msg.sender != _deployer) revert NotDeployer(msg.sender);
        if (address(_referee) != address(0)) revert AlreadyBound(address(_referee));
        _requireReferee(first);
        _referee = first;
        emit RefereeBound(address(first));
    }

    /// @inheritdoc IRefereeSeat
    function propose(IReferee successor) external {
        if (msg.sender != dao) revert NotDao(msg.sender);
        // INVARIANT: a proposal takes the place of no other: no time that began is cut short.
        if (_isPending()) revert AlreadyProposed(address(_successor), _seatedAt);
        _requireReferee(successor);
        // Whose time came is settled, so that its place can be given to the next.
        _referee = referee();
        _successor = successor;
        _seatedAt = uint64(block.timestamp + noticeS);
        emit SuccessorProposed(address(successor), _seatedAt);
    }

    /// @inheritdoc IRefereeSeat
    function withdraw() external {
        if (msg.sender != dao && !_isGuardian(msg.sender)) revert NotDao(msg.sender);
        // INVARIANT: who has the seat loses it to a successor only.
        if (!_isPending()) revert NothingProposed();
        emit SuccessorWithdrawn(address(_successor), msg.sender);
        (_successor, _seatedAt) = (IReferee(address(0)), 0);
    }

    /// @inheritdoc IReferee
    function open(UnitId unitId, address worker, address coordinator, address accuser) external {
        if (msg.sender != address(reportsTo)) revert NotLedger(msg.sender);
        IReferee judge = referee();
        judgeOf[unitId] = judge;
        judge.open(unitId, worker, coordinator, accuser);
    }

    /// @inheritdoc IRefereeCallback
    function onVerdict(UnitId unitId, bytes32 root, address[] calldata upheldBy) external {
        // INVARIANT: a verdict is that of the referee that the dispute was opened with, and the
        // only one.
        if (msg.sender != address(judgeOf[unitId])) revert NotJudge(unitId, msg.sender);
        delete judgeOf[unitId];
        reportsTo.onVerdict(unitId, root, upheldBy);
    }

    /// @inheritdoc IRefereeSeat
    function pending() external view returns (IReferee successor, uint64 seatedAt) {
        if (_isPending()) return (_successor, _seatedAt);
    }

    /// @inheritdoc IRefereeSeat
    function referee() public view returns (IReferee) {
        return _seatedAt != 0 && block.timestamp >= _seatedAt ? _successor : _referee;
    }

    function _isPending() private view returns (bool) {
        return block.timestamp < _seatedAt;
    }

    function _isGuardian(address account) private view returns (bool) {
        return account == governor.guardian() && block.timestamp < governor.guardianUntil();
    }

    /// @dev A successor that cannot be called, or tells somebody else, would stop every dispute.
    function _requireReferee(IReferee candidate) private view {
        if (
            address(candidate).code.length == 0 ||
            address(candidate.reportsTo()) != address(this) ||
            address(candidate) == address(referee())
        ) revert BadReferee(address(candidate));
    }
}
