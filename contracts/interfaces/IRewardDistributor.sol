// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IBondVault} from "./IBondVault.sol";
import {IJobEscrow} from "./IJobEscrow.sol";

/// @title Holds what was earned until it is claimed
interface IRewardDistributor {
    /// @notice Accounts have earned these amounts of a token; 0 and nobody where a place is empty.
    /// @param by The escrow: for a final round or for data that was not to be had. The emission
    /// controller: minted.
    event Credited(IERC20 indexed token, address indexed by, address[] accounts, uint256[] amounts);

    /// @notice An account was paid all that it had earned until now, its delegators' part included.
    event Claimed(IERC20 indexed token, address indexed account, uint256 amount);

    /// @notice Only the escrow and its emission controller credit.
    error NotCreditor(address caller);

    /// @notice The account has nothing in this token that is not paid yet.
    error NothingToClaim(IERC20 token, address account);

    /// @notice Only the account and its bond's owner have rewards bonded.
    error NotAccountOrOwner(address account, address caller);

    /// @notice None, or more than `max` in one call.
    error BadClaimCount(uint256 count, uint256 max);

    /// @notice Adds to what accounts have earned. Only the escrow and its emission controller, which
    /// have sent the sum here before, in the same transaction.
    function credit(IERC20 token, address[] calldata accounts, uint256[] calldata amounts) external;

    /// @notice Pays an account all that it has earned, less what is its delegators', which is added to
    /// what they have delegated. Anyone may call for anyone. Refused if it is nothing, so that a mistaken
    /// address costs no transaction.
    /// @return amount The delegators' part included.
    function claim(IERC20 token, address account) external returns (uint256 amount);

    /// @notice The same of the network's token, into the account's bond. Only the account and its bond's
    /// owner.
    function claimToBond(address account) external returns (uint256 amount);

    /// @notice The same for several accounts; those with nothing are passed over.
    function claimMany(IERC20 token, address[] calldata accounts) external;

    /// @notice The network's token, of rewards in which delegators have a part.
    function networkToken() external view returns (IERC20);

    /// @notice Credits, and names the other account that may.
    function escrow() external view returns (IJobEscrow);

    /// @notice Says what is the delegators', and takes what is bonded.
    function vault() external view returns (IBondVault);

    /// @notice What an account would be paid now, its delegators' part included.
    function creditOf(IERC20 token, address account) external view returns (uint256);

    /// @notice What an account has earned, and been paid, in all time.
    function accountOf(
        IERC20 token,
        address account
    ) external view returns (uint256 earnedWei, uint256 claimedWei);
}
