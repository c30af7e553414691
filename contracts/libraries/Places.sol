// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {PLACES_PER_BATCH} from "../types/Newcomer.sol";

/// @title Which unit of a batch newcomers may audit, and which of them
/// @notice Both follow from the batch's seed, which nobody knows before the claims are on chain: no list,
/// no choice, and whoever looks finds the same.
library Places {
    /// @notice The slot of the one unit of a batch that has places.
    /// @param slotsBitmap The batch's slots, at least one.
    function slotOf(bytes32 seed, uint64 slotsBitmap) internal pure returns (uint32 slot) {
        uint256 count = 0;
        for (uint64 left = slotsBitmap; left != 0; left &= left - 1) ++count;
        uint256 skipped = uint256(keccak256(abi.encode(seed, "newcomers' unit"))) % count;
        for (; skipped != 0; --skipped) slotsBitmap &= slotsBitmap - 1;
        while (slotsBitmap & 1 == 0) (slotsBitmap, slot) = (slotsBitmap >> 1, slot + 1);
    }

    /// @notice Whether an account has a place, with probability min(1, PLACES_PER_BATCH / registered).
    /// @param registered Accounts that were registered before the draw block, at least one.
    function isDrawn(
        bytes32 seed,
        address account,
        uint256 registered
    ) internal pure returns (bool) {
        if (registered <= PLACES_PER_BATCH) return true;
        uint256 ticket = uint256(keccak256(abi.encode(seed, "newcomer", account)));
        // A last place in 2^256 more or less is nobody's gain.
        // slither-disable-next-line divide-before-multiply
        return ticket < (type(uint256).max / registered) * PLACES_PER_BATCH;
    }
}
