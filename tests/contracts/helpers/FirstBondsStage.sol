// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFirstBonds} from "../../../contracts/interfaces/IFirstBonds.sol";
import {Hashes} from "../../../contracts/libraries/Hashes.sol";
import {JobId, UnitId} from "../../../contracts/types/Identifiers.sol";
import {Opening, NewcomerPlace} from "../../../contracts/types/Newcomer.sol";
import {Parameter} from "../../../contracts/types/Parameter.sol";
import {Claim, ClaimedUnit} from "../../../contracts/types/Work.sol";
import {Stage} from "./Stage.sol";
import {Trees} from "./Trees.sol";
import {VM} from "./Vm.sol";

/// @notice A stage with a pot for first bonds, on which node 1 works and the draw spares nearly all that
/// it does.
abstract contract FirstBondsStage is Stage {
    uint256 internal constant DAY_CAP = 3 ether;
    uint256 internal constant PAY_MAX = 0.7 ether;
    uint256 internal constant POT = 50 ether;
    uint256 internal constant MIN_BOND = 2 ether;
    uint256 internal constant COMMIT_S = 130; // challenge window and audit window
    uint32 internal constant SLOTS = 3;

    IFirstBonds internal bonds;
    JobId internal jobId;
    uint32 internal round; // the latest, which has one batch
    bytes4 private refusal;

    function stageFirstBonds() internal {
        stage(5);
        setParameter(Parameter.ProbationUnits, 1);
        setParameter(Parameter.MinBondWei, MIN_BOND);
        setParameter(Parameter.LeaseS, 7 days);
        trust(node(1), 1_000_000);
        cover(node(1), 8);
        bonds = deployBonds(DAY_CAP, PAY_MAX);
        bonds.fund(POT);
        jobId = openJob(200, SLOTS);
    }

    function deployBonds(uint256 dayCap, uint256 payMax) internal returns (IFirstBonds) {
        bytes memory arguments = argumentsOf(dayCap, payMax);
        IFirstBonds deployed = IFirstBonds(net.deploy("FirstBonds", arguments));
        net.equip(address(this), 2 * POT);
        token.approve(address(deployed), type(uint256).max);
        return deployed;
    }

    function argumentsOf(uint256 dayCap, uint256 payMax) internal view returns (bytes memory) {
        return abi.encode(token, parameters, vault, ledger, escrow, dayCap, payMax);
    }

    /// @notice A worker whom the chain has known for long: what no test can wait for.
    function trust(address worker, uint256 units) internal {
        for (uint256 slot = 0; slot < 32; ++slot) {
            bytes32 place = keccak256(abi.encode(worker, slot));
            bytes32 before = VM.load(address(ledger), place);
            VM.store(address(ledger), place, bytes32(units));
            if (ledger.cleanUnits(worker) == units) return;
            VM.store(address(ledger), place, before);
        }
        revert("the ledger's clean units are elsewhere");
    }

    function newcomer(uint256 index) internal pure returns (address) {
        return address(uint160(0xBEE00 + index));
    }

    /// @notice Registers the first so many newcomers.
    function registerAll(uint256 count) internal {
        for (uint256 i = 0; i < count; ++i) {
            VM.prank(newcomer(i));
            bonds.register();
        }
        net.nextBlock();
    }

    /// @notice Claims to all slots of a round, committed and captured; `flavour` is the worker's.
    function claimRound(uint32 round_, uint256 flavour) internal {
        Claim[] memory claims = new Claim[](SLOTS);
        for (uint32 slot = 0; slot < SLOTS; ++slot) {
            claims[slot] = net.claimOf(jobId, round_, slot, node(1), flavour);
        }
        VM.prank(coordinator);
        commit(jobId, round_, claims);
        capture(jobId, round_);
        round = round_;
    }

    /// @notice The round ends; then all who committed may reveal.
    function endRound(uint32 round_) internal {
        net.pass(31);
        finalize(jobId, round_);
        net.pass(COMMIT_S);
    }

    function placeOf(uint32 round_, address account) internal view returns (NewcomerPlace memory) {
        return bonds.placeOf(jobId, round_, 0, account);
    }

    /// @notice The unit of a round that has places. Asks before any cheat.
    function examined(uint32 round_) internal view returns (UnitId) {
        return ledger.slotUnit(jobId, round_, placeOf(round_, newcomer(0)).slot);
    }

    /// @notice The claim of a slot of a round's only batch, and its proof.
    function shown(
        uint32 round_,
        uint32 slot
    ) internal view returns (ClaimedUnit memory claim, bytes32[] memory proof) {
        ClaimedUnit[] memory claims = claimsAt(jobId, round_, 0);
        return (claims[slot], Trees.proofOf(leavesOf(jobId, round_, claims), slot));
    }

    /// @notice A newcomer commits to what it found, in the slot that has places.
    function commitAs(address account, uint32 round_, uint256 flavour) internal {
        commitWith(account, round_, net.commitment(examined(round_), account, flavour));
    }

    function commitWith(address account, uint32 round_, bytes32 commitment) internal {
        uint32 slot = placeOf(round_, account).slot;
        (ClaimedUnit memory claim, bytes32[] memory proof) = shown(round_, slot);
        next(account);
        bonds.commit(jobId, round_, 0, claim, proof, commitment);
    }

    /// @notice A newcomer shows what it found, and what the worker told it.
    function revealAs(address account, uint32 round_, uint256 flavour) internal {
        UnitId unitId = examined(round_);
        (bytes32 root, bytes32 salt) = (net.unitRoot(unitId, flavour), net.salt(unitId, account));
        revealWith(account, round_, opening(unitId, TRUTH), root, salt);
    }

    function revealWith(
        address account,
        uint32 round_,
        Opening memory opened,
        bytes32 root,
        bytes32 salt
    ) internal {
        (ClaimedUnit memory claim, ) = shown(round_, placeOf(round_, account).slot);
        next(account);
        bonds.reveal(jobId, round_, claim, opened, root, salt);
    }

    /// @notice What node 1 opens its commitment with.
    function opening(UnitId unitId, uint256 flavour) internal view returns (Opening memory) {
        (, bytes32 traceRoot) = net.roots(unitId, flavour);
        return Opening(traceRoot, net.salt(unitId, node(1)));
    }

    /// @notice One whole audit of the next round that agrees.
    function earn(address account) internal {
        uint32 open_ = ledger.openRound(jobId);
        claimRound(open_, TRUTH);
        commitAs(account, open_, TRUTH);
        endRound(open_);
        revealAs(account, open_, TRUTH);
    }

    /// @notice The next commitment or reveal is refused with this error.
    function refuses(bytes4 selector) internal {
        refusal = selector;
    }

    /// @dev Cheats for the very next call, so nothing may stand between.
    function next(address account) private {
        if (refusal != 0) VM.expectPartialRevert(refusal);
        refusal = 0;
        VM.prank(account);
    }
}
