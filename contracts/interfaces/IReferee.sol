// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {UnitId} from "../types/Identifiers.sol";

/// @title Who decides disputes
/// @notice A referee calls IRefereeCallback.onVerdict exactly once per opened unit, whatever
/// happens.
interface IReferee {
    /// @notice Opens a dispute about a unit. Only whom the referee reports to.
    function open(UnitId unitId, address worker, address coordinator, address accuser) external;

    /// @notice Who opens disputes here and is told the verdicts. Never changes.
    function reportsTo() external view returns (IRefereeCallback);
}

/// @title Who is told verdicts
interface IRefereeCallback {
    /// @notice The true unit root, or 0 for none: the unit is void. Only the referee, once per
    /// dispute.
    /// @param upheldBy Who voted for `root`; they share bounties.
    function onVerdict(UnitId unitId, bytes32 root, address[] calldata upheldBy) external;
}
