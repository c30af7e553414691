"""Elementwise arithmetic on graph values, with broadcasting and type promotion.

Promotion: BOOL < INT32 or UINT32 < FLOAT32. The storage types UINT8 and INT8 count as INT32 as
soon as they are computed with. INT32 and UINT32 do not mix: cast one. A Python number adapts to
the tensor beside it: an int keeps an integer tensor's dtype, a float makes it FLOAT32.

Shapes broadcast as in numpy: aligned at the last axis, length 1 stretches.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from itertools import zip_longest
from math import inf, nan
from typing import TypeAlias

from engine import graph
from engine.dtypes import DType
from engine.errors import UsageError
from engine.graph import Scalar, Shape, Value
from engine.ops import Op

Operand: TypeAlias = "Value | bool | int | float"

_SIGN_BIT = 0x8000_0000
_WHOLE = 2.0**23  # from here on every binary32 number is an integer


def broadcast_shapes(*shapes: Shape) -> Shape:
    """The shape that all shapes stretch to."""
    axes = zip_longest(*(shape[::-1] for shape in shapes), fillvalue=1)
    sizes = [set(axis) - {1} for axis in axes]
    if any(len(found) > 1 for found in sizes):
        raise UsageError(f"shapes {', '.join(str(shape) for shape in shapes)} do not broadcast")
    return tuple(found.pop() if found else 1 for found in reversed(sizes))


def broadcast_to(value: Value, shape: Shape) -> Value:
    """`value` stretched to `shape`."""
    if value.shape == shape:
        return value
    if broadcast_shapes(value.shape, shape) != shape:
        raise UsageError(f"cannot broadcast {value.shape} to {shape}")
    aligned = (1,) * (len(shape) - len(value.shape)) + value.shape
    return graph.expand(graph.reshape(value, aligned), shape)


def promote(a: DType, b: DType) -> DType:
    """The dtype in which `a` and `b` are computed with each other."""
    a, b = computed(a), computed(b)
    if DType.FLOAT32 in (a, b):
        return DType.FLOAT32
    if {a, b} == {DType.INT32, DType.UINT32}:
        raise UsageError("INT32 and UINT32 do not mix; cast one of them")
    return b if a is DType.BOOL else a


def computed(dtype: DType) -> DType:
    """`dtype`; for a storage type INT32, or FLOAT32 if its numbers are floats."""
    if not dtype.is_storage:
        return dtype
    return DType.INT32 if dtype in (DType.UINT8, DType.INT8) else DType.FLOAT32


def match(*operands: Operand) -> list[Value]:
    """The operands in one dtype and one shape; at least one must be a Value."""
    values = [o for o in operands if isinstance(o, Value)]
    dtype = reduce(promote, (value.dtype for value in values), DType.BOOL)
    for operand in operands:
        if not isinstance(operand, Value):
            dtype = promote(dtype, _weak_dtype(operand, dtype))
    shape = broadcast_shapes(*(value.shape for value in values))
    return [
        broadcast_to(graph.cast(o, dtype), shape)
        if isinstance(o, Value)
        else graph.const(o, dtype, shape)
        for o in operands
    ]


def _weak_dtype(number: Scalar, beside: DType) -> DType:
    """A Python number's dtype: no wider than needed beside a tensor of dtype `beside`."""
    if isinstance(number, (bool, float)):
        return DType.BOOL if isinstance(number, bool) else DType.FLOAT32
    if isinstance(number, int):
        return DType.INT32 if beside is DType.BOOL else beside
    raise UsageError(f"an operand must be a Tensor or a number, not {type(number).__name__}")


def numbers(*operands: Operand) -> list[Value]:
    """Matched operands on which arithmetic is defined: BOOL counts as INT32."""
    values = match(*operands)
    return [graph.cast(v, DType.INT32) if v.dtype is DType.BOOL else v for v in values]


def to_float(value: Value) -> Value:
    """`value` as FLOAT32."""
    return graph.cast(value, DType.FLOAT32)


def add(a: Operand, b: Operand) -> Value:
    """a + b; integers wrap, and for two BOOLs it is `or`."""
    left, right = match(a, b)
    if left.dtype is DType.BOOL:
        return or_(left, right)
    if not left.is_float and graph.is_const(right, 0):
        return left
    return graph.elementwise(Op.ADD, left, right)


