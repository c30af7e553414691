// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {ComputeToken} from "../ComputeToken.sol";
import {IDelegatedBonds} from "../interfaces/IDelegatedBonds.sol";
import {IRewardDistributor} from "../interfaces/IRewardDistributor.sol";
import {COMMISSION_BPS_MAX, DelegatedBond, Delegation, RAY} from "../types/Bond.sol";
import {BPS, Parameter} from "../types/Parameter.sol";
import {BondOwners} from "./BondOwners.sol";

/// @title Bonds that others lend to an account
/// @notice Each account has a pool of shares with one index. INVARIANT: what its holders' shares are
/// worth is at most what is delegated, for every division is rounded down. A slash lowers the index, a
/// reward raises it, nobody is iterated over. INVARIANT: an exit calls nothing but the parameters for its
/// delay and the token; no other holder, no owner and no lock has a say in it.
abstract contract DelegatedBonds is BondOwners {
    using SafeERC20 for ComputeToken;
    using SafeCast for uint256;

    struct Exit {
        uint128 shares;
        uint40 availableAt;
    }

    /// @dev Of a pool that lost all but a millionth a token would buy so many shares that they overflow.
    uint256 private constant INDEX_MIN = RAY / 1e6;
    /// @dev Below it a share is worth less than 10^6 wei, so that is the most that rounding costs.
    uint256 private constant INDEX_MAX = RAY * 1e6;

    /// @notice The only account that brings rewards; 0 until bound.
    IRewardDistributor public distributor;

    mapping(address holder => Exit) private _exits;
    mapping(uint256 number => address account) private _numbered;
    uint80 private _poolCount;

    /// @inheritdoc IDelegatedBonds
    function setCommission(address account, uint256 commissionBps) external {
        _requireOwner(account);
        Account storage entry = _accounts[account];
        Pool storage pool = _pools[account];
        // INVARIANT: nobody's commission rises while its tokens are delegated.
        uint256 max = pool.shares == 0 ? COMMISSION_BPS_MAX : entry.terms - 1;
        if (commissionBps > max) revert BadCommission(account, commissionBps, max);
        if (!_hasPool(entry)) {
            _numbered[++_poolCount] = account;
            pool.number = _poolCount;
            _setIndex(pool, RAY);
        }
        entry.terms = uint16(commissionBps + 1);
        pool.isClosed = false;
        emit CommissionChanged(account, commissionBps);
    }

    /// @inheritdoc IDelegatedBonds
    function closeDelegations(address account) external {
        _requireOwner(account);
        _pools[account].isClosed = true;
        emit DelegationsClosed(account);
    }

    /// @inheritdoc IDelegatedBonds
    function delegateBond(address account, uint256 amount, uint256 commissionBpsMax) external {
        Account storage entry = _accounts[account];
        Pool storage pool = _pools[account];
        if (!_hasPool(entry) || pool.isClosed) revert NotOpen(account);
        uint256 commissionBps = entry.terms - 1;
        // INVARIANT: nobody raises the commission in front of a holder's call.
        if (commissionBps > commissionBpsMax) {
            revert CommissionAbove(account, commissionBps, commissionBpsMax);
        }
        // INVARIANT: nobody enters for what is credited already: it is shared before. Emission that nobody has
        // collected yet is not.
        _settle(account);
        (uint256 number, uint256 shares) = _sharesOf(msg.sender);
        if (number != 0 && number != pool.number) {
            revert DelegatedElsewhere(msg.sender, _numbered[number]);
        }
        if (pool.index < INDEX_MIN) revert NearlyLost(account, pool.index, INDEX_MIN);
        // INVARIANT: whoever enters has rewards of a thousand times its tokens before it, however an operator
        // has driven the index up.
        if (pool.index > INDEX_MAX / 1_000) {
            revert IndexTooHigh(account, pool.index, INDEX_MAX / 1_000);
        }
        _requireRoom(account, amount);
        uint256 added = (amount * RAY) / pool.index;
        if (added == 0) revert ZeroAmount();
        pool.delegated += amount.toUint128();
        pool.shares += added.toUint128();
        _setShares(msg.sender, pool.number, shares + added);
        emit BondDelegated(msg.sender, account, amount);
        _tell(account, pool);
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IDelegatedBonds
    function requestUndelegate(uint256 amount) external {
        (uint256 number, uint256 shares) = _sharesOf(msg.sender);
        address account = _numbered[number];
        Pool storage pool = _pools[account];
        Exit storage exit = _exits[msg.sender];
        uint256 staying = shares - exit.shares;
        if (staying == 0) revert NothingDelegated(msg.sender);
        if (amount == 0) revert ZeroAmount();
        uint256 index = pool.index;
        // INVARIANT: everything can be asked back, whatever it is worth by now. Rounded up, so that
        // what was asked for is paid; fewer than all, for it is less than they are worth.
        uint256 leaving =
            amount < _worth(staying, index) ? Math.ceilDiv(amount * RAY, index) : staying;
        exit.shares += leaving.toUint128();
        // Fixed now: a delay that is changed later is that of later exits.
        exit.availableAt = uint40(block.timestamp + parameters.get(Parameter.UnbondDelayS));
        pool.leaving += leaving.toUint128();
        emit UndelegateRequested(msg.sender, account, _worth(exit.shares, index), exit.availableAt);
        _tell(account, pool);
    }

    /// @inheritdoc IDelegatedBonds
    function cancelUndelegate() external {
        (address account, uint128 leaving, ) = _takeExit(msg.sender);
        _pools[account].leaving -= leaving;
        emit UndelegateCancelled(msg.sender, account);
        _tell(account, _pools[account]);
    }

    /// @inheritdoc IDelegatedBonds
    function withdrawDelegated() external {
        withdrawDelegatedOf(msg.sender);
    }

    /// @inheritdoc IDelegatedBonds
    function withdrawDelegatedOf(address holder) public {
        (address account, uint128 leaving, uint40 availableAt) = _takeExit(holder);
        if (block.timestamp < availableAt) revert NotYetAvailable(holder, availableAt);
        Pool storage pool = _pools[account];
        bool isLast = leaving == pool.shares;
        // The last one takes what rounding has left, so that nothing stays behind.
        uint256 amount = isLast ? pool.delegated : _worth(leaving, pool.index);
        pool.delegated -= amount.toUint128();
        pool.shares -= leaving;
        pool.leaving -= leaving;
        (uint256 number, uint256 shares) = _sharesOf(holder);
        _setShares(holder, number, shares - leaving);
        // An empty pool begins anew, also one that lost everything.
        if (isLast && pool.index != RAY) _setIndex(pool, RAY);
        emit DelegatedWithdrawn(holder, account, amount);
        _tell(account, pool);
        token.safeTransfer(holder, amount);
    }

    /// @inheritdoc IDelegatedBonds
    function delegatorsPart(address account, uint256 amount) public view returns (uint256) {
        Account storage entry = _accounts[account];
        if (!_hasPool(entry)) return 0;
        Pool storage pool = _pools[account];
        // INVARIANT: what is leaving, an account's own or its delegators', covers nothing and dilutes nobody.
        // Not the lesser of both sides: an account could ask its own back for the moment of the claim.
        uint256 own = entry.bond - entry.pending;
        uint256 staying = _staying(pool);
        if (staying == 0) return 0;
        uint256 part = Math.mulDiv(
            amount * (BPS + 1 - entry.terms),
            staying,
            (own + staying) * BPS
        );
        // What would raise the index above its bound, a reward of a million times what is delegated,
        // is the operator's.
        return _raised(pool, part) > INDEX_MAX ? 0 : part;
    }

    /// @inheritdoc IDelegatedBonds
    function delegatedTo(address account) external view returns (DelegatedBond memory) {
        Pool storage pool = _pools[account];
        uint16 terms = _accounts[account].terms;
        return
            DelegatedBond({
                amount: pool.delegated,
                leaving: _worth(pool.leaving, pool.index),
                index: pool.index,
                commissionBps: terms == 0 ? 0 : terms - 1,
                isOpen: terms != 0 && !pool.isClosed
            });
    }

    /// @inheritdoc IDelegatedBonds
    function delegationOf(address holder) external view returns (Delegation memory) {
        (uint256 number, uint256 shares) = _sharesOf(holder);
        address account = _numbered[number];
        uint256 index = _pools[account].index;
        Exit storage exit = _exits[holder];
        return
            Delegation({
                account: account,
                amount: _worth(shares, index),
                leaving: _worth(exit.shares, index),
                availableAt: exit.availableAt
            });
    }

    /// @dev Has the distributor pay what an account has earned, and its delegators with it. It may call
    /// back to `compound`, and knows nobody else. Never on the way out.
    function _settle(address account) internal {
        // What was paid is told by the distributor.
        // slither-disable-next-line unused-return
        if (distributor.creditOf(token, account) != 0) distributor.claim(token, account);
    }

    /// @dev Adds a reward to what is delegated.
    function _compound(address account, uint256 amount) internal {
        Pool storage pool = _pools[account];
        if (pool.shares == 0) revert NotOpen(account);
        uint256 index = _raised(pool, amount);
        pool.delegated += amount.toUint128();
        _setIndex(pool, index);
        emit DelegatorsEarned(account, amount);
        _tell(account, pool);
    }

    /// @dev What of a slash of `amount`, at most all that the account and its delegators have, is the
    /// delegators'. INVARIANT: an account that has as much loses at least half of every slash itself.
    function _slashDelegated(
        address account,
        uint256 own,
        uint256 amount
    ) internal returns (uint256 part) {
        uint256 delegated = _delegatedTo(account);
        if (delegated == 0) return 0;
        Pool storage pool = _pools[account];
        part = Math.min((amount * delegated) / (own + delegated), amount / 2);
        if (amount - part > own) part = amount - own;
        uint256 left = delegated - part;
        pool.delegated = uint128(left);
        _setIndex(pool, (pool.index * left) / delegated);
        emit DelegatedSlashed(account, part);
        _tell(account, pool);
    }

    function _tell(address account, Pool storage pool) private {
        emit DelegatedChanged(account, pool.delegated, _staying(pool));
    }

    /// @dev Tokens that others' bonds could still add to what an account's own bond covers.
    function _requireRoom(address account, uint256 amount) private view {
        Account storage entry = _accounts[account];
        uint256 own = entry.bond - entry.pending;
        uint256 staying = _staying(_pools[account]);
        uint256 room = own > staying ? own - staying : 0;
        if (amount > room) revert BeyondOwnBond(account, amount, room);
    }

    /// @dev A holder's exit, which is over with this call.
    function _takeExit(
        address holder
    ) private returns (address account, uint128 shares, uint40 availableAt) {
        Exit storage exit = _exits[holder];
        (shares, availableAt) = (exit.shares, exit.availableAt);
        if (shares == 0) revert NothingPending(holder);
        delete _exits[holder];
        (uint256 number, ) = _sharesOf(holder);
        account = _numbered[number];
    }

    /// @dev What of it covers units, in tokens.
    function _staying(Pool storage pool) private view returns (uint256) {
        return _worth(pool.shares - pool.leaving, pool.index);
    }

    /// @dev A pool's index with so much more in it.
    function _raised(Pool storage pool, uint256 amount) private view returns (uint256) {
        return pool.index + (amount * RAY) / pool.shares;
    }
}
