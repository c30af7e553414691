// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {JobId} from "../types/Identifiers.sol";
import {Job, JobTerms} from "../types/Job.sol";
import {IEmissionController} from "./IEmissionController.sol";

/// @title What submitters deposit for their jobs
/// @notice For every job: deposited = paid + refunded + fees + charged + held, in its token's smallest
/// units. What is burned of the network's token is in another one credited to the treasury, and nothing
/// is emitted for it.
interface IJobEscrow {
    /// @notice A job was funded.
    event JobFunded(
        JobId indexed jobId,
        address indexed submitter,
        JobTerms terms,
        uint128 auditWei,
        uint128 unitValueWei,
        uint256 deposited
    );

    /// @notice Of what was deposited for a job, so much answers for its data.
    event DataDeposited(JobId indexed jobId, uint256 amount);

    /// @notice The job's data was unavailable: the data deposit is spent, no further round starts.
    /// amount = workerWei + auditorWei + jurorWei * jurors + burned. In another token than the network's
    /// nothing is burned: `burned` is the treasury's.
    event DataCharged(
        JobId indexed jobId,
        uint256 workerWei,
        uint256 auditorWei,
        uint256 jurorWei,
        uint256 jurors,
        uint256 burned
    );

    /// @notice The job's token did not move what was charged; payCharge with these arguments has it paid.
    event ChargeOwed(JobId indexed jobId, address[] accounts, uint256[] amounts, uint256 left);

    /// @notice What was owed of a charge was paid.
    event ChargePaid(JobId indexed jobId);

    /// @notice The submitter cancelled; no round starts any more.
    event JobCancelled(JobId indexed jobId);

    /// @notice Money went back to the submitter.
    event JobRefunded(JobId indexed jobId, address indexed to, uint256 amount);

    /// @notice A finalised round was paid to the distributor; the fee was burned, or in another token
    /// than the network's credited to the treasury.
    event RoundPaid(JobId indexed jobId, uint32 indexed round, uint256 amount, uint256 fee);

    /// @notice The last round was paid.
    event JobCompleted(JobId indexed jobId);

    /// @notice The job is closed: the rest was refunded, nothing more is paid.
    event JobSettled(JobId indexed jobId);

    /// @notice The seats were given away, once and for ever.
    event SeatsBound(address indexed ledger, address indexed distributor, address indexed emission);

    /// @notice The manifest's digest, blob root or size is zero.
    error BadManifest(bytes32 digest, bytes32 root, uint64 size);

    /// @notice Rounds must be 1 to `max`.
    error BadRounds(uint32 rounds, uint256 max);

    /// @notice Slots must be 1 to `max`.
    error BadSlots(uint32 slots, uint256 max);

    /// @notice Rounds may run at most `max` ahead.
    error BadRoundsAhead(uint8 roundsAhead, uint256 max);

    /// @notice A unit has at most `max` FLOPs.
    error BadFlops(uint64 unitFlops, uint256 max);

    /// @notice A unit's price is at least 1, and worth at most MAX_UNIT_VALUE_WEI.
    error BadPrice(uint128 unitWei);

    /// @notice New jobs are not paid in this token. The network's token is named 0.
    error BadToken(IERC20 token);

    /// @notice Less arrived than was sent, or something else: the token takes a part of transfers, or its
    /// contract called back in the middle of one.
    error BadArrival(IERC20 token, uint256 expected, uint256 arrived);

    /// @notice The deadline must be after `earliest` and not after `latest`.
    error BadDeadline(uint64 deadline, uint256 earliest, uint256 latest);

    /// @notice No such job.
    error UnknownJob(JobId jobId);

    /// @notice Only the submitter cancels.
    error NotSubmitter(JobId jobId, address caller);

    /// @notice Cancelled, completed, charged or settled already.
    error NotCancellable(JobId jobId);

    /// @notice The job is closed.
    error AlreadySettled(JobId jobId);

    /// @notice A round may still be earned until `earliest`.
    error NotYetSettleable(JobId jobId, uint256 earliest);

    /// @notice Nothing is owed for the job, or other amounts.
    error NothingOwed(JobId jobId);

    /// @notice A charge in a job's own token needs `min` gas at this point.
    error TooLittleGas(uint256 left, uint256 min);

