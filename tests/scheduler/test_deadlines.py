"""Unit limits, pauses and jitter."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.deadlines import (
    SAMPLES_MIN,
    backoff_ms,
    jittered_ms,
    median,
    median_absolute_deviation,
    unit_limit_ms,
    usual_ms,
    with_sample,
)
from scheduler.terms import SAMPLES_MAX, Policy

TIMES = st.lists(st.integers(0, 10**9), min_size=1, max_size=50)


@given(TIMES)
def test_median_is_that_of_the_standard_library_rounded_down(values: list[int]) -> None:
    """In integers throughout."""
    assert median(values) == int(statistics.median(values) // 1)


def test_median_of_nothing_is_refused() -> None:
    """There is none."""
    with pytest.raises(ValueError, match="empty"):
        median([])


def test_deviation_ignores_one_outlier() -> None:
    """A mean would follow it."""
    assert median_absolute_deviation([10, 11, 12, 13, 1_000_000]) == 1


def test_limit_is_the_timeout_before_enough_samples() -> None:
    """One fast peer must not set the pace alone."""
    assert unit_limit_ms((10,) * (SAMPLES_MIN - 1), 60_000, Policy()) == 60_000
    assert usual_ms((10,) * (SAMPLES_MIN - 1)) is None


def test_limit_is_twice_median_and_three_deviations() -> None:
    """2 * (10,000 + 3 * 1,000)."""
    samples = [8_000, 9_000, 10_000, 11_000, 12_000]
    assert usual_ms(tuple(samples)) == 13_000
    assert unit_limit_ms(tuple(samples), 60_000, Policy()) == 26_000


@given(TIMES, st.integers(1, 10**9))
def test_limit_stays_between_floor_and_timeout(samples: list[int], timeout_ms: int) -> None:
    """However strange the samples."""
    policy = Policy()
    limit = unit_limit_ms(tuple(samples), timeout_ms, policy)
    assert min(policy.unit_floor_ms, timeout_ms) <= limit <= timeout_ms


@given(st.lists(st.integers(-5, 100), max_size=2 * SAMPLES_MAX))
def test_samples_are_bounded_and_never_negative(durations: list[int]) -> None:
    """The newest stay."""
    samples: tuple[int, ...] = ()
    for duration in durations:
        samples = with_sample(samples, duration)
    assert samples == tuple(max(0, duration) for duration in durations)[-SAMPLES_MAX:]


@pytest.mark.parametrize(
    ("doublings", "expected"), [(0, 10), (1, 20), (3, 80), (4, 100), (999, 100)]
)
def test_backoff_doubles_up_to_its_bound(doublings: int, expected: int) -> None:
    """Also after absurdly many failures."""
    assert backoff_ms(10, doublings, 100) == expected


@given(st.integers(0, 10**6), st.integers(0, 2**64 - 1))
def test_jitter_is_between_one_and_two_times(base_ms: int, seed: int) -> None:
    """A pure function of the seed."""
    assert base_ms <= jittered_ms(base_ms, seed) <= 2 * base_ms
    assert jittered_ms(base_ms, seed) == jittered_ms(base_ms, seed)
