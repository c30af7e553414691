// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Assert} from "./helpers/Assert.sol";
import {Players} from "./helpers/Players.sol";
import {Targets} from "./helpers/Targets.sol";

/// @notice The runner knows a contract to call only from this file.
contract Crowd is Players(8) {}

/// @notice Random sequences of random moves of everybody.
contract InvariantsTest is Targets {
    Players private players;

    function setUp() public {
        players = new Crowd();
        aim(address(players), Players.move.selector);
        aim(address(players), Players.work.selector);
    }

    function invariant_escrow_conservesMoney() public view {
        players.checkEscrow();
    }

    function invariant_vault_isSolvent() public view {
        players.checkVault();
    }

    function invariant_units_waitForSomething() public view {
        players.checkUnits();
    }

    function invariant_rounds_runNoFurtherAhead() public view {
        players.checkLineage();
    }

    function invariant_supply_isAccountedFor() public view {
        players.checkSupply();
    }

    function invariant_emission_neverExceedsSchedulesOrFees() public view {
        players.checkEmission();
    }
}

/// @notice The same players, replayable from one number: after any sequence everything can be
/// brought to an end by calls that anyone may make, and no money stays behind.
contract EndingsTest is Assert {
    uint256 private constant MOVES = 300;

    /// @notice A crowd: juries sit.
    function testFuzz_anySequence_endsWithNothingHeld(uint256 seed) public {
        play(new Players(8), seed);
    }

    /// @notice A handful: auditors are drawn again, juries are short of nodes.
    function testFuzz_fewNodes_endsWithNothingHeld(uint256 seed) public {
        play(new Players(1 + (seed % 5)), seed);
    }

    /// @notice The sequences are not idle: a fixed one funds, works, audits, disputes, finalises
    /// and pays.
    function test_sequence_fixedSeed_reachesEverything() public {
        // A deposit returned behind a cut, 27, is too rare: WorkLedgerLineage.t.sol has it.
        uint256[33] memory done;
        bool all = false;
        for (uint256 seed = 1; seed <= 96 && !all; ++seed) {
            Players players = new Players(8);
            play(players, seed);
            all = true;
            for (uint256 kind = 0; kind < 33; ++kind) {
                if (kind == 27) continue;
                done[kind] += players.done(kind);
                all = all && done[kind] != 0;
            }
        }
        for (uint256 kind = 0; kind < 33; ++kind) {
            if (kind != 27 && done[kind] == 0)
                revert NotEqual("a kind of move that never succeeds", kind, 0);
        }
    }

    function play(Players players, uint256 seed) private {
        players.move(0);
        for (uint256 i = 0; i < MOVES; ++i) {
            uint256 dice = uint256(keccak256(abi.encode(seed, i)));
            if (dice % 4 == 0) players.move(dice >> 8);
            else players.work(dice >> 8);
            players.checkEscrow();
            players.checkUnits();
            players.checkLineage();
            players.checkEmission();
        }
        players.checkVault();
        players.checkSupply();
        players.drain();
        players.checkEscrow();
        players.checkUnits();
        players.checkSupply();
        players.checkEmission();
        players.checkEmpty();
    }
}
