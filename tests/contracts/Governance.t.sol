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
    error BadGuardian(address guardian, uint48 guardianS, uint48 max);
    error NoVotes(uint256 proposalId, address voter, uint256 snapshot);

    function queue(uint256 proposalId) external;
    function execute(uint256 proposalId) external payable;
    function cancel(uint256 proposalId) external;
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
    address private guardian = address(0x6A4D);
    uint48 private constant GUARDIAN_S = 1_000;

    function setUp() public {
        stage(0);
        address[] memory anyone = new address[](1);
        timelock = net.deploy(
            "TimelockController",
            abi.encode(60, new address[](0), anyone, address(net))
        );
        governor = IGovernor(
            net.deploy(
                "AinurGovernor",
                abi.encode(
                    token,
                    vault,
                    timelock,
                    10,
                    100,
                    1_000 ether,
                    4,
                    50,
                    guardian,
                    GUARDIAN_S
                )
            )
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

    /// @notice Votes bought after a proposal's snapshot count for nothing.
    function test_votes_afterTheSnapshot_doNotCount() public {
        uint256 id = propose(
            address(owned),
            abi.encodeCall(INetworkParameters.set, (Parameter.LeaseS, 60))
        );
        net.pass(11);
        VM.prank(alice);
        token.transfer(bob, 50_000_000 ether);
        same(governor.getVotes(bob, governor.proposalSnapshot(id)), 30_000_000 ether, "snapshot");
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

    /// @notice The guardian ends a proposal that has passed and waits; it runs no more.
    function test_guardian_queuedProposal_isVetoed() public {
        uint256 id = queued();
        VM.prank(guardian);
        IStoredProposals(address(governor)).cancel(id);
        expectState(id, IGovernor.ProposalState.Canceled);
        net.pass(61);
        VM.expectRevert();
        IStoredProposals(address(governor)).execute(id);
    }

    /// @notice From the day on that is fixed at deployment a veto is refused.
    function test_guardian_afterItsTime_cannotVeto() public {
        net.pass(GUARDIAN_S);
        uint256 id = queued();
        VM.prank(guardian);
        VM.expectRevert(
            abi.encodeWithSelector(IGovernor.GovernorUnableToCancel.selector, id, guardian)
        );
        IStoredProposals(address(governor)).cancel(id);
        net.pass(61);
        IStoredProposals(address(governor)).execute(id);
        expectState(id, IGovernor.ProposalState.Executed);
    }

    /// @notice Nobody else vetoes: a proposer may withdraw its own proposal before voting begins.
    function test_cancel_byOthers_isTheProposersBeforeTheVoteOnly() public {
        uint256 id = propose(
            address(owned),
            abi.encodeCall(INetworkParameters.set, (Parameter.LeaseS, 60))
        );
        VM.prank(bob);
        VM.expectRevert(abi.encodeWithSelector(IGovernor.GovernorUnableToCancel.selector, id, bob));
        IStoredProposals(address(governor)).cancel(id);
        VM.prank(alice);
        IStoredProposals(address(governor)).cancel(id);
        expectState(id, IGovernor.ProposalState.Canceled);
        id = queued();
        VM.prank(alice);
        VM.expectRevert(
            abi.encodeWithSelector(IGovernor.GovernorUnableToCancel.selector, id, alice)
        );
        IStoredProposals(address(governor)).cancel(id);
    }

    /// @notice A guardian without an end, or an end without a guardian, is not deployed.
    function test_guardian_badTerm_isRefused() public {
        deployGuarded(guardian, 730 days + 1);
        uint48 longest = 730 days;
        net.deploy(
            "AinurGovernor",
            abi.encode(token, vault, timelock, 10, 100, 1_000 ether, 4, 50, guardian, longest)
        );
        deployGuarded(guardian, 0);
        deployGuarded(address(0), 1);
    }

    /// @notice A vote without weight is refused, and so is one by signature.
    function test_vote_withoutWeight_isRefused() public {
        uint256 id = propose(
            address(owned),
            abi.encodeCall(INetworkParameters.set, (Parameter.LeaseS, 60))
        );
        uint256 snapshot = governor.proposalSnapshot(id);
        net.pass(11);
        VM.prank(guardian);
        VM.expectRevert(
            abi.encodeWithSelector(IStoredProposals.NoVotes.selector, id, guardian, snapshot)
        );
        governor.castVote(id, FOR);
    }

    /// @notice Anyone may hand in a ballot that its voter signed; only once, and only as signed.
    function test_vote_bySignature_countsOnce() public {
        uint256 key = 0x5EED;
        address voter = VM.addr(key);
        fundVoter(voter, 5_000_000 ether);
        net.pass(1);
        uint256 id = propose(
            address(owned),
            abi.encodeCall(INetworkParameters.set, (Parameter.LeaseS, 60))
        );
        net.pass(11);
        bytes memory signature = ballot(key, voter, id, FOR);
        VM.prank(bob);
        VM.expectRevert();
        governor.castVoteBySig(id, AGAINST, voter, signature);
        VM.prank(bob);
        same(governor.castVoteBySig(id, FOR, voter, signature), 5_000_000 ether, "weight");
        VM.expectRevert();
        governor.castVoteBySig(id, FOR, voter, signature);
    }

    function ballot(
        uint256 key,
        address voter,
        uint256 id,
        uint8 support
    ) private view returns (bytes memory) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
                ),
                keccak256("Ainur Governor"),
                keccak256("1"),
                block.chainid,
                governor
            )
        );
        bytes32 typehash = keccak256(
            "Ballot(uint256 proposalId,uint8 support,address voter,uint256 nonce)"
        );
        bytes32 body = keccak256(abi.encode(typehash, id, support, voter, 0));
        (uint8 v, bytes32 r, bytes32 s) = VM.sign(
            key,
            keccak256(abi.encodePacked(hex"1901", domain, body))
        );
        return abi.encodePacked(r, s, v);
    }

    function deployGuarded(address guardian_, uint48 guardianS) private {
        bytes memory code = bytes.concat(
            VM.getCode("AinurGovernor"),
            abi.encode(token, vault, timelock, 10, 100, 1_000 ether, 4, 50, guardian_, guardianS)
        );
        address deployed;
        assembly ("memory-safe") {
            deployed := create(0, add(code, 32), mload(code))
        }
        same(deployed, address(0), "refused");
    }

    function queued() private returns (uint256 id) {
        id = propose(
            address(owned),
            abi.encodeCall(INetworkParameters.set, (Parameter.LeaseS, 77))
        );
        net.pass(11);
        cast(alice, id, FOR);
        net.pass(100);
        IStoredProposals(address(governor)).queue(id);
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
