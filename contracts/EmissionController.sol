// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {ComputeToken} from "./ComputeToken.sol";
import {LeafClaims} from "./claims/LeafClaims.sol";
import {IEmissionController} from "./interfaces/IEmissionController.sol";
import {INetworkParameters} from "./interfaces/INetworkParameters.sol";
import {IWorkLedger} from "./interfaces/IWorkLedger.sol";
import {GFLOP, RoundEmission} from "./types/Emission.sol";
import {JobId} from "./types/Identifiers.sol";
import {BPS, Parameter} from "./types/Parameter.sol";
import {RewardClaim} from "./types/Reward.sol";

/// @title New tokens for verified work, never more than the fee burned for it
/// @notice An epoch's budget is shared by the rounds that were finalised in it, by their verified
/// FLOPs. INVARIANT: a round gives less than the fee that was burned for it, unless both are nothing,
/// and an epoch not more than its budget. docs/spec/economy.md has the formulas.
contract EmissionController is LeafClaims, IEmissionController {
    ComputeToken public immutable token;
    INetworkParameters public immutable parameters;
    /// @notice The only account that counts rounds.
    address public immutable escrow;
    /// @notice Receives a share of every round's emission: the timelock.
    address public immutable treasury;

    mapping(JobId jobId => mapping(uint32 round => RoundEmission)) private _rounds;
    /// @inheritdoc IEmissionController
    mapping(uint256 epoch => uint256 flops) public epochFlops;

    constructor(
        ComputeToken token_,
        INetworkParameters parameters_,
        IWorkLedger ledger_,
        address escrow_,
        address treasury_
    ) LeafClaims(ledger_) {
        token = token_;
        parameters = parameters_;
        escrow = escrow_;
        treasury = treasury_;
    }

    /// @inheritdoc IEmissionController
    function register(JobId jobId, uint32 round, uint256 flops, uint256 feeWei) external {
        if (msg.sender != escrow) revert NotEscrow(msg.sender);
        // INVARIANT: FLOPs count only as far as a fee was burned for them, so that nobody takes the
        // budget from others by stating more FLOPs than were computed, without paying for them.
        uint256 counted = Math.min(
            flops,
            (feeWei * GFLOP) / parameters.get(Parameter.EmissionGflopFeeWei)
        );
        // INVARIANT: at most the fee, for EmissionBps <= BPS by NetworkParameters' bounds.
        uint256 capWei = (feeWei * parameters.get(Parameter.EmissionBps)) / BPS;
        uint256 treasuryBps = parameters.get(Parameter.TreasuryShareBps);
        uint256 epoch = token.currentEpoch();
        epochFlops[epoch] += counted;
        // All fit: an epoch lasts a second or more, the escrow bounds slots and FLOPs of a unit, and
        // a fee is part of a supply that is below 2^100.
        _rounds[jobId][round] = RoundEmission({
            epoch: uint40(epoch),
            treasuryBps: uint16(treasuryBps),
            isTreasuryPaid: false,
            flops: uint72(counted),
            capWei: uint120(capWei)
        });
        emit RoundCounted(jobId, round, epoch, counted, capWei, treasuryBps);
    }

    /// @inheritdoc IEmissionController
    function rounds(JobId jobId, uint32 round) external view returns (RoundEmission memory) {
        return _rounds[jobId][round];
    }

    /// @inheritdoc IEmissionController
    function emissionOf(
        JobId jobId,
        uint32 round
    ) external view returns (uint256 emissionWei, uint256 treasuryWei) {
        if (ledger.finalized(jobId, round).rewardsRoot == 0) revert NotFinalized(jobId, round);
        return _emissionOf(jobId, round, _rounds[jobId][round]);
    }

    /// @inheritdoc LeafClaims
    function _pay(RewardClaim calldata item, uint256 totalWei) internal override {
        RoundEmission storage record = _rounds[item.jobId][item.round];
        (uint256 emissionWei, uint256 treasuryWei) = _emissionOf(item.jobId, item.round, record);
        // INVARIANT: the shares of all leaves are at most what the treasury leaves of the round, for
        // the amounts of the leaves add up to totalWei and every share is rounded down.
        uint256 amount = Math.mulDiv(emissionWei - treasuryWei, item.amount, totalWei);
        emit EmissionClaimed(item.jobId, item.round, item.index, item.account, amount);
        if (!record.isTreasuryPaid) {
            // INVARIANT: the treasury is paid once a round.
            record.isTreasuryPaid = true;
            emit TreasuryPaid(item.jobId, item.round, treasuryWei);
            token.mint(treasury, treasuryWei);
        }
        token.mint(item.account, amount);
    }

    /// @dev INVARIANT: the rounds of an epoch give at most its budget together, for their FLOPs add
    /// up to the epoch's, which do not change once it is over, and every share is rounded down.
    function _emissionOf(
        JobId jobId,
        uint32 round,
        RoundEmission memory record
    ) private view returns (uint256 emissionWei, uint256 treasuryWei) {
        uint256 endsAt = token.epochEndsAt(record.epoch);
        if (block.timestamp < endsAt) revert EpochNotOver(jobId, round, endsAt);
        if (record.flops == 0) return (0, 0);
        uint256 shareWei = (token.budgetOf(record.epoch) * record.flops) / epochFlops[record.epoch];
        emissionWei = Math.min(shareWei, record.capWei);
        // Rounded up, and TreasuryShareBps is never 0: who owns everything but the treasury loses.
        treasuryWei = Math.ceilDiv(emissionWei * record.treasuryBps, BPS);
    }
}
