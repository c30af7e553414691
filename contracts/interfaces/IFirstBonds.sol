// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {JobId, UnitId} from "../types/Identifiers.sol";
import {Newcomer, Opening, NewcomerPlace} from "../types/Newcomer.sol";
import {ClaimedUnit} from "../types/Work.sol";

/// @title How an account without tokens earns its first bond: by blind audits of units that the draw spared
/// @notice Of every batch whose draw was captured one unit has places for newcomers, who are drawn by
/// their own tickets. A newcomer commits to the unit's root blindly, and shows it once the round is
/// final; if it is the worker's it earns the job's audit pay, which is retained until it is MinBondWei.
/// Nobody is blamed for anything here: an unequal root earns nothing and begins nothing. The money is a
/// pot that anybody fills, and of which a day's promises are at most dayCapWei, whoever comes.
interface IFirstBonds {
    /// @notice An account may be drawn for batches that are committed from now on, until `until`.
    event NewcomerRegistered(address indexed account, uint64 until);

    /// @notice Somebody put tokens into the pot. What is transferred without this call counts as well.
    event PotFunded(address indexed from, uint256 amount);

    /// @notice A newcomer has committed to a unit's root; `payWei` is set apart for it.
    event NewcomerCommitted(
        UnitId indexed unitId,
        address indexed account,
        uint256 payWei,
        uint64 commitDeadline
    );

    /// @notice A newcomer has shown its root; `earnedWei` is 0 if it is not the worker's.
    event NewcomerRevealed(
        UnitId indexed unitId,
        address indexed account,
        bytes32 unitRoot,
        uint256 earnedWei,
        uint256 retainedWei
    );

    /// @notice What was set apart for an audit that was not revealed is the pot's again.
    event PromiseReleased(UnitId indexed unitId, address indexed account, uint256 payWei);

    /// @notice A newcomer has earned a bond and was paid; its registration is over for good.
    event NewcomerPaidOut(address indexed account, uint256 amount);

    /// @notice A cap is zero, too large, or the day's is smaller than one audit's pay.
    error BadCaps(uint256 dayCapWei, uint256 payMaxWei);

    /// @notice The amount is zero.
    error ZeroAmount();

    /// @notice The account has a bond, so it is no newcomer.
    error HasBond(address account);

    /// @notice The account was paid out: it has earned its first bond.
    error AlreadyPaidOut(address account);

    /// @notice The account is registered until `until`.
    error AlreadyRegistered(address account, uint64 until);

    /// @notice The account was not drawn for this unit of this batch, or registered too late.
    error NoPlace(UnitId unitId, address account);

    /// @notice The claim is not one of the batch, or not the one that was committed to.
    error WrongClaim(UnitId unitId);

    /// @notice The draw did not spare the unit, or somebody has challenged it.
    error NotSpared(UnitId unitId);

    /// @notice A worker does not audit itself.
    error OwnUnit(UnitId unitId, address worker);

    /// @notice The job pays nothing for an audit.
    error NothingToEarn(UnitId unitId);

    /// @notice The time to commit, or to reveal, is over.
    error DeadlinePassed(UnitId unitId, uint64 deadline);

    /// @notice A commitment is zero, or no commitment.
    error BadCommitment(bytes32 commitment);

    /// @notice The account has committed to this unit already.
    error AlreadyCommitted(UnitId unitId, address account);

    /// @notice What the account has earned and may earn is a bond already: reveal, then call payOut.
    error EarnedEnough(address account, uint256 earnedWei, uint256 minBondWei);

    /// @notice Today's promises are at the cap: try again tomorrow.
    error DayCapReached(uint256 promisedWei, uint256 dayCapWei);

    /// @notice The pot does not hold the pay of this audit: nothing is promised.
    error PotTooSmall(uint256 potWei, uint256 payWei);

    /// @notice The account has no commitment to this unit that is not revealed.
    error NothingCommitted(UnitId unitId, address account);

    /// @notice Others may still commit, or the unit's round is not final, or was without this unit.
    error NotOpenable(UnitId unitId);

    /// @notice Trace root and salt do not open the worker's commitment.
    error WrongOpening(UnitId unitId);

    /// @notice Root and salt do not fit the newcomer's commitment.
    error WrongReveal(UnitId unitId, address account);

    /// @notice It may still be revealed until `deadline`.
    error StillPromised(UnitId unitId, uint64 deadline);

    /// @notice What the account has earned is less than a bond.
    error NotABond(address account, uint256 retainedWei, uint256 minBondWei);

    /// @notice Registers the caller, who has no bond. Anew, too, where a registration has lapsed.
    function register() external;

    /// @notice Puts tokens into the pot (this contract must be approved).
    function fund(uint256 amount) external;

    /// @notice Commits the caller, who has a place, to a unit's root, and sets its pay apart.
    /// @param claim The claim of the unit in the slot that has places, as RoundCommitted has it.
    /// @param proof The claim's Merkle proof against the batch's claimsRoot.
    /// @param commitment Hashes.commitment(unitId, caller, unitRoot, salt).
    function commit(
        JobId jobId,
        uint32 round,
        uint32 batch,
        ClaimedUnit calldata claim,
        bytes32[] calldata proof,
        bytes32 commitment
    ) external;

    /// @notice Shows what the caller has committed to, and the worker's opening beside it. Equal roots
    /// earn what was set apart, which is retained, and renew the registration.
    function reveal(
        JobId jobId,
        uint32 round,
        ClaimedUnit calldata claim,
        Opening calldata opening,
        bytes32 unitRoot,
        bytes32 salt
    ) external;

    /// @notice Gives the pot back what was set apart for an audit that can be revealed no more. Anyone.
    function release(UnitId unitId, address account) external;

    /// @notice Pays the caller what it has earned, once that is MinBondWei, and ends its registration for
    /// good.
    function payOut() external;

    /// @notice Where an account stands with a batch.
    function placeOf(
        JobId jobId,
        uint32 round,
        uint32 batch,
        address account
    ) external view returns (NewcomerPlace memory);

    /// @notice Whether a unit may be opened to newcomers: some have committed, none may any more, and
    /// the unit counts for ever, so that nobody has to find its root blindly.
    function isOpenable(
        JobId jobId,
        uint32 round,
        uint32 slot,
        uint32 attempt
    ) external view returns (bool);

    /// @notice What an account has earned, may earn, and whether it was paid.
    function newcomerOf(address account) external view returns (Newcomer memory);

    /// @notice Until when an account is registered (Unix seconds); 0 if it is not.
    function registeredUntil(address account) external view returns (uint64);

    /// @notice How many accounts are registered now.
    function registeredCount() external view returns (uint256);

    /// @notice What may still be promised: what is held less what is retained and promised.
    function potWei() external view returns (uint256);

    /// @notice What was promised today (UTC).
    function promisedTodayWei() external view returns (uint256);

    /// @notice The most that is promised in a day.
    function dayCapWei() external view returns (uint256);

    /// @notice The most that an audit earns.
    function payMaxWei() external view returns (uint256);

    /// @notice What newcomers have earned and not been paid.
    function retainedWei() external view returns (uint256);

    /// @notice What is set apart for audits that are not revealed.
    function promisedWei() external view returns (uint256);
}
