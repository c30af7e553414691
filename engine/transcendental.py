"""exp, log, sin, pow and their kin as graphs of primitive ops.

No device's built-in is used: they differ in the last bits. Each function is a fixed sequence of
correctly rounded operations, so every device returns the same bits. docs/results/ulp.md has every
function's worst error over all 2**32 arguments; none is above 1.5 ulp (pow, sampled: 2). Zeros keep
their sign; infinities, NaN and arguments outside the domain give what IEEE 754 and C say. Gradients
are closed formulas of argument and result, not derivatives of the polynomials.

Where one rounding too many would cost a bit a number is a pair: a value and a much smaller rest,
added at the end (Dekker 1971; exact rests of products by fma). Polynomials are minimax fits.
"""

from collections.abc import Callable, Sequence
from math import inf, nan
from typing import TypeAlias

from engine import elementwise as e
from engine import graph
from engine.dtypes import DType
from engine.elementwise import Operand, add, div, fma, less, mul, neg, select, sub
from engine.graph import Value

Pair: TypeAlias = tuple[Operand, Operand]
Values: TypeAlias = tuple[Value, Value]
Base: TypeAlias = tuple[tuple[float, float], tuple[float, float]]

ZERO = 0.0, 0.0
ROUNDER = 12582912.0  # 1.5 * 2**23: adding and subtracting it rounds to an integer
LOG2_E = 1.4426950408889634
SQRT_HALF_BITS = 0x3F3504F3
PI = 3.1415927410125732, -8.742277657347586e-08  # binary32, then the rest; so below
HALF_PI = 1.5707963705062866, -4.371138828673793e-08
QUARTER_PI = 0.7853981633974483
THIRD = 0.3333333432674408, -9.934107758624577e-09
LN2 = 0.6931471824645996, -1.9046542121259336e-09
LN2_SPLIT = 0.693145751953125, 1.428606765330187e-06  # 15 bits, so that k times it is exact
LOG10_2_SPLIT = 0.301025390625, 4.605039066518657e-06

# Twice the factor from natural logarithms to the wanted ones, and that logarithm of 2.
NATURAL = (2.0, 0.0), LN2_SPLIT
BINARY = (2.885390043258667, 3.851926067000022e-08), (1.0, 0.0)
DECIMAL = (0.8685889840126038, -2.0206099904385155e-08), LOG10_2_SPLIT

# Minimax polynomials, highest power first, of what stands beside them.
EXP = (1.97456189e-4, 1.39354623e-3, 8.33356474e-3, 0.0416664593, 0.166666657, 0.5)
"""(exp(r) - 1 - r) / r**2 for |r| <= ln(2) / 2."""
LOG = (0.097784929, 0.110898599, 0.142859861, 0.199999988)
"""(atanh(s) / s - 1 - z / 3) / z**2 in z = s**2 for |s| <= 0.1716."""
SIN = (2.83745476e-6, -1.98535083e-4, 8.33338033e-3, -0.166666672)
"""(sin(r) - r) / r**3 in r**2 for |r| <= pi / 4."""
COS = (2.44306684e-5, -1.38873013e-3, 0.0416666456)
"""(cos(r) - 1 + r**2 / 2) / r**4, likewise."""
ATAN = (
    1.13452214e-3, -7.42536318e-3, 0.022777617, -0.0449832566, 0.0676364899,
    -0.0882146209, 0.110612333, -0.142803431, 0.199997157, -0.333333284,
)  # fmt: skip
"""(atan(t) - t) / t**3 in t**2 for t <= 1."""
ASIN = (0.0376169384, 0.0143628241, 0.0318290666, 0.0445142128, 0.075005196, 0.166666597)
"""(asin(x) - x) / x**3 in x**2 for |x| <= 1 / 2."""
SINH = (2.7822291e-6, 1.98428941e-4, 8.33331048e-3, 0.166666672)
"""(sinh(x) - x) / x**3 in x**2 for |x| <= 1."""
TANH = (2.15761387e-3, -8.19507334e-3, 0.0217087474, -0.053948462, 0.133332223, -0.333333313)
"""(tanh(x) - x) / x**3 in x**2 for |x| <= 0.625."""
# Fits published by N. Juffa ("my_erff"): near zero in x * x; in the tail the exponent of
# 1 - exp(...), whose polynomial stands in `erf`.
ERF_NEAR = (
    -5.96761703e-4, 4.99119423e-3, -2.67681349e-2, 1.12819925e-1, -3.76125336e-1, 1.28379166e-1,
)  # fmt: skip
ERF_TAIL_EDGE = 0.927734375
ERFINV_TOP = 0.8862269520759583
ERFINV = (
    0.44491085, -0.606301, 0.47736344, -0.12584822, 0.089424655,
    0.06010875, 0.08688463, 0.12754616, 0.23201375, -2.66232e-08,
)  # fmt: skip
"""erfinv(x) / x - ERFINV_TOP in x**2 <= 1 / 2."""
ERFINV_TAIL = (
    1.3842251e-07, -8.5792817e-07, -9.0032654e-07, 1.0523268e-05, -4.9711093e-06,
    -5.877434e-05, 0.00010463614, 0.00015353003, -0.00090615713, 0.0011530364,
    0.0036355928, -0.024301464, 0.06858504,
)  # fmt: skip
"""1 - erfinv(x) / w in w - 2.4140625, w = sqrt(-log(1 - x**2))."""
TWO_OVER_PI = (
    0x00000000, 0xA2F9836E, 0x4E441529, 0xFC2757D1, 0xF534DDC0, 0xDB629599, 0x3C439041, 0xFE5163AB,
)  # fmt: skip
"""32 zero bits, then the first 224 of 2 / pi."""


