// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {ComputeToken} from "./ComputeToken.sol";
import {IEmissionController} from "./interfaces/IEmissionController.sol";
import {INetworkParameters} from "./interfaces/INetworkParameters.sol";
import {IRewardDistributor} from "./interfaces/IRewardDistributor.sol";
import {EpochEmission, GFLOP} from "./types/Emission.sol";
import {JobId} from "./types/Identifiers.sol";
import {BPS, Parameter} from "./types/Parameter.sol";
import {MAX_CLAIMS_PER_CALL} from "./types/Reward.sol";

/// @title New tokens for verified work, never more than the fee burned for it
/// @notice An epoch's budget is shared by who earned in it, by their parts of the verified FLOPs.
/// INVARIANT: an epoch gives at most its budget, and nobody as much as the fees burned for what it did
/// in it, unless both are nothing. docs/spec/economy.md has the formulas.
contract EmissionController is IEmissionController {
    ComputeToken public immutable token;
    INetworkParameters public immutable parameters;
    /// @notice The only account that counts rounds.
    address public immutable escrow;
    /// @notice Pays what is minted.
    IRewardDistributor public immutable distributor;
    /// @inheritdoc IEmissionController
    address public immutable treasury;

    mapping(uint256 epoch => EpochEmission) private _epochs;
    /// @inheritdoc IEmissionController
    mapping(uint256 epoch => mapping(address account => uint256)) public flopsOf;

    constructor(
        ComputeToken token_,
        INetworkParameters parameters_,
        address escrow_,
        IRewardDistributor distributor_,
        address treasury_
    ) {
        token = token_;
        parameters = parameters_;
        escrow = escrow_;
        distributor = distributor_;
        treasury = treasury_;
    }

    /// @inheritdoc IEmissionController
    function register(
        JobId jobId,
        uint32 round,
        address[] calldata accounts,
        uint256[] calldata amounts,
        uint256 flops,
        uint256 feeWei
    ) external {
        if (msg.sender != escrow) revert NotEscrow(msg.sender);
        uint256 epoch = token.currentEpoch();
        EpochEmission storage record = _opened(epoch);
        // INVARIANT: FLOPs count only as far as a fee was burned for them, so that nobody takes the
        // budget from others by stating more FLOPs than were computed, without paying for them.
        uint256 counted = Math.min(flops, (feeWei * GFLOP) / record.gflopFeeWei);
        emit RoundCounted(jobId, round, epoch, counted);
        if (counted == 0) return;
        // Fits: the escrow bounds slots and FLOPs of a unit, and no epoch has 2^60 rounds.
        record.flops += uint128(counted);
        uint256 total = 0;
        for (uint256 i = 0; i < amounts.length; ++i) {
            total += amounts[i];
        }
        // INVARIANT: the parts of a round's accounts are at most what was counted for it: amounts add
        // up to the total, and every part is rounded down.
        for (uint256 i = 0; i < accounts.length; ++i) {
            flopsOf[epoch][accounts[i]] += (counted * amounts[i]) / total;
        }
    }

    /// @inheritdoc IEmissionController
    function claim(address account, uint256[] calldata epochs) external {
        collect(account, epochs);
        // What was paid is told by the distributor.
        // slither-disable-next-line unused-return
        distributor.claim(token, account);
    }

    /// @inheritdoc IEmissionController
    function collect(address account, uint256[] calldata epochs) public {
        if (epochs.length == 0 || epochs.length > MAX_CLAIMS_PER_CALL) {
            revert BadEpochCount(epochs.length, MAX_CLAIMS_PER_CALL);
        }
        address[] memory accounts = new address[](2);
        uint256[] memory amounts = new uint256[](2);
        (accounts[0], accounts[1]) = (account, treasury);
        for (uint256 i = 0; i < epochs.length; ++i) {
            (uint256 amount, uint256 treasuryWei) = emissionOf(account, epochs[i]);
            if (flopsOf[epochs[i]][account] == 0) continue;
            // INVARIANT: an account's part of an epoch is minted for once.
            delete flopsOf[epochs[i]][account];
            emit EmissionClaimed(epochs[i], account, amount, treasuryWei);
            amounts[0] += amount;
            amounts[1] += treasuryWei;
        }
        // INVARIANT: what is credited was minted to the distributor.
        if (amounts[1] != 0) {
            token.mint(address(distributor), amounts[0] + amounts[1]);
            distributor.credit(token, accounts, amounts);
        }
    }

    /// @inheritdoc IEmissionController
    function epochOf(uint256 epoch) external view returns (EpochEmission memory) {
        return _epochs[epoch];
    }

    /// @inheritdoc IEmissionController
    /// @dev INVARIANT: all parts of an epoch's FLOPs give at most its budget together, for they add up
    /// to no more than the epoch's, which do not change once it is over, and are rounded down. They
    /// give at most the fees burned for them: no FLOP counts for which less than gflopFeeWei was.
    function emissionOf(
        address account,
        uint256 epoch
    ) public view returns (uint256 amount, uint256 treasuryWei) {
        uint256 endsAt = token.epochEndsAt(epoch);
        if (block.timestamp < endsAt) revert EpochNotOver(epoch, endsAt);
        uint256 flops = flopsOf[epoch][account];
        if (flops == 0) return (0, 0);
        EpochEmission memory record = _epochs[epoch];
        uint256 capWei = (flops * record.gflopFeeWei * record.emissionBps) / (GFLOP * BPS);
        uint256 emissionWei = Math.min((token.budgetOf(epoch) * flops) / record.flops, capWei);
        // Rounded up, and TreasuryShareBps is never 0: who owns everything but the treasury loses.
        treasuryWei = Math.ceilDiv(emissionWei * record.treasuryBps, BPS);
        amount = emissionWei - treasuryWei;
    }

    /// @dev INVARIANT: an epoch has one price of a FLOP. With two, what an account did for a high one
    /// would leave room for FLOPs that it buys from itself for a low one.
    function _opened(uint256 epoch) private returns (EpochEmission storage record) {
        record = _epochs[epoch];
        if (record.gflopFeeWei != 0) return record;
        // All fit, by NetworkParameters' bounds.
        record.emissionBps = uint16(parameters.get(Parameter.EmissionBps));
        record.treasuryBps = uint16(parameters.get(Parameter.TreasuryShareBps));
        record.gflopFeeWei = uint96(parameters.get(Parameter.EmissionGflopFeeWei));
        emit EpochOpened(epoch, record.emissionBps, record.treasuryBps, record.gflopFeeWei);
    }
}
