"""Tensors against numpy: values, shapes, dtypes and the messages of wrong calls."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import DType, Tensor, TensorType, UsageError, trace
from engine.ops import Op

RNG = np.random.default_rng(7)
A = RNG.standard_normal((3, 4)).astype(np.float32)
B = RNG.standard_normal((3, 4)).astype(np.float32)
CUBE = RNG.standard_normal((2, 3, 4)).astype(np.float32)
INTS = np.array([[7, -7, 0], [2**31 - 1, -(2**31), 5]], np.int32)
DIVISORS = np.array([[2, 2, 3], [-3, 7, -5]], np.int32)
SPECIAL = np.array([0.0, -0.0, 1.5, -2.5, np.inf, -np.inf, np.nan, 1e-45], np.float32)


def check(tensor, expected, rtol=0.0):
    """`tensor` has the dtype, shape and elements of `expected`; bit for bit without a tolerance."""
    actual = tensor.numpy()
    expected = np.asarray(expected)
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
    assert (tensor.dtype.numpy, tensor.shape) == (expected.dtype, expected.shape)
    if rtol:
        np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol)
    else:
        np.testing.assert_array_equal(actual, expected)
        if actual.dtype == np.float32:
            is_number = ~np.isnan(expected)
            np.testing.assert_array_equal(
                np.signbit(actual[is_number]), np.signbit(expected[is_number])
            )


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda a, b: a + b, A + B),
        (lambda a, b: a - b, A - B),
        (lambda a, b: a * b, A * B),
        (lambda a, b: a / b, A / B),
        (lambda a, b: 2.0 - a, np.float32(2) - A),
        (lambda a, b: 1 / a, np.float32(1) / A),
        (lambda a, b: 3 * a + 1, A * np.float32(3) + np.float32(1)),
        (lambda a, b: -a, -A),
        (lambda a, b: a**2, A * A),
        (lambda a, b: a**3, A * (A * A)),
        (lambda a, b: a**0, np.ones_like(A)),
        (lambda a, b: a**-1, 1 / A),
        (lambda a, b: abs(a) ** 0.5, np.sqrt(np.abs(A))),
        (lambda a, b: a < b, A < B),
        (lambda a, b: a > 0, A > 0),
        (lambda a, b: (a <= b) | (a >= 1), (A <= B) | (A >= 1)),
        (lambda a, b: ~(a == b) & (a != 0), (A != B)),
        (lambda a, b: (a < b).where(a, b), np.minimum(A, B)),
        (lambda a, b: a.maximum(b), np.maximum(A, B)),
        (lambda a, b: a.minimum(0.25), np.minimum(A, np.float32(0.25))),
        (lambda a, b: a.clamp(-0.5, 0.5), np.clip(A, -0.5, 0.5)),
        (lambda a, b: a.abs() + b.sign(), np.abs(A) + np.sign(B)),
        (lambda a, b: a.int(), A.astype(np.int32)),
        (lambda a, b: a.bitcast(DType.UINT32), A.view(np.uint32)),
        (lambda a, b: a + b[0], A + B[0]),
        (lambda a, b: a[:, :1] * b[1], A[:, :1] * B[1]),
    ],
)
def test_elementwise_equals_numpy(function, expected):
    """Arithmetic that is one rounding per op gives numpy's bits."""
    check(function(Tensor(A), Tensor(B)), expected)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x + 1, (INTS.astype(np.int64) + 1).astype(np.int32)),
        (lambda x: -x, (-INTS.astype(np.int64)).astype(np.int32)),
        (lambda x: x // Tensor(DIVISORS), INTS // DIVISORS),
        (lambda x: x % Tensor(DIVISORS), INTS % DIVISORS),
        (lambda x: x // 2, INTS // 2),
        (lambda x: x << 3, INTS << 3),
        (lambda x: x >> 2, INTS >> 2),
        (lambda x: x & 6, INTS & 6),
        (lambda x: x ^ -1, ~INTS),
        (lambda x: ~x, ~INTS),
        (lambda x: x * 0.5, INTS.astype(np.float32) / 2),
        (lambda x: x / 2, (INTS.astype(np.float32) / 2)),
        (lambda x: x.min(), INTS.min()),
        (lambda x: x.amin(1), INTS.min(1)),
        (lambda x: x.float(), INTS.astype(np.float32)),
        (lambda x: x.bool(), INTS != 0),
    ],
)
def test_integers_wrap_and_round_down(function, expected):
    """INT32 arithmetic wraps, // and % round down, a float operand makes FLOAT32."""
    check(function(Tensor(INTS)), expected)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x.sum(), CUBE.sum(dtype=np.float64)),
        (lambda x: x.sum(0), CUBE.sum(0)),
        (lambda x: x.sum((0, 2), keepdim=True), CUBE.sum((0, 2), keepdims=True)),
        (lambda x: x.mean(-1), CUBE.mean(-1)),
        (lambda x: x.var(1), CUBE.var(1, ddof=1)),
        (lambda x: x.var(correction=0), CUBE.var()),
        (lambda x: x.max(), CUBE.max()),
        (lambda x: x.amax((0, 1)), CUBE.max((0, 1))),
        (lambda x: x.amin(2, keepdim=True), CUBE.min(2, keepdims=True)),
    ],
)
def test_folds_equal_numpy(function, expected):
    """Sums and maxima over any axes agree with numpy but for the order of additions."""
    check(function(Tensor(CUBE)), np.asarray(expected, np.float32), rtol=1e-5)


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_argmax_is_first_of_equal(axis):
    """argmax gives the first index of the largest element."""
    x = np.array([[1, 3, 3, 2], [3, 1, 0, 3]], np.float32)
    check(Tensor(x).argmax(axis), np.argmax(x, axis).astype(np.int32))
    check(Tensor(SPECIAL).argmax(), np.int32(6))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3, 4), (4, 5)),
        ((4,), (4,)),
        ((4,), (4, 2)),
        ((3, 4), (4,)),
        ((2, 3, 4), (4, 5)),
        ((2, 3, 4), (2, 4, 5)),
        ((2, 1, 3, 4), (3, 4, 2)),
        ((3, 4), (2, 4, 5)),
        ((2, 3, 4), (4,)),
        ((4,), (2, 4, 3)),
        ((2, 3, 4), (1, 4, 5)),
        ((3, 4), (1, 1, 4, 5)),
    ],
)
def test_matmul_has_torch_shapes(left, right):
    """Vectors, matrices and broadcast batches multiply as numpy's matmul does."""
    a, b = RNG.standard_normal(left).astype(np.float32), RNG.standard_normal(right)
    b = b.astype(np.float32)
    check(Tensor(a) @ Tensor(b), np.asarray(a @ b, np.float32), rtol=1e-5)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x.reshape(4, -1), CUBE.reshape(4, -1)),
        (lambda x: x.view((6, 4)), CUBE.reshape(6, 4)),
        (lambda x: x.permute(2, 0, 1), CUBE.transpose(2, 0, 1)),
        (lambda x: x.transpose(0, -1), CUBE.swapaxes(0, 2)),
        (lambda x: x.T, CUBE.T),
        (lambda x: x.flatten(1), CUBE.reshape(2, 12)),
        (lambda x: x.flatten(), CUBE.reshape(-1)),
        (lambda x: x.unsqueeze(1).squeeze(), CUBE),
        (lambda x: x.unsqueeze(-1), CUBE[..., None]),
        (lambda x: x.expand(5, -1, -1, -1), np.broadcast_to(CUBE, (5, 2, 3, 4))),
        (lambda x: x.flip(1), CUBE[:, ::-1]),
        (lambda x: x.flip(), CUBE[::-1, ::-1, ::-1]),
        (lambda x: x.pad(((1, 0), (0, 0), (2, 3))), np.pad(CUBE, ((1, 0), (0, 0), (2, 3)))),
        (lambda x: x.T.reshape(6, 4)[::2].T, CUBE.T.reshape(6, 4)[::2].T),
        (lambda x: x.permute(1, 0, 2).reshape(6, 4).flip(0)[1:, ::3],
         CUBE.transpose(1, 0, 2).reshape(6, 4)[::-1][1:, ::3]),
        (lambda x: Tensor.cat([x, x[:, :1], -x], 1), np.concatenate([CUBE, CUBE[:, :1], -CUBE], 1)),
        (lambda x: Tensor.stack([x, x + 1], -1), np.stack([CUBE, CUBE + 1], -1)),
        (lambda x: Tensor.stack(list(x)), CUBE),
    ],
)  # fmt: skip
def test_movement_equals_numpy(function, expected):
    """Movement copies elements, whatever views it is made of."""
    check(function(Tensor(CUBE)), expected)


