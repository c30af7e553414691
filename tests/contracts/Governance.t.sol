// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IGovernor} from "@openzeppelin/contracts/governance/IGovernor.sol";
import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";
import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";

import {INetworkParameters} from "../../contracts/interfaces/INetworkParameters.sol";
import {Parameter} from "../../contracts/types/Parameter.sol";
import {Stage} from "./helpers/Stage.sol";
import {VM} from "./helpers/Vm.sol";

interface IStoredProposals {
    function queue(uint256 proposalId) external;
    function execute(uint256 proposalId) external payable;
    function proposalCount() external view returns (uint256);
}

/// @notice One proposal from delegation to its effect, deployed as docs/spec/contracts.md says.
contract GovernanceTest is Stage {
    uint8 private constant AGAINST = 0;
    uint8 private constant FOR = 1;
    bytes32 private constant ADMIN_ROLE = 0;

    IGovernor private governor;
    INetworkParameters private owned;
    address private timelock;
    address private alice = address(0xA11CE);
    address private bob = address(0xB0B0);

    function setUp() public {
        stage(0);
        address[] memory anyone = new address[](1);
        timelock = net.deploy(
            "TimelockController",
            abi.encode(60, new address[](0), anyone, address(net))
        );
        governor = IGovernor(
            net.deploy("AinurGovernor", abi.encode(token, timelock, 10, 100, 1_000 ether, 4, 50))
        );
        owned = INetworkParameters(
            net.deploy("NetworkParameters", abi.encode(timelock, net.defaults()))
        );
        IAccessControl control = IAccessControl(timelock);
        VM.startPrank(address(net));
        control.grantRole(keccak256("PROPOSER_ROLE"), address(governor));
        control.grantRole(keccak256("CANCELLER_ROLE"), address(governor));
        control.renounceRole(ADMIN_ROLE, address(net));
        VM.stopPrank();
        fundVoter(alice, 50_000_000 ether);
        fundVoter(bob, 30_000_000 ether);
        net.pass(1);
    }

    /// @notice Delegate, propose, vote, queue, execute: the parameter has its new value.
    function test_proposal_accepted_changesTheParameter() public {
        uint256 id = propose(
            address(owned),
            abi.encodeCall(INetworkParameters.set, (Parameter.AuditFloorBps, 700))
        );
        same(IStoredProposals(address(governor)).proposalCount(), 1, "stored");
        expectState(id, IGovernor.ProposalState.Pending);
        net.pass(11);
        cast(alice, id, FOR);
        cast(bob, id, AGAINST);
        expectState(id, IGovernor.ProposalState.Active);
        net.pass(100);
        expectState(id, IGovernor.ProposalState.Succeeded);
        IStoredProposals(address(governor)).queue(id);
        expectState(id, IGovernor.ProposalState.Queued);
        VM.expectRevert();
        IStoredProposals(address(governor)).execute(id);
        net.pass(61);
        VM.prank(bob);
        IStoredProposals(address(governor)).execute(id);
        expectState(id, IGovernor.ProposalState.Executed);
        same(owned.get(Parameter.AuditFloorBps), 700, "changed");
    }

    /// @notice No vote can lift a parameter over its hard bound.
    function test_proposal_outOfBounds_cannotExecute() public {
        uint256 id = propose(
            address(owned),
            abi.encodeCall(INetworkParameters.set, (Parameter.BountyBps, 5_001))
        );
        net.pass(11);
        cast(alice, id, FOR);
        net.pass(100);
        IStoredProposals(address(governor)).queue(id);
        net.pass(61);
        VM.expectRevert(
            abi.encodeWithSelector(
                INetworkParameters.OutOfBounds.selector,
                Parameter.BountyBps,
                5_001,
                0,
                5_000
            )
        );
        IStoredProposals(address(governor)).execute(id);
    }

    /// @notice Without quorum, or with more votes against, nothing happens.
    function test_proposal_rejectedOrWithoutQuorum_isDefeated() public {
        uint256 id = propose(
            address(owned),
            abi.encodeCall(INetworkParameters.set, (Parameter.LeaseS, 60))
        );
        net.pass(11);
        cast(bob, id, FOR);
        net.pass(100);
        expectState(id, IGovernor.ProposalState.Defeated);
        VM.expectRevert();
        IStoredProposals(address(governor)).queue(id);
        id = propose(
            address(owned),
            abi.encodeCall(INetworkParameters.set, (Parameter.LeaseS, 61))
        );
        net.pass(11);
        cast(bob, id, FOR);
        cast(alice, id, AGAINST);
        net.pass(100);
        expectState(id, IGovernor.ProposalState.Defeated);
    }

    /// @notice A quorum reached at the last second leaves time to answer.
    function test_proposal_lateQuorum_extendsTheVote() public {
        uint256 id = propose(
            address(owned),
            abi.encodeCall(INetworkParameters.set, (Parameter.LeaseS, 60))
        );
        uint256 end = governor.proposalDeadline(id);
        VM.warp(end);
        cast(alice, id, FOR);
        same(governor.proposalDeadline(id), end + 50, "extended");
    }

    /// @notice Votes bought after a proposal's snapshot count for nothing; tokens in the vault vote
    /// for nobody.
    function test_votes_afterTheSnapshot_doNotCount() public {
        uint256 id = propose(
            address(owned),
            abi.encodeCall(INetworkParameters.set, (Parameter.LeaseS, 60))
        );
        net.pass(11);
        VM.prank(alice);
        token.transfer(bob, 50_000_000 ether);
        same(governor.getVotes(bob, governor.proposalSnapshot(id)), 30_000_000 ether, "snapshot");
        VM.startPrank(bob);
        token.approve(address(vault), 1_000 ether);
        vault.bond(1_000 ether, "p");
        VM.stopPrank();
        same(IVotes(address(token)).getVotes(bob), 79_999_000 ether, "bonded tokens do not vote");
        same(IVotes(address(token)).getVotes(address(vault)), 0, "for nobody");
    }

    /// @notice After deployment nobody but the timelock itself has a role to give, and nobody but
    /// it sets parameters.
    function test_roles_deployer_hasNone() public {
        AccessControl control = AccessControl(timelock);
        check(!control.hasRole(ADMIN_ROLE, address(net)), "no admin");
        check(control.hasRole(ADMIN_ROLE, timelock), "but the timelock");
        same(Ownable(address(owned)).owner(), timelock, "owner");
        VM.prank(address(net));
        VM.expectRevert(
            abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(net))
        );
        owned.set(Parameter.LeaseS, 60);
        VM.prank(alice);
        VM.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, alice));
        owned.set(Parameter.LeaseS, 60);
    }

    /// @notice Who has too few votes proposes nothing.
    function test_propose_belowThreshold_isRefused() public {
        (address[] memory targets, uint256[] memory values, bytes[] memory calls) = call(
            address(owned),
            abi.encodeCall(INetworkParameters.set, (Parameter.LeaseS, 60))
        );
        VM.prank(address(0xCAFE));
        VM.expectRevert(
            abi.encodeWithSelector(
                IGovernor.GovernorInsufficientProposerVotes.selector,
                address(0xCAFE),
                0,
                1_000 ether
            )
        );
        governor.propose(targets, values, calls, "x");
    }

    function fundVoter(address voter, uint256 amount) private {
        net.equip(voter, amount);
        VM.prank(voter);
        IVotes(address(token)).delegate(voter);
    }

    function propose(address target, bytes memory data) private returns (uint256) {
        (address[] memory targets, uint256[] memory values, bytes[] memory calls) = call(
            target,
            data
        );
        VM.prank(alice);
        return governor.propose(targets, values, calls, "a change");
    }

    function call(
        address target,
        bytes memory data
    )
        private
        pure
        returns (address[] memory targets, uint256[] memory values, bytes[] memory calls)
    {
        (targets, values, calls) = (new address[](1), new uint256[](1), new bytes[](1));
        (targets[0], calls[0]) = (target, data);
    }

    function cast(address voter, uint256 id, uint8 support) private {
        VM.prank(voter);
        governor.castVote(id, support);
    }

    function expectState(uint256 id, IGovernor.ProposalState expected) private view {
        same(uint256(governor.state(id)), uint256(expected), "state");
    }
}
