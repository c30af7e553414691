// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAuditCommittee} from "../../contracts/interfaces/IAuditCommittee.sol";
import {IBondVault} from "../../contracts/interfaces/IBondVault.sol";
import {IEmissionController} from "../../contracts/interfaces/IEmissionController.sol";
import {IEmissionSchedule} from "../../contracts/interfaces/IEmissionSchedule.sol";
import {IJobEscrow} from "../../contracts/interfaces/IJobEscrow.sol";
import {INetworkParameters} from "../../contracts/interfaces/INetworkParameters.sol";
import {IRewardDistributor} from "../../contracts/interfaces/IRewardDistributor.sol";
import {IWorkLedger} from "../../contracts/interfaces/IWorkLedger.sol";
import {Hashes} from "../../contracts/libraries/Hashes.sol";
import {Dispute, DisputePhase} from "../../contracts/types/Dispute.sol";
import {EmissionPlan} from "../../contracts/types/Emission.sol";
import {JobId, UnitId} from "../../contracts/types/Identifiers.sol";
import {Job, JobTerms} from "../../contracts/types/Job.sol";
import {Parameter} from "../../contracts/types/Parameter.sol";
import {Claim} from "../../contracts/types/Work.sol";
import {EmissionStage} from "./helpers/EmissionStage.sol";
import {Log, VM} from "./helpers/Vm.sol";

