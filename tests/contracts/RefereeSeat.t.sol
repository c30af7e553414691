// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAuditCommittee} from "../../contracts/interfaces/IAuditCommittee.sol";
import {IBondVault} from "../../contracts/interfaces/IBondVault.sol";
import {IReferee} from "../../contracts/interfaces/IReferee.sol";
import {IRefereeSeat} from "../../contracts/interfaces/IRefereeSeat.sol";
import {IWorkLedger} from "../../contracts/interfaces/IWorkLedger.sol";
import {JobId, UnitId} from "../../contracts/types/Identifiers.sol";
import {PARAMETER_COUNT, Parameter} from "../../contracts/types/Parameter.sol";
import {UnitStatus} from "../../contracts/types/Work.sol";
import {Network} from "./helpers/Network.sol";
import {Stage} from "./helpers/Stage.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice A network whose ledger has a committee for its referee, without a seat in between.
contract DirectNetwork is Network {
    constructor(address owner, uint256 count) Network(owner, count) {}

    function bindReferee(address) internal override {
        committee = IAuditCommittee(
            deploy("AuditCommittee", abi.encode(parameters, vault, ledger, ledger))
        );
        ledger.bind(address(committee));
    }
}

/// @notice Who takes the seat, when, and who judges what. The test itself is the DAO's timelock.
contract RefereeSeatTest is Stage {
    address private constant STRANGER = address(0xBAD);

    IRefereeSeat private place;
    IAuditCommittee private second;
    JobId private jobId;

    function setUp() public {
        stage(8);
        place = net.seat();
        second = net.newCommittee();
        jobId = openJob(3, 1);
    }

    /// @notice Under whatever parameters, who asks for its bond when a successor is announced, even after
    /// it saw its last unit through, has it before.
    function testFuzz_notice_anyParameters_isLongerThanAnyExit(uint8 which, uint256 value) public {
        Parameter parameter = Parameter(which % PARAMETER_COUNT);
        (uint256 min, uint256 max) = parameters.bounds(parameter);
        value = min + (value % (max - min + 1));
        if (parameters.get(Parameter.UnbondDelayS) < 90 days)
            setParameter(Parameter.UnbondDelayS, 90 days);
        try parameters.set(parameter, value) {} catch {}
        uint256 exitS = parameters.exposureS() + parameters.get(Parameter.UnbondDelayS);
        check(place.noticeS() > exitS, "a notice longer than the longest exit");
    }

    /// @notice The longest exit is that of the hard bounds: 90 days after an exposure of 49.
    function test_notice_length_isThatOfTheBounds() public view {
        same(parameters.longestExitS(), 139 days, "the longest exit");
        same(place.noticeS(), 146 days, "and a week");
    }

    /// @notice A bond that is asked for when a successor is announced is home before it judges.
    function test_announced_wholeBondAskedFor_leavesBefore() public {
        setParameter(Parameter.UnbondDelayS, 90 days);
        place.propose(second);
        net.pass(6 days);
        uint256 bond = vault.bondOf(node(1));
        VM.prank(node(1));
        vault.requestUnbond(bond);
        net.pass(90 days);
        VM.prank(node(1));
        vault.withdraw();
        same(vault.bondOf(node(1)), 0, "gone");
        (, uint64 seatedAt) = place.pending();
        check(VM.getBlockTimestamp() + parameters.exposureS() < seatedAt, "long before");
    }

    /// @notice The change comes at its second, with nobody calling anything.
    function test_referee_change_comesByTheClock() public {
        uint256 start = VM.getBlockTimestamp();
        VM.expectEmit(address(place));
        emit IRefereeSeat.SuccessorProposed(address(second), uint64(start + 146 days));
        place.propose(second);
        expectPending(second, start + 146 days);
        VM.warp(start + 146 days - 1);
        same(address(place.referee()), address(committee), "not yet");
        expectPending(second, start + 146 days);
        VM.warp(start + 146 days);
        same(address(place.referee()), address(second), "now");
        expectPending(IReferee(address(0)), 0);
        VM.expectRevert(IRefereeSeat.NothingProposed.selector);
        place.withdraw();
    }

    /// @notice The next proposal changes nothing before its own time.
    function test_propose_afterAChange_keepsWhoHasTheSeat() public {
        IAuditCommittee third = net.newCommittee();
        place.propose(second);
        net.pass(146 days);
        place.propose(third);
        same(address(place.referee()), address(second), "the second");
        net.pass(146 days - 1);
        same(address(place.referee()), address(second), "still");
        net.pass(1);
        same(address(place.referee()), address(third), "the third");
    }

    /// @notice A dispute stays with the referee that opened it, a later one is the successor's, and
    /// neither decides the other's.
    function test_dispute_acrossAChange_staysWhereItWasOpened() public {
        place.propose(second);
        net.pass(146 days - 1_000);
        JobId late = openJob(2, 1);
        UnitId before = drawn(late, 0, 0, node(1), LIE);
        audit(before, LIE, TRUTH);
        same(address(place.judgeOf(before)), address(committee), "opened with the first");
        net.pass(1_000);
        UnitId later = disputeOf(openJob(2, 1), node(2));
        same(address(place.judgeOf(later)), address(second), "opened with the second");
        expectNotJudge(second, before);
        expectNotJudge(committee, later);
        decide(before, TRUTH, TRUTH, TRUTH);
        same(status(before), UnitStatus.Faulted, "judged by the first");
        committee = second;
        decide(later, TRUTH, TRUTH, TRUTH);
        same(status(later), UnitStatus.Faulted, "judged by the second");
        same(address(place.judgeOf(before)), address(0), "over");
        expectNotJudge(second, later);
    }

    /// @notice Nobody but the DAO proposes: not the guardian, not the referee, not the treasury.
    function test_propose_others_areRefused() public {
        address[5] memory others = [
            STRANGER,
            net.guardian(),
            address(committee),
            address(second),
            address(net)
        ];
        for (uint256 i = 0; i < others.length; ++i) {
            VM.prank(others[i]);
            VM.expectRevert(abi.encodeWithSelector(IRefereeSeat.NotDao.selector, others[i]));
            place.propose(second);
        }
    }

    /// @notice One waits at a time; whoever is to come sooner or instead begins its time anew.
    function test_propose_whileOneWaits_isRefused() public {
        uint256 start = VM.getBlockTimestamp();
        place.propose(second);
        net.pass(100 days);
        IAuditCommittee third = net.newCommittee();
        bytes memory expected = abi.encodeWithSelector(
            IRefereeSeat.AlreadyProposed.selector,
            second,
            uint64(start + 146 days)
        );
        VM.expectRevert(expected);
        place.propose(third);
        VM.expectRevert(expected);
        place.propose(second);
        place.withdraw();
        place.propose(third);
        expectPending(third, start + 246 days);
    }

    /// @notice DAO and guardian withdraw; the guardian only while it has power, others never.
    function test_withdraw_daoAndGuardian_only() public {
        VM.expectRevert(IRefereeSeat.NothingProposed.selector);
        place.withdraw();
        place.propose(second);
        expectNotDao(STRANGER);
        expectNotDao(address(committee));
        expectNotDao(address(second));
        VM.expectEmit(address(place));
        emit IRefereeSeat.SuccessorWithdrawn(address(second), net.guardian());
        VM.prank(net.guardian());
        place.withdraw();
        expectPending(IReferee(address(0)), 0);
        VM.warp(net.guardianUntil() - 1);
        place.propose(second);
        VM.warp(net.guardianUntil());
        expectNotDao(net.guardian());
        place.withdraw();
        net.pass(146 days);
        same(address(place.referee()), address(committee), "as it was");
    }

    /// @notice What cannot be called, tells somebody else or sits there already is no successor.
    function test_propose_uselessReferee_isRefused() public {
        expectBadReferee(IReferee(STRANGER));
        expectBadReferee(committee);
        // The seat itself reports to the ledger.
        expectBadReferee(place);
        expectBadReferee(IReferee(strayCommittee()));
    }

    /// @notice The first referee is bound once, by who deployed the seat.
    function test_bind_again_isRefused() public {
        VM.expectRevert(abi.encodeWithSelector(IRefereeSeat.NotDeployer.selector, address(this)));
        place.bind(second);
        VM.prank(address(net));
        VM.expectRevert(abi.encodeWithSelector(IRefereeSeat.AlreadyBound.selector, committee));
        place.bind(second);
    }

    /// @notice Disputes come from the ledger, verdicts from their judge.
    function test_seats_strangers_areRefused() public {
        (address worker, address other) = (node(1), node(2));
        UnitId unitId = drawn(jobId, 0, 0, worker, LIE);
        VM.expectRevert(abi.encodeWithSelector(IRefereeSeat.NotLedger.selector, address(this)));
        place.open(unitId, worker, other, other);
        expectNotJudge(committee, unitId);
        audit(unitId, LIE, TRUTH);
        VM.expectRevert(
            abi.encodeWithSelector(IRefereeSeat.NotJudge.selector, unitId, address(this))
        );
        place.onVerdict(unitId, keccak256("r"), new address[](0));
    }

    /// @notice Whoever tries, DAO, guardian, referees and deployer included: no bond moves but by a
    /// verdict of the dispute's judge through the seat.
    function test_bonds_everybodyTries_stay() public {
        address worker = node(1);
        UnitId unitId = disputeOf(jobId, worker);
        place.propose(second);
        address[7] memory who = [
            STRANGER,
            address(this),
            net.guardian(),
            address(committee),
            address(second),
            address(place),
            address(net)
        ];
        uint256 bond = vault.bondOf(worker);
        for (uint256 i = 0; i < who.length; ++i) {
            VM.startPrank(who[i]);
            VM.expectRevert(abi.encodeWithSelector(IBondVault.NotLedger.selector, who[i]));
            vault.slash(worker, 1 ether, new address[](0));
            if (who[i] != address(place)) {
                VM.expectRevert(abi.encodeWithSelector(IWorkLedger.NotReferee.selector, who[i]));
                ledger.onVerdict(unitId, keccak256("r"), new address[](0));
            }
            if (who[i] != address(committee)) {
                VM.expectRevert(
                    abi.encodeWithSelector(IRefereeSeat.NotJudge.selector, unitId, who[i])
                );
                place.onVerdict(unitId, keccak256("r"), new address[](0));
            }
            VM.stopPrank();
        }
        same(vault.bondOf(worker), bond, "whole");
        decide(unitId, TRUTH, TRUTH, TRUTH);
        same(vault.bondOf(worker), bond - unitLock(), "by a verdict");
    }

    function disputeOf(JobId job, address worker) private returns (UnitId unitId) {
        unitId = drawn(job, 0, 0, worker, LIE);
        audit(unitId, LIE, TRUTH);
    }

    /// @dev It tells the ledger itself, which would not hear it.
    function strayCommittee() private returns (address) {
        return net.deploy("AuditCommittee", abi.encode(parameters, vault, ledger, ledger));
    }

    function expectPending(IReferee successor, uint256 seatedAt) private view {
        (IReferee found, uint64 when) = place.pending();
        same(address(found), address(successor), "who waits");
        same(when, seatedAt, "until when");
    }

    function expectNotJudge(IAuditCommittee caller, UnitId unitId) private {
        VM.prank(address(caller));
        VM.expectRevert(
            abi.encodeWithSelector(IRefereeSeat.NotJudge.selector, unitId, address(caller))
        );
        place.onVerdict(unitId, keccak256("r"), new address[](0));
    }

    function expectNotDao(address caller) private {
        VM.prank(caller);
        VM.expectRevert(abi.encodeWithSelector(IRefereeSeat.NotDao.selector, caller));
        place.withdraw();
    }

    function expectBadReferee(IReferee candidate) private {
        VM.expectRevert(
            abi.encodeWithSelector(IRefereeSeat.BadReferee.selector, address(candidate))
        );
        place.propose(candidate);
    }
}