@pytest.mark.parametrize(
    "index",
    [
        0, -1, slice(1, 3), slice(None, None, -2), slice(3, 0, -1), None, ...,
        (0, 1), (0, ..., 2), (slice(1, 2), None, -1), (..., None),
        (slice(None), slice(0, 2), slice(1, None, 2)),
    ],
)  # fmt: skip
def test_basic_indexing_equals_numpy(index):
    """Integers, slices, None and ... mean what they mean in numpy."""
    x = RNG.standard_normal((4, 5, 6)).astype(np.float32)
    check(Tensor(x)[index], x[index])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_chains_of_movement_equal_numpy(draw):
    """Any chain of permute, slice, flip, expand, pad and reshape shows numpy's elements."""
    x = np.arange(24, dtype=np.int32).reshape(2, 3, 4)
    t = Tensor(x)
    for _ in range(draw.draw(st.integers(1, 5))):
        kind = draw.draw(st.sampled_from(["permute", "slice", "flip", "expand", "reshape", "pad"]))
        if kind == "permute":
            order = draw.draw(st.permutations(range(x.ndim)))
            t, x = t.permute(*order), x.transpose(order)
        elif kind == "slice":
            index = tuple(
                slice(draw.draw(st.integers(0, n - 1)), None, draw.draw(st.integers(1, 3)))
                for n in x.shape
            )
            t, x = t[index], x[index]
        elif kind == "flip":
            axis = draw.draw(st.integers(0, x.ndim - 1))
            t, x = t.flip(axis), np.flip(x, axis)
        elif kind == "expand" and x.ndim < 6:
            t, x = t.expand(2, *t.shape), np.broadcast_to(x, (2, *x.shape))
        elif kind == "reshape":
            factor = draw.draw(st.sampled_from([f for f in (1, 2, 3, 4) if x.size % f == 0]))
            t, x = t.reshape(factor, -1), x.reshape(factor, -1)
        elif kind == "pad" and x.size < 200:
            widths = [draw.draw(st.tuples(st.integers(0, 1), st.integers(0, 1))) for _ in x.shape]
            t, x = t.pad(widths), np.pad(x, widths)
    check(t, x)


