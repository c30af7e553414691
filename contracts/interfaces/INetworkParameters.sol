// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {Parameter} from "../types/Parameter.sol";

/// @title The DAO's knobs, each within hard bounds
/// @notice Every contract reads them live; only the owner (the timelock) sets them.
interface INetworkParameters {
    /// @notice A parameter has a new value, from construction on.
    event ParameterChanged(Parameter indexed parameter, uint256 oldValue, uint256 newValue);

    /// @notice A token's rate has a new value; 0: new jobs are not paid in it any more.
    event TokenRateChanged(IERC20 indexed token, uint256 oldRate, uint256 newRate);

    /// @notice The value lies outside the parameter's hard bounds.
    error OutOfBounds(Parameter parameter, uint256 value, uint256 min, uint256 max);

    /// @notice A bond could be withdrawn before a fault can be proved: raise UnbondDelayS or
    /// shorten the windows first.
    error UnbondDelayTooShort(uint256 unbondDelayS, uint256 exposureS);

    /// @notice The constructor got a wrong number of values.
    error WrongValueCount(uint256 given, uint256 expected);

    /// @notice A token's rate is `min` to `max`, or 0 to take it off the list.
    error BadRate(IERC20 token, uint256 rate, uint256 min, uint256 max);

    /// @notice There is no contract at the address.
    error NoContract(IERC20 token);

    /// @notice The list is full: take a token off first.
    error TooManyTokens(uint256 max);

    /// @notice Sets a parameter. Only the owner.
    function set(Parameter parameter, uint256 value) external;

    /// @notice Lets new jobs be paid in a token, or changes its rate; 0 takes it off the list. Jobs that are
    /// funded keep their token and what their units were worth. Only the owner. Which tokens to refuse:
    /// docs/spec/contracts.md.
    /// @param rate AIN wei that RATE_UNITS of the token's smallest units are worth. Locks are made from
    /// it and nothing else.
    function setTokenRate(IERC20 token, uint256 rate) external;

    /// @notice AIN wei that RATE_UNITS of a token's smallest units are worth; 0: not on the list.
    function tokenRate(IERC20 token) external view returns (uint256);

    /// @notice The list, at most MAX_TOKENS long, in no order.
    function acceptedTokens()
        external
        view
        returns (IERC20[] memory tokens, uint256[] memory rates);

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
