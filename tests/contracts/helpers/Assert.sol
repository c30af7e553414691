// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {JobId, UnitId} from "../../../contracts/types/Identifiers.sol";
import {UnitStatus} from "../../../contracts/types/Work.sol";

/// @notice Comparisons that say what they compared.
abstract contract Assert {
    error NotEqual(string what, uint256 actual, uint256 expected);
    error NotEqualBytes(string what, bytes32 actual, bytes32 expected);
    error NotEqualAddress(string what, address actual, address expected);
    error NotTrue(string what);

    function check(bool condition, string memory what) internal pure {
        if (!condition) revert NotTrue(what);
    }

    function same(uint256 actual, uint256 expected, string memory what) internal pure {
        if (actual != expected) revert NotEqual(what, actual, expected);
    }

    function same(bytes32 actual, bytes32 expected, string memory what) internal pure {
        if (actual != expected) revert NotEqualBytes(what, actual, expected);
    }

    function same(address actual, address expected, string memory what) internal pure {
        if (actual != expected) revert NotEqualAddress(what, actual, expected);
    }

    function same(UnitStatus actual, UnitStatus expected, string memory what) internal pure {
        same(uint256(actual), uint256(expected), what);
    }
}
