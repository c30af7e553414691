// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Books} from "./Books.sol";
import {VM} from "./Vm.sol";

/// @notice The moves of bonds and their owners. Some hot keys are in a thief's hands: they try what
/// only their owner may.
abstract contract BondMoves is Books {
    /// @dev By the account, or, where it has another owner, by either.
    function _bond(uint256 dice) internal returns (bool) {
        address account = _node(dice);
        address owner = vault.ownerOf(account);
        bool isOwners = owner != account && (dice >> 4) % 2 == 0;
        uint256 amount = 1 + ((dice >> 8) % 200 ether);
        if (token.balanceOf(isOwners ? owner : account) < amount) return false;
        VM.prank(isOwners ? owner : account);
        if (isOwners) vault.bondFor(account, amount);
        else vault.bond(amount, "");
        return true;
    }

    function _unbond(uint256 dice) internal returns (bool) {
        address account = _node(dice >> 8);
        uint256 amount = 1 + ((dice >> 16) % 500 ether);
        (uint256 pending, ) = vault.pendingOf(account);
        bool isThere = amount <= vault.bondOf(account) - pending;
        _steal(account, dice);
        VM.prank(vault.ownerOf(account));
        try vault.requestUnbondOf(account, amount) {
            return true;
        } catch {
            check(!isThere, "what is bonded can be asked back, locked or not");
            return false;
        }
    }

    function _cancelUnbond(uint256 dice) internal returns (bool) {
        address account = _leaving(dice);
        _steal(account, dice);
        VM.prank(vault.ownerOf(account));
        try vault.cancelUnbondOf(account) {
            return true;
        } catch {
            return false;
        }
    }

    function _withdraw(uint256 dice) internal returns (bool) {
        if (dice % 4 == 0) net.pass(3_000);
        address account = _leaving(dice);
        (uint256 pending, uint64 availableAt) = vault.pendingOf(account);
        bool isDue = pending != 0 && VM.getBlockTimestamp() >= availableAt;
        _steal(account, dice);
        VM.prank(vault.ownerOf(account));
        try vault.withdrawOf(account) {
            return true;
        } catch {
            check(!isDue, "an exit waits for its delay alone");
            return false;
        }
    }

    function _refresh(uint256 dice) internal returns (bool) {
        vault.refresh(_node(dice));
        return true;
    }

    /// @dev Offers a bond, to a cold key or back to its account, or has an offer accepted.
    function _own(uint256 dice) internal returns (bool) {
        address account = _node(dice >> 8);
        address offered = vault.offeredOwnerOf(account);
        if (offered != address(0)) {
            VM.prank(offered);
            vault.acceptOwner(account);
            return true;
        }
        address owner = vault.ownerOf(account);
        VM.prank(owner);
        vault.offerOwner(account, owner == account ? cold(dice >> 16) : account);
        return true;
    }

    /// @dev A hot key that is not the owner, and a stranger, try each way to the bond.
    function _steal(address account, uint256 dice) private {
        if (dice % 3 != 0) return;
        bool isHot = vault.ownerOf(account) != account && dice % 2 == 0;
        VM.startPrank(isHot ? account : address(0xBAD));
        try vault.requestUnbondOf(account, 1) {
            check(false, "only an owner asks back");
        } catch {}
        try vault.cancelUnbondOf(account) {
            check(false, "only an owner calls an exit off");
        } catch {}
        try vault.withdrawOf(account) {
            check(false, "only an owner is paid");
        } catch {}
        try vault.offerOwner(account, address(0xBAD)) {
            check(false, "only an owner gives a bond away");
        } catch {}
        VM.stopPrank();
    }
}
