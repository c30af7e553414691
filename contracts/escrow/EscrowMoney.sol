// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {ComputeToken} from "../ComputeToken.sol";
import {IEmissionController} from "../interfaces/IEmissionController.sol";
import {IJobEscrow} from "../interfaces/IJobEscrow.sol";
import {IRewardDistributor} from "../interfaces/IRewardDistributor.sol";
import {IWorkLedger} from "../interfaces/IWorkLedger.sol";

/// @title How the escrow's money moves
/// @notice Other tokens than the network's are believed nothing: what they move is measured. A token that
/// stops, lies or takes a part harms the jobs that are paid in it, and no bond, no other token.
abstract contract EscrowMoney is IJobEscrow {
    using SafeERC20 for IERC20;

    ComputeToken public immutable token;
    address private immutable _deployer;

    /// @notice The only account that pays rounds; 0 until bound.
    IWorkLedger public ledger;
    /// @notice Holds what was earned until it is claimed.
    IRewardDistributor public distributor;
    /// @inheritdoc IJobEscrow
    IEmissionController public emission;

    /// @dev INVARIANT: nothing is booked that did not arrive. A call back in the middle of a transfer that
    /// moves the same token to the same place is refused by it, too.
    modifier arrives(IERC20 currency, address to, uint256 amount) {
        bool isMeasured = !_isNetworks(currency);
        uint256 before = isMeasured ? currency.balanceOf(to) : 0;
        _;
        if (isMeasured) {
            uint256 arrived = Math.saturatingSub(currency.balanceOf(to), before);
            if (arrived != amount) revert BadArrival(currency, amount, arrived);
        }
    }

    constructor(ComputeToken token_) {
        token = token_;
        _deployer = msg.sender;
    }

    /// @inheritdoc IJobEscrow
    function bind(address ledger_, address distributor_, address emission_) external {
        if (msg.sender != _deployer) revert NotDeployer(msg.sender);
        bool nobody =
            ledger_ == address(0) || distributor_ == address(0) || emission_ == address(0);
        // INVARIANT: the seats are given at most once.
        if (address(ledger) != address(0) || nobody) {
            revert BadBinding(ledger_, distributor_, emission_);
        }
        ledger = IWorkLedger(ledger_);
        distributor = IRewardDistributor(distributor_);
        emission = IEmissionController(emission_);
        emit SeatsBound(ledger_, distributor_, emission_);
    }

    /// @dev Has the caller pay a deposit.
    function _deposit(
        IERC20 currency,
        uint256 amount
    ) internal arrives(currency, address(this), amount) {
        currency.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @dev Gives a part of a deposit back. What a token takes of it is its holder's matter.
    function _return(IERC20 currency, address to, uint256 amount) internal {
        currency.safeTransfer(to, amount);
    }

    /// @dev INVARIANT: what the distributor is told that accounts have earned, it has received: `amount`
    /// is the sum of the amounts.
    function _credit(
        IERC20 currency,
        address[] memory accounts,
        uint256[] memory amounts,
        uint256 amount
    ) internal arrives(currency, address(distributor), amount) {
        // Some tokens refuse to move nothing.
        if (amount != 0) currency.safeTransfer(address(distributor), amount);
        distributor.credit(currency, accounts, amounts);
    }

    /// @dev What belongs to nobody is burned. Other tokens are not ours to burn: they are the treasury's.
    function _giveUp(IERC20 currency, uint256 amount) internal {
        if (_isNetworks(currency)) {
            token.burn(amount);
        } else if (amount != 0) {
            (address[] memory accounts, uint256[] memory amounts) = (
                new address[](1),
                new uint256[](1)
            );
            (accounts[0], amounts[0]) = (emission.treasury(), amount);
            _credit(currency, accounts, amounts, amount);
        }
    }

    /// @dev Whether it is the network's token.
    function _isNetworks(IERC20 currency) internal view returns (bool) {
        return address(currency) == address(token);
    }
}
