// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Parameter} from "../../contracts/types/Parameter.sol";
import {Stage} from "./helpers/Stage.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice The list that auditors and jurors are drawn from: nobody changes a draw whose seed is known,
/// and whoever comes and goes leaves nothing behind.
contract ActiveListTest is Stage {
    uint256 private constant NODES = 12;

    function setUp() public {
        stage(NODES);
    }

    /// @notice Once the seed is known, an owner of many accounts gets no other honest auditor, nor one of
    /// its own for an honest one, by taking accounts out, bringing them back and making new ones: neither its
    /// own nor those whose places are taken over when it leaves are found elsewhere.
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
            if (dice % 4 == 3) net.nextBlock();
            if (dice % 8 == 6)
                net.join(address(uint160(0xbeef0000 + i)));
                // Every other account is the owner's.
            else _move(node(2 * ((dice >> 3) % (NODES / 2))), drawn);
            same(vault.draw(seed, excluded, drawBlock), drawn, "the same");
        }
    }

    /// @notice Whoever has many accounts listed in one block leaves no vacant place: the list is as long as
    /// before, and a draw of a later block finds somebody with every seed, at the same price.
    function test_attack_rentedBonds_leaveNoVacantPlaces() public {
        uint256 rented = 30 * NODES;
        uint256 gasBefore = _gasOfDraws();
        for (uint256 i = 0; i < rented; ++i) {
            net.join(address(uint160(0xbeef0000 + i)));
        }
        net.nextBlock();
        same(vault.activeCount(), NODES + rented, "all are listed");
        for (uint256 i = 0; i < rented; ++i) {
            _leave(address(uint160(0xbeef0000 + i)));
        }
        net.nextBlock();
        same(vault.activeCount(), NODES, "as long as before");
        uint256 gasAfter = _gasOfDraws();
        check(gasAfter < gasBefore + gasBefore / 20, "and as cheap to draw from");
    }

    /// @notice Places that were taken and left hundreds of times are looked up in steps as few as their
    /// number's logarithm, so nobody makes a draw of a block before that too dear to be made.
    function test_attack_churnedPlaces_drawOfAnEarlierBlockStaysCheap() public {
        uint256 drawBlock = VM.getBlockNumber();
        address[] memory excluded = new address[](0);
        address drawn = vault.draw("seed", excluded, drawBlock);
        for (uint256 i = 0; i < 300; ++i) {
            net.nextBlock();
            _leave(node(i % 3));
            net.nextBlock();
            VM.prank(node(i % 3));
            vault.cancelUnbond();
        }
        uint256 left = gasleft();
        address again = vault.draw("seed", excluded, drawBlock);
        check(left - gasleft() < 400_000, "cheap");
        check(again == drawn || drawn == node(0) || drawn == node(1) || drawn == node(2), "same");
    }

    /// @notice Where nine in ten of a long list have left since the draw block, every draw finds one of the
    /// others, and each as often: it is not searched whole, which would find the first one behind all gaps.
    function test_draw_mostOfALongListLeft_findsTheOthersEvenly() public {
        address[] memory excluded = new address[](0);
        stage(80);
        uint256 drawBlock = VM.getBlockNumber();
        net.nextBlock();
        for (uint256 i = 0; i < 72; ++i) {
            _leave(node(i));
        }
        uint256[8] memory hits;
        for (uint256 i = 0; i < 400; ++i) {
            address drawn = vault.draw(keccak256(abi.encode(i)), excluded, drawBlock);
            for (uint256 j = 0; j < 8; ++j) {
                if (drawn == node(72 + j)) ++hits[j];
            }
        }
        uint256 found = 0;
        for (uint256 j = 0; j < 8; ++j) {
            // Four standard deviations of 400 draws among 8.
            check(hits[j] > 50 - 27 && hits[j] < 50 + 27, "evenly");
            found += hits[j];
        }
        same(found, 400, "always one of them");
    }

    /// @notice Where an account leaves the last one takes over its place; the last one's own is closed.
    function test_place_ofWhoLeft_isTakenOverByTheLast() public {
        (address leaver, address last) = (node(3), node(NODES - 1));
        _leave(leaver);
        same(vault.activeAt(3), last, "taken over");
        same(vault.activeAt(NODES - 1), address(0), "closed");
        same(vault.activeCount(), NODES - 1, "one less");
        _leave(last);
        same(vault.activeAt(3), node(NODES - 2), "taken over again");
        _leave(node(NODES - 3));
        same(vault.activeAt(NODES - 3), address(0), "who is the last itself has its own closed");
        VM.prank(leaver);
        vault.cancelUnbond();
        same(vault.activeAt(NODES - 3), leaver, "who comes is the last");
        same(vault.activeCount(), NODES - 2, "one more");
    }

    /// @notice Who moved to another place is found by draws of blocks before where it was, and nowhere else.
    function test_draw_whoMovedSince_isFoundWhereItWas() public {
        address[] memory excluded = new address[](0);
        uint256 drawBlock = VM.getBlockNumber();
        uint256[NODES] memory before = _hits(excluded, drawBlock);
        net.nextBlock();
        _leave(node(0));
        _leave(node(1));
        uint256[NODES] memory later = _hits(excluded, drawBlock);
        uint256 others = 0;
        for (uint256 i = 2; i < NODES; ++i) {
            check(later[i] >= before[i], "none loses a draw");
            others += later[i] - before[i];
        }
        same(later[0] + later[1], 0, "who left is not drawn");
        same(others, before[0] + before[1], "its draws are the others'");
        // 80 draws to be shared by 10: none of them gets twice its part, as it would from two places.
        for (uint256 i = 2; i < NODES; ++i) {
            check(later[i] - before[i] < 20, "evenly");
        }
    }

    /// @notice Who came after the draw block is not eligible, though it has the place of one who was.
    function testFuzz_draw_whoCameLater_isNot(bytes32 seed) public {
        uint256 drawBlock = VM.getBlockNumber();
        net.nextBlock();
        for (uint256 i = 0; i < NODES - 1; ++i) {
            _leave(node(i));
            net.join(address(uint160(0xbeef0000 + i)));
        }
        same(vault.draw(seed, new address[](0), drawBlock), node(NODES - 1), "the one who stayed");
    }

    /// @notice Nor is who came in the draw block itself, or left in it and came back.
    function testFuzz_draw_whoCameInIt_isNot(bytes32 seed) public {
        net.nextBlock();
        for (uint256 i = 1; i < NODES; ++i) {
            _leave(node(i));
            VM.prank(node(i));
            vault.cancelUnbond();
        }
        uint256 drawBlock = VM.getBlockNumber();
        net.nextBlock();
        same(vault.draw(seed, new address[](0), drawBlock), node(0), "the one who stayed");
        check(vault.draw(seed, new address[](0), drawBlock + 1) != address(0), "later all are");
    }

    /// @notice Who left after the draw block is not drawn any more though a vote makes the rest of its bond
    /// enough, back on the list or not.
    function test_draw_whoLeftAndHasEnoughSince_isNot() public {
        address leaver = node(NODES - 1);
        address[] memory excluded = new address[](NODES - 1);
        for (uint256 i = 0; i < NODES - 1; ++i) {
            excluded[i] = node(i);
        }
        uint256 drawBlock = VM.getBlockNumber();
        net.nextBlock();
        same(vault.draw("seed", excluded, drawBlock), leaver, "the only one");
        _leave(leaver);
        setParameter(Parameter.MinBondWei, 1 ether);
        check(vault.isActive(leaver), "it has enough");
        same(vault.draw("seed", excluded, drawBlock), address(0), "but left");
        vault.refresh(leaver);
        same(vault.draw("seed", excluded, drawBlock), address(0), "and came later");
    }

    /// @notice Draws begin with the block after the first account.
    function test_draw_beforeAnybodyCame_isNobody() public view {
        same(vault.draw("seed", new address[](0), 0), address(0), "nobody");
    }

    /// @notice Blocks beyond what is kept of their numbers hold nobody up: bonds leave and come back.
    function test_list_blockNumberBeyond32Bits_goesOn() public {
        VM.roll(2 ** 32 + 5);
        _leave(node(3));
        VM.prank(node(3));
        vault.cancelUnbond();
        same(vault.activeCount(), NODES, "back");
        net.nextBlock();
        net.nextBlock();
        uint256 drawBlock = VM.getBlockNumber() - 1;
        check(vault.draw("seed", new address[](0), drawBlock) != address(0), "and drawn from");
    }

    /// @dev What 64 draws of this block cost, all of which find somebody.
    function _gasOfDraws() private returns (uint256 spent) {
        uint256 drawBlock = VM.getBlockNumber();
        net.nextBlock();
        spent = gasleft();
        for (uint256 i = 0; i < 64; ++i) {
            bytes32 seed = keccak256(abi.encode(i));
            check(vault.draw(seed, new address[](0), drawBlock) != address(0), "found");
        }
        spent -= gasleft();
    }

    /// @dev Who is drawn by 480 seeds.
    function _hits(
        address[] memory excluded,
        uint256 drawBlock
    ) private view returns (uint256[NODES] memory hits) {
        for (uint256 i = 0; i < 480; ++i) {
            address drawn = vault.draw(keccak256(abi.encode(i)), excluded, drawBlock);
            for (uint256 j = 0; j < NODES; ++j) {
                if (drawn == node(j)) ++hits[j];
            }
        }
    }

    function _leave(address account) private {
        VM.prank(account);
        vault.requestUnbond(950 ether);
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

/// @notice Held against a list that forgets nothing: who had which place at the end of each block.
contract ActiveListHistoryTest is Stage {
    uint256 private constant BLOCKS = 20;

    mapping(uint256 blockNumber => address[]) private _listed;
    mapping(address account => uint256) private _cameIn;
    mapping(address account => bool) private _isOut;
    uint256 private _members;

    /// @notice Whatever comes and goes, a draw is from the list as it was at the end of its block, of whom
    /// came before and did not leave since: the same account that a search of the whole history finds.
    function testFuzz_draw_anyComingsAndGoings_isFromTheListThen(bytes32 seed) public {
        stage(0);
        uint256 first = VM.getBlockNumber();
        // Every other list is longer than those that are searched whole.
        _join(uint256(seed) % 2 == 0 ? 3 : 64);
        for (uint256 i = 0; i < BLOCKS; ++i) {
            uint256 dice = uint256(keccak256(abi.encode(seed, "block", i)));
            for (uint256 moves = dice % 8; moves != 0; --moves) {
                dice = uint256(keccak256(abi.encode(dice)));
                if (dice % 5 == 0) _join(1);
                else _toggle(_member((dice >> 8) % _members));
            }
            _note();
            net.nextBlock();
        }
        for (uint256 drawBlock = first; drawBlock < VM.getBlockNumber(); ++drawBlock) {
            address[] memory excluded = new address[](1);
            excluded[0] = _member(drawBlock % _members);
            for (uint256 i = 0; i < 4; ++i) {
                bytes32 next = keccak256(abi.encode(seed, drawBlock, i));
                address expected = _expected(next, excluded[0], drawBlock);
                same(vault.draw(next, excluded, drawBlock), expected, "from the list then");
            }
        }
    }

    function _member(uint256 index) private pure returns (address) {
        return address(uint160(0xbeef0000 + index));
    }

    function _join(uint256 count) private {
        for (; count != 0; --count) {
            address account = _member(_members++);
            net.join(account);
            _cameIn[account] = VM.getBlockNumber();
        }
    }

    function _toggle(address account) private {
        VM.prank(account);
        if (_isOut[account]) {
            vault.cancelUnbond();
            _cameIn[account] = VM.getBlockNumber();
        } else {
            vault.requestUnbond(950 ether);
        }
        _isOut[account] = !_isOut[account];
    }

    function _note() private {
        uint256 count = vault.activeCount();
        for (uint256 i = 0; i < count; ++i) {
            address account = vault.activeAt(i);
            check(account != address(0) && !_isOut[account], "no place is vacant");
            _listed[VM.getBlockNumber()].push(account);
        }
    }

    function _expected(
        bytes32 seed,
        address excluded,
        uint256 drawBlock
    ) private view returns (address) {
        address[] storage listed = _listed[drawBlock];
        uint256 count = listed.length;
        uint256 tries = count <= 64 ? 16 : 128;
        for (uint256 i = 0; i < tries && count != 0; ++i) {
            address account = listed[uint256(keccak256(abi.encode(seed, i))) % count];
            if (_isEligible(account, excluded, drawBlock)) return account;
        }
        for (uint256 i = 0; i < count && count <= 64; ++i) {
            address account = listed[addmod(uint256(seed), i, count)];
            if (_isEligible(account, excluded, drawBlock)) return account;
        }
        return address(0);
    }

    function _isEligible(
        address account,
        address excluded,
        uint256 drawBlock
    ) private view returns (bool) {
        return account != excluded && !_isOut[account] && _cameIn[account] < drawBlock;
    }
}
