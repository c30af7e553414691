// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IReferee, IRefereeCallback} from "../../contracts/interfaces/IReferee.sol";
import {IRefereeSeat} from "../../contracts/interfaces/IRefereeSeat.sol";
import {UnitId} from "../../contracts/types/Identifiers.sol";
import {Assert} from "./helpers/Assert.sol";
import {Targets} from "./helpers/Targets.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice A referee that decides when it is told to.
contract Judge is IReferee {
    IRefereeCallback public reportsTo;
    mapping(UnitId unitId => bool) public opened;

    constructor(IRefereeCallback seat) {
        reportsTo = seat;
    }

    function open(UnitId unitId, address, address, address) external {
        opened[unitId] = true;
    }
}

/// @notice Everybody around the seat: a DAO, a guardian, a thief, four referees; this contract is the ledger,
/// the parameters and the governor that the seat knows.
contract SeatPlayers is Assert, IRefereeCallback {
    uint256 public constant longestExitS = 139 days;
    address public constant guardian = address(0x6A4D);
    uint48 public guardianUntil;
    address private constant DAO = address(0xDA0);
    address private constant THIEF = address(0xBAD);
    uint256 private constant UNITS = 12;

    IRefereeSeat public seat;
    Judge[4] private judges;
    address private last;
    uint256 private proposedAt;
    address private proposed;
    mapping(UnitId unitId => IReferee) private openedWith;
    mapping(UnitId unitId => uint256) private verdicts;
    uint256[5] public done;

    /// @notice Deploys the seat, which asks this contract.
    function begin() external {
        VM.warp(1_800_000_000);
        guardianUntil = uint48(VM.getBlockTimestamp() + 900 days);
        bytes memory code = bytes.concat(
            VM.getCode("RefereeSeat"),
            abi.encode(this, this, DAO, this)
        );
        address placed;
        assembly ("memory-safe") {
            placed := create(0, add(code, 32), mload(code))
        }
        seat = IRefereeSeat(placed);
        for (uint256 i = 0; i < 4; ++i) {
            judges[i] = new Judge(seat);
        }
        seat.bind(judges[0]);
        last = address(judges[0]);
    }

    /// @notice One random move.
    function move(uint256 dice) external {
        uint256 kind = dice % 5;
        bool moved;
        if (kind == 0) moved = _pass(dice >> 8);
        else if (kind == 1) moved = _propose(dice >> 8);
        else if (kind == 2) moved = _withdraw(dice >> 8);
        else if (kind == 3) moved = _open(dice >> 8);
        else moved = _decide(dice >> 8);
        if (moved) ++done[kind];
        check_();
    }

    /// @notice The seat changed hands only for who was announced, a whole notice after that.
    function check_() public {
        address found = address(seat.referee());
        if (found == last) return;
        same(found, proposed, "who was announced");
        check(VM.getBlockTimestamp() >= proposedAt + seat.noticeS(), "a whole notice later");
        check(seat.noticeS() > longestExitS, "longer than the longest exit");
        last = found;
    }

    /// @notice What the seat tells the ledger: from the judge of an open dispute, once.
    function onVerdict(UnitId unitId, bytes32 root, address[] calldata) external {
        check(msg.sender == address(seat), "the seat's word");
        // The root names who spoke: only who opened the dispute may.
        same(root, bytes32(uint256(uint160(address(openedWith[unitId])))), "its judge");
        same(++verdicts[unitId], 1, "once");
    }

    function _pass(uint256 dice) private returns (bool) {
        VM.warp(VM.getBlockTimestamp() + (dice % 60 days));
        return true;
    }

    function _propose(uint256 dice) private returns (bool) {
        (IReferee waiting, ) = seat.pending();
        address who = _actor(dice);
        Judge successor = judges[(dice >> 8) % 4];
        bool isNew = address(successor) != address(seat.referee());
        bool allowed = who == DAO && address(waiting) == address(0) && isNew;
        VM.prank(who);
        try seat.propose(successor) {
            check(allowed, "nobody else, nobody twice");
            (proposed, proposedAt) = (address(successor), VM.getBlockTimestamp());
            return true;
        } catch {
            check(!allowed, "the DAO can always propose");
            return false;
        }
    }

    function _withdraw(uint256 dice) private returns (bool) {
        (IReferee waiting, ) = seat.pending();
        address who = _actor(dice);
        bool guards = who == guardian && VM.getBlockTimestamp() < guardianUntil;
        bool allowed = (who == DAO || guards) && address(waiting) != address(0);
        VM.prank(who);
        try seat.withdraw() {
            check(allowed, "only who may");
            return true;
        } catch {
            check(!allowed, "whoever may can");
            return false;
        }
    }

    function _open(uint256 dice) private returns (bool) {
        UnitId unitId = UnitId.wrap(bytes32(dice % UNITS));
        if (address(openedWith[unitId]) != address(0)) return false;
        openedWith[unitId] = seat.referee();
        seat.open(unitId, THIEF, THIEF, THIEF);
        check(Judge(address(openedWith[unitId])).opened(unitId), "before its referee");
        return true;
    }

    /// @dev Anybody may speak about any unit; the root says who did.
    function _decide(uint256 dice) private returns (bool) {
        UnitId unitId = UnitId.wrap(bytes32(dice % UNITS));
        address who = (dice >> 8) % 4 == 0 ? _actor(dice >> 16) : address(judges[(dice >> 16) % 4]);
        bool allowed = who == address(openedWith[unitId]) && verdicts[unitId] == 0;
        VM.prank(who);
        try seat.onVerdict(unitId, bytes32(uint256(uint160(who))), new address[](0)) {
            check(allowed, "only its judge, once");
            return true;
        } catch {
            check(!allowed, "its judge can always decide");
            return false;
        }
    }

    function _actor(uint256 dice) private view returns (address) {
        address[5] memory actors = [DAO, DAO, guardian, THIEF, address(judges[1])];
        return actors[dice % 5];
    }
}

/// @notice Random sequences of random moves around the seat.
contract RefereeSeatInvariantsTest is Targets {
    SeatPlayers private players;

    function setUp() public {
        players = new SeatPlayers();
        players.begin();
        aim(address(players), SeatPlayers.move.selector);
    }

    /// @notice Every move checks itself; between them nothing changes.
    function invariant_seat_changesOnlyAfterItsNotice() public {
        players.check_();
    }

    /// @notice The sequences are not idle: a fixed one does everything.
    function test_sequence_fixedSeed_reachesEverything() public {
        for (uint256 i = 0; i < 200; ++i) {
            players.move(uint256(keccak256(abi.encode("seat", i))));
        }
        for (uint256 kind = 0; kind < 5; ++kind) {
            check(players.done(kind) != 0, "a kind of move that never succeeds");
        }
        check(address(players.seat().referee()) != address(0), "somebody judges");
    }
}
