// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IEmissionController} from "../../../contracts/interfaces/IEmissionController.sol";
import {IJobEscrow} from "../../../contracts/interfaces/IJobEscrow.sol";
import {IWorkLedger} from "../../../contracts/interfaces/IWorkLedger.sol";
import {Stage} from "./Stage.sol";
import {Log, VM} from "./Vm.sol";

/// @notice What the players of a random sequence burned and minted, counted from events, and what
/// must hold between the two after every move.
abstract contract EmissionBooks is Stage {
    struct Epoch {
        uint256 burnedWei;
        uint256 mintedWei; // to accounts and treasury
    }

    uint256[] internal _epochs; // in which something was counted
    uint256 internal _mintedWei;
    uint256 internal _treasuryWei;
    mapping(uint256 epoch => Epoch) private _books;
    /// @dev Of the fees burned, what was burned for an account's work: in proportion to its pay.
    mapping(uint256 epoch => mapping(address account => uint256)) private _burnedFor;
    mapping(uint256 epoch => mapping(address account => uint256)) private _mintedFor;
    uint256 private _burnedWei;
    // The receipt and the fee of the round that is being read.
    address[] private _earners;
    uint256[] private _pay;
    uint256 private _feeWei;

    /// @notice Nothing is minted beyond the schedule, an epoch's budget, or the fees burned for what an
    /// account did in it; and all accounts together, as if one party were everybody, get back less than
    /// they burned: work for oneself, invented or done, never pays.
    function checkEmission() external view {
        same(schedule.emittedWei(), _mintedWei, "every mint is somebody's claim");
        check(_mintedWei <= schedule.scheduledWei(), "supply <= schedule");
        check(schedule.scheduledWei() <= schedule.emissionCapWei(), "schedule <= cap");
        for (uint256 i = 0; i < _epochs.length; ++i) {
            Epoch storage book = _books[_epochs[i]];
            check(book.mintedWei <= book.burnedWei, "no epoch gives more than was burned in it");
            check(book.mintedWei <= schedule.budgetOf(_epochs[i]), "nor more than its budget");
            bool over = schedule.epochEndsAt(_epochs[i]) <= VM.getBlockTimestamp();
            check(book.mintedWei == 0 || over, "not before the epoch is over");
            _checkParts(_epochs[i]);
        }
        uint256 owed = distributor.creditOf(token, net.TREASURY());
        same(token.balanceOf(net.TREASURY()) + owed, _treasuryWei, "the treasury's share");
        check(_mintedWei == 0 || _mintedWei - _treasuryWei < _burnedWei, "wash compute loses");
    }

    /// @dev Nobody gets more than was burned for its own work, and all parts are at most the whole.
    function _checkParts(uint256 epoch) private view {
        uint256 flops = 0;
        for (uint256 i = 0; i < net.nodeCount(); ++i) {
            flops += emission.flopsOf(epoch, node(i));
            check(
                _mintedFor[epoch][node(i)] <= _burnedFor[epoch][node(i)],
                "nobody gets more than was burned for its work"
            );
        }
        check(flops <= emission.epochOf(epoch).flops, "the parts are at most the whole");
    }

    /// @dev One random account and epoch: refused until the epoch is over, then paid once.
    function _claimEmission(uint256 dice) internal returns (bool) {
        if (_epochs.length == 0) return false;
        uint256 epoch = _epochs[dice % _epochs.length];
        return _claimEpoch(node((dice >> 16) % net.nodeCount()), epoch);
    }

    function _claimEpoch(address account, uint256 epoch) internal returns (bool) {
        bool has = emission.flopsOf(epoch, account) != 0;
        bool over = schedule.epochEndsAt(epoch) <= VM.getBlockTimestamp();
        uint256 owed = distributor.creditOf(token, account);
        uint256 wealth = token.balanceOf(account);
        uint256 lent = vault.delegatedTo(account).amount;
        uint256 gives = 0;
        if (over) (gives, ) = emission.emissionOf(account, epoch);
        try emission.claim(account, one(epoch)) {
            check(over, "paid before its epoch was over");
            check(gives + owed != 0, "paid nothing");
            uint256 part = vault.delegatedTo(account).amount - lent;
            same(token.balanceOf(account) + part, wealth + owed + gives, "work and emission");
            same(emission.flopsOf(epoch, account), 0, "claimed");
            return has;
        } catch {
            check(!over || gives + owed == 0, "every part is payable once its epoch is over");
            VM.getRecordedLogs();
            return false;
        }
    }

    function _record(Log memory entry) internal {
        bytes32 kind = entry.topics[0];
        if (entry.emitter == address(ledger) && kind == IWorkLedger.RoundRewards.selector) {
            (_earners, _pay) = abi.decode(entry.data, (address[], uint256[]));
        } else if (entry.emitter == address(escrow) && kind == IJobEscrow.RoundPaid.selector) {
            (, _feeWei) = abi.decode(entry.data, (uint256, uint256));
        } else if (entry.emitter != address(emission)) {
            return;
        } else if (kind == IEmissionController.RoundCounted.selector) {
            _count(uint256(entry.topics[3]));
        } else if (kind == IEmissionController.EmissionClaimed.selector) {
            (uint256 amount, uint256 share) = abi.decode(entry.data, (uint256, uint256));
            _mint(
                uint256(entry.topics[1]),
                address(uint160(uint256(entry.topics[2]))),
                amount + share
            );
            _treasuryWei += share;
        }
    }

    function _count(uint256 epoch) private {
        if (_epochs.length == 0 || _epochs[_epochs.length - 1] != epoch) _epochs.push(epoch);
        _books[epoch].burnedWei += _feeWei;
        _burnedWei += _feeWei;
        uint256 total = 0;
        for (uint256 i = 0; i < _pay.length; ++i) {
            total += _pay[i];
        }
        for (uint256 i = 0; i < _pay.length; ++i) {
            // Rounded up, for what is minted counts whole FLOPs of several rounds.
            _burnedFor[epoch][_earners[i]] += (_feeWei * _pay[i] + total - 1) / total;
        }
    }

    function _mint(uint256 epoch, address account, uint256 amount) private {
        _books[epoch].mintedWei += amount;
        _mintedFor[epoch][account] += amount;
        _mintedWei += amount;
    }
}