# Pairs and other means


def _sum(a: Operand, b: Operand) -> Values:
    """a + b exactly, for |a| >= |b| or a = 0."""
    total = add(a, b)
    return total, sub(b, sub(total, a))


def _sum_of_any(a: Operand, b: Operand) -> Values:
    """a + b exactly (Knuth's TwoSum)."""
    total = add(a, b)
    other = sub(total, a)
    return total, add(sub(a, sub(total, other)), sub(b, other))


def _product(a: Pair, b: Pair) -> Values:
    """a * b."""
    top = mul(a[0], b[0])
    return top, fma(a[0], b[1], fma(a[1], b[0], fma(a[0], b[0], neg(top))))


def _quotient(a: Pair, b: Pair) -> Values:
    """a / b."""
    top = div(a[0], b[0])
    rest = add(fma(neg(top), b[0], a[0]), sub(a[1], mul(top, b[1])))
    return top, div(rest, b[0])


def _either(condition: Value, a: Pair, b: Pair) -> Values:
    """`a` where the condition holds, else `b`."""
    return select(condition, a[0], b[0]), select(condition, a[1], b[1])


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


def _odd(x: Value, coefficients: Sequence[float]) -> Value:
    """x + x**3 * polynomial(x**2)."""
    square = mul(x, x)
    return fma(mul(_horner(square, coefficients), square), x, x)


def _clamp(x: Value, low: float, high: float) -> Value:
    """Brought between low and high; NaN stays."""
    return select(less(x, low), low, select(less(high, x), high, x))


def _power_of_two(n: Value) -> Value:
    """2.0 ** n for INT32 n in -126 .. 127, put into the exponent's bits."""
    return graph.bitcast(e.shl(add(n, 127), 23), DType.FLOAT32)


def _scaled(y: Value, n: Value) -> Value:
    """y * 2**n in two halves, each a normal number, so that only the last product rounds."""
    half = e.shr(n, 1)
    return mul(mul(y, _power_of_two(half)), _power_of_two(sub(n, half)))


Unary: TypeAlias = Callable[[Value], Value]


def _function(of: Unary, slope: Callable[[Value, Value], Value]) -> Unary:
    """A function of FLOAT32 from its value and, for the gradient, its slope by (x, y)."""

    def function(x: Value) -> Value:
        x = e.to_float(x)
        return graph.custom(of(x), lambda g, y: (mul(g, slope(x, y)),), x)

    return function


# Exponentials


