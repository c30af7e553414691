// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Binary32} from "./Binary32.sol";

// Ops and types by name, as the golden vectors have them.
bytes32 constant ADD = "ADD";
bytes32 constant MUL = "MUL";
bytes32 constant FMA = "FMA";
bytes32 constant DIV = "DIV";
bytes32 constant SQRT = "SQRT";
bytes32 constant LT = "LT";
bytes32 constant EQ = "EQ";
bytes32 constant SELECT = "SELECT";
bytes32 constant CAST = "CAST";
bytes32 constant AND = "AND";
bytes32 constant OR = "OR";
bytes32 constant XOR = "XOR";
bytes32 constant SHL = "SHL";
bytes32 constant SHR = "SHR";

bytes32 constant FLOAT32 = "FLOAT32";
bytes32 constant INT32 = "INT32";
bytes32 constant UINT32 = "UINT32";
bytes32 constant BOOL = "BOOL";
bytes32 constant UINT8 = "UINT8";
bytes32 constant INT8 = "INT8";
bytes32 constant FLOAT16 = "FLOAT16";
bytes32 constant BFLOAT16 = "BFLOAT16";

/// @title One element of an elementwise op: docs/spec/arithmetic.md, section 3
/// @notice Elements are bit patterns of the type `dtype`, in the lowest bits.
library Elementwise {
    error NoSuchOp(bytes32 op, bytes32 dtype);

    function unary(bytes32 op, bytes32 dtype, uint32 a) internal pure returns (uint32) {
        if (op == SQRT && dtype == FLOAT32) return Binary32.sqrt(a);
        revert NoSuchOp(op, dtype);
    }

    function binary(bytes32 op, bytes32 dtype, uint32 a, uint32 b) internal pure returns (uint32) {
        if (dtype == FLOAT32) {
            if (op == ADD) return Binary32.add(a, b);
            if (op == MUL) return Binary32.mul(a, b);
            if (op == DIV) return Binary32.div(a, b);
            if (op == LT) return _bit(Binary32.lt(a, b));
            if (op == EQ) return _bit(Binary32.eq(a, b));
            revert NoSuchOp(op, dtype);
        }
        if (op == AND) return a & b;
        if (op == OR) return a | b;
        if (op == XOR) return a ^ b;
        if (op == EQ) return _bit(a == b);
        unchecked {
            if (op == ADD) return a + b;
            if (op == MUL) return a * b;
        }
        if (op == SHL) return b > 31 ? 0 : a << b;
        if (dtype == INT32) {
            if (op == LT) return _bit(int32(a) < int32(b));
            if (op == SHR) return uint32(int32(a) >> (b > 31 ? 31 : b));
            unchecked {
                // -2^31 / -1 wraps to -2^31.
                if (op == DIV) return b == 0 ? 0 : uint32(int32(a) / int32(b));
            }
        } else if (dtype == UINT32) {
            if (op == LT) return _bit(a < b);
            if (op == SHR) return b > 31 ? 0 : a >> b;
            if (op == DIV) return b == 0 ? 0 : a / b;
        }
        revert NoSuchOp(op, dtype);
    }

    function ternary(
        bytes32 op,
        bytes32 dtype,
        uint32 a,
        uint32 b,
        uint32 c
    ) internal pure returns (uint32) {
        if (op == SELECT) return a != 0 ? b : c;
        if (op == FMA && dtype == FLOAT32) return Binary32.fma(a, b, c);
        revert NoSuchOp(op, dtype);
    }

    /// @notice CAST, mode 0: the value.
    function convert(uint32 a, bytes32 from, bytes32 to) internal pure returns (uint32) {
        if (from == FLOAT16) return convert(Binary32.fromHalf(a), FLOAT32, to);
        if (from == BFLOAT16) return convert(Binary32.fromBfloat(a), FLOAT32, to);
        if (to == FLOAT16) return Binary32.toHalf(convert(a, from, FLOAT32));
        if (to == BFLOAT16) return Binary32.toBfloat(convert(a, from, FLOAT32));
        if (from == FLOAT32) {
            if (to == FLOAT32) return a;
            if (to == BOOL) return _bit(Binary32.magnitude(a) != 0);
            (int256 least, int256 most) = _range(to);
            return _pattern(Binary32.toInteger(a, least, most), to);
        }
        int256 value = _value(a, from);
        if (to == FLOAT32) return Binary32.fromInteger(value);
        if (to == BOOL) return _bit(value != 0);
        if (to == INT32 || to == UINT32) return _pattern(value, to);
        (int256 low, int256 high) = _range(to);
        return
            _pattern(
                value < low
                    ? low
                    : value > high
                        ? high
                        : value,
                to
            );
    }

    /// @notice CAST, mode 1: the bits, of 32.
    function reinterpret(uint32 a, bytes32 from, bytes32 to) internal pure returns (uint32) {
        return from == FLOAT32 || to == FLOAT32 ? Binary32.canonical(a) : a;
    }

    function _bit(bool a) private pure returns (uint32) {
        return a ? 1 : 0;
    }

    function _value(uint32 a, bytes32 dtype) private pure returns (int256) {
        if (dtype == INT32) return int32(a);
        if (dtype == INT8) return int8(uint8(a));
        return int256(uint256(a));
    }

    /// @dev The lowest bits of an integer, as many as the type has.
    function _pattern(int256 a, bytes32 dtype) private pure returns (uint32) {
        bool isByte = dtype == UINT8 || dtype == INT8;
        return uint32(uint256(a)) & (isByte ? 0xff : 0xffffffff);
    }

    function _range(bytes32 dtype) private pure returns (int256 low, int256 high) {
        if (dtype == INT32) return (type(int32).min, type(int32).max);
        if (dtype == UINT32) return (0, int256(uint256(type(uint32).max)));
        if (dtype == INT8) return (type(int8).min, type(int8).max);
        if (dtype == UINT8) return (0, int256(uint256(type(uint8).max)));
        revert NoSuchOp(CAST, dtype);
    }
}
