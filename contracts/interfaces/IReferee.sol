// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {UnitId} from "../types/Identifiers.sol";

/// @title The seat that decides disputes
/// @notice A referee calls IRefereeCallback.onVerdict exactly once per opened unit, whatever
/// happens.
interface IReferee {
    /// @notice Opens a dispute about a unit. Only the ledger.
    function open(UnitId unitId, address worker, address coordinator, address accuser) external;
}

/// @title What the ledger lets the referee say
interface IRefereeCallback {
    /// @notice The true unit root, or 0 for none: the unit is void. Only the referee, once per
    /// dispute.
    /// @param upheldBy Who voted for `root`; they share bounties.
    function onVerdict(UnitId unitId, bytes32 root, address[] calldata upheldBy) external;
}
