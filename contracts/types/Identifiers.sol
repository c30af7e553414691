// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice A funded job. Made by JobEscrow; 0 is no job.
type JobId is bytes32;

/// @notice One attempt at one slot of one round of a job: keccak256(abi.encode(jobId, round, slot,
/// attempt)).
type UnitId is bytes32;

using {jobIdEquals as ==, jobIdDiffers as !=} for JobId global;
using {unitIdEquals as ==, unitIdDiffers as !=} for UnitId global;

function jobIdEquals(JobId a, JobId b) pure returns (bool) {
    return JobId.unwrap(a) == JobId.unwrap(b);
}

function jobIdDiffers(JobId a, JobId b) pure returns (bool) {
    return JobId.unwrap(a) != JobId.unwrap(b);
}

function unitIdEquals(UnitId a, UnitId b) pure returns (bool) {
    return UnitId.unwrap(a) == UnitId.unwrap(b);
}

function unitIdDiffers(UnitId a, UnitId b) pure returns (bool) {
    return UnitId.unwrap(a) != UnitId.unwrap(b);
}
