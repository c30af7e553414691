// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Stage} from "./helpers/Stage.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice The list that auditors and jurors are drawn from: nobody moves another's place.
contract ActiveListTest is Stage {
    uint256 private constant NODES = 12;
    /// @dev Nodes from here on belong to one owner, who comes and goes.
    uint256 private constant OWNED = 6;

    function setUp() public {
        stage(NODES);
    }

    /// @notice Once the seed is known, an owner of many accounts gets no other honest auditor, nor one of
    /// its own for an honest one, by taking accounts out, bringing them back and making new ones.
    function testFuzz_attack_comingAndGoing_changesNoDraw(
        bytes32 seed,
        uint256 moves,
        uint256 worker
    ) public {
        address[] memory excluded = new address[](2);
        excluded[0] = node(worker % NODES);
        excluded[1] = node((worker / NODES) % NODES);
        uint256 drawBlock = VM.getBlockNumber();
        address drawn = vault.draw(seed, excluded, drawBlock);
        net.nextBlock();
        for (uint256 i = 0; i < 24; ++i) {
            uint256 dice = moves >> (10 * i);
            if (dice % 8 == 7) net.join(address(uint160(0xbeef0000 + i)));
            else _move(node(OWNED + ((dice >> 3) % (NODES - OWNED))), drawn);
            same(vault.draw(seed, excluded, drawBlock), drawn, "the same");
        }
    }

    /// @notice Whoever leaves is not drawn; its place stays where it is, and is the next one's.
    function test_place_ofWhoLeft_isTheNextOnes() public {
        same(vault.placeCount(), NODES, "places");
        address leaver = node(3);
        VM.prank(leaver);
        vault.requestUnbond(950 ether);
        same(vault.activeAt(3), address(0), "vacant");
        same(vault.activeAt(NODES - 1), node(NODES - 1), "the last one stays");
        same(vault.activeCount(), NODES - 1, "one less");
        net.join(address(0xbeef));
        same(vault.activeAt(3), address(0xbeef), "taken");
        VM.prank(leaver);
        vault.cancelUnbond();
        same(vault.activeAt(NODES), leaver, "a place of its own");
        same(vault.placeCount(), NODES + 1, "and one more");
        same(vault.activeCount(), NODES + 1, "all");
    }

    /// @notice Who came after the draw block is not eligible, though it has the place of one who was.
    function testFuzz_draw_whoCameLater_isNot(bytes32 seed) public {
        uint256 drawBlock = VM.getBlockNumber();
        net.nextBlock();
        for (uint256 i = 0; i < NODES - 1; ++i) {
            VM.prank(node(i));
            vault.requestUnbond(950 ether);
            net.join(address(uint160(0xbeef0000 + i)));
        }
        same(vault.draw(seed, new address[](0), drawBlock), node(NODES - 1), "the one who stayed");
    }

    /// @notice Draws begin with the block after the first account.
    function test_draw_beforeAnybodyCame_isNobody() public view {
        same(vault.draw("seed", new address[](0), 0), address(0), "nobody");
    }

    /// @dev Out or back in, unless it is the one who was drawn: that one's leaving is told apart.
    function _move(address account, address drawn) private {
        if (account == drawn) return;
        (uint256 pending, ) = vault.pendingOf(account);
        VM.prank(account);
        if (pending == 0) vault.requestUnbond(950 ether);
        else vault.cancelUnbond();
    }
}
