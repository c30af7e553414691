// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {ComputeToken} from "./ComputeToken.sol";
import {IBondVault} from "./interfaces/IBondVault.sol";
import {IDelegatedBonds} from "./interfaces/IDelegatedBonds.sol";
import {INetworkParameters} from "./interfaces/INetworkParameters.sol";
import {IRewardDistributor} from "./interfaces/IRewardDistributor.sol";
import {BPS, Parameter} from "./types/Parameter.sol";
import {ActiveList} from "./vault/ActiveList.sol";
import {BondState} from "./vault/BondState.sol";
import {DelegatedBonds} from "./vault/DelegatedBonds.sol";

/// @title Bonds of nodes
/// @notice INVARIANT: the vault's tokens are at least the sum of all bonds and of what is delegated. Tokens
/// leave for a bond's owner or a delegated one's holder, or, by order of the ledger, to those who proved
/// a fault and to the fire. Nobody can pause an exit, no vote reaches the bonds, no lock delays one: what
/// is locked can be asked back, and UnbondDelayS is longer than a unit can be open.
contract BondVault is DelegatedBonds, ActiveList {
    using SafeERC20 for ComputeToken;
    using SafeCast for uint256;

    /// @dev A libp2p identity is a multihash of 34 to 42 bytes; text forms stay below 64.
    uint256 private constant PEER_ID_BYTES_MAX = 64;

    address private immutable _deployer;

    /// @notice The only account that slashes; 0 until bound.
    address public ledger;
    mapping(address account => bytes) private _peerIds;

    constructor(
        ComputeToken token_,
        INetworkParameters parameters_
    ) BondState(token_, parameters_) {
        _deployer = msg.sender;
    }

    /// @inheritdoc IBondVault
    function bind(address ledger_, address distributor_) external {
        if (msg.sender != _deployer) revert NotDeployer(msg.sender);
        // INVARIANT: the seats are given at most once.
        if (ledger != address(0) || ledger_ == address(0) || distributor_ == address(0)) {
            revert BadBinding(ledger_, distributor_);
        }
        ledger = ledger_;
        distributor = IRewardDistributor(distributor_);
        emit SeatsBound(ledger_, distributor_);
    }

    /// @inheritdoc IBondVault
    function bond(uint256 amount, bytes calldata peerId) external {
        if (peerId.length != 0) _setPeerId(peerId);
        _bond(msg.sender, amount);
    }

    /// @inheritdoc IBondVault
    function bondFor(address account, uint256 amount) external {
        // INVARIANT: nobody adds to a bond that is another's by mistake.
        _requireOwner(account);
        _bond(account, amount);
    }

    /// @inheritdoc IBondVault
    function setPeerId(bytes calldata peerId) external {
        _setPeerId(peerId);
    }

    /// @inheritdoc IBondVault
    function requestUnbond(uint256 amount) external {
        requestUnbondOf(msg.sender, amount);
    }

    /// @inheritdoc IBondVault
    function requestUnbondOf(address account, uint256 amount) public {
        _requireOwner(account);
        if (amount == 0) revert ZeroAmount();
        Account storage entry = _accounts[account];
        uint256 available = entry.bond - entry.pending;
        if (amount > available) revert InsufficientBond(account, amount, available);
        // INVARIANT: pending <= bond, locked or not: an exit waits for its delay alone.
        entry.pending += amount.toUint128();
        // Fixed now: a delay that is changed later is that of later exits.
        entry.availableAt = uint40(block.timestamp + parameters.get(Parameter.UnbondDelayS));
        emit UnbondRequested(account, amount, entry.pending, entry.availableAt);
        _place(account);
    }

    /// @inheritdoc IBondVault
    function cancelUnbond() external {
        cancelUnbondOf(msg.sender);
    }

    /// @inheritdoc IBondVault
    function cancelUnbondOf(address account) public {
        _requireOwner(account);
        Account storage entry = _accounts[account];
        uint256 amount = entry.pending;
        if (amount == 0) revert NothingPending(account);
        entry.pending = 0;
        entry.availableAt = 0;
        emit UnbondCancelled(account, amount);
        _place(account);
    }

    /// @inheritdoc IBondVault
    function withdraw() external {
        withdrawOf(msg.sender);
    }

    /// @inheritdoc IBondVault
    function withdrawOf(address account) public {
        _requireOwner(account);
        Account storage entry = _accounts[account];
        uint128 amount = entry.pending;
        if (amount == 0) revert NothingPending(account);
        if (block.timestamp < entry.availableAt) revert NotYetAvailable(account, entry.availableAt);
        entry.pending = 0;
        entry.availableAt = 0;
        entry.bond -= amount;
        _removeVotes(msg.sender, amount);
        emit Withdrawn(account, amount, entry.bond);
        token.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IBondVault
    function lock(address account, uint256 amount) external {
        if (msg.sender != ledger) revert NotLedger(msg.sender);
        Account storage entry = _accounts[account];
        uint256 free = _free(account, entry);
        // INVARIANT: no token answers for two open units, none that was leaving for a new one.
        if (amount > free) revert InsufficientFreeBond(account, amount, free);
        entry.locked += amount.toUint128();
        emit BondLocked(account, amount, entry.locked);
    }

    /// @inheritdoc IBondVault
    function unlock(address account, uint256 amount) external {
        if (msg.sender != ledger) revert NotLedger(msg.sender);
        Account storage entry = _accounts[account];
        entry.locked -= amount.toUint128();
        emit BondUnlocked(account, amount, entry.locked);
    }

    /// @inheritdoc IBondVault
    function slash(
        address account,
        uint256 amount,
        address[] calldata bountyTo
    ) external returns (uint256 slashed) {
        if (msg.sender != ledger) revert NotLedger(msg.sender);
        uint256 lost;
        (slashed, lost) = _take(account, amount);
        _place(account);
        // INVARIANT: no bounty is paid of what others have delegated, so that a liar which has its own
        // accuser does not get their tokens for its own.
        uint256 share =
            bountyTo.length == 0
                ? 0
                : (lost * parameters.get(Parameter.BountyBps)) / BPS / bountyTo.length;
        // Everybody gets the same; what the division leaves is burned.
        // slither-disable-next-line divide-before-multiply
        uint256 bounty = share * bountyTo.length;
        // INVARIANT: slashed = burned + bounty.
        emit Slashed(account, slashed, slashed - bounty, bounty, _accounts[account].bond);
        token.burn(slashed - bounty);
        for (uint256 i = 0; i < bountyTo.length && share != 0; ++i) {
            token.safeTransfer(bountyTo[i], share);
        }
    }

    /// @inheritdoc IDelegatedBonds
    function compound(address account, uint256 amount) external {
        if (msg.sender != address(distributor)) revert NotDistributor(msg.sender);
        _compound(account, amount);
    }

    /// @inheritdoc IDelegatedBonds
    function bondEarned(address account, uint256 amount) external {
        if (msg.sender != address(distributor)) revert NotDistributor(msg.sender);
        _add(account, amount);
    }

    /// @inheritdoc IBondVault
    function bondOf(address account) external view returns (uint256) {
        return _accounts[account].bond;
    }

    /// @inheritdoc IBondVault
    function pendingOf(address account) external view returns (uint256 amount, uint64 availableAt) {
        return (_accounts[account].pending, _accounts[account].availableAt);
    }

    /// @inheritdoc IBondVault
    function lockedOf(address account) external view returns (uint256) {
        return _accounts[account].locked;
    }

    /// @inheritdoc IBondVault
    function freeOf(address account) external view returns (uint256) {
        return _free(account, _accounts[account]);
    }

    /// @inheritdoc IBondVault
    function isActive(address account) external view returns (bool) {
        return _isActive(account, parameters.get(Parameter.MinBondWei));
    }

    /// @inheritdoc IBondVault
    function peerIdOf(address account) external view returns (bytes memory) {
        return _peerIds[account];
    }

    // The distributor is bound once and calls back to compound alone.
    // slither-disable-next-line reentrancy-no-eth
    function _bond(address account, uint256 amount) private {
        // INVARIANT: what was credited before a bond grew is shared as it was then.
        if (_delegatedTo(account) != 0) _settle(account);
        _add(account, amount);
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    function _add(address account, uint256 amount) private {
        if (amount == 0) revert ZeroAmount();
        Account storage entry = _accounts[account];
        entry.bond += amount.toUint128();
        _addVotes(ownerOf(account), amount);
        emit Bonded(account, amount, entry.bond);
        _place(account);
    }

    /// @dev Takes up to `amount` of an account's own bond, of which `lost`, and of what is delegated to it.
    function _take(address account, uint256 amount) private returns (uint256 taken, uint256 lost) {
        Account storage entry = _accounts[account];
        uint256 own = entry.bond;
        taken = Math.min(amount, own + _delegatedTo(account));
        lost = taken - _slashDelegated(account, own, taken);
        entry.bond -= uint128(lost);
        _removeVotes(ownerOf(account), lost);
        // INVARIANT: pending <= bond. What was being withdrawn is slashed last.
        if (entry.pending > entry.bond) entry.pending = entry.bond;
    }

    function _setPeerId(bytes calldata peerId) private {
        if (peerId.length == 0 || peerId.length > PEER_ID_BYTES_MAX) {
            revert BadPeerId(peerId.length, PEER_ID_BYTES_MAX);
        }
        _peerIds[msg.sender] = peerId;
        emit PeerIdChanged(msg.sender, peerId);
    }
}
