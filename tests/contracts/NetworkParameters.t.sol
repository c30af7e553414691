// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";

import {INetworkParameters} from "../../contracts/interfaces/INetworkParameters.sol";
import {PARAMETER_COUNT, Parameter} from "../../contracts/types/Parameter.sol";
import {Stage} from "./helpers/Stage.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice Values, bounds, owner.
contract NetworkParametersTest is Stage {
    function setUp() public {
        stage(0);
    }

    /// @notice The constructor's array fills the enum in order.
    function test_constructor_values_areInEnumOrder() public view {
        uint256[] memory expected = net.defaults();
        uint256[] memory all = parameters.all();
        same(all.length, PARAMETER_COUNT, "count");
        for (uint256 i = 0; i < PARAMETER_COUNT; ++i) {
            same(parameters.get(Parameter(i)), expected[i], "value");
            same(all[i], expected[i], "all");
        }
    }

    /// @notice The enum has as many members as the constant says.
    function test_enum_count_matches() public pure {
        same(uint256(type(Parameter).max) + 1, PARAMETER_COUNT, "count");
    }

    /// @notice Whatever the owner tries, a value stays within its bounds and the exposure stays
    /// covered.
    function testFuzz_set_anyValue_staysInBounds(uint8 which, uint256 value) public {
        Parameter parameter = Parameter(which % PARAMETER_COUNT);
        (uint256 min, uint256 max) = parameters.bounds(parameter);
        check(min < max, "a range");
        uint256 before = parameters.get(parameter);
        try parameters.set(parameter, value) {
            same(parameters.get(parameter), value, "set");
        } catch {
            same(parameters.get(parameter), before, "kept");
        }
        uint256 now_ = parameters.get(parameter);
        check(min <= now_ && now_ <= max, "bounds");
        check(parameters.get(Parameter.UnbondDelayS) >= parameters.exposureS(), "covered");
    }

    /// @notice One value too few or too many cannot be deployed, nor a bond that leaves too early.
    function test_constructor_badValues_areRefused() public {
        uint256[] memory values = net.defaults();
        check(isDeployed(values), "the defaults");
        values[uint256(Parameter.UnbondDelayS)] = parameters.exposureS();
        check(isDeployed(values), "just long enough");
        --values[uint256(Parameter.UnbondDelayS)];
        check(!isDeployed(values), "a second too short");
        check(!isDeployed(resized(net.defaults(), 17)), "too few");
        check(!isDeployed(resized(net.defaults(), 19)), "too many");
    }

    /// @notice The bounds are those of docs/spec/contracts.md, in the order of the enum.
    function test_bounds_everyParameter_areTheDocumented() public view {
        expectBounds(Parameter.MinBondWei, 1 ether, 10_000_000 ether);
        expectBounds(Parameter.AuditFloorBps, 100, 10_000);
        expectBounds(Parameter.ProbationUnits, 1, 10_000);
        expectBounds(Parameter.LockFactorBps, 10_000, 100_000);
        expectBounds(Parameter.BountyBps, 0, 5_000);
        expectBounds(Parameter.ProtocolFeeBps, 0, 2_000);
        expectBounds(Parameter.AuditPayBps, 0, 10_000);
        expectBounds(Parameter.UnbondDelayS, 1, 90 days);
        expectBounds(Parameter.AuditWindowS, 1, 3 days);
        expectBounds(Parameter.OpenWindowS, 1, 3 days);
        expectBounds(Parameter.ChallengeWindowS, 1, 7 days);
        expectBounds(Parameter.ChallengeDepositWei, 0.001 ether, 10_000_000 ether);
        expectBounds(Parameter.CommitteeSize, 3, 15);
        expectBounds(Parameter.LeaseS, 1, 7 days);
        expectBounds(Parameter.DataDepositBps, 100, 2_000);
        expectBounds(Parameter.EmissionBps, 0, 10_000);
        expectBounds(Parameter.TreasuryShareBps, 500, 5_000);
        expectBounds(Parameter.EmissionGflopFeeWei, 1, 1_000 ether);
        expectBounds(Parameter.ArithmeticVersions, 2, type(uint64).max);
        expectBounds(Parameter.ManifestVersions, 2, type(uint64).max);
    }

    /// @notice Both bounds of every parameter are enforced at the edge.
    function test_set_outOfBounds_isRefused() public {
        for (uint256 i = 0; i < PARAMETER_COUNT; ++i) {
            Parameter parameter = Parameter(i);
            (uint256 min, uint256 max) = parameters.bounds(parameter);
            VM.expectRevert(
                abi.encodeWithSelector(
                    INetworkParameters.OutOfBounds.selector,
                    parameter,
                    max + 1,
                    min,
                    max
                )
            );
            parameters.set(parameter, max + 1);
            if (min == 0) continue;
            VM.expectRevert(
                abi.encodeWithSelector(
                    INetworkParameters.OutOfBounds.selector,
                    parameter,
                    min - 1,
                    min,
                    max
                )
            );
            parameters.set(parameter, min - 1);
        }
    }

    /// @notice Bonds cannot leave before a fault can be proved, from whichever side one tries.
    function test_set_unbondDelayBelowExposure_isRefused() public {
        uint256 exposure = parameters.exposureS();
        same(exposure, 4 * (100 + 2 * 50) + 30 + 100 + 50, "sum of the windows");
        VM.expectRevert(
            abi.encodeWithSelector(
                INetworkParameters.UnbondDelayTooShort.selector,
                exposure - 1,
                exposure
            )
        );
        parameters.set(Parameter.UnbondDelayS, exposure - 1);
        parameters.set(Parameter.UnbondDelayS, exposure);
        VM.expectRevert(
            abi.encodeWithSelector(
                INetworkParameters.UnbondDelayTooShort.selector,
                exposure,
                exposure + 1
            )
        );
        parameters.set(Parameter.ChallengeWindowS, 31);
    }

    /// @notice Only the owner sets.
    function test_set_stranger_isRefused() public {
        VM.prank(submitter);
        VM.expectRevert(
            abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, submitter)
        );
        parameters.set(Parameter.LeaseS, 60);
    }

    function expectBounds(Parameter parameter, uint256 least, uint256 greatest) private view {
        (uint256 min, uint256 max) = parameters.bounds(parameter);
        same(min, least, "least");
        same(max, greatest, "greatest");
    }

    function isDeployed(uint256[] memory values) private returns (bool) {
        bytes memory code = bytes.concat(
            VM.getCode("NetworkParameters"),
            abi.encode(address(this), values)
        );
        address made;
        assembly ("memory-safe") {
            made := create(0, add(code, 32), mload(code))
        }
        return made != address(0);
    }

    function resized(
        uint256[] memory values,
        uint256 count
    ) private pure returns (uint256[] memory other) {
        other = new uint256[](count);
        for (uint256 i = 0; i < count && i < values.length; ++i) {
            other[i] = values[i];
        }
    }
}
