"""Recomputing against the chain: equal bits pass, any other are named, and no run begins anew."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from engine.backend import open_backend
from engine.commitment import state_root, unit_root
from node.bundle import Bundle, Job
from node.errors import BadInput, ReplayDiffers
from node.execution import LoadedJob, build
from node.recheck import Kept, Recheck, RoundEqual, UnitEqual
from node.replay import Replayed, UnitReplayed, replay
from node.unit_history import UnitHistory

WORKER = "0x" + "1" * 40
OTHER = b"x" * 32


class Killed(Exception):
    """The end of a process."""


@dataclass
class Truth:
    """The tiny job as the chain has it when everybody was honest."""

    loaded: LoadedJob
    claims: dict[tuple[int, int], UnitHistory]
    done: Replayed


@pytest.fixture(scope="module")
def replayed(tiny: Bundle) -> tuple[LoadedJob, list[UnitReplayed], Replayed]:
    backend, units = open_backend("reference"), list[UnitReplayed]()
    done = replay(tiny.job, backend, lambda e: units.append(e) if hasattr(e, "slot") else None)
    return build(backend, tiny.job), units, done


@pytest.fixture
def truth(replayed: tuple[LoadedJob, list[UnitReplayed], Replayed]) -> Truth:
    loaded, units, done = replayed
    claims = {}
    for unit in units:
        root = unit.output.result_root
        opened = unit_root(root, unit.output.trace_root) if unit.slot == 1 else b""
        claims[unit.round, unit.slot] = UnitHistory(
            b"u" * 32, unit.round, unit.slot, 0, WORKER, WORKER, root, 7, unit_root=opened
        )
    return Truth(loaded, claims, done)


def recheck(truth: Truth, folder: Path, told: Callable[..., None] = lambda _: None) -> Recheck:
    return Recheck(truth.loaded, truth.claims, truth.done.checkpoints, Kept(folder), told)


def test_an_honest_job_is_equal_unit_by_unit(truth: Truth, tmp_path: Path) -> None:
    """Every unit, every checkpoint, and the state at the end with its evaluation."""
    seen: list[UnitEqual | RoundEqual] = []
    state = recheck(truth, tmp_path, seen.append).rounds(2)
    assert state_root(state) == truth.done.checkpoints[-1]
    units = [(e.unit.round, e.unit.slot, e.kept) for e in seen if isinstance(e, UnitEqual)]
    assert units == [(r, s, False) for r in range(2) for s in range(3)]
    rounds = [e for e in seen if isinstance(e, RoundEqual)]
    assert [e.checkpoint for e in rounds] == list(truth.done.checkpoints)
    assert rounds[-1].metrics == truth.done.metrics


@pytest.mark.parametrize("last", [(0, 1), (1, 0), (1, 2)])
def test_a_killed_run_goes_on_where_it_stopped(
    truth: Truth, tmp_path: Path, last: tuple[int, int]
) -> None:
    """Nothing that was equal before is computed again."""

    def kill(event: UnitEqual | RoundEqual) -> None:
        if isinstance(event, UnitEqual) and (event.unit.round, event.unit.slot) == last:
            raise Killed

    with pytest.raises(Killed):
        recheck(truth, tmp_path, kill).rounds(2)
    seen: list[UnitEqual | RoundEqual] = []
    state = recheck(truth, tmp_path, seen.append).rounds(2)
    assert state_root(state) == truth.done.checkpoints[-1]
    computed = [
        (e.unit.round, e.unit.slot) for e in seen if isinstance(e, UnitEqual) and not e.kept
    ]
    assert computed == [(r, s) for r in range(2) for s in range(3) if (r, s) > last]
    assert len(list(tmp_path.iterdir())) == 1
    again: list[object] = []
    recheck(truth, tmp_path, again.append).rounds(2)
    assert again == []


def test_a_file_that_was_changed_counts_for_nothing(truth: Truth, tmp_path: Path) -> None:
    """It is recomputed: half a file, another state, garbage."""
    recheck(truth, tmp_path).rounds(1)
    (kept,) = tmp_path.iterdir()
    whole = kept.read_bytes()
    for data in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), b""):
        kept.write_bytes(data)
        seen: list[object] = []
        recheck(truth, tmp_path, seen.append).rounds(1)
        assert len(seen) == 4
        assert kept.read_bytes() == whole


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"result_root": OTHER}, "result root"), ({"unit_root": OTHER}, "unit root")],
)
def test_a_false_unit_is_named_with_both_roots(
    truth: Truth, tmp_path: Path, changes: dict[str, bytes], told: str
) -> None:
    """Round as people count, slot, worker, what the chain has and what the replay gives."""
    honest = truth.claims[1, 1]
    truth.claims[1, 1] = replace(honest, **changes)
    seen: list[object] = []
    with pytest.raises(ReplayDiffers) as caught:
        recheck(truth, tmp_path, seen.append).rounds(2)
    text = caught.value.message
    assert f"Round 2, slot 1, attempt 1 (unit 0x{b'u'.hex() * 32} of {WORKER})" in text
    assert f"the chain has {told} {OTHER.hex()}" in text
    assert getattr(honest, next(iter(changes))).hex() in text
    assert caught.value.exit_code == 12
    assert len(seen) == 5
    truth.claims[1, 1] = honest
    assert state_root(recheck(truth, tmp_path).rounds(2)) == truth.done.checkpoints[-1]


def test_a_false_checkpoint_is_its_coordinators(truth: Truth, tmp_path: Path) -> None:
    """The units are as claimed, what was made of them is not."""
    lying = replace(truth.done, checkpoints=(OTHER, truth.done.checkpoints[1]))
    with pytest.raises(ReplayDiffers, match=f"round 1 .* anchored {OTHER.hex()}"):
        recheck(replace(truth, done=lying), tmp_path).rounds(2)


def test_one_unit_alone(truth: Truth, tmp_path: Path, tiny: Bundle) -> None:
    """From the checkpoint of its round; a slot without an accepted unit has nothing to compare."""
    job: Job = tiny.job
    of = recheck(truth, tmp_path)
    assert state_root(of.unit(job.state, 0, 2)) == truth.claims[0, 2].result_root
    del truth.claims[0, 0]
    with pytest.raises(BadInput, match="slot 0 in round 1"):
        of.unit(job.state, 0, 0)
