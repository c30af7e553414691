// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {ComputeToken} from "./ComputeToken.sol";
import {IBondVault} from "./interfaces/IBondVault.sol";
import {INetworkParameters} from "./interfaces/INetworkParameters.sol";
import {BPS, Parameter} from "./types/Parameter.sol";
import {BondVotes} from "./vault/BondVotes.sol";

/// @title Bonds of nodes
/// @notice INVARIANT: the vault's tokens are at least the sum of all bonds. Tokens leave for their
/// owner, or, by order of the ledger, to those who proved a fault and to the fire. Nobody can pause
/// an exit, no vote reaches the bonds, no lock delays one: what is locked can be asked back, and
/// UnbondDelayS is longer than a unit can be open.
contract BondVault is IBondVault, BondVotes {
    using SafeERC20 for ComputeToken;
    using SafeCast for uint256;

    struct Account {
        uint128 bond; // pending and locked included
        uint128 pending;
        uint128 locked; // for open units; may be pending too
        uint40 availableAt;
        uint40 activeSince; // the block in which it entered the list
        uint32 place; // on the list, from 1; 0: not on it
    }

    /// @dev A libp2p identity is a multihash of 34 to 42 bytes; text forms stay below 64.
    uint256 private constant PEER_ID_BYTES_MAX = 64;

    /// @dev Uniform tries before a scan, and the scan's length: bounds on a draw's gas. Where fewer
    /// than half of the list are excluded, 16 tries miss with probability below 2^-16, and a list
    /// of up to 64 is then searched whole.
    uint256 private constant DRAW_TRIES = 16;
    uint256 private constant DRAW_SCAN = 64;

    ComputeToken public immutable token;
    INetworkParameters public immutable parameters;
    address private immutable _deployer;

    /// @notice The only account that slashes; 0 until bound.
    address public ledger;

    mapping(address account => Account) private _accounts;
    mapping(address account => bytes) private _peerIds;
    address[] private _active;

    constructor(ComputeToken token_, INetworkParameters parameters_) {
        token = token_;
        parameters = parameters_;
        _deployer = msg.sender;
    }

    /// @inheritdoc IBondVault
    function bind(address ledger_) external {
        if (msg.sender != _deployer) revert NotDeployer(msg.sender);
        // INVARIANT: the seat is given at most once.
        if (ledger != address(0) || ledger_ == address(0)) revert BadBinding(ledger_);
        ledger = ledger_;
        emit LedgerBound(ledger_);
    }

    /// @inheritdoc IBondVault
    function bond(uint256 amount, bytes calldata peerId) external {
        if (amount == 0) revert ZeroAmount();
        if (peerId.length != 0) _setPeerId(peerId);
        Account storage account = _accounts[msg.sender];
        account.bond += amount.toUint128();
        _addVotes(msg.sender, amount);
        emit Bonded(msg.sender, amount, account.bond);
        _place(msg.sender);
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IBondVault
    function setPeerId(bytes calldata peerId) external {
        _setPeerId(peerId);
    }

    /// @inheritdoc IBondVault
    function requestUnbond(uint256 amount) external {
        if (amount == 0) revert ZeroAmount();
        Account storage account = _accounts[msg.sender];
        uint256 free = account.bond - account.pending;
        if (amount > free) revert InsufficientBond(msg.sender, amount, free);
        // INVARIANT: pending <= bond, locked or not: an exit waits for its delay alone.
        account.pending += amount.toUint128();
        // Fixed now: a delay that is changed later is that of later exits.
        account.availableAt = uint40(block.timestamp + parameters.get(Parameter.UnbondDelayS));
        emit UnbondRequested(msg.sender, amount, account.pending, account.availableAt);
        _place(msg.sender);
    }

    /// @inheritdoc IBondVault
    function cancelUnbond() external {
        Account storage account = _accounts[msg.sender];
        uint256 amount = account.pending;
        if (amount == 0) revert NothingPending(msg.sender);
        account.pending = 0;
        account.availableAt = 0;
        emit UnbondCancelled(msg.sender, amount);
        _place(msg.sender);
    }

    /// @inheritdoc IBondVault
    function withdraw() external {
        Account storage account = _accounts[msg.sender];
        uint128 amount = account.pending;
        if (amount == 0) revert NothingPending(msg.sender);
        if (block.timestamp < account.availableAt)
            revert NotYetAvailable(msg.sender, account.availableAt);
        account.pending = 0;
        account.availableAt = 0;
        account.bond -= amount;
        _removeVotes(msg.sender, amount);
        emit Withdrawn(msg.sender, amount, account.bond);
        token.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IBondVault
    function refresh(address account) external {
        _place(account);
    }

    /// @inheritdoc IBondVault
    function lock(address account, uint256 amount) external {
        if (msg.sender != ledger) revert NotLedger(msg.sender);
        Account storage entry = _accounts[account];
        uint256 free = _free(entry);
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
        Account storage entry = _accounts[account];
        slashed = amount < entry.bond ? amount : entry.bond;
        entry.bond -= uint128(slashed);
        _removeVotes(account, slashed);
        // INVARIANT: pending <= bond. What was being withdrawn is slashed last.
        if (entry.pending > entry.bond) entry.pending = entry.bond;
        _place(account);
        uint256 share =
            bountyTo.length == 0
                ? 0
                : (slashed * parameters.get(Parameter.BountyBps)) / BPS / bountyTo.length;
        uint256 bounty = share * bountyTo.length;
        // INVARIANT: slashed = burned + bounty.
        emit Slashed(account, slashed, slashed - bounty, bounty);
        token.burn(slashed - bounty);
        for (uint256 i = 0; i < bountyTo.length && share != 0; ++i) {
            token.safeTransfer(bountyTo[i], share);
        }
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
        return _free(_accounts[account]);
    }

    /// @inheritdoc IBondVault
    function isActive(address account) external view returns (bool) {
        return _isActive(account, parameters.get(Parameter.MinBondWei));
    }

    /// @inheritdoc IBondVault
    function activeCount() external view returns (uint256) {
        return _active.length;
    }

    /// @inheritdoc IBondVault
    function activeAt(uint256 index) external view returns (address) {
        return _active[index];
    }

    /// @inheritdoc IBondVault
    function peerIdOf(address account) external view returns (bytes memory) {
        return _peerIds[account];
    }

    /// @inheritdoc IBondVault
    function draw(
        bytes32 seed,
        address[] calldata excluded,
        uint256 drawBlock
    ) external view returns (address) {
        return _draw(seed, excluded, drawBlock, parameters.get(Parameter.MinBondWei));
    }

    /// @inheritdoc IBondVault
    function drawMany(
        bytes32 seed,
        address[] calldata excluded,
        uint256 drawBlock,
        uint256 count
    ) external view returns (address[] memory drawn) {
        uint256 minBond = parameters.get(Parameter.MinBondWei);
        address[] memory taken = new address[](excluded.length + count);
        for (uint256 i = 0; i < excluded.length; ++i) {
            taken[i] = excluded[i];
        }
        drawn = new address[](count);
        uint256 found = 0;
        for (; found < count; ++found) {
            address next = _draw(keccak256(abi.encode(seed, found)), taken, drawBlock, minBond);
            if (next == address(0)) break;
            drawn[found] = next;
            taken[excluded.length + found] = next;
        }
        if (found < count) drawn = _head(drawn, found);
    }

    function _setPeerId(bytes calldata peerId) private {
        if (peerId.length == 0 || peerId.length > PEER_ID_BYTES_MAX) {
            revert BadPeerId(peerId.length, PEER_ID_BYTES_MAX);
        }
        _peerIds[msg.sender] = peerId;
        emit PeerIdChanged(msg.sender, peerId);
    }

    /// @dev Puts an account on the list or takes it off, as its bond says.
    function _place(address account) private {
        Account storage entry = _accounts[account];
        bool active = _isActive(account, parameters.get(Parameter.MinBondWei));
        if (active == (entry.place != 0)) return;
        if (active) {
            _active.push(account);
            entry.place = uint32(_active.length);
            entry.activeSince = uint40(block.number);
        } else {
            // INVARIANT: _active[_accounts[a].place - 1] == a for every a on the list.
            address last = _active[_active.length - 1];
            _active[entry.place - 1] = last;
            _accounts[last].place = entry.place;
            _active.pop();
            entry.place = 0;
        }
        emit ActiveChanged(account, active);
    }

    /// @dev Not below zero: what is locked may be pending too, and gone before its unit's end.
    function _free(Account storage entry) private view returns (uint256) {
        uint256 taken = uint256(entry.pending) + entry.locked;
        return entry.bond > taken ? entry.bond - taken : 0;
    }

    function _isActive(address account, uint256 minBond) private view returns (bool) {
        Account storage entry = _accounts[account];
        return entry.bond - entry.pending >= minBond;
    }

    function _draw(
        bytes32 seed,
        address[] memory excluded,
        uint256 drawBlock,
        uint256 minBond
    ) private view returns (address) {
        uint256 count = _active.length;
        if (count == 0) return address(0);
        for (uint256 i = 0; i < DRAW_TRIES; ++i) {
            address candidate = _active[uint256(keccak256(abi.encode(seed, i))) % count];
            if (_isEligible(candidate, excluded, drawBlock, minBond)) return candidate;
        }
        uint256 steps = count < DRAW_SCAN ? count : DRAW_SCAN;
        for (uint256 i = 0; i < steps; ++i) {
            address candidate = _active[addmod(uint256(seed), i, count)];
            if (_isEligible(candidate, excluded, drawBlock, minBond)) return candidate;
        }
        return address(0);
    }

    function _isEligible(
        address candidate,
        address[] memory excluded,
        uint256 drawBlock,
        uint256 minBond
    ) private view returns (bool) {
        for (uint256 i = 0; i < excluded.length; ++i) {
            if (excluded[i] == candidate) return false;
        }
        // Nobody can add accounts to the draw once its seed, the hash of drawBlock, is known.
        return _accounts[candidate].activeSince < drawBlock && _isActive(candidate, minBond);
    }

    function _head(
        address[] memory items,
        uint256 count
    ) private pure returns (address[] memory head) {
        head = new address[](count);
        for (uint256 i = 0; i < count; ++i) {
            head[i] = items[i];
        }
    }
}
