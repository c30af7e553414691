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
import {Batch, FinalizedRound, Unit} from "../types/Work.sol";

/// @title What the ledger remembers, and how it is read
abstract contract LedgerState is IWorkLedger, EIP712 {
    struct JobState {
        address holder; // of the lease, as last taken
        uint40 leaseExpiresAt;
        uint32 leaseEpoch; // how often it changed hands
        uint24 openRound; // MAX_ROUNDS fits
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
    mapping(JobId jobId => mapping(uint32 round => Batch[])) internal _batches;
    /// @dev A slot is open while the unit of its present attempt has status None.
    mapping(JobId jobId => mapping(uint32 round => mapping(uint32 slot => uint32 attempt)))
        internal _attempts;
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
        return _batches[jobId][_jobs[jobId].openRound].length != 0;
    }

    /// @inheritdoc IWorkLedger
    function batchCount(JobId jobId, uint32 round) external view returns (uint32) {
        return uint32(_batches[jobId][round].length);
    }

    /// @inheritdoc IWorkLedger
    function batch(JobId jobId, uint32 round, uint32 index) external view returns (Batch memory) {
        return _batchAt(jobId, round, index);
    }

    /// @inheritdoc IWorkLedger
    function attemptOf(JobId jobId, uint32 round, uint32 slot) external view returns (uint32) {
        return _attempts[jobId][round][slot];
    }

    /// @inheritdoc IWorkLedger
    function slotUnit(JobId jobId, uint32 round, uint32 slot) public view returns (UnitId) {
        return Hashes.unitId(jobId, round, slot, _attempts[jobId][round][slot]);
    }

    /// @inheritdoc IWorkLedger
    function unit(UnitId unitId) external view returns (Unit memory) {
        return _units[unitId];
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

    function _batchAt(
        JobId jobId,
        uint32 round,
        uint32 index
    ) internal view returns (Batch storage) {
        Batch[] storage batches = _batches[jobId][round];
        if (index >= batches.length) revert UnknownBatch(jobId, round, index);
        return batches[index];
    }

    /// @dev Now plus a window.
    function _after(Parameter window) internal view returns (uint64) {
        return uint64(block.timestamp + parameters.get(window));
    }

    function _requireCount(uint256 count, uint256 max) internal pure {
        if (count == 0 || count > max) revert BadCount(count, max);
    }

    function _requireSameLength(uint256 first, uint256 second) internal pure {
        if (first != second) revert LengthMismatch(first, second);
    }
}
