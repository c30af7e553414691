// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Assert} from "./helpers/Assert.sol";
import {Binary32} from "./helpers/Binary32.sol";
import {FLOAT32} from "./helpers/Elementwise.sol";
import {Evaluation, Node, Tensor} from "./helpers/Evaluation.sol";
import {VM} from "./helpers/Vm.sol";

/// @notice A shared input of the golden vectors.
struct Input {
    string name;
    string dtype;
    uint256[] shape;
    bytes bits;
}

/// @notice A chain of nodes and the bits of its last one.
struct Case {
    string name;
    Node[] nodes;
    bytes expected;
}

/// @notice The golden vectors of the engine, computed a third time: after numpy and OpenCL C, with
/// the integers of the EVM.
contract ArithmeticTest is Assert {
    string private constant VECTORS = "tests/vectors/arithmetic.json";
    string private constant INPUT = "Input(string name,string dtype,uint256[] shape,bytes bits)";
    string private constant CASE =
        "Case(string name,Node[] nodes,bytes expected)"
        "Node(string op,string dtype,uint256[] shape,string[] inputs,int256[] attributes)";

    error WrongBits(string name, uint256 element, uint32 actual, uint32 expected);

    /// @notice The version that the contracts' side implements is the one of the vectors.
    function test_vectors_areOfTheKnownVersion() public view {
        same(VM.parseJsonUint(VM.readFile(VECTORS), ".arithmetic_version"), 1, "version");
    }

    /// @notice Every case, bit for bit.
    function test_vectors_recomputed_match() public view {
        (Case[] memory cases, Input[] memory inputs) = _vectors();
        check(cases.length >= 145 && inputs.length >= 21, "all are there");
        for (uint256 i = 0; i < cases.length; ++i) {
            this.checkCase(cases[i], inputs); // from outside, so that its memory is given back
        }
    }

    /// @notice The comparison sees one bit, in the first element and in the last.
    function test_vectors_oneBitTurned_isFound() public {
        (Case[] memory cases, Input[] memory inputs) = _vectors();
        for (uint256 last = 0; last < 2; ++last) {
            Case memory turned = cases[last * (cases.length - 1)];
            uint256 element = last * (turned.expected.length - 1);
            turned.expected[element] ^= 0x01;
            VM.expectPartialRevert(WrongBits.selector);
            this.checkCase(turned, inputs);
        }
    }

    /// @notice What is far below the last place of a product decides where that is halfway.
    function test_fma_tinyAddend_breaksTies() public pure {
        // 24929 * 673 = 2^24 + 1 and 1549 * 10831 = 2^24 + 3, times 2^90; the addend is 2^-149.
        expectFma(0x73c2c200, 0x44284000, 0x00000000, 0x78800000);
        expectFma(0x73c2c200, 0x44284000, 0x00000001, 0x78800001);
        expectFma(0x73c2c200, 0x44284000, 0x80000001, 0x78800000);
        expectFma(0x71c1a000, 0x46293c00, 0x00000000, 0x78800002);
        expectFma(0x71c1a000, 0x46293c00, 0x00000001, 0x78800002);
        expectFma(0x71c1a000, 0x46293c00, 0x80000001, 0x78800001);
    }

    function expectFma(uint32 a, uint32 b, uint32 c, uint32 expected) private pure {
        same(Binary32.fma(a, b, c), expected, "a * b + c");
        same(Binary32.fma(b, a ^ Binary32.SIGN, c ^ Binary32.SIGN), expected ^ Binary32.SIGN, "-");
    }

    function _vectors() private view returns (Case[] memory, Input[] memory) {
        string memory json = VM.readFile(VECTORS);
        return (
            abi.decode(VM.parseJsonTypeArray(json, ".cases", CASE), (Case[])),
            abi.decode(VM.parseJsonTypeArray(json, ".inputs", INPUT), (Input[]))
        );
    }

    function checkCase(Case calldata vector, Input[] calldata inputs) external pure {
        Tensor[] memory results = new Tensor[](vector.nodes.length);
        for (uint256 i = 0; i < results.length; ++i) {
            Node calldata node = vector.nodes[i];
            Tensor[] memory read = new Tensor[](node.inputs.length);
            for (uint256 j = 0; j < read.length; ++j) {
                bytes calldata name = bytes(node.inputs[j]);
                read[j] = name[0] == "$" ? results[_number(name[1:])] : _input(inputs, name);
            }
            results[i] = Evaluation.evaluate(node, read);
        }
        Tensor memory last = results[results.length - 1];
        uint32[] memory expected = _elements(vector.expected, last.flat.length);
        for (uint256 i = 0; i < expected.length; ++i) {
            if (last.flat[i] == expected[i]) continue;
            revert WrongBits(vector.name, i, last.flat[i], expected[i]);
        }
    }

    function _number(bytes calldata digits) private pure returns (uint256 number) {
        for (uint256 i = 0; i < digits.length; ++i) {
            number = 10 * number + uint8(digits[i]) - 48;
        }
    }

    /// @dev An input as every op sees it: with canonical NaNs.
    function _input(
        Input[] calldata inputs,
        bytes calldata name
    ) private pure returns (Tensor memory tensor) {
        uint256 i = 0;
        while (keccak256(bytes(inputs[i].name)) != keccak256(name)) ++i;
        tensor.dtype = bytes32(bytes(inputs[i].dtype));
        tensor.shape = inputs[i].shape;
        uint256 size = 1;
        for (uint256 axis = 0; axis < tensor.shape.length; ++axis) {
            size *= tensor.shape[axis];
        }
        tensor.flat = _elements(inputs[i].bits, size);
        if (tensor.dtype != FLOAT32) return tensor;
        for (uint256 j = 0; j < size; ++j) {
            tensor.flat[j] = Binary32.canonical(tensor.flat[j]);
        }
    }

    function _elements(
        bytes calldata bits,
        uint256 size
    ) private pure returns (uint32[] memory out) {
        uint256 width = bits.length / size;
        same(bits.length, width * size, "whole elements");
        out = new uint32[](size);
        for (uint256 i = 0; i < size; ++i) {
            out[i] = uint32(bytes4(bits[i * width:(i + 1) * width]) >> (32 - 8 * width));
        }
    }
}
