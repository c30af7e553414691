// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";

/// @title FLOAT32 in integers: docs/spec/arithmetic.md, one scalar at a time
/// @notice Numbers are bit patterns; results are rounded to nearest, ties to even, subnormals
/// included, and hold one NaN. Pure and without state: what a referee on chain would need for the
/// last step of a dispute.
/// @dev A finite number is m * 2^e with a sign of its own, and everything is exact until `_rounded`.
library Binary32 {
    uint32 internal constant NAN = 0x7fc00000;
    uint32 internal constant INFINITY = 0x7f800000;
    uint32 internal constant SIGN = 0x80000000;

    int256 private constant LEAST = -149; // the exponent of the smallest subnormal
    uint256 private constant DIGITS = 24;
    int256 private constant FAR = 200; // what is smaller by 2^200 can only break a tie

    /// @notice `a`, with the one NaN for any.
    function canonical(uint32 a) internal pure returns (uint32) {
        return isNan(a) ? NAN : a;
    }

    function isNan(uint32 a) internal pure returns (bool) {
        return magnitude(a) > INFINITY;
    }

    /// @notice |a|.
    function magnitude(uint32 a) internal pure returns (uint32) {
        return a & ~SIGN;
    }

    function add(uint32 a, uint32 b) internal pure returns (uint32) {
        return fma(a, 0x3f800000, b); // a * 1 + b: the product is a, sign and all
    }

    function mul(uint32 a, uint32 b) internal pure returns (uint32) {
        return fma(a, b, SIGN); // a * b + -0, which leaves even a zero's sign alone
    }

    /// @notice a * b + c, rounded once.
    function fma(uint32 a, uint32 b, uint32 c) internal pure returns (uint32) {
        if (isNan(a) || isNan(b) || isNan(c)) return NAN;
        uint32 sign = (a ^ b) & SIGN;
        if (_isInfinite(a) || _isInfinite(b)) {
            bool isZeroTimes = magnitude(a) == 0 || magnitude(b) == 0;
            return isZeroTimes || (_isInfinite(c) && c & SIGN != sign) ? NAN : sign | INFINITY;
        }
        if (_isInfinite(c)) return c;
        (uint256 m, int256 e) = _parts(a);
        (uint256 n, int256 f) = _parts(b);
        (uint256 o, int256 g) = _parts(c);
        return _sum(sign, m * n, e + f, c & SIGN, o, g);
    }

    function div(uint32 a, uint32 b) internal pure returns (uint32) {
        if (isNan(a) || isNan(b)) return NAN;
        if (_isInfinite(a) && _isInfinite(b)) return NAN;
        if (magnitude(a) == 0 && magnitude(b) == 0) return NAN;
        uint32 sign = (a ^ b) & SIGN;
        if (_isInfinite(a) || magnitude(b) == 0) return sign | INFINITY;
        if (_isInfinite(b) || magnitude(a) == 0) return sign;
        (uint256 m, int256 e) = _parts(a);
        (uint256 n, int256 f) = _parts(b);
        uint256 quotient = (m << 64) / n;
        return sign | _inexact(quotient, quotient * n != m << 64, e - f - 64);
    }

    function sqrt(uint32 a) internal pure returns (uint32) {
        if (magnitude(a) == 0 || a == INFINITY) return a;
        if (isNan(a) || a & SIGN != 0) return NAN;
        (uint256 m, int256 e) = _parts(a);
        if (e % 2 != 0) (m, e) = (2 * m, e - 1);
        m <<= 128;
        uint256 root = Math.sqrt(m);
        return _inexact(root, root * root != m, e / 2 - 64);
    }

    function lt(uint32 a, uint32 b) internal pure returns (bool) {
        if (isNan(a) || isNan(b) || (magnitude(a) == 0 && magnitude(b) == 0)) return false;
        return order(a) < order(b);
    }

    function eq(uint32 a, uint32 b) internal pure returns (bool) {
        if (isNan(a) || isNan(b)) return false;
        return a == b || (magnitude(a) == 0 && magnitude(b) == 0);
    }

    /// @notice A number's place in the order of MAX: -infinity < -0 < +0 < +infinity < NaN.
    function order(uint32 a) internal pure returns (int32) {
        return a & SIGN == 0 ? int32(a) : int32(a ^ ~SIGN);
    }

    /// @notice The nearest number to an integer.
    function fromInteger(int256 a) internal pure returns (uint32) {
        if (a == 0) return 0;
        return (a < 0 ? SIGN : 0) | _rounded(SignedMath.abs(a), 0);
    }

    /// @notice A number cut towards zero, then moved into low..high; 0 for NaN.
    function toInteger(uint32 a, int256 low, int256 high) internal pure returns (int256) {
        if (isNan(a)) return 0;
        (uint256 m, int256 e) = _parts(a);
        // Infinity's parts are 2^128: far out, like all from 2^63 on.
        uint256 size =
            e > 40
                ? 1 << 64
                : e >= 0
                    ? m << uint256(e)
                    : m >> uint256(-e);
        int256 value = a & SIGN == 0 ? int256(size) : -int256(size);
        return
            value < low
                ? low
                : value > high
                    ? high
                    : value;
    }

    /// @notice The FLOAT16 nearest to a number.
    function toHalf(uint32 a) internal pure returns (uint32) {
        return _narrowed(a, 11, -24, 0x7c00);
    }

    /// @notice The BFLOAT16 nearest to a number.
    function toBfloat(uint32 a) internal pure returns (uint32) {
        return _narrowed(a, 8, -133, 0x7f80);
    }

    /// @notice A FLOAT16's value.
    function fromHalf(uint32 a) internal pure returns (uint32) {
        uint32 sign = (a & 0x8000) << 16;
        uint256 size = a & 0x7fff;
        if (size >= 0x7c00) return size > 0x7c00 ? NAN : sign | INFINITY;
        if (size < 0x0400) return size == 0 ? sign : sign | _rounded(size, -24);
        return sign | _rounded((size & 0x3ff) | 0x400, int256(size >> 10) - 25);
    }

    /// @notice A BFLOAT16's value.
    function fromBfloat(uint32 a) internal pure returns (uint32) {
        return canonical(a << 16);
    }

    function _isInfinite(uint32 a) private pure returns (bool) {
        return magnitude(a) == INFINITY;
    }

    /// @dev (m, e) with |a| = m * 2^e.
    function _parts(uint32 a) private pure returns (uint256 m, int256 e) {
        uint256 field = magnitude(a) >> 23;
        m = a & 0x7fffff;
        return field == 0 ? (m, LEAST) : (m | 0x800000, int256(field) - 150);
    }

    /// @dev The sum of two exact numbers (sign s, m * 2^e; sign t, n * 2^f), rounded once.
    function _sum(
        uint32 s,
        uint256 m,
        int256 e,
        uint32 t,
        uint256 n,
        int256 f
    ) private pure returns (uint32) {
        if (m == 0 && n == 0) return s & t;
        if (n == 0) return s | _rounded(m, e);
        if (m == 0) return t | _rounded(n, f);
        if (e < f) (s, m, e, t, n, f) = (t, n, f, s, m, e);
        if (e - f > FAR) (n, f) = (1, e - FAR);
        m <<= uint256(e - f);
        if (s == t) return s | _rounded(m + n, f);
        if (m == n) return 0;
        return m > n ? s | _rounded(m - n, f) : t | _rounded(n - m, f);
    }

    /// @dev m * 2^e and, if it is not exact, something less than one unit of m more.
    function _inexact(uint256 m, bool isMore, int256 e) private pure returns (uint32) {
        return _rounded(2 * m + (isMore ? 1 : 0), e - 1);
    }

    function _rounded(uint256 m, int256 e) private pure returns (uint32) {
        return _rounded(m, e, DIGITS, LEAST, INFINITY);
    }

    /// @dev The bits of the number nearest to m * 2^e, m > 0, in a format of `digits` binary digits
    /// whose smallest number is 2^least. That of a carry into the next exponent, and of a subnormal
    /// that becomes normal, is what the addition gives.
    function _rounded(
        uint256 m,
        int256 e,
        uint256 digits,
        int256 least,
        uint32 infinity
    ) private pure returns (uint32) {
        int256 unit = int256(Math.log2(m)) + e - int256(digits - 1);
        if (unit < least) unit = least;
        uint256 kept = m;
        if (unit > e) {
            uint256 shift = uint256(unit - e);
            kept = m >> shift;
            uint256 rest = m - (kept << shift);
            uint256 half = 1 << (shift - 1);
            if (rest > half || (rest == half && kept % 2 == 1)) ++kept;
        } else {
            kept <<= uint256(e - unit);
        }
        uint256 bits = (uint256(unit - least) << (digits - 1)) + kept;
        return bits < infinity ? uint32(bits) : infinity;
    }

    function _narrowed(
        uint32 a,
        uint256 digits,
        int256 least,
        uint32 infinity
    ) private pure returns (uint32) {
        uint32 sign = (a & SIGN) >> 16;
        if (isNan(a)) return infinity | uint32(1 << (digits - 2));
        if (_isInfinite(a)) return sign | infinity;
        (uint256 m, int256 e) = _parts(a);
        return m == 0 ? sign : sign | _rounded(m, e, digits, least, infinity);
    }
}
