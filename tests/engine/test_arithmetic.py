"""The scalar operations against exact rational arithmetic, and every special case by name."""

from fractions import Fraction
from math import isqrt

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine import arithmetic
from engine.dtypes import DType

NAN = 0x7FC00000
INF = 0x7F800000
words = st.integers(0, 2**32 - 1)
ulps = st.integers(-2, 2)


def array(*bits: int, dtype=np.float32) -> np.ndarray:
    """Elements from bit patterns."""
    return np.array(bits, np.uint32).view(dtype)


def bits_of(result) -> int:
    """The pattern of one stored element."""
    return int(arithmetic.canonical(np.asarray(result)).reshape(-1).view(np.uint32)[0])


def is_finite(*bits: int) -> bool:
    return all(b & INF != INF for b in bits)


def exact(bits: int) -> Fraction:
    """The value of a finite binary32."""
    return Fraction(float(array(bits)[0]))


def rounded(value: Fraction) -> int:
    """The binary32 nearest to a rational that is not zero, ties to even, by definition."""
    sign = 0x80000000 if value < 0 else 0
    value = abs(value)
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    if value < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** (max(exponent, -126) - 23)
    steps = round(value / unit)  # Python rounds halves of a Fraction to even
    if steps * unit >= Fraction(2) ** 128:
        return sign | INF
    return sign | bits_of(np.float32(float(steps * unit)))


@given(words, words)
@example(0x00000001, 0x80000001)
@example(0x7F7FFFFF, 0x73000000)
@settings(max_examples=300)
def test_add_and_mul_round_the_exact_result(a, b):
    """Nearest even, with subnormals and overflow; the sign of an exact zero is IEEE's."""
    if not is_finite(a, b):
        return
    for operation, value in (
        (arithmetic.add, exact(a) + exact(b)),
        (arithmetic.mul, exact(a) * exact(b)),
    ):
        result = bits_of(operation(array(a), array(b)))
        if value:
            assert result == rounded(value)
        else:
            assert result & 0x7FFFFFFF == 0


@given(words, words, words, ulps, st.booleans())
@example(0x3F800001, 0x3F800001, 0x33800000, 0, False)
@example(0x00000001, 0x3F000000, 0x00000001, 0, False)  # a tie below the normal range
@example(0x34000000, 0x34000000, 0x3F800000, 0, False)
@settings(max_examples=500)
def test_fma_rounds_the_exact_result_once(a, b, c, ulp, cancels):
    """Also where the product cancels, and where binary64 would round twice."""
    if cancels and is_finite(a, b):
        c = (bits_of(arithmetic.mul(array(a), array(b))) ^ 0x80000000) + ulp & 0xFFFFFFFF
    if not is_finite(a, b, c):
        return
    value = exact(a) * exact(b) + exact(c)
    result = bits_of(arithmetic.fma(array(a), array(b), array(c)))
    if value:
        assert result == rounded(value)
    else:
        assert result & 0x7FFFFFFF == 0


@given(st.integers(1, 2**24 - 1), st.integers(1, 2**24 - 1), st.integers(-100, 60), ulps)
@settings(max_examples=300)
def test_fma_near_halfway_points_rounds_once(m, n, exponent, tiny):
    """c puts the sum next to the middle of two binary32 numbers; the last bit decides."""
    a, b = np.float32(m), np.float32(n)
    product = Fraction(m) * n
    high = rounded(product)
    unit = Fraction(2) ** (max(product.numerator.bit_length() - 24, 0) - 1)
    c = np.float32(float(exact(high) + unit - product))
    c = np.nextafter(c, np.float32(tiny)) if tiny else c
    value = product + Fraction(float(c))
    if value:
        assert bits_of(arithmetic.fma(np.array([a]), np.array([b]), np.array([c]))) == rounded(
            value
        )


