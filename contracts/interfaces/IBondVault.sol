// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBondVotes} from "./IBondVotes.sol";

/// @title Bonds of nodes
/// @notice A node is active while its bond, less what it is withdrawing, is at least MinBondWei.
/// Exits cannot be paused; what is being withdrawn stays slashable until it is gone. Each open unit of
/// a worker has a part of its bond locked, which can be asked back but answers for no other unit.
interface IBondVault is IBondVotes {
    /// @notice Tokens were added to an account's bond.
    event Bonded(address indexed account, uint256 amount, uint256 bond);

    /// @notice An account asked for `amount` more; `pending` in all may be withdrawn from
    /// `availableAt` on.
    event UnbondRequested(
        address indexed account,
        uint256 amount,
        uint256 pending,
        uint64 availableAt
    );

    /// @notice An account called its withdrawal off.
    event UnbondCancelled(address indexed account, uint256 amount);

    /// @notice Tokens left the vault for their owner.
    event Withdrawn(address indexed account, uint256 amount, uint256 bond);

    /// @notice A fault cost an account its tokens. amount = burned + bounty.
    event Slashed(address indexed account, uint256 amount, uint256 burned, uint256 bounty);

    /// @notice A part of an account's bond answers for one more open unit; `locked` is for all.
    event BondLocked(address indexed account, uint256 amount, uint256 locked);

    /// @notice Units of an account ended, and with them their locks; `locked` is left.
    event BondUnlocked(address indexed account, uint256 amount, uint256 locked);

    /// @notice An account is reached under this libp2p identity.
    event PeerIdChanged(address indexed account, bytes peerId);

    /// @notice An account entered or left the list that auditors and jurors are drawn from.
    event ActiveChanged(address indexed account, bool active);

    /// @notice The slashing seat was given away, once and for ever.
    event LedgerBound(address indexed ledger);

    /// @notice The amount is zero.
    error ZeroAmount();

    /// @notice A libp2p identity has 1 to `max` bytes.
    error BadPeerId(uint256 length, uint256 max);

    /// @notice More was asked for than is bonded and not yet being withdrawn.
    error InsufficientBond(address account, uint256 asked, uint256 available);

    /// @notice A unit needs more than the part of the bond that is neither locked for other open
    /// units nor being withdrawn.
    error InsufficientFreeBond(address worker, uint256 needed, uint256 free);

    /// @notice Nothing is being withdrawn.
    error NothingPending(address account);

    /// @notice The delay is not over.
    error NotYetAvailable(address account, uint64 availableAt);

    /// @notice Only the ledger locks, unlocks and slashes.
    error NotLedger(address caller);

    /// @notice Only the deployer binds the seat.
    error NotDeployer(address caller);

    /// @notice The seat was given already, or to nobody.
    error BadBinding(address ledger);

    /// @notice Adds `amount` to the caller's bond (the vault must be approved) and sets its libp2p
    /// identity; an empty `peerId` keeps the one on record.
    function bond(uint256 amount, bytes calldata peerId) external;

    /// @notice Changes the caller's libp2p identity.
    function setPeerId(bytes calldata peerId) external;

    /// @notice Starts to withdraw `amount` more, locked or not; the delay, as it is now, starts anew
    /// for all that is pending.
    function requestUnbond(uint256 amount) external;

    /// @notice Puts what is pending back to work.
    function cancelUnbond() external;

    /// @notice Pays out what is pending once the delay is over.
    function withdraw() external;

    /// @notice Brings an account's place on the list into line with the current MinBondWei. Anyone.
    function refresh(address account) external;

    /// @notice Sets a part of an account's free bond apart for an open unit. Only the ledger.
    function lock(address account, uint256 amount) external;

    /// @notice Frees what was locked. Only the ledger.
    function unlock(address account, uint256 amount) external;

    /// @notice Takes up to `amount` of an account's bond. BountyBps of it is shared equally by
    /// `bountyTo`, the rest is burned. Only the ledger.
    /// @return slashed What was taken.
    function slash(
        address account,
        uint256 amount,
        address[] calldata bountyTo
    ) external returns (uint256 slashed);

    /// @notice Gives the slashing seat to the ledger. Only the deployer, once.
    function bind(address ledger) external;

    /// @notice An account's bond, what is being withdrawn included.
    function bondOf(address account) external view returns (uint256);

    /// @notice What is being withdrawn, and from when.
    function pendingOf(address account) external view returns (uint256 amount, uint64 availableAt);

    /// @notice What answers for open units; it may be pending too.
    function lockedOf(address account) external view returns (uint256);

    /// @notice What may be locked for another unit: bond - pending - locked, or nothing.
    function freeOf(address account) external view returns (uint256);

    /// @notice Whether the account may work, audit, judge and coordinate now.
    function isActive(address account) external view returns (bool);

    /// @notice The length of the list of active accounts. After a change of MinBondWei, `refresh`
    /// trims it.
    function activeCount() external view returns (uint256);

    /// @notice An account on the list; the order changes.
    function activeAt(uint256 index) external view returns (address);

    /// @notice An account's libp2p identity.
    function peerIdOf(address account) external view returns (bytes memory);

    /// @notice One eligible account, drawn uniformly by `seed`; 0 if there is none.
    /// @param excluded Accounts that are not eligible.
    /// @param drawBlock Whose hash is the seed: only accounts that came onto the list in an earlier
    /// block are eligible.
    function draw(
        bytes32 seed,
        address[] calldata excluded,
        uint256 drawBlock
    ) external view returns (address);

    /// @notice Up to `count` different eligible accounts, drawn by `seed`; fewer only if there are
    /// not as many.
    function drawMany(
        bytes32 seed,
        address[] calldata excluded,
        uint256 drawBlock,
        uint256 count
    ) external view returns (address[] memory drawn);
}
