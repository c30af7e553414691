"""exp, log, tanh, sigmoid and erf as graphs of primitive ops.

No device's built-in is used: they differ in the last bits. Each function here is a fixed sequence
of correctly rounded operations, so every device returns the same bits. Errors, measured against
binary64 (tests/engine/test_transcendental.py): exp, log, erf below 1 ulp, tanh 1.5, sigmoid 2.5.
Subnormals, overflow, infinities and NaN give what the function's limit is. Gradients are closed
formulas of the result, not derivatives of the polynomials.
"""

from collections.abc import Sequence
from math import inf, nan

from engine import elementwise as e
from engine import graph
from engine.dtypes import DType
from engine.elementwise import add, fma, mul, select, sub
from engine.graph import Value

LOG2_E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 0.693145751953125, 1.428606765330187e-06  # 15 bits, then the rest
ROUNDER = 12582912.0  # 1.5 * 2**23: adding and subtracting it rounds to an integer

# Cephes expf.c: (exp(r) - 1 - r) / r**2 on |r| <= ln(2) / 2.
EXP = (
    1.9875691500e-4,
    1.3981999507e-3,
    8.3334519073e-3,
    4.1665795894e-2,
    1.6666665459e-1,
    5.0000001201e-1,
)
# FreeBSD msun e_logf.c: R(z), odd and even terms, in log(1 + f) = 2s + s R(s * s), s = f / (2 + f).
LOG_ODD = (0.28498786688, 0.66666662693)
LOG_EVEN = (0.24279078841, 0.40000972152)
LOG_LN2_HIGH, LOG_LN2_LOW = 6.9313812256e-01, 9.0580006145e-06
SQRT_HALF_BITS = 0x3F3504F3
# Cephes tanhf.c: (tanh(x) - x) / x**3 in x * x on |x| < 0.625.
TANH = (
    -5.70498872745e-3,
    2.06390887954e-2,
    -5.37397155531e-2,
    1.33314422036e-1,
    -3.33332819422e-1,
)
# Minimax fits published by N. Juffa ("my_erff"): near zero in x * x; in the tail the exponent of
# 1 - exp(...), whose polynomial stands in `erf`.
ERF_NEAR = (
    -5.96761703e-4,
    4.99119423e-3,
    -2.67681349e-2,
    1.12819925e-1,
    -3.76125336e-1,
    1.28379166e-1,
)
ERF_TAIL_EDGE = 0.927734375


def exp(x: Value) -> Value:
    """e ** x."""
    x = e.to_float(x)
    return graph.custom(_exp(x), lambda g, y: (mul(g, y),), x)


def _exp(x: Value) -> Value:
    """2**k * exp(r) with k the nearest integer to x / ln 2 and r = x - k ln 2.

    Beyond the clamp the result is 0 or infinity already. The power of two is applied in two
    halves, each a normal number, so that only the last product rounds, to a subnormal or infinity.
    """
    x = select(e.less(x, -104.0), -104.0, select(e.less(89.0, x), 89.0, x))
    k = sub(fma(x, LOG2_E, ROUNDER), ROUNDER)
    r = fma(k, -LN2_LOW, fma(k, -LN2_HIGH, x))
    y = add(fma(_horner(r, EXP), mul(r, r), r), 1.0)
    n = graph.cast(k, DType.INT32)
    half = e.shr(n, 1)
    return mul(mul(y, _power_of_two(half)), _power_of_two(sub(n, half)))


def _power_of_two(n: Value) -> Value:
    """2.0 ** n for INT32 n in -126 .. 127, put into the exponent's bits."""
    return graph.bitcast(e.shl(add(n, 127), 23), DType.FLOAT32)


def log(x: Value) -> Value:
    """The natural logarithm; -inf at 0, NaN below."""
    x = e.to_float(x)
    return graph.custom(_log(x), lambda g, _: (e.div(g, x),), x)


