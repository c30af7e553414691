// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IWorkLedger} from "../../../contracts/interfaces/IWorkLedger.sol";
import {Hashes} from "../../../contracts/libraries/Hashes.sol";
import {JobId, UnitId} from "../../../contracts/types/Identifiers.sol";
import {
    Batch,
    Claim,
    ClaimedUnit,
    RoundState,
    Unit,
    UnitStatus
} from "../../../contracts/types/Work.sol";
import {Trees} from "./Trees.sol";
import {VM} from "./Vm.sol";

/// @notice What everybody keeps of `RoundCommitted`: the chain has a root only, and is shown the claims
/// again.
abstract contract Claims {
    struct Place {
        JobId jobId;
        uint32 round;
        uint32 dissolutions;
        uint32 batch;
        uint32 index; // among the batch's claims
    }

    IWorkLedger internal ledger;
    /// @dev By job, round, dissolutions and batch.
    mapping(JobId => mapping(uint32 => mapping(uint32 => mapping(uint32 => ClaimedUnit[]))))
        private _claims;
    mapping(JobId => mapping(uint32 => RoundState)) private _latest;
    mapping(UnitId => Place) private _places;

    /// @notice Commits, as the caller that was set, and keeps what was committed.
    function commit(JobId jobId, uint32 round, Claim[] memory claims) internal {
        ledger.commitRound(jobId, round, claims);
        remember(jobId, round, claims);
    }

    /// @notice Keeps the claims of the latest batch of a round.
    function remember(JobId jobId, uint32 round, Claim[] memory claims) internal {
        RoundState memory state = ledger.roundState(jobId, round);
        _latest[jobId][round] = state;
        uint32 index = state.batches - 1;
        ClaimedUnit[] storage kept = _claims[jobId][round][state.dissolutions][index];
        for (uint32 i = 0; i < claims.length; ++i) {
            kept.push(
                ClaimedUnit(
                    claims[i].slot,
                    claims[i].attempt,
                    claims[i].worker,
                    claims[i].resultRoot,
                    claims[i].commitment
                )
            );
            UnitId unitId = Hashes.unitId(jobId, round, claims[i].slot, claims[i].attempt);
            _places[unitId] = Place(jobId, round, state.dissolutions, index, i);
        }
    }

    /// @notice The claims of a batch, as they were last put on chain. Asks nobody, so that it may stand
    /// between a cheat and the call that it is for.
    function claimsAt(
        JobId jobId,
        uint32 round,
        uint32 index
    ) internal view returns (ClaimedUnit[] memory) {
        return _claims[jobId][round][_latest[jobId][round].dissolutions][index];
    }

    /// @notice The claims of all batches of a round, likewise.
    function roundClaims(
        JobId jobId,
        uint32 round
    ) internal view returns (ClaimedUnit[][] memory claims) {
        claims = new ClaimedUnit[][](_latest[jobId][round].batches);
        for (uint32 index = 0; index < claims.length; ++index) {
            claims[index] = claimsAt(jobId, round, index);
        }
    }

    /// @notice Challenges a unit, as the caller that was set.
    function challenge(UnitId unitId) internal {
        Place storage place = _places[unitId];
        ClaimedUnit[] memory claims = claimsOf(unitId);
        ledger.challenge(
            place.jobId,
            place.round,
            place.batch,
            claims[place.index],
            Trees.proofOf(leavesOf(place.jobId, place.round, claims), place.index)
        );
    }

    /// @notice The same, where it may be refused.
    function tryChallenge(address account, UnitId unitId) internal returns (bool) {
        Place storage place = _places[unitId];
        ClaimedUnit[] memory claims = claimsOf(unitId);
        bytes32[] memory proof = Trees.proofOf(
            leavesOf(place.jobId, place.round, claims),
            place.index
        );
        ClaimedUnit memory claim = claims[place.index];
        VM.prank(account);
        try ledger.challenge(place.jobId, place.round, place.batch, claim, proof) {
            return true;
        } catch {
            return false;
        }
    }

    /// @notice Gives back what can be given back of a unit's batch.
    function release(UnitId unitId) internal {
        Place storage place = _places[unitId];
        ledger.releaseLocks(
            place.jobId,
            place.round,
            place.dissolutions,
            place.batch,
            claimsOf(unitId)
        );
    }

    /// @notice The claims of a unit's batch.
    function claimsOf(UnitId unitId) internal view returns (ClaimedUnit[] memory) {
        Place storage place = _places[unitId];
        return _claims[place.jobId][place.round][place.dissolutions][place.batch];
    }

    function batchOf(UnitId unitId) internal view returns (Batch memory) {
        Place storage place = _places[unitId];
        return ledger.batch(place.jobId, place.round, place.dissolutions, place.batch);
    }

    /// @notice All about a unit, whether it is on record or follows from its batch.
    function unitOf(UnitId unitId) internal view returns (Unit memory unit) {
        unit = ledger.unit(unitId);
        Place storage place = _places[unitId];
        if (unit.status != UnitStatus.None || JobId.unwrap(place.jobId) == 0) return unit;
        ClaimedUnit memory claim = claimsOf(unitId)[place.index];
        (unit.jobId, unit.round) = (place.jobId, place.round);
        (unit.slot, unit.attempt, unit.worker) = (claim.slot, claim.attempt, claim.worker);
        (unit.resultRoot, unit.commitment) = (claim.resultRoot, claim.commitment);
        (unit.batch, unit.dissolutions) = (uint16(place.batch), uint16(place.dissolutions));
        unit.deadline = batchOf(unitId).challengeDeadline;
        unit.status = unit.deadline == 0 ? UnitStatus.Committed : UnitStatus.Passed;
        if (isDissolved(place)) unit.status = UnitStatus.Dissolved;
    }

    /// @notice Whether a unit's lock ended before its round's end.
    function isReleased(UnitId unitId) internal view returns (bool) {
        return batchOf(unitId).releasedBitmap & (uint64(1) << unitOf(unitId).slot) != 0;
    }

    /// @notice What is locked for a unit.
    function lockOf(UnitId unitId) internal view returns (uint256) {
        Place storage place = _places[unitId];
        if (JobId.unwrap(place.jobId) == 0 || isReleased(unitId)) return 0;
        bool isPaid = !isDissolved(place) && place.round < ledger.openRound(place.jobId);
        return isPaid ? 0 : batchOf(unitId).lockWei;
    }

    function isDissolved(Place storage place) private view returns (bool) {
        return place.dissolutions != ledger.roundState(place.jobId, place.round).dissolutions;
    }

    function leavesOf(
        JobId jobId,
        uint32 round,
        ClaimedUnit[] memory claims
    ) internal pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](claims.length);
        for (uint256 i = 0; i < claims.length; ++i) {
            leaves[i] = Hashes.claimLeaf(
                Hashes.unitId(jobId, round, claims[i].slot, claims[i].attempt),
                claims[i].worker,
                claims[i].resultRoot,
                claims[i].commitment
            );
        }
    }
}
