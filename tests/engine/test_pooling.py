"""Pooling against loops in numpy that follow torch's documentation."""

from itertools import product
from math import ceil

import numpy as np
import pytest

from engine import Tensor, UsageError, gradient
from engine.pooling import (
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    avg_pool2d,
    max_pool2d,
    max_unpool2d,
)

RNG = np.random.default_rng(4)
X = RNG.integers(-3, 4, (2, 7, 6)).astype(np.float32)  # with ties


def count(n, k, s, p, d, ceil_mode):
    steps = (n + 2 * p - (k - 1) * d - 1) / s
    whole = ceil(steps) if ceil_mode else int(steps)
    return whole if ceil_mode and whole * s >= n + p else whole + 1


def pools(x, k, s, p, d, ceil_mode):
    """(place of a window, its elements that are not padding, how many count with padding)."""
    counts = [count(n, k, s, p, d, ceil_mode) for n in x.shape[1:]]
    for o in np.ndindex(*counts):
        axes = [[i * s - p + j * d for j in range(k)] for i in o]
        padded = [[a for a in axis if a < n + p] for axis, n in zip(axes, x.shape[1:], strict=True)]
        inside = [
            [a for a in axis if 0 <= a < n] for axis, n in zip(axes, x.shape[1:], strict=True)
        ]
        yield o, list(product(*inside)), len(padded[0]) * len(padded[1])


@pytest.mark.parametrize(
    ("k", "s", "p", "d", "ceil_mode"),
    [(2, 2, 0, 1, False), (3, 2, 1, 1, True), (3, 1, 1, 1, False), (2, 3, 1, 2, True)],
)
def test_pooling_and_where_the_gradient_goes(k, s, p, d, ceil_mode):
    """Means over the elements there are; maxima with the place of the first."""
    x = Tensor(X)
    largest, index = max_pool2d(x, k, s, p, d, ceil_mode, return_indices=True)
    whole = x.avg_pool2d(k, s, d, p, ceil_mode).numpy()  # tinygrad's order
    inner = avg_pool2d(x, k, s, p, ceil_mode, False, dilation=d).numpy()
    fixed = avg_pool2d(x, k, s, p, ceil_mode, divisor_override=2, dilation=d).numpy()
    hits = np.zeros_like(X)
    for o, places, padded in pools(X, k, s, p, d, ceil_mode):
        for c in range(2):
            values = [X[c][place] for place in places]
            first = places[int(np.argmax(values))]
            hits[c][first] += 1
            assert largest.numpy()[(c, *o)] == max(values)
            assert index.numpy()[(c, *o)] == first[0] * 6 + first[1]
            np.testing.assert_allclose(whole[(c, *o)], sum(values) / padded, rtol=1e-6, atol=1e-6)
            np.testing.assert_allclose(inner[(c, *o)], np.mean(values), rtol=1e-6, atol=1e-6)
            assert fixed[(c, *o)] == sum(values) / 2
    assert whole.shape == (*X.shape[:1], *(np.array(o) + 1))
    (g,) = gradient(largest.sum(), x)
    np.testing.assert_array_equal(g.numpy(), hits)


def test_pooling_of_integers_in_one_and_three_axes():
    """As many axes as the window has."""
    x = Tensor(np.arange(24).reshape(2, 3, 4))
    np.testing.assert_array_equal(max_pool2d(x, (3,), 1).numpy(), x.numpy()[..., 2:])
    np.testing.assert_array_equal(max_pool2d(x, (2, 3, 4)).numpy(), [[[23]]])
    np.testing.assert_array_equal(avg_pool2d(x, (1, 1, 2)).numpy()[0, 0], [[0.5, 2.5]][0])
    with pytest.raises(UsageError, match="window"):
        max_pool2d(x, 5)


def test_max_unpool_puts_elements_back():
    """Zeros where none was the largest."""
    x = Tensor(X)
    largest, index = max_pool2d(x, 2, return_indices=True)
    back = max_unpool2d(largest, index, 2, output_size=(7, 6)).numpy()
    kept = back != 0
    np.testing.assert_array_equal(back[kept], X[kept])
    again = np.maximum(largest.numpy(), 0.0)
    np.testing.assert_array_equal(max_pool2d(Tensor(np.maximum(back, 0)), 2).numpy(), again)
    assert max_unpool2d(largest, index, 2).shape == (2, 6, 6)


@pytest.mark.parametrize("bins", [(1, 1), (3, 6), (4, None), 5])
def test_adaptive_pooling(bins):
    """Bin i of o covers floor(i n / o) to ceil((i + 1) n / o)."""
    sizes = [o or n for o, n in zip((bins, bins) if bins == 5 else bins, (7, 6), strict=True)]
    mean, largest = adaptive_avg_pool2d(Tensor(X), bins), adaptive_max_pool2d(Tensor(X), bins)
    for place in np.ndindex(*sizes):
        cuts = [
            slice(i * n // o, -(-(i + 1) * n // o))
            for i, n, o in zip(place, (7, 6), sizes, strict=True)
        ]
        part = X[(slice(None), *cuts)]
        found = mean.numpy()[(slice(None), *place)]
        np.testing.assert_allclose(found, part.mean((1, 2)), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(largest.numpy()[(slice(None), *place)], part.max((1, 2)))
    x = Tensor([[[1.0, 3.0], [3.0, 3.0]]])
    (g,) = gradient(adaptive_max_pool2d(x, 1).sum(), x)
    np.testing.assert_array_equal(g.numpy(), [[[0.0, 1.0], [0.0, 0.0]]])