def mul(a: Operand, b: Operand) -> Value:
    """a * b; integers wrap, and for two BOOLs it is `and`."""
    left, right = match(a, b)
    if left.dtype is DType.BOOL:
        return and_(left, right)
    if graph.is_const(right, 1):
        return left
    return right if graph.is_const(left, 1) else graph.elementwise(Op.MUL, left, right)


def neg(a: Value) -> Value:
    """-a; integers wrap."""
    (value,) = numbers(a)
    if value.kind is Op.CONST and not graph.is_const(value, nan):
        (bits,) = value.attributes
        flipped = bits ^ _SIGN_BIT if value.is_float else -bits % 2**32
        return replace(value, attributes=(flipped,))
    return mul(value, -1 if value.dtype is not DType.UINT32 else 2**32 - 1)


def sub(a: Operand, b: Operand) -> Value:
    """a - b, as a + (-1 * b): the same bits."""
    left, right = numbers(a, b)
    return add(left, neg(right))


def fma(a: Operand, factor: Operand, addend: Operand) -> Value:
    """a * factor + addend in FLOAT32 with one rounding."""
    return graph.elementwise(Op.FMA, *(to_float(v) for v in match(a, factor, addend)))


def div(a: Operand, b: Operand) -> Value:
    """a / b in FLOAT32, correctly rounded."""
    left, right = (to_float(v) for v in match(a, b))
    inverse = _exact_inverse(right)
    return graph.elementwise(Op.DIV, left, right) if inverse is None else mul(left, inverse)


def _exact_inverse(value: Value) -> Value | None:
    """1 / value for a constant power of two: multiplying by it gives the bits of dividing."""
    if value.kind is not Op.CONST:
        return None
    (bits,) = value.attributes
    exponent = bits >> 23 & 0xFF
    if bits & 0x7FFFFF or not 1 <= exponent <= 253:  # its inverse must be normal, too
        return None
    return replace(value, attributes=(bits & _SIGN_BIT | (254 - exponent) << 23,))


def trunc_div(a: Operand, b: Operand) -> Value:
    """a / b rounded towards 0; integers stay integers."""
    left, right = numbers(a, b)
    return trunc(div(left, right)) if left.is_float else graph.elementwise(Op.DIV, left, right)


def floor_div(a: Operand, b: Operand) -> Value:
    """a / b rounded down; integers stay integers."""
    left, right = numbers(a, b)
    if left.is_float:
        quotient = div(left, right)
        exact = round_(div(sub(left, remainder(left, right)), right))
        return graph.detach(select(is_finite(quotient), exact, quotient))
    quotient = trunc_div(left, right)
    if left.dtype is DType.UINT32:
        return quotient
    is_off = _is_off(fmod(left, right), right)
    return sub(quotient, graph.cast(is_off, DType.INT32))


def _is_off(rest: Value, right: Value) -> Value:
    """Whether what is left of a division has the other sign."""
    return and_(not_equal(rest, 0), xor(less(rest, 0), less(right, 0)))


def remainder(a: Operand, b: Operand) -> Value:
    """a % b, with the sign of b."""
    left, right = numbers(a, b)
    if not left.is_float:
        return sub(left, mul(floor_div(left, right), right))
    rest = fmod(left, right)
    found = select(_is_off(rest, right), add(rest, right), rest)
    return _rest(found, floor, left, right)


def fmod(a: Operand, b: Operand) -> Value:
    """a % b, with the sign of a; exact for floats while |a / b| < 2**72."""
    left, right = numbers(a, b)
    if not left.is_float:
        return sub(left, mul(trunc_div(left, right), right))
    rest = left
    for _ in range(3):  # a - b * nearest(a / b) is a binary32 number
        rest = fma(neg(round_(div(rest, right))), right, rest)
    size = absolute(right)
    step = select(less(left, 0.0), neg(size), size)
    rest = select(_is_off(rest, left), add(rest, step), rest)
    rest = select(equal(rest, 0.0), mul(left, 0.0), rest)
    return _rest(select(less(absolute(left), size), left, rest), trunc, left, right)


def _rest(found: Value, rounded: Callable[[Value], Value], a: Value, b: Value) -> Value:
    """a - b * rounded(a / b), with that gradient."""
    return graph.custom(found, lambda g, _: (g, neg(mul(g, rounded(div(a, b))))), a, b)