def _reduced(x: Value) -> tuple[Value, Value, Value]:
    """(k, r, rest): x = k ln 2 + r + rest, |r| below 0.35; beyond the clamp exp is 0 or inf."""
    x = _clamp(x, -104.0, 90.0)
    k = sub(fma(x, LOG2_E, ROUNDER), ROUNDER)
    near = fma(k, -LN2_SPLIT[0], x)
    r = fma(k, -LN2_SPLIT[1], near)
    return k, r, fma(k, -LN2_SPLIT[1], sub(near, r))


def _exp(x: Value) -> Value:
    """2**k * exp(r)."""
    k, r, _ = _reduced(x)
    y = add(fma(_horner(r, EXP), mul(r, r), r), 1.0)
    return _scaled(y, graph.cast(k, DType.INT32))


def _exp_near_zero(r: Value, rest: Value) -> Values:
    """exp(r + rest) for |r| below 0.35."""
    top, low = _sum(1.0, r)
    return top, add(low, fma(rest, top, mul(_horner(r, EXP), mul(r, r))))


def _exp_pair(x: Value, shift: int = 0) -> Values:
    """exp(x) * 2**shift."""
    k, r, rest = _reduced(x)
    n = add(graph.cast(k, DType.INT32), shift)
    top, low = _sum(*_exp_near_zero(r, rest))
    return _scaled(top, n), _scaled(low, n)


def _exp2(x: Value, rest: Operand = 0.0) -> Value:
    """2 ** (x + rest)."""
    x = _clamp(x, -151.0, 129.0)
    k = sub(add(x, ROUNDER), ROUNDER)
    r, low = _sum(*_product((sub(x, k), rest), LN2))
    return _scaled(add(*_exp_near_zero(r, low)), graph.cast(k, DType.INT32))


def _expm1(x: Value) -> Value:
    """2h (exp(r) - 1) + 2h - 1 with h = 2**(k - 1), which is finite where this is."""
    k, r, rest = _reduced(x)
    h = _power_of_two(sub(graph.cast(k, DType.INT32), 1))
    tail = fma(_horner(r, EXP), mul(r, r), rest)
    y = mul(fma(h, tail, fma(h, r, sub(h, 0.5))), 2.0)
    y = select(less(x, -20.0), -1.0, select(less(88.8, x), inf, y))
    return select(less(e.absolute(x), 2.0**-25), x, y)


def _sigmoid(x: Value) -> Value:
    """t / (1 + t) or 1 / (1 + t) with t = exp(-|x|), which is never above 1."""
    t = _exp_pair(neg(e.absolute(x)))
    total, rest = _sum(1.0, t[0])
    return add(*_quotient(_either(less(x, 0.0), t, (1.0, 0.0)), (total, add(rest, t[1]))))


def _tanh(x: Value) -> Value:
    """1 - 2 / (exp(2 |x|) + 1), near zero a polynomial."""
    size = e.absolute(x)
    t = _exp_pair(mul(select(less(20.0, size), 20.0, size), 2.0))
    total, rest = _sum(t[0], 1.0)
    q, low = _quotient((2.0, 0.0), (total, add(rest, t[1])))
    top, rest = _sum(1.0, neg(q))
    return _with_sign_of(x, select(less(size, 0.625), _odd(size, TANH), add(top, sub(rest, low))))


def _sinh(x: Value) -> Value:
    """(t - 1 / t) / 2 with t = exp(|x|), near zero a polynomial."""
    size = e.absolute(x)
    half, rest = _exp_pair(size, -1)
    far = add(half, sub(rest, div(0.25, half)))
    return _with_sign_of(x, select(less(size, 1.0), _odd(size, SINH), far))


def _cosh(x: Value) -> Value:
    half, rest = _exp_pair(e.absolute(x), -1)
    return add(half, add(div(0.25, half), rest))


def _erf(x: Value) -> Value:
    size, square = e.absolute(x), mul(x, x)
    near = fma(_horner(square, ERF_NEAR), size, size)
    upper = fma(size, -1.72853470e-5, 3.83197126e-4)
    lower = fma(size, -3.88396438e-3, 2.42546219e-2)
    tail = _horner(size, (fma(upper, square, lower), -1.06777877e-1, -6.34846687e-1))
    exponent = fma(fma(tail, size, -1.28717512e-1), size, neg(size))
    far = sub(1.0, _exp(exponent))
    return _with_sign_of(x, select(less(ERF_TAIL_EDGE, size), far, near))


