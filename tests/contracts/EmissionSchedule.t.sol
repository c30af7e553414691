// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IEmissionSchedule} from "../../contracts/interfaces/IEmissionSchedule.sol";
import {Schedule} from "../../contracts/libraries/Schedule.sol";
import {EmissionPlan, MAX_SUPPLY_WEI} from "../../contracts/types/Emission.sol";
import {Stage} from "./helpers/Stage.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice The token's own bound on emission, whoever the minter is and whatever it does.
contract EmissionScheduleTest is Stage {
    address private constant MINTER = address(0x4117);
    address private constant WORKER = address(0x40B);

    function setUp() public {
        stage(0);
    }

    /// @notice No sequence of mints and waits exceeds the schedule, and all of it can be minted.
    function testFuzz_mint_anySequence_staysWithinTheSchedule(uint256 seed) public {
        EmissionPlan memory plan = EmissionPlan(
            1 + (seed % 1_000),
            (seed >> 16) % 1_000_000,
            1 + ((seed >> 48) % 5)
        );
        IEmissionSchedule fresh = token_(plan);
        uint256 start = VM.getBlockTimestamp();
        uint256 minted = 0;
        for (uint256 i = 0; i < 40; ++i) {
            uint256 dice = uint256(keccak256(abi.encode(seed, i)));
            VM.warp(VM.getBlockTimestamp() + (dice % (3 * plan.epochS)));
            uint256 allowed = slowSum(plan, (VM.getBlockTimestamp() - start) / plan.epochS);
            same(fresh.scheduledWei(), allowed, "the sum of the epochs that are over");
            uint256 amount = (dice >> 32) % (2 + 2 * (allowed - minted));
            VM.prank(MINTER);
            try fresh.mint(WORKER, amount) {
                minted += amount;
                check(minted <= allowed, "never more than the schedule");
            } catch {
                check(minted + amount > allowed, "refused for no other reason");
            }
            same(fresh.emittedWei(), minted, "counted");
        }
        VM.warp(start + 200 * plan.halvingEpochs * plan.epochS);
        same(fresh.scheduledWei(), fresh.emissionCapWei(), "the end");
        VM.startPrank(MINTER);
        fresh.mint(WORKER, fresh.emissionCapWei() - minted);
        refuse(fresh, 1);
        VM.stopPrank();
    }

    /// @notice Amounts near 2^256 do not wrap around the bound.
    function testFuzz_emissionOverflow_anyAmount_isRefused(uint256 amount) public {
        IEmissionSchedule fresh = token_(EmissionPlan(10, 1_000, 4));
        VM.warp(VM.getBlockTimestamp() + 25);
        VM.startPrank(MINTER);
        fresh.mint(WORKER, 7);
        VM.assume(amount > 2_000 - 7);
        refuse(fresh, amount);
        refuse(fresh, type(uint256).max);
        refuse(fresh, type(uint256).max - 6);
        fresh.mint(WORKER, 2_000 - 7);
        refuse(fresh, 1);
        VM.stopPrank();
    }

    /// @notice An epoch's budget may be minted from the second in which it ends, not before.
    function test_mint_beforeTheEpochEnds_isRefused() public {
        IEmissionSchedule fresh = token_(EmissionPlan(100, 50, 2));
        uint256 end = fresh.epochEndsAt(0);
        same(end, VM.getBlockTimestamp() + 100, "a whole epoch");
        VM.warp(end - 1);
        VM.startPrank(MINTER);
        refuse(fresh, 1);
        VM.warp(end);
        fresh.mint(WORKER, 50);
        refuse(fresh, 1);
        VM.stopPrank();
    }

    /// @notice Budgets halve, rounded down, and end; the closed form is the sum of the budgets.
    function testFuzz_schedule_anyPlan_sumsItsBudgets(
        uint128 first,
        uint8 halving,
        uint16 epochs
    ) public pure {
        uint256 every = 1 + (halving % 9);
        uint256 count = epochs % 400;
        uint256 sum = 0;
        uint256 before = type(uint256).max;
        for (uint256 epoch = 0; epoch < count; ++epoch) {
            uint256 budget = Schedule.budgetOf(first, every, epoch);
            uint256 halvings = epoch / every;
            same(budget, halvings < 128 ? uint256(first) / 2 ** halvings : 0, "halved");
            check(budget <= before, "never rises");
            (sum, before) = (sum + budget, budget);
        }
        same(Schedule.sumOf(first, every, count), sum, "sum");
        check(Schedule.sumOf(first, every, type(uint256).max) <= 2 * every * uint256(first), "cap");
        same(Schedule.budgetOf(first, every, type(uint256).max), 0, "nothing in the end");
    }

    /// @notice A schedule out of its hard bounds cannot be deployed.
    function test_constructor_planOutOfBounds_isRefused() public {
        refusePlan(EmissionPlan(0, 1, 1), 0);
        refusePlan(EmissionPlan(90 days + 1, 1, 1), 0);
        refusePlan(EmissionPlan(1, 1, 0), 0);
        refusePlan(EmissionPlan(1, 1, 1_000_001), 0);
        refusePlan(EmissionPlan(1, 0, 1), MAX_SUPPLY_WEI + 1);
        refusePlan(EmissionPlan(1, type(uint256).max, 1), 0);
        refusePlan(EmissionPlan(1, 0, 1), type(uint256).max);
        check(create_(EmissionPlan(90 days, 1, 1_000_000), 0) != address(0), "the slowest");
        check(create_(EmissionPlan(1, 0, 1), MAX_SUPPLY_WEI) != address(0), "all at once");
        // 3 + 1 wei of budgets.
        refusePlan(EmissionPlan(1, 3, 1), MAX_SUPPLY_WEI - 3);
        check(create_(EmissionPlan(1, 3, 1), MAX_SUPPLY_WEI - 4) != address(0), "at the bound");
    }

    /// @notice One minter, bound once, by the deployer; nobody else mints.
    function test_bind_secondMinter_isRefused() public {
        IEmissionSchedule fresh = IEmissionSchedule(create_(EmissionPlan(1, 100, 1), 0));
        VM.warp(VM.getBlockTimestamp() + 5);
        VM.expectRevert(
            abi.encodeWithSelector(IEmissionSchedule.NotMinter.selector, address(this))
        );
        fresh.mint(address(this), 1);
        VM.expectRevert(abi.encodeWithSelector(IEmissionSchedule.BadBinding.selector, address(0)));
        fresh.bind(address(0));
        VM.prank(WORKER);
        VM.expectRevert(abi.encodeWithSelector(IEmissionSchedule.NotDeployer.selector, WORKER));
        fresh.bind(WORKER);
        fresh.bind(MINTER);
        VM.expectRevert(abi.encodeWithSelector(IEmissionSchedule.BadBinding.selector, WORKER));
        fresh.bind(WORKER);
        VM.expectRevert(
            abi.encodeWithSelector(IEmissionSchedule.NotMinter.selector, address(this))
        );
        fresh.mint(address(this), 1);
    }

    function token_(EmissionPlan memory plan) private returns (IEmissionSchedule fresh) {
        fresh = IEmissionSchedule(create_(plan, 1 ether));
        fresh.bind(MINTER);
    }

    /// @dev Deployed by this contract; 0 if the constructor refuses.
    function create_(EmissionPlan memory plan, uint256 supply) private returns (address made) {
        bytes memory code = bytes.concat(
            VM.getCode("ComputeToken"),
            abi.encode(address(this), supply, plan)
        );
        assembly ("memory-safe") {
            made := create(0, add(code, 32), mload(code))
        }
    }

    function refuse(IEmissionSchedule fresh, uint256 amount) private {
        VM.expectRevert(
            abi.encodeWithSelector(
                IEmissionSchedule.ScheduleExceeded.selector,
                fresh.emittedWei(),
                amount,
                fresh.scheduledWei()
            )
        );
        fresh.mint(WORKER, amount);
    }

    function refusePlan(EmissionPlan memory plan, uint256 supply) private {
        check(create_(plan, supply) == address(0), "deployed out of bounds");
    }

    /// @dev One epoch after the other.
    function slowSum(EmissionPlan memory plan, uint256 epochs) private pure returns (uint256 sum) {
        for (uint256 epoch = 0; epoch < epochs; ++epoch) {
            sum += plan.firstBudgetWei / 2 ** (epoch / plan.halvingEpochs);
        }
    }
}
