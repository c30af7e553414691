"""What travels of a unit, written small: deltas in 4 or 8 bits, second moments in 8.

docs/spec/training.md has the formulas to the bit. All functions take and give symbolic tensors, so
they become part of a job's Programs; they are total: whatever bits a stranger sends decode to
something, and what was not a number before is not one after.

Deltas are cut into blocks of 64 elements with one FLOAT32 scale each, the largest magnitude over 7
(or 127); an element is the nearest multiple of its scale, ties to even. There is no error feedback:
a unit has no memory. Second moments span many orders of magnitude, of which a linear code of 8 bits
keeps two; so their code is a floating-point number of 6 bits of exponent and 2 of fraction, which
is the upper bits of the FLOAT32. Factored, a matrix's moments are the means of its rows and of its
columns (Shazeer and Stern 2018, "Adafactor").
"""

from collections.abc import Mapping
from itertools import accumulate
from math import inf, nan, prod
from typing import Literal

from engine.dtypes import DType
from engine.methods import cat, stack
from engine.tensor import Tensor

Bits = Literal[4, 8, 32]
Shapes = Mapping[str, tuple[int, ...]]
Tensors = Mapping[str, Tensor]

BLOCK = 64
SMALLEST = 2.0**-100
"""A block without an element of this magnitude counts as zeros: its scale would be subnormal."""

FRACTION_BITS_DROPPED = 21
CODE_OFFSET = 315
"""Code 1 is 2**-48: its FLOAT32 has 316 in the upper 11 bits. Code 255 is 49,152."""

CODE_MAX = 255


def join(tensors: Tensors) -> Tensor:
    """All elements in one FLOAT32 vector, tensors in the order of their names."""
    return cat(*(tensor.flatten() for _, tensor in sorted(tensors.items())))


def split(flat: Tensor, shapes: Shapes) -> dict[str, Tensor]:
    """The tensors of these shapes that `join` made a vector of."""
    names = sorted(shapes)
    ends = [*accumulate(prod(shapes[name]) for name in names)]
    starts = [0, *ends[:-1]]
    return {
        name: flat[start:end].reshape(shapes[name])
        for name, start, end in zip(names, starts, ends, strict=True)
    }


def encode_delta(flat: Tensor, bits: Bits) -> dict[str, Tensor]:
    """A FLOAT32 vector as `delta` and, below 32 bits, `scale`.

    Of n elements in 4 bits: UINT8 (ceil(n / 64), 32), the earlier of two elements in the lower half
    of a byte, and FLOAT32 (ceil(n / 64),). A block that holds an infinity or NaN decodes to NaN.
    """
    if bits == 32:
        return {"delta": flat}
    most, count = 2 ** (bits - 1) - 1, flat.numel()
    blocks = flat.pad((0, -count % BLOCK)).reshape(-1, BLOCK)
    largest = blocks.abs().amax(1)
    scale = (largest < SMALLEST).where(0.0, (largest < inf).where(largest / most, nan))
    divisor = (scale > 0.0).where(scale, 1.0).unsqueeze(1)
    codes = (blocks / divisor).round().clamp(-most, most).int() + (most + 1)
    if bits == 4:
        codes = codes[:, 0::2] | (codes[:, 1::2] << 4)
    return {"delta": codes.cast(DType.UINT8), "scale": scale}


def decode_delta(coded: Tensors, bits: Bits, count: int) -> Tensor:
    """The FLOAT32 vector of `count` elements that `encode_delta` wrote, to within half a scale.

    From 2**127 on an element may come back as an infinity.
    """
    if bits == 32:
        return coded["delta"]
    codes = coded["delta"].int()
    if bits == 4:
        codes = stack(codes & 15, codes >> 4, axis=2).reshape(-1, BLOCK)
    steps = (codes - 2 ** (bits - 1)).float()
    flat: Tensor = (steps * coded["scale"].unsqueeze(1)).flatten()
    return flat[:count]


def encode_moment(v: Tensor) -> Tensor:
    """Second moments, FLOAT32 and not negative, as UINT8: within a ninth of each from 2**-48 on.

    0 is 0 and nothing else is; what is smaller than 2**-48 becomes that, what is larger than 49,152
    and what is not a number becomes that.
    """
    upper = (v.bitcast(DType.INT32) + (1 << FRACTION_BITS_DROPPED - 1)) >> FRACTION_BITS_DROPPED
    codes = (upper - CODE_OFFSET).clamp(1, CODE_MAX)
    return ((v > 0.0) | v.isnan()).where(codes, 0).cast(DType.UINT8)


def decode_moment(codes: Tensor) -> Tensor:
    """The FLOAT32 second moments that such codes mean; any integer dtype."""
    upper = codes.int()
    return (upper > 0).where(
        ((upper + CODE_OFFSET) << FRACTION_BITS_DROPPED).bitcast(DType.FLOAT32), 0.0
    )


def factored_shapes(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """What `factor` makes of tensors of these shapes: a vector stays, a matrix becomes two."""
    found: dict[str, tuple[int, ...]] = {}
    for name, shape in shapes.items():
        if len(shape) < 2:
            found[name] = shape
        else:
            found |= {f"{name}.rows": shape[:1], f"{name}.columns": (prod(shape[1:]),)}
    return found


def factor(moments: Tensors) -> dict[str, Tensor]:
    """Second moments as the means of rows and of columns; all axes but the first count as one."""
    found: dict[str, Tensor] = {}
    for name, v in moments.items():
        if v.ndim < 2:
            found[name] = v
        else:
            matrix = v.flatten(1)
            found |= {f"{name}.rows": matrix.mean(1), f"{name}.columns": matrix.mean(0)}
    return found


def unfactor(factors: Tensors, shapes: Shapes) -> dict[str, Tensor]:
    """The matrices of rank one with these means of rows, and of columns but for a common factor."""
    found: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        if len(shape) < 2:
            found[name] = factors[name]
        else:
            rows, columns = factors[f"{name}.rows"], factors[f"{name}.columns"]
            mean = columns.mean()
            share = (mean > 0.0).where(columns / mean, 0.0)
            found[name] = (rows.unsqueeze(1) * share).reshape(shape)
    return found
