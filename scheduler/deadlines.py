"""How long to wait: unit limits from observed times, pauses that double, jitter from a seed.

All integers. A unit's limit is twice (median + 3 MAD) of the last observed unit times, within a
floor and the job's unit timeout; before `SAMPLES_MIN` observations it is the timeout. Median and
MAD (median absolute deviation) ignore the few slow or lying outliers that a mean would follow
(Rousseeuw and Croux, "Alternatives to the Median Absolute Deviation", 1993).
"""

from collections.abc import Sequence
from functools import lru_cache

from scheduler.terms import SAMPLES_MAX, Policy

SAMPLES_MIN = 5
MAD_MULTIPLE = 3
LIMIT_FACTOR = 2
BACKOFF_DOUBLINGS_MAX = 32


def median(values: Sequence[int]) -> int:
    """The median, rounded down; ValueError of an empty sequence."""
    if not values:
        raise ValueError("an empty sequence has no median")
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) // 2


def median_absolute_deviation(values: Sequence[int]) -> int:
    """The median distance from the median, rounded down."""
    centre = median(values)
    return median([abs(value - centre) for value in values])


@lru_cache(maxsize=256)
def usual_ms(samples_ms: tuple[int, ...]) -> int | None:
    """Median + 3 MAD of the observed times; None before there are enough."""
    if len(samples_ms) < SAMPLES_MIN:
        return None
    return median(samples_ms) + MAD_MULTIPLE * median_absolute_deviation(samples_ms)


def unit_limit_ms(
    samples_ms: tuple[int, ...], unit_timeout_ms: int, policy: Policy, own_ms: int = 0
) -> int:
    """How long a peer may take for one unit.

    `own_ms`: how long its units took before. A peer that is slow but delivers is not driven out by
    the speed of the others; the job's timeout holds for it as for everybody.
    """
    usual = usual_ms(samples_ms)
    if usual is None:
        return unit_timeout_ms
    return min(unit_timeout_ms, max(policy.unit_floor_ms, LIMIT_FACTOR * max(usual, own_ms)))


def smoothed_ms(old_ms: int, took_ms: int) -> int:
    """A peer's unit time after one more: a quarter of the new one, the first one whole."""
    return max(1, (3 * old_ms + took_ms) // 4 if old_ms else took_ms)


def with_sample(samples_ms: tuple[int, ...], duration_ms: int) -> tuple[int, ...]:
    """The last `SAMPLES_MAX` observations, newest last."""
    return (*samples_ms, max(0, duration_ms))[-SAMPLES_MAX:]


def backoff_ms(first_ms: int, doublings: int, most_ms: int) -> int:
    """first * 2^doublings, at most `most_ms`."""
    return int(min(most_ms, first_ms << min(doublings, BACKOFF_DOUBLINGS_MAX)))


def jittered_ms(base_ms: int, seed: int) -> int:
    """Between one and two times the base, spread evenly over the seeds."""
    return base_ms + (base_ms * (seed % 1024)) // 1024
