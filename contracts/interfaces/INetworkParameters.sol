// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Parameter} from "../types/Parameter.sol";

/// @title The DAO's knobs, each within hard bounds
/// @notice Every contract reads them live; only the owner (the timelock) sets them.
interface INetworkParameters {
    /// @notice A parameter has a new value, from construction on.
    event ParameterChanged(Parameter indexed parameter, uint256 oldValue, uint256 newValue);

    /// @notice The value lies outside the parameter's hard bounds.
    error OutOfBounds(Parameter parameter, uint256 value, uint256 min, uint256 max);

    /// @notice A bond could be withdrawn before a fault can be proved: raise UnbondDelayS or
    /// shorten the windows first.
    error UnbondDelayTooShort(uint256 unbondDelayS, uint256 exposureS);

    /// @notice The constructor got a wrong number of values.
    error WrongValueCount(uint256 given, uint256 expected);

    /// @notice Sets a parameter. Only the owner.
    function set(Parameter parameter, uint256 value) external;

    /// @notice A parameter's value now.
    function get(Parameter parameter) external view returns (uint256);

    /// @notice All values, in the order of the enum.
    function all() external view returns (uint256[] memory values);

    /// @notice The least and the greatest value that a parameter may ever have.
    function bounds(Parameter parameter) external pure returns (uint256 min, uint256 max);

    /// @notice The longest time, in seconds, from the capture of a unit's draw to its last verdict, if
    /// the steps that anyone may take are taken at once.
    function exposureS() external view returns (uint256);

    /// @notice The longest time, in seconds, that leaving can take under any values that a vote could
    /// set: to see the last unit through its exposure, then to unbond.
    function longestExitS() external pure returns (uint256);
}