def _erfinv(x: Value) -> Value:
    """In x**2; where that is over 1 / 2, and 1 - x**2 a pair, in the root of its logarithm."""
    size, square = e.absolute(x), mul(x, x)
    central = fma(size, ERFINV_TOP, mul(size, _horner(square, ERFINV)))
    rest = neg(fma(x, x, neg(square)))
    log, rest = _sum(*_log_pair(*_sum(sub(1.0, square), rest), NATURAL))
    w = e.sqrt(neg(log))
    low = div(sub(fma(neg(w), w, neg(log)), rest), mul(w, 2.0))
    tail = add(w, fma(neg(w), _horner(sub(w, 2.4140625), ERFINV_TAIL), low))
    special = select(e.equal(size, 1.0), inf, nan)
    return _with_sign_of(
        x, select(less(square, 0.5), central, select(less(size, 1.0), tail, special))
    )


# Logarithms


def _log_pair(x: Value, low: Value | None, base: Base) -> Values:
    """The logarithm of x + low, x positive and finite.

    log(m) + k log(2) with x = m * 2**k, m between sqrt(1/2) and sqrt(2); log(m) = 2 atanh(s),
    s = (m - 1) / (m + 1).
    """
    is_tiny = less(x, 2.0**-126)
    bits = graph.bitcast(select(is_tiny, mul(x, 2.0**25), x), DType.INT32)
    bits = add(bits, 0x3F800000 - SQRT_HALF_BITS)
    k = sub(e.shr(bits, 23), select(is_tiny, 127 + 25, 127))
    m = graph.bitcast(add(e.and_(bits, 0x007FFFFF), SQRT_HALF_BITS), DType.FLOAT32)
    f = sub(m, 1.0)
    rest: Operand = 0.0
    if low is not None:  # beyond 2**64 it is too small to matter, and 2**-k might be no number
        rest = select(less(x, 2.0**64), mul(low, _power_of_two(neg(k))), 0.0)
    under, under_rest = _sum(2.0, f)
    s = _quotient((f, rest), (under, add(under_rest, rest)))
    z = _product(s, s)
    t = _product(z, THIRD)
    power = mul(mul(z[0], z[0]), _horner(z[0], LOG))
    top, rest = _sum(1.0, t[0])
    scale, unit = base
    y = _product(_product(s, scale), (top, add(rest, add(t[1], power))))
    n = e.to_float(k)
    total, rest = _sum(mul(n, unit[0]), y[0])
    return total, add(rest, fma(n, unit[1], y[1]))


def _log(x: Value, base: Base, low: Value | None = None) -> Value:
    """-inf at 0, NaN below."""
    is_regular = e.and_(less(0.0, x), less(x, inf))
    special = select(e.equal(x, 0.0), -inf, select(e.equal(x, inf), inf, nan))
    return select(is_regular, add(*_log_pair(x, low, base)), special)


def _log1p(x: Value) -> Value:
    y, low = _sum_of_any(1.0, x)
    return select(less(e.absolute(x), 2.0**-25), x, _log(y, NATURAL, low))


def _log_with_root(size: Value, sign: float) -> Value:
    """log(size + sqrt(size**2 + sign)); for large sizes log(size) + log(2)."""
    is_large = less(2.0**40, size)
    x = select(is_large, 1.0, size)
    square = _product((x, 0.0), (x, 0.0))
    w, rest = _sum_of_any(square[0], sign)
    rest, root = add(rest, square[1]), e.sqrt(w)
    low = div(add(fma(neg(root), root, w), rest), fma(root, 2.0, 1e-30))
    y, rest = _sum_of_any(x, root)
    near = _log(y, NATURAL, add(rest, low))
    return select(is_large, add(_log(size, NATURAL), LN2[0]), near)


def _asinh(x: Value) -> Value:
    size = e.absolute(x)
    near = _odd(size, (0.075, -1 / 6))
    return _with_sign_of(x, select(less(size, 2.0**-6), near, _log_with_root(size, 1.0)))


