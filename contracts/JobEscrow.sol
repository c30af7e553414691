// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {ComputeToken} from "./ComputeToken.sol";
import {EscrowMoney} from "./escrow/EscrowMoney.sol";
import {IJobEscrow} from "./interfaces/IJobEscrow.sol";
import {INetworkParameters} from "./interfaces/INetworkParameters.sol";
import {JobId} from "./types/Identifiers.sol";
import {
    Job,
    JobStatus,
    JobTerms,
    MAX_JOB_S,
    MAX_ROUNDS,
    MAX_ROUNDS_AHEAD,
    MAX_SLOTS,
    MAX_UNIT_FLOPS,
    MAX_UNIT_VALUE_WEI
} from "./types/Job.sol";
import {BPS, Parameter} from "./types/Parameter.sol";
import {RATE_UNITS} from "./types/Token.sol";

/// @title What submitters deposit for their jobs
/// @notice INVARIANT: for every job deposited = paid + refunded + fees + charged + held, and the
/// escrow's balance of every token is at least the sum of what is held in it. Money leaves in four ways
/// only: a finalised round to the distributor, its fee to the fire (to the treasury, if it is another
/// token than the network's), the data deposit once if the data was unavailable, the rest to the
/// submitter.
/// @dev The greatest deposit is below 2^128 (price) * 2^26 (units) * 2 (audits) * 2 (fee and data):
/// no sum can overflow.
contract JobEscrow is EscrowMoney {
    struct Record {
        address submitter;
        uint32 roundsPaid;
        uint64 cancelledAt;
        JobTerms terms;
        uint128 auditWei;
        uint16 feeBps;
        bool settled;
        uint256 deposited;
        uint256 paid;
        uint256 refunded;
        uint256 fees;
        uint256 dataWei;
        uint256 charged;
        uint64 chargedAt;
        uint128 unitValueWei; // 0 where that is the price
    }

    /// @dev What a token may use to pay a charge: twice what the largest jury takes of a dear one.
    uint256 private constant CHARGE_GAS = 1_500_000;
    /// @dev So that so much is left of it, for a call gets 63/64 of what there is.
    uint256 private constant MIN_CHARGE_GAS = 1_700_000;

    INetworkParameters public immutable parameters;

    mapping(JobId jobId => Record) private _records;
    JobId[] private _jobIds;
    mapping(JobId jobId => bytes32) private _owedCharges;

    constructor(ComputeToken token_, INetworkParameters parameters_) EscrowMoney(token_) {
        parameters = parameters_;
    }

    /// @inheritdoc IJobEscrow
    function fund(JobTerms calldata terms) external returns (JobId jobId) {
        _requireValid(terms);
        (uint128 auditWei, uint16 feeBps) = _rates(terms.unitWei);
        uint256 priceWei = _roundWei(terms, auditWei) * terms.rounds;
        uint256 dataWei = _dataWei(priceWei);
        uint256 depositWei = _withFee(priceWei, feeBps) + dataWei;
        jobId = JobId.wrap(
            keccak256(abi.encode(block.chainid, address(this), msg.sender, _jobIds.length))
        );
        _jobIds.push(jobId);
        Record storage record = _records[jobId];
        record.submitter = msg.sender;
        record.terms = terms;
        record.auditWei = auditWei;
        record.feeBps = feeBps;
        record.deposited = depositWei;
        record.dataWei = dataWei;
        uint128 unitValueWei = _unitValueWei(terms);
        if (address(terms.token) != address(0)) record.unitValueWei = unitValueWei;
        emit JobFunded(jobId, msg.sender, terms, auditWei, unitValueWei, depositWei);
        emit DataDeposited(jobId, dataWei);
        _deposit(_currency(terms.token), depositWei);
    }

    /// @inheritdoc IJobEscrow
    function cancel(JobId jobId) external {
        Record storage record = _known(jobId);
        if (record.submitter != msg.sender) revert NotSubmitter(jobId, msg.sender);
        bool over = record.settled || record.roundsPaid == record.terms.rounds;
        if (over || record.cancelledAt != 0 || record.chargedAt != 0) revert NotCancellable(jobId);
        record.cancelledAt = uint64(block.timestamp);
        emit JobCancelled(jobId);
        uint256 started = ledger.startedRounds(jobId);
        if (started != 0) {
            // INVARIANT: what the started rounds can still cost stays held, and no other round can
            // be started any more; the data deposit too: nobody takes it back before a verdict about
            // a unit that is under way.
            uint256 roundWei = _roundWei(record.terms, record.auditWei);
            uint256 kept = _withFee(started * roundWei, record.feeBps) + record.dataWei;
            _refund(jobId, record, _held(record) - kept);
        } else {
            _close(jobId, record);
        }
    }

    /// @inheritdoc IJobEscrow
    function settle(JobId jobId) external {
        Record storage record = _known(jobId);
        if (record.settled) revert AlreadySettled(jobId);
        uint256 earliest = _settleableAt(jobId, record);
        if (block.timestamp < earliest) revert NotYetSettleable(jobId, earliest);
        _close(jobId, record);
    }

    /// @inheritdoc IJobEscrow
    function payRound(
        JobId jobId,
        uint32 round,
        address[] calldata accounts,
        uint256[] calldata amounts
    ) external {
        if (msg.sender != address(ledger)) revert NotLedger(msg.sender);
        Record storage record = _known(jobId);
        if (record.settled) revert AlreadySettled(jobId);
        // INVARIANT: every round is paid at most once, and not more than was deposited for it.
        bool isPayable = round == record.roundsPaid && round < record.terms.rounds;
        if (!isPayable) revert WrongRound(jobId, round, record.roundsPaid);
        uint256 amount = _sum(amounts);
        uint256 max = _roundWei(record.terms, record.auditWei);
        if (amount > max) revert PaymentTooHigh(jobId, amount, max);
        uint256 fee = _withFee(amount, record.feeBps) - amount;
        record.roundsPaid = round + 1;
        record.paid += amount;
        record.fees += fee;
        emit RoundPaid(jobId, round, amount, fee);
        // Counted by ones: it is met exactly.
        // slither-disable-next-line incorrect-equality
        if (round + 1 == record.terms.rounds) emit JobCompleted(jobId);
        IERC20 currency = _currency(record.terms.token);
        _giveUp(currency, fee);
        _credit(currency, accounts, amounts, amount);
        // INVARIANT: what is counted for emission was burned.
        if (!_isNetworks(currency)) return;
        uint256 flops = uint256(record.terms.slots) * record.terms.unitFlops;
        emission.register(jobId, round, accounts, amounts, flops, fee);
    }

    /// @inheritdoc IJobEscrow
    function chargeData(
        JobId jobId,
        address worker,
        address auditor,
        address[] calldata jurors
    ) external {
        if (msg.sender != address(ledger)) revert NotLedger(msg.sender);
        Record storage record = _known(jobId);
        // INVARIANT: a data deposit is charged at most once, and never after it went back.
        if (record.settled || record.chargedAt != 0) return;
        record.chargedAt = uint64(block.timestamp);
        // INVARIANT: what is paid and burned for it is the data deposit, to the wei.
        record.charged = record.dataWei;
        (address[] memory accounts, uint256[] memory amounts, uint256 left) = _charge(
            jobId,
            record,
            worker,
            auditor,
            jurors
        );
        IERC20 currency = _currency(record.terms.token);
        if (_isNetworks(currency)) {
            _giveUp(currency, left);
            _credit(currency, accounts, amounts, record.dataWei - left);
        } else {
            _tryToPay(jobId, accounts, amounts, left);
        }
    }

    /// @inheritdoc IJobEscrow
    function payCharge(
        JobId jobId,
        address[] memory accounts,
        uint256[] memory amounts,
        uint256 left
    ) external {
        if (msg.sender != address(this)) {
            // INVARIANT: a charge is paid once, as it was booked.
            if (_owedCharges[jobId] != _chargeDigest(accounts, amounts, left)) {
                revert NothingOwed(jobId);
            }
            delete _owedCharges[jobId];
            emit ChargePaid(jobId);
        }
        Record storage record = _records[jobId];
        IERC20 currency = _currency(record.terms.token);
        _giveUp(currency, left);
        _credit(currency, accounts, amounts, record.dataWei - left);
    }

    /// @inheritdoc IJobEscrow
    function quote(JobTerms calldata terms) external view returns (uint256 depositWei) {
        _requireValid(terms);
        (uint128 auditWei, uint16 feeBps) = _rates(terms.unitWei);
        uint256 priceWei = _roundWei(terms, auditWei) * terms.rounds;
        return _withFee(priceWei, feeBps) + _dataWei(priceWei);
    }

    /// @inheritdoc IJobEscrow
    function jobs(JobId jobId) external view returns (Job memory job) {
        Record storage record = _known(jobId);
        job.submitter = record.submitter;
        job.status = _status(record);
        job.terms = record.terms;
        job.auditWei = record.auditWei;
        job.feeBps = record.feeBps;
        job.roundsPaid = record.roundsPaid;
        job.cancelledAt = record.cancelledAt;
        job.settled = record.settled;
        job.deposited = record.deposited;
        job.paid = record.paid;
        job.refunded = record.refunded;
        job.fees = record.fees;
        job.dataWei = record.dataWei;
        job.charged = record.charged;
        job.chargedAt = record.chargedAt;
        job.unitValueWei = _lockPriceWei(record);
    }

    /// @inheritdoc IJobEscrow
    function workTerms(
        JobId jobId
    ) external view returns (uint32 slots, uint128 unitWei, uint128 auditWei) {
        Record storage record = _known(jobId);
        return (record.terms.slots, record.terms.unitWei, record.auditWei);
    }

    /// @inheritdoc IJobEscrow
    function lockTerms(JobId jobId) external view returns (uint32 slots, uint128 unitValueWei) {
        Record storage record = _known(jobId);
        return (record.terms.slots, _lockPriceWei(record));
    }

    /// @inheritdoc IJobEscrow
    function tokenOf(JobId jobId) external view returns (IERC20) {
        return _currency(_known(jobId).terms.token);
    }

    /// @inheritdoc IJobEscrow
    function aheadTerms(JobId jobId) external view returns (uint32 rounds, uint8 roundsAhead) {
        JobTerms storage terms = _known(jobId).terms;
        return (terms.rounds, terms.roundsAhead);
    }

    /// @inheritdoc IJobEscrow
    function heldOf(JobId jobId) external view returns (uint256) {
        return _held(_known(jobId));
    }

    /// @inheritdoc IJobEscrow
    function acceptsWork(JobId jobId, bool started) external view returns (bool) {
        Record storage record = _known(jobId);
        if (record.settled) return false;
        if (started) return block.timestamp < _endOfStartedRound(record);
        return _status(record) == JobStatus.Funded;
    }

    /// @inheritdoc IJobEscrow
    function settleableAt(JobId jobId) external view returns (uint256) {
        return _settleableAt(jobId, _known(jobId));
    }

    /// @inheritdoc IJobEscrow
    function jobCount() external view returns (uint256) {
        return _jobIds.length;
    }

    /// @inheritdoc IJobEscrow
    function jobIdAt(uint256 index) external view returns (JobId) {
        return _jobIds[index];
    }

    /// @dev INVARIANT: no token holds up a verdict, whatever it does: what it does not move is owed.
    function _tryToPay(
        JobId jobId,
        address[] memory accounts,
        uint256[] memory amounts,
        uint256 left
    ) private {
        // Else whoever sends too little gas would choose that it is owed.
        uint256 gas_ = gasleft();
        if (gas_ < MIN_CHARGE_GAS) revert TooLittleGas(gas_, MIN_CHARGE_GAS);
        try this.payCharge{gas: CHARGE_GAS}(jobId, accounts, amounts, left) {
            return;
        } catch {
            _owedCharges[jobId] = _chargeDigest(accounts, amounts, left);
            emit ChargeOwed(jobId, accounts, amounts, left);
        }
    }

    /// @dev Who gets what of a data deposit.
    function _charge(
        JobId jobId,
        Record storage record,
        address worker,
        address auditor,
        address[] calldata jurors
    ) private returns (address[] memory accounts, uint256[] memory amounts, uint256 left) {
        left = record.dataWei;
        uint256 workerWei = worker == address(0) ? 0 : Math.min(record.terms.unitWei, left);
        left -= workerWei;
        uint256 auditorWei = auditor == address(0) ? 0 : Math.min(record.auditWei, left);
        left -= auditorWei;
        uint256 jurorWei = jurors.length == 0 ? 0 : Math.min(record.auditWei, left / jurors.length);
        left -= jurorWei * jurors.length;
        emit DataCharged(jobId, workerWei, auditorWei, jurorWei, jurors.length, left);
        accounts = new address[](2 + jurors.length);
        amounts = new uint256[](2 + jurors.length);
        (accounts[0], amounts[0]) = (worker, workerWei);
        (accounts[1], amounts[1]) = (auditor, auditorWei);
        for (uint256 i = 0; i < jurors.length; ++i) {
            (accounts[2 + i], amounts[2 + i]) = (jurors[i], jurorWei);
        }
    }

    /// @dev Ends a job: what is held goes back, nothing is paid any more.
    function _close(JobId jobId, Record storage record) private {
        record.settled = true;
        emit JobSettled(jobId);
        _refund(jobId, record, _held(record));
    }

    function _refund(JobId jobId, Record storage record, uint256 amount) private {
        // Of our own books, not of a balance that somebody else can raise.
        // slither-disable-next-line incorrect-equality
        if (amount == 0) return;
        record.refunded += amount;
        emit JobRefunded(jobId, record.submitter, amount);
        _return(_currency(record.terms.token), record.submitter, amount);
    }

    function _known(JobId jobId) private view returns (Record storage record) {
        record = _records[jobId];
        if (record.submitter == address(0)) revert UnknownJob(jobId);
    }

    function _status(Record storage record) private view returns (JobStatus) {
        if (record.roundsPaid == record.terms.rounds) return JobStatus.Completed;
        if (record.chargedAt != 0) return JobStatus.InputUnavailable;
        if (record.cancelledAt != 0) return JobStatus.Cancelled;
        return block.timestamp < record.terms.deadline ? JobStatus.Funded : JobStatus.Expired;
    }

    function _settleableAt(JobId jobId, Record storage record) private view returns (uint256) {
        if (record.roundsPaid == record.terms.rounds) return 0;
        if (ledger.roundStarted(jobId)) return _endOfStartedRound(record);
        return record.cancelledAt != 0 || record.chargedAt != 0 ? 0 : record.terms.deadline;
    }

    /// @dev Rounds that were started before the job ended have time for every audit, one challenge
    /// and one verdict; those of different rounds run side by side.
    function _endOfStartedRound(Record storage record) private view returns (uint256) {
        uint256 end = record.terms.deadline;
        if (record.cancelledAt != 0) end = Math.min(end, record.cancelledAt);
        if (record.chargedAt != 0) end = Math.min(end, record.chargedAt);
        return end + parameters.exposureS() + parameters.get(Parameter.LeaseS);
    }

    function _chargeDigest(
        address[] memory accounts,
        uint256[] memory amounts,
        uint256 left
    ) private pure returns (bytes32) {
        return keccak256(abi.encode(accounts, amounts, left));
    }

    function _lockPriceWei(Record storage record) private view returns (uint128) {
        return record.unitValueWei == 0 ? record.terms.unitWei : record.unitValueWei;
    }

    /// @dev A unit's price in AIN wei, as of now, rounded up: it is never nothing.
    function _unitValueWei(JobTerms calldata terms) private view returns (uint128) {
        if (address(terms.token) == address(0)) return terms.unitWei;
        // INVARIANT: no vote makes a job in the network's token one whose fee is not burned.
        uint256 rate = _isNetworks(terms.token) ? 0 : parameters.tokenRate(terms.token);
        // None, not a small one.
        // slither-disable-next-line incorrect-equality
        if (rate == 0) revert BadToken(terms.token);
        // Fits: below 2^128 * MAX_TOKEN_RATE.
        uint256 value = Math.ceilDiv(uint256(terms.unitWei) * rate, RATE_UNITS);
        if (value > MAX_UNIT_VALUE_WEI) revert BadPrice(terms.unitWei);
        return uint128(value);
    }

    function _currency(IERC20 named) private view returns (IERC20) {
        return address(named) == address(0) ? token : named;
    }

    function _rates(uint128 unitWei) private view returns (uint128 auditWei, uint16 feeBps) {
        // Both fit: AuditPayBps <= BPS and ProtocolFeeBps <= BPS / 5 by NetworkParameters' bounds.
        auditWei = uint128((uint256(unitWei) * parameters.get(Parameter.AuditPayBps)) / BPS);
        feeBps = uint16(parameters.get(Parameter.ProtocolFeeBps));
    }

    function _requireValid(JobTerms calldata terms) private view {
        if (terms.manifestDigest == 0 || terms.manifestRoot == 0 || terms.manifestSize == 0) {
            revert BadManifest(terms.manifestDigest, terms.manifestRoot, terms.manifestSize);
        }
        if (terms.rounds == 0 || terms.rounds > MAX_ROUNDS)
            revert BadRounds(terms.rounds, MAX_ROUNDS);
        if (terms.slots == 0 || terms.slots > MAX_SLOTS) revert BadSlots(terms.slots, MAX_SLOTS);
        if (terms.roundsAhead > MAX_ROUNDS_AHEAD) {
            revert BadRoundsAhead(terms.roundsAhead, MAX_ROUNDS_AHEAD);
        }
        if (terms.unitFlops > MAX_UNIT_FLOPS) revert BadFlops(terms.unitFlops, MAX_UNIT_FLOPS);
        if (terms.unitWei == 0) revert BadPrice(terms.unitWei);
        uint256 latest = block.timestamp + MAX_JOB_S;
        if (terms.deadline <= block.timestamp || terms.deadline > latest) {
            revert BadDeadline(terms.deadline, block.timestamp, latest);
        }
    }

    /// @dev The most that one round pays: every slot's unit and every slot's audit.
    function _roundWei(JobTerms memory terms, uint128 auditWei) private pure returns (uint256) {
        return uint256(terms.slots) * (uint256(terms.unitWei) + auditWei);
    }

    /// @dev Rounds the fee down. INVARIANT: the fees of all rounds never exceed the fee of the
    /// whole, for floor(a) + floor(b) <= floor(a + b).
    function _withFee(uint256 amount, uint16 feeBps) private pure returns (uint256) {
        return amount + (amount * feeBps) / BPS;
    }

    /// @dev The data deposit of a job with this price, rounded up: it is never nothing.
    function _dataWei(uint256 priceWei) private view returns (uint256) {
        return Math.ceilDiv(priceWei * parameters.get(Parameter.DataDepositBps), BPS);
    }

    function _sum(uint256[] calldata amounts) private pure returns (uint256 sum) {
        for (uint256 i = 0; i < amounts.length; ++i) {
            sum += amounts[i];
        }
    }

    function _held(Record storage record) private view returns (uint256) {
        return record.deposited - record.paid - record.refunded - record.fees - record.charged;
    }
}
