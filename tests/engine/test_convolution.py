"""Convolutions, their transposes and padding against sums over windows in binary64."""

from itertools import product

import numpy as np
import pytest

from engine import Tensor, UsageError, gradient
from engine.convolution import conv2d
from engine.windows import pad

RNG = np.random.default_rng(2)
X, W, B = RNG.standard_normal((2, 4, 6, 5)), RNG.standard_normal((6, 4, 3, 2)), RNG.random(6)


def plain(x, w, groups, stride, dilation, padding):
    """Convolution as a loop over places."""
    x = np.pad(x, [(0, 0), (0, 0), *[(padding, padding)] * 2])
    size = [(k - 1) * dilation + 1 for k in w.shape[2:]]
    counts = [(n - k) // stride + 1 for n, k in zip(x.shape[2:], size, strict=True)]
    out = np.zeros((x.shape[0], w.shape[0], *counts))
    ci, co = w.shape[1], w.shape[0] // groups
    for o, i, j in product(range(w.shape[0]), range(counts[0]), range(counts[1])):
        rows = slice(i * stride, i * stride + size[0], dilation)
        columns = slice(j * stride, j * stride + size[1], dilation)
        part = x[:, o // co * ci : (o // co + 1) * ci, rows, columns]
        out[:, o, i, j] = (part * w[o]).sum((1, 2, 3))
    return out


def close(tensor, expected):
    np.testing.assert_allclose(tensor.numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("groups", "stride", "dilation", "padding"),
    [(1, 1, 1, 0), (2, 1, 1, 2), (1, 2, 1, 1), (2, 3, 2, 3), (1, 1, 2, 1), (2, 2, 1, 0)],
)
def test_convolution_and_its_gradients(groups, stride, dilation, padding):
    """The map is linear in each operand, so <g, conv(x, w)> = <x, dx> = <w, dw> fixes both."""
    w = W[:, : 4 // groups]
    expected = plain(X, w, groups, stride, dilation, padding)
    x, weight = Tensor(X), Tensor(w)
    y = conv2d(x, weight, None, stride, padding, dilation, groups)
    close(y, expected)
    g = RNG.standard_normal(expected.shape)
    by_x, by_w = gradient((y * Tensor(g)).sum(), x, weight)
    for k in range(2):  # along random directions
        dx, dw = RNG.standard_normal(X.shape), RNG.standard_normal(w.shape)
        moved = (g * plain(dx, w, groups, stride, dilation, padding)).sum()
        np.testing.assert_allclose(
            (by_x.numpy() * dx).sum(), moved, rtol=1e-4, atol=1e-3, err_msg=k
        )
        moved = (g * plain(X, dw, groups, stride, dilation, padding)).sum()
        np.testing.assert_allclose((by_w.numpy() * dw).sum(), moved, rtol=1e-4, atol=1e-3)

    if expected.shape[2] > 1:  # transposed: from the results' shape back to the inputs'
        rest = [(n + 2 * padding - (k - 1) * dilation - 1) % stride for n, k in ((6, 3), (5, 2))]
        back = Tensor(g).conv_transpose2d(weight, None, groups, stride, dilation, padding, rest)
        close(back, by_x.numpy())


def test_convolution_in_one_and_three_axes_with_bias_and_without_a_batch():
    """Every number of axes is the same operation."""
    expected = plain(X, W, 1, 1, 1, 0) + B[:, None, None]
    close(conv2d(Tensor(X), Tensor(W), Tensor(B)), expected)
    close(conv2d(Tensor(X[1]), Tensor(W), Tensor(B)), expected[1])
    line = plain(X[:, :, :1], W[:, :, :1], 1, 1, 1, 0)[:, :, 0]
    close(conv2d(Tensor(X[:, :, 0]), Tensor(W[:, :, 0])), line)
    cube = conv2d(Tensor(X[:, :, None]), Tensor(W[:, :, None]), padding=(1, 0, 0))
    close(cube[:, :, 1] + Tensor(B[:, None, None]), expected)
    assert cube.shape[2] == 3


def test_padding_of_a_convolution():
    """'same' keeps the shape, the odd place at the high side; flat padding is as in torch."""
    same = conv2d(Tensor(X), Tensor(W), padding="same")
    close(same, plain(np.pad(X, [(0, 0), (0, 0), (1, 1), (0, 1)]), W, 1, 1, 1, 0))
    close(conv2d(Tensor(X), Tensor(W), padding=(0, 1, 1, 1)), same.numpy())
    close(conv2d(Tensor(X), Tensor(W), padding="valid"), plain(X, W, 1, 1, 1, 0))


@pytest.mark.parametrize(
    ("shape", "arguments"),
    [
        ((2, 5, 6, 5), {}),
        ((2, 4, 2, 5), {}),
        ((4, 6), {}),
        ((2, 4, 6, 5), {"groups": 3}),
        ((2, 4, 6, 5), {"stride": 0}),
        ((2, 4, 6, 5), {"padding": (1, 2, 3)}),
        ((2, 4, 6, 5), {"padding": "full"}),
        ((2, 4, 6, 5), {"padding": "same", "stride": 2}),
    ],
)
def test_convolution_that_does_not_fit_is_refused(shape, arguments):
    """An error says what does not fit."""
    with pytest.raises(UsageError):
        conv2d(Tensor(np.zeros(shape)), Tensor(W), **arguments)


MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap", "constant": "constant"}


@pytest.mark.parametrize(("mode", "named"), MODES.items())
def test_pad_as_numpy_does(mode, named):
    """Flat widths begin at the last axis; pairs name every axis."""
    expected = np.pad(X[0, 0], [(2, 1), (3, 0)], named)
    close(pad(Tensor(X[0, 0]), (3, 0, 2, 1), mode), expected)
    close(pad(Tensor(X[0, 0]), ((2, 1), (3, 0)), mode), expected)
    close(pad(Tensor(X[0, 0]), (-1, 0, 0, -2), mode), X[0, 0, :-2, 1:])
    (g,) = gradient(pad(x := Tensor(X[0, 0]), (3, 0, 2, 1), mode).sum(), x)
    assert g.sum().item() == (expected.size if mode != "constant" else X[0, 0].size)


def test_pad_with_a_number_and_what_it_refuses():
    """The number is exact; widths beyond what there is to mirror are an error."""
    x = Tensor([[1.0, np.nan]])
    np.testing.assert_array_equal(pad(x, (1, 0), value=-np.inf).numpy(), [[-np.inf, 1.0, np.nan]])
    for mode, width in (("reflect", 2), ("circular", 3), ("mirror", 1)):
        with pytest.raises(UsageError, match=mode):
            pad(x, (width, 0), mode)
