// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC20Votes} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Votes.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";
import {Time} from "@openzeppelin/contracts/utils/types/Time.sol";

import {IEmissionSchedule} from "./interfaces/IEmissionSchedule.sol";
import {Schedule} from "./libraries/Schedule.sol";
import {EmissionPlan, MAX_EPOCH_S, MAX_HALVING_EPOCHS, MAX_SUPPLY_WEI} from "./types/Emission.sol";

/// @title The network's token: pays for work, is bonded, votes
/// @notice The first supply goes to the treasury. Fees and most of what is slashed are burned. One
/// contract may mint, never more than the schedule that is fixed at deployment: neither a vote nor a
/// fault of the minter can exceed it. Votes count by the clock, not by block numbers, so that voting
/// periods mean the same on every chain.
contract ComputeToken is ERC20, ERC20Burnable, ERC20Permit, ERC20Votes, IEmissionSchedule {
    /// @notice When epoch 0 began (Unix seconds).
    uint256 public immutable emissionStart;
    /// @notice How long an epoch lasts.
    uint256 public immutable epochS;
    /// @notice The budget of epoch 0.
    uint256 public immutable firstBudgetWei;
    /// @notice After so many epochs the budget halves, again and again.
    uint256 public immutable halvingEpochs;
    /// @inheritdoc IEmissionSchedule
    uint256 public immutable emissionCapWei;
    address private immutable _deployer;

    /// @notice The only account that mints; 0 until bound.
    address public minter;
    /// @inheritdoc IEmissionSchedule
    uint256 public emittedWei;

    /// @param treasury Receives the first supply.
    /// @param initialSupply In wei (18 decimals).
    /// @param plan What may be minted besides, and when.
    constructor(
        address treasury,
        uint256 initialSupply,
        EmissionPlan memory plan
    ) ERC20("Ainur Compute", "AIN") ERC20Permit("Ainur Compute") {
        _requireValid(initialSupply, plan);
        _deployer = msg.sender;
        emissionStart = block.timestamp;
        epochS = plan.epochS;
        firstBudgetWei = plan.firstBudgetWei;
        halvingEpochs = plan.halvingEpochs;
        emissionCapWei = _capWei(plan);
        // INVARIANT: initialSupply and emissionCapWei together are at most MAX_SUPPLY_WEI.
        if (initialSupply + emissionCapWei > MAX_SUPPLY_WEI) {
            revert SupplyTooHigh(initialSupply + emissionCapWei, MAX_SUPPLY_WEI);
        }
        _mint(treasury, initialSupply);
    }

    /// @inheritdoc IEmissionSchedule
    function bind(address minter_) external {
        if (msg.sender != _deployer) revert NotDeployer(msg.sender);
        // INVARIANT: the seat is given at most once.
        if (minter != address(0) || minter_ == address(0)) revert BadBinding(minter_);
        minter = minter_;
        emit MinterBound(minter_);
    }

    /// @inheritdoc IEmissionSchedule
    function mint(address to, uint256 amount) external {
        if (msg.sender != minter) revert NotMinter(msg.sender);
        uint256 allowedWei = scheduledWei();
        // INVARIANT: emittedWei <= scheduledWei() <= emissionCapWei at every moment: the first grows
        // here only, the second never falls.
        if (amount > allowedWei - emittedWei) {
            revert ScheduleExceeded(emittedWei, amount, allowedWei);
        }
        emittedWei += amount;
        _mint(to, amount);
    }

    /// @inheritdoc IEmissionSchedule
    function currentEpoch() public view returns (uint256) {
        return (block.timestamp - emissionStart) / epochS;
    }

    /// @inheritdoc IEmissionSchedule
    function epochEndsAt(uint256 epoch) external view returns (uint256) {
        return emissionStart + (epoch + 1) * epochS;
    }

    /// @inheritdoc IEmissionSchedule
    function budgetOf(uint256 epoch) external view returns (uint256) {
        return Schedule.budgetOf(firstBudgetWei, halvingEpochs, epoch);
    }

    /// @inheritdoc IEmissionSchedule
    function scheduledWei() public view returns (uint256) {
        return Schedule.sumOf(firstBudgetWei, halvingEpochs, currentEpoch());
    }

    /// @notice The clock of checkpoints and proposals: Unix seconds.
    function clock() public view override returns (uint48) {
        return Time.timestamp();
    }

    /// @notice The clock's name (ERC-6372).
    // solhint-disable-next-line func-name-mixedcase
    function CLOCK_MODE() public pure override returns (string memory) {
        return "mode=timestamp";
    }

    /// @inheritdoc ERC20Permit
    function nonces(address owner) public view override(ERC20Permit, Nonces) returns (uint256) {
        return super.nonces(owner);
    }

    function _update(address from, address to, uint256 value) internal override(ERC20, ERC20Votes) {
        super._update(from, to, value);
    }

    function _requireValid(uint256 initialSupply, EmissionPlan memory plan) private pure {
        bool epochs = plan.epochS != 0 && plan.epochS <= MAX_EPOCH_S;
        bool halving = plan.halvingEpochs != 0 && plan.halvingEpochs <= MAX_HALVING_EPOCHS;
        if (!epochs || !halving) {
            revert BadSchedule(plan.epochS, plan.halvingEpochs, MAX_EPOCH_S, MAX_HALVING_EPOCHS);
        }
        // Each alone first, so that their sum cannot overflow.
        if (initialSupply > MAX_SUPPLY_WEI) revert SupplyTooHigh(initialSupply, MAX_SUPPLY_WEI);
        if (plan.firstBudgetWei > MAX_SUPPLY_WEI) {
            revert SupplyTooHigh(plan.firstBudgetWei, MAX_SUPPLY_WEI);
        }
    }

    /// @dev All budgets together: after 128 halvings a budget below 2^128 is nothing.
    function _capWei(EmissionPlan memory plan) private pure returns (uint256) {
        return Schedule.sumOf(plan.firstBudgetWei, plan.halvingEpochs, 128 * plan.halvingEpochs);
    }
}
