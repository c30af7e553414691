// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Assert} from "./Assert.sol";

/// @notice Tells the runner what it calls at random: some functions of one contract, and nothing else.
abstract contract Targets is Assert {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    address private target;
    bytes4[] private selectors_;

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = target;
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(target, selectors_);
    }

    function aim(address target_, bytes4 selector) internal {
        target = target_;
        selectors_.push(selector);
    }
}