/// @notice Nodes know the chain by its events alone: each is emitted, with every one of its values.
contract EventsTest is EmissionStage {
    function setUp() public {
        stage(7);
    }

    /// @notice A job from its deposit to the refund of all of it.
    function test_escrow_cancelledJob_tellsEachStep() public {
        JobTerms memory terms = net.terms(2, 3);
        uint256 depositWei = escrow.quote(terms);
        uint128 auditWei = (terms.unitWei * 2_500) / 10_000;
        uint256 dataWei = (6 * (uint256(terms.unitWei) + auditWei) * 1_000 + 9_999) / 10_000;
        JobId jobId = JobId.wrap(keccak256(abi.encode(block.chainid, escrow, submitter, 0)));
        VM.expectEmit(address(escrow));
        emit IJobEscrow.JobFunded(jobId, submitter, terms, auditWei, terms.unitWei, depositWei);
        VM.expectEmit(address(escrow));
        emit IJobEscrow.DataDeposited(jobId, dataWei);
        VM.prank(submitter);
        escrow.fund(terms);
        same(escrow.jobs(jobId).dataWei, dataWei, "stored");
        VM.expectEmit(address(escrow));
        emit IJobEscrow.JobCancelled(jobId);
        VM.expectEmit(address(escrow));
        emit IJobEscrow.JobSettled(jobId);
        VM.expectEmit(address(escrow));
        emit IJobEscrow.JobRefunded(jobId, submitter, depositWei);
        VM.prank(submitter);
        escrow.cancel(jobId);
        Job memory job = escrow.jobs(jobId);
        same(job.cancelledAt, VM.getBlockTimestamp(), "when");
        same(job.refunded, depositWei, "all");
    }

    /// @notice A paid round, the last one, and what the escrow tells of the emission.
    function test_escrow_paidRound_tellsPayAndFee() public {
        JobId jobId = openJob(2, 1);
        (uint256 amount, uint256 fee) = (3 ether, uint256(3 ether * 333) / 10_000);
        VM.expectEmit(address(escrow));
        emit IJobEscrow.RoundPaid(jobId, 0, amount, fee);
        VM.expectEmit(address(distributor));
        emit IRewardDistributor.Credited(token, address(escrow), earner(), one(amount));
        VM.expectEmit(address(emission));
        emit IEmissionController.EpochOpened(0, 10_000, 1_234, 1e16);
        VM.expectEmit(address(emission));
        emit IEmissionController.RoundCounted(jobId, 0, 0, 7_000_000_001);
        VM.prank(address(ledger));
        escrow.payRound(jobId, 0, earner(), one(amount));
        VM.expectEmit(address(escrow));
        emit IJobEscrow.RoundPaid(jobId, 1, 0, 0);
        VM.expectEmit(address(escrow));
        emit IJobEscrow.JobCompleted(jobId);
        VM.prank(address(ledger));
        escrow.payRound(jobId, 1, earner(), one(0));
    }

    /// @notice What a charged data deposit went to.
    function test_escrow_chargedData_tellsTheShares() public {
        JobId jobId = openJob(30, 3);
        Job memory job = escrow.jobs(jobId);
        address[] memory jurors = new address[](2);
        (jurors[0], jurors[1]) = (node(3), node(4));
        (address worker, address auditor) = (node(1), node(2));
        uint256 unitWei = job.dataWei < job.terms.unitWei ? job.dataWei : job.terms.unitWei;
        uint256 left = job.dataWei - unitWei;
        uint256 auditorWei = left < job.auditWei ? left : job.auditWei;
        left -= auditorWei;
        uint256 jurorWei = left / 2 < job.auditWei ? left / 2 : job.auditWei;
        left -= 2 * jurorWei;
        VM.expectEmit(address(escrow));
        emit IJobEscrow.DataCharged(jobId, unitWei, auditorWei, jurorWei, 2, left);
        address[] memory accounts_ = new address[](4);
        uint256[] memory amounts_ = new uint256[](4);
        (accounts_[0], accounts_[1], amounts_[0]) = (worker, auditor, unitWei);
        (accounts_[2], accounts_[3], amounts_[1]) = (jurors[0], jurors[1], auditorWei);
        (amounts_[2], amounts_[3]) = (jurorWei, jurorWei);
        VM.expectEmit(address(distributor));
        emit IRewardDistributor.Credited(token, address(escrow), accounts_, amounts_);
        VM.prank(address(ledger));
        escrow.chargeData(jobId, worker, auditor, jurors);
    }

    /// @notice Seats are told when they are given.
    function test_bindings_tellTheSeats() public {
        IJobEscrow fresh = IJobEscrow(
            net.deploy("JobEscrow", abi.encode(address(token), address(parameters)))
        );
        VM.expectEmit(address(fresh));
        emit IJobEscrow.SeatsBound(address(1), address(2), address(3));
        VM.prank(address(net));
        fresh.bind(address(1), address(2), address(3));
        IEmissionSchedule minted = IEmissionSchedule(
            net.deploy("ComputeToken", abi.encode(address(1), 5, EmissionPlan(1, 1, 1)))
        );
        VM.expectEmit(address(minted));
        emit IEmissionSchedule.MinterBound(address(4));
        VM.prank(address(net));
        minted.bind(address(4));
        IBondVault bonds = IBondVault(
            net.deploy("BondVault", abi.encode(address(token), address(parameters)))
        );
        VM.expectEmit(address(bonds));
        emit IBondVault.SeatsBound(address(5), address(6));
        VM.prank(address(net));
        bonds.bind(address(5), address(6));
    }

    /// @notice A bond from its first token to its last: what a node's view of every account is made of.
    function test_vault_bond_tellsEachStep() public {
        address account = address(0xA11CE);
        net.equip(account, 1_000 ether);
        VM.startPrank(account);
        VM.expectEmit(address(vault));
        emit IBondVault.PeerIdChanged(account, "me");
        VM.expectEmit(address(vault));
        emit IBondVault.Bonded(account, 150 ether, 150 ether);
        VM.expectEmit(address(vault));
        emit IBondVault.ActiveChanged(account, true);
        vault.bond(150 ether, "me");
        VM.expectEmit(address(vault));
        emit IBondVault.Bonded(account, 50 ether, 200 ether);
        vault.bond(50 ether, "");
        uint64 availableAt = uint64(VM.getBlockTimestamp() + 2_000);
        VM.expectEmit(address(vault));
        emit IBondVault.UnbondRequested(account, 150 ether, 150 ether, availableAt);
        VM.expectEmit(address(vault));
        emit IBondVault.ActiveChanged(account, false);
        vault.requestUnbond(150 ether);
        VM.expectEmit(address(vault));
        emit IBondVault.UnbondCancelled(account, 150 ether);
        vault.cancelUnbond();
        vault.requestUnbond(20 ether);
        VM.warp(availableAt);
        VM.expectEmit(address(vault));
        emit IBondVault.Withdrawn(account, 20 ether, 180 ether);
        vault.withdraw();
        VM.stopPrank();
        VM.startPrank(address(ledger));
        VM.expectEmit(address(vault));
        emit IBondVault.BondLocked(account, 70 ether, 70 ether);
        vault.lock(account, 70 ether);
        VM.expectEmit(address(vault));
        emit IBondVault.BondUnlocked(account, 30 ether, 40 ether);
        vault.unlock(account, 30 ether);
        address[] memory provers = new address[](1);
        provers[0] = node(1);
        VM.expectEmit(address(vault));
        emit IBondVault.Slashed(account, 100 ether, 60 ether, 40 ether, 80 ether);
        vault.slash(account, 100 ether, provers);
        VM.stopPrank();
    }

    /// @notice A parameter tells what it was and what it is.
    function test_parameters_change_tellsBothValues() public {
        VM.expectEmit(address(parameters));
        emit INetworkParameters.ParameterChanged(Parameter.LeaseS, 400, 401);
        parameters.set(Parameter.LeaseS, 401);
    }

    /// @notice A claim tells what was minted, for whom and for which epoch, and what was paid.
    function test_claims_tellWhatTheyPay() public {
        JobId jobId = finished(0, 3);
        nextEpoch();
        (address account, uint256 pay) = (accounts[jobId][1], amounts[jobId][1]);
        (uint256 amount, uint256 treasuryWei) = emission.emissionOf(account, 0);
        address[] memory both = new address[](2);
        uint256[] memory shares = new uint256[](2);
        (both[0], both[1]) = (account, net.TREASURY());
        (shares[0], shares[1]) = (amount, treasuryWei);
        VM.expectEmit(address(emission));
        emit IEmissionController.EmissionClaimed(0, account, amount, treasuryWei);
        VM.expectEmit(address(distributor));
        emit IRewardDistributor.Credited(token, address(emission), both, shares);
        VM.expectEmit(address(distributor));
        emit IRewardDistributor.Claimed(token, account, pay + amount);
        emission.claim(account, one(0));
    }

    /// @notice A dispute from its opening to its verdict, with every fact that a node acts on.
    function test_committee_dispute_tellsEachStep() public {
        JobId jobId = openJob(1, 1);
        UnitId unitId = drawn(jobId, 0, 0, node(1), LIE);
        same(uint256(committee.dispute(unitId).phase), uint256(DisputePhase.None), "none yet");
        address auditor = ledger.unit(unitId).auditor;
        commitAudit(unitId, TRUTH);
        open(unitId, LIE);
        uint256 drawBlock = VM.getBlockNumber() + 1;
        bytes32[] memory roots = words(net.unitRoot(unitId, TRUTH));
        bytes32[] memory salts = words(net.salt(unitId, auditor));
        VM.expectEmit(address(committee));
        emit IAuditCommittee.DisputeOpened(unitId, drawBlock);
        ledger.revealAudits(ids(unitId), roots, salts);
        Dispute memory record = committee.dispute(unitId);
        same(record.openedAt, VM.getBlockTimestamp(), "when");
        same(record.worker, node(1), "worker");
        same(record.coordinator, coordinator, "coordinator");
        same(record.accuser, auditor, "accuser");
        same(record.drawBlock, drawBlock, "draw block");
        VM.recordLogs();
        address[] memory jurors = seat(unitId);
        expectSeated(jurors);
        uint256 voted = VM.getBlockTimestamp();
        same(committee.dispute(unitId).commitDeadline, voted + 100, "commit deadline");
        same(committee.dispute(unitId).revealDeadline, voted + 150, "reveal deadline");
        for (uint256 i = 0; i < 3; ++i) {
            bytes32 commitment = net.commitment(unitId, jurors[i], TRUTH);
            VM.expectEmit(address(committee));
            emit IAuditCommittee.VoteCommitted(unitId, jurors[i]);
            if (i == 2) {
                VM.expectEmit(address(committee));
                emit IAuditCommittee.VotingClosed(unitId, uint64(voted + 50));
            }
            VM.prank(jurors[i]);
            committee.commitVote(unitId, commitment);
            same(committee.dispute(unitId).commitments[i], commitment, "kept");
        }
        bytes32 truth = roots[0];
        for (uint256 i = 0; i < 3; ++i) {
            bytes32 salt = net.salt(unitId, jurors[i]);
            VM.expectEmit(address(committee));
            emit IAuditCommittee.VoteRevealed(unitId, jurors[i], truth);
            VM.prank(jurors[i]);
            committee.revealVote(unitId, truth, salt);
            same(committee.dispute(unitId).votes[i], truth, "told");
        }
        VM.expectEmit(address(committee));
        emit IAuditCommittee.DisputeResolved(unitId, truth, 3, 3);
        committee.resolve(unitId);
    }

    /// @notice A jury that cannot sit, and one that cannot agree, tell that nobody was upheld.
    function test_committee_void_tellsNoVotes() public {
        JobId jobId = openJob(1, 1);
        UnitId unitId = drawn(jobId, 0, 0, node(1), LIE);
        audit(unitId, LIE, TRUTH);
        seat(unitId);
        net.pass(200);
        VM.expectEmit(address(committee));
        emit IAuditCommittee.DisputeResolved(unitId, 0, 0, 3);
        committee.resolve(unitId);
    }

    /// @notice What nodes fold into who coordinates, what was claimed and what was spared.
    function test_ledger_leaseAndDraw_tellEachStep() public {
        JobId jobId = openJob(2, 1);
        net.pass(401);
        VM.expectEmit(address(ledger));
        emit IWorkLedger.LeaseTaken(jobId, node(3), uint64(VM.getBlockTimestamp() + 400), 2);
        VM.prank(node(3));
        ledger.takeLease(jobId);
        Claim[] memory claims = new Claim[](1);
        claims[0] = net.claimOf(jobId, 0, 0, node(1), TRUTH);
        bytes32 root = Hashes.claimLeaf(
            ledger.slotUnit(jobId, 0, 0),
            node(1),
            claims[0].resultRoot,
            claims[0].commitment
        );
        VM.expectEmit(address(ledger));
        emit IWorkLedger.RoundCommitted(jobId, 0, 0, root, VM.getBlockNumber() + 1, claims);
        VM.expectEmit(address(ledger));
        emit IWorkLedger.LeaseRenewed(jobId, node(3), uint64(VM.getBlockTimestamp() + 400));
        VM.prank(node(3));
        commit(jobId, 0, claims);
        VM.roll(VM.getBlockNumber() + 2);
        bytes32 seed = blockhash(VM.getBlockNumber() - 1);
        VM.expectEmit(address(ledger));
        emit IWorkLedger.DrawCaptured(jobId, 0, 0, seed, false);
        ledger.captureDraw(jobId, 0, 0, claimsAt(jobId, 0, 0));
    }

    /// @notice A challenger's deposit, paid, forfeited and returned.
    function test_ledger_challenges_tellTheDeposit() public {
        JobId jobId = openJob(1, 2);
        uint256 depositWei = parameters.get(Parameter.ChallengeDepositWei);
        uint256 bounty = ((depositWei * 4_000) / 10_000 / 3) * 3;
        UnitId right = drawn(jobId, 0, 0, node(1), TRUTH);
        audit(right, TRUTH, TRUTH);
        UnitId wrong = drawn(jobId, 0, 1, node(1), LIE);
        audit(wrong, LIE, LIE);
        address challenger = node(6);
        VM.expectEmit(address(ledger));
        emit IWorkLedger.ChallengeOpened(right, challenger, depositWei);
        VM.prank(challenger);
        challenge(right);
        VM.prank(challenger);
        challenge(wrong);
        judge(right, challenger, 0, bounty, depositWei - bounty);
        judge(wrong, challenger, depositWei, 0, 0);
    }

    /// @dev A jury finds the truth; the ledger tells what became of the deposit.
    function judge(
        UnitId unitId,
        address challenger,
        uint256 returnedWei,
        uint256 bountyWei,
        uint256 burnedWei
    ) private {
        address[] memory jurors = seat(unitId);
        for (uint256 i = 0; i < 3; ++i) {
            vote(unitId, jurors[i], TRUTH);
        }
        for (uint256 i = 0; i < 3; ++i) {
            revealVote(unitId, jurors[i], TRUTH);
        }
        VM.recordLogs();
        committee.resolve(unitId);
        Log[] memory logs = VM.getRecordedLogs();
        uint256 told = 0;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] != IWorkLedger.ChallengeClosed.selector) continue;
            ++told;
            check(logs[i].topics[1] == UnitId.unwrap(unitId), "unit");
            same(address(uint160(uint256(logs[i].topics[2]))), challenger, "challenger");
            (uint256 returned, uint256 bounty, uint256 burned) = abi.decode(
                logs[i].data,
                (uint256, uint256, uint256)
            );
            same(returned, returnedWei, "returned");
            same(bounty, bountyWei, "bounty");
            same(burned, burnedWei, "burned");
        }
        same(told, 1, "once");
    }

    /// @dev The jury is known only once it was drawn.
    function expectSeated(address[] memory jurors) private {
        Log[] memory logs = VM.getRecordedLogs();
        same(logs.length, 1, "one event");
        same(logs[0].topics[0], IAuditCommittee.JurorsDrawn.selector, "the jury");
        (address[] memory told, uint64 commitBy, uint64 revealBy) = abi.decode(
            logs[0].data,
            (address[], uint64, uint64)
        );
        same(told.length, jurors.length, "seats");
        for (uint256 i = 0; i < told.length; ++i) {
            same(told[i], jurors[i], "juror");
        }
        same(commitBy, VM.getBlockTimestamp() + 100, "to commit");
        same(revealBy, VM.getBlockTimestamp() + 150, "to reveal");
    }
}
