// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobEscrow} from "../../../contracts/interfaces/IJobEscrow.sol";
import {IRewardDistributor} from "../../../contracts/interfaces/IRewardDistributor.sol";
import {IWorkLedger} from "../../../contracts/interfaces/IWorkLedger.sol";
import {Delegation} from "../../../contracts/types/Bond.sol";
import {JobId, UnitId} from "../../../contracts/types/Identifiers.sol";
import {Job} from "../../../contracts/types/Job.sol";
import {Batch, Unit, UnitStatus} from "../../../contracts/types/Work.sol";
import {EmissionBooks} from "./EmissionBooks.sol";
import {Log, VM} from "./Vm.sol";

/// @notice What the players of a random sequence remember, and what must hold after every move.
/// @dev The ghosts count money on their own, so that the checks do not believe the contracts' books.
abstract contract Books is EmissionBooks {
    uint256 public constant MOVES = 33;
    uint256 public constant COLD_KEYS = 2;
    uint256 public constant LENDERS = 3;
    /// @dev What rounding may leave in all pools together.
    uint256 private constant DUST_WEI = 1_000_000;

    JobId[] public jobIds;
    UnitId[] public unitIds;
    mapping(UnitId => uint256) public flavourOf; // the worker's
    mapping(UnitId => uint256) public auditFlavourOf; // its auditor's
    mapping(UnitId => mapping(address => uint256)) public voteOf;
    mapping(UnitId => uint256) public lockedFor; // when it was committed
    /// @dev Looked at first by moves that search for a unit.
    UnitId internal _focus;
    /// @notice Successful moves by kind: a sequence that does nothing proves nothing.
    uint256[MOVES] public done;

    uint256 public earnedWei; // sum of the receipts of all finalised rounds
    uint256 public chargedWei; // of data deposits, to accounts
    uint256 public claimedWei;
    mapping(address account => uint256) public claimedBy;
    uint256[] private _seconds;
    mapping(uint256 second => uint256 votes) private _votesThen;

    /// @notice paid + refunded + fees + charged + held = deposited, and the tokens are there. A job
    /// with a verdict that its data was unavailable lost its data deposit whole, every other none.
    function checkEscrow() external view {
        uint256 held = 0;
        uint256 paid = 0;
        for (uint256 i = 0; i < jobIds.length; ++i) {
            Job memory job = escrow.jobs(jobIds[i]);
            same(
                job.paid + job.refunded + job.fees + job.charged + escrow.heldOf(jobIds[i]),
                job.deposited,
                "conservation"
            );
            same(job.charged, job.chargedAt == 0 ? 0 : job.dataWei, "charged whole or not at all");
            check(!job.settled || escrow.heldOf(jobIds[i]) == 0, "a closed job holds nothing");
            held += escrow.heldOf(jobIds[i]);
            paid += job.paid;
        }
        same(token.balanceOf(address(escrow)), held, "escrow's tokens");
        same(paid, earnedWei, "paid for finalised rounds only");
        _checkCredits();
    }

    /// @dev What the distributor holds is what accounts can claim, to the wei, and nobody's figures
    /// ever fell.
    function _checkCredits() private view {
        uint256 credits = distributor.creditOf(token, net.TREASURY());
        for (uint256 i = 0; i < net.nodeCount(); ++i) {
            credits += distributor.creditOf(token, node(i));
            (uint256 earned, uint256 claimed) = distributor.accountOf(token, node(i));
            check(claimed <= earned, "claimed <= earned");
            same(claimed, claimedBy[node(i)], "claimed is the sum of the payments");
        }
        same(token.balanceOf(address(distributor)), credits, "distributor's tokens");
        same(credits + claimedWei, earnedWei + chargedWei + _mintedWei, "nothing from nowhere");
    }

    /// @notice The vault holds every bond, each owner votes with what it owns, and the list holds every
    /// active account.
    function checkVault() external view {
        uint256 bonds = 0;
        uint256 votes = 0;
        for (uint256 i = 0; i < net.nodeCount(); ++i) {
            (uint256 pending, ) = vault.pendingOf(node(i));
            check(pending <= vault.bondOf(node(i)), "pending is covered");
            bonds += vault.bondOf(node(i));
            votes += _checkVotes(node(i));
            _checkLocks(node(i));
        }
        for (uint256 i = 0; i < COLD_KEYS; ++i) {
            votes += _checkVotes(cold(i));
        }
        uint256 lent = _checkLent();
        for (uint256 i = 0; i < LENDERS; ++i) {
            votes += vault.votesOf(lender(i));
        }
        same(token.balanceOf(address(vault)), bonds + lent, "vault's tokens");
        check(votes <= bonds + lent, "no token votes twice");
        check(votes + DUST_WEI > bonds + lent, "every token votes once");
        uint256 count = vault.activeCount();
        for (uint256 i = 0; i < count; ++i) {
            check(vault.activeAt(i) != address(0), "no place is vacant");
            for (uint256 j = 0; j < i; ++j) {
                check(vault.activeAt(i) != vault.activeAt(j), "listed once");
            }
        }
        same(vault.activeAt(count), address(0), "nobody beyond the end");
    }

    /// @dev No holder's claim is beyond what is delegated, and who has delegated votes with it.
    function _checkLent() private view returns (uint256 lent) {
        for (uint256 i = 0; i < net.nodeCount(); ++i) {
            uint256 amount = vault.delegatedTo(node(i)).amount;
            uint256 claims = 0;
            for (uint256 j = 0; j < LENDERS; ++j) {
                Delegation memory mine = vault.delegationOf(lender(j));
                if (mine.account != node(i)) continue;
                claims += mine.amount;
                check(mine.leaving <= mine.amount, "what leaves is there");
                same(vault.votesOf(lender(j)), mine.amount, "votes with what it delegated");
            }
            check(claims <= amount, "no claim beyond what is delegated");
            lent += amount;
        }
    }

    /// @dev Of one owner, now and at a second that is over, as it was noted then.
    function _checkVotes(address owner) private view returns (uint256 votes) {
        for (uint256 i = 0; i < net.nodeCount(); ++i) {
            if (vault.ownerOf(node(i)) == owner) votes += vault.bondOf(node(i));
        }
        same(vault.votesOf(owner), votes, "votes with what it owns");
        for (uint256 i = 0; i + 1 < _seconds.length && owner == cold(0); i += 7) {
            uint256 noted = _votesThen[_seconds[i]];
            same(vault.pastVotesOf(owner, _seconds[i]), noted, "voted with what it owned");
        }
    }

    /// @notice Keys that own bonds of nodes and do nothing else; each may own several.
    function cold(uint256 dice) public pure returns (address) {
        return address(uint160(0xC01D + (dice % COLD_KEYS)));
    }

    /// @notice Holders without a node, who delegate to the bonds of others.
    function lender(uint256 dice) public pure returns (address) {
        return address(uint160(0x1E4D + (dice % LENDERS)));
    }

    /// @dev What the first cold key votes with in this second, so far.
    function _noteVotes() internal {
        uint256 time = VM.getBlockTimestamp();
        if (_seconds.length == 0 || _seconds[_seconds.length - 1] != time) _seconds.push(time);
        _votesThen[time] = vault.votesOf(cold(0));
    }

    /// @dev What is locked answers for units that can still be faulted, or waits to be given back.
    function _checkLocks(address account) private view {
        uint256 locked = 0;
        for (uint256 i = 0; i < unitIds.length; ++i) {
            Unit memory unit = unitOf(unitIds[i]);
            if (unit.worker != account) continue;
            uint256 lockWei = lockOf(unitIds[i]);
            UnitStatus found = unit.status;
            bool isOver = found == UnitStatus.Faulted || found == UnitStatus.Voided;
            bool isPaid =
                found != UnitStatus.Dissolved && unit.round < ledger.openRound(unit.jobId);
            if (isOver || isPaid || isReleased(unitIds[i]))
                same(lockWei, 0, "an end ends the lock");
            else same(lockWei, lockedFor[unitIds[i]], "as at the commitment");
            locked += lockWei;
        }
        same(vault.lockedOf(account), locked, "locked for units, to the wei");
    }

    /// @notice Tokens are with people or in the books, and the supply grows by emission only.
    function checkSupply() external view {
        uint256 sum =
            token.balanceOf(address(net)) +
                token.balanceOf(submitter) +
                token.balanceOf(net.TREASURY()) +
                token.balanceOf(address(vault)) +
                token.balanceOf(address(escrow)) +
                token.balanceOf(address(ledger)) +
                token.balanceOf(address(distributor));
        for (uint256 i = 0; i < net.nodeCount(); ++i) {
            sum += token.balanceOf(node(i));
        }
        for (uint256 i = 0; i < COLD_KEYS; ++i) {
            sum += token.balanceOf(cold(i));
        }
        for (uint256 i = 0; i < LENDERS; ++i) {
            sum += token.balanceOf(lender(i));
        }
        same(sum, token.totalSupply(), "no token is anywhere else");
        check(sum <= net.SUPPLY() + schedule.emittedWei(), "never more");
    }

    /// @notice Every waiting unit has what it waits for; deposits are held for disputed units only.
    function checkUnits() external view {
        uint256 deposits = 0;
        for (uint256 i = 0; i < unitIds.length; ++i) {
            Unit memory unit = unitOf(unitIds[i]);
            UnitStatus found = unit.status;
            check(found != UnitStatus.None, "a committed unit never vanishes");
            deposits += unit.depositWei;
            if (found == UnitStatus.Dissolved) {
                _checkDissolved(unitIds[i], unit);
                continue;
            }
            if (found == UnitStatus.Faulted || found == UnitStatus.Voided) {
                check(_present(unit) != unitIds[i], "its slot went on");
                same(unit.depositWei, 0, "a verdict returns or takes the deposit");
                continue;
            }
            Batch memory batch = batchOf(unitIds[i]);
            if (found == UnitStatus.Drawn || found == UnitStatus.AuditCommitted) {
                check(unit.deadline != 0, "a deadline");
                check(unit.auditor != address(0) && unit.auditor != unit.worker, "an auditor");
                check(unit.auditor != batch.coordinator, "not the coordinator");
            }
            check(
                (found == UnitStatus.Committed) == (batch.challengeDeadline == 0),
                "waits for its draw"
            );
            check(unit.redraws <= 3, "bounded");
            check(
                found == UnitStatus.Disputed || unit.depositWei == 0,
                "deposits of disputed units only"
            );
            check(_present(unit) == unitIds[i], "one unit per slot");
            if (found == UnitStatus.Disputed) _checkJury(unitIds[i], unit, batch.coordinator);
        }
        same(token.balanceOf(address(ledger)), deposits, "ledger's tokens");
    }

    /// @notice Rounds that are open to claims or audits are few, and all but the last are whole.
    function checkLineage() external view {
        for (uint256 i = 0; i < jobIds.length; ++i) {
            Job memory job = escrow.jobs(jobIds[i]);
            uint32 open = ledger.openRound(jobIds[i]);
            uint32 head = ledger.headRound(jobIds[i]);
            same(open, job.roundsPaid, "a final round is a paid one");
            check(head - open <= job.terms.roundsAhead, "no further ahead than paid for");
            check(head == open || head < job.terms.rounds, "a round of the job");
            check(ledger.startedRounds(jobIds[i]) <= head - open + 1, "started rounds are open");
            check(ledger.anchorOf(jobIds[i], head) == 0, "the head is not anchored");
            for (uint32 round = open; round < head; ++round) {
                _checkAnchored(jobIds[i], round, job.terms.slots);
            }
            _checkHeld(jobIds[i], job);
        }
    }

    /// @dev What the started rounds can still cost is there.
    function _checkHeld(JobId jobId, Job memory job) private view {
        if (job.settled) return;
        uint256 price = uint256(job.terms.slots) * (job.terms.unitWei + job.auditWei);
        price *= ledger.startedRounds(jobId);
        check(escrow.heldOf(jobId) >= price + (price * job.feeBps) / 10_000, "started, so held");
    }

    function _checkAnchored(JobId jobId, uint32 round, uint32 slots) private view {
        bytes32 checkpoint = ledger.anchorOf(jobId, round);
        (bytes32 parent, ) = ledger.lineage(jobId, round + 1);
        check(checkpoint != 0 && parent == checkpoint, "the next round starts from the anchor");
        for (uint32 slot = 0; slot < slots; ++slot) {
            UnitStatus found = unitOf(ledger.slotUnit(jobId, round, slot)).status;
            uint64 claimed = ledger.roundState(jobId, round).claimedBitmap;
            check(claimed & (uint64(1) << slot) != 0, "every slot is claimed");
            check(
                found != UnitStatus.None && found < UnitStatus.Faulted,
                "an anchored round is whole"
            );
        }
    }

    /// @dev Something else has its place, and its deposit, if any, waits for its owner only.
    function _checkDissolved(UnitId unitId, Unit memory unit) private view {
        check(_present(unit) != unitId, "another attempt has its place");
        check(unit.depositWei == 0 || unit.challenger != address(0), "a deposit has an owner");
    }

    function _present(Unit memory unit) private view returns (UnitId) {
        return ledger.slotUnit(unit.jobId, unit.round, unit.slot);
    }

    /// @notice Nothing is left but with people.
    function checkEmpty() external view {
        same(token.balanceOf(address(escrow)), 0, "escrow");
        same(token.balanceOf(address(vault)), 0, "vault");
        same(token.balanceOf(address(ledger)), 0, "ledger");
        same(token.balanceOf(address(distributor)), 0, "distributor");
        for (uint256 i = 0; i < net.nodeCount(); ++i) {
            same(vault.lockedOf(node(i)), 0, "no lock survives");
        }
    }

    function _checkJury(UnitId unitId, Unit memory unit, address coordinator_) private view {
        address[] memory jurors = committee.dispute(unitId).jurors;
        for (uint256 i = 0; i < jurors.length; ++i) {
            check(jurors[i] != unit.worker && jurors[i] != coordinator_, "independent jury");
            for (uint256 j = 0; j < i; ++j) {
                check(jurors[i] != jurors[j], "one seat each");
            }
        }
    }

    /// @dev One random account: paid all that it has, or refused where that is nothing.
    function _claim(address account) internal returns (bool) {
        uint256 owed = distributor.creditOf(token, account);
        uint256 wealth = token.balanceOf(account);
        uint256 part = vault.delegatorsPart(account, owed);
        uint256 lent = vault.delegatedTo(account).amount;
        try distributor.claim(token, account) returns (uint256 amount) {
            check(amount == owed && amount != 0, "all of it");
            same(token.balanceOf(account), wealth + owed - part, "paid");
            same(vault.delegatedTo(account).amount, lent + part, "and its delegators");
            return true;
        } catch {
            same(owed, 0, "every credit is payable");
            VM.getRecordedLogs();
            return false;
        }
    }

    /// @dev Reads the events of the last move: what was earned, claimed, burned and minted.
    function _collect() internal {
        Log[] memory logs = VM.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            _record(logs[i]);
            (address from, bytes32 kind) = (logs[i].emitter, logs[i].topics[0]);
            if (from == address(ledger) && kind == IWorkLedger.RoundRewards.selector) {
                (, uint256[] memory amounts) = abi.decode(logs[i].data, (address[], uint256[]));
                for (uint256 j = 0; j < amounts.length; ++j) {
                    earnedWei += amounts[j];
                }
            } else if (from == address(escrow) && kind == IJobEscrow.DataCharged.selector) {
                (uint256 worker, uint256 auditor, uint256 juror, uint256 jurors, ) = abi.decode(
                    logs[i].data,
                    (uint256, uint256, uint256, uint256, uint256)
                );
                chargedWei += worker + auditor + juror * jurors;
            } else if (
                from == address(distributor) && kind == IRewardDistributor.Claimed.selector
            ) {
                uint256 amount = abi.decode(logs[i].data, (uint256));
                claimedWei += amount;
                claimedBy[address(uint160(uint256(logs[i].topics[2])))] += amount;
            }
        }
    }

    function _node(uint256 dice) internal view returns (address) {
        return node(dice % net.nodeCount());
    }

    /// @dev A node that is withdrawing, or any.
    function _leaving(uint256 dice) internal view returns (address) {
        uint256 count = net.nodeCount();
        for (uint256 i = 0; i < count; ++i) {
            (uint256 pending, ) = vault.pendingOf(_node(addmod(dice, i, count)));
            if (pending != 0) return _node(addmod(dice, i, count));
        }
        return _node(dice);
    }

    function _unitIn(UnitStatus wanted, uint256 dice) internal view returns (bool, UnitId) {
        if (unitOf(_focus).status == wanted) return (true, _focus);
        uint256 count = unitIds.length;
        for (uint256 i = 0; i < count; ++i) {
            UnitId unitId = unitIds[addmod(dice, i, count)];
            if (unitOf(unitId).status == wanted) return (true, unitId);
        }
        return (false, UnitId.wrap(0));
    }
}
