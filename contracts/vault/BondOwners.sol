// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBondVault} from "../interfaces/IBondVault.sol";
import {BondVotes} from "./BondVotes.sol";

/// @title Who owns the bond of an account
/// @notice An account is the key that works, on a machine in the network (hot). Its owner, by default
/// the account itself, may be a key that is kept away from it (cold): the owner alone gets the bond out,
/// votes with it and gives it away. INVARIANT: no call of an account that is not its own owner, nor of
/// a stranger, makes anything of its bond pending, pays it out or changes its owner.
abstract contract BondOwners is BondVotes {
    /// @dev 0: the account itself.
    mapping(address account => address owner) private _owners;
    mapping(address account => address to) private _offers;

    /// @inheritdoc IBondVault
    function offerOwner(address account, address to) external {
        _requireOwner(account);
        _offers[account] = to;
        emit OwnerOffered(account, to);
    }

    /// @inheritdoc IBondVault
    function acceptOwner(address account) external {
        // INVARIANT: a bond is given to those only who show that they hold the key.
        if (_offers[account] != msg.sender) revert NotOffered(account, msg.sender);
        address previous = ownerOf(account);
        delete _offers[account];
        _owners[account] = msg.sender;
        emit OwnerChanged(account, previous, msg.sender);
        uint256 amount = _accounts[account].bond;
        // INVARIANT: the votes of an owner are the bonds that it owns.
        _removeVotes(previous, amount);
        _addVotes(msg.sender, amount);
    }

    /// @inheritdoc IBondVault
    function ownerOf(address account) public view returns (address owner) {
        owner = _owners[account];
        if (owner == address(0)) owner = account;
    }

    /// @inheritdoc IBondVault
    function offeredOwnerOf(address account) external view returns (address) {
        return _offers[account];
    }

    function _requireOwner(address account) internal view {
        address owner = ownerOf(account);
        if (msg.sender != owner) revert NotOwner(account, msg.sender, owner);
    }
}
