// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {UnitId} from "../types/Identifiers.sol";
import {BPS} from "../types/Parameter.sol";

/// @title Which units are audited
/// @notice docs/spec/protocol.md, section 4.3. The remainder of a 256-bit hash is uniform to within
/// 2^-240.
library Lottery {
    /// @notice Whether a unit is drawn for an audit.
    /// @param seed The hash of the draw block, fixed after the unit was committed.
    /// @param clean The worker's units n since its last fault.
    /// @param probation While n is below this every unit is drawn.
    /// @param floorBps Afterwards the probability is max(1/n, floorBps / BPS).
    function isDrawn(
        bytes32 seed,
        UnitId unitId,
        uint256 clean,
        uint256 probation,
        uint256 floorBps
    ) internal pure returns (bool) {
        if (clean < probation || clean <= 1) return true;
        uint256 ticket = uint256(keccak256(abi.encode(seed, unitId)));
        if (floorBps * clean <= BPS) return ticket % clean == 0;
        return ticket % BPS < floorBps;
    }

    /// @notice The seed that draws the `redraws`-th replacement of a unit's auditor.
    /// @dev Fixed with the batch's seed: whoever calls `expire` cannot choose an auditor by
    /// choosing the block.
    function auditorSeed(
        bytes32 seed,
        UnitId unitId,
        uint256 redraws
    ) internal pure returns (bytes32) {
        return keccak256(abi.encode(seed, unitId, "auditor", redraws));
    }
}
