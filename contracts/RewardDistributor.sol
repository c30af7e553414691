// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IBondVault} from "./interfaces/IBondVault.sol";
import {IJobEscrow} from "./interfaces/IJobEscrow.sol";
import {IRewardDistributor} from "./interfaces/IRewardDistributor.sol";
import {Account, MAX_CLAIMS_PER_CALL} from "./types/Reward.sol";

/// @title Holds what was earned until it is claimed
/// @notice INVARIANT: for every token at least the sum of what all accounts have not claimed is here:
/// who credits has sent the sum before. docs/adr/0012-credits-not-proofs.md says why there is nothing
/// to prove.
contract RewardDistributor is IRewardDistributor {
    using SafeERC20 for IERC20;
    using SafeCast for uint256;

    /// @inheritdoc IRewardDistributor
    IERC20 public immutable networkToken;
    /// @inheritdoc IRewardDistributor
    IJobEscrow public immutable escrow;
    /// @inheritdoc IRewardDistributor
    IBondVault public immutable vault;

    mapping(IERC20 token => mapping(address account => Account)) private _accounts;

    constructor(IERC20 networkToken_, IJobEscrow escrow_, IBondVault vault_) {
        networkToken = networkToken_;
        escrow = escrow_;
        vault = vault_;
    }

    /// @inheritdoc IRewardDistributor
    function credit(
        IERC20 token,
        address[] calldata accounts,
        uint256[] calldata amounts
    ) external {
        if (msg.sender != address(escrow) && msg.sender != address(escrow.emission())) {
            revert NotCreditor(msg.sender);
        }
        emit Credited(token, msg.sender, accounts, amounts);
        for (uint256 i = 0; i < accounts.length; ++i) {
            if (amounts[i] != 0) {
                _accounts[token][accounts[i]].earnedWei += amounts[i].toUint128();
            }
        }
    }

    /// @inheritdoc IRewardDistributor
    function claim(IERC20 token, address account) external returns (uint256 amount) {
        amount = _pay(token, account, false);
        if (amount == 0) revert NothingToClaim(token, account);
    }

    /// @inheritdoc IRewardDistributor
    function claimToBond(address account) external returns (uint256 amount) {
        // Whoever claims first decides: anyone may have them paid to the account instead.
        if (msg.sender != account && msg.sender != vault.ownerOf(account)) {
            revert NotAccountOrOwner(account, msg.sender);
        }
        amount = _pay(networkToken, account, true);
        if (amount == 0) revert NothingToClaim(networkToken, account);
    }

    /// @inheritdoc IRewardDistributor
    function claimMany(IERC20 token, address[] calldata accounts) external {
        if (accounts.length == 0 || accounts.length > MAX_CLAIMS_PER_CALL) {
            revert BadClaimCount(accounts.length, MAX_CLAIMS_PER_CALL);
        }
        for (uint256 i = 0; i < accounts.length; ++i) {
            _pay(token, accounts[i], false);
        }
    }

    /// @inheritdoc IRewardDistributor
    function creditOf(IERC20 token, address account) external view returns (uint256) {
        Account storage record = _accounts[token][account];
        return record.earnedWei - record.claimedWei;
    }

    /// @inheritdoc IRewardDistributor
    function accountOf(
        IERC20 token,
        address account
    ) external view returns (uint256 earnedWei, uint256 claimedWei) {
        Account storage record = _accounts[token][account];
        return (record.earnedWei, record.claimedWei);
    }

    /// @param toBond Into the account's bond; only the network's token.
    function _pay(IERC20 token, address account, bool toBond) private returns (uint256 amount) {
        Account storage record = _accounts[token][account];
        amount = record.earnedWei - record.claimedWei;
        // Of our own books, not of a balance that somebody else can raise.
        // slither-disable-next-line incorrect-equality
        if (amount == 0) return 0;
        // INVARIANT: claimed <= earned, and what was paid once is not paid again.
        record.claimedWei = record.earnedWei;
        emit Claimed(token, account, amount);
        uint256 own = amount;
        if (address(token) == address(networkToken)) own -= _payDelegators(account, amount);
        if (!toBond) {
            token.safeTransfer(account, own);
        } else if (own != 0) {
            token.safeTransfer(address(vault), own);
            vault.bondEarned(account, own);
        }
    }

    /// @dev INVARIANT: what the vault is told that it was brought, it was.
    function _payDelegators(address account, uint256 amount) private returns (uint256 part) {
        part = vault.delegatorsPart(account, amount);
        if (part == 0) return 0;
        networkToken.safeTransfer(address(vault), part);
        vault.compound(account, part);
    }
}
