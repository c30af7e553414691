// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Delegation} from "../../../contracts/types/Bond.sol";
import {BondMoves} from "./BondMoves.sol";
import {VM} from "./Vm.sol";

/// @notice The moves of holders who lend to the bonds of nodes, and of the owners who take that.
abstract contract LendMoves is BondMoves {
    /// @dev An owner opens its account, closes it, or changes the commission.
    function _commission(uint256 dice) internal returns (bool) {
        address account = _node(dice >> 8);
        uint256 before = vault.delegatedTo(account).commissionBps;
        bool hadSome = vault.delegatedTo(account).amount != 0;
        VM.startPrank(vault.ownerOf(account));
        bool isSet = false;
        if (dice % 8 == 0) vault.closeDelegations(account);
        else
            try vault.setCommission(account, (dice >> 16) % 6_000) {
                isSet = true;
            } catch {}
        VM.stopPrank();
        uint256 now_ = vault.delegatedTo(account).commissionBps;
        check(!hadSome || now_ <= before, "no commission rises over tokens that are there");
        return isSet;
    }

    function _lend(uint256 dice) internal returns (bool) {
        address holder = lender(dice);
        address account = vault.delegationOf(holder).account;
        if (account == address(0)) account = _node(dice >> 8);
        uint256 amount = 1 + ((dice >> 16) % 300 ether);
        if (token.balanceOf(holder) < amount) return false;
        VM.prank(holder);
        try vault.delegateBond(account, amount, 10_000) {
            return true;
        } catch {
            // What was paid on the way was not.
            VM.getRecordedLogs();
            return false;
        }
    }

    /// @dev The way out, or back in: every holder that asks is let go when its own delay is over.
    function _unlend(uint256 dice) internal returns (bool) {
        address holder = lender(dice);
        Delegation memory mine = vault.delegationOf(holder);
        if (mine.account == address(0)) return false;
        VM.startPrank(holder);
        if (mine.availableAt == 0) {
            vault.requestUndelegate(1 + ((dice >> 8) % 400 ether));
        } else if (dice % 5 == 0) {
            vault.cancelUndelegate();
        } else {
            if (dice % 2 == 0 && mine.availableAt > VM.getBlockTimestamp())
                VM.warp(mine.availableAt);
            bool isDue = VM.getBlockTimestamp() >= mine.availableAt;
            uint256 held = token.balanceOf(holder);
            try vault.withdrawDelegated() {
                check(isDue, "not before its delay is over");
                check(token.balanceOf(holder) >= held + mine.leaving, "paid");
            } catch {
                check(!isDue, "an exit waits for its delay alone");
            }
        }
        VM.stopPrank();
        return true;
    }

    /// @dev With everything, in two steps.
    function _leaveLent() internal {
        for (uint256 i = 0; i < LENDERS; ++i) {
            if (vault.delegationOf(lender(i)).account == address(0)) continue;
            VM.startPrank(lender(i));
            if (vault.delegationOf(lender(i)).availableAt != 0) vault.cancelUndelegate();
            vault.requestUndelegate(type(uint256).max);
            VM.stopPrank();
        }
        net.pass(100 days);
        for (uint256 i = 0; i < LENDERS; ++i) {
            if (vault.delegationOf(lender(i)).account == address(0)) continue;
            VM.prank(lender(i));
            vault.withdrawDelegated();
        }
    }
}