def _log(x: Value) -> Value:
    """log(m) + k ln 2 with x = m * 2**k, m between sqrt(1/2) and sqrt(2)."""
    is_tiny = e.less(x, 2.0**-126)
    bits = graph.bitcast(select(is_tiny, mul(x, 2.0**25), x), DType.INT32)
    bits = add(bits, 0x3F800000 - SQRT_HALF_BITS)
    k = sub(e.shr(bits, 23), select(is_tiny, 127 + 25, 127))
    m = graph.bitcast(add(e.and_(bits, 0x007FFFFF), SQRT_HALF_BITS), DType.FLOAT32)
    f = sub(m, 1.0)
    s = e.div(f, add(f, 2.0))
    z = mul(s, s)
    w = mul(z, z)
    rest = add(mul(z, _horner(w, LOG_ODD)), mul(w, _horner(w, LOG_EVEN)))
    half_square = mul(mul(f, f), 0.5)
    n = e.to_float(k)
    low = fma(n, LOG_LN2_LOW, mul(s, add(half_square, rest)))
    result = fma(n, LOG_LN2_HIGH, add(sub(low, half_square), f))
    is_regular = e.and_(e.less(0.0, x), e.less(x, inf))
    special = select(e.equal(x, 0.0), -inf, select(e.equal(x, inf), inf, nan))
    return select(is_regular, result, special)


def sigmoid(x: Value) -> Value:
    """1 / (1 + e**-x), with small results at full precision."""
    x = e.to_float(x)
    t = _exp(e.neg(e.absolute(x)))
    y = e.div(select(e.less(x, 0.0), t, 1.0), add(t, 1.0))
    return graph.custom(y, lambda g, out: (mul(g, mul(out, sub(1.0, out))),), x)


def tanh(x: Value) -> Value:
    """The hyperbolic tangent."""
    x = e.to_float(x)
    size = e.absolute(x)
    far = sub(1.0, e.div(2.0, add(_exp(mul(size, 2.0)), 1.0)))
    square = mul(x, x)
    near = fma(mul(_horner(square, TANH), square), size, size)
    y = _with_sign_of(x, select(e.less(size, 0.625), near, far))
    return graph.custom(y, lambda g, out: (mul(g, sub(1.0, mul(out, out))),), x)


def erf(x: Value) -> Value:
    """The error function, 2 / sqrt(pi) times the integral of exp(-t * t) from 0 to x."""
    x = e.to_float(x)
    size, square = e.absolute(x), mul(x, x)
    near = fma(_horner(square, ERF_NEAR), size, size)
    upper = fma(size, -1.72853470e-5, 3.83197126e-4)
    lower = fma(size, -3.88396438e-3, 2.42546219e-2)
    tail = _horner(size, (fma(upper, square, lower), -1.06777877e-1, -6.34846687e-1))
    exponent = fma(fma(tail, size, -1.28717512e-1), size, e.neg(size))
    far = sub(1.0, _exp(exponent))
    y = _with_sign_of(x, select(e.less(ERF_TAIL_EDGE, size), far, near))
    slope = 1.1283791670955126  # 2 / sqrt(pi)
    return graph.custom(y, lambda g, _: (mul(g, mul(_exp(e.neg(square)), slope)),), x)


def _with_sign_of(x: Value, size: Value) -> Value:
    """`size`, which is not negative, with the sign bit of `x`, also of -0."""
    sign = e.and_(graph.bitcast(x, DType.UINT32), 0x8000_0000)
    return graph.bitcast(e.or_(graph.bitcast(size, DType.UINT32), sign), DType.FLOAT32)


def _horner(x: Value, coefficients: Sequence[Value | float]) -> Value:
    """A polynomial, highest power first, one rounding per coefficient."""
    first, *rest = coefficients
    result = first if isinstance(first, Value) else graph.const(first, x.dtype, x.shape)
    for coefficient in rest:
        result = fma(result, x, coefficient)
    return result
