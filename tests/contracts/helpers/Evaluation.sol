// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Binary32} from "./Binary32.sol";
import {ADD, CAST, Elementwise, FLOAT32} from "./Elementwise.sol";

/// @notice One operation of a golden vector, as the file has it.
struct Node {
    string op;
    string dtype;
    uint256[] shape;
    string[] inputs;
    int256[] attributes;
}

/// @notice A tensor's elements in row-major order, as bit patterns.
struct Tensor {
    bytes32 dtype;
    uint256[] shape;
    uint32[] flat;
}

/// @title What a node returns: docs/spec/arithmetic.md, sections 2 to 6
library Evaluation {
    uint256 private constant SUM_BLOCK = 4096;
    uint256 private constant SUM_LANES = 32;
    uint256 private constant DOT_BLOCK = 256;

    /// @notice The result of a node that reads the tensors `read`.
    function evaluate(
        Node memory node,
        Tensor[] memory read
    ) internal pure returns (Tensor memory result) {
        bytes32 op = bytes32(bytes(node.op));
        result.dtype = bytes32(bytes(node.dtype));
        result.shape = node.shape;
        uint256 size = 1;
        for (uint256 axis = 0; axis < node.shape.length; ++axis) {
            size *= node.shape[axis];
        }
        uint32[] memory out = new uint32[](size);
        result.flat = out;
        if (op == "IOTA") _iota(out);
        else if (op == "CONST") _fill(out, uint32(uint256(node.attributes[0])));
        else if (op == "VIEW") _view(out, node, read[0].flat);
        else if (op == "PAD") _pad(out, node, read[0]);
        else if (op == "SUM") _sums(out, read[0]);
        else if (op == "MAX") _maxima(out, read[0]);
        else if (op == "DOT") _dot(out, read[0], read[1]);
        else if (op == "GATHER") _gather(out, read[0], read[1].flat);
        else if (op == "SCATTER") _scatter(out, read[0].flat, read[1]);
        else if (op == CAST) _cast(out, node, read[0]);
        else _elementwise(out, op, read);
    }

    function _iota(uint32[] memory out) private pure {
        for (uint256 i = 0; i < out.length; ++i) {
            out[i] = uint32(i);
        }
    }

    function _fill(uint32[] memory out, uint32 bits) private pure {
        for (uint256 i = 0; i < out.length; ++i) {
            out[i] = bits;
        }
    }

    function _elementwise(uint32[] memory out, bytes32 op, Tensor[] memory read) private pure {
        bytes32 dtype = read[read.length - 1].dtype; // the first of SELECT's is the condition
        uint32[] memory a = read[0].flat;
        if (read.length == 1) {
            for (uint256 i = 0; i < out.length; ++i) {
                out[i] = Elementwise.unary(op, dtype, a[i]);
            }
            return;
        }
        uint32[] memory b = read[1].flat;
        if (read.length == 2) {
            for (uint256 i = 0; i < out.length; ++i) {
                out[i] = Elementwise.binary(op, dtype, a[i], b[i]);
            }
            return;
        }
        uint32[] memory c = read[2].flat;
        for (uint256 i = 0; i < out.length; ++i) {
            out[i] = Elementwise.ternary(op, dtype, a[i], b[i], c[i]);
        }
    }

    function _cast(uint32[] memory out, Node memory node, Tensor memory a) private pure {
        bytes32 to = bytes32(bytes(node.dtype));
        for (uint256 i = 0; i < out.length; ++i) {
            out[i] =
                node.attributes[0] == 1
                    ? Elementwise.reinterpret(a.flat[i], a.dtype, to)
                    : Elementwise.convert(a.flat[i], a.dtype, to);
        }
    }

    /// @dev out[i, j, ...] = flat[offset + i * stride + j * stride + ...].
    function _view(uint32[] memory out, Node memory node, uint32[] memory flat) private pure {
        for (uint256 i = 0; i < out.length; ++i) {
            int256 source = node.attributes[0];
            uint256 rest = i;
            for (uint256 axis = node.shape.length; axis > 0; --axis) {
                source += int256(rest % node.shape[axis - 1]) * node.attributes[axis];
                rest /= node.shape[axis - 1];
            }
            out[i] = flat[uint256(source)];
        }
    }

    function _pad(uint32[] memory out, Node memory node, Tensor memory a) private pure {
        for (uint256 i = 0; i < a.flat.length; ++i) {
            uint256 target = 0;
            uint256 stride = 1;
            uint256 rest = i;
            for (uint256 axis = node.shape.length; axis > 0; --axis) {
                uint256 low = uint256(node.attributes[2 * axis - 2]);
                target += (low + (rest % a.shape[axis - 1])) * stride;
                rest /= a.shape[axis - 1];
                stride *= node.shape[axis - 1];
            }
            out[target] = a.flat[i];
        }
    }

    function _sums(uint32[] memory out, Tensor memory a) private pure {
        uint256 length = a.flat.length / out.length;
        for (uint256 row = 0; row < out.length; ++row) {
            out[row] = _sum(a.dtype, a.flat, row * length, length);
        }
    }

    function _sum(
        bytes32 dtype,
        uint32[] memory a,
        uint256 start,
        uint256 length
    ) private pure returns (uint32) {
        if (length > SUM_BLOCK) {
            uint32[] memory blocks = new uint32[]((length + SUM_BLOCK - 1) / SUM_BLOCK);
            for (uint256 i = 0; i < blocks.length; ++i) {
                uint256 left = length - i * SUM_BLOCK;
                uint256 size = left < SUM_BLOCK ? left : SUM_BLOCK;
                blocks[i] = _sum(dtype, a, start + i * SUM_BLOCK, size);
            }
            return _sum(dtype, blocks, 0, blocks.length);
        }
        uint256 width = length < SUM_LANES ? length : SUM_LANES;
        uint32[] memory lanes = new uint32[](width);
        for (uint256 i = 0; i < length; ++i) {
            uint32 x = a[start + i];
            lanes[i % SUM_LANES] = i < SUM_LANES ? x : _add(dtype, lanes[i % SUM_LANES], x);
        }
        for (uint256 half = SUM_LANES / 2; half > 0; half /= 2) {
            for (uint256 i = 0; i < half && i + half < width; ++i) {
                lanes[i] = _add(dtype, lanes[i], lanes[i + half]);
            }
        }
        return lanes[0];
    }

    function _maxima(uint32[] memory out, Tensor memory a) private pure {
        uint256 length = a.flat.length / out.length;
        for (uint256 row = 0; row < out.length; ++row) {
            uint32 most = a.flat[row * length];
            for (uint256 i = 1; i < length; ++i) {
                uint32 x = a.flat[row * length + i];
                if (_isAbove(a.dtype, x, most)) most = x;
            }
            out[row] = most;
        }
    }

    function _isAbove(bytes32 dtype, uint32 a, uint32 b) private pure returns (bool) {
        if (dtype == FLOAT32) return Binary32.order(a) > Binary32.order(b);
        return Elementwise.binary("LT", dtype, b, a) == 1;
    }

    function _dot(uint32[] memory out, Tensor memory a, Tensor memory b) private pure {
        (uint256 m, uint256 k, uint256 n) = (a.shape[1], a.shape[2], b.shape[2]);
        for (uint256 i = 0; i < out.length; ++i) {
            uint256 row = (i / n) * k;
            uint256 column = (i / n / m) * k * n + (i % n);
            uint32 sum = 0;
            for (uint256 block_ = 0; block_ < k; block_ += DOT_BLOCK) {
                uint32 chain = 0;
                for (uint256 j = block_; j < k && j < block_ + DOT_BLOCK; ++j) {
                    chain = Binary32.fma(a.flat[row + j], b.flat[column + j * n], chain);
                }
                sum = block_ == 0 ? chain : Binary32.add(sum, chain);
            }
            out[i] = sum;
        }
    }

    function _gather(uint32[] memory out, Tensor memory table, uint32[] memory index) private pure {
        uint256 width = table.shape[1];
        for (uint256 i = 0; i < index.length; ++i) {
            if (index[i] >= table.shape[0]) continue; // a negative one is large without its sign
            for (uint256 j = 0; j < width; ++j) {
                out[i * width + j] = table.flat[index[i] * width + j];
            }
        }
    }

    function _scatter(uint32[] memory out, uint32[] memory index, Tensor memory rows) private pure {
        uint256 width = rows.shape[1];
        for (uint256 i = 0; i < index.length; ++i) {
            if (index[i] >= out.length / width) continue;
            for (uint256 j = 0; j < width; ++j) {
                uint256 target = index[i] * width + j;
                out[target] = _add(rows.dtype, out[target], rows.flat[i * width + j]);
            }
        }
    }

    function _add(bytes32 dtype, uint32 a, uint32 b) private pure returns (uint32) {
        return Elementwise.binary(ADD, dtype, a, b);
    }
}
