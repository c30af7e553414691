// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {INetworkParameters} from "./interfaces/INetworkParameters.sol";
import {BPS, MAX_REDRAWS, PARAMETER_COUNT, Parameter} from "./types/Parameter.sol";
import {MAX_TOKENS, MAX_TOKEN_RATE, MIN_TOKEN_RATE} from "./types/Token.sol";

/// @title The DAO's knobs, each within hard bounds
/// @notice The bounds are code, not storage: no vote can set a fee above a fifth, a bounty above a
/// half (a node that slashes itself through a second account still loses a half), or a committee
/// that one account can be.
contract NetworkParameters is INetworkParameters, Ownable {
    mapping(Parameter parameter => uint256 value) private _values;
    /// @inheritdoc INetworkParameters
    mapping(IERC20 token => uint256 rate) public tokenRate;
    /// @dev INVARIANT: each token with a rate once, and no other.
    IERC20[] private _tokens;

    /// @param owner Who may set parameters: the timelock.
    /// @param initialValues One per parameter, in the order of the enum.
    constructor(address owner, uint256[] memory initialValues) Ownable(owner) {
        if (initialValues.length != PARAMETER_COUNT) {
            revert WrongValueCount(initialValues.length, PARAMETER_COUNT);
        }
        for (uint256 i = 0; i < PARAMETER_COUNT; ++i) {
            _store(Parameter(i), initialValues[i]);
        }
        _requireExposureCovered();
    }

    /// @inheritdoc INetworkParameters
    function set(Parameter parameter, uint256 value) external onlyOwner {
        _store(parameter, value);
        _requireExposureCovered();
    }

    /// @inheritdoc INetworkParameters
    function setTokenRate(IERC20 token, uint256 rate) external onlyOwner {
        bool isLegal = rate >= MIN_TOKEN_RATE && rate <= MAX_TOKEN_RATE;
        // INVARIANT: every rate lies within its bounds, always.
        if (rate != 0 && !isLegal) revert BadRate(token, rate, MIN_TOKEN_RATE, MAX_TOKEN_RATE);
        uint256 old = tokenRate[token];
        tokenRate[token] = rate;
        emit TokenRateChanged(token, old, rate);
        if (rate == 0 && old != 0) _remove(token);
        if (rate == 0 || old != 0) return;
        if (address(token).code.length == 0) revert NoContract(token);
        if (_tokens.length == MAX_TOKENS) revert TooManyTokens(MAX_TOKENS);
        _tokens.push(token);
    }

    /// @inheritdoc INetworkParameters
    function get(Parameter parameter) external view returns (uint256) {
        return _values[parameter];
    }

    /// @inheritdoc INetworkParameters
    function all() external view returns (uint256[] memory values) {
        values = new uint256[](PARAMETER_COUNT);
        for (uint256 i = 0; i < PARAMETER_COUNT; ++i) {
            values[i] = _values[Parameter(i)];
        }
    }

    /// @inheritdoc INetworkParameters
    function acceptedTokens()
        external
        view
        returns (IERC20[] memory tokens, uint256[] memory rates)
    {
        tokens = _tokens;
        rates = new uint256[](tokens.length);
        for (uint256 i = 0; i < tokens.length; ++i) {
            rates[i] = tokenRate[tokens[i]];
        }
    }

    /// @inheritdoc INetworkParameters
    function exposureS() public view returns (uint256) {
        return
            _exposureS(
                _values[Parameter.AuditWindowS],
                _values[Parameter.OpenWindowS],
                _values[Parameter.ChallengeWindowS]
            );
    }

    /// @inheritdoc INetworkParameters
    function longestExitS() external pure returns (uint256) {
        (, uint256 delayS) = bounds(Parameter.UnbondDelayS);
        (, uint256 auditS) = bounds(Parameter.AuditWindowS);
        (, uint256 openS) = bounds(Parameter.OpenWindowS);
        (, uint256 challengeS) = bounds(Parameter.ChallengeWindowS);
        return delayS + _exposureS(auditS, openS, challengeS);
    }

    /// @inheritdoc INetworkParameters
    // A table with a line each:
    // solhint-disable-next-line code-complexity
    function bounds(Parameter parameter) public pure returns (uint256 min, uint256 max) {
        if (parameter == Parameter.MinBondWei) return (1 ether, 10_000_000 ether);
        if (parameter == Parameter.AuditFloorBps) return (100, BPS);
        if (parameter == Parameter.ProbationUnits) return (1, 10_000);
        // At least 1 / AuditFloorBps unit prices: a liar alone never gains, whatever a vote says.
        if (parameter == Parameter.LockFactorBps) return (BPS, 10 * BPS);
        if (parameter == Parameter.BountyBps) return (0, BPS / 2);
        if (parameter == Parameter.ProtocolFeeBps) return (0, BPS / 5);
        if (parameter == Parameter.AuditPayBps) return (0, BPS);
        if (parameter == Parameter.UnbondDelayS) return (1, 90 days);
        if (parameter == Parameter.AuditWindowS) return (1, 3 days);
        if (parameter == Parameter.OpenWindowS) return (1, 3 days);
        if (parameter == Parameter.ChallengeWindowS) return (1, 7 days);
        if (parameter == Parameter.ChallengeDepositWei) return (1 ether / 1000, 10_000_000 ether);
        if (parameter == Parameter.CommitteeSize) return (3, 15);
        if (parameter == Parameter.LeaseS) return (1, 7 days);
        if (parameter == Parameter.DataDepositBps) return (100, BPS / 5);
        // Never more than was burned, and never all of it: work for oneself always costs something.
        if (parameter == Parameter.EmissionBps) return (0, BPS);
        if (parameter == Parameter.TreasuryShareBps) return (BPS / 20, BPS / 2);
        if (parameter == Parameter.EmissionGflopFeeWei) return (1, 1_000 ether);
        // ArithmeticVersions, ManifestVersions: at least one version, and no other than 1 to 63.
        return (2, type(uint64).max);
    }

    function _store(Parameter parameter, uint256 value) private {
        (uint256 min, uint256 max) = bounds(parameter);
        // INVARIANT: every value lies within its bounds, always.
        if (value < min || value > max) revert OutOfBounds(parameter, value, min, max);
        uint256 old = _values[parameter];
        _values[parameter] = value;
        emit ParameterChanged(parameter, old, value);
    }

    /// @dev The last takes the place of the one that goes.
    function _remove(IERC20 token) private {
        uint256 i = 0;
        while (address(_tokens[i]) != address(token)) ++i;
        _tokens[i] = _tokens[_tokens.length - 1];
        _tokens.pop();
    }

    function _exposureS(
        uint256 auditS,
        uint256 openS,
        uint256 challengeS
    ) private pure returns (uint256) {
        // Every auditor may commit late, let the worker open late and never reveal; then a
        // challenge at the last moment; then a jury that uses all its time.
        uint256 audits = (1 + MAX_REDRAWS) * (auditS + 2 * openS);
        return audits + challengeS + auditS + openS;
    }

    function _requireExposureCovered() private view {
        uint256 delay = _values[Parameter.UnbondDelayS];
        uint256 exposure = exposureS();
        // INVARIANT: a bond that starts to leave when a unit is captured is still there at the
        // unit's last verdict.
        if (delay < exposure) revert UnbondDelayTooShort(delay, exposure);
    }
}
