// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IRewardDistributor} from "../../contracts/interfaces/IRewardDistributor.sol";
import {JobId, UnitId} from "../../contracts/types/Identifiers.sol";
import {Stage} from "./helpers/Stage.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice What final rounds earned, and how it is paid.
contract RewardDistributorTest is Stage {
    JobId private jobId;
    address[] private accounts;
    uint256[] private amounts;

    function setUp() public {
        stage(7);
        jobId = openJob(2, 5);
        playRound(0);
    }

    /// @notice Everybody is paid, by anybody, once, and nothing is left.
    function test_claim_everyAccount_paysAll() public {
        for (uint256 i = 0; i < accounts.length; ++i) {
            uint256 wealth = token.balanceOf(accounts[i]);
            same(distributor.creditOf(token, accounts[i]), amounts[i], "credited");
            VM.prank(submitter);
            same(distributor.claim(token, accounts[i]), amounts[i], "told");
            same(token.balanceOf(accounts[i]), wealth + amounts[i], "paid");
            same(distributor.creditOf(token, accounts[i]), 0, "nothing is left");
        }
        same(token.balanceOf(address(distributor)), 0, "empty");
    }

    /// @notice One claim brings what several rounds earned; what was earned and paid never falls.
    function test_claim_afterMoreRounds_paysTheSum() public {
        (address account, uint256 first) = (accounts[0], amounts[0]);
        distributor.claim(token, account);
        playRound(1);
        uint256 second = distributor.creditOf(token, account);
        same(second, amountOf(account), "the second round's");
        (uint256 earned, uint256 claimed) = distributor.accountOf(token, account);
        same(earned, first + second, "earned in all");
        same(claimed, first, "claimed so far");
        JobId other = openJob(1, 1);
        audit(drawn(other, 0, 0, account, TRUTH), TRUTH, TRUTH);
        net.pass(31);
        finalize(other, 0);
        uint256 wealth = token.balanceOf(account);
        uint256 third = net.UNIT_WEI();
        check(distributor.claim(token, account) >= second + third, "both jobs in one claim");
        check(token.balanceOf(account) >= wealth + second + third, "paid");
        (earned, claimed) = distributor.accountOf(token, account);
        same(earned, claimed, "all");
    }

    /// @notice Whoever has nothing is refused, and so is another token.
    function test_claim_nothing_isRefused() public {
        IERC20 other = IERC20(address(0x70CE));
        refuse(token, address(0xDEAD));
        refuse(other, accounts[0]);
        distributor.claim(token, accounts[0]);
        refuse(token, accounts[0]);
    }

    /// @notice One relayer pays everybody; who has nothing, or stands there twice, is passed over.
    function test_claimMany_everybody_paysEachOnce() public {
        address[] memory list = new address[](accounts.length + 2);
        uint256[] memory wealth = new uint256[](accounts.length);
        for (uint256 i = 0; i < accounts.length; ++i) {
            list[i] = accounts[i];
            wealth[i] = token.balanceOf(accounts[i]);
        }
        (list[accounts.length], list[accounts.length + 1]) = (address(0xDEAD), accounts[0]);
        VM.prank(submitter);
        distributor.claimMany(token, list);
        for (uint256 i = 0; i < accounts.length; ++i) {
            same(token.balanceOf(accounts[i]), wealth[i] + amounts[i], "paid");
        }
        same(token.balanceOf(address(distributor)), 0, "empty");
    }

    /// @notice Empty and unbounded calls are refused.
    function test_claimMany_countOutOfBounds_isRefused() public {
        VM.expectRevert(abi.encodeWithSelector(IRewardDistributor.BadClaimCount.selector, 0, 256));
        distributor.claimMany(token, new address[](0));
        VM.expectRevert(
            abi.encodeWithSelector(IRewardDistributor.BadClaimCount.selector, 257, 256)
        );
        distributor.claimMany(token, new address[](257));
        distributor.claimMany(token, new address[](256));
    }

    /// @notice Amounts are held in 128 bits: more is refused, never cut.
    function test_credit_tooMuch_isRefused() public {
        VM.startPrank(address(escrow));
        VM.expectRevert();
        distributor.credit(token, earner(), one(2 ** 128));
        distributor.credit(token, earner(), one(2 ** 128 - 1));
        VM.expectRevert();
        distributor.credit(token, earner(), one(1));
        VM.stopPrank();
    }

    function playRound(uint32 round) private {
        for (uint32 slot = 0; slot < 5; ++slot) {
            UnitId unitId = drawn(jobId, round, slot, node(1 + slot), TRUTH);
            audit(unitId, TRUTH, TRUTH);
        }
        net.pass(31);
        VM.recordLogs();
        finalize(jobId, round);
        (accounts, amounts) = recordedRewards();
    }

    function amountOf(address account) private view returns (uint256) {
        for (uint256 i = 0; i < accounts.length; ++i) {
            if (accounts[i] == account) return amounts[i];
        }
        return 0;
    }

    function refuse(IERC20 asked, address account) private {
        VM.expectRevert(
            abi.encodeWithSelector(IRewardDistributor.NothingToClaim.selector, asked, account)
        );
        distributor.claim(asked, account);
    }
}
