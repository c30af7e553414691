// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {JobId} from "../../../contracts/types/Identifiers.sol";
import {Job, JobTerms} from "../../../contracts/types/Job.sol";
import {EmissionStage} from "./EmissionStage.sol";
import {PlainToken} from "./Tokens.sol";
import {VM} from "./Vm.sol";

/// @notice Jobs that are paid in other tokens than the network's.
abstract contract TokenStage is EmissionStage {
    /// @dev One whole token of six decimals is worth two AIN.
    uint256 internal constant RATE = 2 * 10 ** 30;
    uint128 internal constant PRICE = 1_500_007; // worth 3.000014 AIN
    uint256 internal constant WEALTH = 10 ** 15;

    /// @notice Puts a token on the list, and gives the submitter of it.
    function accept(IERC20 other) internal {
        parameters.setTokenRate(other, RATE);
        PlainToken(address(other)).mint(submitter, WEALTH);
        // Some return nothing.
        VM.prank(submitter);
        (bool done, ) = address(other).call(
            abi.encodeCall(IERC20.approve, (address(escrow), type(uint256).max))
        );
        check(done, "approved");
    }

    function termsIn(
        IERC20 other,
        uint32 rounds,
        uint32 slots
    ) internal view returns (JobTerms memory terms) {
        terms = net.terms(rounds, slots);
        terms.token = other;
        terms.unitWei = PRICE;
    }

    /// @notice A funded job under the coordinator's lease.
    function openIn(IERC20 other, uint32 rounds, uint32 slots) internal returns (JobId jobId) {
        JobTerms memory terms = termsIn(other, rounds, slots);
        VM.prank(submitter);
        jobId = escrow.fund(terms);
        VM.prank(coordinator);
        ledger.takeLease(jobId);
    }

    /// @notice Deposited is paid, refunded, fees, charged and held; and what is held is there.
    function conserves(IERC20 other, JobId jobId) internal view {
        Job memory job = escrow.jobs(jobId);
        uint256 held = escrow.heldOf(jobId);
        same(job.paid + job.refunded + job.fees + job.charged + held, job.deposited, "conserved");
        same(other.balanceOf(address(escrow)), held, "held");
    }
}
