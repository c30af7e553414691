"""Windows: a formula, checked against the walk that it abbreviates."""

from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.blob_ref import BlobRef
from scheduler.manifest import Manifest, ProgramRefs
from scheduler.windows import unit_rows, window

REF = BlobRef.of(b"")


def job(rounds: int, slots: int, steps: int, batch_rows: int, rows: int) -> Manifest:
    """A manifest with these numbers."""
    return Manifest(
        name="windows",
        rounds=rounds,
        slots=slots,
        steps=steps,
        trace_every=1,
        batch_rows=batch_rows,
        rows=rows,
        unit_timeout_s=1,
        deadline_s=1,
        price_wei_per_gflop=0,
        programs=ProgramRefs(step=REF, result=REF, aggregate=REF, outer=REF, evaluate=REF),
        state=BlobRef.of(b"x"),
        train=REF,
        test=REF,
        unit_flops=0,
        aggregate_flops=0,
        outer_flops=0,
        evaluate_flops=0,
        peak_bytes=1,
        result_bytes=1,
        aggregate_bytes=1,
        checkpoint_bytes=1,
    )


@given(st.data())
def test_windows_walk_through_the_data_in_order(data: st.DataObject) -> None:
    """Round by round, slot by slot, step by step: the next batch, and again from the start."""
    rounds, slots, steps = (data.draw(st.integers(1, 4)) for _ in range(3))
    rows = data.draw(st.integers(1, 50))
    batch = data.draw(st.integers(1, rows))
    manifest = job(rounds, slots, steps, batch, rows)
    start = 0
    for round, slot, step in product(range(rounds), range(slots), range(steps)):
        assert window(manifest, round, slot, step) == (start, start + batch)
        start += batch
        if start + batch > rows:
            start = 0


@given(st.data())
def test_rows_of_a_unit_are_those_of_its_steps(data: st.DataObject) -> None:
    """No row more, no row less, and no range touches the next."""
    rounds, slots, steps = (data.draw(st.integers(1, 4)) for _ in range(3))
    rows = data.draw(st.integers(1, 50))
    manifest = job(rounds, slots, steps, data.draw(st.integers(1, rows)), rows)
    for round, slot in product(range(rounds), range(slots)):
        read = {row for h in range(steps) for row in range(*window(manifest, round, slot, h))}
        ranges = unit_rows(manifest, round, slot)
        assert sorted(read) == [row for start, stop in ranges for row in range(start, stop)]
        assert all(stop < start for (_, stop), (start, _) in pairwise(ranges))


def test_formula_of_the_protocol_holds() -> None:
    """The spec's own words with large numbers: [w*B mod L, w*B mod L + B), w = (r*M + s)*H + h."""
    manifest = job(1000, 64, 1000, 32, 1437)
    turn, length = (999 * 64 + 63) * 1000 + 999, 32 * (1437 // 32)
    assert window(manifest, 999, 63, 999) == (turn * 32 % length, turn * 32 % length + 32)


@pytest.mark.parametrize("place", [(2, 0, 0), (0, 3, 0), (0, 0, 4), (-1, 0, 0), (0, 0, -1)])
def test_outside_the_job_is_refused(place: tuple[int, int, int]) -> None:
    """The neighbours of the last and the first step do not exist."""
    with pytest.raises(ValueError, match="is not in 0"):
        window(job(2, 3, 4, 1, 5), *place)
    if place[2] == 0:
        with pytest.raises(ValueError, match="is not in 0"):
            unit_rows(job(2, 3, 4, 1, 5), *place[:2])
