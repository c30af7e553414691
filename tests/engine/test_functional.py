"""Losses and activations against formulas in binary64."""

import numpy as np
import pytest

from engine import Tensor, UsageError
from engine import functional as F

RNG = np.random.default_rng(5)
LOGITS = RNG.standard_normal((6, 5)) * 3
TARGET = np.array([0, 4, 2, 2, 1, 3], np.int32)


def log_softmax(x):
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def close(tensor, expected):
    np.testing.assert_allclose(tensor.numpy(), expected, rtol=2e-6, atol=2e-6)


def test_cross_entropy_and_its_reductions():
    """Minus the log softmax at the target."""
    losses = -log_softmax(LOGITS)[np.arange(6), TARGET]
    logits, target = Tensor(LOGITS), Tensor(TARGET)
    close(F.cross_entropy(logits, target), losses.mean())
    close(F.cross_entropy(logits, target, "sum"), losses.sum())
    close(F.cross_entropy(logits, target, "none"), losses)
    close(F.cross_entropy(logits.reshape(2, 3, 5), target.reshape(2, 3)), losses.mean())


def test_softmax_of_large_numbers_does_not_overflow():
    """The largest is subtracted first."""
    x = Tensor([[1000.0, 0.0], [-1000.0, -1000.0]])
    np.testing.assert_array_equal(F.softmax(x).numpy(), [[1.0, 0.0], [0.5, 0.5]])
    np.testing.assert_array_equal(F.logsumexp(x).numpy(), np.float32([1000.0, -1000 + np.log(2)]))
    np.testing.assert_array_equal(F.log_softmax(x).numpy()[0], [0.0, -1000.0])


def test_accuracy_counts_hits():
    """The share of rows whose largest logit is the target's."""
    assert F.accuracy(Tensor(np.eye(4)), Tensor([0, 1, 2, 0])).item() == 0.75


def test_layer_norm_scales_and_shifts():
    """Mean bias, standard deviation weight."""
    y = F.layer_norm(Tensor(LOGITS), Tensor([2.0] * 5), Tensor([1.0] * 5), eps=0.0)
    close(y.mean(-1), np.ones(6))
    close(y.var(-1, correction=0).sqrt(), np.full(6, 2.0))


def test_clip_grad_norm_scales_all_alike():
    """Above the limit the joint norm becomes the limit; below nothing changes."""
    gradients = {"a": Tensor([3.0, 0.0]), "b": Tensor([[4.0]])}
    clipped, norm = F.clip_grad_norm(gradients, 1.0)
    assert norm.item() == 5.0
    close(clipped["a"], [0.6, 0.0])
    close(clipped["b"], [[0.8]])
    kept, _ = F.clip_grad_norm(gradients, 10.0)
    np.testing.assert_array_equal(kept["a"].numpy(), [3.0, 0.0])


def test_mismatched_targets_are_refused():
    """The shapes and the wrong option are named."""
    with pytest.raises(UsageError, match=r"scores \(6, 5\) do not fit targets \(5,\)"):
        F.cross_entropy(Tensor(LOGITS), Tensor(TARGET[:5]))
    with pytest.raises(UsageError, match="INT32 classes, not FLOAT32"):
        F.cross_entropy(Tensor(LOGITS), Tensor(TARGET).float())
    with pytest.raises(UsageError, match="'avg'"):
        F.cross_entropy(Tensor(LOGITS), Tensor(TARGET), "avg")
    with pytest.raises(UsageError, match="'fast'"):
        F.gelu(Tensor(LOGITS), "fast")
