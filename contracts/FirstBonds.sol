// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

import {ComputeToken} from "./ComputeToken.sol";
import {IBondVault} from "./interfaces/IBondVault.sol";
import {IFirstBonds} from "./interfaces/IFirstBonds.sol";
import {IJobEscrow} from "./interfaces/IJobEscrow.sol";
import {INetworkParameters} from "./interfaces/INetworkParameters.sol";
import {IWorkLedger} from "./interfaces/IWorkLedger.sol";
import {Hashes} from "./libraries/Hashes.sol";
import {Places} from "./libraries/Places.sol";
import {JobId, UnitId} from "./types/Identifiers.sol";
import {
    ExaminedUnit,
    Newcomer,
    Opening,
    PERIOD_S,
    NewcomerPlace,
    REVEAL_S
} from "./types/Newcomer.sol";
import {Parameter} from "./types/Parameter.sol";
import {Batch, ClaimedUnit, UnitStatus} from "./types/Work.sol";

/// @title First bonds, earned by blind audits
/// @notice INVARIANT: this contract holds at least retainedWei + promisedWei tokens. It reads ledger,
/// vault, escrow and parameters and changes none of them: whatever goes wrong here costs the pot, at most
/// dayCapWei a day.
contract FirstBonds is IFirstBonds {
    using Checkpoints for Checkpoints.Trace208;
    using SafeCast for uint256;
    using SafeERC20 for ComputeToken;

    /// @dev Stands where a commitment was that is revealed or released.
    bytes32 private constant SETTLED = keccak256("ainur.first-bonds.settled");

    ComputeToken public immutable token;
    INetworkParameters public immutable parameters;
    IBondVault public immutable vault;
    IWorkLedger public immutable ledger;
    IJobEscrow public immutable escrow;
    /// @inheritdoc IFirstBonds
    uint256 public immutable dayCapWei;
    /// @inheritdoc IFirstBonds
    uint256 public immutable payMaxWei;

    /// @inheritdoc IFirstBonds
    uint256 public retainedWei;
    /// @inheritdoc IFirstBonds
    uint256 public promisedWei;
    uint48 private _day;
    uint208 private _promisedOfDay;

    mapping(address account => Newcomer) private _newcomers;
    /// @dev The block in which an account came to count for a period; 0 if it does not.
    mapping(address account => mapping(uint256 period => uint256 block_)) private _since;
    /// @dev How many accounts count for a period, by block.
    mapping(uint256 period => Checkpoints.Trace208) private _registered;
    /// @dev Written by _examine.
    // slither-disable-next-line uninitialized-state
    mapping(UnitId unitId => ExaminedUnit) private _units;
    mapping(UnitId unitId => mapping(address account => bytes32)) private _commitments;

    constructor(
        ComputeToken token_,
        INetworkParameters parameters_,
        IBondVault vault_,
        IWorkLedger ledger_,
        IJobEscrow escrow_,
        uint256 dayCapWei_,
        uint256 payMaxWei_
    ) {
        // A Newcomer's sums are below 2^112: the least bond is below 2^84, and one pay beyond it.
        bool fits = payMaxWei_ < 2 ** 96 && dayCapWei_ < 2 ** 128;
        if (payMaxWei_ == 0 || dayCapWei_ < payMaxWei_ || !fits)
            revert BadCaps(dayCapWei_, payMaxWei_);
        token = token_;
        parameters = parameters_;
        vault = vault_;
        ledger = ledger_;
        escrow = escrow_;
        dayCapWei = dayCapWei_;
        payMaxWei = payMaxWei_;
    }

    /// @inheritdoc IFirstBonds
    function register() external {
        if (vault.bondOf(msg.sender) != 0) revert HasBond(msg.sender);
        if (_newcomers[msg.sender].hasLeft) revert AlreadyPaidOut(msg.sender);
        uint64 until = registeredUntil(msg.sender);
        if (until != 0) revert AlreadyRegistered(msg.sender, until);
        _enter(msg.sender);
        emit NewcomerRegistered(msg.sender, registeredUntil(msg.sender));
    }

    /// @inheritdoc IFirstBonds
    function fund(uint256 amount) external {
        if (amount == 0) revert ZeroAmount();
        emit PotFunded(msg.sender, amount);
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IFirstBonds
    function commit(
        JobId jobId,
        uint32 round,
        uint32 batch,
        ClaimedUnit calldata claim,
        bytes32[] calldata proof,
        bytes32 commitment
    ) external {
        if (commitment == 0 || commitment == SETTLED) revert BadCommitment(commitment);
        if (vault.isActive(msg.sender)) revert HasBond(msg.sender);
        if (_newcomers[msg.sender].hasLeft) revert AlreadyPaidOut(msg.sender);
        UnitId unitId = Hashes.unitId(jobId, round, claim.slot, claim.attempt);
        ExaminedUnit storage unit = _examine(jobId, round, batch, unitId, claim, proof);
        uint40 deadline = unit.commitDeadline;
        if (block.timestamp > deadline) revert DeadlinePassed(unitId, deadline);
        // INVARIANT: an account commits to a unit at most once, so a unit pays it at most once.
        if (_commitments[unitId][msg.sender] != 0) revert AlreadyCommitted(unitId, msg.sender);
        _commitments[unitId][msg.sender] = commitment;
        uint112 payWei = unit.payWei;
        _promise(_newcomers[msg.sender], payWei);
        emit NewcomerCommitted(unitId, msg.sender, payWei, deadline);
    }

    /// @inheritdoc IFirstBonds
    function reveal(
        JobId jobId,
        uint32 round,
        ClaimedUnit calldata claim,
        Opening calldata opening,
        bytes32 unitRoot,
        bytes32 salt
    ) external {
        UnitId unitId = Hashes.unitId(jobId, round, claim.slot, claim.attempt);
        ExaminedUnit storage unit = _units[unitId];
        Newcomer storage newcomer = _newcomers[msg.sender];
        if (newcomer.hasLeft) revert AlreadyPaidOut(msg.sender);
        bytes32 commitment = _commitmentOf(unitId, msg.sender);
        uint64 deadline = _revealDeadline(unit);
        if (block.timestamp > deadline) revert DeadlinePassed(unitId, deadline);
        // INVARIANT: nothing is shown here that somebody may have to find blindly: no newcomer can commit
        // any more, no audit, dispute or further attempt of a unit of a final round can come.
        if (!isOpenable(jobId, round, claim.slot, claim.attempt)) revert NotOpenable(unitId);
        if (_leafOf(unitId, claim) != unit.claimLeaf) revert WrongClaim(unitId);
        bytes32 workers = Hashes.unitRoot(claim.resultRoot, opening.traceRoot);
        if (Hashes.commitment(unitId, claim.worker, workers, opening.salt) != claim.commitment)
            revert WrongOpening(unitId);
        if (Hashes.commitment(unitId, msg.sender, unitRoot, salt) != commitment)
            revert WrongReveal(unitId, msg.sender);
        uint112 payWei = _settle(unitId, unit, msg.sender);
        if (unitRoot != workers) payWei = 0;
        if (payWei != 0) {
            newcomer.retainedWei += payWei;
            ++newcomer.audits;
            retainedWei += payWei;
            _enter(msg.sender);
        }
        emit NewcomerRevealed(unitId, msg.sender, unitRoot, payWei, newcomer.retainedWei);
    }

    /// @inheritdoc IFirstBonds
    function release(UnitId unitId, address account) external {
        ExaminedUnit storage unit = _units[unitId];
        _commitmentOf(unitId, account);
        uint64 deadline = _revealDeadline(unit);
        if (block.timestamp <= deadline && !_newcomers[account].hasLeft)
            revert StillPromised(unitId, deadline);
        emit PromiseReleased(unitId, account, _settle(unitId, unit, account));
    }

    /// @inheritdoc IFirstBonds
    function payOut() external {
        Newcomer storage newcomer = _newcomers[msg.sender];
        if (newcomer.hasLeft) revert AlreadyPaidOut(msg.sender);
        uint256 amount = newcomer.retainedWei;
        uint256 minBondWei = parameters.get(Parameter.MinBondWei);
        // INVARIANT: nothing leaves that is not a bond.
        if (amount < minBondWei) revert NotABond(msg.sender, amount, minBondWei);
        (newcomer.retainedWei, newcomer.hasLeft) = (0, true);
        retainedWei -= amount;
        _leave(msg.sender);
        emit NewcomerPaidOut(msg.sender, amount);
        token.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IFirstBonds
    function newcomerOf(address account) external view returns (Newcomer memory) {
        return _newcomers[account];
    }

    /// @inheritdoc IFirstBonds
    function registeredCount() external view returns (uint256) {
        return _registered[_period(block.timestamp)].latest();
    }

    /// @inheritdoc IFirstBonds
    function placeOf(
        JobId jobId,
        uint32 round,
        uint32 batch,
        address account
    ) external view returns (NewcomerPlace memory) {
        return _placeOf(_batchOf(jobId, round, batch), account);
    }

    /// @inheritdoc IFirstBonds
    function isOpenable(
        JobId jobId,
        uint32 round,
        uint32 slot,
        uint32 attempt
    ) public view returns (bool) {
        uint40 deadline = _units[Hashes.unitId(jobId, round, slot, attempt)].commitDeadline;
        return
            deadline != 0 &&
            block.timestamp > deadline &&
            ledger.finalized(jobId, round).checkpoint != 0 &&
            ledger.attemptOf(jobId, round, slot) == attempt;
    }

    /// @inheritdoc IFirstBonds
    function registeredUntil(address account) public view returns (uint64) {
        uint256 period = _period(block.timestamp);
        if (_since[account][period + 1] != 0) return uint64((period + 2) * PERIOD_S);
        return _since[account][period] != 0 ? uint64((period + 1) * PERIOD_S) : 0;
    }

    /// @inheritdoc IFirstBonds
    function promisedTodayWei() public view returns (uint256) {
        // The same day or another: nobody gains by the second in which it changes.
        // slither-disable-next-line incorrect-equality
        return _day == _today() ? _promisedOfDay : 0;
    }

    /// @inheritdoc IFirstBonds
    function potWei() public view returns (uint256) {
        return token.balanceOf(address(this)) - retainedWei - promisedWei;
    }

    /// @dev Counts an account for this period and the next, where it does not count yet.
    function _enter(address account) private {
        uint256 now_ = _period(block.timestamp);
        for (uint256 period = now_; period <= now_ + 1; ++period) {
            if (_since[account][period] != 0) continue;
            _since[account][period] = block.number;
            Checkpoints.Trace208 storage trace = _registered[period];
            // What it was and is, is known here.
            // slither-disable-next-line unused-return
            trace.push(uint48(block.number), trace.latest() + 1);
        }
    }

    /// @dev Counts it no more.
    function _leave(address account) private {
        uint256 now_ = _period(block.timestamp);
        for (uint256 period = now_; period <= now_ + 1; ++period) {
            if (_since[account][period] == 0) continue;
            delete _since[account][period];
            Checkpoints.Trace208 storage trace = _registered[period];
            // As in _enter.
            // slither-disable-next-line unused-return
            trace.push(uint48(block.number), trace.latest() - 1);
        }
    }

    /// @dev The unit that the caller has a place for, written down with its first commitment: deadline and
    /// pay are the same for all, whatever is voted meanwhile.
    function _examine(
        JobId jobId,
        uint32 round,
        uint32 batch,
        UnitId unitId,
        ClaimedUnit calldata claim,
        bytes32[] calldata proof
    ) private returns (ExaminedUnit storage unit) {
        Batch memory from = _batchOf(jobId, round, batch);
        NewcomerPlace memory place = _placeOf(from, msg.sender);
        if (!place.hasPlace || place.slot != claim.slot) revert NoPlace(unitId, msg.sender);
        bytes32 leaf = _leafOf(unitId, claim);
        if (!MerkleProof.verifyCalldata(proof, from.claimsRoot, leaf)) revert WrongClaim(unitId);
        // INVARIANT: whoever commits does so before the worker opens, for a spared unit is opened on chain
        // only if it is challenged, and is on record then.
        if (ledger.unit(unitId).status != UnitStatus.None) revert NotSpared(unitId);
        if (claim.worker == msg.sender) revert OwnUnit(unitId, msg.sender);
        unit = _units[unitId];
        if (unit.claimLeaf != 0) return unit;
        uint256 payWei = _payOf(jobId);
        if (payWei == 0) revert NothingToEarn(unitId);
        (unit.claimLeaf, unit.commitDeadline) = (leaf, place.commitDeadline);
        unit.payWei = payWei.toUint112();
    }

    /// @dev Sets the pay of an audit apart. INVARIANT: whoever has committed and agrees is paid if its unit's
    /// round is final, and it reveals, in time; what is not there is not promised.
    function _promise(Newcomer storage newcomer, uint112 payWei) private {
        uint256 minBondWei = parameters.get(Parameter.MinBondWei);
        uint256 earned = uint256(newcomer.retainedWei) + newcomer.promisedWei;
        // INVARIANT: no account earns more than MinBondWei and one audit.
        if (earned >= minBondWei) revert EarnedEnough(msg.sender, earned, minBondWei);
        uint256 before = promisedTodayWei();
        // INVARIANT: no day promises more than dayCapWei, whoever asks.
        if (before + payWei > dayCapWei) revert DayCapReached(before, dayCapWei);
        uint256 pot = potWei();
        if (pot < payWei) revert PotTooSmall(pot, payWei);
        (_day, _promisedOfDay) = (_today(), uint208(before + payWei));
        newcomer.promisedWei += payWei;
        promisedWei += payWei;
    }

    /// @dev A promise is kept or over.
    function _settle(
        UnitId unitId,
        ExaminedUnit storage unit,
        address account
    ) private returns (uint112 payWei) {
        payWei = unit.payWei;
        _commitments[unitId][account] = SETTLED;
        _newcomers[account].promisedWei -= payWei;
        promisedWei -= payWei;
    }

    function _batchOf(JobId jobId, uint32 round, uint32 batch) private view returns (Batch memory) {
        uint32 dissolutions = ledger.roundState(jobId, round).dissolutions;
        return ledger.batch(jobId, round, dissolutions, batch);
    }

    /// @dev INVARIANT: who had not registered before the draw block has no place, so nobody makes accounts
    /// until one is drawn.
    function _placeOf(
        Batch memory from,
        address account
    ) private view returns (NewcomerPlace memory place) {
        if (from.challengeDeadline == 0) return place;
        place.slot = Places.slotOf(from.seed, from.slotsBitmap);
        // From the end of the challenge window on, so that there is time to recompute however short that
        // window is; an auditor has as long.
        place.commitDeadline = uint40(
            from.challengeDeadline + parameters.get(Parameter.AuditWindowS)
        );
        uint256 period = _period(from.challengeDeadline);
        uint256 since = _since[account][period];
        if (since == 0 || since >= from.drawBlock) return place;
        uint256 registered = _registered[period].upperLookupRecent(from.drawBlock - 1);
        place.hasPlace = Places.isDrawn(from.seed, account, registered);
    }

    function _payOf(JobId jobId) private view returns (uint256) {
        // What an audit costs in another token says nothing about what it may cost the pot.
        if (address(escrow.tokenOf(jobId)) != address(token)) return 0;
        // slither-disable-next-line unused-return
        (, , uint128 auditWei) = escrow.workTerms(jobId);
        return auditWei < payMaxWei ? auditWei : payMaxWei;
    }

    function _commitmentOf(UnitId unitId, address account) private view returns (bytes32 found) {
        found = _commitments[unitId][account];
        if (found == 0 || found == SETTLED) revert NothingCommitted(unitId, account);
    }

    function _revealDeadline(ExaminedUnit storage unit) private view returns (uint64) {
        return uint64(unit.commitDeadline + REVEAL_S);
    }

    function _today() private view returns (uint48) {
        return uint48(block.timestamp / 1 days);
    }

    function _leafOf(UnitId unitId, ClaimedUnit calldata claim) private pure returns (bytes32) {
        return Hashes.claimLeaf(unitId, claim.worker, claim.resultRoot, claim.commitment);
    }

    function _period(uint256 time) private pure returns (uint256) {
        return time / PERIOD_S;
    }
}
