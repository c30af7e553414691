"""Storage in 16 bits: exact casts, against numpy's and a bfloat16 from the rule of rounding."""

import numpy as np
import pytest

from engine import arithmetic
from engine.backend import open_backend
from engine.dtypes import CANONICAL_NAN, DType, dtype_of, from_numpy, is_other_nan
from engine.ops import Op
from engine.program import Node, Program

F32, F16, BF16 = DType.FLOAT32, DType.FLOAT16, DType.BFLOAT16
HALVES = np.arange(1 << 16, dtype=np.uint16)


def between(dtype: DType) -> np.ndarray:
    """Every finite number of a 16-bit type, the middles between them, the neighbours of those."""
    values = arithmetic.convert(HALVES.view(dtype.numpy), F32)
    values = np.unique(values[np.isfinite(values)]).astype(np.float64)
    middles = ((values[1:] + values[:-1]) / 2).astype(np.float32)
    ends = np.float32([np.inf, -np.inf, np.nan, 65519.996, 65520.0, 3.3895314e38, 3.4e38, 1e-45])
    exact = np.concatenate([values.astype(np.float32), middles, ends])
    return np.concatenate([exact, np.nextafter(exact, np.float32(np.inf)), -np.nextafter(exact, 0)])


def cast(dtype: DType, to: DType, array: np.ndarray, device: str) -> np.ndarray:
    """CAST on a device."""
    nodes = (Node(Op.INPUT, dtype, array.shape), Node(Op.CAST, to, array.shape, (0,), (0,)))
    program = Program(nodes, (("x", 0),), (("y", 1),))
    return open_backend(device).load(program)({"x": array})["y"].numpy()


def nearest(values: np.ndarray, dtype: DType) -> np.ndarray:
    """The bits of the nearest number of a 16-bit type, ties to even, by search."""
    table = arithmetic.canonical(arithmetic.convert(HALVES[: 1 << 15].view(dtype.numpy), F32))
    table = table[np.isfinite(table)].astype(np.float64)
    table = np.append(table, 2 * table[-1] - table[-2])  # from its middle on infinity is nearest
    size = np.abs(values).astype(np.float64)
    size = np.minimum(size, table[-1])
    above = np.minimum(np.searchsorted(table, size), len(table) - 1)
    below = np.maximum(above - 1, 0)
    gap = (table[above] - size) - (size - table[below])
    index = np.where((gap < 0) | ((gap == 0) & (above % 2 == 0)), above, below)
    bits = index | np.where(np.signbit(values), 0x8000, 0)
    return np.where(np.isnan(values), CANONICAL_NAN[dtype], bits).astype(np.uint16)


@pytest.mark.parametrize("dtype", [F16, BF16])
@pytest.mark.parametrize("device", ["reference", ""])
def test_narrowing_gives_the_nearest_ties_to_even(dtype, device):
    """For every number, every middle and its neighbours; subnormals, overflow, NaN."""
    values = between(dtype)
    result = cast(F32, dtype, values, device).view(np.uint16)
    np.testing.assert_array_equal(result, nearest(values, dtype))


@pytest.mark.parametrize("dtype", [F16, BF16])
@pytest.mark.parametrize("device", ["reference", ""])
def test_widening_is_exact(dtype, device):
    """All 65,536 patterns, other NaNs included."""
    result = cast(dtype, F32, HALVES.view(dtype.numpy), device)
    if dtype is F16:
        expected = HALVES.view(np.float16).astype(np.float32)
    else:
        expected = (HALVES.astype(np.uint32) << np.uint32(16)).view(np.float32)
    assert result.tobytes() == arithmetic.canonical(expected).tobytes()


@pytest.mark.parametrize("dtype", [F16, BF16])
@pytest.mark.parametrize("other", [d for d in DType if d is not F32])
def test_other_types_go_through_float32(dtype, other):
    """Both ways, on both backends."""
    bits = np.arange(0, 1 << 32, 65521, dtype=np.uint64).astype(np.uint32)
    source = (bits % 2 == 1) if other is DType.BOOL else bits.astype(f"u{other.bytes}")
    source = source if other is DType.BOOL else source.view(other.numpy)
    for a, b, array in ((other, dtype, source), (dtype, other, HALVES.view(dtype.numpy))):
        expected = cast(F32, b, cast(a, F32, array, "reference"), "reference")
        for device in ("reference", ""):
            assert cast(a, b, array, device).tobytes() == expected.tobytes()


def test_numpy_types_are_told_apart():
    """Every type has a numpy type of its own."""
    assert [from_numpy(dtype.numpy) for dtype in DType] == list(DType)


def test_one_nan_is_canonical():
    """Of each float type; other types have none."""
    assert not any(is_other_nan(0xFF, dtype) for dtype in DType)
    assert [is_other_nan(b, F16) for b in (0x7C00, 0x7C01, 0x7E00, 0xFE00)] == [False, True] * 2
    assert [is_other_nan(b, BF16) for b in (0xFF80, 0x7FFF, 0x7FC0)] == [False, True, False]
    assert [is_other_nan(b, F32) for b in (0x7F800000, 0x7F800001)] == [False, True]


@pytest.mark.parametrize("kind", ["", "float8", "complex64", object, 5])
def test_a_name_of_no_dtype_is_refused_as_torch_and_tinygrad_do(kind) -> None:
    """Both kinds of error, and the names that there are."""
    for error in (TypeError, AttributeError):
        with pytest.raises(error, match=r"dtype"):
            dtype_of(kind)


def test_a_dtype_prints_its_name() -> None:
    """Not the number in a Program's bytes."""
    assert f"{F32}" == str(F32) == "FLOAT32"