/// @notice What the detour through the seat adds to a dispute: opening it, and its verdict.
contract RefereeSeatGasTest is Stage {
    Network private direct;

    function setUp() public {
        stage(8);
        direct = new DirectNetwork(address(this), 8);
    }

    /// @notice Little, beside what a dispute costs anyway.
    function test_gas_throughTheSeat_isSmall() public {
        (uint256 opening, uint256 verdict) = gasOfADispute();
        net = direct;
        (ledger, escrow, committee) = (net.ledger(), net.escrow(), net.committee());
        net.equip(submitter, 1_000 ether);
        (uint256 openingBefore, uint256 verdictBefore) = gasOfADispute();
        check(opening - openingBefore < 31_000, "opening");
        check(verdict - verdictBefore < 3_000, "verdict");
    }

    function gasOfADispute() private returns (uint256 opening, uint256 verdict) {
        UnitId unitId = drawn(openJob(3, 1), 0, 0, node(1), LIE);
        commitAudit(unitId, TRUTH);
        open(unitId, LIE);
        opening = gasleft();
        reveal(unitId, TRUTH);
        opening -= gasleft();
        address[] memory jurors = seat(unitId);
        for (uint256 i = 0; i < 3; ++i) {
            vote(unitId, jurors[i], TRUTH);
        }
        for (uint256 i = 0; i < 3; ++i) {
            revealVote(unitId, jurors[i], TRUTH);
        }
        verdict = gasleft();
        committee.resolve(unitId);
        verdict -= gasleft();
    }
}
