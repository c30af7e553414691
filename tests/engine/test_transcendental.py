"""exp, log, tanh, sigmoid and erf against binary64, in units in the last place."""

import math

import numpy as np
import pytest

from engine import Tensor

RNG = np.random.default_rng(11)
SPECIAL = np.array(
    [
        *(0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1e-38, 1.0, -1.0, 88.72, 88.73),
        *(-87.3, -103.9, -104.0, -1e30, 1e30, 3.4e38, 0.625, -0.625, 0.92773, 0.92774),
    ],
    np.float32,
)
BITS = RNG.integers(0, 2**32, 20_000, dtype=np.uint32).view(np.float32)
UNIFORM = RNG.uniform(-110, 95, 20_000).astype(np.float32)
NORMAL = RNG.standard_normal(20_000).astype(np.float32)
ALL = np.concatenate([SPECIAL, BITS, UNIFORM, NORMAL])


def check(actual, exact, ulps):
    """`actual` is within `ulps` of `exact`, with the same infinities and NaNs."""
    with np.errstate(over="ignore"):
        rounded = exact.astype(np.float32)
    is_finite = np.isfinite(rounded)
    np.testing.assert_array_equal(actual[~is_finite], rounded[~is_finite])
    assert np.isfinite(actual[is_finite]).all()
    unit = np.maximum(np.spacing(np.abs(rounded[is_finite])), np.float32(2.0**-149))
    error = np.abs(actual[is_finite] - exact[is_finite]) / unit
    assert error.max() <= ulps


@pytest.mark.parametrize(
    ("name", "reference", "ulps"),
    [
        ("exp", np.exp, 1.0),
        ("log", np.log, 1.0),
        ("tanh", np.tanh, 1.5),
        ("sigmoid", lambda x: 1 / (1 + np.exp(-x)), 2.5),
        ("erf", np.vectorize(math.erf, otypes=[np.float64]), 1.0),
    ],
)
def test_error_is_bounded_everywhere(name, reference, ulps):
    """Every kind of argument: random bits, the useful range, zeros, infinities, NaN, subnormals."""
    with np.errstate(all="ignore"):
        exact = reference(ALL.astype(np.float64))
    check(getattr(Tensor(ALL), name)().numpy(), exact, ulps)


@pytest.mark.parametrize(
    ("name", "at", "expected"),
    [
        ("exp", -np.inf, 0.0),
        ("exp", np.inf, np.inf),
        ("exp", 0.0, 1.0),
        ("log", 1.0, 0.0),
        ("log", -0.0, -np.inf),
        ("log", np.inf, np.inf),
        ("log", -1e-45, np.nan),
        ("tanh", -np.inf, -1.0),
        ("sigmoid", -np.inf, 0.0),
        ("erf", np.inf, 1.0),
    ],
)
def test_limits_are_exact(name, at, expected):
    """What the functions tend to."""
    np.testing.assert_array_equal(getattr(Tensor([at]), name)().numpy(), [np.float32(expected)])


def test_odd_functions_keep_the_sign_of_zero():
    """tanh and erf of -0 are -0."""
    for name in ("tanh", "erf"):
        assert np.signbit(getattr(Tensor([-0.0]), name)().numpy()[0])
