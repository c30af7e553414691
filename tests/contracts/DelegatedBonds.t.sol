// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBondVault} from "../../contracts/interfaces/IBondVault.sol";
import {IDelegatedBonds} from "../../contracts/interfaces/IDelegatedBonds.sol";
import {DelegatedBond, Delegation} from "../../contracts/types/Bond.sol";
import {Parameter} from "../../contracts/types/Parameter.sol";
import {LendingStage} from "./helpers/LendingStage.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice Tokens that holders without a node lend to an account: the way in, what they cover and lose,
/// what they earn, and the way out.
contract DelegatedBondsTest is LendingStage {
    function setUp() public {
        stageLending();
        VM.prank(address(net));
        token.transfer(address(this), 100_000 ether);
    }

    /// @notice A delegated bond from its first token to its last, as events and reads tell it.
    function test_delegatedBond_tellsEachStep() public {
        VM.startPrank(other);
        VM.expectEmit(address(vault));
        emit IDelegatedBonds.CommissionChanged(other, 500);
        vault.setCommission(other, 500);
        VM.stopPrank();
        DelegatedBond memory empty = vault.delegatedTo(other);
        check(empty.isOpen && empty.commissionBps == 500, "open");
        same(empty.index, RAY, "the index begins at one");
        uint256 held = token.balanceOf(ann);
        VM.startPrank(ann);
        VM.expectEmit(address(vault));
        emit IDelegatedBonds.BondDelegated(ann, operator, 300 ether);
        VM.expectEmit(address(vault));
        emit IDelegatedBonds.DelegatedChanged(operator, 300 ether, 300 ether);
        vault.delegateBond(operator, 300 ether, COMMISSION);
        VM.expectEmit(address(vault));
        emit IDelegatedBonds.BondDelegated(ann, operator, 100 ether);
        VM.expectEmit(address(vault));
        emit IDelegatedBonds.DelegatedChanged(operator, 400 ether, 400 ether);
        vault.delegateBond(operator, 100 ether, COMMISSION);
        same(token.balanceOf(ann), held - 400 ether, "paid in");
        uint64 availableAt = uint64(VM.getBlockTimestamp() + UNBOND_DELAY_S);
        VM.expectEmit(address(vault));
        emit IDelegatedBonds.UndelegateRequested(ann, operator, 150 ether, availableAt);
        VM.expectEmit(address(vault));
        emit IDelegatedBonds.DelegatedChanged(operator, 400 ether, 250 ether);
        vault.requestUndelegate(150 ether);
        Delegation memory mine = vault.delegationOf(ann);
        same(mine.account, operator, "to whom");
        same(mine.amount, 400 ether, "all");
        same(mine.leaving, 150 ether, "leaving");
        same(mine.availableAt, availableAt, "from when");
        same(pool().leaving, 150 ether, "leaving the pool");
        VM.expectEmit(address(vault));
        emit IDelegatedBonds.UndelegateCancelled(ann, operator);
        VM.expectEmit(address(vault));
        emit IDelegatedBonds.DelegatedChanged(operator, 400 ether, 400 ether);
        vault.cancelUndelegate();
        same(pool().leaving, 0, "nothing");
        same(vault.delegationOf(ann).availableAt, 0, "nothing is awaited");
        vault.requestUndelegate(150 ether);
        VM.warp(availableAt);
        VM.expectEmit(address(vault));
        emit IDelegatedBonds.DelegatedWithdrawn(ann, operator, 150 ether);
        VM.expectEmit(address(vault));
        emit IDelegatedBonds.DelegatedChanged(operator, 250 ether, 250 ether);
        vault.withdrawDelegated();
        same(vault.delegationOf(ann).leaving, 0, "out");
        same(pool().leaving, 0, "of the pool, too");
        same(vault.delegationOf(ann).availableAt, 0, "nothing is awaited");
        VM.stopPrank();
        VM.expectEmit(address(vault));
        emit IDelegatedBonds.DelegatedSlashed(operator, 20 ether);
        VM.expectEmit(address(vault));
        emit IDelegatedBonds.DelegatedChanged(operator, 230 ether, 230 ether);
        VM.expectEmit(address(vault));
        emit IBondVault.Slashed(operator, 100 ether, 100 ether, 0, own - 80 ether);
        slash(100 ether);
        token.transfer(address(vault), 23 ether);
        VM.expectEmit(address(vault));
        emit IDelegatedBonds.DelegatorsEarned(operator, 23 ether);
        VM.expectEmit(address(vault));
        emit IDelegatedBonds.DelegatedChanged(operator, 253 ether, 253 ether);
        VM.prank(address(distributor));
        vault.compound(operator, 23 ether);
        VM.expectEmit(address(vault));
        emit IDelegatedBonds.DelegationsClosed(operator);
        VM.prank(operator);
        vault.closeDelegations(operator);
        check(!pool().isOpen, "closed");
        leave(ann);
        same(token.balanceOf(ann), held - 400 ether + 150 ether + 253 ether, "to the wei");
        same(vault.delegationOf(ann).account, address(0), "nothing is left");
    }

    /// @notice Who may not delegate, and how much.
    function test_delegateBond_illegalNeighbours_areRefused() public {
        VM.startPrank(ann);
        VM.expectRevert(abi.encodeWithSelector(IDelegatedBonds.NotOpen.selector, other));
        vault.delegateBond(other, 1 ether, 10_000);
        VM.expectRevert(abi.encodeWithSelector(IBondVault.ZeroAmount.selector));
        vault.delegateBond(operator, 0, COMMISSION);
        VM.expectRevert(
            abi.encodeWithSelector(IDelegatedBonds.BeyondOwnBond.selector, operator, own + 1, own)
        );
        vault.delegateBond(operator, own + 1, COMMISSION);
        vault.delegateBond(operator, 400 ether, COMMISSION);
        VM.stopPrank();
        VM.prank(operator);
        vault.requestUnbond(500 ether);
        VM.prank(ben);
        VM.expectRevert(
            abi.encodeWithSelector(
                IDelegatedBonds.BeyondOwnBond.selector,
                operator,
                own - 900 ether + 1,
                own - 900 ether
            )
        );
        vault.delegateBond(operator, own - 900 ether + 1, COMMISSION);
        lend(ben, own - 900 ether);
        VM.prank(operator);
        vault.requestUnbond(100 ether);
        VM.prank(ben);
        VM.expectRevert(
            abi.encodeWithSelector(IDelegatedBonds.BeyondOwnBond.selector, operator, 1, 0)
        );
        vault.delegateBond(operator, 1, COMMISSION);
        VM.prank(operator);
        vault.cancelUnbond();
        VM.prank(operator);
        vault.closeDelegations(operator);
        VM.prank(ben);
        VM.expectRevert(abi.encodeWithSelector(IDelegatedBonds.NotOpen.selector, operator));
        vault.delegateBond(operator, 1, COMMISSION);
        VM.prank(operator);
        vault.setCommission(operator, COMMISSION);
        lend(ben, 1);
    }

    /// @notice The commission is the owner's to set, within its bound, and falls only while somebody trusts
    /// in it.
    function test_setCommission_illegalNeighbours_areRefused() public {
        VM.prank(ann);
        VM.expectRevert(
            abi.encodeWithSelector(IBondVault.NotOwner.selector, operator, ann, operator)
        );
        vault.setCommission(operator, 0);
        VM.prank(ann);
        VM.expectRevert(
            abi.encodeWithSelector(IBondVault.NotOwner.selector, operator, ann, operator)
        );
        vault.closeDelegations(operator);
        VM.startPrank(operator);
        expectBadCommission(5_001, 5_000);
        vault.setCommission(operator, 5_001);
        vault.setCommission(operator, 5_000);
        vault.setCommission(operator, COMMISSION);
        VM.stopPrank();
        lend(ann, 1 ether);
        VM.startPrank(operator);
        expectBadCommission(COMMISSION + 1, COMMISSION);
        vault.setCommission(operator, COMMISSION + 1);
        vault.setCommission(operator, COMMISSION);
        vault.setCommission(operator, 0);
        expectBadCommission(1, 0);
        vault.setCommission(operator, 1);
        VM.stopPrank();
        leave(ann);
        VM.prank(operator);
        vault.setCommission(operator, 5_000);
        same(pool().commissionBps, 5_000, "nobody minds");
    }

    function expectBadCommission(uint256 asked, uint256 max) private {
        VM.expectRevert(
            abi.encodeWithSelector(IDelegatedBonds.BadCommission.selector, operator, asked, max)
        );
    }

    /// @notice Attack: raise the commission in front of the first holder's call, while nothing is
    /// delegated.
    function test_attack_commissionRaisedInFront_isRefused() public {
        VM.prank(operator);
        vault.setCommission(operator, COMMISSION + 1);
        VM.prank(ann);
        VM.expectRevert(
            abi.encodeWithSelector(
                IDelegatedBonds.CommissionAbove.selector,
                operator,
                COMMISSION + 1,
                COMMISSION
            )
        );
        vault.delegateBond(operator, 1 ether, COMMISSION);
    }

    /// @notice A holder has delegated to one account at a time; once it is gone it is free.
    function test_delegateBond_secondAccount_isRefusedUntilGone() public {
        VM.prank(other);
        vault.setCommission(other, 0);
        lend(ann, 10 ether);
        ask(ann, ALL);
        VM.startPrank(ann);
        VM.expectRevert(
            abi.encodeWithSelector(IDelegatedBonds.DelegatedElsewhere.selector, ann, operator)
        );
        vault.delegateBond(other, 1 ether, 0);
        VM.warp(vault.delegationOf(ann).availableAt);
        vault.withdrawDelegated();
        vault.delegateBond(other, 1 ether, 0);
        VM.stopPrank();
        same(vault.delegationOf(ann).account, other, "another");
        same(vault.delegatedTo(other).amount, 1 ether, "there");
        same(pool().amount, 0, "not here");
    }

    /// @notice What covers units: the account's own, and as much of others'; nothing that is leaving.
    function testFuzz_free_anyBonds_isOwnAndAsMuchOfOthers(
        uint256 lent,
        uint256 ownLeaving,
        uint256 leaving,
        uint256 locked
    ) public {
        lent = 1 + (lent % own);
        lend(ann, lent);
        ownLeaving = ownLeaving % own;
        leaving = leaving % lent;
        if (leaving != 0) ask(ann, leaving);
        VM.prank(operator);
        if (ownLeaving != 0) vault.requestUnbond(ownLeaving);
        uint256 mine = own - ownLeaving;
        uint256 theirs = lent - leaving;
        uint256 cover = mine + (theirs < mine ? theirs : mine);
        same(vault.freeOf(operator), cover, "free");
        locked = locked % (cover + 1);
        VM.startPrank(address(ledger));
        vault.lock(operator, locked);
        same(vault.freeOf(operator), cover - locked, "less what is locked");
        VM.expectRevert(
            abi.encodeWithSelector(
                IBondVault.InsufficientFreeBond.selector,
                operator,
                cover - locked + 1,
                cover - locked
            )
        );
        vault.lock(operator, cover - locked + 1);
        vault.lock(operator, cover - locked);
        VM.stopPrank();
        if (leaving == 0) ask(ann, ALL);
        same(vault.freeOf(operator), 0, "nothing underflows");
    }

    /// @notice Delegated tokens make nobody active: an operator has its own to lose.
    function test_isActive_dependsOnTheOwnBondAlone() public {
        lend(ann, own);
        VM.prank(operator);
        vault.requestUnbond(own - 99 ether);
        check(!vault.isActive(operator), "inactive");
    }

    /// @notice A slash takes of delegated tokens their part by size, at most a half, and more only where
    /// nothing else is left; each wei is burned or paid.
    function testFuzz_slash_anyAmount_isSharedAndBurned(
        uint256 lent,
        uint256 ownLeft,
        uint256 amount
    ) public {
        lent = 1 + (lent % own);
        lend(ann, lent);
        ownLeft = ownLeft % (own + 1);
        if (ownLeft != own) {
            VM.startPrank(operator);
            vault.requestUnbond(own - ownLeft);
            VM.warp(VM.getBlockTimestamp() + UNBOND_DELAY_S);
            vault.withdraw();
            VM.stopPrank();
        }
        amount = amount % (own + lent + 100 ether);
        uint256 supply = token.totalSupply();
        uint256 slashed = slash(amount);
        uint256 total = ownLeft + lent;
        same(slashed, amount < total ? amount : total, "what there is, and no more");
        uint256 part = (slashed * lent) / total;
        if (part > slashed / 2) part = slashed / 2;
        if (slashed - part > ownLeft) part = slashed - ownLeft;
        same(pool().amount, lent - part, "theirs");
        same(vault.bondOf(operator), ownLeft - (slashed - part), "its own");
        same(supply - token.totalSupply(), slashed, "burned");
        check(worth(ann) <= lent - part, "no claim beyond it");
        check(worth(ann) + 2 > lent - part, "and all but a wei of it");
        checkPool();
        leave(ann);
        same(pool().amount, 0, "the last takes what rounding left");
    }

    /// @notice Attack: lie with the tokens of others. Of the locks of all lies, told at once, the liar
    /// loses at least a half itself, whatever was delegated to it.
    function testFuzz_attack_liesWithOthersTokens_costTheLiarHalf(
        uint256 lent,
        uint256 lies
    ) public {
        lent = 1 + (lent % own);
        lend(ann, lent);
        lies = 1 + (lies % 40);
        uint256 lockWei = vault.freeOf(operator) / lies;
        for (uint256 i = 0; i < lies; ++i) {
            VM.prank(address(ledger));
            vault.lock(operator, lockWei);
        }
        uint256 taken = 0;
        for (uint256 i = 0; i < lies; ++i) {
            taken += slash(lockWei);
        }
        same(taken, lies * lockWei, "every lock is there");
        check(own - vault.bondOf(operator) >= taken / 2, "at least half is the liar's own");
    }

    /// @notice Attack: have oneself accused, to get the tokens of those who delegated for one's own. Bounties
    /// are paid of the liar's part alone, so it loses more than half of that part whatever it does.
    function testFuzz_attack_ownAccuser_getsNothingOfOthersTokens(
        uint256 lent,
        uint256 amount
    ) public {
        setParameter(Parameter.BountyBps, 5_000);
        lent = 1 + (lent % own);
        lend(ann, lent);
        amount = amount % (2 * own);
        address[] memory accusers = new address[](1);
        accusers[0] = address(0xACC);
        VM.prank(address(ledger));
        uint256 slashed = vault.slash(operator, amount, accusers);
        uint256 lost = own - vault.bondOf(operator);
        same(token.balanceOf(accusers[0]), lost / 2, "of its own");
        same(slashed, lost + lent - pool().amount, "the rest is theirs");
        checkPool();
    }

    /// @notice A slash hits everybody who has delegated alike, whoever came first, and nobody who comes
    /// later.
    function test_slash_everyHolder_losesAlike() public {
        lend(ann, 300 ether);
        lend(ben, 200 ether);
        slash(300 ether);
        same(worth(ann), 240 ether, "a fifth");
        same(worth(ben), 160 ether, "a fifth");
        lend(cas, 100 ether);
        same(worth(cas), 100 ether, "nothing yet");
        same(worth(ann), 240 ether, "the same");
    }

    /// @notice Attack: ask back just before the slash. What is leaving is hit like what stays.
    function test_attack_undelegateJustBeforeSlash_isSlashed() public {
        lend(ann, 300 ether);
        lend(ben, 200 ether);
        ask(ann, ALL);
        slash(300 ether);
        same(vault.delegationOf(ann).leaving, 240 ether, "a fifth is gone");
        VM.warp(vault.delegationOf(ann).availableAt);
        uint256 held = token.balanceOf(ann);
        VM.prank(ann);
        vault.withdrawDelegated();
        same(token.balanceOf(ann), held + 240 ether, "the exit pays the rest");
        same(worth(ben), 160 ether, "nobody paid for it");
        checkPool();
    }

    /// @notice Attack: an operator does what it can to keep others' tokens. They leave when they like.
    function test_attack_operatorTrapsDelegators_exitSucceeds() public {
        lend(ann, own);
        VM.startPrank(address(ledger));
        vault.lock(operator, vault.freeOf(operator));
        VM.stopPrank();
        VM.startPrank(operator);
        vault.closeDelegations(operator);
        vault.offerOwner(operator, ben);
        vault.requestUnbond(own);
        VM.stopPrank();
        VM.prank(ben);
        vault.acceptOwner(operator);
        uint256 time = VM.getBlockTimestamp();
        ask(ann, ALL);
        same(vault.delegationOf(ann).availableAt, time + UNBOND_DELAY_S, "the delay, no more");
        setParameter(Parameter.UnbondDelayS, 90 days);
        VM.warp(time + UNBOND_DELAY_S);
        VM.prank(ben);
        vault.withdrawOf(operator);
        uint256 held = token.balanceOf(ann);
        VM.prank(ann);
        vault.withdrawDelegated();
        same(token.balanceOf(ann), held + own, "all, though it is locked");
        same(vault.freeOf(operator), 0, "nothing underflows");
    }

    /// @notice Attack: another holder asks, cancels and delegates again and again. Nobody's time changes.
    function test_attack_otherHolders_doNotDelayAnExit() public {
        lend(ann, 300 ether);
        lend(ben, 300 ether);
        ask(ann, ALL);
        uint64 availableAt = vault.delegationOf(ann).availableAt;
        VM.warp(VM.getBlockTimestamp() + 1_000);
        ask(ben, 100 ether);
        VM.prank(ben);
        vault.cancelUndelegate();
        lend(ben, 100 ether);
        ask(ben, 100 ether);
        same(vault.delegationOf(ann).availableAt, availableAt, "as it was");
        VM.warp(availableAt - 1);
        VM.startPrank(ann);
        VM.expectRevert(
            abi.encodeWithSelector(IBondVault.NotYetAvailable.selector, ann, availableAt)
        );
        vault.withdrawDelegated();
        VM.warp(availableAt);
        vault.withdrawDelegated();
        VM.stopPrank();
    }

    /// @notice A second request adds to the first, and the delay begins anew for both.
    function test_requestUndelegate_again_addsUp() public {
        lend(ann, 300 ether);
        ask(ann, 100 ether);
        VM.warp(VM.getBlockTimestamp() + 500);
        ask(ann, 50 ether);
        same(vault.delegationOf(ann).leaving, 150 ether, "both");
        same(vault.delegationOf(ann).availableAt, VM.getBlockTimestamp() + UNBOND_DELAY_S, "anew");
        ask(ann, 151 ether);
        same(
            vault.delegationOf(ann).leaving,
            300 ether,
            "all, where more is asked for than is left"
        );
    }

    /// @notice Who asks for exactly what its shares are worth asks for all of them: none stays behind that
    /// is worth nothing and keeps its holder from another account.
    function test_requestUndelegate_exactWorth_isAll() public {
        lend(ann, 101);
        slash(((own + 101) * 51) / 101 + 1);
        ask(ann, worth(ann));
        VM.warp(vault.delegationOf(ann).availableAt);
        VM.prank(ann);
        vault.withdrawDelegated();
        same(vault.delegationOf(ann).account, address(0), "gone");
        same(pool().amount, 0, "with all of it");
    }

    /// @notice Illegal neighbours of the way out.
    function test_undelegate_illegalNeighbours_areRefused() public {
        VM.startPrank(ann);
        VM.expectRevert(abi.encodeWithSelector(IDelegatedBonds.NothingDelegated.selector, ann));
        vault.requestUndelegate(1);
        VM.expectRevert(abi.encodeWithSelector(IBondVault.NothingPending.selector, ann));
        vault.withdrawDelegated();
        VM.expectRevert(abi.encodeWithSelector(IBondVault.NothingPending.selector, ann));
        vault.cancelUndelegate();
        vault.delegateBond(operator, 10 ether, COMMISSION);
        VM.expectRevert(abi.encodeWithSelector(IBondVault.ZeroAmount.selector));
        vault.requestUndelegate(0);
        vault.requestUndelegate(ALL);
        VM.expectRevert(abi.encodeWithSelector(IDelegatedBonds.NothingDelegated.selector, ann));
        vault.requestUndelegate(1);
        VM.stopPrank();
    }

    /// @notice A reward is everybody's who has delegated, what is leaving included, and not of who comes
    /// after it.
    function test_compound_everyHolder_earnsAlike() public {
        lend(ann, 300 ether);
        lend(ben, 100 ether);
        ask(ben, ALL);
        reward(40 ether);
        same(worth(ann), 330 ether, "a tenth");
        same(worth(ben), 110 ether, "a tenth, until it is gone");
        lend(cas, 44 ether);
        same(worth(cas), 44 ether, "nothing of it");
        leave(cas);
        leave(ben);
        leave(ann);
        same(token.balanceOf(ann), 5_030 ether, "taken out");
        same(token.balanceOf(cas), 5_000 ether, "what it was");
        checkPool();
    }

    /// @notice What of a reward is the delegators': their part of the bonds, less the commission.
    function testFuzz_delegatorsPart_anyReward_isTheFormula(
        uint256 lent,
        uint256 commission,
        uint256 amount
    ) public {
        same(vault.delegatorsPart(operator, 1 ether), 0, "nobody's");
        same(vault.delegatorsPart(other, 1 ether), 0, "never open");
        commission = commission % 5_001;
        lent = 1 ether + (lent % (own - 1 ether));
        amount = amount % 1e29;
        VM.prank(operator);
        vault.setCommission(operator, commission);
        VM.prank(ann);
        vault.delegateBond(operator, lent, commission);
        uint256 part = vault.delegatorsPart(operator, amount);
        uint256 expected = (amount * lent * (10_000 - commission)) / ((own + lent) * 10_000);
        // Above a million times what is delegated the index would be too coarse.
        if (expected / lent < 999_999) same(part, expected, "the formula");
        if (expected / lent >= 1_000_000) same(part, 0, "the operator's");
    }

    /// @notice Rewards come from the distributor alone, and none to a pool without shares.
    function test_compound_strangers_areRefused() public {
        lend(ann, 1 ether);
        VM.expectRevert(
            abi.encodeWithSelector(IDelegatedBonds.NotDistributor.selector, address(this))
        );
        vault.compound(operator, 1);
        VM.expectRevert(
            abi.encodeWithSelector(IDelegatedBonds.NotDistributor.selector, address(this))
        );
        vault.bondEarned(operator, 1);
        VM.prank(address(distributor));
        VM.expectRevert(abi.encodeWithSelector(IDelegatedBonds.NotOpen.selector, other));
        vault.compound(other, 1);
    }

    /// @notice What an account earned may become its own bond.
    function test_bondEarned_addsToTheOwnBond() public {
        token.transfer(address(vault), 7 ether);
        VM.expectEmit(address(vault));
        emit IBondVault.Bonded(operator, 7 ether, own + 7 ether);
        VM.prank(address(distributor));
        vault.bondEarned(operator, 7 ether);
        same(vault.votesOf(operator), own + 7 ether, "its votes");
        checkPool();
    }

    /// @notice Attack: the first holder makes a share dear, so that the next one's tokens buy none. Tokens
    /// that are sent to the vault raise nothing, and no reward raises a share above a million wei.
    function test_attack_dearShares_costTheNextHolderNothing() public {
        lend(ann, 1);
        token.transfer(address(vault), 1_000 ether);
        same(worth(ann), 1, "a gift is nobody's");
        reward(1e6 - 1);
        same(worth(ann), 1e6, "the dearest share there is");
        same(vault.delegatorsPart(operator, 1e30), 0, "no dearer");
        uint256 index = pool().index;
        VM.prank(ben);
        VM.expectRevert(
            abi.encodeWithSelector(
                IDelegatedBonds.IndexTooHigh.selector,
                operator,
                index,
                RAY * 1_000
            )
        );
        vault.delegateBond(operator, 100 ether, COMMISSION);
        leave(ann);
        lend(ben, 100 ether);
        check(vault.delegatorsPart(operator, 1 ether) != 0, "and earns: the pool began anew");
    }

    /// @notice Attack: an operator lets bond of its own wait, ready to leave, to have a larger part of the
    /// rewards without covering anything with it.
    function test_attack_pendingOwnBond_dilutesNobody() public {
        lend(ann, own / 2);
        uint256 part = vault.delegatorsPart(operator, 30 ether);
        net.equip(operator, 9 * own);
        VM.startPrank(operator);
        vault.bond(9 * own, "");
        vault.requestUnbond(9 * own);
        VM.warp(VM.getBlockTimestamp() + UNBOND_DELAY_S);
        VM.stopPrank();
        same(vault.delegatorsPart(operator, 30 ether), part, "as before");
    }

    /// @notice Attack: an operator asks its own bond back for the moment of the claim. Its delegators' part
    /// only grows.
    function testFuzz_attack_ownBondAskedBack_takesNothingFromThem(uint256 amount) public {
        lend(ann, own / 2);
        uint256 part = vault.delegatorsPart(operator, 30 ether);
        VM.prank(operator);
        vault.requestUnbond(1 + (amount % own));
        check(vault.delegatorsPart(operator, 30 ether) >= part, "no less");
    }

    /// @notice Attack: a holder asks back at once and stays, to earn without covering and leave before a
    /// slash. The operator pays for what covers alone, its room is free, and anyone ends a ripe exit.
    function test_attack_ripeExit_earnsNothingAndIsEnded() public {
        lend(ann, own);
        ask(ann, ALL);
        same(vault.delegatorsPart(operator, 30 ether), 0, "covers nothing, earns nothing");
        lend(ben, own);
        VM.prank(cas);
        VM.expectRevert();
        vault.withdrawDelegatedOf(ann);
        VM.warp(VM.getBlockTimestamp() + UNBOND_DELAY_S);
        VM.prank(cas);
        vault.withdrawDelegatedOf(ann);
        same(token.balanceOf(ann), 5_000 ether, "its own, and nobody else's");
        same(vault.delegationOf(ann).amount, 0, "gone");
        VM.expectRevert(abi.encodeWithSelector(IBondVault.NothingPending.selector, ben));
        vault.withdrawDelegatedOf(ben);
    }

    /// @notice Where nearly all is lost nobody enters until who was there has left; then the pool begins
    /// anew, and so it does where all is lost.
    function test_nearlyLost_newcomers_waitForTheOldOnes() public {
        lend(ann, own);
        slash(2 * own - 1e15 + 2);
        check(pool().index < RAY / 1e6, "nearly all");
        VM.prank(operator);
        vault.bond(500 ether, "");
        VM.prank(ben);
        VM.expectRevert(
            abi.encodeWithSelector(
                IDelegatedBonds.NearlyLost.selector,
                operator,
                pool().index,
                RAY / 1e6
            )
        );
        vault.delegateBond(operator, 1 ether, COMMISSION);
        leave(ann);
        same(pool().index, RAY, "anew");
        lend(ben, 1 ether);
        same(worth(ben), 1 ether, "whole");
        slash(2 * own);
        same(worth(ben), 0, "all");
        same(pool().amount, 0, "nothing");
        same(vault.delegatorsPart(operator, 1 ether), 0, "and nothing earns");
        slash(1);
        leave(ben);
        same(vault.delegationOf(ben).account, address(0), "also from nothing");
        VM.prank(operator);
        vault.bond(500 ether, "");
        lend(ben, 1 ether);
        same(worth(ben), 1 ether, "whole");
    }

    /// @notice Whatever comes in, is lost, earned and taken out: what holders have is there, rounding costs
    /// them wei, and the last one leaves nothing behind.
    function testFuzz_pool_anyHistory_coversEveryClaim(uint256 seed) public {
        for (uint256 i = 0; i < 40; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            uint256 dice = seed >> 8;
            address who = holder(dice);
            uint256 amount = (dice >> 16) % 100 ether;
            if (seed % 5 == 0) slash((dice >> 128) % 3 == 0 ? own / 4 : amount);
            else if (seed % 5 == 1 && pool().amount != 0) reward(amount);
            else if (seed % 5 == 2) tryLeave(who, amount);
            else tryLend(who, amount);
            checkPool();
            uint256 claims = worth(ann) + worth(ben) + worth(cas);
            check(claims + 1e9 > pool().amount, "dust");
        }
        for (uint256 i = 0; i < 3; ++i) {
            if (vault.delegationOf(holder(i)).account != address(0)) leave(holder(i));
        }
        same(pool().amount, 0, "nothing stays behind");
        same(pool().leaving, 0, "nothing leaves");
        checkPool();
    }

    function tryLend(address who, uint256 amount) private {
        VM.prank(who);
        try vault.delegateBond(operator, amount, COMMISSION) {} catch {}
    }

    function tryLeave(address who, uint256 amount) private {
        Delegation memory mine = vault.delegationOf(who);
        VM.startPrank(who);
        if (mine.availableAt != 0) {
            if (mine.availableAt > VM.getBlockTimestamp()) VM.warp(mine.availableAt);
            vault.withdrawDelegated();
        } else if (mine.account != address(0) && amount != 0) {
            vault.requestUndelegate(amount);
            uint256 leaving = vault.delegationOf(who).leaving;
            check(leaving >= (amount < mine.amount ? amount : mine.amount), "what was asked for");
            check(leaving <= amount + 1e6 || leaving == mine.amount, "and no more");
        }
        VM.stopPrank();
    }
}