@given(words, words)
@example(0x00000001, 0x40000000)
@example(0x00800000, 0x3F800001)
@settings(max_examples=300)
def test_div_is_correctly_rounded(a, b):
    """Also into the subnormals."""
    if not is_finite(a, b) or not exact(a) or not exact(b):
        return
    assert bits_of(arithmetic.div(array(a), array(b))) == rounded(exact(a) / exact(b))


@given(st.integers(1, 0x7F7FFFFF))
@settings(max_examples=300)
def test_sqrt_is_correctly_rounded(a):
    """A root is never halfway between two numbers, so the nearest is decided by squares."""
    scale = 400
    root = Fraction(isqrt(int(exact(a) * 4**scale * 2**600)), 2**scale * 2**300)
    result = exact(bits_of(arithmetic.sqrt(array(a))))
    below = exact(bits_of(np.nextafter(np.float32(float(result)), np.float32(0))))
    above = exact(bits_of(np.nextafter(np.float32(float(result)), np.float32(np.inf))))
    assert (result + below) / 2 <= root <= (result + above) / 2


@pytest.mark.parametrize(
    ("operation", "operands", "expected"),
    [
        (arithmetic.add, (INF, INF | 1 << 31), NAN),
        (arithmetic.add, (0x80000000, 0x80000000), 0x80000000),
        (arithmetic.add, (0x80000000, 0), 0),
        (arithmetic.add, (0x3F800000, 0xBF800000), 0),
        (arithmetic.mul, (0, INF), NAN),
        (arithmetic.mul, (0x80000000, 0x3F800000), 0x80000000),
        (arithmetic.fma, (0, INF, 0), NAN),
        (arithmetic.fma, (0x80000000, 0x3F800000, 0x80000000), 0x80000000),
        (arithmetic.fma, (0x80000000, 0x3F800000, 0), 0),
        (arithmetic.fma, (0x7F7FFFFF, 0x7F7FFFFF, INF | 1 << 31), INF | 1 << 31),
        (arithmetic.fma, (0xFFC12345, 0x3F800000, 0), NAN),
        (arithmetic.div, (0, 0), NAN),
        (arithmetic.div, (0xBF800000, 0), INF | 1 << 31),
        (arithmetic.div, (INF, INF), NAN),
        (arithmetic.sqrt, (0x80000000,), 0x80000000),
        (arithmetic.sqrt, (0xBF800000,), NAN),
        (arithmetic.sqrt, (INF,), INF),
        (arithmetic.maximum, (0x80000000, 0), 0),
        (arithmetic.maximum, (0, 0x80000000), 0),
        (arithmetic.maximum, (INF, 0xFF800001), NAN),
        (arithmetic.maximum, (INF | 1 << 31, 0xFF7FFFFF), 0xFF7FFFFF),
    ],
)
def test_special_floats_have_defined_bits(operation, operands, expected):
    """NaN has one pattern; signed zeros and infinities follow IEEE 754 and the total order."""
    assert bits_of(operation(*(array(b) for b in operands))) == expected


def test_comparisons_treat_nan_and_zeros_as_ieee_does():
    """Nothing is less than or equal to NaN; the zeros are equal."""
    nan, minus, plus = array(NAN), array(0x80000000), array(0)
    for other in (nan, minus, array(INF)):
        assert not arithmetic.lt(nan, other)
        assert not arithmetic.lt(other, nan)
        assert not arithmetic.eq(nan, other)
    assert arithmetic.eq(minus, plus)
    assert not arithmetic.lt(minus, plus)


@given(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1))
@example(-(2**31), -1)
@example(7, 0)
@settings(max_examples=200)
def test_signed_integers_wrap_and_divide_towards_zero(a, b):
    """INT_MIN / -1 is INT_MIN and x / 0 is 0."""
    x, y = np.array([a], np.int32), np.array([b], np.int32)

    def wrapped(value: int) -> int:
        return (value + 2**31) % 2**32 - 2**31

    quotient = 0 if b == 0 else wrapped(abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1))
    assert arithmetic.add(x, y)[0] == wrapped(a + b)
    assert arithmetic.mul(x, y)[0] == wrapped(a * b)
    assert arithmetic.div(x, y)[0] == quotient


