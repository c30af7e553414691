// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {DelegatedBond, Delegation} from "../../../contracts/types/Bond.sol";
import {Stage} from "./Stage.sol";
import {VM} from "./Vm.sol";

/// @notice Node 1 takes delegated bonds at 10%; three holders have 5,000 tokens each and no node.
abstract contract LendingStage is Stage {
    uint256 internal constant RAY = 1e27;
    uint256 internal constant ALL = type(uint256).max;
    uint256 internal constant COMMISSION = 1_000;
    uint256 internal constant UNBOND_DELAY_S = 2_000;

    address internal operator;
    address internal other; // node 2
    address internal ann = address(0xA11);
    address internal ben = address(0xBE1);
    address internal cas = address(0xCA5);
    uint256 internal own;

    function stageLending() internal {
        stage(3);
        operator = node(1);
        other = node(2);
        own = net.BOND();
        for (uint256 i = 0; i < 3; ++i) {
            net.equip(holder(i), 5_000 ether);
        }
        VM.prank(operator);
        vault.setCommission(operator, COMMISSION);
    }

    function holder(uint256 index) internal view returns (address) {
        return [ann, ben, cas][index % 3];
    }

    function lend(address from, uint256 amount) internal {
        VM.prank(from);
        vault.delegateBond(operator, amount, COMMISSION);
    }

    function ask(address from, uint256 amount) internal {
        VM.prank(from);
        vault.requestUndelegate(amount);
    }

    /// @dev With everything, also where some of it is leaving already.
    function leave(address from) internal {
        Delegation memory mine = vault.delegationOf(from);
        VM.startPrank(from);
        if (mine.availableAt != 0) vault.cancelUndelegate();
        vault.requestUndelegate(ALL);
        VM.warp(VM.getBlockTimestamp() + UNBOND_DELAY_S);
        vault.withdrawDelegated();
        VM.stopPrank();
    }

    function slash(uint256 amount) internal returns (uint256) {
        VM.prank(address(ledger));
        return vault.slash(operator, amount, new address[](0));
    }

    /// @dev A reward of which all is the delegators', as the distributor brings it.
    function reward(uint256 amount) internal {
        token.transfer(address(vault), amount);
        VM.prank(address(distributor));
        vault.compound(operator, amount);
    }

    function pool() internal view returns (DelegatedBond memory) {
        return vault.delegatedTo(operator);
    }

    function worth(address from) internal view returns (uint256) {
        return vault.delegationOf(from).amount;
    }

    /// @notice What must hold of the pool after whatever happened.
    function checkPool() internal view {
        uint256 claims = worth(ann) + worth(ben) + worth(cas);
        check(claims <= pool().amount, "no claim beyond what is delegated");
        uint256 bonds = vault.bondOf(node(0)) + vault.bondOf(operator) + vault.bondOf(node(2));
        same(token.balanceOf(address(vault)), bonds + pool().amount, "the tokens are there");
    }
}
