// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBondVotes} from "./IBondVotes.sol";
import {IDelegatedBonds} from "./IDelegatedBonds.sol";

/// @title Bonds of nodes
/// @notice An account is what works: it signs claims, audits, judges, coordinates, and has the rewards.
/// Its bond has an owner, by default the account itself, who alone gets it out, votes with it and gives
/// it away: so the key that a machine in the network holds cannot take the bond. A node is active while its bond, less what it is withdrawing, is at least MinBondWei.
/// Exits cannot be paused; what is being withdrawn stays slashable until it is gone. Each open unit of
/// a worker has a part of its bond locked, which can be asked back but answers for no other unit. What others
/// have delegated to an account covers its units too, beside its own bond and never more than that.
interface IBondVault is IBondVotes, IDelegatedBonds {
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

    /// @notice Tokens left the vault for the account's owner.
    event Withdrawn(address indexed account, uint256 amount, uint256 bond);

    /// @notice A fault cost an account and its delegators their tokens, these what DelegatedSlashed said
    /// before; `bond` is left of its own. amount = burned + bounty.
    event Slashed(
        address indexed account,
        uint256 amount,
        uint256 burned,
        uint256 bounty,
        uint256 bond
    );

    /// @notice A part of an account's bond answers for one more open unit; `locked` is for all.
    event BondLocked(address indexed account, uint256 amount, uint256 locked);

    /// @notice Units of an account ended, and with them their locks; `locked` is left.
    event BondUnlocked(address indexed account, uint256 amount, uint256 locked);

    /// @notice An account is reached under this libp2p identity.
    event PeerIdChanged(address indexed account, bytes peerId);

    /// @notice An account entered or left the list that auditors and jurors are drawn from.
    event ActiveChanged(address indexed account, bool active);

    /// @notice An account's bond was offered to `to`, which may accept it; 0: to nobody any more.
    event OwnerOffered(address indexed account, address indexed to);

    /// @notice An account's bond, with its votes and what is being withdrawn, has another owner.
    event OwnerChanged(address indexed account, address indexed previous, address indexed owner);

    /// @notice The seats were given away, once and for ever.
    event SeatsBound(address indexed ledger, address indexed distributor);

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

    /// @notice Only the owner of an account's bond adds to it from outside, gets it out, gives it away.
    error NotOwner(address account, address caller, address owner);

    /// @notice The account's bond is not offered to the caller.
    error NotOffered(address account, address caller);

    /// @notice Only the ledger locks, unlocks and slashes.
    error NotLedger(address caller);

    /// @notice Only the deployer binds the seats.
    error NotDeployer(address caller);

    /// @notice The seats were given already, or one to nobody.
    error BadBinding(address ledger, address distributor);

    /// @notice Adds `amount` of the caller's tokens to its account's bond (the vault must be approved)
    /// and sets its libp2p identity; an empty `peerId` keeps the one on record. Where the account has
    /// another owner, what is added is that owner's.
    function bond(uint256 amount, bytes calldata peerId) external;

    /// @notice Adds `amount` of the caller's tokens to the bond of an account that it owns.
    function bondFor(address account, uint256 amount) external;

    /// @notice Changes the caller's libp2p identity.
    function setPeerId(bytes calldata peerId) external;

    /// @notice Offers an account's bond to `to`, who becomes its owner by accepting; 0 takes an offer
    /// back. Only the owner.
    function offerOwner(address account, address to) external;

    /// @notice Becomes the owner of an account's bond. Only whom it is offered to.
    function acceptOwner(address account) external;

    /// @notice requestUnbondOf the caller's own account.
    function requestUnbond(uint256 amount) external;

    /// @notice Starts to withdraw `amount` more of an account's bond, locked or not; the delay, as it is
    /// now, starts anew for all that is pending. Only the owner.
    function requestUnbondOf(address account, uint256 amount) external;

    /// @notice cancelUnbondOf the caller's own account.
    function cancelUnbond() external;

    /// @notice Puts what is pending back to work. Only the owner.
    function cancelUnbondOf(address account) external;

    /// @notice withdrawOf the caller's own account.
    function withdraw() external;

    /// @notice Pays out to the owner what is pending once the delay is over. Only the owner.
    function withdrawOf(address account) external;

    /// @notice Brings an account's place on the list into line with the current MinBondWei. Anyone.
    function refresh(address account) external;

    /// @notice Sets a part of an account's free bond apart for an open unit. Only the ledger.
    function lock(address account, uint256 amount) external;

    /// @notice Frees what was locked. Only the ledger.
    function unlock(address account, uint256 amount) external;

    /// @notice Takes up to `amount` of an account's bond and of what is delegated to it: of that its part by
    /// size, and at most half of `amount` while the account's own bond has the rest. BountyBps of what its own bond lost is
    /// shared equally by `bountyTo`, the rest is burned. Only the ledger.
    /// @return slashed What was taken.
    function slash(
        address account,
        uint256 amount,
        address[] calldata bountyTo
    ) external returns (uint256 slashed);

    /// @notice Gives the seats to the ledger, which slashes, and to the distributor, which brings rewards.
    /// Only the deployer, once.
    function bind(address ledger, address distributor) external;

    /// @notice An account's own bond, what is being withdrawn included.
    function bondOf(address account) external view returns (uint256);

    /// @notice What is being withdrawn, and from when.
    function pendingOf(address account) external view returns (uint256 amount, uint64 availableAt);

    /// @notice What answers for open units; it may be pending too.
    function lockedOf(address account) external view returns (uint256);

    /// @notice What may be locked for another unit, or nothing: what of the account's own bond and of
    /// what is delegated to it is not leaving, of the latter no more than of the former, less what is
    /// locked.
    function freeOf(address account) external view returns (uint256);

    /// @notice Who owns an account's bond: the account itself unless another accepted it.
    function ownerOf(address account) external view returns (address);

    /// @notice Whom an account's bond is offered to; 0 for nobody.
    function offeredOwnerOf(address account) external view returns (address);

    /// @notice Whether the account may work, audit, judge and coordinate now.
    function isActive(address account) external view returns (bool);

    /// @notice How many accounts are on the list. After a change of MinBondWei, `refresh` trims it.
    function activeCount() external view returns (uint256);

    /// @notice Who has a place of the list, counted from 0; 0 beyond its end. Where an account leaves, the
    /// last one takes over its place.
    function activeAt(uint256 place) external view returns (address);

    /// @notice An account's libp2p identity.
    function peerIdOf(address account) external view returns (bytes memory);

    /// @notice One eligible account, drawn uniformly by `seed`; 0 if there is none.
    /// @param excluded Accounts that are not eligible.
    /// @param drawBlock Whose hash is the seed: only accounts that came onto the list in an earlier
    /// block, and have not left it since, are eligible; drawn from is the list at the end of this one.
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
