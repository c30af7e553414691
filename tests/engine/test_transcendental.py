"""Lowered functions against binary64, by the rules of benchmarks/ulp.py, and what must be exact."""

import itertools

import numpy as np
import pytest

from benchmarks.ulp import BINARY, TRUTH, distances
from engine import elementwise, graph, transcendental
from engine.backend import open_backend
from engine.dtypes import DType
from engine.lower import lower

RNG = np.random.default_rng(11)
SPECIAL = np.array(
    [
        *(0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1e-38, 1.0, -1.0, 88.72, 88.73),
        *(-87.3, -103.9, -104.0, -1e30, 1e30, 3.4e38, 0.625, -0.625, 0.92773, 0.92774),
        *(np.pi, np.pi / 2, np.pi / 4, 33.0, 710.0, 7.5e12, 0.5, 0.70710677, 1.4142135),
    ],
    np.float32,
)
BITS = RNG.integers(0, 2**32, 8_000, dtype=np.uint32).view(np.float32)
UNIFORM = RNG.uniform(-110, 95, 4_000).astype(np.float32)
NORMAL = RNG.standard_normal(4_000).astype(np.float32)
ALL = np.concatenate([SPECIAL, BITS, UNIFORM, NORMAL])
ULPS = dict.fromkeys(TRUTH, 1.5) | {"pow": 2.0}
PAIRS = np.array(list(itertools.product(SPECIAL, SPECIAL)), np.float32).T


def run(name: str, *arguments: np.ndarray) -> np.ndarray:
    """The function's results on the reference."""
    values = [
        graph.input_value(n, DType.FLOAT32, a.shape) for n, a in zip("ab", arguments, strict=False)
    ]
    function = getattr(elementwise if name == "sqrt" else transcendental, name)
    program = lower({"y": function(*values)}, dict(zip("ab", values, strict=False)))
    given = dict(zip("ab", arguments, strict=False))
    return open_backend("reference").load(program)(given)["y"].numpy()


def check(name: str, *arguments: np.ndarray) -> None:
    """Within the bound, with the same infinities, NaNs and signs of zero."""
    got = run(name, *arguments)
    with np.errstate(all="ignore"):
        exact = TRUTH[name](*(a.astype(np.float64) for a in arguments))
        if name == "erfinv":
            exact = np.copysign(exact, arguments[0])  # scipy forgets the sign of zero
    errors, _ = distances(got, exact)
    assert errors.max() <= ULPS[name], [a[errors.argmax()] for a in arguments]
    np.testing.assert_array_equal(np.isnan(got), np.isnan(exact))
    is_zero = (got == 0) & (exact == 0)
    np.testing.assert_array_equal(np.signbit(got[is_zero]), np.signbit(exact[is_zero]))


@pytest.mark.parametrize("name", [name for name in TRUTH if name not in BINARY])
def test_error_is_bounded_everywhere(name):
    """Every kind of argument: random bits, the useful range, zeros, infinities, NaN, subnormals."""
    check(name, ALL)


@pytest.mark.parametrize("name", BINARY)
def test_error_of_two_arguments_is_bounded(name):
    """All pairs of special numbers, then bases near 1 with exponents that give any result."""
    a, b = (np.concatenate([p, RNG.permutation(ALL)[:4000]]) for p in PAIRS)
    check(name, a, b)
    base = np.exp2(RNG.uniform(-2, 2, 4000)).astype(np.float32)
    check(name, base, (RNG.uniform(-150, 129, 4000) / np.log2(base)).astype(np.float32))


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("exp2", np.arange(-149.0, 128.0), 2.0 ** np.arange(-149.0, 128.0)),
        ("log2", 2.0 ** np.arange(-149.0, 128.0), np.arange(-149.0, 128.0)),
        ("log10", 10.0 ** np.arange(11.0), np.arange(11.0)),
        ("exp", [0.0, -0.0, -np.inf, np.inf], [1.0, 1.0, 0.0, np.inf]),
        ("log", [1.0, -0.0, np.inf, -1e-45], [0.0, -np.inf, np.inf, np.nan]),
        ("cos", [0.0, np.inf], [1.0, np.nan]),
        ("acos", [1.0, -1.0, 1.5], [0.0, np.pi, np.nan]),
        ("tanh", [0.0, np.inf, -np.inf, 30.0], [0.0, 1.0, -1.0, 1.0]),
        ("sigmoid", [0.0, -np.inf, np.inf], [0.5, 0.0, 1.0]),
        ("erf", [0.0, np.inf], [0.0, 1.0]),
        ("cosh", [0.0, -np.inf], [1.0, np.inf]),
    ],
)
def test_what_is_expected_to_be_exact_is(name, arguments, expected):
    """Powers and their logarithms; values at zeros and limits."""
    got = run(name, np.float32(arguments))
    np.testing.assert_array_equal(got, np.float32(expected))


def test_odd_functions_keep_the_sign_of_zero():
    """Of -0, -0."""
    odd = ("sin", "tan", "asin", "atan", "sinh", "asinh", "atanh", "tanh", "erf", "erfinv")
    for name in (*odd, "expm1", "log1p"):
        assert np.signbit(run(name, np.float32([-0.0]))[0]), name
