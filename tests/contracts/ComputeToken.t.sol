// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {IERC5805} from "@openzeppelin/contracts/interfaces/IERC5805.sol";

import {Stage} from "./helpers/Stage.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice Supply, clock, permit.
contract ComputeTokenTest is Stage {
    bytes32 private constant PERMIT_TYPEHASH = keccak256(
        "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
    );

    function setUp() public {
        stage(1);
    }

    /// @notice The name, and the supply that only shrinks.
    function test_token_burn_shrinksTheSupply() public {
        same(
            keccak256(bytes(IERC20Metadata(address(token)).name())),
            keccak256("Ainur Compute"),
            "name"
        );
        same(keccak256(bytes(IERC20Metadata(address(token)).symbol())), keccak256("AIN"), "symbol");
        same(token.totalSupply(), net.SUPPLY(), "minted once");
        VM.prank(submitter);
        ERC20Burnable(address(token)).burn(5);
        same(token.totalSupply(), net.SUPPLY() - 5, "burned");
    }

    /// @notice Votes go by timestamps.
    function test_token_clock_isTheTimestamp() public {
        net.pass(1_234);
        same(IERC5805(address(token)).clock(), VM.getBlockTimestamp(), "clock");
        same(
            keccak256(bytes(IERC5805(address(token)).CLOCK_MODE())),
            keccak256("mode=timestamp"),
            "mode"
        );
        VM.prank(submitter);
        IERC5805(address(token)).delegate(submitter);
        uint256 then = VM.getBlockTimestamp();
        net.pass(10);
        same(IERC5805(address(token)).getPastVotes(submitter, then), 1_000_000 ether, "past votes");
    }

    /// @notice Tokens that are borrowed, delegated and given back within one second, the snapshot's own
    /// even, leave no weight there.
    function test_attack_flashLoanVote_leavesNoWeight() public {
        (address thief, uint256 snapshot) = (address(0xBAD), VM.getBlockTimestamp());
        VM.prank(thief);
        IERC5805(address(token)).delegate(thief);
        VM.prank(submitter);
        token.transfer(thief, 900_000 ether);
        same(IERC5805(address(token)).getVotes(thief), 900_000 ether, "for a moment");
        VM.prank(thief);
        token.transfer(submitter, 900_000 ether);
        net.pass(1);
        same(IERC5805(address(token)).getPastVotes(thief, snapshot), 0, "not at the snapshot");
    }

    /// @notice A permit moves an allowance once.
    function test_token_permit_worksOnce() public {
        (address owner, uint256 deadline) = (node(0), VM.getBlockTimestamp() + 10);
        bytes32 content = keccak256(abi.encode(PERMIT_TYPEHASH, owner, submitter, 7, 0, deadline));
        bytes32 domain = IERC20Permit(address(token)).DOMAIN_SEPARATOR();
        (uint8 v, bytes32 r, bytes32 s) = VM.sign(
            net.keyOf(owner),
            keccak256(abi.encodePacked("\x19\x01", domain, content))
        );
        IERC20Permit(address(token)).permit(owner, submitter, 7, deadline, v, r, s);
        same(token.allowance(owner, submitter), 7, "allowed");
        same(IERC20Permit(address(token)).nonces(owner), 1, "counted");
        VM.expectRevert();
        IERC20Permit(address(token)).permit(owner, submitter, 7, deadline, v, r, s);
    }
}
