"""Losses against formulas in binary64; classes are axis 1."""

import numpy as np
import pytest

from engine import Tensor, UsageError, gradient
from engine import functional as F

RNG = np.random.default_rng(6)
X, Y = RNG.standard_normal((6, 5)) * 2, RNG.standard_normal((6, 5))
P, Q = RNG.uniform(0.05, 0.95, (6, 5)), RNG.uniform(0.05, 0.95, (6, 5))
SIGNS = np.sign(Y)
TARGET = np.array([0, 4, 2, 2, 1, 3], np.int32)
WEIGHT = np.array([0.5, 1.0, 2.0, 0.1, 3.0])


def log_softmax(x, axis=1):
    return x - np.log(np.exp(x).sum(axis, keepdims=True))


def huber(x, y, d):
    size = np.abs(x - y)
    return np.where(size <= d, size**2 / 2, d * (size - d / 2))


def binary(p, y):
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


LOSSES = [  # function, inputs, losses element by element
    (F.mse_loss, (X, Y), (X - Y) ** 2),
    (F.l1_loss, (X, Y), np.abs(X - Y)),
    (F.huber_loss, (X, Y), huber(X, Y, 1.0)),
    (F.smooth_l1_loss, (X, Y), huber(X, Y, 1.0)),
    (lambda *a, **r: F.smooth_l1_loss(*a, beta=0.5, **r), (X, Y), huber(X, Y, 0.5) / 0.5),
    (lambda *a, **r: F.smooth_l1_loss(*a, beta=0.0, **r), (X, Y), np.abs(X - Y)),
    (F.binary_crossentropy, (P, Q), binary(P, Q)),
    (F.binary_crossentropy_logits, (X, Q), binary(1 / (1 + np.exp(-X)), Q)),
    (lambda *a, **r: F.binary_crossentropy_logits(*a, pos_weight=Tensor(WEIGHT), **r), (X, Q),
     -(WEIGHT * Q * -np.log1p(np.exp(-X)) + (1 - Q) * -np.log1p(np.exp(X)))),
    (F.kl_div, (X, Q), Q * (np.log(Q) - X)),
    (lambda *a, **r: F.kl_div(*a, log_target=True, **r), (X, Y), np.exp(Y) * (Y - X)),
    (F.soft_margin_loss, (X, SIGNS), np.log1p(np.exp(-SIGNS * X))),
    (lambda *a, **r: F.margin_ranking_loss(*a, Tensor(SIGNS), 0.2, **r), (X, Y),
     np.maximum(0.2 - SIGNS * (X - Y), 0)),
    (F.cross_entropy, (X, Q), -(log_softmax(X) * Q).sum(1)),
    (lambda *a, **r: F.cross_entropy(*a, label_smoothing=0.2, weight=Tensor(WEIGHT), **r), (X, Q),
     -(log_softmax(X) * WEIGHT * (Q * 0.8 + 0.2 / 5)).sum(1)),
]  # fmt: skip


@pytest.mark.parametrize(("function", "inputs", "losses"), LOSSES)
def test_loss_and_its_reductions(function, inputs, losses):
    """none, sum, mean."""
    tensors = [Tensor(a) for a in inputs]
    for reduction, expected in (("none", losses), ("sum", losses.sum()), ("mean", losses.mean())):
        found = function(*tensors, reduction=reduction).numpy()
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(function(*tensors).numpy(), losses.mean(), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("ignored", [-100, 2])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_cross_entropy_of_classes(ignored, smoothing, weight):
    """Weighted mean over the targets that count, in any number of axes."""
    w = np.ones(5) if weight is None else weight
    tensor = None if weight is None else Tensor(weight)
    options = {"ignore_index": ignored, "label_smoothing": smoothing, "weight": tensor}
    scores = log_softmax(X) * w
    losses = -(1 - smoothing) * scores[np.arange(6), TARGET] - smoothing * scores.mean(1)
    counts = ignored != TARGET
    losses = np.where(counts, losses, 0.0)
    mean = losses.sum() / (w[TARGET] * counts).sum()
    for shape in ((), (3, 2), (1, 3, 2)):  # the six rows laid out over more axes
        x = np.moveaxis(X.reshape(*shape[:1], *shape[1:], 5), -1, 1) if shape else X
        target = TARGET.reshape(shape) if shape else TARGET
        given = Tensor(np.ascontiguousarray(x)), Tensor(target)
        np.testing.assert_allclose(F.cross_entropy(*given, **options).numpy(), mean, rtol=1e-5)
        each = F.cross_entropy(*given, reduction="none", **options).numpy()
        np.testing.assert_allclose(each, losses.reshape(target.shape), rtol=1e-5, atol=1e-6)


def test_cross_entropy_gradient_and_classes_on_the_last_axis():
    """softmax minus one-hot; tinygrad's function ignores -1 and takes classes last."""
    x, target = Tensor(X), Tensor(TARGET)
    (g,) = gradient(F.cross_entropy(x, target, reduction="sum"), x)
    expected = np.exp(log_softmax(X)) - np.eye(5)[TARGET]
    np.testing.assert_allclose(g.numpy(), expected, rtol=1e-5, atol=1e-6)
    some = Tensor(np.where(TARGET == 2, -1, TARGET))
    last = F.sparse_categorical_crossentropy(x.reshape(2, 3, 5), some.reshape(2, 3))
    kept = -log_softmax(X)[np.arange(6), TARGET][TARGET != 2].mean()
    np.testing.assert_allclose(last.numpy(), kept, rtol=1e-5)
    assert F.cross_entropy(x[0], target[0]).shape == ()


def test_probabilities_of_zero_and_one_have_finite_losses():
    """Logarithms are at least -100; 0 log 0 is 0."""
    p, y = Tensor([0.0, 1.0]), Tensor([1.0, 0.0])
    assert F.binary_crossentropy(p, y).item() == 100.0
    assert F.kl_div(Tensor([1.0]), Tensor([0.0])).item() == 0.0


def test_cosine_similarity():
    """The cosine along an axis; 0 for a vector of zeros."""
    expected = (X * Y).sum(1) / np.linalg.norm(X, axis=1) / np.linalg.norm(Y, axis=1)
    np.testing.assert_allclose(F.cosine_similarity(Tensor(X), Tensor(Y)).numpy(), expected, 1e-5)
    assert F.cosine_similarity(Tensor(X), Tensor(Y * 0), 0).numpy().tolist() == [0.0] * 5


def test_batchmean_and_accuracy():
    """The sum over the number of rows; the share of hits."""
    found = F.mse_loss(Tensor(X), Tensor(Y), "batchmean").item()
    np.testing.assert_allclose(found, ((X - Y) ** 2).sum() / 6, rtol=1e-5)
    assert F.accuracy(Tensor(np.eye(4)), Tensor([0, 1, 2, 0])).item() == 0.75


def test_wrong_targets_and_reductions_are_refused():
    """The shapes and the wrong option are named."""
    with pytest.raises(UsageError, match=r"scores \(6, 5\) do not fit targets \(5,\)"):
        F.cross_entropy(Tensor(X), Tensor(TARGET[:5]))
    with pytest.raises(UsageError, match="INT32 classes, or probabilities"):
        F.cross_entropy(Tensor(X), Tensor(TARGET).float())
    with pytest.raises(UsageError, match="'avg'"):
        F.cross_entropy(Tensor(X), Tensor(TARGET), reduction="avg")
