// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IAuditCommittee} from "../../../contracts/interfaces/IAuditCommittee.sol";
import {IBondVault} from "../../../contracts/interfaces/IBondVault.sol";
import {IEmissionController} from "../../../contracts/interfaces/IEmissionController.sol";
import {IEmissionSchedule} from "../../../contracts/interfaces/IEmissionSchedule.sol";
import {IJobEscrow} from "../../../contracts/interfaces/IJobEscrow.sol";
import {INetworkParameters} from "../../../contracts/interfaces/INetworkParameters.sol";
import {IRewardDistributor} from "../../../contracts/interfaces/IRewardDistributor.sol";
import {IWorkLedger} from "../../../contracts/interfaces/IWorkLedger.sol";
import {JobId, UnitId} from "../../../contracts/types/Identifiers.sol";
import {JobTerms} from "../../../contracts/types/Job.sol";
import {Parameter} from "../../../contracts/types/Parameter.sol";
import {Claim, UnitStatus} from "../../../contracts/types/Work.sol";
import {Assert} from "./Assert.sol";
import {Claims} from "./Claims.sol";
import {Network} from "./Network.sol";
import {Log, VM} from "./Vm.sol";

/// @notice A network on which directed tests play single scenes. Node 0 coordinates.
abstract contract Stage is Assert, Claims {
    uint256 internal constant TRUTH = 0;
    uint256 internal constant LIE = 1;
    uint256 internal constant MISSING = 99;

    Network internal net;
    IERC20 internal token;
    INetworkParameters internal parameters;
    IBondVault internal vault;
    IJobEscrow internal escrow;
    IAuditCommittee internal committee;
    IRewardDistributor internal distributor;
    IEmissionController internal emission;
    IEmissionSchedule internal schedule;
    address internal submitter = address(0xB0B);
    address internal coordinator;

    /// @param nodeCount Bonded nodes, the coordinator included.
    function stage(uint256 nodeCount) internal {
        net = new Network(address(this), nodeCount);
        token = net.token();
        parameters = net.parameters();
        vault = net.vault();
        escrow = net.escrow();
        ledger = net.ledger();
        committee = net.committee();
        distributor = net.distributor();
        emission = net.emission();
        schedule = IEmissionSchedule(address(token));
        coordinator = nodeCount == 0 ? address(0) : net.nodes(0);
        net.equip(submitter, 1_000_000 ether);
    }

    function node(uint256 index) internal view returns (address) {
        return net.nodes(index);
    }

    /// @notice A funded job under the coordinator's lease.
    function openJob(uint32 rounds, uint32 slots) internal returns (JobId jobId) {
        return openJobAhead(rounds, slots, 0);
    }

    /// @notice The same, with rounds that may run ahead of open audits.
    function openJobAhead(
        uint32 rounds,
        uint32 slots,
        uint8 roundsAhead
    ) internal returns (JobId jobId) {
        JobTerms memory terms = net.terms(rounds, slots);
        terms.roundsAhead = roundsAhead;
        VM.prank(submitter);
        jobId = escrow.fund(terms);
        VM.prank(coordinator);
        ledger.takeLease(jobId);
    }

    /// @notice One claim in one batch.
    function commitOne(
        JobId jobId,
        uint32 round,
        uint32 slot,
        address worker,
        uint256 flavour
    ) internal returns (UnitId unitId) {
        Claim[] memory claims = new Claim[](1);
        claims[0] = net.claimOf(jobId, round, slot, worker, flavour);
        unitId = ledger.slotUnit(jobId, round, slot);
        VM.prank(coordinator);
        commit(jobId, round, claims);
    }

    /// @notice Captures the latest batch of a round.
    function capture(JobId jobId, uint32 round) internal {
        net.nextBlock();
        net.nextBlock();
        uint32 index = ledger.roundState(jobId, round).batches - 1;
        ledger.captureDraw(jobId, round, index, claimsAt(jobId, round, index));
    }

    /// @notice Commits and captures: a unit in probation has an auditor now.
    function drawn(
        JobId jobId,
        uint32 round,
        uint32 slot,
        address worker,
        uint256 flavour
    ) internal returns (UnitId unitId) {
        unitId = commitOne(jobId, round, slot, worker, flavour);
        capture(jobId, round);
    }

    function commitAudit(UnitId unitId, uint256 flavour) internal {
        address auditor = unitOf(unitId).auditor;
        bytes32 commitment = net.commitment(unitId, auditor, flavour);
        VM.prank(auditor);
        ledger.commitAudits(ids(unitId), words(commitment));
    }

    function open(UnitId unitId, uint256 flavour) internal {
        (, bytes32 traceRoot) = net.roots(unitId, flavour);
        ledger.openUnits(
            ids(unitId),
            words(traceRoot),
            words(net.salt(unitId, unitOf(unitId).worker))
        );
    }

    function reveal(UnitId unitId, uint256 flavour) internal {
        bytes32 salt = net.salt(unitId, unitOf(unitId).auditor);
        ledger.revealAudits(ids(unitId), words(net.unitRoot(unitId, flavour)), words(salt));
    }

    /// @notice A whole audit of a drawn unit.
    function audit(UnitId unitId, uint256 workerFlavour, uint256 auditorFlavour) internal {
        commitAudit(unitId, auditorFlavour);
        open(unitId, workerFlavour);
        reveal(unitId, auditorFlavour);
    }

    /// @notice Draws the jury of a disputed unit.
    function seat(UnitId unitId) internal returns (address[] memory jurors) {
        net.nextBlock();
        net.nextBlock();
        committee.draw(unitId);
        return committee.dispute(unitId).jurors;
    }

    function vote(UnitId unitId, address juror, uint256 flavour) internal {
        bytes32 commitment = net.commitment(unitId, juror, flavour);
        VM.prank(juror);
        committee.commitVote(unitId, commitment);
    }

    function revealVote(UnitId unitId, address juror, uint256 flavour) internal {
        (bytes32 root, bytes32 salt) = (net.unitRoot(unitId, flavour), net.salt(unitId, juror));
        VM.prank(juror);
        committee.revealVote(unitId, root, salt);
    }

    /// @notice A jury of three decides.
    function decide(
        UnitId unitId,
        uint256 first,
        uint256 second,
        uint256 third
    ) internal returns (address[] memory) {
        address[] memory jurors = seat(unitId);
        vote(unitId, jurors[0], first);
        vote(unitId, jurors[1], second);
        vote(unitId, jurors[2], third);
        revealVote(unitId, jurors[0], first);
        revealVote(unitId, jurors[1], second);
        revealVote(unitId, jurors[2], third);
        committee.resolve(unitId);
        return jurors;
    }

    function finalize(JobId jobId, uint32 round) internal {
        VM.prank(coordinator);
        ledger.finalizeRound(
            jobId,
            round,
            keccak256("checkpoint"),
            keccak256("checkpoint blob"),
            99,
            roundClaims(jobId, round)
        );
    }

    function anchor(JobId jobId, uint32 round, bytes32 checkpoint) internal {
        VM.prank(coordinator);
        ledger.anchorRound(jobId, round, checkpoint, keccak256("checkpoint blob"), 99);
    }

    function status(UnitId unitId) internal view returns (UnitStatus) {
        return unitOf(unitId).status;
    }

    /// @notice What a unit of the stage's jobs locks: about 100 tokens, a tenth of a bond.
    function unitLock() internal view returns (uint256) {
        return ledger.lockWeiOf(net.UNIT_WEI());
    }

    /// @notice Has an account bond what so many more units lock.
    function cover(address account, uint256 units) internal {
        uint256 amount = units * unitLock();
        VM.prank(account);
        vault.bond(amount, "");
    }

    function setParameter(Parameter parameter, uint256 value) internal {
        parameters.set(parameter, value);
    }

    function expectStatusError(UnitId unitId, UnitStatus actual) internal {
        VM.expectRevert(abi.encodeWithSelector(IWorkLedger.WrongStatus.selector, unitId, actual));
    }

    /// @notice The accounts and amounts of the latest RoundRewards among recorded events.
    function recordedRewards()
        internal
        returns (address[] memory accounts, uint256[] memory amounts)
    {
        Log[] memory logs = VM.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] != IWorkLedger.RoundRewards.selector) continue;
            (accounts, amounts) = abi.decode(logs[i].data, (address[], uint256[]));
        }
    }

    /// @notice Somebody who earns, and so much: a round's receipt with one line.
    function earner() internal pure returns (address[] memory list) {
        list = new address[](1);
        list[0] = address(0xACC);
    }

    function one(uint256 amount) internal pure returns (uint256[] memory list) {
        list = new uint256[](1);
        list[0] = amount;
    }

    function ids(UnitId unitId) internal pure returns (UnitId[] memory list) {
        list = new UnitId[](1);
        list[0] = unitId;
    }

    function words(bytes32 word) internal pure returns (bytes32[] memory list) {
        list = new bytes32[](1);
        list[0] = word;
    }
}