def trunc(a: Value) -> Value:
    """Rounded towards 0; the sign of a zero is kept, as in all roundings, and the gradient is 0."""
    return _whole(a, lambda value: to_float(graph.cast(value, DType.INT32)))


def round_(a: Value) -> Value:
    """Rounded to the nearest integer, halves to the even one."""
    return _whole(a, _nearest)


def _nearest(value: Value) -> Value:
    edge = select(less(value, 0.0), -_WHOLE, _WHOLE)
    return sub(add(value, edge), edge)


def floor(a: Value) -> Value:
    """Rounded down."""
    whole = trunc(a)
    return sub(whole, to_float(less(a, whole))) if a.is_float else whole


def ceil(a: Value) -> Value:
    """Rounded up."""
    return neg(floor(neg(a))) if a.is_float else trunc(a)


def _whole(a: Value, rounded: Callable[[Value], Value]) -> Value:
    (value,) = numbers(a)
    if not value.is_float:
        return value
    whole = rounded(value)
    signed = select(equal(whole, 0.0), mul(value, 0.0), whole)
    return graph.detach(select(less(absolute(value), _WHOLE), signed, value))


def is_finite(a: Value) -> Value:
    """Neither NaN nor an infinity."""
    return less(absolute(a), inf)


def sqrt(a: Value) -> Value:
    """The square root in FLOAT32, correctly rounded."""
    return graph.elementwise(Op.SQRT, to_float(a))


def power(a: Value, exponent: Scalar) -> Value:
    """a ** exponent for an integer, by repeated squaring, or for 0.5 or -0.5."""
    if exponent < 0:
        return div(1.0, power(a, -exponent))
    if exponent == 0.5:
        return sqrt(a)
    (square,) = numbers(a if isinstance(exponent, int) else to_float(a))
    result = graph.const(1, square.dtype, square.shape)
    for bit in reversed(f"{int(exponent):b}"):
        result = mul(result, square) if bit == "1" else result
        square = mul(square, square)
    return result if exponent else graph.custom(result, lambda g, _: (None,), a)


def less(a: Operand, b: Operand) -> Value:
    """a < b."""
    return graph.elementwise(Op.LT, *numbers(a, b))


def greater(a: Operand, b: Operand) -> Value:
    """a > b."""
    return less(b, a)


def equal(a: Operand, b: Operand) -> Value:
    """a == b."""
    return graph.elementwise(Op.EQ, *numbers(a, b))


def equals_or_nan(value: Value, largest: Value) -> Value:
    """Elements equal to the largest of them; NaN counts as equal to NaN."""
    same = equal(value, largest)
    return or_(same, not_equal(value, value)) if value.is_float else same


def not_equal(a: Operand, b: Operand) -> Value:
    """a != b; true for NaN."""
    return not_(equal(a, b))


def less_equal(a: Operand, b: Operand) -> Value:
    """a <= b; false for NaN."""
    return or_(less(a, b), equal(a, b))


def greater_equal(a: Operand, b: Operand) -> Value:
    """a >= b; false for NaN."""
    return less_equal(b, a)


def select(condition: Value, a: Operand, b: Operand) -> Value:
    """a where the condition holds, else b."""
    if not isinstance(a, Value) and not isinstance(b, Value):
        dtype = DType.FLOAT32 if isinstance(a, float) or isinstance(b, float) else DType.INT32
        a = graph.const(a, dtype)
    left, right = match(a, b)
    shape = broadcast_shapes(condition.shape, left.shape)
    wide = (broadcast_to(value, shape) for value in (to_bool(condition), left, right))
    return graph.elementwise(Op.SELECT, *wide)


def to_bool(a: Value) -> Value:
    """a != 0."""
    return graph.cast(a, DType.BOOL)


def maximum(a: Operand, b: Operand) -> Value:
    """The larger; NaN if either is. Equal ones share the gradient."""
    return _taken(less, a, b)


def minimum(a: Operand, b: Operand) -> Value:
    """The smaller; NaN if either is. Equal ones share the gradient."""
    return _taken(greater, a, b)


