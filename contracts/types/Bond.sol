// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev Where every index begins: tokens of a share, times 10^27.
uint256 constant RAY = 1e27;
/// @dev Of the rewards of delegated tokens: the most that an account may keep.
uint256 constant COMMISSION_BPS_MAX = 5_000;

/// @notice What others have delegated to an account, and on which terms.
struct DelegatedBond {
    uint256 amount; // tokens, what is leaving included
    uint256 leaving; // tokens, of these
    uint256 index; // tokens of a share, times 10^27; a slash lowers it, a reward raises it
    uint16 commissionBps; // of their rewards
    bool isOpen; // whether it takes more
}

/// @notice What a holder has delegated.
struct Delegation {
    address account; // to whom; 0: nothing is
    uint256 amount; // tokens, as of now, what is leaving included
    uint256 leaving; // tokens, of these
    uint64 availableAt; // from when what is leaving can be withdrawn; 0 if nothing is
}
