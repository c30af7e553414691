// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAuditCommittee} from "../../contracts/interfaces/IAuditCommittee.sol";
import {IBondVault} from "../../contracts/interfaces/IBondVault.sol";
import {JobId, UnitId} from "../../contracts/types/Identifiers.sol";
import {UnitStatus} from "../../contracts/types/Work.sol";
import {Stage} from "./helpers/Stage.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice What the ledger never does to a committee, and a juror that reveals nothing. The rest is in
/// WorkLedgerDisputes.t.sol.
contract AuditCommitteeTest is Stage {
    function setUp() public {
        stage(7);
    }

    /// @notice The ledger opens a dispute about a unit once.
    function test_open_twice_isRefused() public {
        UnitId unitId = UnitId.wrap(keccak256("a unit"));
        (address worker, address accuser) = (node(1), node(3));
        VM.startPrank(address(net.seat()));
        committee.open(unitId, worker, coordinator, accuser);
        VM.expectRevert(abi.encodeWithSelector(IAuditCommittee.AlreadyOpened.selector, unitId));
        committee.open(unitId, worker, coordinator, accuser);
        VM.stopPrank();
    }

    /// @notice In the draw block itself its hash is not known: too early, to the block.
    function test_draw_inTheDrawBlock_isRefused() public {
        JobId jobId = openJob(1, 1);
        UnitId unitId = drawn(jobId, 0, 0, node(1), LIE);
        audit(unitId, LIE, TRUTH);
        uint256 drawBlock = committee.dispute(unitId).drawBlock;
        VM.roll(drawBlock);
        VM.expectRevert(
            abi.encodeWithSelector(IAuditCommittee.DrawTooEarly.selector, unitId, drawBlock)
        );
        committee.draw(unitId);
        VM.roll(drawBlock + 1);
        committee.draw(unitId);
        same(committee.dispute(unitId).drawBlock, drawBlock, "drawn by that block");
    }

    /// @notice A jury that is not full though there are nodes enough is drawn again, from another block, and
    /// not for ever.
    function test_draw_unluckyJury_isDrawnAgain() public {
        JobId jobId = openJob(1, 1);
        UnitId unitId = drawn(jobId, 0, 0, node(1), LIE);
        audit(unitId, LIE, TRUTH);
        VM.mockCall(
            address(vault),
            abi.encodeWithSelector(IBondVault.drawMany.selector),
            abi.encode(new address[](1))
        );
        for (uint256 i = 0; i < 8; ++i) {
            uint256 drawBlock = committee.dispute(unitId).drawBlock;
            VM.roll(drawBlock + 1);
            committee.draw(unitId);
            same(committee.dispute(unitId).drawBlock, drawBlock + 2, "another block");
        }
        VM.roll(committee.dispute(unitId).drawBlock + 1);
        committee.draw(unitId);
        check(status(unitId) == UnitStatus.Voided, "void at last");
    }

    /// @notice A vote for no root at all is refused even if it was committed to.
    function test_revealVote_zeroRoot_isRefused() public {
        JobId jobId = openJob(1, 1);
        UnitId unitId = drawn(jobId, 0, 0, node(1), LIE);
        audit(unitId, LIE, TRUTH);
        address juror = seat(unitId)[0];
        VM.prank(juror);
        committee.commitVote(unitId, keccak256(abi.encode(unitId, juror, bytes32(0), bytes32(0))));
        net.pass(101);
        VM.expectRevert(abi.encodeWithSelector(IAuditCommittee.ZeroValue.selector, unitId));
        VM.prank(juror);
        committee.revealVote(unitId, 0, 0);
    }
}
