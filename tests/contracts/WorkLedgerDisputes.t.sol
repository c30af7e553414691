// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAuditCommittee} from "../../contracts/interfaces/IAuditCommittee.sol";
import {IWorkLedger} from "../../contracts/interfaces/IWorkLedger.sol";
import {Dispute, DisputePhase} from "../../contracts/types/Dispute.sol";
import {JobId, UnitId} from "../../contracts/types/Identifiers.sol";
import {Parameter} from "../../contracts/types/Parameter.sol";
import {UnitStatus} from "../../contracts/types/Work.sol";
import {Stage} from "./helpers/Stage.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice Challenges, juries and verdicts: ledger and committee together.
contract WorkLedgerDisputesTest is Stage {
    JobId private jobId;

    function setUp() public {
        stage(8);
        jobId = openJob(3, 1);
    }

    /// @notice A lying worker is slashed; auditor and jurors that proved it share the bounty, the
    /// rest burns.
    function test_verdict_workerLied_slashesAndPaysProvers() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), LIE);
        audit(unitId, LIE, TRUTH);
        address auditor = unitOf(unitId).auditor;
        (uint256 bond, uint256 supply) = (vault.bondOf(node(1)), token.totalSupply());
        uint256 wealth = token.balanceOf(auditor);
        address[] memory jurors = decide(unitId, TRUTH, TRUTH, TRUTH);
        uint256 slashed = unitLock();
        uint256 share = (slashed * 4_000) / 10_000 / 4;
        same(status(unitId), UnitStatus.Faulted, "faulted");
        same(vault.bondOf(node(1)), bond - slashed, "slashed");
        same(token.balanceOf(auditor), wealth + share, "auditor's share");
        same(token.totalSupply(), supply - slashed + 4 * share, "slashed = burned + bounty");
        for (uint256 i = 0; i < 3; ++i) {
            check(
                jurors[i] != node(1) && jurors[i] != coordinator && jurors[i] != auditor,
                "independent"
            );
        }
        same(ledger.attemptOf(jobId, 0, 0), 1, "open again");
    }

    /// @notice A lying auditor is slashed, the honest worker's unit stands and cannot be disputed
    /// again.
    function test_verdict_auditorLied_upholdsTheWorker() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        audit(unitId, TRUTH, LIE);
        address auditor = unitOf(unitId).auditor;
        uint256 bond = vault.bondOf(auditor);
        decide(unitId, TRUTH, LIE, TRUTH);
        same(status(unitId), UnitStatus.Verified, "verified");
        same(vault.bondOf(auditor), bond - unitLock(), "auditor slashed");
        same(vault.bondOf(node(1)), net.BOND(), "worker whole");
        VM.prank(node(2));
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.DeadlinePassed.selector, unitId, 0));
        challenge(unitId);
        VM.recordLogs();
        finalize(jobId, 0);
        (address[] memory accounts, ) = recordedRewards();
        same(accounts.length, 1, "the lying auditor earns nothing");
    }

    /// @notice Three different roots: worker and auditor are both at fault.
    function test_verdict_bothLied_slashesBoth() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), LIE);
        audit(unitId, LIE, 2);
        address auditor = unitOf(unitId).auditor;
        decide(unitId, TRUTH, TRUTH, 3);
        same(vault.bondOf(node(1)), net.BOND() - unitLock(), "worker");
        same(vault.bondOf(auditor), net.BOND() - unitLock(), "auditor");
    }

    /// @notice No majority of seats: void, nobody is slashed, the slot is open again.
    function test_verdict_noMajority_voids() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), LIE);
        audit(unitId, LIE, TRUTH);
        decide(unitId, TRUTH, LIE, 2);
        same(status(unitId), UnitStatus.Voided, "void");
        same(vault.bondOf(node(1)), net.BOND(), "nobody slashed");
        same(ledger.attemptOf(jobId, 0, 0), 1, "open again");
    }

    /// @notice Too few nodes for a jury: void at once.
    function test_draw_tooFewNodes_voids() public {
        stage(4);
        jobId = openJob(1, 1);
        UnitId unitId = drawn(jobId, 0, 0, node(1), LIE);
        audit(unitId, LIE, TRUTH);
        seat(unitId);
        same(status(unitId), UnitStatus.Voided, "void");
    }

    /// @notice Where seats would stay empty the auditor takes one: five nodes suffice for a jury of
    /// three.
    function test_draw_fiveNodes_seatsTheAuditor() public {
        stage(5);
        jobId = openJob(1, 1);
        UnitId unitId = drawn(jobId, 0, 0, node(1), LIE);
        audit(unitId, LIE, TRUTH);
        address auditor = unitOf(unitId).auditor;
        uint256 wealth = token.balanceOf(auditor);
        decide(unitId, TRUTH, TRUTH, TRUTH);
        same(status(unitId), UnitStatus.Faulted, "faulted");
        uint256 share = (unitLock() * 4_000) / 10_000 / 3;
        same(token.balanceOf(auditor), wealth + share, "one share, not two");
    }

    /// @notice Only a dissolved unit's deposit is asked back; a disputed one's waits for its verdict.
    function test_returnDeposit_disputedUnit_isRefused() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        audit(unitId, TRUTH, TRUTH);
        address challenger = other(node(1), unitOf(unitId).auditor);
        VM.prank(challenger);
        challenge(unitId);
        expectStatusError(unitId, UnitStatus.Disputed);
        ledger.returnDeposit(unitId);
    }

    /// @notice A challenge that is right costs nothing and earns a share.
    function test_challenge_workerLied_returnsTheDepositWithBounty() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), LIE);
        audit(unitId, LIE, LIE);
        address accomplice = unitOf(unitId).auditor;
        address challenger = other(node(1), accomplice);
        uint256 wealth = token.balanceOf(challenger);
        VM.prank(challenger);
        challenge(unitId);
        same(token.balanceOf(address(ledger)), 10 ether + 1, "deposit held");
        decide(unitId, TRUTH, TRUTH, TRUTH);
        same(status(unitId), UnitStatus.Faulted, "faulted");
        same(
            vault.bondOf(accomplice),
            net.BOND() - unitLock(),
            "who verified the lie is slashed too"
        );
        same(token.balanceOf(address(ledger)), 0, "deposit gone");
        uint256 share = (unitLock() * 4_000) / 10_000 / 4;
        same(token.balanceOf(challenger), wealth + 2 * share, "share of two slashes");
    }

    /// @notice A challenge that is wrong loses its deposit to jurors and fire.
    function test_challenge_workerHonest_forfeitsTheDeposit() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        audit(unitId, TRUTH, TRUTH);
        address challenger = other(node(1), unitOf(unitId).auditor);
        (uint256 wealth, uint256 supply) = (token.balanceOf(challenger), token.totalSupply());
        VM.prank(challenger);
        challenge(unitId);
        decide(unitId, TRUTH, TRUTH, TRUTH);
        same(status(unitId), UnitStatus.Verified, "stands");
        same(token.balanceOf(challenger), wealth - 10 ether - 1, "lost");
        uint256 share = ((10 ether + 1) * uint256(4_000)) / 10_000 / 3;
        same(token.totalSupply(), supply - (10 ether + 1 - 3 * share), "burned");
        same(token.balanceOf(address(ledger)), 0, "nothing left behind");
        finalize(jobId, 0);
    }

    /// @notice A passed unit is challenged unopened; a worker that stays silent is at fault.
    function test_challenge_workerSilent_isAtFault() public {
        UnitId unitId = unaudited();
        VM.prank(node(7));
        challenge(unitId);
        address[] memory jurors = seat(unitId);
        for (uint256 i = 0; i < 3; ++i) {
            vote(unitId, jurors[i], TRUTH);
        }
        for (uint256 i = 0; i < 3; ++i) {
            revealVote(unitId, jurors[i], TRUTH);
        }
        VM.expectRevert(
            abi.encodeWithSelector(
                IAuditCommittee.WrongPhase.selector,
                unitId,
                DisputePhase.Revealing
            )
        );
        committee.resolve(unitId);
        net.pass(51);
        committee.resolve(unitId);
        same(status(unitId), UnitStatus.Faulted, "faulted");
    }

    /// @notice Jury and worker both silent: the worker had all the time and is at fault, the
    /// deposit goes back.
    function test_challenge_everybodySilent_faultsTheWorker() public {
        UnitId unitId = unaudited();
        uint256 wealth = token.balanceOf(node(7));
        VM.prank(node(7));
        challenge(unitId);
        seat(unitId);
        net.pass(151);
        committee.resolve(unitId);
        same(status(unitId), UnitStatus.Faulted, "faulted");
        same(token.balanceOf(node(7)), wealth, "deposit back");
    }

    /// @notice A challenged worker opens and is upheld.
    function test_challenge_workerOpens_isUpheld() public {
        UnitId unitId = unaudited();
        VM.prank(node(7));
        challenge(unitId);
        address[] memory jurors = seat(unitId);
        for (uint256 i = 0; i < 3; ++i) {
            vote(unitId, jurors[i], TRUTH);
        }
        open(unitId, TRUTH);
        for (uint256 i = 0; i < 3; ++i) {
            revealVote(unitId, jurors[i], TRUTH);
        }
        committee.resolve(unitId);
        same(status(unitId), UnitStatus.Verified, "upheld");
    }

    /// @notice Who may challenge what, and until when.
    function test_challenge_illegalNeighbours_areRefused() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        refuse(
            node(2),
            unitId,
            abi.encodeWithSelector(IWorkLedger.WrongStatus.selector, unitId, UnitStatus.Drawn)
        );
        audit(unitId, TRUTH, TRUTH);
        refuse(
            node(1),
            unitId,
            abi.encodeWithSelector(IWorkLedger.OwnUnit.selector, unitId, node(1))
        );
        refuse(
            submitter,
            unitId,
            abi.encodeWithSelector(IWorkLedger.NotActive.selector, submitter)
        );
        setParameter(Parameter.CommitteeSize, 7);
        refuse(node(2), unitId, abi.encodeWithSelector(IWorkLedger.TooFewJurors.selector, 6, 7));
        setParameter(Parameter.CommitteeSize, 3);
        uint64 deadline = unitOf(unitId).deadline;
        net.pass(31);
        refuse(
            node(2),
            unitId,
            abi.encodeWithSelector(IWorkLedger.DeadlinePassed.selector, unitId, deadline)
        );
    }

    /// @notice A coordinator that works takes one node from the jury's pool, not two.
    function test_challenge_coordinatorsOwnUnit_countsItOnce() public {
        stage(4);
        jobId = openJob(1, 1);
        UnitId unitId = drawn(jobId, 0, 0, coordinator, TRUTH);
        audit(unitId, TRUTH, TRUTH);
        VM.prank(node(1));
        challenge(unitId);
        same(decide(unitId, TRUTH, TRUTH, TRUTH).length, 3, "all others sit");
    }

    /// @notice In the last second of its window a unit can be challenged, and so its round not finalised.
    function test_challenge_lastSecond_isBeforeTheEndOfTheRound() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        audit(unitId, TRUTH, TRUTH);
        uint64 deadline = unitOf(unitId).deadline;
        VM.warp(deadline);
        VM.prank(coordinator);
        VM.expectRevert(
            abi.encodeWithSelector(
                IWorkLedger.SlotNotFinal.selector,
                unitId,
                UnitStatus.Verified,
                deadline
            )
        );
        ledger.finalizeRound(jobId, 0, keccak256("c"), keccak256("b"), 1, roundClaims(jobId, 0));
        VM.prank(node(2));
        challenge(unitId);
    }

    /// @notice Only the referee's seat gives verdicts and opens disputes.
    function test_seats_strangers_areRefused() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.NotReferee.selector, address(this)));
        ledger.onVerdict(unitId, keccak256("r"), new address[](0));
        address anyone = node(2);
        VM.expectRevert(abi.encodeWithSelector(IAuditCommittee.NotSeat.selector, address(this)));
        committee.open(unitId, anyone, anyone, anyone);
        address referee = address(net.seat());
        expectStatusError(unitId, UnitStatus.Drawn);
        VM.prank(referee);
        ledger.onVerdict(unitId, keccak256("r"), new address[](0));
    }

    /// @notice Votes are blind: no reveal before all are in, no vote after.
    function test_committee_votes_areBlindAndFinal() public {
        UnitId unitId = disputed();
        expectPhase(unitId, DisputePhase.Drawing);
        committee.commitVote(unitId, keccak256("v"));
        VM.expectRevert(
            abi.encodeWithSelector(
                IAuditCommittee.DrawTooEarly.selector,
                unitId,
                VM.getBlockNumber() + 1
            )
        );
        committee.draw(unitId);
        address[] memory jurors = seat(unitId);
        expectPhase(unitId, DisputePhase.Voting);
        committee.draw(unitId);
        VM.expectRevert(
            abi.encodeWithSelector(IAuditCommittee.NotJuror.selector, unitId, address(this))
        );
        committee.commitVote(unitId, keccak256("v"));
        VM.startPrank(jurors[0]);
        VM.expectRevert(abi.encodeWithSelector(IAuditCommittee.ZeroValue.selector, unitId));
        committee.commitVote(unitId, 0);
        VM.stopPrank();
        vote(unitId, jurors[0], TRUTH);
        VM.startPrank(jurors[0]);
        VM.expectRevert(
            abi.encodeWithSelector(IAuditCommittee.AlreadyCommitted.selector, unitId, jurors[0])
        );
        committee.commitVote(unitId, keccak256("v"));
        expectPhase(unitId, DisputePhase.Voting);
        committee.revealVote(unitId, keccak256("r"), 0);
        VM.stopPrank();
        expectPhase(unitId, DisputePhase.Voting);
        committee.resolve(unitId);
        vote(unitId, jurors[1], TRUTH);
        net.pass(101);
        expectPhase(unitId, DisputePhase.Revealing);
        VM.prank(jurors[2]);
        committee.commitVote(unitId, keccak256("v"));
        VM.startPrank(jurors[2]);
        VM.expectRevert(
            abi.encodeWithSelector(IAuditCommittee.NothingToReveal.selector, unitId, jurors[2])
        );
        committee.revealVote(unitId, keccak256("r"), 0);
        VM.stopPrank();
        VM.startPrank(jurors[0]);
        VM.expectRevert(
            abi.encodeWithSelector(IAuditCommittee.WrongReveal.selector, unitId, jurors[0])
        );
        committee.revealVote(unitId, keccak256("r"), 0);
        VM.stopPrank();
        revealVote(unitId, jurors[0], TRUTH);
        expectPhase(unitId, DisputePhase.Revealing);
        committee.resolve(unitId);
        revealVote(unitId, jurors[1], TRUTH);
        committee.resolve(unitId);
        same(status(unitId), UnitStatus.Faulted, "two of three seats decide");
        expectPhase(unitId, DisputePhase.Resolved);
        committee.resolve(unitId);
        Dispute memory record = committee.dispute(unitId);
        same(record.verdict, net.unitRoot(unitId, TRUTH), "verdict");
        same(record.votes[2], 0, "the absent juror");
    }

    /// @notice A draw that is missed gets a new block instead of a hash that somebody chose.
    function test_draw_missed_setsANewBlock() public {
        UnitId unitId = disputed();
        VM.roll(VM.getBlockNumber() + 400);
        committee.draw(unitId);
        same(committee.dispute(unitId).drawBlock, VM.getBlockNumber() + 1, "later block");
        same(seat(unitId).length, 3, "jury");
    }

    /// @notice One vote of three seats is no majority, whoever is absent.
    function test_resolve_oneVoteOfThree_voids() public {
        UnitId unitId = disputed();
        address[] memory jurors = seat(unitId);
        vote(unitId, jurors[0], TRUTH);
        net.pass(101);
        revealVote(unitId, jurors[0], TRUTH);
        committee.resolve(unitId);
        same(status(unitId), UnitStatus.Voided, "void");
    }

    /// @notice A tie of an even jury is no majority.
    function test_resolve_tieOfFour_voids() public {
        setParameter(Parameter.CommitteeSize, 4);
        UnitId unitId = disputed();
        address[] memory jurors = seat(unitId);
        for (uint256 i = 0; i < 4; ++i) {
            vote(unitId, jurors[i], i < 2 ? TRUTH : LIE);
        }
        for (uint256 i = 0; i < 4; ++i) {
            revealVote(unitId, jurors[i], i < 2 ? TRUTH : LIE);
        }
        committee.resolve(unitId);
        same(status(unitId), UnitStatus.Voided, "void");
    }

    /// @notice The last second of a phase still belongs to it.
    function test_committee_deadlines_areExact() public {
        UnitId unitId = disputed();
        address[] memory jurors = seat(unitId);
        VM.warp(committee.dispute(unitId).commitDeadline);
        vote(unitId, jurors[0], TRUTH);
        vote(unitId, jurors[1], TRUTH);
        VM.warp(uint256(committee.dispute(unitId).commitDeadline) + 1);
        expectPhase(unitId, DisputePhase.Revealing);
        VM.prank(jurors[2]);
        committee.commitVote(unitId, keccak256("v"));
        VM.warp(committee.dispute(unitId).revealDeadline);
        revealVote(unitId, jurors[0], TRUTH);
        VM.warp(uint256(committee.dispute(unitId).revealDeadline) + 1);
        expectPhase(unitId, DisputePhase.Resolvable);
        VM.prank(jurors[1]);
        committee.revealVote(unitId, keccak256("r"), 0);
        committee.resolve(unitId);
        same(status(unitId), UnitStatus.Voided, "one vote is too few");
    }

    /// @notice Any fault, also an auditor's, ends the trust that was earned.
    function test_fault_resetsCleanUnits() public {
        UnitId unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        audit(unitId, TRUTH, TRUTH);
        net.pass(31);
        finalize(jobId, 0);
        same(ledger.cleanUnits(node(1)), 1, "earned");
        unitId = drawn(jobId, 1, 0, node(1), LIE);
        audit(unitId, LIE, TRUTH);
        decide(unitId, TRUTH, TRUTH, TRUTH);
        same(ledger.cleanUnits(node(1)), 0, "lost");
    }

    function disputed() private returns (UnitId unitId) {
        unitId = drawn(jobId, 0, 0, node(1), LIE);
        audit(unitId, LIE, TRUTH);
    }

    /// @dev A unit of node 1 that passed because its auditors were late.
    function unaudited() private returns (UnitId unitId) {
        unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        for (uint256 i = 0; i < 4; ++i) {
            net.pass(101);
            ledger.expire(unitId);
        }
    }

    /// @dev A node that is neither coordinator nor among the two.
    function other(address first, address second) private view returns (address) {
        for (uint256 i = 1; i < 8; ++i) {
            if (node(i) != first && node(i) != second) return node(i);
        }
        revert("none");
    }

    function expectPhase(UnitId unitId, DisputePhase phase) private {
        check(committee.dispute(unitId).phase == phase, "phase");
        VM.expectRevert(abi.encodeWithSelector(IAuditCommittee.WrongPhase.selector, unitId, phase));
    }

    function refuse(address caller, UnitId unitId, bytes memory reason) private {
        VM.prank(caller);
        VM.expectRevert(reason);
        challenge(unitId);
    }
}
