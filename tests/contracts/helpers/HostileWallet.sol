// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";

/// @notice An account that is a contract: it would sign everything, takes no call of any other kind,
/// and remembers whether there was one.
contract HostileWallet is IERC1271 {
    bool public wasCalled;

    error Refused();

    receive() external payable {
        _refuse();
    }

    fallback() external payable {
        _refuse();
    }

    /// @inheritdoc IERC1271
    function isValidSignature(bytes32, bytes memory) external pure returns (bytes4) {
        return IERC1271.isValidSignature.selector;
    }

    function _refuse() private {
        wasCalled = true;
        revert Refused();
    }
}
