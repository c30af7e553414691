// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IWorkLedger} from "../../contracts/interfaces/IWorkLedger.sol";
import {JobId, UnitId} from "../../contracts/types/Identifiers.sol";
import {Parameter} from "../../contracts/types/Parameter.sol";
import {Claim, ClaimedUnit, Unit, UnitStatus} from "../../contracts/types/Work.sol";
import {Stage} from "./helpers/Stage.sol";
import {Trees} from "./helpers/Trees.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice Claims of which the chain keeps a root: how they are shown again, and what a false show costs.
contract WorkLedgerClaimsTest is Stage {
    uint32 private constant SLOTS = 7;

    JobId private jobId;
    UnitId[] private units;

    function setUp() public {
        stage(6);
        setParameter(Parameter.ProbationUnits, 1);
        for (uint256 i = 0; i < 6; ++i) {
            cover(node(i), 40);
        }
        jobId = openJob(3, SLOTS);
    }

    /// @notice A round of which the draw spares some is paid to whom it is owed, spared units' workers
    /// from the claims that are shown; only drawn units are on record.
    function test_finalizeRound_sparedUnits_arePaidUnrecorded() public {
        for (uint32 round = 0; round < 2; ++round) {
            commitAll(round);
            capture(jobId, round);
            uint256 audited = auditDrawn();
            net.pass(31);
            VM.recordLogs();
            finalize(jobId, round);
            (address[] memory accounts, uint256[] memory amounts) = recordedRewards();
            uint256[6] memory owed;
            for (uint256 i = 0; i < SLOTS; ++i) {
                owed[i % 5] += net.UNIT_WEI();
            }
            uint256 audits = 0;
            for (uint256 i = 0; i < accounts.length; ++i) {
                for (uint256 j = 0; j < 5; ++j) {
                    if (accounts[i] != node(j)) continue;
                    check(amounts[i] >= owed[j], "its units");
                    audits += amounts[i] - owed[j];
                    owed[j] = 0;
                }
                if (accounts[i] == node(5)) audits += amounts[i];
            }
            same(audits, audited * escrow.jobs(jobId).auditWei, "the drawn units' audits");
            for (uint256 j = 0; j < 5; ++j) {
                same(owed[j], 0, "every worker");
                same(vault.lockedOf(node(j)), 0, "free");
            }
            if (round == 1) check(audited < SLOTS, "the lot spared some of trusted workers");
        }
    }

    /// @notice A spared unit is beyond challenge to the second, and no round ends before.
    function test_finalizeRound_sparedUnits_waitForTheirWindow() public {
        UnitId spared = someSpared();
        uint40 deadline = batchOf(spared).challengeDeadline;
        VM.warp(deadline);
        VM.prank(coordinator);
        VM.expectRevert(
            abi.encodeWithSelector(
                IWorkLedger.SlotNotFinal.selector,
                spared,
                UnitStatus.None,
                deadline
            )
        );
        ledger.finalizeRound(jobId, 1, keccak256("c"), keccak256("b"), 1, roundClaims(jobId, 1));
    }

    /// @notice Who shows nothing is told which unit is missing, and claims of a batch whose draw nobody
    /// captured pay nobody.
    function test_finalizeRound_claimsNotShownOrNotDrawn_areRefused() public {
        UnitId spared = someSpared();
        auditDrawn();
        net.pass(31);
        ClaimedUnit[][] memory none = new ClaimedUnit[][](1);
        VM.prank(coordinator);
        VM.expectRevert(
            abi.encodeWithSelector(IWorkLedger.SlotNotFinal.selector, spared, UnitStatus.None, 0)
        );
        ledger.finalizeRound(jobId, 1, keccak256("c"), keccak256("b"), 1, none);
        none = new ClaimedUnit[][](2);
        none[1] = claimsOf(spared);
        VM.prank(coordinator);
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.UnknownBatch.selector, jobId, 1, 1));
        ledger.finalizeRound(jobId, 1, keccak256("c"), keccak256("b"), 1, none);
        finalize(jobId, 1);
        commitAll(2);
        net.pass(1_000);
        VM.startPrank(coordinator);
        ledger.takeLease(jobId);
        VM.expectRevert(
            abi.encodeWithSelector(IWorkLedger.SlotNotFinal.selector, units[0], UnitStatus.None, 0)
        );
        ledger.finalizeRound(jobId, 2, keccak256("c"), keccak256("b"), 1, roundClaims(jobId, 2));
        VM.stopPrank();
    }

    /// @notice One claim less, one twice, two in another order, or one word of one altered: not what was
    /// committed.
    function testFuzz_shownClaims_otherThanCommitted_areRefused(uint256 dice, bytes32 word) public {
        commitAll(0);
        net.pass(24);
        ClaimedUnit[] memory claims = alter(claimsAt(jobId, 0, 0), dice, word);
        bytes memory reason = abi.encodeWithSelector(IWorkLedger.WrongClaims.selector, jobId, 0);
        VM.expectRevert(reason);
        ledger.captureDraw(jobId, 0, 0, claims);
        VM.expectRevert(reason);
        ledger.releaseLocks(jobId, 0, 0, 0, claims);
        capture(jobId, 0);
        ClaimedUnit[][] memory all = new ClaimedUnit[][](1);
        all[0] = claims;
        VM.prank(coordinator);
        VM.expectRevert(reason);
        ledger.finalizeRound(jobId, 0, keccak256("c"), keccak256("b"), 1, all);
    }

    /// @notice None, or more claims than any round has, are refused before they are hashed.
    function test_shownClaims_noneOrTooMany_areRefused() public {
        commitAll(0);
        net.pass(24);
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.BadCount.selector, 0, 64));
        ledger.captureDraw(jobId, 0, 0, new ClaimedUnit[](0));
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.BadCount.selector, 65, 64));
        ledger.captureDraw(jobId, 0, 0, new ClaimedUnit[](65));
    }

    /// @notice By ascending slot: the root does not tell neighbours apart, and the order in which a
    /// worker's units meet the draw must be nobody's choice.
    function test_commitRound_slotsOutOfOrder_areRefused() public {
        Claim[] memory claims = new Claim[](2);
        claims[0] = net.claimOf(jobId, 0, 1, node(1), TRUTH);
        claims[1] = net.claimOf(jobId, 0, 0, node(1), TRUTH);
        VM.prank(coordinator);
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.WrongClaims.selector, jobId, 0));
        ledger.commitRound(jobId, 0, claims);
    }

    /// @notice A spared lie is challenged, comes on record, is found out, and its slot opens again: the
    /// next batch's claim is paid, and the first batch's, shown beside it, is not.
    function test_challenge_sparedLie_isRecordedAndFaulted() public {
        UnitId lie = someSpared();
        same(ledger.unit(lie).status, UnitStatus.None, "not on record");
        address worker = unitOf(lie).worker;
        uint256 bond = vault.bondOf(worker);
        uint256 lockWei = batchOf(lie).lockWei;
        address challenger = node(5);
        VM.prank(challenger);
        challenge(lie);
        Unit memory unit = ledger.unit(lie);
        same(unit.status, UnitStatus.Disputed, "on record");
        same(unit.worker, worker, "its worker");
        check(unit.jobId == jobId, "its job");
        // What is a lie the jury says.
        open(lie, TRUTH);
        decide(lie, LIE, LIE, LIE);
        same(status(lie), UnitStatus.Faulted, "found out");
        same(bond - vault.bondOf(worker), lockWei, "the lock, and no more");
        same(ledger.cleanUnits(worker), 0, "no trust");
        auditDrawn();
        // Its auditor, if one was drawn, had time.
        UnitId again = drawn(jobId, 1, unit.slot, node(5), TRUTH);
        if (status(again) == UnitStatus.Drawn) audit(again, TRUTH, TRUTH);
        net.pass(31);
        VM.recordLogs();
        finalize(jobId, 1);
        (address[] memory accounts, ) = recordedRewards();
        for (uint256 i = 0; i < 6; ++i) {
            same(vault.lockedOf(node(i)), 0, "free");
        }
        check(accounts.length > 1, "paid");
    }

    /// @notice Nobody is accused of what was not claimed, nor before its draw.
    function test_challenge_strangeClaims_areRefused() public {
        commitAll(0);
        ClaimedUnit[] memory claims = claimsAt(jobId, 0, 0);
        bytes32[] memory proof = Trees.proofOf(leavesOf(jobId, 0, claims), 0);
        address challenger = node(5);
        VM.prank(challenger);
        VM.expectRevert(
            abi.encodeWithSelector(IWorkLedger.WrongStatus.selector, units[0], UnitStatus.Committed)
        );
        ledger.challenge(jobId, 0, 0, claims[0], proof);
        capture(jobId, 0);
        bytes memory reason = abi.encodeWithSelector(IWorkLedger.WrongClaims.selector, jobId, 0);
        ClaimedUnit memory altered = claims[0];
        altered.worker = node(4);
        VM.prank(challenger);
        VM.expectRevert(reason);
        ledger.challenge(jobId, 0, 0, altered, proof);
        proof[0] = keccak256("x");
        VM.prank(challenger);
        VM.expectRevert(reason);
        ledger.challenge(jobId, 0, 0, claimsAt(jobId, 0, 0)[0], proof);
        // A node of the tree is no claim, at whatever depth.
        VM.prank(challenger);
        VM.expectRevert(reason);
        ledger.challenge(jobId, 0, 0, claimsAt(jobId, 0, 0)[0], new bytes32[](0));
        VM.prank(challenger);
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.UnknownBatch.selector, jobId, 0, 1));
        ledger.challenge(jobId, 0, 1, claims[0], proof);
    }

    /// @notice The challenge of a spared unit ends with its batch's window.
    function test_challenge_sparedUnit_inTimeOnly() public {
        UnitId spared = someSpared();
        uint40 deadline = batchOf(spared).challengeDeadline;
        VM.warp(uint256(deadline) + 1);
        address challenger = node(5);
        VM.expectRevert(
            abi.encodeWithSelector(IWorkLedger.DeadlinePassed.selector, spared, deadline)
        );
        VM.prank(challenger);
        challenge(spared);
        VM.warp(deadline);
        VM.prank(challenger);
        challenge(spared);
        same(status(spared), UnitStatus.Disputed, "the last second");
    }

    function commitAll(uint32 round) private {
        commitWith(round, TRUTH);
    }

    function commitWith(uint32 round, uint256 flavour) private {
        delete units;
        Claim[] memory claims = new Claim[](SLOTS);
        for (uint32 slot = 0; slot < SLOTS; ++slot) {
            claims[slot] = net.claimOf(jobId, round, slot, node(slot % 5), flavour);
            units.push(ledger.slotUnit(jobId, round, slot));
        }
        VM.prank(coordinator);
        commit(jobId, round, claims);
    }

    function auditDrawn() private returns (uint256 audited) {
        for (uint256 i = 0; i < SLOTS; ++i) {
            if (status(units[i]) != UnitStatus.Drawn) continue;
            audit(units[i], TRUTH, TRUTH);
            ++audited;
        }
    }

    /// @dev Round 0 earns trust; round 1 has a unit that the draw spares.
    function someSpared() private returns (UnitId) {
        earnTrust();
        commitAll(1);
        capture(jobId, 1);
        return units[firstSpared()];
    }

    function earnTrust() private {
        for (uint256 i = 0; i < 6; ++i) {
            trust(node(i));
        }
        commitAll(0);
        capture(jobId, 0);
        auditDrawn();
        net.pass(31);
        finalize(jobId, 0);
    }

    function trust(address worker) private {
        JobId past = openJob(1, 20);
        for (uint32 slot = 0; slot < 20; ++slot) {
            UnitId unitId = drawn(past, 0, slot, worker, TRUTH);
            if (status(unitId) == UnitStatus.Drawn) audit(unitId, TRUTH, TRUTH);
        }
        net.pass(31);
        finalize(past, 0);
    }

    function firstSpared() private view returns (uint256) {
        for (uint256 i = 0; i < SLOTS; ++i) {
            if (status(units[i]) == UnitStatus.Passed) return i;
        }
        revert("none spared");
    }

    function alter(
        ClaimedUnit[] memory claims,
        uint256 dice,
        bytes32 word
    ) private pure returns (ClaimedUnit[] memory) {
        uint256 kind = dice % 8;
        uint256 place = (dice >> 8) % SLOTS;
        if (kind < 2) {
            uint256 length = kind == 0 ? SLOTS - 1 : SLOTS + 1;
            ClaimedUnit[] memory other = new ClaimedUnit[](length);
            for (uint256 i = 0; i < length; ++i) {
                other[i] = claims[i < SLOTS ? i : place];
            }
            return other;
        }
        if (kind == 2) {
            uint256 next = (place + 1) % SLOTS;
            (claims[place], claims[next]) = (claims[next], claims[place]);
        }
        if (kind == 3) claims[place].slot ^= uint32(1 + ((dice >> 16) % 1_000));
        if (kind == 4) claims[place].attempt ^= uint32(1 + ((dice >> 16) % 1_000));
        if (kind == 5) claims[place].worker = address(uint160(uint256(word) | (1 << 159)));
        if (kind == 6) claims[place].resultRoot ^= word | bytes32(uint256(1));
        if (kind == 7) claims[place].commitment ^= word | bytes32(uint256(1));
        return claims;
    }
}
