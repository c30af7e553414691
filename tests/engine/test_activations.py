"""Activations against formulas in binary64, their gradients against its differences."""

import numpy as np
import pytest

from engine import Tensor, UsageError, gradient
from engine import functional as F

X = np.random.default_rng(5).standard_normal((4, 3, 6)) * 3
ALPHA, GAMMA = 1.6732632423543772, 1.0507009873554805


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.log1p(np.exp(x))


def softmax(x, axis=-1):
    y = np.exp(x - x.max(axis, keepdims=True))
    return y / y.sum(axis, keepdims=True)


def elu(x, alpha=1.0, slope=1.0):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) * slope))


FUNCTIONS = [
    (F.relu, lambda x: np.maximum(x, 0)),
    (F.relu6, lambda x: np.clip(x, 0, 6)),
    (F.leaky_relu, lambda x: np.where(x > 0, x, 0.01 * x)),
    (lambda x: F.leaky_relu(x, 0.3), lambda x: np.where(x > 0, x, 0.3 * x)),
    (F.elu, elu),
    (lambda x: F.elu(x, 0.4), lambda x: elu(x, 0.4)),
    (lambda x: F.celu(x, 0.4), lambda x: elu(x, 0.4, 2.5)),
    (F.selu, lambda x: GAMMA * elu(x, ALPHA)),
    (F.silu, lambda x: x * sigmoid(x)),
    (F.quick_gelu, lambda x: x * sigmoid(1.702 * x)),
    (F.softplus, softplus),
    (lambda x: F.softplus(x, 2.0), lambda x: softplus(2 * x) / 2),
    (F.logsigmoid, lambda x: -softplus(-x)),
    (F.mish, lambda x: x * np.tanh(softplus(x))),
    (F.softsign, lambda x: x / (1 + np.abs(x))),
    (F.tanhshrink, lambda x: x - np.tanh(x)),
    (F.softshrink, lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0)),
    (F.hardshrink, lambda x: np.where(np.abs(x) > 0.5, x, 0)),
    (F.hardtanh, lambda x: np.clip(x, -1, 1)),
    (F.hardsigmoid, lambda x: np.clip(x / 6 + 0.5, 0, 1)),
    (F.hardswish, lambda x: x * np.clip(x + 3, 0, 6) / 6),
    (lambda x: F.threshold(x, 1.0, -2.0), lambda x: np.where(x > 1, x, -2)),
    (lambda x: F.glu(x, 0), lambda x: x[:2] * sigmoid(x[2:])),
    (F.glu, lambda x: x[..., :3] * sigmoid(x[..., 3:])),
    (F.softmax, softmax),
    (lambda x: F.softmax(x, 1), lambda x: softmax(x, 1)),
    (F.softmin, lambda x: softmax(-x)),
    (lambda x: F.log_softmax(x, 0), lambda x: np.log(softmax(x, 0))),
    (F.logsumexp, lambda x: np.log(np.exp(x).sum())),
    (lambda x: F.logsumexp(x, (0, 2)), lambda x: np.log(np.exp(x).sum((0, 2)))),
    (lambda x: F.logsumexp(x, 1, True), lambda x: np.log(np.exp(x).sum(1, keepdims=True))),
    (lambda x: F.prelu(x, Tensor([0.1, 0.2, 0.3])),
     lambda x: np.where(x > 0, x, x * np.array([[0.1], [0.2], [0.3]]))),
]  # fmt: skip


def slope(function, x, g):
    """The gradient of the sum of function(x) * g, by central differences."""
    found = np.zeros_like(x)
    for at in np.ndindex(*x.shape):
        step = np.zeros_like(x)
        step[at] = 1e-6
        found[at] = ((function(x + step) - function(x - step)) * g).sum() / 2e-6
    return found


@pytest.mark.parametrize(("ours", "formula"), FUNCTIONS)
def test_activation_and_its_gradient(ours, formula):
    """To single precision, values and slopes."""
    x = Tensor(X)
    y = ours(x)
    expected = formula(X)
    np.testing.assert_allclose(y.numpy(), expected, rtol=2e-6, atol=2e-6)
    g = np.random.default_rng(1).standard_normal(expected.shape)
    (found,) = gradient((y * Tensor(g)).sum(), x)
    np.testing.assert_allclose(found.numpy(), slope(formula, X, g), rtol=2e-4, atol=2e-5)


CORNERS = [  # what torch says of the gradient where a function has a corner
    (F.relu, 0.0, 0.0),
    (F.leaky_relu, 0.0, 0.01),
    (F.elu, 0.0, 1.0),
    (F.softplus, 0.0, 0.5),
    (F.relu6, 0.0, 0.0),
    (F.relu6, 6.0, 0.0),
    (F.hardtanh, 1.0, 0.0),
    (F.hardtanh, -1.0, 0.0),
    (F.hardsigmoid, 3.0, 0.0),
    (F.hardswish, 3.0, 1.0),
    (F.hardswish, -3.0, 0.0),
    (F.softshrink, 0.5, 0.0),
    (F.hardshrink, -0.5, 0.0),
    (F.elu, 200.0, 1.0),
    (F.softplus, 200.0, 1.0),
    (F.mish, -200.0, 0.0),
]


@pytest.mark.parametrize(("function", "at", "expected"), CORNERS)
def test_gradient_at_corners_and_far_out(function, at, expected):
    """One-sided where torch is, and never NaN."""
    x = Tensor([at])
    (found,) = gradient(function(x).sum(), x)
    np.testing.assert_allclose(found.numpy(), [expected], rtol=1e-6)


def test_large_numbers_do_not_overflow():
    """The largest is subtracted first; infinities give limits."""
    x = Tensor([[1000.0, 0.0], [-1000.0, -1000.0]])
    np.testing.assert_array_equal(F.softmax(x).numpy(), [[1.0, 0.0], [0.5, 0.5]])
    expected = np.float32([1000.0, -1000 + np.log(2)])
    np.testing.assert_array_equal(F.logsumexp(x, -1).numpy(), expected)
    np.testing.assert_array_equal(F.log_softmax(x).numpy()[0], [0.0, -1000.0])
    ends = Tensor([[np.inf, 0.0], [-np.inf, -np.inf], [np.nan, 0.0]])
    np.testing.assert_array_equal(F.logsumexp(ends, -1).numpy(), [np.inf, -np.inf, np.nan])
    assert F.softplus(Tensor(100.0)).item() == 100.0
    assert np.isnan(F.hardtanh(Tensor(np.nan)).item())


def test_wrong_calls_are_refused():
    """The wrong option is named."""
    with pytest.raises(UsageError, match="'fast'"):
        F.gelu(Tensor(X), "fast")
    with pytest.raises(UsageError, match="length 3"):
        F.glu(Tensor(X), 1)
