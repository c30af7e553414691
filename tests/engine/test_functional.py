"""Attention, normalisation, resizing and clipping against formulas in binary64."""

import numpy as np
import pytest

from engine import Tensor, UsageError, gradient
from engine import functional as F

RNG = np.random.default_rng(5)
X = RNG.standard_normal((3, 6, 4, 2)) + 1
W, B = RNG.random(6), RNG.random(6)


def close(tensor, expected, rtol=1e-5):
    np.testing.assert_allclose(tensor.numpy(), expected, rtol=rtol, atol=3e-6)


def standard(x, axes, eps=1e-5, shift=True):
    distance = x - x.mean(axes, keepdims=True) * shift
    return distance / np.sqrt((distance**2).mean(axes, keepdims=True) + eps)


def channels(a):
    return a.reshape(-1, 1, 1)


NORMS = [
    (lambda x: F.layer_norm(x), lambda x: standard(x, -1)),
    (lambda x: F.layer_norm(x, (4, 2)), lambda x: standard(x, (2, 3))),
    (lambda x: F.layer_norm(x, 2, Tensor(W[:2]), Tensor(B[:2]), 0.1),
     lambda x: standard(x, -1, 0.1) * W[:2] + B[:2]),
    (lambda x: F.rms_norm(x, (4, 2), eps=0.01), lambda x: standard(x, (2, 3), 0.01, False)),
    (lambda x: F.instance_norm(x), lambda x: standard(x, (2, 3))),
    (lambda x: F.group_norm(x, 2, Tensor(W), Tensor(B)),
     lambda x: standard(x.reshape(3, 2, -1), 2).reshape(x.shape) * channels(W) + channels(B)),
    (lambda x: F.batch_norm(x, training=True), lambda x: standard(x, (0, 2, 3))),
    (lambda x: F.batch_norm(x, Tensor(B), Tensor(W), Tensor(B), Tensor(W), eps=0.0),
     lambda x: (x - channels(B)) / np.sqrt(channels(W)) * channels(B) + channels(W)),
    (lambda x: F.batchnorm(x, None, None, Tensor(B), Tensor(W)),
     lambda x: (x - channels(B)) * channels(W)),
    (lambda x: F.normalize(x), lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)),
]  # fmt: skip


@pytest.mark.parametrize(("ours", "formula"), NORMS)
def test_norm_and_its_gradient(ours, formula):
    """Along a direction the value changes as its gradient says."""
    x = Tensor(X)
    y = ours(x)
    close(y, formula(X))
    g, step = RNG.standard_normal(X.shape), RNG.standard_normal(X.shape) * 1e-6
    (found,) = gradient((y * Tensor(g)).sum(), x)
    moved = ((formula(X + step) - formula(X - step)) * g).sum() / 2
    np.testing.assert_allclose((found.numpy() * step).sum(), moved, rtol=1e-3, atol=1e-10)


def test_running_statistics_follow_the_batch():
    """The variance that runs is the unbiased one; no gradient flows into them."""
    mean, var = F.running_statistics(Tensor(X), Tensor(B), Tensor(W), 0.3)
    close(mean, 0.7 * B + 0.3 * X.mean((0, 2, 3)))
    close(var, 0.7 * W + 0.3 * X.var((0, 2, 3), ddof=1))
    with pytest.raises(UsageError, match=r"does not end with the shape \(3,\)"):
        F.layer_norm(Tensor(X), 3)


