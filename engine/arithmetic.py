"""The scalar operations of the contract, on numpy arrays: exact, element by element.

Normative text: docs/spec/arithmetic.md. Everything here is elementwise and slow but obvious; the
order of folds is in `engine.reference`. Float results may carry any NaN until `canonical` is
applied, which the reference backend does after every node.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.dtypes import CANONICAL_NAN, DType

Array: TypeAlias = NDArray[np.generic]
Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]

NAN_BITS = CANONICAL_NAN[DType.FLOAT32]
_BFLOAT16 = DType.BFLOAT16.numpy

_RANGE = {
    DType.INT32: (-(2**31), 2**31 - 1),
    DType.UINT32: (0, 2**32 - 1),
    DType.UINT8: (0, 255),
    DType.INT8: (-128, 127),
}
_TINY = 2.0**-126  # the smallest normal binary32
_BELOW_BINARY32 = 0x1FFFFFFF  # the 29 bits of a binary64 fraction that binary32 has not
_HALFWAY = 0x10000000


def canonical(a: Array) -> Array:
    """`a` with every NaN replaced by the canonical one; other types are returned unchanged."""
    if a.dtype == _BFLOAT16:
        bits = np.ascontiguousarray(a).view(np.uint16)
        nan = np.uint16(CANONICAL_NAN[DType.BFLOAT16])
        return np.where(bits & 0x7FFF > 0x7F80, nan, bits).view(_BFLOAT16).reshape(a.shape)
    if a.dtype not in (np.float32, np.float16) or not np.isnan(a).any():
        return a
    return np.where(np.isnan(a), np.uint32(NAN_BITS).view(np.float32).astype(a.dtype), a)


def canonical_input(a: Array) -> Array:
    """An array as every op sees it: canonical NaNs, and only 0 and 1 in BOOL."""
    if a.dtype == np.bool_:
        return np.asarray(a.view(np.uint8) != 0)
    return canonical(a)


def add(a: Array, b: Array) -> Array:
    """a + b: floats round to nearest even, integers wrap."""
    with np.errstate(all="ignore"):
        return np.add(a, b)


def mul(a: Array, b: Array) -> Array:
    """a * b: floats round to nearest even, integers wrap."""
    with np.errstate(all="ignore"):
        return np.multiply(a, b)


def fma(a: Array, b: Array, c: Array) -> Floats:
    """a * b + c in binary32 with one rounding.

    The product of two binary32 numbers is exact in binary64. The sum is not, and rounding it twice
    goes wrong exactly where the binary64 sum is inexact and lands halfway between two binary32
    numbers, so there (and below the normal range, where halfway points lie elsewhere) the sum is
    first rounded to odd (Boldo and Melquiond, "Emulation of a FMA and correctly rounded sums").
    """
    with np.errstate(all="ignore"):
        product = np.multiply(a, b, dtype=np.float64)
        addend = c.astype(np.float64)
        total = np.asarray(product + addend)
        low = total.view(np.int64) & _BELOW_BINARY32
        risky = (low == _HALFWAY) | (np.abs(total) < _TINY)
        if risky.any():
            total[risky] = _sum_rounded_to_odd(
                np.broadcast_to(product, total.shape)[risky],
                np.broadcast_to(addend, total.shape)[risky],
            )
        return total.astype(np.float32)


def _sum_rounded_to_odd(a: Doubles, b: Doubles) -> Doubles:
    """a + b in binary64, rounded to the neighbour with an odd last bit unless exact."""
    total = a + b
    other = total - a
    error = (a - (total - other)) + (b - other)  # Knuth's TwoSum: a + b = total + error exactly
    inexact_even = np.isfinite(total) & (error != 0) & ((total.view(np.int64) & 1) == 0)
    away = (error > 0) == (total > 0)
    step = np.where(inexact_even, np.where(away, 1, -1), 0)
    return (total.view(np.int64) + step).view(np.float64)


def div(a: Array, b: Array) -> Array:
    """a / b: floats correctly rounded; integers truncate, x / 0 = 0, INT_MIN / -1 = INT_MIN."""
    with np.errstate(all="ignore"):
        if a.dtype == np.float32:
            return np.divide(a, b)
        wide_a, wide_b = a.astype(np.int64), b.astype(np.int64)
        quotient = np.abs(wide_a) // np.maximum(np.abs(wide_b), 1)
        signed = np.where((wide_a < 0) != (wide_b < 0), -quotient, quotient)
        return np.where(wide_b == 0, 0, signed).astype(a.dtype)


def sqrt(a: Array) -> Array:
    """The correctly rounded square root; NaN below zero, -0 for -0."""
    with np.errstate(all="ignore"):
        return np.sqrt(a)


def lt(a: Array, b: Array) -> Array:
    """a < b; false where either is NaN."""
    with np.errstate(all="ignore"):
        return np.less(a, b)


def eq(a: Array, b: Array) -> Array:
    """a == b; false where either is NaN, true for -0 and +0."""
    with np.errstate(all="ignore"):
        return np.equal(a, b)


def maximum(a: Array, b: Array) -> Array:
    """The larger one in the total order -inf < ... < -0 < +0 < ... < +inf < NaN."""
    if a.dtype != np.float32:
        return np.maximum(a, b)
    return float_of_order(np.maximum(order_of_float(a), order_of_float(b)))


def order_of_float(a: Array) -> NDArray[np.int32]:
    """An integer per float, whose order is the total order of MAX."""
    bits = np.ascontiguousarray(canonical(a)).view(np.int32)
    return np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)


def float_of_order(key: NDArray[np.int32]) -> Floats:
    """The inverse of `order_of_float`."""
    return np.where(key < 0, key ^ np.int32(0x7FFFFFFF), key).view(np.float32)


def shl(a: Array, b: Array) -> Array:
    """a << b for b in 0..31, else 0."""
    inside = _shift_is_inside(b)
    bits = a.astype(np.uint32) << np.where(inside, b, 0).astype(np.uint32)
    return np.where(inside, bits, np.uint32(0)).astype(a.dtype)


def shr(a: Array, b: Array) -> Array:
    """a >> b for b in 0..31, logical for UINT32 (else 0), arithmetic for INT32 (else the sign)."""
    inside = _shift_is_inside(b)
    if a.dtype == np.uint32:
        return np.where(inside, a >> np.where(inside, b, 0).astype(np.uint32), np.uint32(0))
    return np.asarray(a >> np.where(inside, b, 31).astype(np.int32))


def _shift_is_inside(b: Array) -> Bools:
    return np.asarray((b.astype(np.int64) >= 0) & (b.astype(np.int64) <= 31))


def convert(a: Array, to: DType) -> Array:
    """CAST mode 0, the value: the table in docs/spec/arithmetic.md."""
    if a.dtype == _BFLOAT16:
        wide = np.ascontiguousarray(a).view(np.uint16).astype(np.uint32) << np.uint32(16)
        a = wide.view(np.float32).reshape(a.shape)
    elif a.dtype == np.float16:
        with np.errstate(invalid="ignore"):  # of signalling NaNs
            a = a.astype(np.float32)
    source = a.dtype
    if to in (DType.FLOAT16, DType.BFLOAT16):
        return _narrowed(np.asarray(convert(a, DType.FLOAT32)), to)
    if to is DType.BOOL:
        return np.not_equal(a, 0)
    if to is DType.FLOAT32:
        # binary64 holds every 32-bit integer, so this rounds once.
        return a if source == np.float32 else a.astype(np.float64).astype(np.float32)
    if source == np.float32:
        low, high = _RANGE[to]
        value = np.where(np.isnan(a), 0.0, canonical(a).astype(np.float64))
        return np.asarray(np.trunc(np.clip(value, low, high)).astype(to.numpy))
    if to.is_storage:
        low, high = _RANGE[to]
        return np.asarray(np.clip(a.astype(np.int64), low, high).astype(to.numpy))
    return a.astype(np.int64).astype(to.numpy)  # modulo 2**32


def _narrowed(a: Array, to: DType) -> Array:
    """FLOAT32 rounded to nearest even in 16 bits."""
    if to is DType.FLOAT16:
        with np.errstate(all="ignore"):
            return a.astype(np.float16)
    bits = np.ascontiguousarray(canonical(a)).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
    return (rounded >> np.uint32(16)).astype(np.uint16).view(_BFLOAT16).reshape(a.shape)


def reinterpret(a: Array, to: DType) -> Array:
    """CAST mode 1, the bits of a 32-bit type; NaN is canonical before and after."""
    return canonical(np.ascontiguousarray(canonical(a)).view(to.numpy).reshape(a.shape))


def constant(bits: int, dtype: DType) -> Array:
    """The scalar that a CONST's bit pattern stands for in `dtype`: its low bytes."""
    value = np.array(bits, np.uint32)
    if dtype is DType.BOOL:
        return np.asarray(value != 0)
    if dtype.is_storage:
        return value.astype(f"u{dtype.bytes}").view(dtype.numpy)
    return canonical(value.view(dtype.numpy))