@given(words, words)
@example(2**32 - 1, 32)
@example(2**32 - 1, 31)
def test_shifts_outside_the_word_are_defined(a, b):
    """Zero, or the sign for an arithmetic shift to the right; negative counts are outside."""
    b %= 40
    unsigned, count = array(a, dtype=np.uint32), array(b, dtype=np.uint32)
    signed, signed_count = unsigned.view(np.int32), count.view(np.int32)
    assert arithmetic.shl(unsigned, count)[0] == (a << b & 0xFFFFFFFF if b < 32 else 0)
    assert arithmetic.shr(unsigned, count)[0] == (a >> b if b < 32 else 0)
    assert arithmetic.shr(signed, signed_count)[0] == int(signed[0]) >> min(b, 31)
    outside = -1 - signed_count
    assert arithmetic.shl(signed, outside)[0] == 0
    assert arithmetic.shr(signed, outside)[0] == (-1 if signed[0] < 0 else 0)


RANGES = {
    DType.INT32: (-(2**31), 2**31 - 1),
    DType.UINT32: (0, 2**32 - 1),
    DType.UINT8: (0, 255),
    DType.INT8: (-128, 127),
}


@given(words, st.sampled_from(list(RANGES)))
@example(0x4F000000, DType.INT32)
@example(0xCF000000, DType.INT32)
@example(NAN, DType.INT32)
@example(INF, DType.UINT32)
@example(0xBF7FFFFF, DType.UINT8)
@settings(max_examples=300)
def test_float_to_integer_truncates_and_saturates(a, to):
    """Towards zero, to the nearest end of the range, NaN to 0."""
    low, high = RANGES[to]
    value = float(array(a)[0])
    if value != value:
        expected = 0
    elif abs(value) == float("inf"):
        expected = high if value > 0 else low
    else:
        expected = min(max(int(value), low), high)
    result = arithmetic.convert(array(a), to)
    assert result.dtype == to.numpy
    assert result[0] == expected


@given(words)
def test_integers_convert_to_the_nearest_float(a):
    """Ties to even, signed and unsigned."""
    for dtype in (np.uint32, np.int32):
        value = array(a, dtype=dtype)
        result = bits_of(arithmetic.convert(value, DType.FLOAT32))
        assert result == (rounded(Fraction(int(value[0]))) if value[0] else 0)


@given(words)
def test_integers_saturate_into_bytes_and_wrap_into_words(a):
    """Storage types clamp; INT32 and UINT32 keep their bits; anything but 0 is true."""
    for dtype in (np.uint32, np.int32):
        value = array(a, dtype=dtype)
        n = int(value[0])
        assert arithmetic.convert(value, DType.UINT8)[0] == min(max(n, 0), 255)
        assert arithmetic.convert(value, DType.INT8)[0] == min(max(n, -128), 127)
        assert arithmetic.convert(value, DType.UINT32)[0] == n % 2**32
        assert arithmetic.convert(value, DType.BOOL)[0] == (n != 0)


def test_nan_is_true_and_reinterprets_as_the_canonical_pattern():
    """A NaN is not zero; its bits are those of the one NaN, in both directions."""
    nan = array(0xFFC12345)
    assert arithmetic.convert(nan, DType.BOOL)[0]
    assert arithmetic.reinterpret(nan, DType.UINT32)[0] == NAN
    back = arithmetic.reinterpret(array(0xFFC12345, dtype=np.uint32), DType.FLOAT32)
    assert back.view(np.uint32)[0] == NAN
    assert arithmetic.reinterpret(array(0x80000000), DType.INT32)[0] == -(2**31)


@given(words, words, words)
def test_maximum_is_associative(a, b, c):
    """So that a MAX may be evaluated in any order."""
    x, y, z = array(a), array(b), array(c)
    left = arithmetic.maximum(arithmetic.maximum(x, y), z)
    right = arithmetic.maximum(x, arithmetic.maximum(z, y))
    assert bits_of(left) == bits_of(right)
