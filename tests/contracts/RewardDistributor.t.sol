// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILeafClaims} from "../../contracts/interfaces/ILeafClaims.sol";
import {JobId, UnitId} from "../../contracts/types/Identifiers.sol";
import {RewardClaim} from "../../contracts/types/Reward.sol";
import {Stage} from "./helpers/Stage.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice Claims against roots that the ledger built.
contract RewardDistributorTest is Stage {
    JobId private jobId;
    address[] private accounts;
    uint256[] private amounts;

    function setUp() public {
        stage(7);
        jobId = openJob(1, 5);
        for (uint32 slot = 0; slot < 5; ++slot) {
            UnitId unitId = drawn(jobId, 0, slot, node(1 + slot), TRUTH);
            audit(unitId, TRUTH, TRUTH);
        }
        net.pass(31);
        VM.recordLogs();
        finalize(jobId, 0);
        (accounts, amounts) = recordedRewards();
    }

    /// @notice Everybody is paid, by anybody, once, and nothing is left.
    function test_claim_everyLeaf_paysAll() public {
        RewardClaim[] memory claims = new RewardClaim[](accounts.length);
        uint256[] memory wealth = new uint256[](accounts.length);
        for (uint256 i = 0; i < accounts.length; ++i) {
            claims[i] = proved(i);
            wealth[i] = token.balanceOf(accounts[i]);
        }
        VM.prank(submitter);
        distributor.claim(claims);
        for (uint256 i = 0; i < accounts.length; ++i) {
            same(token.balanceOf(accounts[i]), wealth[i] + amounts[i], "paid");
            check(distributor.isClaimed(jobId, 0, i), "marked");
        }
        same(token.balanceOf(address(distributor)), 0, "empty");
        VM.expectRevert(abi.encodeWithSelector(ILeafClaims.AlreadyClaimed.selector, jobId, 0, 0));
        distributor.claim(claims);
    }

    /// @notice No other amount, account or index can be proved.
    function testFuzz_claim_alteredLeaf_isRefused(
        uint256 amount,
        address account,
        uint8 index
    ) public {
        uint256 real = index % accounts.length;
        RewardClaim memory claim = proved(real);
        VM.assume(amount != claim.amount && account != claim.account);
        claim.amount = amount;
        refuse(claim, abi.encodeWithSelector(ILeafClaims.BadProof.selector, jobId, 0, real));
        claim = proved(real);
        claim.account = account;
        refuse(claim, abi.encodeWithSelector(ILeafClaims.BadProof.selector, jobId, 0, real));
        claim = proved(real);
        claim.index = real + 1_000;
        refuse(
            claim,
            abi.encodeWithSelector(ILeafClaims.BadProof.selector, jobId, 0, real + 1_000)
        );
        claim = proved(real);
        claim.round = 1;
        refuse(claim, abi.encodeWithSelector(ILeafClaims.NotFinalized.selector, jobId, 1));
    }

    /// @notice Empty and unbounded calls are refused.
    function test_claim_countOutOfBounds_isRefused() public {
        VM.expectRevert(abi.encodeWithSelector(ILeafClaims.BadClaimCount.selector, 0, 256));
        distributor.claim(new RewardClaim[](0));
        VM.expectRevert(abi.encodeWithSelector(ILeafClaims.BadClaimCount.selector, 257, 256));
        distributor.claim(new RewardClaim[](257));
    }

    function proved(uint256 index) private view returns (RewardClaim memory) {
        return net.rewardClaim(jobId, 0, accounts, amounts, index);
    }

    function refuse(RewardClaim memory claim, bytes memory reason) private {
        RewardClaim[] memory claims = new RewardClaim[](1);
        claims[0] = claim;
        VM.expectRevert(reason);
        distributor.claim(claims);
    }
}
