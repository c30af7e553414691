// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

import {Hashes} from "../../contracts/libraries/Hashes.sol";
import {Lottery} from "../../contracts/libraries/Lottery.sol";
import {JobId, UnitId} from "../../contracts/types/Identifiers.sol";
import {Stage} from "./helpers/Stage.sol";
import {Trees} from "./helpers/Trees.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice The lottery's odds, the hashes that Python computes too, and the tree that OpenZeppelin
/// verifies.
contract LibrariesTest is Stage {
    string private constant VECTORS = "tests/vectors/contracts.json";

    function setUp() public {
        stage(0);
    }

    /// @notice Ids compare like the words that they are.
    function testFuzz_ids_compare(bytes32 one, bytes32 other) public pure {
        VM.assume(one != other);
        (JobId job, UnitId unit) = (JobId.wrap(one), UnitId.wrap(one));
        check(job == JobId.wrap(one) && !(job == JobId.wrap(other)), "the same job");
        check(job != JobId.wrap(other) && !(job != JobId.wrap(one)), "another job");
        check(unit == UnitId.wrap(one) && !(unit == UnitId.wrap(other)), "the same unit");
        check(unit != UnitId.wrap(other) && !(unit != UnitId.wrap(one)), "another unit");
    }

    /// @notice In probation everything is drawn.
    function testFuzz_isDrawn_probation_always(
        bytes32 seed,
        UnitId unitId,
        uint256 clean,
        uint256 more
    ) public pure {
        clean %= 1_000;
        check(Lottery.isDrawn(seed, unitId, clean, clean + 1 + (more % 1_000), 100), "drawn");
    }

    /// @notice With n clean units the odds are max(1/n, floor): 10,000 tickets each, five standard
    /// deviations.
    function test_isDrawn_afterProbation_hasTheOdds() public pure {
        expectOdds(10, 500, 1_000);
        expectOdds(20, 500, 500);
        expectOdds(21, 500, 500);
        expectOdds(1_000_000, 500, 500);
        expectOdds(50, 100, 200);
        expectOdds(3, 100, 3_333);
        expectOdds(7, 10_000, 10_000);
    }

    /// @notice Python computes the same hashes (tests/contracts/test_vectors.py reads the same
    /// file).
    function test_hashes_vectors_match() public view {
        string memory json = VM.readFile(VECTORS);
        (bytes32 jobId, bytes32 result, bytes32 trace, bytes32 salt) = (
            VM.parseJsonBytes32(json, ".job_id"),
            VM.parseJsonBytes32(json, ".result_root"),
            VM.parseJsonBytes32(json, ".trace_root"),
            VM.parseJsonBytes32(json, ".salt")
        );
        address account = address(0x00112233445566778899AABbCCdDeeFf00112233);
        UnitId unitId = Hashes.unitId(JobId.wrap(jobId), 3, 5, 2);
        bytes32 root = Hashes.unitRoot(result, trace);
        same(UnitId.unwrap(unitId), VM.parseJsonBytes32(json, ".unit_id"), "unit id");
        same(root, VM.parseJsonBytes32(json, ".unit_root"), "unit root");
        same(
            Hashes.commitment(unitId, account, root, salt),
            VM.parseJsonBytes32(json, ".commitment"),
            "commitment"
        );
        bytes32[] memory leaves = new bytes32[](3);
        for (uint256 i = 0; i < 3; ++i) {
            UnitId claimed = Hashes.unitId(JobId.wrap(jobId), 3, uint32(i), 2);
            leaves[i] = Hashes.claimLeaf(claimed, account, result, root);
        }
        same(Hashes.treeRoot(leaves), VM.parseJsonBytes32(json, ".claims_root"), "claims root");
    }

    /// @notice Every leaf of a tree of any size is proved to OpenZeppelin's verifier.
    function testFuzz_treeRoot_anySize_isProvable(uint8 size, bytes32 seed) public pure {
        uint256 count = 1 + (size % 130);
        bytes32[] memory leaves = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            leaves[i] = keccak256(abi.encode(seed, i));
        }
        uint256 index = uint256(seed) % count;
        bytes32 leaf = leaves[index];
        bytes32[] memory proof = Trees.proofOf(leaves, index);
        check(MerkleProof.verify(proof, Hashes.treeRoot(leaves), leaf), "proved");
    }

    function expectOdds(uint256 clean, uint256 floorBps, uint256 expectedBps) private pure {
        uint256 hits = 0;
        for (uint256 i = 0; i < 10_000; ++i) {
            if (
                Lottery.isDrawn(
                    keccak256(abi.encode(clean, i)),
                    UnitId.wrap(bytes32(i)),
                    clean,
                    1,
                    floorBps
                )
            ) ++hits;
        }
        // Five deviations of a binomial are below 5 * sqrt(10,000 p) and at most 250.
        uint256 slack =
            expectedBps == 10_000
                ? 0
                : expectedBps < 600
                    ? 120
                    : 250;
        check(hits + slack >= expectedBps && hits <= expectedBps + slack, "odds");
    }
}
