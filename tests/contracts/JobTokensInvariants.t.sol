// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IJobEscrow} from "../../contracts/interfaces/IJobEscrow.sol";
import {JobId} from "../../contracts/types/Identifiers.sol";
import {Job, JobTerms} from "../../contracts/types/Job.sol";
import {Parameter} from "../../contracts/types/Parameter.sol";
import {PlainToken, TaxedToken} from "./helpers/Tokens.sol";
import {TokenStage} from "./helpers/TokenStage.sol";
import {Targets} from "./helpers/Targets.sol";
import {Log, VM} from "./helpers/Vm.sol";

/// @notice Jobs in AIN and in two other tokens, one of which takes a part of its moves now and then,
/// while votes change rates and fees. The ledger's word is given by us, so that any payment is tried.
contract Payers is TokenStage {
    /// @dev What ChargeOwed told, and what of it is not paid yet.
    struct Owed {
        address[] accounts;
        uint256[] amounts;
        uint256 left;
        uint256 sum;
    }

    uint256 private constant KINDS = 8;
    uint256 private constant ACCOUNTS = 4;

    IERC20[3] private currencies;
    JobId[] private jobs;
    uint256[KINDS] public done;
    uint256 public paidLater;
    mapping(IERC20 currency => uint256) private claimed;
    mapping(JobId jobId => Owed) private _owed;

    constructor() {
        stage(1);
        currencies = [token, new PlainToken(), new TaxedToken()];
        accept(currencies[1]);
        accept(currencies[2]);
    }

    /// @notice One random move.
    function move(uint256 dice) external {
        uint256 kind = [uint256(0), 0, 1, 1, 1, 2, 3, 4, 5, 5, 6, 7][dice % 12];
        dice = uint256(keccak256(abi.encode(dice)));
        bool moved;
        if (kind == 0) moved = _fund(dice);
        else if (kind == 5) moved = _claim(dice);
        else if (kind == 6) moved = _vote(dice);
        else if (kind == 7) moved = _wait(dice);
        else if (jobs.length != 0) moved = _step(kind, jobs[dice % jobs.length], dice >> 8);
        if (moved) ++done[kind];
        check_();
    }

    /// @notice For every token: what is held is there, what is credited is there, and nothing came from
    /// anywhere but deposits, nor went but to those who earned it, the submitter, and for AIN the fire.
    function check_() public view {
        for (uint256 i = 0; i < currencies.length; ++i) {
            IERC20 currency = currencies[i];
            (uint256 held, uint256 brought) = _books(currency);
            same(currency.balanceOf(address(escrow)), held, "held");
            uint256 credits = distributor.creditOf(currency, net.TREASURY());
            for (uint256 j = 0; j < ACCOUNTS; ++j) {
                credits += distributor.creditOf(currency, _account(j));
            }
            same(currency.balanceOf(address(distributor)), credits, "credited");
            same(credits + claimed[currency], brought, "earned");
        }
    }

    /// @dev Of the jobs in a token: what is held, and what they brought to the distributor.
    function _books(IERC20 currency) private view returns (uint256 held, uint256 brought) {
        for (uint256 i = 0; i < jobs.length; ++i) {
            Job memory job = escrow.jobs(jobs[i]);
            if (address(escrow.tokenOf(jobs[i])) != address(currency)) continue;
            uint256 left = escrow.heldOf(jobs[i]);
            same(
                job.paid + job.refunded + job.fees + job.charged + left,
                job.deposited,
                "conserved"
            );
            held += left;
            brought += job.paid;
            uint256 owed = _owed[jobs[i]].sum;
            held += owed;
            if (address(currency) != address(token)) brought += job.fees + job.charged - owed;
            else if (job.charged != 0) brought += _chargedParts(job);
        }
    }

    /// @dev Of AIN some of a data deposit is burned: worker, auditor and one juror have a part.
    function _chargedParts(Job memory job) private pure returns (uint256) {
        uint256 parts = uint256(job.terms.unitWei) + 2 * uint256(job.auditWei);
        return parts < job.charged ? parts : job.charged;
    }

    function _fund(uint256 dice) private returns (bool) {
        if (jobs.length >= 12) return false;
        uint256 which = dice % 3;
        JobTerms memory terms = net.terms(
            1 + uint32((dice >> 8) % 3),
            1 + uint32((dice >> 16) % 3)
        );
        if (which != 0) terms.token = currencies[which];
        terms.unitWei = 1 + uint128((dice >> 32) % 10 ** 9);
        VM.prank(submitter);
        try escrow.fund(terms) returns (JobId jobId) {
            jobs.push(jobId);
            return true;
        } catch {
            return false;
        }
    }

    function _step(uint256 kind, JobId jobId, uint256 dice) private returns (bool done_) {
        bytes memory data;
        Job memory job = escrow.jobs(jobId);
        if (kind == 1) {
            uint256 max = uint256(job.terms.slots) * (uint256(job.terms.unitWei) + job.auditWei);
            // One in four asks for more than there is.
            uint256 amount = dice % 4 == 0 ? max + 1 : max - ((dice >> 8) % max);
            (address[] memory accounts, uint256[] memory amounts) = _split(amount, dice >> 16);
            data = abi.encodeCall(escrow.payRound, (jobId, job.roundsPaid, accounts, amounts));
        } else if (kind == 2) {
            data = abi.encodeCall(escrow.cancel, (jobId));
        } else if (kind == 3) {
            data = abi.encodeCall(escrow.settle, (jobId));
        } else {
            address[] memory jurors = new address[](1);
            jurors[0] = _account(3);
            data = abi.encodeCall(escrow.chargeData, (jobId, _account(1), _account(2), jurors));
        }
        bool wasCharged = job.charged != 0;
        if (_owed[jobId].sum != 0 && (kind == 4 || dice % 2 == 0)) return _payOwed(jobId);
        VM.recordLogs();
        if (kind == 2) VM.prank(submitter);
        else if (kind != 3) VM.prank(address(ledger));
        (done_, ) = address(escrow).call(data);
        if (kind == 4) done_ = done_ && !wasCharged && escrow.jobs(jobId).charged != 0;
        if (kind == 4 && done_) _noteOwed(jobId);
    }

    /// @dev What the token did not move of a charge.
    function _noteOwed(JobId jobId) private {
        Log[] memory logs = VM.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] != IJobEscrow.ChargeOwed.selector) continue;
            Owed storage owed = _owed[jobId];
            (owed.accounts, owed.amounts, owed.left) = abi.decode(
                logs[i].data,
                (address[], uint256[], uint256)
            );
            owed.sum = escrow.jobs(jobId).charged;
        }
    }

    function _payOwed(JobId jobId) private returns (bool done_) {
        Owed storage owed = _owed[jobId];
        try escrow.payCharge(jobId, owed.accounts, owed.amounts, owed.left) {
            owed.sum = 0;
            ++paidLater;
            return true;
        } catch {
            return false;
        }
    }

    function _split(
        uint256 amount,
        uint256 dice
    ) private pure returns (address[] memory accounts, uint256[] memory amounts) {
        (accounts, amounts) = (new address[](2), new uint256[](2));
        uint256 first = dice % ACCOUNTS;
        (accounts[0], accounts[1]) = (_account(first), _account((first + 1) % ACCOUNTS));
        amounts[0] = (dice >> 8) % (amount + 1);
        amounts[1] = amount - amounts[0];
    }

    function _claim(uint256 dice) private returns (bool) {
        IERC20 currency = currencies[dice % 3];
        address account = (dice >> 8) % 5 == 0 ? net.TREASURY() : _account((dice >> 16) % ACCOUNTS);
        uint256 wealth = currency.balanceOf(account);
        uint256 credit = distributor.creditOf(currency, account);
        try distributor.claim(currency, account) returns (uint256 amount) {
            same(amount, credit, "all of it");
            claimed[currency] += amount;
            uint256 tax =
                address(currency) == address(currencies[2])
                    ? (amount * TaxedToken(address(currency)).taxBps()) / 10_000
                    : 0;
            same(currency.balanceOf(account), wealth + amount - tax, "paid");
            return true;
        } catch {
            same(credit, 0, "every credit is payable");
            return false;
        }
    }

    /// @dev Rates, tokens, fees; and the one token's tax.
    function _vote(uint256 dice) private returns (bool) {
        if (dice % 4 == 0) parameters.set(Parameter.ProtocolFeeBps, (dice >> 8) % 2_001);
        else if (dice % 4 == 1) TaxedToken(address(currencies[2])).setTax(((dice >> 8) % 2) * 500);
        else
            parameters.setTokenRate(
                currencies[1 + ((dice >> 8) % 2)],
                (dice >> 16) % 4 == 0 ? 0 : 10 ** 6 + (dice >> 168)
            );
        return true;
    }

    function _wait(uint256 dice) private returns (bool) {
        net.pass(dice % 4_000);
        return true;
    }

    function _account(uint256 index) private pure returns (address) {
        return address(uint160(0xACC0 + index));
    }
}

/// @notice Random sequences of random moves of payers.
contract JobTokensInvariantsTest is Targets {
    Payers private players;

    function setUp() public {
        players = new Payers();
        aim(address(players), Payers.move.selector);
    }

    /// @notice Every move checks itself; between them nothing changes.
    function invariant_money_isThere() public view {
        players.check_();
    }

    /// @notice The sequences are not idle: a fixed one does everything.
    function test_sequence_fixedSeed_reachesEverything() public {
        for (uint256 i = 0; i < 300; ++i) {
            players.move(uint256(keccak256(abi.encode("payers", uint256(13), i))));
        }
        for (uint256 kind = 0; kind < 8; ++kind) {
            check(players.done(kind) != 0, "a kind of move that never succeeds");
        }
        check(players.paidLater() != 0, "no charge that was owed");
    }
}
