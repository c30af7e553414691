// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBondVault} from "../../contracts/interfaces/IBondVault.sol";
import {Parameter} from "../../contracts/types/Parameter.sol";
import {Stage} from "./helpers/Stage.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice Bonds, exits, slashing, and the draw of active nodes.
contract BondVaultTest is Stage {
    address private alice;

    function setUp() public {
        stage(4);
        alice = node(1);
    }

    /// @notice Bonding adds up and sets the libp2p identity.
    function test_bond_addsUpAndSetsPeerId() public {
        VM.prank(alice);
        vault.bond(5 ether, "another");
        same(vault.bondOf(alice), net.BOND() + 5 ether, "bond");
        same(keccak256(vault.peerIdOf(alice)), keccak256("another"), "peer id");
        VM.prank(alice);
        vault.bond(1, "");
        same(keccak256(vault.peerIdOf(alice)), keccak256("another"), "kept");
    }

    /// @notice Zero amounts and unbounded identities are refused.
    function test_bond_illegalNeighbours_areRefused() public {
        VM.startPrank(alice);
        VM.expectRevert(abi.encodeWithSelector(IBondVault.ZeroAmount.selector));
        vault.bond(0, "p");
        VM.expectRevert(abi.encodeWithSelector(IBondVault.ZeroAmount.selector));
        vault.requestUnbond(0);
        VM.expectRevert(abi.encodeWithSelector(IBondVault.BadPeerId.selector, 65, 64));
        vault.setPeerId(new bytes(65));
        VM.expectRevert(abi.encodeWithSelector(IBondVault.BadPeerId.selector, 0, 64));
        vault.setPeerId("");
        VM.expectRevert(abi.encodeWithSelector(IBondVault.NothingPending.selector, alice));
        vault.withdraw();
        VM.expectRevert(abi.encodeWithSelector(IBondVault.NothingPending.selector, alice));
        vault.cancelUnbond();
        uint256 bonded = vault.bondOf(alice);
        VM.expectRevert(
            abi.encodeWithSelector(IBondVault.InsufficientBond.selector, alice, bonded + 1, bonded)
        );
        vault.requestUnbond(bonded + 1);
        VM.stopPrank();
    }

    /// @notice An exit takes its delay to the second, and what is leaving does not count.
    function test_withdraw_afterDelay_paysOut() public {
        VM.startPrank(alice);
        vault.requestUnbond(950 ether);
        check(!vault.isActive(alice), "inactive at once");
        same(vault.activeCount(), 3, "off the list");
        (, uint64 availableAt) = vault.pendingOf(alice);
        same(availableAt, VM.getBlockTimestamp() + 2_000, "delay");
        VM.warp(availableAt - 1);
        VM.expectRevert(
            abi.encodeWithSelector(IBondVault.NotYetAvailable.selector, alice, availableAt)
        );
        vault.withdraw();
        VM.warp(availableAt);
        uint256 wealth = token.balanceOf(alice);
        vault.withdraw();
        (, availableAt) = vault.pendingOf(alice);
        same(availableAt, 0, "nothing is awaited");
        same(token.balanceOf(alice), wealth + 950 ether, "paid");
        same(vault.bondOf(alice), 50 ether, "rest");
        VM.stopPrank();
    }

    /// @notice A withdrawal that is called off counts again.
    function test_cancelUnbond_pending_countsAgain() public {
        VM.startPrank(alice);
        vault.requestUnbond(950 ether);
        vault.cancelUnbond();
        VM.stopPrank();
        check(vault.isActive(alice), "active");
        same(vault.activeCount(), 4, "on the list");
    }

    /// @notice What is leaving can still be slashed, and slashed = burned + bounty, whatever the
    /// amounts.
    function testFuzz_slash_anyAmount_conservesTokens(
        uint256 amount,
        uint256 pending,
        uint8 sharers
    ) public {
        pending = 1 + (pending % net.BOND());
        amount = amount % (2 * net.BOND());
        VM.prank(alice);
        vault.requestUnbond(pending);
        address[] memory to = new address[](sharers % 17);
        for (uint256 i = 0; i < to.length; ++i) {
            to[i] = address(uint160(0x1000 + i));
        }
        (uint256 supply, uint256 bonded, uint256 held) = (
            token.totalSupply(),
            vault.bondOf(alice),
            token.balanceOf(address(vault))
        );
        VM.prank(address(ledger));
        uint256 slashed = vault.slash(alice, amount, to);
        same(slashed, amount < bonded ? amount : bonded, "taken");
        same(vault.bondOf(alice), bonded - slashed, "bond");
        (uint256 left, ) = vault.pendingOf(alice);
        check(left <= vault.bondOf(alice), "pending is covered");
        uint256 bounty = 0;
        for (uint256 i = 0; i < to.length; ++i) {
            bounty += token.balanceOf(to[i]);
        }
        check(bounty <= (slashed * 4_000) / 10_000, "bounty is bounded");
        check(
            to.length == 0 || bounty + to.length > (slashed * 4_000) / 10_000,
            "and shared out but for dust"
        );
        same(supply - token.totalSupply() + bounty, slashed, "slashed = burned + bounty");
        same(token.balanceOf(address(vault)), held - slashed, "left the vault");
    }

    /// @notice Only the ledger slashes, and its seat is given once, by the deployer.
    function test_seat_strangers_areRefused() public {
        VM.expectRevert(abi.encodeWithSelector(IBondVault.NotLedger.selector, address(this)));
        vault.slash(alice, 1, new address[](0));
        VM.expectRevert(abi.encodeWithSelector(IBondVault.NotDeployer.selector, address(this)));
        vault.bind(address(this), address(this));
        VM.prank(address(net));
        VM.expectRevert(
            abi.encodeWithSelector(IBondVault.BadBinding.selector, address(this), address(this))
        );
        vault.bind(address(this), address(this));
    }

    /// @notice After a change of the minimum, refresh brings the list into line.
    function test_refresh_minimumRaised_takesOffTheList() public {
        setParameter(Parameter.MinBondWei, net.BOND() + 1);
        check(!vault.isActive(alice), "inactive");
        same(vault.activeCount(), 4, "still listed");
        same(
            vault.draw("seed", new address[](0), VM.getBlockNumber()),
            address(0),
            "but never drawn"
        );
        vault.refresh(alice);
        same(vault.activeCount(), 3, "trimmed");
        setParameter(Parameter.MinBondWei, 1 ether);
        vault.refresh(alice);
        same(vault.activeCount(), 4, "back");
    }

    /// @notice The list holds every active account once, whatever joins and leaves.
    function testFuzz_list_anyExits_staysConsistent(uint256 moves) public {
        for (uint256 i = 0; i < 32; ++i) {
            address account = node((moves >> (2 * i)) % 4);
            (uint256 pending, ) = vault.pendingOf(account);
            VM.prank(account);
            if (pending == 0) vault.requestUnbond(950 ether);
            else vault.cancelUnbond();
        }
        uint256 active = 0;
        for (uint256 i = 0; i < 4; ++i) {
            bool listed = false;
            for (uint256 j = 0; j < vault.activeCount(); ++j) {
                if (vault.activeAt(j) != node(i)) continue;
                check(!listed, "once");
                listed = true;
            }
            check(listed == vault.isActive(node(i)), "listed if active");
            if (listed) ++active;
        }
        same(active, vault.activeCount(), "nobody else");
    }

    /// @notice A draw finds an eligible account if there is one, and never an excluded one.
    function testFuzz_draw_exclusions_areKept(bytes32 seed, uint8 mask) public view {
        address[] memory excluded = new address[](4);
        for (uint256 i = 0; i < 4; ++i) {
            if (mask & (1 << i) != 0) excluded[i] = node(i);
        }
        address drawn = vault.draw(seed, excluded, VM.getBlockNumber());
        check((drawn == address(0)) == (mask & 15 == 15), "found if there is one");
        for (uint256 i = 0; i < 4; ++i) {
            check(drawn == address(0) || drawn != excluded[i], "not excluded");
        }
    }

    /// @notice An empty list has nobody; the only one who is not excluded is found whatever the seed,
    /// also where chance alone would miss it.
    function test_draw_noneOrOneOfMany_isFound() public {
        stage(0);
        same(vault.draw(keccak256("s"), new address[](0), VM.getBlockNumber()), address(0), "none");
        stage(24);
        address[] memory excluded = new address[](23);
        for (uint256 i = 0; i < 23; ++i) {
            excluded[i] = node(i);
        }
        for (uint256 i = 0; i < 8; ++i) {
            same(
                vault.draw(keccak256(abi.encode(i)), excluded, VM.getBlockNumber()),
                node(23),
                "it"
            );
        }
    }

    /// @notice drawMany gives different accounts, and all there are if asked for more.
    function testFuzz_drawMany_accounts_differ(bytes32 seed) public view {
        address[] memory excluded = new address[](1);
        excluded[0] = alice;
        address[] memory drawn = vault.drawMany(seed, excluded, VM.getBlockNumber(), 5);
        same(drawn.length, 3, "all there are");
        check(drawn[0] != drawn[1] && drawn[1] != drawn[2] && drawn[0] != drawn[2], "different");
        check(drawn[0] != alice && drawn[1] != alice && drawn[2] != alice, "not excluded");
    }

    /// @notice Among the eligible the draw is uniform: 4,000 draws of 3, five standard deviations.
    function test_draw_manySeeds_isUniform() public view {
        address[] memory excluded = new address[](1);
        excluded[0] = alice;
        uint256[4] memory hits;
        for (uint256 i = 0; i < 4_000; ++i) {
            address drawn = vault.draw(keccak256(abi.encode(i)), excluded, VM.getBlockNumber());
            for (uint256 j = 0; j < 4; ++j) {
                if (drawn == node(j)) ++hits[j];
            }
        }
        same(hits[1], 0, "excluded");
        for (uint256 j = 0; j < 4; ++j) {
            check(j == 1 || (hits[j] > 1_333 - 150 && hits[j] < 1_333 + 150), "uniform");
        }
    }
}
