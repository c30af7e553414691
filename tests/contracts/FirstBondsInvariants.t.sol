// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {UnitId} from "../../contracts/types/Identifiers.sol";
import {Newcomer} from "../../contracts/types/Newcomer.sol";
import {Parameter} from "../../contracts/types/Parameter.sol";
import {UnitStatus} from "../../contracts/types/Work.sol";
import {FirstBondsStage} from "./helpers/FirstBondsStage.sol";
import {Targets} from "./helpers/Targets.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice Newcomers honest, lying and idle around a pot, a day's cap that binds, and votes on the least bond.
contract Newcomers is FirstBondsStage {
    uint256 private constant ACCOUNTS = 6;
    uint256 private constant KINDS = 7;

    struct Committed {
        UnitId unitId;
        address account;
    }

    Committed[] private committed;
    uint256[KINDS] public done;
    uint256 private paidOut;
    uint256 private funded;
    uint256 private dearestBond = MIN_BOND;
    uint256 private day;
    uint256 private promisedOfDay;
    mapping(address account => uint256) private earned;

    constructor() {
        stageFirstBonds();
        funded = POT;
        openRound();
    }

    /// @notice One random move.
    function move(uint256 dice) external {
        // Commitments and reveals, of which most are refused, are tried most often.
        uint256 kind = [uint256(0), 1, 1, 1, 1, 2, 2, 2, 2, 3, 4, 5, 5, 6][dice % 14];
        address account = newcomer((dice >> 8) % ACCOUNTS);
        bool moved;
        if (kind == 0) moved = tryRegister(account);
        else if (kind == 1) moved = tryCommit(account, (dice >> 16) % 3 == 0 ? LIE : TRUTH);
        else if (kind == 2) moved = tryReveals(dice >> 16);
        else if (kind == 3) moved = tryRelease(dice >> 16);
        else if (kind == 4) moved = tryPayOuts(dice >> 16);
        else if (kind == 5) moved = goOn(dice >> 16);
        else moved = tryVote(dice >> 16);
        if (moved) ++done[kind];
        check_();
    }

    /// @notice The invariants of FirstBonds, from outside.
    function check_() public view {
        uint256 retained = 0;
        uint256 promised = 0;
        uint256 registered = 0;
        for (uint256 i = 0; i < ACCOUNTS; ++i) {
            Newcomer memory each = bonds.newcomerOf(newcomer(i));
            retained += each.retainedWei;
            promised += each.promisedWei;
            if (bonds.registeredUntil(newcomer(i)) != 0) ++registered;
            check(!each.hasLeft || each.retainedWei == 0, "paid out whole");
            check(
                uint256(each.retainedWei) + each.promisedWei < dearestBond + PAY_MAX,
                "at most a bond and an audit"
            );
            same(each.retainedWei, earned[newcomer(i)], "what it earned");
        }
        same(bonds.retainedWei(), retained, "retained in all");
        same(bonds.promisedWei(), promised, "promised in all");
        same(bonds.registeredCount(), registered, "registered in all");
        uint256 held = token.balanceOf(address(bonds));
        check(held >= retained + promised, "solvent");
        same(held + paidOut, funded, "nothing else moves");
        check(bonds.promisedTodayWei() <= DAY_CAP, "the day's cap");
    }

    function tryRegister(address account) private returns (bool) {
        VM.prank(account);
        try bonds.register() {
            return true;
        } catch {
            return false;
        }
    }

    function tryCommit(address account, uint256 flavour) private returns (bool) {
        uint256 before = bonds.promisedWei();
        try this.commitFor(account, flavour) {
            if (day != VM.getBlockTimestamp() / 1 days) promisedOfDay = 0;
            day = VM.getBlockTimestamp() / 1 days;
            promisedOfDay += bonds.promisedWei() - before;
            check(promisedOfDay <= DAY_CAP, "of a day, counted apart");
            same(bonds.promisedTodayWei(), promisedOfDay, "and told");
            committed.push(Committed(examined(round), account));
            return true;
        } catch {
            return false;
        }
    }

    /// @dev Whoever can, from a random one on.
    function tryReveals(uint256 dice) private returns (bool) {
        for (uint256 i = 0; i < ACCOUNTS; ++i) {
            address account = newcomer(((dice % ACCOUNTS) + i) % ACCOUNTS);
            if (tryReveal(account, TRUTH) || tryReveal(account, LIE)) return true;
        }
        return false;
    }

    function tryPayOuts(uint256 dice) private returns (bool) {
        for (uint256 i = 0; i < ACCOUNTS; ++i) {
            if (tryPayOut(newcomer(((dice % ACCOUNTS) + i) % ACCOUNTS))) return true;
        }
        return false;
    }

    function tryReveal(address account, uint256 flavour) private returns (bool) {
        uint256 before = bonds.newcomerOf(account).retainedWei;
        try this.revealFor(account, flavour) {
            uint256 gain = bonds.newcomerOf(account).retainedWei - before;
            same(gain, flavour == TRUTH ? PAY_MAX : 0, "the truth is paid");
            earned[account] += gain;
            return true;
        } catch {
            return false;
        }
    }

    /// @dev Any commitment that there ever was.
    function tryRelease(uint256 dice) private returns (bool) {
        if (committed.length == 0) return false;
        Committed memory one = committed[dice % committed.length];
        try bonds.release(one.unitId, one.account) {
            return true;
        } catch {
            return false;
        }
    }

    function tryPayOut(address account) private returns (bool) {
        uint256 minBondWei = parameters.get(Parameter.MinBondWei);
        VM.prank(account);
        try bonds.payOut() {
            check(earned[account] >= minBondWei, "a bond");
            paidOut += earned[account];
            earned[account] = 0;
            return true;
        } catch {
            return false;
        }
    }

    /// @dev The round ends and another begins, or time passes, sometimes beyond what was promised.
    function goOn(uint256 dice) private returns (bool) {
        if (dice % 3 == 0) {
            VM.warp(VM.getBlockTimestamp() + ((dice >> 8) % 10 == 0 ? 8 days : (dice >> 8) % 60));
            return true;
        }
        if (ledger.openRound(jobId) == round && escrow.acceptsWork(jobId, true)) {
            (address holder, ) = ledger.leaseOf(jobId);
            if (holder == address(0)) {
                VM.prank(coordinator);
                ledger.takeLease(jobId);
            }
            endRound(round);
            return true;
        }
        if (ledger.openRound(jobId) == round) release(examined(round));
        openRound();
        return true;
    }

    function tryVote(uint256 dice) private returns (bool) {
        uint256 value = 1 ether + (dice % 3) * 0.5 ether;
        setParameter(Parameter.MinBondWei, value);
        return true;
    }

    function openRound() private {
        uint256 left = escrow.jobs(jobId).terms.deadline;
        if (VM.getBlockTimestamp() + 500 > left) {
            jobId = openJob(200, SLOTS);
        }
        claimRound(ledger.openRound(jobId), TRUTH);
        for (uint32 slot = 0; slot < SLOTS; ++slot) {
            UnitId unitId = ledger.slotUnit(jobId, round, slot);
            if (status(unitId) == UnitStatus.Drawn) audit(unitId, TRUTH, TRUTH);
        }
    }

    /// @dev By a call, so that it can be refused.
    function commitFor(address account, uint256 flavour) external {
        require(msg.sender == address(this), "own calls only");
        commitAs(account, round, flavour);
    }

    function revealFor(address account, uint256 flavour) external {
        require(msg.sender == address(this), "own calls only");
        revealAs(account, round, flavour);
    }
}

/// @notice Random sequences of random moves around the pot.
contract FirstBondsInvariantsTest is Targets {
    Newcomers private players;

    function setUp() public {
        players = new Newcomers();
        aim(address(players), Newcomers.move.selector);
    }

    /// @notice Every move checks itself; between them nothing changes.
    function invariant_pot_isSolventAndCapped() public view {
        players.check_();
    }

    /// @notice The sequences are not idle: a fixed one does everything.
    function test_sequence_fixedSeed_reachesEverything() public {
        for (uint256 i = 0; i < 600; ++i) {
            players.move(uint256(keccak256(abi.encode("newcomers", i))));
        }
        for (uint256 kind = 0; kind < 7; ++kind) {
            same(players.done(kind) == 0 ? kind : 99, 99, "a kind of move that never succeeds");
        }
    }
}
