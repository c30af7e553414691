"""The order of folds and the addressing ops, against plain Python that follows the spec."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import reference
from engine.arithmetic import fma
from engine.backend import default_backend, set_default_backend
from engine.dtypes import DType
from engine.errors import UsageError
from engine.ops import Op
from engine.program import Node, Program

F32 = DType.FLOAT32


def wide_floats(seed: int, *shape: int) -> np.ndarray:
    """Floats of very different sizes, so that every order of adding gives other bits."""
    random = np.random.default_rng(seed)
    scale = 2.0 ** random.integers(-14, 14, shape)
    return (random.standard_normal(shape) * scale).astype(np.float32)


def sum_by_the_book(row: np.ndarray) -> np.float32:
    """Blocks of 4096 first; in each 32 lanes, then lane l += lane l + 16, 8, 4, 2, 1 if present."""
    while len(row) > 4096:
        row = [sum_by_the_book(row[i : i + 4096]) for i in range(0, len(row), 4096)]
    lanes: dict[int, np.float32] = {}
    for i, x in enumerate(row):
        lanes[i % 32] = lanes[i % 32] + x if i % 32 in lanes else x
    for step in (16, 8, 4, 2, 1):
        for lane in range(step):
            if lane + step in lanes:
                lanes[lane] = lanes[lane] + lanes[lane + step]
    return lanes[0]


@pytest.mark.parametrize("length", [1, 2, 3, 17, 31, 32, 33, 48, 64, 65, 333, 4096, 4097, 9000])
def test_sum_adds_in_blocks_of_lanes_then_in_a_tree(length):
    """One order for every length."""
    rows = wide_floats(length, 3, length)
    expected = [[sum_by_the_book(row)] for row in rows]
    assert reference.sum_last_axis(rows).tobytes() == np.array(expected).tobytes()


def test_sum_of_negative_zeros_is_negative_zero():
    """Lanes start from their first element, not from +0, and missing lanes are not added."""
    for length in (1, 5, 33):
        result = reference.sum_last_axis(np.full((1, length), -0.0, np.float32))
        assert np.signbit(result[0, 0])


def test_sum_of_nothing_is_zero():
    """+0, for every type."""
    result = reference.sum_last_axis(np.zeros((2, 0), np.float32))
    assert result.shape == (2, 1)
    assert not np.signbit(result).any()


def test_sum_of_integers_wraps():
    """Modulo 2**32."""
    result = reference.sum_last_axis(np.full((1, 40), 2**31 - 1, np.int32))
    assert int(result[0, 0]) == (40 * (2**31 - 1) + 2**31) % 2**32 - 2**31


def dot_by_the_book(row: np.ndarray, column: np.ndarray) -> np.float32:
    """Chains of fused multiply-adds from +0 over blocks of 256; block sums in order."""
    total = None
    for start in range(0, len(row), 256):
        chain = np.zeros(1, np.float32)
        for k in range(start, min(start + 256, len(row))):
            chain = fma(row[k : k + 1], column[k : k + 1], chain)
        total = chain if total is None else total + chain
    return total[0]


@pytest.mark.parametrize("length", [1, 2, 255, 256, 257, 600])
def test_dot_chains_inside_blocks(length):
    """One order for every k."""
    a, b = wide_floats(1, 2, 2, length), wide_floats(2, 2, length, 3)
    result = reference.dot(a, b)
    for batch, i, j in np.ndindex(result.shape):
        expected = dot_by_the_book(a[batch, i], b[batch, :, j])
        assert result[batch, i, j].tobytes() == expected.tobytes()


def test_dot_of_negative_zeros_is_positive_zero():
    """A chain starts from +0: +0 + -0 * 1 is +0."""
    result = reference.dot(np.full((1, 1, 3), -0.0, np.float32), np.ones((1, 3, 1), np.float32))
    assert not np.signbit(result[0, 0, 0])


def test_max_orders_nan_above_infinity_and_zeros_by_sign():
    """A total order."""
    rows = np.array([[1, np.nan, np.inf], [-1, -0.0, 0.0], [-np.inf, -3, -2]], np.float32)
    result = reference.max_last_axis(rows)
    assert result.view(np.uint32).ravel().tolist() == [0x7FC00000, 0, 0xC0000000]


@given(st.data())
@settings(max_examples=100)
def test_view_reads_every_address_of_its_formula(data):
    """out[i] = in.flat[offset + sum of i * stride]."""
    shape = tuple(data.draw(st.lists(st.integers(1, 4), max_size=3)))
    steps = [data.draw(st.integers(-5, 5)) for _ in shape]
    offset = sum(-s * (n - 1) for n, s in zip(shape, steps, strict=True) if s < 0)
    source = np.arange(64, dtype=np.int32)
    node = Node(Op.VIEW, DType.INT32, shape, (0,), (offset, *steps))
    result = reference.view(node, source)
    assert result.shape == shape
    for index in np.ndindex(shape):
        assert result[index] == offset + sum(i * s for i, s in zip(index, steps, strict=True))


def test_gather_gives_zeros_out_of_range():
    """Negative indices do not count from the end."""
    table = np.arange(1, 7, dtype=np.float32).reshape(3, 2)
    result = reference.gather(table, np.array([2, -1, 3, 0], np.int32))
    assert result.tolist() == [[5, 6], [0, 0], [0, 0], [1, 2]]


def test_scatter_adds_equal_indices_in_order_from_zero():
    """Order shows in the last bits; out of range is dropped."""
    rows = np.array([[1.0], [2.0**-24], [2.0**-24], [5.0], [-0.0]], np.float32)
    result = reference.scatter(np.array([1, 1, 1, 9, 0], np.int32), rows, 2)
    assert result[:, 0].tolist() == [0.0, 1.0]
    assert not np.signbit(result[0, 0])
    backwards = reference.scatter(np.array([1, 1, 1, 9, 0], np.int32), rows[[2, 1, 0, 3, 4]], 2)
    assert backwards[1, 0] == np.float32(1 + 2.0**-23)


def test_every_stored_nan_is_canonical():
    """Inputs included; BOOL is 0 or 1."""
    nodes = (Node(Op.INPUT, F32, (1,)), Node(Op.INPUT, DType.BOOL, (1,)))
    program = Program(nodes, (("a", 0), ("b", 1)), (("a", 0), ("b", 1)))
    given_nan = np.array([0xFF800001], np.uint32).view(np.float32)
    given_bool = np.array([7], np.uint8).view(np.bool_)
    result = reference.ReferenceBackend().load(program)({"a": given_nan, "b": given_bool})
    assert result["a"].numpy().view(np.uint32).tolist() == [0x7FC00000]
    assert result["b"].numpy().view(np.uint8).tolist() == [1]


def test_constants_are_bits_of_every_type():
    """The low bytes of the pattern."""
    for dtype, bits, expected in (
        (F32, 0x3F800000, 1.0),
        (DType.INT32, 0xFFFFFFFF, -1),
        (DType.UINT32, 0xFFFFFFFF, 2**32 - 1),
        (DType.BOOL, 1, True),
        (DType.UINT8, 0xFF, 255),
        (DType.INT8, 0xFF, -1),
    ):
        result = reference.evaluate_node(Node(Op.CONST, dtype, (2, 2), (), (bits,)), [])
        assert result.dtype == dtype.numpy
        assert result.tolist() == [[expected] * 2] * 2


def test_inputs_must_match_the_program():
    """The reference refuses what every backend refuses."""
    program = Program((Node(Op.INPUT, F32, (2,)),), (("x", 0),), (("x", 0),))
    with pytest.raises(UsageError, match="x"):
        reference.ReferenceBackend().load(program)({"x": np.zeros(3, np.float32)})


def test_a_numpy_scalar_is_an_array_without_axes():
    """Picking an element of an array is enough to pass a scalar input."""
    program = Program((Node(Op.INPUT, F32, ()),), (("x", 0),), (("x", 0),))
    result = reference.ReferenceBackend().load(program)({"x": np.arange(3, dtype=np.float32)[2]})
    assert result["x"].numpy() == 2.0


def test_the_default_backend_is_the_reference_until_set():
    """And again after it is unset."""
    chosen = reference.ReferenceBackend("mine")
    set_default_backend(chosen)
    assert default_backend() is chosen
    set_default_backend(None)
    assert default_backend().name == "reference"