def _taken(compare: Callable[[Value, Value], Value], a: Operand, b: Operand) -> Value:
    left, right = match(a, b)
    takes_right = compare(left, right)
    if not left.is_float:
        return select(takes_right, right, left)
    if right.kind is not Op.CONST:
        takes_right = or_(takes_right, not_equal(right, right))

    def rule(g: Value, _: Value) -> list[Value]:
        sides = select(takes_right, 0.0, g), select(takes_right, g, 0.0)
        return [select(equal(left, right), mul(g, 0.5), side) for side in sides]

    return graph.custom(select(takes_right, right, left), rule, left, right)


def clamp(a: Value, low: "Operand | None" = None, high: "Operand | None" = None) -> Value:
    """Brought between low and high; at a bound that is a number the gradient is 0."""
    if low is None and high is None:
        raise UsageError("clamp() needs a lower or an upper bound, or both")
    if isinstance(low, Value) or isinstance(high, Value):
        raised = a if low is None else maximum(a, low)
        return raised if high is None else minimum(raised, high)
    (value,) = numbers(a)
    raised = value if low is None else select(less(value, low), low, value)
    found = raised if high is None else select(less(high, raised), high, raised)

    def rule(g: Value, _: Value) -> list[Value]:
        is_below = True if low is None else less(low, value)
        return [select(and_(less(value, inf if high is None else high), is_below), g, 0.0)]

    return graph.custom(found, rule, value) if value.is_float else found


def absolute(a: Value) -> Value:
    """|a|: for floats the sign bit cleared, with the gradient sign(a)."""
    (value,) = numbers(a)
    if not value.is_float:
        return select(less(value, 0), neg(value), value)
    bits = and_(graph.bitcast(value, DType.UINT32), _SIGN_BIT - 1)
    cleared = graph.bitcast(bits, DType.FLOAT32)
    return graph.custom(cleared, lambda g, _: (mul(g, sign(value)),), value)


def sign(a: Value) -> Value:
    """-1, 0 or 1, 0 for NaN; no gradient."""
    (value,) = numbers(a)
    not_positive = graph.const(0, value.dtype, value.shape)
    if value.dtype is not DType.UINT32:
        not_positive = select(less(value, 0), -1, not_positive)
    return graph.detach(select(less(0, value), 1, not_positive))


def _integers(what: str, *operands: Operand) -> list[Value]:
    values = numbers(*operands)
    if values[0].is_float:
        raise UsageError(f"{what} is defined for integer tensors, not FLOAT32")
    return values


def _bitwise(op: Op, a: Operand, b: Operand) -> Value:
    left, right = match(a, b)
    if left.is_float:
        raise UsageError(f"{op.name} is defined for BOOL, INT32 and UINT32, not FLOAT32")
    return graph.elementwise(op, left, right)


def and_(a: Operand, b: Operand) -> Value:
    """a & b."""
    return _bitwise(Op.AND, a, b)


def or_(a: Operand, b: Operand) -> Value:
    """a | b."""
    return _bitwise(Op.OR, a, b)


def xor(a: Operand, b: Operand) -> Value:
    """a ^ b."""
    return _bitwise(Op.XOR, a, b)


def not_(a: Value) -> Value:
    """~a: every bit flipped, or the other truth value."""
    return _bitwise(Op.XOR, a, _ones(a.dtype))


def _ones(dtype: DType) -> Scalar:
    """The number with every bit set."""
    return {DType.BOOL: True, DType.UINT32: 2**32 - 1}.get(dtype, -1)


def integer_power(a: Operand, b: Operand) -> Value:
    """a ** b of integers, wrapping; a negative b gives 1 / (a ** -b) rounded towards 0."""
    base, exponent = _integers("**", a, b)
    is_unit = or_(equal(base, 1), equal(base, _ones(base.dtype)))
    result = graph.const(1, base.dtype, base.shape)
    for bit in range(32):
        is_set = not_equal(and_(shr(exponent, bit), 1), 0)
        result, base = select(is_set, mul(result, base), result), mul(base, base)
    return select(or_(is_unit, not_(less(exponent, 0))), result, 0)


def shl(a: Operand, b: Operand) -> Value:
    """a << b; 0 where b is outside 0..31."""
    return graph.elementwise(Op.SHL, *_integers("<<", a, b))


def shr(a: Operand, b: Operand) -> Value:
    """a >> b, arithmetic for INT32, logical for UINT32."""
    return graph.elementwise(Op.SHR, *_integers(">>", a, b))
