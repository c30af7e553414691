"""Means over slots: what they are among honest slots, and how little one liar moves them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.backend import open_backend
from engine.dtypes import DType
from engine.program import TensorType
from engine.trace import trace
from scheduler.robust import CLIP, clipped_mean, trimmed_mean

SLOTS, COUNT = 5, 40


def load(function, types, backend="reference"):
    """A function of numbered inputs, as one of arrays."""
    run = open_backend(backend).load(trace(function, types))
    return lambda given: {name: buffer.numpy() for name, buffer in run(given).items()}


def load_mean(slots=SLOTS, backend="reference"):
    """`clipped_mean` of the rows of an array."""

    def function(inputs):
        mean, counts = clipped_mean([inputs[f"slot{i}"] for i in range(slots)])
        return {"mean": mean, "counts": counts}

    kind = TensorType(DType.FLOAT32, (COUNT,))
    run = load(function, {f"slot{i}": kind for i in range(slots)}, backend)
    return lambda rows: run({f"slot{i}": row for i, row in enumerate(rows)})


def load_trimmed(slots=SLOTS, backend="reference"):
    """`trimmed_mean` of the rows of an array."""

    def function(inputs):
        codes = [inputs[f"slot{i}"] for i in range(slots)]
        return {"mean": trimmed_mean(codes, inputs["counts"])}

    types = {f"slot{i}": TensorType(DType.UINT8, (COUNT,)) for i in range(slots)}
    run = load(function, types | {"counts": TensorType(DType.BOOL, (slots,))}, backend)
    return lambda rows, counts: run(
        {f"slot{i}": row for i, row in enumerate(rows)} | {"counts": counts}
    )["mean"]


MEAN, TRIMMED = load_mean(), load_trimmed()


def deltas(seed=0, slots=SLOTS):
    """Vectors of about the same norm."""
    return np.random.default_rng(seed).standard_normal((slots, COUNT)).astype(np.float32)


def expected_mean(rows):
    """The formula in numpy, in double precision."""
    rows = rows.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1)
    limit = CLIP * np.sort(norms)[(len(norms) - 1) // 2]
    return (rows * np.minimum(limit / norms, 1)[:, None]).mean(0)


@pytest.mark.parametrize("slots", [1, 2, 3, 8])
def test_mean_is_that_of_the_clipped_vectors(slots):
    """With the smaller median of an even number."""
    rows = deltas(slots=slots) * np.linspace(1, 3, slots, dtype=np.float32)[:, None]
    out = load_mean(slots)(rows)
    np.testing.assert_allclose(out["mean"], expected_mean(rows), atol=1e-5)
    assert out["counts"].all()


def test_mean_of_honest_slots_is_their_mean():
    """Norms within a fourth of each other are not touched, however large all are."""
    for size in (1, 1e15):
        rows = deltas() * np.float32(size)
        np.testing.assert_allclose(MEAN(rows)["mean"], rows.mean(0), atol=1e-6 * size)


@pytest.mark.parametrize("lie", [np.nan, np.inf, -np.inf, 3e38])
def test_vector_that_is_not_numbers_counts_for_nothing(lie):
    """One such element is enough, also one whose square is none; the others share the mean."""
    rows = deltas()
    rows[2, 7] = lie
    out = MEAN(rows)
    assert out["counts"].tolist() == [True, True, False, True, True]
    np.testing.assert_allclose(out["mean"], np.delete(rows, 2, 0).mean(0), atol=1e-6)


def test_mean_of_nothing_is_zero():
    """Every slot exploded."""
    out = MEAN(np.full((SLOTS, COUNT), np.nan, np.float32))
    assert not out["counts"].any()
    assert not out["mean"].any()


@given(st.floats(width=32), st.integers(0, SLOTS - 1), st.integers(0, 2**32 - 1))
def test_one_lie_moves_the_mean_by_a_slots_share(size, slot, seed):
    """Whatever it says: at most what an honest slot of the greatest allowed norm could."""
    rows = deltas(seed)
    norm = np.linalg.norm(rows, axis=1).max()
    with np.errstate(all="ignore"):
        lie = rows.copy()
        lie[slot] = -lie[slot] * np.float32(size)
    away = np.linalg.norm(MEAN(lie)["mean"] - MEAN(rows)["mean"])
    assert away <= (1 + CLIP) * norm / (SLOTS - 1) * 1.01


@given(
    st.lists(st.binary(min_size=COUNT, max_size=COUNT), min_size=SLOTS, max_size=SLOTS),
    st.lists(st.booleans(), min_size=SLOTS, max_size=SLOTS),
)
def test_trimmed_mean_leaves_out_the_ends(rows, counts):
    """Of three or more that count, the largest and the smallest; halves are rounded up."""
    codes = np.array([np.frombuffer(row, np.uint8) for row in rows])
    used = np.sort(codes[np.array(counts)].astype(int), axis=0)
    used = used[1:-1] if len(used) > 2 else used
    count = max(1, len(used))
    expected = (2 * used.sum(0) + count) // (2 * count)
    np.testing.assert_array_equal(TRIMMED(codes, np.array(counts)), expected)


@given(st.binary(min_size=COUNT, max_size=COUNT), st.integers(0, SLOTS - 1))
def test_one_lie_leaves_every_code_among_the_honest_ones(lie, slot):
    """Zeros, the largest, anything: the result lies between two honest codes."""
    codes = np.random.default_rng(1).integers(80, 140, (SLOTS, COUNT)).astype(np.uint8)
    codes[slot] = np.frombuffer(lie, np.uint8)
    honest = np.delete(codes, slot, 0)
    found = TRIMMED(codes, np.ones(SLOTS, bool))
    assert (honest.min(0) <= found).all()
    assert (found <= honest.max(0)).all()


def test_means_have_the_same_bits_on_opencl():
    """Also where a slot holds no numbers."""
    mean, trimmed = load_mean(backend=""), load_trimmed(backend="")
    rng = np.random.default_rng(0)
    for seed in range(5):
        rows = deltas(seed)
        rows[seed % SLOTS, seed] = [np.nan, 1e30, -np.inf, 1e-30, 100.0][seed]
        for name, array in MEAN(rows).items():
            assert mean(rows)[name].tobytes() == array.tobytes(), name
        codes = rng.integers(0, 256, (SLOTS, COUNT)).astype(np.uint8)
        counts = rng.integers(0, 2, SLOTS).astype(bool)
        np.testing.assert_array_equal(trimmed(codes, counts), TRIMMED(codes, counts))
