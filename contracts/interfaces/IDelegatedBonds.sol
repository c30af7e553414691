// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {DelegatedBond, Delegation} from "../types/Bond.sol";

/// @title Bonds that others lend to an account
/// @notice Who runs no node delegates tokens to the bond of an account that does: they cover units beside
/// its own bond, earn a part of its rewards, lose a part of what it is slashed, and vote for their
/// holder. Not to be confused with the token's `delegate`, which gives votes and moves nothing. A holder
/// delegates to one account at a time, and leaves by itself, after a delay that nobody can prolong.
interface IDelegatedBonds {
    /// @notice An account takes delegated bonds, and keeps so much of their rewards.
    event CommissionChanged(address indexed account, uint256 commissionBps);

    /// @notice An account takes no further delegated bonds.
    event DelegationsClosed(address indexed account);

    /// @notice After each of the following: what is delegated to an account, and what of it is not leaving.
    event DelegatedChanged(address indexed account, uint256 delegated, uint256 staying);

    /// @notice A holder's tokens were added to what is delegated to an account.
    event BondDelegated(address indexed holder, address indexed account, uint256 amount);

    /// @notice A holder asked for its tokens back; what `leaving` is worth then may be withdrawn from
    /// `availableAt` on.
    event UndelegateRequested(
        address indexed holder,
        address indexed account,
        uint256 leaving,
        uint64 availableAt
    );

    /// @notice A holder called its withdrawal off.
    event UndelegateCancelled(address indexed holder, address indexed account);

    /// @notice Tokens left the vault for their holder.
    event DelegatedWithdrawn(address indexed holder, address indexed account, uint256 amount);

    /// @notice What delegated tokens lost by a slash of their account.
    event DelegatedSlashed(address indexed account, uint256 amount);

    /// @notice What delegated tokens earned, which is delegated too.
    event DelegatorsEarned(address indexed account, uint256 amount);

    /// @notice A commission above `max`: that of now while something is delegated.
    error BadCommission(address account, uint256 commissionBps, uint256 max);

    /// @notice The account takes no delegated bonds.
    error NotOpen(address account);

    /// @notice The account keeps more than the holder agrees to.
    error CommissionAbove(address account, uint256 commissionBps, uint256 max);

    /// @notice The holder has delegated to `account`, or is still leaving it.
    error DelegatedElsewhere(address holder, address account);

    /// @notice Nearly all that was delegated to the account is lost; its holders leave first.
    error NearlyLost(address account, uint256 index, uint256 min);

    /// @notice Rewards have raised the index beyond `max`: its holders leave first.
    error IndexTooHigh(address account, uint256 index, uint256 max);

    /// @notice More than the account's own bond would be delegated to it.
    error BeyondOwnBond(address account, uint256 asked, uint256 room);

    /// @notice The holder has delegated nothing, or nothing that is not leaving already.
    error NothingDelegated(address holder);

    /// @notice Only the distributor brings rewards.
    error NotDistributor(address caller);

    /// @notice Opens an account to delegated bonds at a commission, or changes it. Lower at any time;
    /// higher only while nothing is delegated. Only the account's owner.
    function setCommission(address account, uint256 commissionBps) external;

    /// @notice Takes no further delegated bonds until the commission is set again. Only the account's
    /// owner.
    function closeDelegations(address account) external;

    /// @notice Adds `amount` of the caller's tokens (the vault must be approved) to what is delegated to an
    /// account, at no more than this commission.
    function delegateBond(address account, uint256 amount, uint256 commissionBpsMax) external;

    /// @notice Starts to withdraw `amount` more of what the caller has delegated, or all, if that is not
    /// more; the delay, as it is now, starts anew for all that is leaving. Until it is withdrawn it earns,
    /// votes, and can be slashed.
    function requestUndelegate(uint256 amount) external;

    /// @notice Puts what is leaving back to work.
    function cancelUndelegate() external;

    /// @notice withdrawDelegatedOf the caller.
    function withdrawDelegated() external;

    /// @notice Pays out to a holder what is leaving once the delay is over. Anyone: so nobody goes on to earn
    /// in a pool that it could leave in the moment in which it would lose.
    function withdrawDelegatedOf(address holder) external;

    /// @notice Adds tokens that were sent to the vault just before to what is delegated to an account, for
    /// all its delegators. Only the distributor.
    function compound(address account, uint256 amount) external;

    /// @notice Adds tokens that were sent to the vault just before to an account's own bond. Only the
    /// distributor.
    function bondEarned(address account, uint256 amount) external;

    /// @notice What of an account's reward is its delegators'.
    function delegatorsPart(address account, uint256 amount) external view returns (uint256);

    /// @notice What is delegated to an account.
    function delegatedTo(address account) external view returns (DelegatedBond memory);

    /// @notice What a holder has delegated.
    function delegationOf(address holder) external view returns (Delegation memory);
}