def _acosh(x: Value) -> Value:
    return select(less(x, 1.0), nan, _log_with_root(x, -1.0))


def _atanh(x: Value) -> Value:
    """log((1 + |x|) / (1 - |x|)) / 2."""
    size = e.absolute(x)
    ratio, low = _quotient(_sum(1.0, size), _sum(1.0, neg(size)))
    far = select(e.equal(size, 1.0), inf, mul(_log(ratio, NATURAL, low), 0.5))
    return _with_sign_of(x, select(less(size, 2.0**-6), _odd(size, (0.2, 1 / 3)), far))


def pow(a: Operand, b: Operand) -> Value:
    """a ** b as C's pow: 1 for b = 0 and for a = 1, NaN for a < 0 and b no integer."""
    a, b = (e.to_float(v) for v in e.match(a, b))

    def rule(g: Value, y: Value) -> tuple[Value, Value]:
        by_a = select(e.equal(b, 0.0), 0.0, mul(b, pow(a, sub(b, 1.0))))
        is_flat = e.and_(e.equal(a, 0.0), e.not_(less(b, 0.0)))
        return mul(g, by_a), mul(g, select(is_flat, 0.0, mul(y, log(a))))

    return graph.custom(_pow(a, b), rule, a, b)


def _pow(a: Value, b: Value) -> Value:
    size, far = e.absolute(a), e.absolute(b)
    x, rest = _sum(*_log_pair(size, None, BINARY))
    exponent, low = _product((x, rest), (b, 0.0))
    y = _exp2(exponent, select(less(e.absolute(exponent), 200.0), low, 0.0))
    is_zero = e.equal(size, 0.0)
    pole = select(e.xor(is_zero, less(b, 0.0)), 0.0, inf)
    y = select(e.or_(is_zero, e.equal(size, inf)), pole, select(e.equal(size, 1.0), 1.0, y))
    whole = graph.cast(b, DType.INT32)
    is_whole = e.or_(less(2.0**23, far), e.equal(e.to_float(whole), b))
    is_odd = e.and_(e.and_(is_whole, less(far, 2.0**24)), e.to_bool(e.and_(whole, 1)))
    y = select(is_odd, _with_sign_of(a, y), y)
    is_outside = e.and_(e.and_(less(a, 0.0), less(-inf, a)), e.not_(is_whole))
    is_nan = e.or_(e.not_equal(a, a), e.not_equal(b, b))
    y = select(e.or_(is_outside, is_nan), nan, y)
    return select(e.or_(e.equal(b, 0.0), e.equal(a, 1.0)), 1.0, y)


# Circular functions


def _high_product(a: Value, b: Value) -> Value:
    """The upper 32 of 64 bits of a UINT32 times one below 2**24, from parts of 16 and 12 bits."""
    high, low, left, right = e.shr(a, 16), e.and_(a, 0xFFFF), e.shr(b, 12), e.and_(b, 0xFFF)
    carry = e.shr(add(mul(low, left), e.shr(mul(low, right), 12)), 4)
    return e.shr(add(mul(high, left), e.shr(add(mul(high, right), carry), 12)), 4)