    /// @notice Only the ledger pays rounds.
    error NotLedger(address caller);

    /// @notice Rounds are paid in order, each once.
    error WrongRound(JobId jobId, uint32 round, uint32 expected);

    /// @notice More than a round can cost.
    error PaymentTooHigh(JobId jobId, uint256 amount, uint256 max);

    /// @notice Only the deployer binds the seats.
    error NotDeployer(address caller);

    /// @notice The seats were given already, or to nobody.
    error BadBinding(address ledger, address distributor, address emission);

    /// @notice Deposits quote(terms) of the token (the escrow must be approved) and opens the job. The data
    /// deposit in it goes back at the end unless a verdict charges it.
    function fund(JobTerms calldata terms) external returns (JobId jobId);

    /// @notice Stops the job. Refunds at once what cannot be earned any more: all but the price of
    /// the started rounds.
    function cancel(JobId jobId) external;

    /// @notice Closes the job and refunds the rest: after completion, or when no started round
    /// can be earned any more. Anyone.
    function settle(JobId jobId) external;

    /// @notice Moves a finalised round's rewards to the distributor, which credits them, burns the fee
    /// and has the round counted for emission; in another token than the network's the treasury is credited
    /// with the fee, and nothing counts. Only the ledger.
    /// @param accounts Who earned by it, each once.
    function payRound(
        JobId jobId,
        uint32 round,
        address[] calldata accounts,
        uint256[] calldata amounts
    ) external;

    /// @notice Spends the data deposit after the verdict that the job's data is unavailable, and ends
    /// the job. Who gets a part of it has it credited. A token that does not move it holds up nothing: then it is
    /// owed. Does nothing if it was spent or went back already. Only the ledger.
    /// @param worker Of the unit; 0 if it gets nothing.
    /// @param auditor Who said so first; 0 if nobody did.
    /// @param jurors Who said so in the verdict.
    function chargeData(
        JobId jobId,
        address worker,
        address auditor,
        address[] calldata jurors
    ) external;

    /// @notice Pays a charge that the job's token did not move at the verdict. Anyone, as often as the token
    /// refuses.
    /// @param accounts As in ChargeOwed, like the others.
    function payCharge(
        JobId jobId,
        address[] memory accounts,
        uint256[] memory amounts,
        uint256 left
    ) external;

    /// @notice Gives the paying seat to the ledger and names the distributor and the emission
    /// controller. Only the deployer, once.
    function bind(address ledger, address distributor, address emission) external;

    /// @notice Counts what rounds did and burned, and mints for it.
    function emission() external view returns (IEmissionController);

    /// @notice What fund(terms) will take: the price of all rounds, its fee, and the data deposit.
    function quote(JobTerms calldata terms) external view returns (uint256 depositWei);

    /// @notice All about a job; reverts if there is none.
    function jobs(JobId jobId) external view returns (Job memory);

    /// @notice A round's slots, the price of a unit and the pay of a matching audit.
    function workTerms(
        JobId jobId
    ) external view returns (uint32 slots, uint128 unitWei, uint128 auditWei);

    /// @notice A round's slots, and what a unit's lock is made from: its price in AIN wei, by the rate at
    /// the funding.
    function lockTerms(JobId jobId) external view returns (uint32 slots, uint128 unitValueWei);

    /// @notice What a job is paid in.
    function tokenOf(JobId jobId) external view returns (IERC20);

    /// @notice A job's rounds, and how far they may run ahead of the oldest open one.
    function aheadTerms(JobId jobId) external view returns (uint32 rounds, uint8 roundsAhead);

    /// @notice What is still held for a job.
    function heldOf(JobId jobId) external view returns (uint256);

    /// @notice Whether commitRound may add to a round; `started`: the round has committed units.
    function acceptsWork(JobId jobId, bool started) external view returns (bool);

    /// @notice The first moment (Unix seconds) at which settle works, as things stand; 0: at once.
    function settleableAt(JobId jobId) external view returns (uint256);

    /// @notice How many jobs were ever funded.
    function jobCount() external view returns (uint256);

    /// @notice A job by the order of funding, from 0.
    function jobIdAt(uint256 index) external view returns (JobId);
}
