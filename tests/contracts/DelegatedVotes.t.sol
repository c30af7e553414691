// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";

import {IBondVotes} from "../../contracts/interfaces/IBondVotes.sol";
import {LendingStage} from "./helpers/LendingStage.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice Delegated tokens vote for their holder, never for the operator: each once, at what they were
/// worth at the snapshot.
contract DelegatedVotesTest is LendingStage {
    function setUp() public {
        stageLending();
        VM.prank(address(net));
        token.transfer(address(this), 100_000 ether);
    }

    /// @notice The holder votes with what it has delegated and with what it has bonded; the operator with
    /// its own bond.
    function test_votes_delegated_areTheHoldersOwn() public {
        lend(ann, 300 ether);
        same(vault.votesOf(ann), 300 ether, "delegated");
        VM.prank(ann);
        vault.bond(50 ether, "");
        same(vault.votesOf(ann), 350 ether, "and bonded");
        same(vault.votesOf(operator), own, "not the operator's");
        uint256 time = VM.getBlockTimestamp();
        VM.warp(time + 1);
        same(vault.pastVotesOf(ann, time), 350 ether, "then");
        same(vault.pastVotesOf(operator, time), own, "then");
        leave(ann);
        same(vault.votesOf(ann), 50 ether, "bonded");
        VM.warp(VM.getBlockTimestamp() + 1);
        same(vault.pastVotesOf(ann, time), 350 ether, "still then");
        same(vault.pastVotesOf(ann, VM.getBlockTimestamp() - 1), 50 ether, "when it was over");
        VM.prank(ann);
        vault.requestUnbond(50 ether);
        VM.warp(VM.getBlockTimestamp() + UNBOND_DELAY_S);
        VM.prank(ann);
        vault.withdraw();
        same(vault.votesOf(ann), 0, "nothing");
    }

    /// @notice What is leaving votes until it is gone, and all change hands with the operator's owner but
    /// what is delegated.
    function test_votes_leavingOrOwnerChanged_areTheHolders() public {
        lend(ann, 300 ether);
        ask(ann, ALL);
        same(vault.votesOf(ann), 300 ether, "until it is gone");
        VM.prank(operator);
        vault.offerOwner(operator, ben);
        VM.prank(ben);
        vault.acceptOwner(operator);
        same(vault.votesOf(ben), own, "the own bond");
        same(vault.votesOf(ann), 300 ether, "not this");
        lend(ben, 200 ether);
        same(vault.votesOf(ben), own + 200 ether, "an owner may delegate to its own account");
    }

    /// @notice A slash takes votes, a reward gives some, from its second on and not before.
    function test_votes_followTheIndex() public {
        lend(ann, 300 ether);
        lend(ben, 200 ether);
        uint256 start = VM.getBlockTimestamp();
        VM.warp(start + 5);
        slash(300 ether);
        same(vault.votesOf(ann), 240 ether, "a fifth less");
        VM.warp(start + 10);
        reward(40 ether);
        same(vault.votesOf(ann), 264 ether, "a tenth more");
        VM.warp(start + 20);
        same(vault.pastVotesOf(ann, start + 4), 300 ether, "before");
        same(vault.pastVotesOf(ann, start + 5), 240 ether, "slashed");
        same(vault.pastVotesOf(ann, start + 10), 264 ether, "earned");
        same(vault.pastVotesOf(ben, start + 19), 176 ether, "everybody alike");
    }

    /// @notice Attack: borrow, delegate and vote in one block. What is delegated in a second counts from the
    /// next one on, and leaves only after the delay.
    function test_attack_flashDelegation_sameBlock_hasNoVote() public {
        uint256 time = VM.getBlockTimestamp();
        lend(ann, own);
        same(vault.pastVotesOf(ann, time - 1), 0, "before");
        VM.expectRevert(abi.encodeWithSelector(IBondVotes.FutureLookup.selector, time, time));
        vault.pastVotesOf(ann, time);
    }

    /// @notice Attack: delegate to one account, leave, delegate to another, hand the tokens on. At every
    /// second that is over each token has one vote.
    function testFuzz_attack_moveBetweenAccounts_votesOnce(uint256 seed) public {
        VM.prank(other);
        vault.setCommission(other, 0);
        for (uint256 i = 0; i < 2; ++i) {
            address to = holder(i);
            VM.prank(to);
            IVotes(address(token)).delegate(to);
        }
        uint256[] memory times = new uint256[](24);
        for (uint256 i = 0; i < 24; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            turn(holder(seed % 2), seed >> 8);
            times[i] = VM.getBlockTimestamp();
            same(votesNow(ann) + votesNow(ben), 10_000 ether, "now");
            // Some turns share a second.
            VM.warp(times[i] + ((seed >> 16) % 3) * ((seed >> 24) % 900));
        }
        VM.warp(VM.getBlockTimestamp() + 1);
        for (uint256 i = 0; i < 24; ++i) {
            uint256 sum = votesThen(ann, times[i]) + votesThen(ben, times[i]);
            same(sum, 10_000 ether, "then");
        }
    }

    function turn(address who, uint256 dice) private {
        uint256 amount = 1 + ((dice >> 32) % 200 ether);
        uint64 availableAt = vault.delegationOf(who).availableAt;
        VM.startPrank(who);
        if (dice % 5 == 0) token.transfer(holder(who == ann ? 1 : 0), amount);
        else if (availableAt != 0 && VM.getBlockTimestamp() >= availableAt)
            vault.withdrawDelegated();
        else if (dice % 5 == 1) try vault.requestUndelegate(ALL) {} catch {}
        else if (dice % 5 == 2) vault.bond(amount, "");
        else try vault.delegateBond(dice % 2 == 0 ? operator : other, amount, 10_000) {} catch {}
        VM.stopPrank();
    }

    function votesNow(address who) private view returns (uint256) {
        return vault.votesOf(who) + IVotes(address(token)).getVotes(who);
    }

    function votesThen(address who, uint256 time) private view returns (uint256) {
        IVotes votes = IVotes(address(token));
        return vault.pastVotesOf(who, time) + votes.getPastVotes(who, time);
    }

    /// @notice Whatever happens to a pool, at every second that is over a holder votes with what its tokens
    /// were worth.
    function testFuzz_votes_anyHistory_areTheWorth(uint256 seed) public {
        uint256[] memory times = new uint256[](24);
        uint256[] memory held = new uint256[](24);
        lend(ben, 100 ether);
        for (uint256 i = 0; i < 24; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            step(seed);
            (times[i], held[i]) = (VM.getBlockTimestamp(), worth(ann));
            same(vault.votesOf(ann), held[i], "now");
            VM.warp(times[i] + ((seed >> 8) % 3) * ((seed >> 16) % 900));
        }
        VM.warp(VM.getBlockTimestamp() + 1);
        for (uint256 i = 0; i < 24; ++i) {
            if (i < 23 && times[i + 1] == times[i]) continue;
            same(vault.pastVotesOf(ann, times[i]), held[i], "then");
        }
    }

    function step(uint256 dice) private {
        uint256 amount = 1 + ((dice >> 32) % 60 ether);
        if (dice % 6 == 0) slash(amount);
        else if (dice % 6 == 1) reward(amount);
        else if (dice % 6 == 2 && worth(ann) != 0) leave(ann);
        else {
            VM.prank(ann);
            try vault.delegateBond(operator, amount, COMMISSION) {} catch {}
        }
    }
}
