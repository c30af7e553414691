"""Elementwise arithmetic on graph values, with broadcasting and type promotion.

Promotion: BOOL < INT32 or UINT32 < FLOAT32. The storage types UINT8 and INT8 count as INT32 as
soon as they are computed with. INT32 and UINT32 do not mix: cast one. A Python number adapts to
the tensor beside it: an int keeps an integer tensor's dtype, a float makes it FLOAT32.

Shapes broadcast as in numpy: aligned at the last axis, length 1 stretches.
"""

from dataclasses import replace
from math import nan
from typing import TypeAlias

from engine import graph
from engine.dtypes import DType
from engine.errors import UsageError
from engine.graph import Scalar, Shape, Value
from engine.ops import Op

Operand: TypeAlias = "Value | bool | int | float"

_SIGN_BIT = 0x8000_0000


def broadcast_shapes(*shapes: Shape) -> Shape:
    """The shape that all shapes stretch to."""
    rank = max(len(shape) for shape in shapes)
    aligned = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    result = tuple(next((n for n in axis if n != 1), 1) for axis in zip(*aligned, strict=True))
    if any(n not in (1, m) for shape in aligned for n, m in zip(shape, result, strict=True)):
        raise UsageError(f"shapes {', '.join(str(shape) for shape in shapes)} do not broadcast")
    return result


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
    """`dtype`, or INT32 for a storage type."""
    return DType.INT32 if dtype.is_storage else dtype


def match(*operands: Operand) -> list[Value]:
    """The operands in one dtype and one shape; at least one must be a Value."""
    values = [o for o in operands if isinstance(o, Value)]
    dtype = computed(values[0].dtype)
    for value in values[1:]:
        dtype = promote(dtype, value.dtype)
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
    if isinstance(number, bool):
        return DType.BOOL
    if isinstance(number, int):
        return DType.INT32 if beside is DType.BOOL else beside
    return DType.FLOAT32


def _numbers(*operands: Operand) -> list[Value]:
    """Matched operands on which arithmetic is defined: BOOL counts as INT32."""
    values = match(*operands)
    return [graph.cast(v, DType.INT32) if v.dtype is DType.BOOL else v for v in values]


def to_float(value: Value) -> Value:
    """`value` as FLOAT32."""
    return graph.cast(value, DType.FLOAT32)


def add(a: Operand, b: Operand) -> Value:
    """a + b; integers wrap."""
    left, right = _numbers(a, b)
    if not left.is_float and graph.is_const(right, 0):
        return left
    return graph.elementwise(Op.ADD, left, right)


def mul(a: Operand, b: Operand) -> Value:
    """a * b; integers wrap."""
    left, right = _numbers(a, b)
    if graph.is_const(right, 1):
        return left
    return right if graph.is_const(left, 1) else graph.elementwise(Op.MUL, left, right)


def neg(a: Value) -> Value:
    """-a; integers wrap."""
    (value,) = _numbers(a)
    if value.kind is Op.CONST and not graph.is_const(value, nan):
        (bits,) = value.attributes
        flipped = bits ^ _SIGN_BIT if value.is_float else -bits % 2**32
        return replace(value, attributes=(flipped,))
    return mul(value, -1 if value.dtype is not DType.UINT32 else 2**32 - 1)


def sub(a: Operand, b: Operand) -> Value:
    """a - b, as a + (-1 * b): the same bits."""
    left, right = _numbers(a, b)
    return add(left, neg(right))


def fma(a: Operand, b: Operand, c: Operand) -> Value:
    """a * b + c in FLOAT32 with one rounding."""
    return graph.elementwise(Op.FMA, *(to_float(v) for v in match(a, b, c)))


def div(a: Operand, b: Operand) -> Value:
    """a / b in FLOAT32, correctly rounded."""
    left, right = (to_float(v) for v in match(a, b))
    inverse = _exact_inverse(right)
    return graph.elementwise(Op.DIV, left, right) if inverse is None else mul(left, inverse)


def _exact_inverse(value: Value) -> Value | None:
    """1 / value for a constant power of two: multiplying by it gives the bits of dividing."""
    if value.kind is not Op.CONST:
        return None
    sign, exponent, fraction = _fields(value.attributes[0])
    if fraction or not 1 <= exponent <= 253:  # its inverse must be normal, too
        return None
    return replace(value, attributes=(sign | (254 - exponent) << 23,))


def _fields(bits: int) -> tuple[int, int, int]:
    """The sign bit, the biased exponent and the fraction of a binary32 number."""
    return bits & _SIGN_BIT, bits >> 23 & 0xFF, bits & 0x7FFFFF


