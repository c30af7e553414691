// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC20Votes} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Votes.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";
import {Time} from "@openzeppelin/contracts/utils/types/Time.sol";

/// @title The network's token: pays for work, is bonded, votes
/// @notice The whole supply is minted once, to the treasury. It only shrinks: fees and most of what
/// is slashed are burned. Votes count by the clock, not by block numbers, so that voting periods
/// mean the same on every chain.
contract ComputeToken is ERC20, ERC20Burnable, ERC20Permit, ERC20Votes {
    /// @param treasury Receives the supply.
    /// @param initialSupply In wei (18 decimals).
    constructor(
        address treasury,
        uint256 initialSupply
    ) ERC20("Ainur Compute", "AIN") ERC20Permit("Ainur Compute") {
        // INVARIANT: the only mint; totalSupply never exceeds initialSupply.
        _mint(treasury, initialSupply);
    }

    /// @notice The clock of checkpoints and proposals: Unix seconds.
    function clock() public view override returns (uint48) {
        return Time.timestamp();
    }

    /// @notice The clock's name (ERC-6372).
    // solhint-disable-next-line func-name-mixedcase
    function CLOCK_MODE() public pure override returns (string memory) {
        return "mode=timestamp";
    }

    /// @inheritdoc ERC20Permit
    function nonces(address owner) public view override(ERC20Permit, Nonces) returns (uint256) {
        return super.nonces(owner);
    }

    function _update(address from, address to, uint256 value) internal override(ERC20, ERC20Votes) {
        super._update(from, to, value);
    }
}