def test_rows_by_index_tensor_are_zero_out_of_range():
    """Indexing by a tensor picks rows, from the end below 0; outside of the table are zeros."""
    index = np.array([[2, -1], [-4, 3]], np.int32)
    expected = np.stack([A[2], A[-1], np.zeros(4, np.float32), np.zeros(4, np.float32)])
    check(Tensor(A)[Tensor(index)], expected.reshape(2, 2, 4))


def test_one_hot_marks_classes():
    """one_hot is 1 at the class, and 0 everywhere for a class out of range."""
    check(Tensor([1, 5]).one_hot(3), np.array([[0, 1, 0], [0, 0, 0]], np.int32))


def test_cat_keeps_bits_and_storage_types():
    """Joining never adds: -0 stays -0; UINT8 stays UINT8."""
    check(Tensor.cat([Tensor(SPECIAL), Tensor(SPECIAL)]), np.concatenate([SPECIAL, SPECIAL]))
    small = np.array([1, 250], np.uint8)
    check(Tensor.cat([Tensor(small), Tensor(small)]), np.concatenate([small, small]))


def test_nan_is_not_hidden():
    """maximum, max and relu of NaN give NaN; comparisons with NaN are false."""
    x = Tensor(SPECIAL)
    assert np.isnan(x.maximum(0.0).numpy()[6])
    assert np.isnan(x.max().item())
    check(x == x, ~np.isnan(SPECIAL))
    check(x <= x, ~np.isnan(SPECIAL))