def floor_div(a: Operand, b: Operand) -> Value:
    """Integer a / b rounded down."""
    left, right = _integers("//", a, b)
    quotient = graph.elementwise(Op.DIV, left, right)
    if left.dtype is DType.UINT32:
        return quotient
    rest = sub(left, mul(quotient, right))
    is_off = and_(not_equal(rest, 0), xor(less(rest, 0), less(right, 0)))
    return sub(quotient, graph.cast(is_off, DType.INT32))


def remainder(a: Operand, b: Operand) -> Value:
    """Integer a % b, with the sign of b."""
    left, right = _integers("%", a, b)
    return sub(left, mul(floor_div(left, right), right))


def sqrt(a: Value) -> Value:
    """The square root in FLOAT32, correctly rounded."""
    return graph.elementwise(Op.SQRT, to_float(a))


def power(a: Value, exponent: Scalar) -> Value:
    """a ** exponent for an integer up to 64 in size, by repeated squaring, or for 0.5 or -0.5."""
    if exponent in (0.5, -0.5):
        root = sqrt(a)
        return root if exponent > 0 else div(1.0, root)
    count = abs(int(exponent))
    if exponent != int(exponent) or count > 64:
        raise UsageError(f"** takes an integer from -64 to 64, 0.5 or -0.5, not {exponent}")
    (square,) = _numbers(a)
    result = graph.const(1, square.dtype, square.shape)
    while count:
        if count % 2:
            result = mul(result, square)
        count //= 2
        if count:
            square = mul(square, square)
    return div(1.0, result) if exponent < 0 else result


def less(a: Operand, b: Operand) -> Value:
    """a < b."""
    return graph.elementwise(Op.LT, *_numbers(a, b))


def equal(a: Operand, b: Operand) -> Value:
    """a == b."""
    return graph.elementwise(Op.EQ, *_numbers(a, b))


def not_equal(a: Operand, b: Operand) -> Value:
    """a != b; true for NaN."""
    return not_(equal(a, b))


def less_equal(a: Operand, b: Operand) -> Value:
    """a <= b; false for NaN."""
    return or_(less(a, b), equal(a, b))


def select(condition: Value, a: Operand, b: Operand) -> Value:
    """a where the condition holds, else b."""
    if not isinstance(a, Value) and not isinstance(b, Value):
        dtype = DType.FLOAT32 if isinstance(a, float) or isinstance(b, float) else DType.INT32
        a = graph.const(a, dtype)
    left, right = match(a, b)
    shape = broadcast_shapes(condition.shape, left.shape)
    chosen = broadcast_to(to_bool(condition), shape)
    return graph.elementwise(
        Op.SELECT, chosen, broadcast_to(left, shape), broadcast_to(right, shape)
    )


def to_bool(a: Value) -> Value:
    """a != 0."""
    return graph.cast(a, DType.BOOL)


def maximum(a: Operand, b: Operand) -> Value:
    """The larger; NaN if either is."""
    left, right = match(a, b)
    takes_right = less(left, right)
    if right.is_float and right.kind is not Op.CONST:
        takes_right = or_(takes_right, not_equal(right, right))
    return select(takes_right, right, left)


def minimum(a: Operand, b: Operand) -> Value:
    """The smaller; NaN if either is."""
    left, right = match(a, b)
    takes_right = less(right, left)
    if right.is_float and right.kind is not Op.CONST:
        takes_right = or_(takes_right, not_equal(right, right))
    return select(takes_right, right, left)


def absolute(a: Value) -> Value:
    """|a|: for floats the sign bit cleared, with the gradient sign(a)."""
    (value,) = _numbers(a)
    if not value.is_float:
        return select(less(value, 0), neg(value), value)
    bits = and_(graph.bitcast(value, DType.UINT32), _SIGN_BIT - 1)
    cleared = graph.bitcast(bits, DType.FLOAT32)
    return graph.custom(cleared, lambda g, _: (mul(g, sign(value)),), value)


def sign(a: Value) -> Value:
    """-1, 0 or 1, NaN for NaN; no gradient."""
    (value,) = _numbers(a)
    zero_or_nan = mul(value, 0) if value.is_float else graph.const(0, value.dtype, value.shape)
    not_positive = zero_or_nan
    if value.dtype is not DType.UINT32:
        not_positive = select(less(value, 0), -1, zero_or_nan)
    return graph.detach(select(less(0, value), 1, not_positive))


def _integers(what: str, *operands: Operand) -> list[Value]:
    values = _numbers(*operands)
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


def shl(a: Operand, b: Operand) -> Value:
    """a << b; 0 where b is outside 0..31."""
    return graph.elementwise(Op.SHL, *_integers("<<", a, b))


def shr(a: Operand, b: Operand) -> Value:
    """a >> b, arithmetic for INT32, logical for UINT32."""
    return graph.elementwise(Op.SHR, *_integers(">>", a, b))
