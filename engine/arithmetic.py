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
_quiet = np.errstate(all="ignore")  # numpy warns of what has a meaning here

_TINY = 2.0**-126  # the smallest normal binary32
_BELOW_BINARY32 = 0x1FFFFFFF  # the 29 bits of a binary64 fraction that binary32 has not
_HALFWAY = 0x10000000


def canonical(a: Array) -> Array:
    """`a` with every NaN replaced by the canonical one; other types are returned unchanged."""
    if a.dtype == _BFLOAT16:
        bits = a.view(np.uint16)
        nan = np.uint16(CANONICAL_NAN[DType.BFLOAT16])
        return np.where(bits & 0x7FFF > 0x7F80, nan, bits).view(_BFLOAT16)
    if a.dtype not in (np.float32, np.float16) or not np.isnan(a).any():
        return a
    return np.where(np.isnan(a), np.uint32(NAN_BITS).view(np.float32).astype(a.dtype), a)


def canonical_input(a: Array) -> Array:
    """An array as every op sees it: canonical NaNs, and only 0 and 1 in BOOL."""
    if a.dtype == np.bool_:
        return np.asarray(a.view(np.uint8) != 0)
    return canonical(a)


# Floats round to nearest even, integers wrap; the root of -0 is -0, below zero it is NaN.
add, mul, sqrt = _quiet(np.add), _quiet(np.multiply), _quiet(np.sqrt)
# False where either is NaN; -0 is +0.
lt, eq = _quiet(np.less), _quiet(np.equal)


@_quiet
def fma(a: Array, b: Array, c: Array) -> Floats:
    """a * b + c in binary32 with one rounding.

    The product of two binary32 numbers is exact in binary64. The sum is not, and rounding it twice
    goes wrong exactly where the binary64 sum is inexact and lands halfway between two binary32
    numbers, so there (and below the normal range, where halfway points lie elsewhere) the sum is
    first rounded to odd (Boldo and Melquiond, "Emulation of a FMA and correctly rounded sums").
    """
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


@_quiet
def div(a: Array, b: Array) -> Array:
    """a / b: floats correctly rounded; integers truncate, x / 0 = 0, INT_MIN / -1 = INT_MIN."""
    if a.dtype == np.float32:
        return np.divide(a, b)
    wide_a, wide_b = a.astype(np.int64), b.astype(np.int64)
    quotient = np.abs(wide_a) // np.maximum(np.abs(wide_b), 1)
    signed = np.where((wide_a < 0) != (wide_b < 0), -quotient, quotient)
    return np.where(wide_b == 0, 0, signed).astype(a.dtype)


def maximum(a: Array, b: Array) -> Array:
    """The larger one in the total order -inf < ... < -0 < +0 < ... < +inf < NaN."""
    if a.dtype != np.float32:
        return np.maximum(a, b)
    keys = (_order(canonical(x).view(np.int32)) for x in (a, b))
    return _order(np.maximum(*keys)).view(np.float32)


def _order(bits: NDArray[np.int32]) -> NDArray[np.int32]:
    """From a float's bits to an integer with its place in the order of MAX, and back."""
    return np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)


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


@_quiet
def convert(a: Array, to: DType) -> Array:
    """CAST mode 0, the value: the table in docs/spec/arithmetic.md."""
    if a.dtype == _BFLOAT16:
        a = np.left_shift(a.view(np.uint16), 16, dtype=np.uint32).view(np.float32)
    elif a.dtype == np.float16:
        a = a.astype(np.float32)
    if to in (DType.FLOAT16, DType.BFLOAT16):
        return _narrowed(convert(a, DType.FLOAT32), to)
    if to is DType.BOOL:
        return np.not_equal(a, 0)
    if to is DType.FLOAT32:
        # binary64 holds every 32-bit integer, so this rounds once.
        return a if a.dtype == np.float32 else a.astype(np.float64).astype(np.float32)
    ends = np.iinfo(to.numpy.name)
    if a.dtype == np.float32:
        value: Doubles = np.where(np.isnan(a), 0.0, a.astype(np.float64))
        return np.clip(value, ends.min, ends.max).astype(to.numpy)  # towards zero
    whole = a.astype(np.int64)
    if to.is_storage:
        whole = np.clip(whole, ends.min, ends.max)
    return whole.astype(to.numpy)  # modulo 2**32


def _narrowed(a: Array, to: DType) -> Array:
    """FLOAT32 rounded to nearest even in 16 bits."""
    if to is DType.FLOAT16:
        return a.astype(np.float16)
    bits = canonical(a).view(np.uint32)
    rounded = bits + 0x7FFF + (bits >> 16 & 1)
    return (rounded >> 16).astype(np.uint16).view(_BFLOAT16)


def reinterpret(a: Array, to: DType) -> Array:
    """CAST mode 1, the bits of a 32-bit type; NaN is canonical before and after."""
    return canonical(canonical(a).view(to.numpy))


def constant(bits: int, dtype: DType) -> Array:
    """The scalar that a CONST's bit pattern stands for in `dtype`: its low bytes."""
    value = np.array(bits, np.uint32)
    if dtype is DType.BOOL:
        return np.asarray(value != 0)
    if dtype.is_storage:
        return value.astype(f"u{dtype.bytes}").view(dtype.numpy)
    return canonical(value.view(dtype.numpy))