def test_makers():
    """zeros, ones, full, arange and eye need no data."""
    check(Tensor.zeros(2, 3), np.zeros((2, 3), np.float32))
    check(Tensor.ones(2, dtype=DType.INT32), np.ones(2, np.int32))
    check(Tensor.full((2,), 7), np.full(2, 7, np.int32))
    check(Tensor.full((), True), np.bool_(True))
    check(Tensor.arange(2, 11, 3), np.arange(2, 11, 3, np.int32))
    check(Tensor.arange(4), np.arange(4, dtype=np.int32))
    check(Tensor.eye(2, 3), np.eye(2, 3, dtype=np.float32))


def test_promotion():
    """bool -> int -> float; storage types compute as INT32; Python numbers adapt."""
    truth, integer, real = Tensor([True, False]), Tensor([2, 3]), Tensor([0.5, 1.5])
    assert (truth + truth).dtype is DType.BOOL
    assert (truth * integer).dtype is DType.INT32
    assert (integer * real).dtype is DType.FLOAT32
    assert (integer + 1.0).dtype is DType.FLOAT32
    assert (real + 1).dtype is DType.FLOAT32
    assert (Tensor(np.array([200], np.uint8)) + 100).item() == 300
    assert (integer.cast(DType.UINT32) + 1).dtype is DType.UINT32


def test_numpy_numbers_are_numbers():
    """A numpy scalar beside a tensor is a Python number, on either side, also while tracing."""
    program = trace(
        lambda i: {"y": np.float32(2) * i["x"][np.int64(1)] + np.float64(1)},
        {"x": TensorType(DType.FLOAT32, (2, 3))},
    )
    assert program.output_types == {"y": (DType.FLOAT32, (3,))}
    assert Tensor.full((2,), np.int64(3)).dtype is DType.INT32


@pytest.mark.parametrize(
    "divisor", [2.0, -16.0, 2.0**-126, 2.0**126, 2.0**127, 2.0**-149, 3.0, 0.0]
)
def test_division_by_a_constant_keeps_the_bits_of_division(divisor):
    """A power of two is multiplied by its inverse where that is exact, which no bit shows."""
    x = np.concatenate([SPECIAL, RNG.integers(0, 2**32, 500, dtype=np.uint32).view(np.float32)])
    with np.errstate(all="ignore"):
        check(Tensor(x) / divisor, x / np.float32(divisor))
    is_multiplied = trace(
        lambda i: {"y": i["x"] / divisor}, {"x": TensorType(DType.FLOAT32, ())}
    ).nodes[-1].op is Op.MUL  # fmt: skip
    assert is_multiplied == (divisor in (2.0, -16.0, 2.0**-126, 2.0**126))


