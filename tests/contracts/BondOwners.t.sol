// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBondVault} from "../../contracts/interfaces/IBondVault.sol";
import {Stage} from "./helpers/Stage.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice A hot key works under a bond that a cold key owns. Nodes 0 to 2; node 1 is the hot one.
contract BondOwnersTest is Stage {
    address private hot;
    address private cold = address(0xC01D);
    address private mallory = address(0xBAD);
    uint256 private bonded;

    function setUp() public {
        stage(3);
        hot = node(1);
        bonded = net.BOND();
        net.equip(cold, 10_000 ether);
        net.equip(mallory, 10_000 ether);
    }

    /// @notice Nobody has to do anything: an account is its own owner.
    function test_owner_byDefault_isTheAccount() public {
        same(vault.ownerOf(hot), hot, "itself");
        same(vault.ownerOf(mallory), mallory, "also before its first bond");
        same(vault.offeredOwnerOf(hot), address(0), "offered to nobody");
        give();
        same(vault.ownerOf(hot), cold, "accepted");
        same(vault.offeredOwnerOf(hot), address(0), "an offer is accepted once");
    }

    /// @notice Who watches the chain sees each offer and each change.
    function test_events_offerAndChange_areTold() public {
        VM.expectEmit(address(vault));
        emit IBondVault.OwnerOffered(hot, cold);
        VM.prank(hot);
        vault.offerOwner(hot, cold);
        VM.expectEmit(address(vault));
        emit IBondVault.OwnerChanged(hot, hot, cold);
        VM.prank(cold);
        vault.acceptOwner(hot);
        VM.prank(cold);
        vault.offerOwner(hot, mallory);
        VM.expectEmit(address(vault));
        emit IBondVault.OwnerChanged(hot, cold, mallory);
        VM.prank(mallory);
        vault.acceptOwner(hot);
    }

    /// @notice The bond, its votes and what is leaving go to the new owner; the account works on.
    function test_acceptOwner_bondVotesAndPending_goWithIt() public {
        VM.prank(hot);
        vault.requestUnbond(300 ether);
        give();
        same(vault.bondOf(hot), bonded, "bond");
        same(vault.votesOf(hot), 0, "the hot key votes no more");
        same(vault.votesOf(cold), bonded, "the cold key does");
        check(vault.isActive(hot) && !vault.isActive(cold), "the hot key works");
        net.pass(3_000);
        uint256 wealth = token.balanceOf(cold);
        VM.prank(cold);
        vault.withdrawOf(hot);
        same(token.balanceOf(cold), wealth + 300 ether, "paid to the owner");
    }

    /// @notice An owner adds, asks back, calls off and is paid; a slash of the account is a slash of
    /// its owner's votes.
    function test_owner_wholeLife_ofABond() public {
        give();
        VM.startPrank(cold);
        vault.bondFor(hot, 500 ether);
        same(vault.votesOf(cold), bonded + 500 ether, "added");
        vault.requestUnbondOf(hot, 100 ether);
        vault.cancelUnbondOf(hot);
        vault.requestUnbondOf(hot, bonded + 500 ether);
        VM.stopPrank();
        check(!vault.isActive(hot), "the owner stops the account at once");
        VM.prank(address(ledger));
        vault.slash(hot, 200 ether, new address[](0));
        same(vault.votesOf(cold), bonded + 300 ether, "slashed");
        net.pass(3_000);
        VM.prank(cold);
        vault.withdrawOf(hot);
        same(
            token.balanceOf(cold),
            10_000 ether - 500 ether + bonded + 300 ether,
            "all of the rest"
        );
        same(vault.votesOf(cold), 0, "no bond, no vote");
    }

    /// @notice An owner of several accounts votes with all of them.
    function test_owner_ofTwoAccounts_votesWithBoth() public {
        give();
        address other = node(2);
        VM.prank(other);
        vault.offerOwner(other, cold);
        VM.prank(cold);
        vault.acceptOwner(other);
        same(vault.votesOf(cold), 2 * bonded, "both");
        VM.prank(address(ledger));
        vault.slash(other, 1 ether, new address[](0));
        same(vault.votesOf(cold), 2 * bonded - 1 ether, "less what one lost");
    }

    /// @notice Attack: the hot key is stolen. It cannot ask back, be paid, call an exit off, give the
    /// bond away or take it again.
    function test_attack_hotKeyTheft_everyWayOut_isRefused() public {
        give();
        VM.prank(cold);
        vault.requestUnbondOf(hot, 100 ether);
        net.pass(3_000);
        bytes memory refusal = abi.encodeWithSelector(IBondVault.NotOwner.selector, hot, hot, cold);
        VM.startPrank(hot);
        VM.expectRevert(refusal);
        vault.requestUnbond(1);
        VM.expectRevert(refusal);
        vault.requestUnbondOf(hot, 1);
        VM.expectRevert(refusal);
        vault.cancelUnbond();
        VM.expectRevert(refusal);
        vault.withdraw();
        VM.expectRevert(refusal);
        vault.withdrawOf(hot);
        VM.expectRevert(refusal);
        vault.offerOwner(hot, hot);
        VM.expectRevert(refusal);
        vault.bondFor(hot, 1);
        VM.expectRevert(abi.encodeWithSelector(IBondVault.NotOffered.selector, hot, hot));
        vault.acceptOwner(hot);
        VM.stopPrank();
        VM.prank(cold);
        vault.withdrawOf(hot);
        same(vault.bondOf(hot), bonded - 100 ether, "the owner was not held up");
    }

    /// @notice Attack: the hot key, a stranger and an earlier owner try anything, in any order. Bond and
    /// what is leaving stay as their owner left them, or grow.
    function testFuzz_hotKeyTheft_anyCalls_leaveTheBond(uint256 seed) public {
        give();
        VM.prank(cold);
        vault.requestUnbondOf(hot, 100 ether);
        net.pass(3_000);
        uint256 bond = vault.bondOf(hot);
        for (uint256 i = 0; i < 24; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            VM.startPrank(seed % 2 == 0 ? hot : mallory);
            attack(seed >> 8);
            VM.stopPrank();
            (uint256 pending, ) = vault.pendingOf(hot);
            same(pending, 100 ether, "what is leaving");
            check(vault.bondOf(hot) >= bond, "the bond");
            bond = vault.bondOf(hot);
            same(vault.ownerOf(hot), cold, "the owner");
            same(vault.votesOf(cold), bond, "the votes");
        }
    }

    function attack(uint256 dice) private {
        uint256 amount = 1 + ((dice >> 8) % 300 ether);
        uint256 kind = dice % 9;
        if (kind == 0) try vault.bond(amount, "q") {} catch {}
        if (kind == 1) try vault.bondFor(hot, amount) {} catch {}
        if (kind == 2) try vault.requestUnbondOf(hot, amount) {} catch {}
        if (kind == 3) try vault.cancelUnbondOf(hot) {} catch {}
        if (kind == 4) try vault.withdrawOf(hot) {} catch {}
        if (kind == 5) try vault.offerOwner(hot, mallory) {} catch {}
        if (kind == 6) try vault.acceptOwner(hot) {} catch {}
        if (kind == 7) try vault.setPeerId("thief") {} catch {}
        if (kind == 8) try vault.slash(hot, amount, new address[](0)) {} catch {}
    }

    /// @notice Attack: somebody bonds a wei for an account first, to own what it bonds later.
    function test_attack_squatting_foreignAccount_isRefused() public {
        address newcomer = address(0x1E3);
        net.equip(newcomer, 500 ether);
        VM.prank(mallory);
        VM.expectRevert(
            abi.encodeWithSelector(IBondVault.NotOwner.selector, newcomer, mallory, newcomer)
        );
        vault.bondFor(newcomer, 1);
        VM.prank(mallory);
        VM.expectRevert(abi.encodeWithSelector(IBondVault.NotOffered.selector, newcomer, mallory));
        vault.acceptOwner(newcomer);
        VM.prank(newcomer);
        vault.bond(500 ether, "p");
        same(vault.ownerOf(newcomer), newcomer, "its own");
    }

    /// @notice Attack: the hot key takes its offer back while the cold key bonds. What is not accepted is
    /// not owned, so the cold key's bond is refused instead of given away.
    function test_attack_bondFor_beforeAcceptance_isRefused() public {
        VM.prank(hot);
        vault.offerOwner(hot, cold);
        VM.prank(cold);
        VM.expectRevert(abi.encodeWithSelector(IBondVault.NotOwner.selector, hot, cold, hot));
        vault.bondFor(hot, 1 ether);
        VM.prank(hot);
        vault.offerOwner(hot, address(0));
        VM.prank(cold);
        VM.expectRevert(abi.encodeWithSelector(IBondVault.NotOffered.selector, hot, cold));
        vault.acceptOwner(hot);
    }

    /// @notice An owner that has given a bond away has no way back.
    function test_previousOwner_afterwards_isAStranger() public {
        give();
        VM.prank(cold);
        vault.offerOwner(hot, mallory);
        VM.prank(mallory);
        vault.acceptOwner(hot);
        VM.startPrank(cold);
        VM.expectRevert(abi.encodeWithSelector(IBondVault.NotOwner.selector, hot, cold, mallory));
        vault.requestUnbondOf(hot, 1);
        VM.expectRevert(abi.encodeWithSelector(IBondVault.NotOffered.selector, hot, cold));
        vault.acceptOwner(hot);
        VM.stopPrank();
        same(vault.votesOf(cold), 0, "no votes");
        same(vault.votesOf(mallory), bonded, "they went along");
    }

    /// @notice What a hot key adds is its owner's; an owner may give the bond back to the account.
    function test_bond_byTheHotKey_isTheOwners() public {
        give();
        VM.prank(hot);
        vault.bond(50 ether, "");
        same(vault.votesOf(cold), bonded + 50 ether, "the owner's");
        VM.prank(cold);
        vault.offerOwner(hot, hot);
        VM.startPrank(hot);
        vault.acceptOwner(hot);
        vault.requestUnbond(bonded + 50 ether);
        VM.stopPrank();
        same(vault.votesOf(hot), bonded + 50 ether, "its own again");
    }

    /// @notice Illegal neighbours of the owner's calls.
    function test_ownersCalls_illegalNeighbours_areRefused() public {
        give();
        VM.startPrank(cold);
        VM.expectRevert(abi.encodeWithSelector(IBondVault.ZeroAmount.selector));
        vault.bondFor(hot, 0);
        VM.expectRevert(abi.encodeWithSelector(IBondVault.ZeroAmount.selector));
        vault.requestUnbondOf(hot, 0);
        VM.expectRevert(abi.encodeWithSelector(IBondVault.NothingPending.selector, hot));
        vault.cancelUnbondOf(hot);
        VM.expectRevert(abi.encodeWithSelector(IBondVault.NothingPending.selector, hot));
        vault.withdrawOf(hot);
        VM.expectRevert(
            abi.encodeWithSelector(IBondVault.InsufficientBond.selector, hot, bonded + 1, bonded)
        );
        vault.requestUnbondOf(hot, bonded + 1);
        VM.stopPrank();
    }

    function give() private {
        VM.prank(hot);
        vault.offerOwner(hot, cold);
        VM.prank(cold);
        vault.acceptOwner(hot);
    }
}
