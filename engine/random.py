"""Random numbers as integer arithmetic: threefry2x32 with 20 rounds (Salmon et al. 2011).

A key (UINT32, shape (2,)) and a shape determine every number; nothing is kept between calls. A
Program that draws takes its key as an input, and whoever has the key computes the same numbers.
docs/spec/arithmetic.md, section 8, has the definition.
"""

from collections.abc import Sequence
from math import pi, prod

from engine import elementwise as e
from engine import graph, movement, transcendental
from engine.dtypes import DType
from engine.errors import UsageError
from engine.graph import Value

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA


def key_of(seed: int) -> Value:
    """The key of a seed, 0 <= seed < 2**64: its upper and its lower half."""
    if not 0 <= seed < 1 << 64:
        raise UsageError(f"a seed is an integer from 0 to 2**64 - 1, not {seed}")
    halves = [graph.const(half, DType.UINT32, (1,)) for half in divmod(seed, 1 << 32)]
    return movement.cat(halves, 0)


def block(key: Value, first: Value, second: Value) -> tuple[Value, Value]:
    """threefry2x32-20 of two UINT32 counters of one shape."""
    if key.dtype is not DType.UINT32 or key.shape != (2,):
        raise UsageError(f"a key is UINT32 of shape (2,), not {key.dtype.name} {key.shape}")
    words = [e.broadcast_to(movement.getitem(key, i), first.shape) for i in (0, 1)]
    words.append(e.xor(e.xor(words[0], words[1]), PARITY))
    a, b = e.add(first, words[0]), e.add(second, words[1])
    for injection in range(1, 6):
        for turn in ROTATIONS[(injection - 1) % 2]:
            a = e.add(a, b)
            b = e.xor(a, e.or_(e.shl(b, turn), e.shr(b, 32 - turn)))
        a = e.add(a, words[injection % 3])
        b = e.add(b, e.add(words[(injection + 1) % 3], injection))
    return a, b


def split(key: Value, number: Value | int) -> Value:
    """Another key, for another stream of numbers: the block of counters (number, 1)."""
    one = graph.const(1, DType.UINT32, (1,))
    which = graph.const(number, DType.UINT32) if isinstance(number, int) else number
    if which.size != 1 or which.is_float:
        raise UsageError(f"a key is split by one integer, not by {which.dtype.name} {which.shape}")
    return movement.cat(block(key, graph.reshape(graph.cast(which, DType.UINT32), (1,)), one), 0)


def bits(key: Value, shape: Sequence[int]) -> Value:
    """UINT32, every pattern equally likely: the first words of the blocks of counters (i, 0), i in
    order, then their second words, as many as there are elements."""
    count = prod(graph.checked_shape(shape))
    if not count:
        return graph.const(0, DType.UINT32, shape)
    half = (count + 1) // 2
    counters = graph.bitcast(graph.iota(half), DType.UINT32)
    drawn = movement.cat(block(key, counters, graph.const(0, DType.UINT32, (half,))), 0)
    return graph.reshape(movement.narrow(drawn, 0, 0, count), shape)


def uniform(key: Value, shape: Sequence[int]) -> Value:
    """FLOAT32 from 0 to below 1: the upper 24 bits times 2**-24, exact."""
    return e.mul(graph.cast(e.shr(bits(key, shape), 8), DType.FLOAT32), 2.0**-24)


def normal(key: Value, shape: Sequence[int]) -> Value:
    """FLOAT32 with mean 0 and deviation 1, at most 5.8 in size (Box and Muller 1958)."""
    drawn = uniform(key, (2, *shape))
    # u is a multiple of 2**-24 below 1: 1 - u is exact and above 0.
    above_zero = e.sub(1.0, movement.getitem(drawn, 0))
    radius = e.sqrt(e.mul(-2.0, transcendental.log(above_zero)))
    return e.mul(radius, transcendental.cos(e.mul(2 * pi, movement.getitem(drawn, 1))))


def integers(key: Value, low: int, high: int, shape: Sequence[int]) -> Value:
    """INT32 from low to high - 1: low + (32 bits modulo high - low), which favours small ones by
    less than (high - low) / 2**32."""
    if not -(2**31) <= low < high <= 2**31:
        raise UsageError(f"integers from {low} to below {high} do not exist in INT32")
    offset = e.remainder(bits(key, shape), high - low)
    return e.add(graph.bitcast(offset, DType.INT32), low)
