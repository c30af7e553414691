// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {INetworkParameters} from "../../contracts/interfaces/INetworkParameters.sol";
import {PARAMETER_COUNT, Parameter} from "../../contracts/types/Parameter.sol";
import {PlainToken} from "./helpers/Tokens.sol";
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

    /// @notice A token comes on the list, has another rate, and goes; the list holds each once.
    function test_setTokenRate_comingAndGoing_keepsTheList() public {
        (IERC20 first, IERC20 second) = (new PlainToken(), new PlainToken());
        VM.expectEmit(address(parameters));
        emit INetworkParameters.TokenRateChanged(first, 0, 10 ** 6);
        parameters.setTokenRate(first, 10 ** 6);
        parameters.setTokenRate(second, 10 ** 36);
        VM.expectEmit(address(parameters));
        emit INetworkParameters.TokenRateChanged(first, 10 ** 6, 7 * 10 ** 6);
        parameters.setTokenRate(first, 7 * 10 ** 6);
        expectList(first, 7 * 10 ** 6, second, 10 ** 36);
        parameters.setTokenRate(first, 0);
        parameters.setTokenRate(first, 0);
        same(parameters.tokenRate(first), 0, "gone");
        (IERC20[] memory tokens, uint256[] memory rates) = parameters.acceptedTokens();
        same(tokens.length, 1, "one is left");
        same(address(tokens[0]), address(second), "the other");
        same(rates[0], 10 ** 36, "as it was");
        parameters.setTokenRate(first, 10 ** 18);
        expectList(second, 10 ** 36, first, 10 ** 18);
    }

    /// @notice No vote crosses the bounds of a rate, names what is no contract, or fills the list beyond 16.
    function test_setTokenRate_illegal_isRefused() public {
        IERC20 other = new PlainToken();
        uint256[2] memory bad = [uint256(10 ** 6 - 1), 10 ** 36 + 1];
        for (uint256 i = 0; i < 2; ++i) {
            VM.expectRevert(
                abi.encodeWithSelector(
                    INetworkParameters.BadRate.selector,
                    other,
                    bad[i],
                    10 ** 6,
                    10 ** 36
                )
            );
            parameters.setTokenRate(other, bad[i]);
        }
        VM.expectRevert(
            abi.encodeWithSelector(INetworkParameters.NoContract.selector, address(0xE0A))
        );
        parameters.setTokenRate(IERC20(address(0xE0A)), 10 ** 18);
        for (uint256 i = 0; i < 16; ++i) {
            parameters.setTokenRate(new PlainToken(), 10 ** 18);
        }
        VM.expectRevert(abi.encodeWithSelector(INetworkParameters.TooManyTokens.selector, 16));
        parameters.setTokenRate(other, 10 ** 18);
        (IERC20[] memory tokens, ) = parameters.acceptedTokens();
        parameters.setTokenRate(tokens[3], 10 ** 20);
        parameters.setTokenRate(tokens[3], 0);
        parameters.setTokenRate(other, 10 ** 18);
    }

    /// @notice Only the owner decides about tokens.
    function test_setTokenRate_stranger_isRefused() public {
        IERC20 other = new PlainToken();
        VM.prank(submitter);
        VM.expectRevert(
            abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, submitter)
        );
        parameters.setTokenRate(other, 10 ** 18);
    }

    /// @notice Any sequence of votes: the list holds each token with a rate once, and no other.
    function testFuzz_setTokenRate_anySequence_listIsTheRates(uint256[24] memory dice) public {
        IERC20[5] memory all;
        for (uint256 i = 0; i < 5; ++i) {
            all[i] = new PlainToken();
        }
        for (uint256 i = 0; i < dice.length; ++i) {
            uint256 rate = (dice[i] >> 8) % 2 == 0 ? 0 : 10 ** 6 + (dice[i] >> 160);
            parameters.setTokenRate(all[dice[i] % 5], rate);
        }
        (IERC20[] memory tokens, uint256[] memory rates) = parameters.acceptedTokens();
        uint256 listed = 0;
        for (uint256 i = 0; i < 5; ++i) {
            uint256 found = 0;
            for (uint256 j = 0; j < tokens.length; ++j) {
                if (address(tokens[j]) != address(all[i])) continue;
                ++found;
                same(rates[j], parameters.tokenRate(all[i]), "its rate");
            }
            same(found, parameters.tokenRate(all[i]) == 0 ? 0 : 1, "each once");
            listed += found;
        }
        same(tokens.length, listed, "no other");
    }

    function expectList(IERC20 first, uint256 rate, IERC20 second, uint256 other) private view {
        (IERC20[] memory tokens, uint256[] memory rates) = parameters.acceptedTokens();
        same(tokens.length, 2, "both");
        same(address(tokens[0]), address(first), "first");
        same(rates[0], rate, "first rate");
        same(address(tokens[1]), address(second), "second");
        same(rates[1], other, "second rate");
        same(parameters.tokenRate(first), rate, "told alone");
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
