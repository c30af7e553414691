// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Proofs in the trees of Hashes.treeRoot, made apart from it.
library Trees {
    /// @notice Sibling hashes from leaf `index` upwards; an odd last node has none.
    function proofOf(
        bytes32[] memory level,
        uint256 index
    ) internal pure returns (bytes32[] memory proof) {
        proof = new bytes32[](16);
        uint256 depth = 0;
        while (level.length > 1) {
            if (index ^ 1 < level.length) proof[depth++] = level[index ^ 1];
            bytes32[] memory above = new bytes32[]((level.length + 1) / 2);
            for (uint256 i = 0; i < above.length; ++i) {
                above[i] =
                    2 * i + 1 < level.length ? _pair(level[2 * i], level[2 * i + 1]) : level[2 * i];
            }
            (level, index) = (above, index / 2);
        }
        bytes32[] memory cut = new bytes32[](depth);
        for (uint256 i = 0; i < depth; ++i) {
            cut[i] = proof[i];
        }
        return cut;
    }

    function _pair(bytes32 a, bytes32 b) private pure returns (bytes32) {
        return a < b ? keccak256(bytes.concat(a, b)) : keccak256(bytes.concat(b, a));
    }
}
