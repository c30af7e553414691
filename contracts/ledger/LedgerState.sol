// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {ComputeToken} from "../ComputeToken.sol";
import {IBondVault} from "../interfaces/IBondVault.sol";
import {IJobEscrow} from "../interfaces/IJobEscrow.sol";
import {INetworkParameters} from "../interfaces/INetworkParameters.sol";
import {IReferee} from "../interfaces/IReferee.sol";
import {IWorkLedger} from "../interfaces/IWorkLedger.sol";
import {Hashes} from "../libraries/Hashes.sol";
import {JobId, UnitId} from "../types/Identifiers.sol";
import {MAX_SLOTS} from "../types/Job.sol";
import {Parameter} from "../types/Parameter.sol";
import {Batch, ClaimedUnit, FinalizedRound, RoundState, Unit, UnitStatus} from "../types/Work.sol";

/// @title What the ledger remembers, and how it is read
abstract contract LedgerState is IWorkLedger {
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

    bytes32 private constant DOMAIN_TYPEHASH = keccak256(
        "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    );
    bytes32 private constant CLAIM_TYPEHASH = keccak256(
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
    mapping(JobId jobId => mapping(uint32 round => RoundState)) internal _rounds;
    /// @dev What was put on chain under another count of dissolutions is forgotten without touching it.
    mapping(JobId jobId => mapping(uint32 round => mapping(uint32 dissolutions => mapping(uint32 index => Batch))))
        internal _batches;
    /// @dev Faults and voids of a slot; its attempt is this and the dissolutions of its round.
    mapping(JobId jobId => mapping(uint32 round => mapping(uint32 slot => uint32 count)))
        internal _reissues;
    mapping(JobId jobId => mapping(uint32 round => Anchor)) internal _anchors;
    mapping(JobId jobId => mapping(uint32 round => FinalizedRound)) internal _finalized;
    mapping(UnitId unitId => Unit) internal _units;
    /// @dev Auditors of a unit that missed a deadline; at most MAX_REDRAWS + 1.
    // slither-disable-next-line uninitialized-state
    mapping(UnitId unitId => address[]) internal _overdueAuditors;
    mapping(address worker => uint256 units) internal _cleanUnits;

    constructor(
        ComputeToken token_,
        INetworkParameters parameters_,
        IBondVault vault_,
        IJobEscrow escrow_
    ) {
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
        if (block.timestamp >= expiresAt || !_isActive(holder)) return (address(0), 0);
    }

    /// @inheritdoc IWorkLedger
    function openRound(JobId jobId) external view returns (uint32) {
        return _jobs[jobId].openRound;
    }

    /// @inheritdoc IWorkLedger
    function roundStarted(JobId jobId) public view returns (bool) {
        return _rounds[jobId][_jobs[jobId].openRound].batches != 0;
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
        if (_rounds[jobId][headRound(jobId)].batches != 0) ++started;
    }

    /// @inheritdoc IWorkLedger
    function anchorOf(JobId jobId, uint32 round) external view returns (bytes32) {
        return _anchors[jobId][round].checkpoint;
    }

    /// @inheritdoc IWorkLedger
    function roundState(JobId jobId, uint32 round) external view returns (RoundState memory) {
        return _rounds[jobId][round];
    }

    /// @inheritdoc IWorkLedger
    function batch(
        JobId jobId,
        uint32 round,
        uint32 dissolutions,
        uint32 index
    ) external view returns (Batch memory) {
        return _batches[jobId][round][dissolutions][index];
    }

    /// @inheritdoc IWorkLedger
    function attemptOf(JobId jobId, uint32 round, uint32 slot) public view returns (uint32) {
        // INVARIANT: it never falls, and every dissolution raises it: a dissolved unit is never
        // the present one again.
        return _reissues[jobId][round][slot] + _rounds[jobId][round].dissolutions;
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
        bytes32 claim = keccak256(
            abi.encode(CLAIM_TYPEHASH, unitId, parent, leaseEpoch, resultRoot, commitment)
        );
        return MessageHashUtils.toTypedDataHash(_domainSeparator(), claim);
    }

    /// @dev Made anew at each use: no claim that was signed on this chain counts on a fork of it that
    /// has another chain id.
    function _domainSeparator() private view returns (bytes32) {
        return
            keccak256(
                abi.encode(
                    DOMAIN_TYPEHASH,
                    keccak256("Ainur WorkLedger"),
                    keccak256("0"),
                    block.chainid,
                    address(this)
                )
            );
    }

    /// @dev Where a unit on record stands. That it was dissolved follows from its attempt and is stored
    /// nowhere, so that dissolving a round costs the same whatever it holds.
    function _statusOf(Unit storage entry) internal view returns (UnitStatus status) {
        status = entry.status;
        if (status == UnitStatus.None || status == UnitStatus.Faulted) return status;
        if (status == UnitStatus.Voided) return status;
        uint32 attempt = attemptOf(entry.jobId, entry.round, entry.slot);
        // INVARIANT: of all units of a slot only that of the present attempt can still change.
        if (entry.attempt != attempt) return UnitStatus.Dissolved;
    }

    /// @dev A batch that was not dissolved.
    function _batchAt(
        JobId jobId,
        uint32 round,
        uint32 index
    ) internal view returns (Batch storage) {
        RoundState storage state = _rounds[jobId][round];
        if (index >= state.batches) revert UnknownBatch(jobId, round, index);
        return _batches[jobId][round][state.dissolutions][index];
    }

    /// @dev INVARIANT: claims that were shown again are those of the commitment, all of them and in
    /// order.
    function _requireClaims(
        JobId jobId,
        uint32 round,
        Batch storage from,
        ClaimedUnit[] calldata claims
    ) internal view {
        _requireCount(claims.length, MAX_SLOTS);
        bytes32[] memory leaves = new bytes32[](claims.length);
        for (uint256 i = 0; i < claims.length; ++i) {
            leaves[i] = _claimLeaf(jobId, round, claims[i]);
            // The root does not tell neighbours apart; their slots do.
            if (i != 0 && claims[i].slot <= claims[i - 1].slot) revert WrongClaims(jobId, round);
        }
        if (Hashes.treeRoot(leaves) != from.claimsRoot) revert WrongClaims(jobId, round);
    }

    function _claimLeaf(
        JobId jobId,
        uint32 round,
        ClaimedUnit calldata claim
    ) internal pure returns (bytes32) {
        UnitId unitId = Hashes.unitId(jobId, round, claim.slot, claim.attempt);
        return Hashes.claimLeaf(unitId, claim.worker, claim.resultRoot, claim.commitment);
    }

    /// @dev Brings a claimed unit on record; its status is the caller's to write.
    function _writeUnit(
        UnitId unitId,
        JobId jobId,
        uint32 round,
        uint32 index,
        ClaimedUnit calldata claim
    ) internal returns (Unit storage entry) {
        entry = _units[unitId];
        entry.jobId = jobId;
        entry.worker = claim.worker;
        entry.round = round;
        entry.slot = claim.slot;
        entry.attempt = claim.attempt;
        // Both fit: commitRound has looked.
        entry.batch = uint16(index);
        entry.dissolutions = uint16(_rounds[jobId][round].dissolutions);
        entry.resultRoot = claim.resultRoot;
        entry.commitment = claim.commitment;
    }

    /// @dev A slot's place in a bitmap; no bit for a slot that no round has.
    function _bit(uint32 slot) internal pure returns (uint64) {
        return slot < MAX_SLOTS ? uint64(1) << slot : 0;
    }

    /// @dev Now plus a window.
    function _after(Parameter window) internal view returns (uint40) {
        return uint40(block.timestamp + _parameter(_index(window)));
    }

    function _isActive(address account) internal view returns (bool) {
        return vault.isActive(account);
    }

    function _parameter(uint256 index) internal view returns (uint256) {
        return parameters.get(Parameter(index));
    }

    /// @dev No function here takes money, so the value is 0; but the compiler, which would write the
    /// call out for each parameter and cross the limit of a contract's size, does not know it.
    // slither-disable-next-line msg-value-in-nonpayable
    function _index(Parameter which) internal view returns (uint256) {
        return uint256(which) + msg.value;
    }

    function _requireCount(uint256 count, uint256 max) internal pure {
        if (count == 0 || count > max) revert BadCount(count, max);
    }

    function _requireSameLength(uint256 first, uint256 second) internal pure {
        if (first != second) revert LengthMismatch(first, second);
    }
}
