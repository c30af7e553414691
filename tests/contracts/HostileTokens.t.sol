// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {IJobEscrow} from "../../contracts/interfaces/IJobEscrow.sol";
import {IRewardDistributor} from "../../contracts/interfaces/IRewardDistributor.sol";
import {JobId, UnitId} from "../../contracts/types/Identifiers.sol";
import {Job, JobStatus, JobTerms} from "../../contracts/types/Job.sol";
import {UnitStatus} from "../../contracts/types/Work.sol";
import {
    CallingToken,
    GasEater,
    IHooks,
    LyingToken,
    PlainToken,
    RebasingToken,
    StoppedToken,
    TaxedToken
} from "./helpers/Tokens.sol";
import {TokenStage} from "./helpers/TokenStage.sol";
import {Log, VM} from "./helpers/Vm.sol";

/// @notice Tokens that a vote let in and that are not what they seemed: who is paid in them may lose by
/// it; bonds, AIN and other tokens never.
contract HostileTokensTest is TokenStage, IHooks {
    IERC20 private calling;
    bytes private call_; // what this contract does once, in the middle of a move
    address private callee;
    bool private isBefore;
    bool private succeeded;
    bytes private answer;

    function setUp() public {
        stage(7);
    }

    /// @notice A token that takes a part of what is deposited opens no job.
    function testFuzz_attack_taxedToken_opensNoJob(uint16 tax) public {
        TaxedToken taxed = new TaxedToken();
        accept(taxed);
        taxed.setTax(1 + (tax % 10_000));
        JobTerms memory terms = termsIn(taxed, 1, 1);
        uint256 depositWei = escrow.quote(terms);
        uint256 arrived = depositWei - (depositWei * taxed.taxBps()) / 10_000;
        VM.prank(submitter);
        VM.expectRevert(
            abi.encodeWithSelector(IJobEscrow.BadArrival.selector, taxed, depositWei, arrived)
        );
        escrow.fund(terms);
    }

    /// @notice One that begins to take a part later: no round becomes final by less than it costs, and
    /// nobody is credited with what did not come. Locks end all the same, and so does the job.
    function test_attack_taxSwitchedOnLater_creditsNothing() public {
        TaxedToken taxed = new TaxedToken();
        accept(taxed);
        (JobId jobId, UnitId unitId) = readyIn(taxed);
        taxed.setTax(100);
        VM.expectPartialRevert(IJobEscrow.BadArrival.selector);
        finalize(jobId, 0);
        same(distributor.creditOf(taxed, node(1)), 0, "nothing");
        exits(jobId, unitId);
        uint256 held = escrow.heldOf(jobId);
        uint256 wealth = taxed.balanceOf(submitter);
        escrow.settle(jobId);
        same(taxed.balanceOf(submitter), wealth + held - held / 100, "back, but for the tax");
        conserves(taxed, jobId);
    }

    /// @notice A token that is stopped for the escrow, the distributor or everybody pays nobody; no bond
    /// waits for it, and once it goes on so does the round.
    function test_attack_stoppedToken_trapsNoBond() public {
        StoppedToken stopped = new StoppedToken();
        accept(stopped);
        (JobId jobId, UnitId unitId) = readyIn(stopped);
        stopped.stop(address(distributor), true);
        VM.expectRevert(
            abi.encodeWithSelector(StoppedToken.Stopped.selector, address(distributor))
        );
        finalize(jobId, 0);
        uint256 before = VM.getBlockTimestamp();
        exits(jobId, unitId);
        stopped.stop(address(distributor), false);
        VM.warp(before);
        finalize(jobId, 0);
        same(distributor.claim(stopped, node(1)), PRICE, "paid when it goes on");
    }

    /// @notice Stopped, while the job's data is not to be had: the verdict stands, the lock ends, and
    /// what the verdict gave is paid once the token goes on, once and as it was.
    function test_attack_stoppedToken_holdsUpNoVerdict() public {
        StoppedToken stopped = new StoppedToken();
        accept(stopped);
        (JobId jobId, UnitId unitId) = missingIn(stopped);
        stopped.stop(address(distributor), true);
        (address[] memory to, uint256[] memory parts, uint256 left) = owedBy(unitId);
        check(left != 0, "some of it is nobody's");
        same(status(unitId), UnitStatus.Voided, "void");
        same(vault.lockedOf(node(1)), 0, "released");
        check(escrow.jobs(jobId).status == JobStatus.InputUnavailable, "ended");
        VM.expectRevert(
            abi.encodeWithSelector(StoppedToken.Stopped.selector, address(distributor))
        );
        escrow.payCharge(jobId, to, parts, left);
        stopped.stop(address(distributor), false);
        same(escrow.jobs(jobId).charged, escrow.jobs(jobId).dataWei, "charged");
        same(stopped.balanceOf(address(escrow)), escrow.jobs(jobId).deposited, "nothing moved");
        VM.warp(escrow.settleableAt(jobId));
        escrow.settle(jobId);
        same(stopped.balanceOf(address(escrow)), escrow.jobs(jobId).dataWei, "it waits");
        bytes memory nothing = abi.encodeWithSelector(IJobEscrow.NothingOwed.selector, jobId);
        VM.expectRevert(nothing);
        escrow.payCharge(jobId, to, parts, left + 1);
        escrow.payCharge(jobId, to, parts, left);
        for (uint256 i = 0; i < to.length; ++i) {
            same(distributor.creditOf(stopped, to[i]), parts[i], "credited");
        }
        same(distributor.creditOf(stopped, emission.treasury()), left, "the treasury's");
        VM.expectRevert(nothing);
        escrow.payCharge(jobId, to, parts, left);
        conserves(stopped, jobId);
    }

    /// @notice One that burns all gas that it is given holds up no verdict: it is given a bounded part.
    function test_attack_gasEater_holdsUpNoVerdict() public {
        GasEater eater = new GasEater();
        accept(eater);
        (, UnitId unitId) = missingIn(eater);
        eater.setHungry(true);
        uint256 before = gasleft();
        owedBy(unitId);
        check(before - gasleft() < 4_000_000, "bounded");
        same(status(unitId), UnitStatus.Voided, "void");
    }

    /// @notice Who resolves with little gas cannot have a sound token's charge owed.
    function test_attack_littleGas_leavesNoChargeOwed() public {
        (JobId jobId, UnitId unitId) = missingIn(plain());
        address[] memory jurors = seat(unitId);
        for (uint256 i = 0; i < 3; ++i) vote(unitId, jurors[i], MISSING);
        for (uint256 i = 0; i < 3; ++i) revealVote(unitId, jurors[i], MISSING);
        bool refused = false;
        for (uint256 limit = 200_000; limit < 2_400_000; limit += 100_000) {
            VM.recordLogs();
            try committee.resolve{gas: limit}(unitId) {
                check(refused, "told how much it needs");
                check(!isOwed(), "paid at once");
                same(escrow.jobs(jobId).charged, escrow.jobs(jobId).dataWei, "charged");
                return;
            } catch (bytes memory why) {
                if (bytes4(why) == IJobEscrow.TooLittleGas.selector) refused = true;
            }
        }
        check(false, "resolved");
    }

    /// @notice Nothing is owed for a job whose charge was paid at once, nor for another's.
    function test_payCharge_nothingOwed_isRefused() public {
        (JobId jobId, UnitId unitId) = missingIn(plain());
        address[] memory jurors = decide(unitId, MISSING, MISSING, MISSING);
        address[] memory to = new address[](2 + jurors.length);
        VM.expectRevert(abi.encodeWithSelector(IJobEscrow.NothingOwed.selector, jobId));
        escrow.payCharge(jobId, to, new uint256[](to.length), 0);
    }

    /// @notice A submitter that the token's issuer has stopped cannot take its deposit back; whoever
    /// worked is paid.
    function test_attack_stoppedSubmitter_workersArePaid() public {
        StoppedToken stopped = new StoppedToken();
        accept(stopped);
        (JobId jobId, ) = readyIn(stopped);
        stopped.stop(submitter, true);
        finalize(jobId, 0);
        same(distributor.claim(stopped, node(1)), PRICE, "paid");
        VM.expectRevert(abi.encodeWithSelector(StoppedToken.Stopped.selector, submitter));
        escrow.settle(jobId);
        stopped.stop(submitter, false);
        escrow.settle(jobId);
        conserves(stopped, jobId);
    }

    /// @notice A stopped account's claim stops nobody else's.
    function test_attack_stoppedWorker_othersClaim() public {
        StoppedToken stopped = new StoppedToken();
        accept(stopped);
        JobId jobId = finishedOf(termsIn(stopped, 1, 3), submitter);
        stopped.stop(accounts[jobId][0], true);
        VM.expectRevert(abi.encodeWithSelector(StoppedToken.Stopped.selector, accounts[jobId][0]));
        distributor.claim(stopped, accounts[jobId][0]);
        for (uint256 i = 1; i < accounts[jobId].length; ++i) {
            same(distributor.claim(stopped, accounts[jobId][i]), amounts[jobId][i], "others");
        }
        same(distributor.creditOf(stopped, accounts[jobId][0]), amounts[jobId][0], "kept");
    }

    /// @notice A token that shrinks pays as far as it goes, the first first; AIN and others stay whole.
    function test_attack_rebasingToken_touchesNoOther() public {
        RebasingToken rebasing = new RebasingToken();
        accept(rebasing);
        RebasingToken sound = new RebasingToken();
        accept(sound);
        JobId inAin = finished(0, 2);
        JobId inSound = finishedOf(termsIn(sound, 1, 2), submitter);
        JobId jobId = finishedOf(termsIn(rebasing, 1, 2), submitter);
        rebasing.rebase(address(distributor), 9_999);
        rebasing.rebase(address(escrow), 9_999);
        VM.expectRevert();
        distributor.claim(rebasing, accounts[jobId][0]);
        VM.expectRevert();
        escrow.settle(jobId);
        for (uint256 i = 0; i < accounts[inSound].length; ++i) {
            distributor.claim(sound, accounts[inSound][i]);
        }
        for (uint256 i = 0; i < accounts[inAin].length; ++i) {
            distributor.claim(token, accounts[inAin][i]);
        }
        escrow.settle(inSound);
        escrow.settle(inAin);
        same(token.balanceOf(address(escrow)), 0, "AIN is whole");
        same(sound.balanceOf(address(escrow)), 0, "and so are others");
    }

    /// @notice A token that only says that it paid, or says that it did not, opens no job.
    function test_attack_lyingToken_opensNoJob() public {
        LyingToken lying = new LyingToken();
        accept(lying);
        JobTerms memory terms = termsIn(lying, 1, 1);
        uint256 depositWei = escrow.quote(terms);
        lying.setAnswer(true);
        VM.prank(submitter);
        VM.expectRevert(
            abi.encodeWithSelector(IJobEscrow.BadArrival.selector, lying, depositWei, 0)
        );
        escrow.fund(terms);
        lying.setAnswer(false);
        VM.prank(submitter);
        VM.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, lying));
        escrow.fund(terms);
    }

    /// @notice In the middle of a deposit its job is cancelled, before the deposit is there: others' tokens
    /// would pay the refund. Refused, before the move and after it.
    function test_attack_callBackInADeposit_isRefused() public {
        calling = IERC20(address(new CallingToken()));
        accept(calling);
        openIn(calling, 1, 5); // somebody else's deposit
        uint256 held = calling.balanceOf(address(escrow));
        JobTerms memory terms = termsIn(calling, 1, 1);
        JobId next = JobId.wrap(
            keccak256(abi.encode(block.chainid, address(escrow), address(this), uint256(1)))
        );
        CallingToken(address(calling)).mint(address(this), WEALTH);
        calling.approve(address(escrow), type(uint256).max);
        for (uint256 i = 0; i < 2; ++i) {
            arm(address(escrow), abi.encodeCall(IJobEscrow.cancel, (next)), i == 0);
            VM.expectPartialRevert(IJobEscrow.BadArrival.selector);
            escrow.fund(terms);
            arm(address(escrow), abi.encodeCall(IJobEscrow.fund, (terms)), i == 0);
            VM.expectPartialRevert(IJobEscrow.BadArrival.selector);
            escrow.fund(terms);
        }
        CallingToken(address(calling)).setHooks(IHooks(address(0)));
        same(calling.balanceOf(address(escrow)), held, "others' is there");
        same(calling.balanceOf(address(this)), WEALTH, "and ours");
    }

    /// @notice A receiver that claims, settles or pays again in the middle of its payment gets no more.
    function test_attack_callBackInAPayment_paysOnce() public {
        calling = IERC20(address(new CallingToken()));
        accept(calling);
        JobId jobId = finishedOf(termsIn(calling, 1, 2), submitter);
        openIn(calling, 1, 5);
        for (uint256 i = 0; i < 2; ++i) {
            address account = accounts[jobId][i];
            bytes memory again = abi.encodeCall(IRewardDistributor.claim, (calling, account));
            arm(address(distributor), again, i == 0);
            same(distributor.claim(calling, account), amounts[jobId][i], "told");
            check(!succeeded, "not twice");
            same(calling.balanceOf(account), amounts[jobId][i], "once");
        }
        arm(address(escrow), abi.encodeCall(IJobEscrow.settle, (jobId)), true);
        escrow.settle(jobId);
        check(!succeeded, "not twice");
        same(
            bytes32(answer),
            bytes32(abi.encodeWithSelector(IJobEscrow.AlreadySettled.selector, jobId)),
            "settled before"
        );
    }

    /// @notice In the middle of a round's payment the job is closed: the rest goes back once, and what the
    /// round earned is there.
    function test_attack_settleInTheMiddleOfARound_takesNothing() public {
        calling = IERC20(address(new CallingToken()));
        accept(calling);
        (JobId jobId, ) = readyIn(calling);
        JobId others = openIn(calling, 1, 5);
        uint256 held = escrow.heldOf(others);
        arm(address(escrow), abi.encodeCall(IJobEscrow.settle, (jobId)), true);
        finalize(jobId, 0);
        check(succeeded, "closed");
        Job memory job = escrow.jobs(jobId);
        same(job.paid + job.fees + job.refunded, job.deposited, "conserved");
        same(calling.balanceOf(address(escrow)), held, "others' is there");
        same(calling.balanceOf(address(distributor)), job.paid + job.fees, "what it earned, too");
    }

    /// @inheritdoc IHooks
    function beforeMove(address, address, uint256) external {
        if (isBefore) _strike();
    }

    /// @inheritdoc IHooks
    function afterMove(address, address, uint256) external {
        if (!isBefore) _strike();
    }

    /// @dev Once: its own moves are not answered.
    function _strike() private {
        if (callee == address(0)) return;
        address target = callee;
        callee = address(0);
        (succeeded, answer) = target.call(call_);
    }

    function arm(address target, bytes memory data, bool before) private {
        CallingToken(address(calling)).setHooks(this);
        (callee, call_, isBefore, succeeded) = (target, data, before, false);
    }

    function plain() private returns (PlainToken made) {
        made = new PlainToken();
        accept(made);
    }

    /// @dev A unit whose auditor says that the data is not to be had.
    function missingIn(IERC20 other) private returns (JobId jobId, UnitId unitId) {
        jobId = openIn(other, 20, 1);
        unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        audit(unitId, TRUTH, MISSING);
    }

    /// @dev The jury agrees, and what is owed by it.
    function owedBy(
        UnitId unitId
    ) private returns (address[] memory to, uint256[] memory parts, uint256 left) {
        VM.recordLogs();
        decide(unitId, MISSING, MISSING, MISSING);
        Log[] memory logs = VM.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] != IJobEscrow.ChargeOwed.selector) continue;
            return abi.decode(logs[i].data, (address[], uint256[], uint256));
        }
        check(false, "owed");
    }

    function isOwed() private returns (bool found) {
        Log[] memory logs = VM.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] == IJobEscrow.ChargeOwed.selector) found = true;
        }
    }

    /// @dev A round of one unit that could be final.
    function readyIn(IERC20 other) private returns (JobId jobId, UnitId unitId) {
        jobId = openIn(other, 1, 1);
        unitId = drawn(jobId, 0, 0, node(1), TRUTH);
        audit(unitId, TRUTH, TRUTH);
        net.pass(31);
    }

    /// @dev The unit's lock is released by anyone, and its worker leaves with all that it has.
    function exits(JobId jobId, UnitId unitId) private {
        check(vault.lockedOf(node(1)) != 0, "locked");
        release(unitId);
        same(vault.lockedOf(node(1)), 0, "released");
        VM.startPrank(node(1));
        vault.requestUnbond(net.BOND());
        VM.warp(VM.getBlockTimestamp() + 2_000);
        vault.withdraw();
        VM.stopPrank();
        same(vault.bondOf(node(1)), 0, "out");
        VM.warp(escrow.settleableAt(jobId));
    }
}
