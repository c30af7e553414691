"""Overlapping windows, and their transpose, against numpy."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from engine import Tensor, UsageError, graph
from engine.gradient import gradient
from engine.windows import windows

RNG = np.random.default_rng(9)
CASES = [  # shape of the axes, size, stride, dilation
    ((7,), (3,), (1,), (1,)),
    ((8,), (3,), (2,), (1,)),
    ((11,), (3,), (2,), (3,)),
    ((9,), (2,), (3,), (2,)),
    ((6, 7), (2, 3), (1, 2), (2, 1)),
    ((5, 6, 4), (2, 2, 2), (2, 1, 3), (1, 2, 1)),
]


def by_numpy(x, size, stride, dilation):
    axes = tuple(range(x.ndim - len(size), x.ndim))
    reach = tuple((k - 1) * d + 1 for k, d in zip(size, dilation, strict=True))
    every = sliding_window_view(x, reach, axes)
    counts = tuple(slice(None, None, s) for s in stride)
    return every[(..., *counts, *(slice(None, None, d) for d in dilation))]


@pytest.mark.parametrize(("shape", "size", "stride", "dilation"), CASES)
def test_windows_and_their_gradient(shape, size, stride, dilation):
    """Every window is a slice; an element's gradient is the sum over the windows it is in."""
    x = RNG.standard_normal((2, *shape)).astype(np.float32)
    value = Tensor(x).value
    shown = windows(value, size, stride, dilation)
    expected = by_numpy(x, size, stride, dilation)
    np.testing.assert_array_equal(Tensor.of(shown).numpy(), expected)

    weights = RNG.integers(-8, 9, expected.shape).astype(np.float32)  # sums of these are exact
    (found,) = gradient(shown, [value], seed=Tensor(weights).value)
    wanted = np.zeros_like(x)
    places = by_numpy(np.arange(x.size).reshape(x.shape), size, stride, dilation)
    np.add.at(wanted.reshape(-1), places.reshape(-1), weights.reshape(-1))
    np.testing.assert_array_equal(Tensor.of(found).numpy(), wanted)


def test_windows_gradient_has_a_gradient():
    """The transpose of the transpose shows windows again."""
    x = Tensor(RNG.standard_normal(9)).value
    shown = windows(x, (3,), (2,), (1,))
    seed = Tensor(RNG.standard_normal((4, 3))).value
    (first,) = gradient(shown, [x], seed=seed)
    (second,) = gradient(first, [seed], seed=x)
    np.testing.assert_array_equal(Tensor.of(second).numpy(), Tensor.of(shown).numpy())


def test_affine_outside_of_its_input_is_refused():
    """Every element of an affine view exists."""
    value = Tensor(np.zeros((3, 4))).value
    graph.affine(value, [(2, {0: -1}), (0, {1: 3})], (3, 2))
    for start, other in ((1, 0), (2, 1)):
        with pytest.raises(UsageError, match="outside"):
            graph.affine(value, [(start, {0: -1}), (other, {1: 3})], (3, 2))
