"""Both sides of a benchmark in turns, many short runs: on a shared machine only ratios last."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time, sleep

import numpy as np

from engine.backend import Backend

PAIRS = 21

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "POCL_MAX_PTHREAD_COUNT": "1"}
clock = process_time if ONE_THREAD.items() <= os.environ.items() else perf_counter
"""With one thread each, processor time: that of a thread which waits its turn does not count."""

SPIN_S = 0.05
"""Threads of OpenBLAS keep a processor busy for 2^26 cycles after a product, waiting for more."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Median seconds of both sides, and the median of paired ratios; above 1, ours is faster."""

    ours_s: float
    theirs_s: float
    ratio: float


def paired(
    ours: Callable[[], object], theirs: Callable[[], object], pairs: int = PAIRS, calls: int = 1
) -> Pair:
    """Run both in turns, each `calls` times before the other has its turn."""
    times = [(_turn(ours, calls), _turn(theirs, calls)) for _ in range(pairs)]
    return Pair(
        median(a for a, _ in times),
        median(b for _, b in times),
        median(b / a for a, b in times),
    )


def _turn(action: Callable[[], object], calls: int) -> float:
    """How long a call takes when the threads of the other side are asleep, not spinning."""
    if clock is perf_counter:
        sleep(SPIN_S)
    action()
    return seconds(action, calls)


def seconds(action: Callable[[], object], calls: int = 1) -> float:
    """How long a call takes, over some calls."""
    start = clock()
    for _ in range(calls):
        action()
    return (clock() - start) / calls


def waiter(backend: Backend) -> Callable[[], object]:
    """A function that returns when everything enqueued so far is done: queues run in order."""
    mark = backend.upload(np.zeros(1, np.float32))
    return mark.numpy
