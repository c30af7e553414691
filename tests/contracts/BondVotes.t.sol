// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IGovernor} from "@openzeppelin/contracts/governance/IGovernor.sol";
import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";

import {IBondVotes} from "../../contracts/interfaces/IBondVotes.sol";
import {Stage} from "./helpers/Stage.sol";
import {VM} from "./helpers/Vm.sol";

interface INoVotes {
    error NoVotes(uint256 proposalId, address voter, uint256 snapshot);
}

/// @notice Bonded tokens vote for their owner: each once, as of the snapshot, and not in the second
/// in which they were bonded. Node 0 has 1,000 tokens bonded, the others none.
contract BondVotesTest is Stage {
    uint256 private constant VOTING_DELAY_S = 10;
    uint256 private constant VOTING_PERIOD_S = 100;
    uint256 private constant UNBOND_DELAY_S = 2_000;
    uint8 private constant FOR = 1;

    IGovernor private governor;
    address private alice; // bonded
    address private bob = address(0xB0B0); // holds tokens
    uint256 private bonded;

    function setUp() public {
        stage(1);
        alice = node(0);
        bonded = net.BOND();
        address timelock = net.deploy(
            "TimelockController",
            abi.encode(60, new address[](0), new address[](1), address(net))
        );
        governor = IGovernor(
            net.deploy(
                "AinurGovernor",
                abi.encode(
                    token,
                    vault,
                    timelock,
                    VOTING_DELAY_S,
                    VOTING_PERIOD_S,
                    1 ether,
                    0,
                    50,
                    address(0),
                    0
                )
            )
        );
        net.equip(bob, 5_000 ether);
        net.pass(1);
    }

    /// @notice Who has delegated nothing proposes and votes with its bond, what is leaving included.
    function test_vote_bondedOnly_countsTheBond() public {
        VM.prank(alice);
        vault.requestUnbond(400 ether);
        uint256 id = propose(alice);
        net.pass(VOTING_DELAY_S + 1);
        VM.prank(alice);
        same(governor.castVote(id, FOR), bonded, "weight");
    }

    /// @notice Tokens delegated to an account and those it has bonded add up, and delegating the
    /// first to somebody else leaves the second with their owner.
    function test_vote_delegation_movesOnlyWhatIsNotBonded() public {
        VM.prank(alice);
        IVotes(address(token)).delegate(bob);
        VM.startPrank(bob);
        IVotes(address(token)).delegate(bob);
        vault.bond(2_000 ether, "");
        VM.stopPrank();
        net.pass(1);
        uint256 then_ = VM.getBlockTimestamp() - 1;
        same(governor.getVotes(alice, then_), bonded, "bonded only");
        uint256 delegated = 3_000 ether + token.balanceOf(alice);
        same(governor.getVotes(bob, then_), delegated + 2_000 ether, "both");
        same(governor.getVotes(address(vault), then_), 0, "the vault itself never");
    }

    /// @notice Attack: borrow, bond and vote in one block. What is bonded in a second counts from the
    /// next one on, for proposing and for voting.
    function test_attack_flashBond_sameBlock_hasNoVote() public {
        uint256 id = propose(alice);
        net.pass(VOTING_DELAY_S + 1);
        uint256 snapshot = governor.proposalSnapshot(id);
        VM.startPrank(bob);
        vault.bond(5_000 ether, "");
        VM.expectRevert(abi.encodeWithSelector(INoVotes.NoVotes.selector, id, bob, snapshot));
        governor.castVote(id, FOR);
        VM.stopPrank();
        (address[] memory targets, uint256[] memory values, bytes[] memory calls) = nothing();
        VM.prank(bob);
        VM.expectPartialRevert(IGovernor.GovernorInsufficientProposerVotes.selector);
        governor.propose(targets, values, calls, "x");
    }

    /// @notice Attack: read votes of a second that is not over, so that they can change afterwards.
    function test_attack_flashBond_runningSecond_isNotTold() public {
        uint256 time = VM.getBlockTimestamp();
        VM.prank(bob);
        vault.bond(5_000 ether, "");
        same(vault.votesOf(bob), 5_000 ether, "now");
        VM.expectRevert(abi.encodeWithSelector(IBondVotes.FutureLookup.selector, time, time));
        vault.pastVotesOf(bob, time);
        VM.expectRevert(abi.encodeWithSelector(IBondVotes.FutureLookup.selector, time + 9, time));
        vault.pastVotesOf(bob, time + 9);
        same(vault.pastVotesOf(bob, time - 1), 0, "before");
        VM.warp(time + 1);
        same(vault.pastVotesOf(bob, time), 5_000 ether, "when it is over");
    }

    /// @notice Attack: unbond, hand the tokens on and vote again. At any snapshot owner and receiver
    /// together have what the tokens are.
    function testFuzz_unbondAndVoteTwice_anySnapshot_countsOnce(
        uint256 payAt,
        uint256 time
    ) public {
        uint256 start = VM.getBlockTimestamp();
        VM.prank(bob);
        IVotes(address(token)).delegate(bob);
        VM.startPrank(alice);
        vault.requestUnbond(bonded);
        payAt = start + UNBOND_DELAY_S + (payAt % 20);
        VM.warp(payAt);
        vault.withdraw();
        token.transfer(bob, bonded);
        VM.stopPrank();
        VM.warp(start + UNBOND_DELAY_S + 100);
        time = start + 1 + (time % (UNBOND_DELAY_S + 50));
        uint256 first = governor.getVotes(alice, time);
        uint256 second = governor.getVotes(bob, time);
        same(first + second, bonded + 5_000 ether, "each token once");
        same(first, time < payAt ? bonded : 0, "until it is paid out");
    }

    /// @notice A slash takes votes with the tokens, from then on and not before.
    function test_slash_votes_fallWithTheBond() public {
        uint256 before = VM.getBlockTimestamp();
        VM.warp(before + 5);
        VM.prank(address(ledger));
        vault.slash(alice, 300 ether, new address[](0));
        same(vault.votesOf(alice), bonded - 300 ether, "now");
        VM.warp(before + 10);
        same(vault.pastVotesOf(alice, before + 4), bonded, "before");
        same(vault.pastVotesOf(alice, before + 5), bonded - 300 ether, "after");
    }

    /// @notice Whatever is bonded, asked back, paid out and slashed, at every second that is over the
    /// votes are the bond of that second.
    function testFuzz_votes_anyHistory_areTheBond(uint256 seed) public {
        uint256[] memory times = new uint256[](24);
        uint256[] memory bonds = new uint256[](24);
        for (uint256 i = 0; i < 24; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            step(seed);
            (times[i], bonds[i]) = (VM.getBlockTimestamp(), vault.bondOf(alice));
            same(vault.votesOf(alice), bonds[i], "now");
            // Some steps share a second.
            VM.warp(times[i] + ((seed >> 8) % 3) * ((seed >> 16) % 900));
        }
        VM.warp(VM.getBlockTimestamp() + 1);
        for (uint256 i = 0; i < 24; ++i) {
            if (i < 23 && times[i + 1] == times[i]) continue;
            same(vault.pastVotesOf(alice, times[i]), bonds[i], "then");
        }
    }

    function step(uint256 dice) private {
        (uint256 pending, uint64 availableAt) = vault.pendingOf(alice);
        uint256 bond = vault.bondOf(alice);
        if (dice % 8 == 0) {
            VM.prank(address(ledger));
            vault.slash(alice, (dice >> 32) % 100 ether, new address[](0));
            return;
        }
        VM.startPrank(alice);
        if (pending != 0 && VM.getBlockTimestamp() >= availableAt) vault.withdraw();
        else if (dice % 8 < 5 || bond == pending) vault.bond(1 + ((dice >> 32) % 50 ether), "");
        else vault.requestUnbond(1 + ((dice >> 32) % (bond - pending)));
        VM.stopPrank();
    }

    function propose(address proposer) private returns (uint256) {
        (address[] memory targets, uint256[] memory values, bytes[] memory calls) = nothing();
        VM.prank(proposer);
        return governor.propose(targets, values, calls, "a change");
    }

    function nothing()
        private
        view
        returns (address[] memory targets, uint256[] memory values, bytes[] memory calls)
    {
        (targets, values, calls) = (new address[](1), new uint256[](1), new bytes[](1));
        targets[0] = address(this);
    }
}
