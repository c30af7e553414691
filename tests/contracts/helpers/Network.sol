// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IAuditCommittee} from "../../../contracts/interfaces/IAuditCommittee.sol";
import {IBondVault} from "../../../contracts/interfaces/IBondVault.sol";
import {IEmissionController} from "../../../contracts/interfaces/IEmissionController.sol";
import {IEmissionSchedule} from "../../../contracts/interfaces/IEmissionSchedule.sol";
import {IJobEscrow} from "../../../contracts/interfaces/IJobEscrow.sol";
import {INetworkParameters} from "../../../contracts/interfaces/INetworkParameters.sol";
import {IRefereeSeat} from "../../../contracts/interfaces/IRefereeSeat.sol";
import {IRewardDistributor} from "../../../contracts/interfaces/IRewardDistributor.sol";
import {IWorkLedger} from "../../../contracts/interfaces/IWorkLedger.sol";
import {Hashes} from "../../../contracts/libraries/Hashes.sol";
import {EmissionPlan} from "../../../contracts/types/Emission.sol";
import {JobId, UnitId} from "../../../contracts/types/Identifiers.sol";
import {JobTerms} from "../../../contracts/types/Job.sol";
import {Parameter} from "../../../contracts/types/Parameter.sol";
import {Claim} from "../../../contracts/types/Work.sol";
import {VM} from "./Vm.sol";