def attend(q, k, v, mask, scale):
    scores = np.where(mask, q @ k.swapaxes(-1, -2) * scale, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ v


def test_attention_with_masks_and_shared_heads():
    """A BOOL mask names what counts, others are added; causal cuts the upper triangle."""
    q, k, v = (RNG.standard_normal((2, 4, n, 8)) for n in (5, 6, 6))
    tensors = [Tensor(a) for a in (q, k, v)]
    mask = RNG.random((5, 6)) < 0.6
    mask[:, 0] = True
    causal = np.tri(5, 6, dtype=bool)
    full = np.ones((5, 6), bool)
    attention = F.scaled_dot_product_attention
    close(attention(*tensors), attend(q, k, v, full, 8**-0.5))
    close(attention(*tensors, is_causal=True, scale=0.2), attend(q, k, v, causal, 0.2))
    close(attention(*tensors, Tensor(mask)), attend(q, k, v, mask, 8**-0.5))
    close(attention(*tensors, Tensor(np.where(mask, 0.0, -1e9))), attend(q, k, v, mask, 8**-0.5))
    mask[2] = False
    assert not attention(*tensors, Tensor(mask)).numpy()[:, :, 2].any()
    few = attention(tensors[0], tensors[1][:, :2], tensors[2][:, :2], enable_gqa=True)
    shared = (a[:, :2].repeat(2, 1) for a in (k, v))
    close(few, attend(q, *shared, full, 8**-0.5))


def source(places, n, m, corners):
    at = np.arange(places)
    return at * (n - 1) / (m - 1) if corners else np.clip((at + 0.5) * n / m - 0.5, 0, n - 1)


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("size", [(9, 3), (2, 5)])
def test_linear_interpolation(corners, size):
    """Axis by axis what numpy interpolates."""
    expected = X
    for axis, m in ((2, size[0]), (3, size[1])):
        at = source(m, expected.shape[axis], m, corners)
        places = np.arange(expected.shape[axis])
        expected = np.apply_along_axis(lambda v, a=at, p=places: np.interp(a, p, v), axis, expected)
    close(F.interpolate(Tensor(X), size, mode="bilinear", align_corners=corners), expected)


def test_other_interpolations():
    """Nearest places, means of areas, and Keys' kernel as torch computed it."""
    x = Tensor(X)
    close(F.interpolate(x, (6, 3)), X[:, :, [0, 0, 1, 2, 2, 3]][..., [0, 0, 1]])
    close(
        F.interpolate(x, (6, 3), mode="nearest-exact"), X[:, :, [0, 1, 1, 2, 3, 3]][..., [0, 1, 1]]
    )
    close(
        F.interpolate(x, scale_factor=0.5, mode="area"),
        X.reshape(3, 6, 2, 2, 2).mean((3, 4))[..., None],
    )
    small = Tensor([[[[1.0, 2.0, 4.0], [0.0, -1.0, 8.0]]]])
    cubic = F.interpolate(small, (3, 4), mode="bicubic")
    close(cubic[0, 0, 1], [0.5, -0.104248046875, 2.48193359375, 6.394775390625])
    cubic = F.interpolate(small, (3, 4), mode="bicubic", align_corners=True)
    close(cubic[0, 0, 1], [0.5, -0.1111113503575325, 2.231480360031128, 6.0])
    for arguments in ({}, {"size": 3, "mode": "cubic"}):
        with pytest.raises(UsageError):
            F.interpolate(x, **arguments)


def test_pixel_shuffle_and_back():
    """Channel c r r + i r + j becomes place (i, j) of channel c."""
    x = np.arange(2 * 8 * 3 * 2).reshape(2, 8, 3, 2)
    y = F.pixel_shuffle(Tensor(x), 2)
    assert y.shape == (2, 2, 6, 4)
    np.testing.assert_array_equal(y.numpy()[:, 1, 1::2, 0::2], x[:, 4 + 2])
    np.testing.assert_array_equal(F.pixel_unshuffle(y, 2).numpy(), x)


def test_clip_grad_norm_scales_all_alike():
    """Above the limit the joint norm becomes the limit; below nothing changes."""
    gradients = {"a": Tensor([3.0, 0.0]), "b": Tensor([[4.0]])}
    clipped, norm = F.clip_grad_norm(gradients, 1.0)
    assert norm.item() == 5.0
    close(clipped["a"], [0.6, 0.0])
    close(clipped["b"], [[0.8]])
    kept, _ = F.clip_grad_norm(gradients, 10.0)
    np.testing.assert_array_equal(kept["a"].numpy(), [3.0, 0.0])
