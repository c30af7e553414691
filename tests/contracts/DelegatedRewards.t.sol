// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IBondVault} from "../../contracts/interfaces/IBondVault.sol";
import {IDelegatedBonds} from "../../contracts/interfaces/IDelegatedBonds.sol";
import {IRewardDistributor} from "../../contracts/interfaces/IRewardDistributor.sol";
import {LendingStage} from "./helpers/LendingStage.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice What an account earns is shared with its delegators when it is paid, by who was there when it
/// was credited.
contract DelegatedRewardsTest is LendingStage {
    function setUp() public {
        stageLending();
        VM.prank(address(net));
        token.transfer(address(this), 100_000 ether);
    }

    /// @notice 500 of 1,500 tokens are delegated, at 10%: of 60 earned, 20 are theirs but for 2.
    function test_claim_withDelegators_isShared() public {
        lend(ann, 300 ether);
        lend(ben, 200 ether);
        earn(60 ether);
        uint256 wealth = token.balanceOf(operator);
        VM.expectEmit(address(distributor));
        emit IRewardDistributor.Claimed(token, operator, 60 ether);
        VM.expectEmit(address(vault));
        emit IDelegatedBonds.DelegatorsEarned(operator, 18 ether);
        same(distributor.claim(token, operator), 60 ether, "told");
        same(token.balanceOf(operator), wealth + 42 ether, "its own, and its commission");
        same(worth(ann), 300 ether + 10.8 ether, "three fifths of the rest");
        same(worth(ben), 200 ether + 7.2 ether, "two fifths");
        same(token.balanceOf(address(distributor)), 0, "nothing stays behind");
        checkPool();
    }

    /// @notice Whatever is delegated and earned, each wei is the account's or its delegators', by the
    /// formula, and a claim never fails.
    function testFuzz_claim_anyPool_sharesEveryWei(
        uint256 lent,
        uint256 slashed,
        uint256 amount
    ) public {
        lend(ann, 1 + (lent % own));
        slash(slashed % (2 * own + 1));
        amount = 1 + (amount % 50_000 ether);
        earn(amount);
        uint256 part = vault.delegatorsPart(operator, amount);
        check(part <= amount, "a part");
        uint256 wealth = token.balanceOf(operator);
        uint256 delegated = pool().amount;
        distributor.claim(token, operator);
        same(token.balanceOf(operator), wealth + amount - part, "the account's");
        same(pool().amount, delegated + part, "the delegators'");
        checkPool();
        leave(ann);
    }

    /// @notice Attack: delegate just before a claim, to have a part of what others have earned.
    function test_attack_delegateJustBeforeClaim_getsNothing() public {
        lend(ann, 100 ether);
        earn(60 ether);
        uint256 part = vault.delegatorsPart(operator, 60 ether);
        lend(cas, 800 ether);
        check(worth(cas) <= 800 ether && worth(cas) + 2 >= 800 ether, "what it brought");
        check(worth(ann) + 1 >= 100 ether + part, "all of it is theirs who were there");
        same(distributor.creditOf(token, operator), 0, "settled before");
        same(vault.delegatorsPart(other, 60 ether), 0, "no other account's");
    }

    /// @notice Attack: as the first delegator, for what the account has earned alone.
    function test_attack_firstDelegatorBeforeClaim_getsNothing() public {
        earn(60 ether);
        uint256 wealth = token.balanceOf(operator);
        lend(ann, own);
        same(worth(ann), own, "what it brought");
        same(token.balanceOf(operator), wealth + 60 ether, "the account's own");
    }

    /// @notice Attack: bond more just before a claim, to have more of it than the bond has earned.
    function test_attack_operatorBondsBeforeClaim_dilutesNobody() public {
        lend(ann, own);
        earn(60 ether);
        uint256 part = vault.delegatorsPart(operator, 60 ether);
        VM.prank(operator);
        vault.bond(5_000 ether, "");
        same(pool().amount, own + part, "shared before");
        VM.prank(operator);
        vault.offerOwner(operator, cas);
        VM.prank(cas);
        vault.acceptOwner(operator);
        earn(60 ether);
        part = vault.delegatorsPart(operator, 60 ether);
        uint256 before = pool().amount;
        VM.prank(cas);
        vault.bondFor(operator, 1 ether);
        same(pool().amount, before + part, "by its owner, too");
    }

    /// @notice A bond without delegators is nobody's affair: nothing is claimed for it.
    function test_bond_withoutDelegators_claimsNothing() public {
        earn(60 ether);
        VM.prank(operator);
        vault.bond(1 ether, "");
        same(distributor.creditOf(token, operator), 60 ether, "waits");
    }

    /// @notice An exit claims nothing, and calls nobody: who leaves before a claim leaves its part.
    function test_withdraw_unclaimedReward_isNotWaitedFor() public {
        lend(ann, 300 ether);
        lend(ben, 300 ether);
        ask(ann, ALL);
        VM.warp(VM.getBlockTimestamp() + UNBOND_DELAY_S);
        earn(60 ether);
        VM.prank(ann);
        vault.withdrawDelegated();
        same(token.balanceOf(ann), 5_000 ether, "what it brought");
        uint256 part = vault.delegatorsPart(operator, 60 ether);
        distributor.claim(token, operator);
        check(worth(ben) + 1 >= 300 ether + part, "who is there has it");
    }

    /// @notice Rewards may become the account's bond, by itself or its owner; its delegators have their
    /// part all the same.
    function test_claimToBond_addsTheRestToTheOwnBond() public {
        lend(ann, 500 ether);
        earn(60 ether);
        uint256 part = vault.delegatorsPart(operator, 60 ether);
        VM.expectEmit(address(vault));
        emit IBondVault.Bonded(operator, 60 ether - part, own + 60 ether - part);
        VM.prank(operator);
        same(distributor.claimToBond(operator), 60 ether, "told");
        same(pool().amount, 500 ether + part, "theirs");
        same(vault.votesOf(operator), own + 60 ether - part, "votes with it");
        checkPool();
        VM.prank(operator);
        vault.offerOwner(operator, cas);
        VM.prank(cas);
        vault.acceptOwner(operator);
        earn(1 ether);
        VM.prank(cas);
        distributor.claimToBond(operator);
        check(vault.bondOf(operator) > own + 60 ether - part, "by the owner");
    }

    /// @notice Attack: bond another's rewards, to keep it from its money for the delay.
    function test_attack_claimToBond_byAStranger_isRefused() public {
        earn(60 ether);
        VM.prank(ann);
        VM.expectRevert(
            abi.encodeWithSelector(IRewardDistributor.NotAccountOrOwner.selector, operator, ann)
        );
        distributor.claimToBond(operator);
        distributor.claim(token, operator);
        VM.prank(operator);
        VM.expectRevert(
            abi.encodeWithSelector(IRewardDistributor.NothingToClaim.selector, token, operator)
        );
        distributor.claimToBond(operator);
    }

    /// @notice Where an account has no bond left and keeps no commission, all is its delegators'.
    function test_claimToBond_withoutBond_isTheDelegators() public {
        VM.prank(operator);
        vault.setCommission(operator, 0);
        VM.prank(ann);
        vault.delegateBond(operator, 100 ether, 0);
        VM.startPrank(operator);
        vault.requestUnbond(own);
        VM.warp(VM.getBlockTimestamp() + UNBOND_DELAY_S);
        vault.withdraw();
        VM.stopPrank();
        earn(60 ether);
        VM.prank(operator);
        distributor.claimToBond(operator);
        same(worth(ann), 160 ether, "all");
        same(vault.bondOf(operator), 0, "none");
    }

    /// @notice Rewards in another token are the account's alone.
    function test_claim_otherToken_isTheAccountsAlone() public {
        lend(ann, own);
        IERC20 other_ = IERC20(
            net.deploy("ComputeToken", abi.encode(address(this), 100 ether, net.plan()))
        );
        other_.transfer(address(distributor), 60 ether);
        VM.prank(address(escrow));
        distributor.credit(other_, list(operator), one(60 ether));
        distributor.claim(other_, operator);
        same(other_.balanceOf(operator), 60 ether, "all");
        same(worth(ann), own, "nothing");
    }

    /// @dev A reward of the operator's, as the escrow credits it.
    function earn(uint256 amount) private {
        token.transfer(address(distributor), amount);
        VM.prank(address(escrow));
        distributor.credit(token, list(operator), one(amount));
    }

    function list(address account) private pure returns (address[] memory accounts) {
        accounts = new address[](1);
        accounts[0] = account;
    }
}