/// @notice All contracts, deployed and bound as docs/spec/contracts.md says, with nodes that know
/// their keys.
/// @dev What a worker found is a function of the unit and of a flavour: 0 is the truth, MISSING that
/// there was no data, everything else a lie.
contract Network {
    uint256 public constant SUPPLY = 1_000_000_000 ether;
    uint256 public constant BOND = 1_000 ether;
    uint128 public constant UNIT_WEI = 3 ether + 7;
    uint256 public constant MISSING = 99;
    uint64 public constant START = 1_800_000_000;
    uint256 public constant EPOCH_S = 200;
    uint256 public constant FIRST_BUDGET = 50 ether + 3;
    uint256 public constant HALVING_EPOCHS = 4;
    address public constant TREASURY = address(0xDA0);
    /// @notice What the seat asks its governor, which this is to it.
    address public constant guardian = address(0x6A4D);
    uint48 public constant guardianUntil = uint48(START + 365 days);
    uint256 private constant KEY_BASE = 0xA1;

    IERC20 public token;
    INetworkParameters public parameters;
    IBondVault public vault;
    IJobEscrow public escrow;
    IWorkLedger public ledger;
    IRefereeSeat public seat;
    IAuditCommittee public committee;
    IRewardDistributor public distributor;
    IEmissionController public emission;
    address[] public nodes;

    /// @param owner Sets parameters.
    /// @param count Bonded nodes.
    constructor(address owner, uint256 count) {
        VM.warp(START);
        VM.roll(1_000);
        token = IERC20(deploy("ComputeToken", abi.encode(address(this), SUPPLY, plan())));
        parameters = INetworkParameters(deploy("NetworkParameters", abi.encode(owner, defaults())));
        vault = IBondVault(deploy("BondVault", abi.encode(token, parameters)));
        escrow = IJobEscrow(deploy("JobEscrow", abi.encode(token, parameters)));
        ledger = IWorkLedger(deploy("WorkLedger", abi.encode(token, parameters, vault, escrow)));
        distributor = IRewardDistributor(
            deploy("RewardDistributor", abi.encode(token, escrow, vault))
        );
        emission = IEmissionController(
            deploy(
                "EmissionController",
                abi.encode(token, parameters, escrow, distributor, TREASURY)
            )
        );
        IEmissionSchedule(address(token)).bind(address(emission));
        vault.bind(address(ledger), address(distributor));
        escrow.bind(address(ledger), address(distributor), address(emission));
        bindReferee(owner);
        for (uint256 i = 0; i < count; ++i) {
            nodes.push(VM.addr(KEY_BASE + i));
            join(nodes[i]);
        }
        nextBlock();
    }

    /// @notice Epochs of 200 s; budgets that are odd, so that rounding shows.
    function plan() public pure returns (EmissionPlan memory) {
        return EmissionPlan(EPOCH_S, FIRST_BUDGET, HALVING_EPOCHS);
    }

    /// @notice Values in the order of the enum; windows of 100, 50 and 30 s.
    function defaults() public pure returns (uint256[] memory values) {
        values = new uint256[](20);
        values[uint256(Parameter.MinBondWei)] = 100 ether;
        values[uint256(Parameter.AuditFloorBps)] = 500;
        values[uint256(Parameter.ProbationUnits)] = 10;
        values[uint256(Parameter.LockFactorBps)] = 16_667;
        values[uint256(Parameter.BountyBps)] = 4_000;
        values[uint256(Parameter.ProtocolFeeBps)] = 333;
        values[uint256(Parameter.AuditPayBps)] = 2_500;
        values[uint256(Parameter.UnbondDelayS)] = 2_000;
        values[uint256(Parameter.AuditWindowS)] = 100;
        values[uint256(Parameter.OpenWindowS)] = 50;
        values[uint256(Parameter.ChallengeWindowS)] = 30;
        values[uint256(Parameter.ChallengeDepositWei)] = 10 ether + 1;
        values[uint256(Parameter.CommitteeSize)] = 3;
        values[uint256(Parameter.LeaseS)] = 400;
        values[uint256(Parameter.DataDepositBps)] = 1_000;
        values[uint256(Parameter.EmissionBps)] = 10_000;
        values[uint256(Parameter.TreasuryShareBps)] = 1_234;
        values[uint256(Parameter.EmissionGflopFeeWei)] = 1e16;
        values[uint256(Parameter.ArithmeticVersions)] = 1 << 1;
        values[uint256(Parameter.ManifestVersions)] = 1 << 2;
    }

    /// @notice Deploys the artifact of a contract, the very bytes that are shipped.
    function deploy(string memory name, bytes memory arguments) public returns (address deployed) {
        bytes memory code = bytes.concat(VM.getCode(name), arguments);
        assembly ("memory-safe") {
            deployed := create(0, add(code, 32), mload(code))
        }
        require(deployed != address(0), name);
    }

    /// @dev The seat, and a committee in it.
    function bindReferee(address dao) internal virtual {
        seat = IRefereeSeat(deploy("RefereeSeat", abi.encode(ledger, parameters, dao, this)));
        committee = newCommittee();
        seat.bind(committee);
        ledger.bind(address(seat));
    }

    /// @notice A committee that can take the referee's seat.
    function newCommittee() public returns (IAuditCommittee) {
        bytes memory arguments = abi.encode(parameters, vault, ledger, seat);
        return IAuditCommittee(deploy("AuditCommittee", arguments));
    }

    /// @notice Gives an account tokens and allowances.
    function equip(address account, uint256 amount) public {
        token.transfer(account, amount);
        VM.startPrank(account);
        token.approve(address(vault), type(uint256).max);
        token.approve(address(escrow), type(uint256).max);
        token.approve(address(ledger), type(uint256).max);
        VM.stopPrank();
    }

    /// @notice Makes an account a bonded node.
    function join(address account) public {
        equip(account, 10 * BOND);
        VM.prank(account);
        vault.bond(BOND, "peer");
    }

    function nodeCount() external view returns (uint256) {
        return nodes.length;
    }

    function nextBlock() public {
        VM.roll(VM.getBlockNumber() + 1);
    }

    /// @notice Time passes, and blocks with it.
    function pass(uint256 seconds_) public {
        VM.warp(VM.getBlockTimestamp() + seconds_);
        VM.roll(VM.getBlockNumber() + 1 + seconds_ / 12);
    }

    function terms(uint32 rounds, uint32 slots) public view returns (JobTerms memory) {
        return
            JobTerms({
                manifestDigest: keccak256("manifest"),
                manifestSize: 777,
                manifestRoot: keccak256("manifest root"),
                rounds: rounds,
                slots: slots,
                unitWei: UNIT_WEI,
                deadline: uint64(VM.getBlockTimestamp() + 10_000),
                roundsAhead: 0,
                unitFlops: 7_000_000_001,
                token: IERC20(address(0))
            });
    }

    /// @notice What a unit's program gives (flavour 0), or something else.
    function roots(
        UnitId unitId,
        uint256 flavour
    ) public pure returns (bytes32 resultRoot, bytes32 traceRoot) {
        resultRoot = keccak256(abi.encode("result", unitId, flavour));
        traceRoot = keccak256(abi.encode("trace", unitId, flavour));
    }

    function unitRoot(UnitId unitId, uint256 flavour) public pure returns (bytes32) {
        if (flavour == MISSING) return Hashes.INPUT_UNAVAILABLE;
        (bytes32 resultRoot, bytes32 traceRoot) = roots(unitId, flavour);
        return Hashes.unitRoot(resultRoot, traceRoot);
    }

    function salt(UnitId unitId, address account) public pure returns (bytes32) {
        return keccak256(abi.encode("salt", unitId, account));
    }

    function commitment(
        UnitId unitId,
        address account,
        uint256 flavour
    ) public pure returns (bytes32) {
        return Hashes.commitment(unitId, account, unitRoot(unitId, flavour), salt(unitId, account));
    }

    /// @notice A signed claim of a node for the present attempt of a slot.
    function claimOf(
        JobId jobId,
        uint32 round,
        uint32 slot,
        address worker,
        uint256 flavour
    ) public view returns (Claim memory) {
        UnitId unitId = ledger.slotUnit(jobId, round, slot);
        (bytes32 resultRoot, ) = roots(unitId, flavour);
        bytes32 committed = commitment(unitId, worker, flavour);
        (bytes32 parent, uint32 epoch) = ledger.lineage(jobId, round);
        bytes32 digest = ledger.claimDigest(unitId, parent, epoch, resultRoot, committed);
        return
            Claim({
                slot: slot,
                attempt: ledger.attemptOf(jobId, round, slot),
                worker: worker,
                resultRoot: resultRoot,
                commitment: committed,
                signature: signature(worker, digest)
            });
    }

    function signature(address account, bytes32 digest) public view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = VM.sign(keyOf(account), digest);
        return abi.encodePacked(r, s, v);
    }

    function keyOf(address account) public view returns (uint256) {
        for (uint256 i = 0; i < nodes.length; ++i) {
            if (nodes[i] == account) return KEY_BASE + i;
        }
        revert("no node");
    }
}
