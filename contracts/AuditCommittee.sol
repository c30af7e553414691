// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAuditCommittee} from "./interfaces/IAuditCommittee.sol";
import {IBondVault} from "./interfaces/IBondVault.sol";
import {INetworkParameters} from "./interfaces/INetworkParameters.sol";
import {IReferee, IRefereeCallback} from "./interfaces/IReferee.sol";
import {IWorkLedger} from "./interfaces/IWorkLedger.sol";
import {Hashes} from "./libraries/Hashes.sol";
import {Dispute, DisputePhase} from "./types/Dispute.sol";
import {UnitId} from "./types/Identifiers.sol";
import {Parameter} from "./types/Parameter.sol";

/// @title A drawn, bonded committee as referee
/// @notice INVARIANT: every opened dispute ends in exactly one verdict. Each phase ends by the
/// clock, and anyone may call the next step. Limits, stated: a majority of dishonest seats decides
/// wrongly, and where a root is public before the votes (after a failed audit) a lazy juror may
/// copy one. A refereed game on chain will take its place.
contract AuditCommittee is IAuditCommittee {
    struct Record {
        address worker;
        uint64 openedAt;
        bool resolved;
        address coordinator;
        uint64 commitDeadline;
        uint16 committed; // seats that have
        uint16 revealed;
        address accuser;
        uint64 revealDeadline;
        uint64 drawBlock; // 0: no dispute
        uint8 redraws; // juries that were not full though there are enough nodes
        bytes32 verdict;
        address[] jurors;
        mapping(address juror => bytes32) commitments;
        mapping(address juror => bytes32) votes;
    }

    /// @dev Then the unit is void: whoever takes most accounts off the list holds nobody up for ever.
    uint256 private constant MAX_JURY_REDRAWS = 8;

    INetworkParameters public immutable parameters;
    IBondVault public immutable vault;
    IWorkLedger public immutable ledger;
    /// @inheritdoc IReferee
    IRefereeCallback public immutable reportsTo;

    mapping(UnitId unitId => Record) private _records;

    /// @param ledger_ Is asked whether a worker has opened.
    /// @param seat The referee's seat.
    constructor(
        INetworkParameters parameters_,
        IBondVault vault_,
        IWorkLedger ledger_,
        IRefereeCallback seat
    ) {
        parameters = parameters_;
        vault = vault_;
        ledger = ledger_;
        reportsTo = seat;
    }

    /// @inheritdoc IReferee
    function open(UnitId unitId, address worker, address coordinator, address accuser) external {
        if (msg.sender != address(reportsTo)) revert NotSeat(msg.sender);
        Record storage record = _records[unitId];
        if (record.drawBlock != 0) revert AlreadyOpened(unitId);
        record.worker = worker;
        record.coordinator = coordinator;
        record.accuser = accuser;
        record.openedAt = uint64(block.timestamp);
        _setDrawBlock(unitId, record);
    }

    /// @inheritdoc IAuditCommittee
    function draw(UnitId unitId) external {
        Record storage record = _inPhase(unitId, DisputePhase.Drawing);
        if (block.number <= record.drawBlock) revert DrawTooEarly(unitId, record.drawBlock);
        bytes32 seed = blockhash(record.drawBlock);
        // A new block rather than another hash: whoever calls late must not choose the jury.
        if (seed == 0) return _setDrawBlock(unitId, record);
        uint256 seats = parameters.get(Parameter.CommitteeSize);
        address[] memory jurors = _drawJurors(unitId, record, seed, seats);
        if (jurors.length < seats) {
            // Most of a long list have left it since the draw block: another block finds others.
            bool unlucky = vault.activeCount() >= seats + 3 && record.redraws < MAX_JURY_REDRAWS;
            if (!unlucky) return _decide(unitId, record, 0, new address[](0), seats);
            ++record.redraws;
            return _setDrawBlock(unitId, record);
        }
        record.jurors = jurors;
        record.commitDeadline = uint64(block.timestamp + parameters.get(Parameter.AuditWindowS));
        record.revealDeadline = uint64(
            record.commitDeadline + parameters.get(Parameter.OpenWindowS)
        );
        emit JurorsDrawn(unitId, jurors, record.commitDeadline, record.revealDeadline);
    }

    /// @inheritdoc IAuditCommittee
    function commitVote(UnitId unitId, bytes32 commitment) external {
        Record storage record = _inPhase(unitId, DisputePhase.Voting);
        _requireJuror(unitId, record, msg.sender);
        if (commitment == 0) revert ZeroValue(unitId);
        // INVARIANT: one vote per seat, and no second thoughts.
        if (record.commitments[msg.sender] != 0) revert AlreadyCommitted(unitId, msg.sender);
        record.commitments[msg.sender] = commitment;
        ++record.committed;
        emit VoteCommitted(unitId, msg.sender);
        if (record.committed == record.jurors.length) {
            record.revealDeadline = uint64(block.timestamp + parameters.get(Parameter.OpenWindowS));
            emit VotingClosed(unitId, record.revealDeadline);
        }
    }

    /// @inheritdoc IAuditCommittee
    function revealVote(UnitId unitId, bytes32 unitRoot, bytes32 salt) external {
        // INVARIANT: no vote is public while another may still be committed.
        Record storage record = _inPhase(unitId, DisputePhase.Revealing);
        if (unitRoot == 0) revert ZeroValue(unitId);
        bytes32 commitment = record.commitments[msg.sender];
        if (commitment == 0 || record.votes[msg.sender] != 0)
            revert NothingToReveal(unitId, msg.sender);
        if (Hashes.commitment(unitId, msg.sender, unitRoot, salt) != commitment) {
            revert WrongReveal(unitId, msg.sender);
        }
        record.votes[msg.sender] = unitRoot;
        ++record.revealed;
        emit VoteRevealed(unitId, msg.sender, unitRoot);
    }

    /// @inheritdoc IAuditCommittee
    function resolve(UnitId unitId) external {
        Record storage record = _inPhase(unitId, DisputePhase.Resolvable);
        uint256 seats = record.jurors.length;
        (bytes32 root, uint256 votes) = _plurality(record);
        // INVARIANT: a verdict has more than half of the seats, absent ones counted.
        if (2 * votes <= seats) return _decide(unitId, record, 0, new address[](0), seats);
        _decide(unitId, record, root, _votersFor(record, root, votes), seats);
    }

    /// @inheritdoc IAuditCommittee
    function dispute(UnitId unitId) external view returns (Dispute memory view_) {
        Record storage record = _records[unitId];
        uint256 seats = record.jurors.length;
        view_ = Dispute({
            phase: _phase(unitId, record),
            worker: record.worker,
            coordinator: record.coordinator,
            accuser: record.accuser,
            openedAt: record.openedAt,
            commitDeadline: record.commitDeadline,
            revealDeadline: record.revealDeadline,
            drawBlock: record.drawBlock,
            jurors: record.jurors,
            commitments: new bytes32[](seats),
            votes: new bytes32[](seats),
            verdict: record.verdict
        });
        for (uint256 i = 0; i < seats; ++i) {
            view_.commitments[i] = record.commitments[record.jurors[i]];
            view_.votes[i] = record.votes[record.jurors[i]];
        }
    }

    function _setDrawBlock(UnitId unitId, Record storage record) private {
        record.drawBlock = uint64(block.number + 1);
        emit DisputeOpened(unitId, record.drawBlock);
    }

    function _decide(
        UnitId unitId,
        Record storage record,
        bytes32 root,
        address[] memory upheldBy,
        uint256 seats
    ) private {
        // INVARIANT: one verdict per dispute.
        record.resolved = true;
        record.verdict = root;
        emit DisputeResolved(unitId, root, upheldBy.length, seats);
        reportsTo.onVerdict(unitId, root, upheldBy);
    }

    /// @dev The accuser is a party: it gets a seat only where seats would stay empty without it.
    function _drawJurors(
        UnitId unitId,
        Record storage record,
        bytes32 blockHash,
        uint256 seats
    ) private view returns (address[] memory jurors) {
        bytes32 seed = keccak256(abi.encode(blockHash, unitId, "jurors"));
        address[] memory excluded = new address[](3);
        (excluded[0], excluded[1], excluded[2]) = (
            record.worker,
            record.coordinator,
            record.accuser
        );
        jurors = vault.drawMany(seed, excluded, record.drawBlock, seats);
        if (jurors.length < seats) {
            excluded[2] = record.worker;
            jurors = vault.drawMany(seed, excluded, record.drawBlock, seats);
        }
    }

    function _inPhase(
        UnitId unitId,
        DisputePhase expected
    ) private view returns (Record storage record) {
        record = _records[unitId];
        DisputePhase phase = _phase(unitId, record);
        if (phase != expected) revert WrongPhase(unitId, phase);
    }

    /// @dev The phase follows from facts and the clock.
    function _phase(UnitId unitId, Record storage record) private view returns (DisputePhase) {
        if (record.drawBlock == 0) return DisputePhase.None;
        if (record.resolved) return DisputePhase.Resolved;
        if (record.commitDeadline == 0) return DisputePhase.Drawing;
        bool votingOver =
            block.timestamp > record.commitDeadline || record.committed == record.jurors.length;
        if (!votingOver) return DisputePhase.Voting;
        if (block.timestamp > record.revealDeadline) return DisputePhase.Resolvable;
        // Nothing to wait for: every vote is public, and so is the worker's root.
        bool complete = record.revealed == record.committed && ledger.unit(unitId).unitRoot != 0;
        return complete ? DisputePhase.Resolvable : DisputePhase.Revealing;
    }

    function _requireJuror(UnitId unitId, Record storage record, address account) private view {
        for (uint256 i = 0; i < record.jurors.length; ++i) {
            if (record.jurors[i] == account) return;
        }
        revert NotJuror(unitId, account);
    }

    /// @dev The root with most votes and their number; (0, 0) without votes.
    function _plurality(Record storage record) private view returns (bytes32 root, uint256 votes) {
        uint256 seats = record.jurors.length;
        for (uint256 i = 0; i < seats; ++i) {
            bytes32 candidate = record.votes[record.jurors[i]];
            if (candidate == 0) continue;
            uint256 count = 0;
            for (uint256 j = 0; j < seats; ++j) {
                if (record.votes[record.jurors[j]] == candidate) ++count;
            }
            if (count > votes) (root, votes) = (candidate, count);
        }
    }

    function _votersFor(
        Record storage record,
        bytes32 root,
        uint256 votes
    ) private view returns (address[] memory voters) {
        voters = new address[](votes);
        uint256 found = 0;
        for (uint256 i = 0; i < record.jurors.length; ++i) {
            address juror = record.jurors[i];
            if (record.votes[juror] == root) voters[found++] = juror;
        }
    }
}
