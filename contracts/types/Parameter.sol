// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What the DAO may tune, in the order of the constructor's array. `Bps` counts
/// ten-thousandths, `S` seconds.
enum Parameter {
    MinBondWei, // a node is active while its bond less what it is withdrawing is at least this
    AuditFloorBps, // the least probability of an audit after probation
    ProbationUnits, // a worker's first units since its last fault: all audited
    LockFactorBps, // a unit's lock: its price times this, divided by AuditFloorBps
    BountyBps, // part of a slash that goes to those who proved the fault; the rest is burned
    ProtocolFeeBps, // on top of what a round pays; burned
    AuditPayBps, // pay of a matching audit as a part of the unit's price
    UnbondDelayS, // from asking to unbond to withdrawing; never below exposureS()
    AuditWindowS, // to recompute a unit and commit, for auditors and jurors, from their draw
    OpenWindowS, // to open or reveal: a worker, an auditor, a juror
    ChallengeWindowS, // a passed or verified unit may be challenged for so long
    ChallengeDepositWei, // lost by a challenger who is wrong
    CommitteeSize, // seats of a committee; more than half must agree
    LeaseS, // a coordinator's lease without a call
    DataDepositBps, // part of a job's price that its submitter deposits for its data staying available
    EmissionBps, // the most that is minted for a round, as a part of the fee burned for it
    TreasuryShareBps, // part of what is minted for a round that the treasury gets
    EmissionGflopFeeWei, // fee burned for a GFLOP from which it counts whole in its epoch
    ArithmeticVersions, // bit v: nodes take new jobs whose Programs are of arithmetic version v
    ManifestVersions // bit v: nodes take new jobs whose manifest is of version v
}

/// @dev How many parameters there are.
uint256 constant PARAMETER_COUNT = 20;

/// @dev Ten-thousandths in a whole.
uint256 constant BPS = 10_000;

/// @dev How often an overdue auditor is replaced before a unit passes unaudited.
uint256 constant MAX_REDRAWS = 3;