def _quadrants(size: Value) -> tuple[Value, Values]:
    """(q, r): size = (pi / 2) (q + 4 n) + r with |r| <= pi / 4 and q in 0 .. 3.

    Payne and Hanek (1983): size is a 24-bit integer times a power of two, so of 2 / pi only 96 bits
    matter: those before give multiples of 4, those after are too small.
    """
    bits = graph.bitcast(size, DType.UINT32)
    start = sub(e.shr(bits, 23), 126 - 6)
    at = [e.to_bool(e.and_(e.shr(start, i), 1)) for i in (5, 6, 7)]

    two_over_pi = [graph.const(word, DType.UINT32) for word in TWO_OVER_PI]

    def word(i: int) -> Value:
        a, b, c, d, last = two_over_pi[i : i + 5]
        return select(at[2], last, select(at[1], select(at[0], d, c), select(at[0], b, a)))

    words, left = [word(i) for i in range(4)], e.and_(start, 31)
    right = sub(32, left)
    p = [e.or_(e.shl(words[i], left), e.shr(words[i + 1], right)) for i in range(3)]
    digits = e.or_(e.and_(bits, 0x7FFFFF), 0x800000)
    middle = mul(p[1], digits)
    lower = add(middle, _high_product(p[2], digits))
    carry = graph.cast(less(lower, middle), DType.UINT32)
    upper = add(add(mul(p[0], digits), _high_product(p[1], digits)), carry)
    q = e.shr(add(upper, 1 << 29), 30)
    turn = graph.bitcast(e.or_(e.shl(upper, 2), e.shr(lower, 30)), DType.INT32)
    b, b_rest = _sum(e.to_float(e.and_(turn, 255)), mul(e.to_float(e.shl(lower, 2)), 2.0**-32))
    top, rest = _sum(e.to_float(e.and_(turn, -256)), b)
    unit = HALF_PI[0] * 2.0**-32, HALF_PI[1] * 2.0**-32
    r = _product((top, add(rest, b_rest)), unit)
    is_small = less(size, QUARTER_PI)
    return select(is_small, 0, q), _either(is_small, (size, 0.0), r)


def _sin_and_cos(size: Value) -> tuple[Value, Values, Values]:
    """(q, sin(r), cos(r)) of `_quadrants`."""
    q, (r, rest) = _quadrants(size)
    z = mul(r, r)
    half = mul(z, 0.5)
    top, low = _sum(1.0, neg(half))
    z_rest = fma(r, r, neg(z))
    small = fma(z_rest, -0.5, fma(mul(z, z), _horner(z, COS), mul(neg(r), rest)))
    return q, (r, fma(mul(r, z), _horner(z, SIN), mul(rest, top))), (top, add(low, small))


def _wave(x: Value, first: int) -> Value:
    """sin(|x| + first * pi / 2); NaN for infinity."""
    size = e.absolute(x)
    q, sine, cosine = _sin_and_cos(size)
    q = add(q, first)
    y = select(e.to_bool(e.and_(q, 1)), add(*cosine), add(*sine))
    y = select(e.to_bool(e.and_(q, 2)), neg(y), y)
    return select(less(size, inf), y, nan)


def _sin(x: Value) -> Value:
    sign = e.and_(graph.bitcast(x, DType.UINT32), 0x8000_0000)
    y = graph.bitcast(e.xor(graph.bitcast(_wave(x, 0), DType.UINT32), sign), DType.FLOAT32)
    return select(less(e.absolute(x), 2.0**-12), x, y)


def _tan(x: Value) -> Value:
    size = e.absolute(x)
    q, sine, cosine = _sin_and_cos(size)
    is_odd = e.to_bool(e.and_(q, 1))
    sine, cosine = _sum(*sine), _sum(*cosine)
    over = _either(is_odd, (neg(cosine[0]), neg(cosine[1])), sine)
    y = add(*_quotient(over, _either(is_odd, sine, cosine)))
    y = select(less(x, 0.0), neg(y), y)
    return select(less(size, 2.0**-12), x, select(less(size, inf), y, nan))


def _asin_of_size(size: Value) -> tuple[Value, Values]:
    """(is_far, v): asin(size) is v, or pi / 2 - v where size > 1 / 2; NaN above 1."""
    is_far = less(0.5, size)
    z = select(is_far, mul(sub(1.0, size), 0.5), mul(size, size))
    root = e.sqrt(z)
    root_rest = div(fma(neg(root), root, z), fma(root, 2.0, 1e-30))
    v, rest = _either(is_far, (root, root_rest), (size, 0.0))
    rest = fma(mul(v, z), _horner(z, ASIN), rest)
    factor = select(is_far, 2.0, 1.0)
    return is_far, (mul(v, factor), mul(rest, factor))


def _around(centre: Values, v: Values, is_minus: Value) -> Value:
    """centre + v, or centre - v."""
    signed = _either(is_minus, (neg(v[0]), neg(v[1])), v)
    top, rest = _sum(centre[0], signed[0])
    return add(top, add(rest, add(centre[1], signed[1])))


