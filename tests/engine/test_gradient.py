"""Gradients against central differences of the same function in binary64 numpy."""

import numpy as np
import pytest

from engine import Tensor, UsageError, gradient
from engine import functional as F

RNG = np.random.default_rng(3)
X = RNG.uniform(0.5, 2.0, (3, 4))
Y = RNG.uniform(-2.0, 2.0, (3, 4))
Z = RNG.standard_normal((2, 3, 4))
INDEX = np.array([2, 0, 2, 5, -5], np.int32)


def check(function, reference, *arrays, rtol=2e-3):
    """The gradient of a weighted sum of `function` is that of `reference`, for every argument."""
    tensors = [Tensor(a) for a in arrays]
    result = function(*tensors)
    weights = RNG.standard_normal(result.shape)
    np.testing.assert_allclose(result.numpy(), reference(*arrays), rtol=1e-4, atol=1e-5)
    found = gradient((result * Tensor(weights)).sum(), *tensors)
    for at, array in enumerate(arrays):
        expected = np.zeros(array.shape)
        for place in np.ndindex(*array.shape):
            expected[place] = difference(reference, arrays, at, place, weights)
        np.testing.assert_allclose(found[at].numpy(), expected, rtol=rtol, atol=1e-4)


def difference(reference, arrays, at, place, weights):
    """The central difference of the weighted sum by one element."""
    step, values = 1e-6, []
    for sign in (1, -1):
        moved = [a.astype(np.float64).copy() for a in arrays]
        moved[at][place] += sign * step
        values.append(np.sum(reference(*moved) * weights))
    return (values[0] - values[1]) / (2 * step)


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def layer_norm(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def pick(x, index):
    """Rows by index, zeros out of range."""
    inside = (index >= 0) & (index < len(x))
    return np.where(inside[:, None], x[np.where(inside, index, 0)], 0.0)


def erf(x):
    from math import erf

    return np.vectorize(erf)(x)


@pytest.mark.parametrize(
    ("function", "reference", "arrays"),
    [
        (lambda x, y: x + y, lambda x, y: x + y, (X, Y)),
        (lambda x, y: x - y[0], lambda x, y: x - y[0], (X, Y)),
        (lambda x, y: x[:, :1] * y, lambda x, y: x[:, :1] * y, (X, Y)),
        (lambda x, y: y / x, lambda x, y: y / x, (X, Y)),
        (lambda x, y: y.fma(x, y), lambda x, y: y * x + y, (X, Y)),
        (lambda x: x.sqrt(), np.sqrt, (X,)),
        (lambda x: x**3 - 2 * x**-2, lambda x: x**3 - 2 * x**-2.0, (X,)),
        (lambda x: x**0.5 + x**-0.5, lambda x: x**0.5 + x**-0.5, (X,)),
        (lambda y: y.exp(), np.exp, (Y,)),
        (lambda x: x.log(), np.log, (X,)),
        (lambda y: y.tanh(), np.tanh, (Y,)),
        (lambda y: y.sigmoid(), lambda y: 1 / (1 + np.exp(-y)), (Y,)),
        (lambda y: y.erf(), erf, (Y,)),
        (lambda y: y.abs(), np.abs, (Y,)),
        (F.relu, lambda y: np.maximum(y, 0), (Y,)),
        (F.gelu, lambda y: y * 0.5 * (1 + erf(y / np.sqrt(2))), (Y,)),
        (lambda y: F.gelu(y, "tanh"),
         lambda y: 0.5 * y * (1 + np.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * y**3))), (Y,)),
        (F.silu, lambda y: y / (1 + np.exp(-y)), (Y,)),
        (lambda x, y: (y > 0).where(x, y), lambda x, y: np.where(y > 0, x, y), (X, Y)),
        (lambda x, y: x.maximum(y) + x.minimum(1.0),
         lambda x, y: np.maximum(x, y) + np.minimum(x, 1), (X, Y)),
    ],
)  # fmt: skip
def test_elementwise_gradients(function, reference, arrays):
    """Elementwise ops and activations."""
    check(function, reference, *arrays)


@pytest.mark.parametrize(
    ("function", "reference", "arrays"),
    [
        (lambda z: z.sum(), np.sum, (Z,)),
        (lambda z: z.sum((0, 2)), lambda z: z.sum((0, 2)), (Z,)),
        (lambda z: z.mean(1, keepdim=True), lambda z: z.mean(1, keepdims=True), (Z,)),
        (lambda z: z.var(-1), lambda z: z.var(-1, ddof=1), (Z,)),
        (lambda z: z.amax(1), lambda z: z.max(1), (Z,)),
        (lambda z: z.min(), np.min, (Z,)),
        (lambda x, y: x @ y.T, lambda x, y: x @ y.T, (X, Y)),
        (lambda x, z: z @ x.T, lambda x, z: z @ x.T, (X, Z)),
        (lambda x, z: x.unsqueeze(0) @ z.transpose(), lambda x, z: x @ z.swapaxes(1, 2), (X, Z)),
        (lambda x, y: x[0] @ y[1], lambda x, y: x[0] @ y[1], (X, Y)),
        (lambda x: x[Tensor(INDEX)], lambda x: pick(x, INDEX), (X,)),
        (F.softmax, softmax, (Y,)),
        (lambda y: F.log_softmax(y, 0), lambda y: np.log(softmax(y, 0)), (Y,)),
        (lambda y: F.logsumexp(y, -1), lambda y: np.log(np.exp(y).sum(-1)), (Y,)),
        (lambda y: F.mse_loss(y, Tensor(X)), lambda y: ((y - X) ** 2).mean(), (Y,)),
        (lambda y: F.cross_entropy(y, Tensor([1, 0, 3])),
         lambda y: -np.log(softmax(y)[[0, 1, 2], [1, 0, 3]]).mean(), (Y,)),
        (lambda z: F.layer_norm(z), layer_norm, (Z,)),
    ],
)  # fmt: skip
def test_fold_gradients(function, reference, arrays):
    """Sums, maxima, products, rows and what is made of them."""
    check(function, reference, *arrays)


