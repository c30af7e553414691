// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IDelegatedBonds} from "../../contracts/interfaces/IDelegatedBonds.sol";
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

    /// @notice Who delegated to an account has its part of what is claimed, less the commission, added to
    /// what it delegated; the account has the rest.
    function test_claim_delegatedBond_sharesWithItsHolders() public {
        address account = accounts[0];
        address holder = lent(account, 250 ether, 2_000);
        earnAgain(account, amounts[0]);
        uint256 part = (amounts[0] * 250 ether * 8_000) / (1_250 ether * 10_000);
        uint256 wealth = token.balanceOf(account);
        VM.expectEmit(address(distributor));
        emit IRewardDistributor.Claimed(token, account, amounts[0]);
        VM.expectEmit(address(vault));
        emit IDelegatedBonds.DelegatorsEarned(account, part);
        same(distributor.claim(token, account), amounts[0], "all is claimed");
        same(token.balanceOf(account), wealth + amounts[0] - part, "less the delegators'");
        same(vault.delegatedTo(account).amount, 250 ether + part, "theirs");
        check(
            vault.delegationOf(holder).amount + 2 > 250 ether + part,
            "the holder's, but for dust"
        );
        same(vault.bondOf(account), net.BOND(), "its own bond is as it was");
    }

    /// @notice An account, or whoever owns its bond, has its rewards bonded; nobody else decides that.
    function test_claimToBond_accountOrOwner_addsToTheBond() public {
        (address first, address second) = (accounts[0], accounts[1]);
        address cold = address(0xC01D);
        VM.prank(second);
        vault.offerOwner(second, cold);
        VM.prank(cold);
        vault.acceptOwner(second);
        address[2] memory strangers = [submitter, cold];
        for (uint256 i = 0; i < 2; ++i) {
            VM.expectRevert(
                abi.encodeWithSelector(
                    IRewardDistributor.NotAccountOrOwner.selector,
                    first,
                    strangers[i]
                )
            );
            VM.prank(strangers[i]);
            distributor.claimToBond(first);
        }
        lent(first, 100 ether, 0);
        earnAgain(first, amounts[0]);
        uint256 part = vault.delegatorsPart(first, amounts[0]);
        check(part != 0, "its delegators have theirs first");
        uint256[2] memory wealth = [token.balanceOf(first), token.balanceOf(second)];
        uint256 there = token.balanceOf(address(vault));
        VM.prank(first);
        same(distributor.claimToBond(first), amounts[0], "all is claimed");
        same(token.balanceOf(address(vault)), there + amounts[0], "the tokens are there");
        VM.prank(cold);
        same(distributor.claimToBond(second), amounts[1], "all is claimed");
        same(vault.bondOf(first), net.BOND() + amounts[0] - part, "bonded");
        same(vault.delegatedTo(first).amount, 100 ether + part, "and delegated");
        same(vault.bondOf(second), net.BOND() + amounts[1], "bonded, by its owner");
        same(vault.votesOf(cold), vault.bondOf(second), "which votes with it");
        same(token.balanceOf(first), wealth[0], "nothing besides");
        same(token.balanceOf(second), wealth[1], "nothing besides");
        VM.expectRevert(
            abi.encodeWithSelector(IRewardDistributor.NothingToClaim.selector, token, first)
        );
        VM.prank(first);
        distributor.claimToBond(first);
    }

    /// @notice A single wei is bonded too.
    function test_claimToBond_oneWei_isBonded() public {
        address account = node(6);
        if (distributor.creditOf(token, account) != 0) distributor.claim(token, account);
        net.equip(address(distributor), 1);
        address[] memory list = new address[](1);
        list[0] = account;
        VM.prank(address(escrow));
        distributor.credit(token, list, one(1));
        VM.prank(account);
        distributor.claimToBond(account);
        same(vault.bondOf(account), net.BOND() + 1, "bonded");
    }

    /// @dev What was credited before somebody delegates is paid before.
    function earnAgain(address account, uint256 amount) private {
        same(distributor.creditOf(token, account), 0, "paid before");
        VM.prank(submitter);
        token.transfer(address(distributor), amount);
        address[] memory list = new address[](1);
        list[0] = account;
        VM.prank(address(escrow));
        distributor.credit(token, list, one(amount));
    }

    /// @notice The vault and the network's token are fixed at deployment.
    function test_seats_areTheDeployments() public view {
        same(address(distributor.vault()), address(vault), "vault");
        same(address(distributor.networkToken()), address(token), "token");
        same(address(distributor.escrow()), address(escrow), "escrow");
    }

    /// @dev Somebody delegates to a node.
    function lent(
        address account,
        uint256 amount,
        uint256 commissionBps
    ) private returns (address holder) {
        holder = address(0x1E4D);
        net.equip(holder, amount);
        VM.prank(account);
        vault.setCommission(account, commissionBps);
        VM.prank(holder);
        vault.delegateBond(account, amount, commissionBps);
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
