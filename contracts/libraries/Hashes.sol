// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {JobId, UnitId} from "../types/Identifiers.sol";

/// @title The hashes of docs/spec/protocol.md, section 2, and the leaves of the trees built on
/// chain
library Hashes {
    /// @notice What auditors and jurors reveal instead of a unit root where the job's data is not to
    /// be had. INVARIANT: no unit has this root, for unit roots are sha256 of 65 bytes.
    bytes32 internal constant INPUT_UNAVAILABLE = keccak256("ainur.input-unavailable");

    /// @notice The id of one attempt at one slot.
    function unitId(
        JobId jobId,
        uint32 round,
        uint32 slot,
        uint32 attempt
    ) internal pure returns (UnitId) {
        return UnitId.wrap(keccak256(abi.encode(jobId, round, slot, attempt)));
    }

    /// @notice A worker's, auditor's or juror's commitment to a unit root.
    function commitment(
        UnitId id,
        address account,
        bytes32 root,
        bytes32 salt
    ) internal pure returns (bytes32) {
        return keccak256(abi.encode(id, account, root, salt));
    }

    /// @notice What a worker commits to: a unit's outputs and its intermediate states.
    function unitRoot(bytes32 resultRoot, bytes32 traceRoot) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x04), resultRoot, traceRoot));
    }

    /// @notice One claim of a batch. Hashed twice, so that no inner node can pass for a leaf.
    function claimLeaf(
        UnitId id,
        address worker,
        bytes32 resultRoot,
        bytes32 commitment_
    ) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(id, worker, resultRoot, commitment_))));
    }

    /// @notice The root over leaves, in order: pairs are sorted before hashing (OpenZeppelin's
    /// MerkleProof verifies it), an odd last node moves up unchanged. Overwrites `nodes`; needs at
    /// least one.
    function treeRoot(bytes32[] memory nodes) internal pure returns (bytes32) {
        for (uint256 width = nodes.length; width > 1; width = (width + 1) / 2) {
            for (uint256 i = 0; i < width / 2; ++i) {
                nodes[i] = _pair(nodes[2 * i], nodes[2 * i + 1]);
            }
            if (width % 2 == 1) nodes[width / 2] = nodes[width - 1];
        }
        return nodes[0];
    }

    function _pair(bytes32 a, bytes32 b) private pure returns (bytes32) {
        return a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
    }
}
