// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @dev Slots of a round: one bit each in a batch's bitmap, and one loop in one transaction.
uint256 constant MAX_SLOTS = 64;

/// @dev Rounds of a job.
uint256 constant MAX_ROUNDS = 1_000_000;

/// @dev Rounds that may be computed from checkpoints that are not final yet.
uint256 constant MAX_ROUNDS_AHEAD = 8;

/// @dev Seconds from funding to the latest deadline.
uint256 constant MAX_JOB_S = 366 days;

/// @dev Floating-point operations of a unit. The manifest's bound too.
uint256 constant MAX_UNIT_FLOPS = 2 ** 62;

/// @dev AIN wei that a unit's price may be worth: far beyond the supply, and no lock overflows by it.
uint256 constant MAX_UNIT_VALUE_WEI = 2 ** 96;

/// @notice What a submitter offers. The manifest is a blob that peers hold; the chain knows its
/// digest and address.
struct JobTerms {
    bytes32 manifestDigest; // sha256 of the manifest's bytes
    uint64 manifestSize; // its bytes
    bytes32 manifestRoot; // its blob root
    uint32 rounds; // 1 to MAX_ROUNDS
    uint32 slots; // 1 to MAX_SLOTS
    uint128 unitWei; // price of one work unit, at least 1; in the token's smallest units
    uint64 deadline; // no round starts from then on (Unix seconds)
    uint8 roundsAhead; // 0 to MAX_ROUNDS_AHEAD: how far rounds may run ahead of the oldest open one
    uint64 unitFlops; // 0 to MAX_UNIT_FLOPS: exactly the manifest's, or no node works on the job
    IERC20 token; // what the job is paid in; 0: the network's token, which has no other name here
}

/// @notice Where a job stands; derived from the facts in `Job` and the clock, never stored.
enum JobStatus {
    None, // unknown
    Funded, // rounds may start
    Completed, // every round was finalised
    Cancelled, // by its submitter; already started rounds may still be finalised
    Expired, // the deadline has passed; already started rounds may still be finalised
    InputUnavailable // its data was not to be had; already started rounds may still be finalised
}

/// @notice A job's terms, facts and money, in its token's smallest units.
/// deposited = paid + refunded + fees + charged + held.
struct Job {
    address submitter;
    JobStatus status;
    JobTerms terms;
    uint128 auditWei; // pay of one matching audit, fixed at funding
    uint16 feeBps; // protocol fee, fixed at funding
    uint32 roundsPaid; // finalised rounds
    uint64 cancelledAt; // 0 while not cancelled
    bool settled; // the rest was refunded and nothing more is paid
    uint256 deposited;
    uint256 paid; // to the distributor, for workers and auditors
    uint256 refunded; // to the submitter
    uint256 fees; // burned; of a job in another token, credited to the treasury
    uint256 dataWei; // of deposited: the data deposit, fixed at funding
    uint256 charged; // of it: what a verdict that the data was unavailable took
    uint64 chargedAt; // 0 while there was no such verdict
    uint128 unitValueWei; // a unit's price in AIN wei, fixed at funding: what its lock is made from
}
