// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {ComputeToken} from "../ComputeToken.sol";
import {IBondVault} from "../interfaces/IBondVault.sol";
import {IJobEscrow} from "../interfaces/IJobEscrow.sol";
import {INetworkParameters} from "../interfaces/INetworkParameters.sol";
import {IReferee} from "../interfaces/IReferee.sol";
import {IWorkLedger} from "../interfaces/IWorkLedger.sol";
import {Hashes} from "../libraries/Hashes.sol";
import {JobId, UnitId} from "../types/Identifiers.sol";
import {Parameter} from "../types/Parameter.sol";
import {Batch, FinalizedRound, Unit, UnitStatus} from "../types/Work.sol";

/// @title What the ledger remembers, and how it is read
abstract contract LedgerState is IWorkLedger, EIP712 {
    struct JobState {
        address holder; // of the lease, as last taken
        uint40 leaseExpiresAt;
        uint32 leaseEpoch; // how often it changed hands
        uint24 openRound; // the oldest that is not final; MAX_ROUNDS fits
        uint8 ahead; // anchored rounds, from the open one on: claims go to the round after them
    }

    struct Anchor {
        bytes32 checkpoint;
        uint32 leaseEpoch; // whose holder put it there
    }

    bytes32 internal constant CLAIM_TYPEHASH = keccak256(
        "Claim(bytes32 unitId,bytes32 parent,uint32 leaseEpoch,bytes32 resultRoot,bytes32 commitment)"
    );

    ComputeToken public immutable token;
    INetworkParameters public immutable parameters;
    IBondVault public immutable vault;
    IJobEscrow public immutable escrow;
    address private immutable _deployer;

    /// @notice Decides disputes; 0 until bound.
    IReferee public referee;

    mapping(JobId jobId => JobState) internal _jobs;
    /// @dev How often all claims of a round were dissolved: what was put on chain under another
    /// count is forgotten without touching it.
    mapping(JobId jobId => mapping(uint32 round => uint32 count)) internal _dissolutions;
    mapping(JobId jobId => mapping(uint32 round => mapping(uint32 dissolutions => Batch[])))
        internal _batches;
    /// @dev Faults and voids of a slot; its attempt is this and the dissolutions of its round. A
    /// slot is open while the unit of its present attempt has status None.
    mapping(JobId jobId => mapping(uint32 round => mapping(uint32 slot => uint32 count)))
        internal _reissues;
    mapping(JobId jobId => mapping(uint32 round => Anchor)) internal _anchors;
    mapping(JobId jobId => mapping(uint32 round => FinalizedRound)) internal _finalized;
    mapping(UnitId unitId => Unit) internal _units;
    /// @dev Auditors of a unit that missed a deadline; at most MAX_REDRAWS + 1.
    mapping(UnitId unitId => address[]) internal _overdueAuditors;
    mapping(address worker => uint256 units) internal _cleanUnits;

    constructor(
        ComputeToken token_,
        INetworkParameters parameters_,
        IBondVault vault_,
        IJobEscrow escrow_
    ) EIP712("Ainur WorkLedger", "0") {
        token = token_;
        parameters = parameters_;
        vault = vault_;
        escrow = escrow_;
        _deployer = msg.sender;
    }

    /// @inheritdoc IWorkLedger
    function bind(address referee_) external {
        if (msg.sender != _deployer) revert NotDeployer(msg.sender);
        // INVARIANT: the seat is given at most once.
        if (address(referee) != address(0) || referee_ == address(0)) revert BadBinding(referee_);
        referee = IReferee(referee_);
        emit RefereeBound(referee_);
    }

    /// @inheritdoc IWorkLedger
    function leaseOf(JobId jobId) public view returns (address holder, uint64 expiresAt) {
        JobState storage job = _jobs[jobId];
        (holder, expiresAt) = (job.holder, job.leaseExpiresAt);
        // A coordinator without a bond has nothing to lose: its lease is free at once.
        if (block.timestamp >= expiresAt || !vault.isActive(holder)) return (address(0), 0);
    }

    /// @inheritdoc IWorkLedger
    function openRound(JobId jobId) external view returns (uint32) {
        return _jobs[jobId].openRound;
    }

    /// @inheritdoc IWorkLedger
    function roundStarted(JobId jobId) public view returns (bool) {
        return _batchesOf(jobId, _jobs[jobId].openRound).length != 0;
    }

    /// @inheritdoc IWorkLedger
    function headRound(JobId jobId) public view returns (uint32) {
        JobState storage job = _jobs[jobId];
        return uint32(job.openRound) + job.ahead;
    }

    /// @inheritdoc IWorkLedger
    function startedRounds(JobId jobId) external view returns (uint32 started) {
        // An anchored round has a claim in every slot.
        started = _jobs[jobId].ahead;
        if (_batchesOf(jobId, headRound(jobId)).length != 0) ++started;
    }

    /// @inheritdoc IWorkLedger
    function anchorOf(JobId jobId, uint32 round) external view returns (bytes32) {
        return _anchors[jobId][round].checkpoint;
    }

    /// @inheritdoc IWorkLedger
    function batchCount(JobId jobId, uint32 round) external view returns (uint32) {
        return uint32(_batchesOf(jobId, round).length);
    }

    /// @inheritdoc IWorkLedger
    function batch(JobId jobId, uint32 round, uint32 index) external view returns (Batch memory) {
        return _batchAt(jobId, round, index);
    }

    /// @inheritdoc IWorkLedger
    function attemptOf(JobId jobId, uint32 round, uint32 slot) public view returns (uint32) {
        // INVARIANT: it never falls, and every dissolution raises it: a dissolved unit is never
        // the present one again.
        return _reissues[jobId][round][slot] + _dissolutions[jobId][round];
    }

    /// @inheritdoc IWorkLedger
    function slotUnit(JobId jobId, uint32 round, uint32 slot) public view returns (UnitId) {
        return Hashes.unitId(jobId, round, slot, attemptOf(jobId, round, slot));
    }

    /// @inheritdoc IWorkLedger
    function unit(UnitId unitId) external view returns (Unit memory found) {
        found = _units[unitId];
        found.status = _statusOf(_units[unitId]);
    }

    /// @inheritdoc IWorkLedger
    function cleanUnits(address worker) external view returns (uint256) {
        return _cleanUnits[worker];
    }

    /// @inheritdoc IWorkLedger
    function finalized(JobId jobId, uint32 round) external view returns (FinalizedRound memory) {
        return _finalized[jobId][round];
    }

    /// @inheritdoc IWorkLedger
    function lineage(
        JobId jobId,
        uint32 round
    ) public view returns (bytes32 parent, uint32 leaseEpoch) {
        if (round != 0) parent = _finalized[jobId][round - 1].checkpoint;
        if (round != 0 && parent == 0) parent = _anchors[jobId][round - 1].checkpoint;
        leaseEpoch = _jobs[jobId].leaseEpoch;
    }

    /// @inheritdoc IWorkLedger
    function claimDigest(
        UnitId unitId,
        bytes32 parent,
        uint32 leaseEpoch,
        bytes32 resultRoot,
        bytes32 commitment
    ) public view returns (bytes32) {
        return
            _hashTypedDataV4(
                keccak256(
                    abi.encode(CLAIM_TYPEHASH, unitId, parent, leaseEpoch, resultRoot, commitment)
                )
            );
    }

    /// @dev The batches of a round that were not dissolved.
    function _batchesOf(JobId jobId, uint32 round) internal view returns (Batch[] storage) {
        return _batches[jobId][round][_dissolutions[jobId][round]];
    }

    /// @dev Where a unit stands. That it was dissolved follows from its attempt and is stored
    /// nowhere, so that dissolving a round costs the same whatever it holds.
    function _statusOf(Unit storage entry) internal view returns (UnitStatus status) {
        status = entry.status;
        if (status == UnitStatus.None || status == UnitStatus.Faulted) return status;
        if (status == UnitStatus.Voided) return status;
        uint32 attempt = attemptOf(entry.jobId, entry.round, entry.slot);
        // INVARIANT: of all units of a slot only that of the present attempt can still change.
        if (entry.attempt != attempt) return UnitStatus.Dissolved;
    }

    function _batchAt(
        JobId jobId,
        uint32 round,
        uint32 index
    ) internal view returns (Batch storage) {
        Batch[] storage batches = _batchesOf(jobId, round);
        if (index >= batches.length) revert UnknownBatch(jobId, round, index);
        return batches[index];
    }

    /// @dev Now plus a window.
    function _after(Parameter window) internal view returns (uint40) {
        return uint40(block.timestamp + parameters.get(window));
    }

    function _requireCount(uint256 count, uint256 max) internal pure {
        if (count == 0 || count > max) revert BadCount(count, max);
    }

    function _requireSameLength(uint256 first, uint256 second) internal pure {
        if (first != second) revert LengthMismatch(first, second);
    }
}
