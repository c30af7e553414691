// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Who names a guardian: the governor
interface IGuarded {
    /// @notice Who may veto; 0 for nobody.
    function guardian() external view returns (address);

    /// @notice When the guardian's power ends, Unix seconds.
    function guardianUntil() external view returns (uint48);
}