def test_data_is_copied():
    """Changing the array that a tensor was made from does not change the tensor."""
    array = np.ones(2, np.float32)
    tensor = Tensor(array)
    array[0] = 5
    tensor.numpy()[1] = 6
    check(tensor, np.ones(2, np.float32))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Tensor(A) + Tensor([1.0, 2.0]), r"shapes \(3, 4\), \(2,\) do not broadcast"),
        (lambda: Tensor(A) @ Tensor(B), r"cannot multiply \(3, 4\) and \(3, 4\)"),
        (lambda: Tensor(A) @ Tensor(1.0), "a scalar is no matrix"),
        (lambda: Tensor(A).reshape(5, -1), r"cannot reshape \(3, 4\)"),
        (lambda: Tensor(A).reshape(5, 5), r"cannot reshape \(3, 4\) \(12 elements\)"),
        (lambda: Tensor(A).clamp(), "a lower or an upper bound"),
        (lambda: Tensor([2]) ** -1, "no negative power -1"),
        (lambda: Tensor.linspace(0, 1, -1), "-1 steps"),
        (lambda: Tensor.linspace(0, 1, 3, dtype=bool), "BOOL"),
        (lambda: Tensor(A).roll((1, 2), 0), "one shift for each axis"),
        (lambda: Tensor(A).meshgrid(indexing="no"), "not 'no'"),
        (lambda: Tensor.stack([Tensor(A)], Tensor(A)), "not both"),
        (lambda: Tensor(A).cumsum(2), "axis 2 is out of range"),
        (lambda: Tensor(1.0).cummax(1), "axis 1 is out of range"),
        (lambda: Tensor(A).permute(0, 0), r"not an order of the axes of \(3, 4\)"),
        (lambda: Tensor(A).sum(2), r"axis 2 is out of range for shape \(3, 4\)"),
        (lambda: Tensor(A).sum((0, -2)), "twice"),
        (lambda: Tensor(A)[3], r"index 3 is out of bounds for an axis of length 3"),
        (lambda: Tensor(A)[1.0], "not 1.0"),
        (lambda: Tensor(A)[0, 0, 0], "too many"),
        (lambda: Tensor(A).expand(3, 5), "broadcast"),
        (lambda: Tensor.zeros(-1, 3), "negative dimension"),
        (lambda: Tensor.cat([Tensor(A), Tensor(CUBE)]), r"cannot join shapes"),
        (lambda: Tensor([1]) + Tensor([1]).cast(DType.UINT32), "do not mix"),
        (lambda: Tensor([1]).cast(DType.UINT32) - (2**33), "not a value of UINT32"),
        (lambda: Tensor([2**31]), "outside of INT32"),
        (lambda: Tensor(["a"]), "no counterpart"),
        (lambda: Tensor(A) << 2, "integer tensors"),
        (lambda: Tensor(A) & 1, "AND is defined for"),
        (lambda: Tensor(A)[Tensor([0.5])], "must be INT32"),
        (lambda: Tensor(A).item(), r"shape \(3, 4\)"),
        (lambda: Tensor(A) + "x", "not str"),
        (lambda: Tensor([1], requires_grad=True), "only FLOAT32"),
    ],
)  # fmt: skip
def test_wrong_calls_say_what_was_wrong(call, message):
    """Misuse raises UsageError with the shapes or values at fault."""
    with pytest.raises(UsageError, match=message):
        call()


def test_same_graph_is_loaded_once(monkeypatch):
    """A loop that builds the same graph again does not load a program again."""
    from engine import backend, realize

    counted = []

    class Counting:
        name = "counting"

        def __init__(self):
            self.inner = backend.open_backend("reference")

        def load(self, program):
            counted.append(program)
            return self.inner.load(program)

        def upload(self, array):
            return self.inner.upload(array)

    backend.set_default_backend(Counting())
    try:
        for i in range(5):
            check(Tensor(A * np.float32(i)) + Tensor(B), A * np.float32(i) + B)
        x = Tensor(A) * 3
        x.realize()
        backend.set_default_backend(None)
        check(x + 1, A * np.float32(3) + np.float32(1))  # elements move to the new backend
    finally:
        backend.set_default_backend(None)
    assert len(counted) == 2
    assert len(realize._loaded) <= realize.LOADED_MAX


def test_names_of_outsiders_are_understood():
    """Sizes that stay, signs of infinities, dtypes of products, indices beside the largest."""
    assert (
        Tensor(A).reshape(None, 2, 2).shape == Tensor(A).reshape((None, 2, -1)).shape == (3, 2, 2)
    )
    ends = Tensor([-np.inf, 0.0, np.inf, np.nan])
    assert ends.isinf().tolist() == [True, False, True, False]
    assert ends.isinf(detect_negative=False).tolist() == [False, False, True, False]
    assert ends.isinf(False).tolist() == [True, False, False, False]
    assert Tensor([1.5, 2.5]).prod(dtype=DType.INT32).item() == 2
    found = Tensor(A).max(1)
    np.testing.assert_array_equal(found.numpy(), A.max(1))
    np.testing.assert_array_equal(found.indices.numpy(), A.argmax(1))
    with pytest.raises(AttributeError, match="no_such"):
        found.no_such  # noqa: B018
    wide = Tensor([[1.0, 2.0]]).take_along_dim(Tensor([[1], [0], [1]]), 1)
    assert wide.tolist() == [[2.0], [1.0], [2.0]]
    assert Tensor(A).unfold(0, 0, 2).shape == (2, 4, 0)


def test_every_method_says_what_it_does() -> None:
    """Also those that tables make, and their in-place forms."""
    methods = {n: m for n, m in vars(Tensor).items() if callable(m) and not n.startswith("_")}
    assert len(methods) > 400
    assert not [name for name, method in methods.items() if not method.__doc__]