@pytest.mark.parametrize(
    ("function", "reference"),
    [
        (lambda z: z.reshape(4, 6), lambda z: z.reshape(4, 6)),
        (lambda z: z.permute(2, 0, 1), lambda z: z.transpose(2, 0, 1)),
        (lambda z: z[:, 1:, ::2], lambda z: z[:, 1:, ::2]),
        (lambda z: z[1, ::-2, 3:0:-2], lambda z: z[1, ::-2, 3:0:-2]),
        (lambda z: z.flip((0, 2)), lambda z: z[::-1, :, ::-1]),
        (lambda z: z.pad(((1, 0), (0, 2), (0, 0))), lambda z: np.pad(z, ((1, 0), (0, 2), (0, 0)))),
        (lambda z: z.expand(3, 2, 3, 4), lambda z: np.broadcast_to(z, (3, 2, 3, 4))),
        (lambda z: Tensor.cat([z, z[:1], z * z]), lambda z: np.concatenate([z, z[:1], z * z])),
        (lambda z: Tensor.stack([z[0], z[1]], 1), lambda z: np.stack([z[0], z[1]], 1)),
    ],
)
def test_movement_gradients(function, reference):
    """A gradient goes back to where its element came from."""
    check(function, reference, Z)


def test_ties_share_the_gradient_of_a_maximum():
    """Equal maxima get equal parts."""
    x = Tensor([2.0, 1.0, 2.0])
    (found,) = gradient(x.max(), x)
    np.testing.assert_array_equal(found.numpy(), [0.5, 0.0, 0.5])


def test_detach_stops_the_gradient():
    """Nothing flows through detach, sign or an integer."""
    x = Tensor([2.0, -3.0])
    (found,) = gradient((x.detach() * x + x.sign() + x.int()).sum(), x)
    np.testing.assert_array_equal(found.numpy(), [2.0, -3.0])


def test_relu_gradient_is_zero_at_zero():
    """The subgradient at 0 is 0, as in torch."""
    x = Tensor([0.0, -0.0, 1.0])
    (found,) = gradient(F.relu(x).sum(), x)
    np.testing.assert_array_equal(found.numpy(), [0.0, 0.0, 1.0])


def test_gradient_of_gradient():
    """Gradients are graph, so they have gradients: (x**3)'' = 6 x."""
    x = Tensor([2.0, -1.0])
    (first,) = gradient((x**3).sum(), x)
    (second,) = gradient(first.sum(), x)
    np.testing.assert_array_equal(second.numpy(), [12.0, -6.0])


def test_gradient_of_the_unused_is_zero():
    """A tensor that the loss does not depend on has gradient 0; the loss itself has 1."""
    x, y = Tensor([2.0]), Tensor([[3.0]])
    loss = x.sum()
    by_y, by_loss = gradient(loss, y, loss)
    assert (by_y.shape, by_y.item(), by_loss.item()) == ((1, 1), 0.0, 1.0)


def test_gradient_flows_through_a_target():
    """A target in the middle does not hide what lies behind it."""
    x = Tensor([2.0])
    y = x * x
    by_x, by_y = gradient((y * 3).sum(), x, y)
    assert (by_x.item(), by_y.item()) == (12.0, 3.0)


def test_backward_adds_to_grad():
    """backward fills grad where it is required, adds on the second call, leaves others alone."""
    x, plain = Tensor([1.0, 2.0], requires_grad=True), Tensor([5.0, 5.0])
    unrelated = Tensor([1.0], requires_grad=True)
    loss = (x * x * plain).sum()
    loss.backward()
    loss.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [20.0, 40.0])
    assert (plain.grad, unrelated.grad) == (None, None)


def test_gradient_needs_a_float_scalar():
    """A loss that is no FLOAT32 scalar is refused with its type."""
    x = Tensor([1.0, 2.0])
    with pytest.raises(UsageError, match=r"scalar loss, not \(2,\)"):
        gradient(x, x)
    with pytest.raises(UsageError, match="INT32"):
        gradient(x.int().sum(), x)
    with pytest.raises(UsageError, match="INT32"):
        x.int().sum().backward()