def _asin(x: Value) -> Value:
    is_far, v = _asin_of_size(e.absolute(x))
    return _with_sign_of(x, _around(_either(is_far, HALF_PI, ZERO), v, is_far))


def _acos(x: Value) -> Value:
    is_far, v = _asin_of_size(e.absolute(x))
    is_negative = less(x, 0.0)
    centre = _either(is_far, _either(is_negative, PI, ZERO), HALF_PI)
    return _around(centre, v, e.not_(e.xor(is_far, is_negative)))


def _atan2(y: Value, x: Value) -> Value:
    """The angle of (x, y): atan of the smaller over the larger size, then the octant's turn."""
    up, across = e.absolute(y), e.absolute(x)
    is_steep = less(across, up)
    over, under = _either(is_steep, (across, up), (up, across))
    is_even = e.equal(over, under)
    t, low = _quotient((over, 0.0), (under, 0.0))
    is_special = e.or_(is_even, e.equal(under, inf))
    t = select(is_special, e.to_float(e.and_(is_even, less(0.0, under))), t)
    z = mul(t, t)
    rest = fma(mul(t, z), _horner(z, ATAN), select(is_special, 0.0, low))
    is_left = less(graph.bitcast(x, DType.INT32), 0)
    centre = _either(is_steep, HALF_PI, _either(is_left, PI, ZERO))
    angle = _around(centre, (t, rest), e.xor(is_steep, is_left))
    is_nan = e.or_(e.not_equal(x, x), e.not_equal(y, y))
    return select(is_nan, nan, _with_sign_of(y, angle))


def atan2(y: Operand, x: Operand) -> Value:
    """The angle of the point (x, y), between -pi and pi."""
    y, x = (e.to_float(v) for v in e.match(y, x))

    def rule(g: Value, _: Value) -> tuple[Value, Value]:
        by = div(g, add(mul(x, x), mul(y, y)))
        return mul(by, x), mul(by, neg(y))

    return graph.custom(_atan2(y, x), rule, y, x)


# What users call

exp = _function(_exp, lambda _, y: y)
exp2 = _function(_exp2, lambda _, y: mul(y, LN2[0]))
expm1 = _function(_expm1, lambda _, y: add(y, 1.0))
log = _function(lambda x: _log(x, NATURAL), lambda x, _: div(1.0, x))
log2 = _function(lambda x: _log(x, BINARY), lambda x, _: div(LOG2_E, x))
log10 = _function(lambda x: _log(x, DECIMAL), lambda x, _: div(0.4342944819032518, x))
log1p = _function(_log1p, lambda x, _: div(1.0, add(x, 1.0)))
rsqrt = _function(lambda x: div(1.0, e.sqrt(x)), lambda x, y: mul(-0.5, div(y, x)))
sin = _function(_sin, lambda x, _: cos(x))
cos: Unary = _function(lambda x: _wave(x, 1), lambda x, _: neg(sin(x)))
tan = _function(_tan, lambda _, y: fma(y, y, 1.0))
asin = _function(_asin, lambda x, _: rsqrt(fma(neg(x), x, 1.0)))
acos = _function(_acos, lambda x, _: neg(rsqrt(fma(neg(x), x, 1.0))))
atan = _function(
    lambda x: _atan2(x, graph.const(1.0, x.dtype, x.shape)), lambda x, _: div(1.0, fma(x, x, 1.0))
)
sinh = _function(_sinh, lambda x, _: cosh(x))
cosh: Unary = _function(_cosh, lambda x, _: sinh(x))
tanh = _function(_tanh, lambda _, y: sub(1.0, mul(y, y)))
asinh = _function(_asinh, lambda x, _: rsqrt(fma(x, x, 1.0)))
acosh = _function(_acosh, lambda x, _: rsqrt(fma(x, x, -1.0)))
atanh = _function(_atanh, lambda x, _: div(1.0, fma(neg(x), x, 1.0)))
sigmoid = _function(_sigmoid, lambda _, y: mul(y, sub(1.0, y)))
erf = _function(_erf, lambda x, _: mul(_exp(neg(mul(x, x))), 1.1283791670955126))
erfinv = _function(_erfinv, lambda _, y: mul(_exp(mul(y, y)), 0.886226925452758))
