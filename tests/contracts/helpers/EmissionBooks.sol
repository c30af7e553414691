// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IEmissionController} from "../../../contracts/interfaces/IEmissionController.sol";
import {IJobEscrow} from "../../../contracts/interfaces/IJobEscrow.sol";
import {JobId} from "../../../contracts/types/Identifiers.sol";
import {RewardClaim} from "../../../contracts/types/Reward.sol";
import {Stage} from "./Stage.sol";
import {Log, VM} from "./Vm.sol";

/// @notice What the players of a random sequence burned and minted, counted from events, and what
/// must hold between the two after every move.
abstract contract EmissionBooks is Stage {
    struct PaidRound {
        uint256 epoch;
        uint256 burnedWei;
        uint256 mintedWei; // to leaves and treasury
    }

    /// @dev Leaves whose emission is not claimed yet.
    RewardClaim[] internal _emissions;
    PaidRound[] private _paid;
    mapping(bytes32 key => uint256 place) private _placeOf; // from 1
    mapping(uint256 epoch => uint256) private _mintedIn;
    uint256 private _mintedWei;
    uint256 private _treasuryWei;
    uint256 private _burnedWei;

    /// @notice Nothing is minted beyond the schedule, an epoch's budget or the fee burned for a
    /// round; and all accounts together, as if one party were everybody, get back less than they
    /// burned: work for oneself, invented or done, never pays.
    function checkEmission() external view {
        same(schedule.emittedWei(), _mintedWei, "every mint is somebody's claim");
        check(_mintedWei <= schedule.scheduledWei(), "supply <= schedule");
        check(schedule.scheduledWei() <= schedule.emissionCapWei(), "schedule <= cap");
        for (uint256 i = 0; i < _paid.length; ++i) {
            PaidRound memory paid = _paid[i];
            check(paid.mintedWei <= paid.burnedWei, "no round gives more than was burned for it");
            check(
                _mintedIn[paid.epoch] <= schedule.budgetOf(paid.epoch),
                "no epoch more than its budget"
            );
            check(
                paid.mintedWei == 0 || schedule.epochEndsAt(paid.epoch) <= VM.getBlockTimestamp(),
                "not before its epoch is over"
            );
        }
        same(token.balanceOf(net.TREASURY()), _treasuryWei, "the treasury's share");
        check(_mintedWei == 0 || _mintedWei - _treasuryWei < _burnedWei, "wash compute loses");
    }

    /// @dev One random leaf: refused until its epoch is over, then paid once.
    function _claimEmission(uint256 dice) internal returns (bool) {
        if (_emissions.length == 0) return false;
        uint256 place = dice % _emissions.length;
        RewardClaim[] memory claims = new RewardClaim[](1);
        claims[0] = _emissions[place];
        uint256 epoch = emission.rounds(claims[0].jobId, claims[0].round).epoch;
        bool over = schedule.epochEndsAt(epoch) <= VM.getBlockTimestamp();
        try emission.claim(claims) {
            check(over, "paid before its epoch was over");
            _emissions[place] = _emissions[_emissions.length - 1];
            _emissions.pop();
            return true;
        } catch {
            check(!over, "every leaf is payable once its epoch is over");
            VM.getRecordedLogs();
            return false;
        }
    }

    function _record(Log memory entry) internal {
        if (entry.emitter == address(escrow) && entry.topics[0] == IJobEscrow.RoundPaid.selector) {
            (, uint256 fee) = abi.decode(entry.data, (uint256, uint256));
            uint256 epoch = emission
                .rounds(JobId.wrap(entry.topics[1]), uint32(uint256(entry.topics[2])))
                .epoch;
            _paid.push(PaidRound(epoch, fee, 0));
            _placeOf[_key(entry)] = _paid.length;
            _burnedWei += fee;
        }
        if (entry.emitter != address(emission)) return;
        if (entry.topics[0] == IEmissionController.EmissionClaimed.selector) {
            (, uint256 amount) = abi.decode(entry.data, (uint256, uint256));
            _mint(_key(entry), amount);
        } else if (entry.topics[0] == IEmissionController.TreasuryPaid.selector) {
            uint256 amount = abi.decode(entry.data, (uint256));
            _treasuryWei += amount;
            _mint(_key(entry), amount);
        }
    }

    function _mint(bytes32 key, uint256 amount) private {
        PaidRound storage paid = _paid[_placeOf[key] - 1];
        paid.mintedWei += amount;
        _mintedIn[paid.epoch] += amount;
        _mintedWei += amount;
    }

    function _key(Log memory entry) private pure returns (bytes32) {
        return keccak256(abi.encode(entry.topics[1], entry.topics[2]));
    }
}
