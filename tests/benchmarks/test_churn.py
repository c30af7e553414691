"""benchmarks/churn: what a run cost is added up from records that a kill -9 may cut off."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmarks.churn import node as shifted
from benchmarks.churn import worker as metered
from benchmarks.churn.job import Settings, write
from benchmarks.churn.measure import (
    Execution,
    accepted_claims,
    cost_of,
    owed_audits,
    read_units,
    unpaid,
)
from engine import state as tensors
from node.bundle import assemble
from node.chain import events as on_chain
from node.chain.events import Place
from node.chain.types import Claim
from node.execution import LoadedJob
from node.ledger import JobView
from node.worker import Worker
from scheduler.windows import window

JOB, A, B, C = b"j" * 32, "0xa", "0xb", "0xc"
PLACE = Place(0, 0, b"")


def execution(wallet: str, slot: int, seconds: float, **changes: Any) -> Execution:
    fields = {"kind": "unit", "round": 0, "finished": True} | changes
    return Execution(wallet=wallet, slot=slot, seconds=seconds, **fields)


def test_only_what_was_accepted_is_finalised() -> None:
    """A duplicate, a unit cut off and a recomputation that nobody drew earn nothing."""
    executions = [
        execution(A, 0, 3.0, finished=False),
        execution(A, 0, 5.0),
        execution(B, 0, 7.0),
        execution(B, 1, 11.0),
        execution(C, 1, 13.0, kind="audit"),
        execution(A, 1, 17.0, kind="audit"),
    ]
    facts = {(0, 0): A, (0, 1): B}, {(C, 0, 1)}
    cost = cost_of(executions, *facts)
    assert (cost.executed_s, cost.finalised_s, cost.audits_s) == (43.0, 16.0, 13.0)
    assert (cost.units, cost.cut_off, cost.repeated) == (2, 1, 2)
    assert cost.goodput == 16 / 43
    assert [e.seconds for e in unpaid(executions, *facts)] == [3.0, 7.0, 17.0]


def test_of_a_unit_computed_twice_by_its_worker_one_is_paid() -> None:
    """A worker that forgot its result has executed it twice."""
    cost = cost_of([execution(A, 0, 2.0), execution(A, 0, 3.0)], {(0, 0): A}, set())
    assert (cost.executed_s, cost.finalised_s, cost.repeated) == (5.0, 3.0, 1)


def test_records_end_where_the_peer_was_killed(tmp_path: Path) -> None:
    """An end belongs to the start before it; a kill or a new worker ends what was under way."""
    lines = [
        {"at": 1.0, "event": "worker"},
        {"at": 2.0, "event": "start", "kind": "unit", "round": 1, "slot": 2},
        {"at": 4.5, "event": "end"},
        {"at": 5.0, "event": "start", "kind": "audit", "round": 1, "slot": 3},
        {"at": 6.0, "event": "killed"},
        {"at": 9.0, "event": "worker"},
    ]
    path = tmp_path / "units.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert list(read_units(path, A)) == [
        execution(A, 2, 2.5, round=1),
        execution(A, 3, 1.0, round=1, kind="audit", finished=False),
    ]
    assert list(read_units(tmp_path / "none", A)) == []


def test_chain_says_who_is_paid_and_who_audits() -> None:
    """Of several attempts at a slot the last one; auditors and jurors are owed their work."""

    def committed(attempt: int, worker: str) -> on_chain.RoundCommitted:
        claim = Claim(0, attempt, worker, b"", b"", b"")
        return on_chain.RoundCommitted(PLACE, JOB, 0, attempt, b"", 1, (claim,))

    drawn = on_chain.UnitDrawn(PLACE, b"u", B, JOB, 0, 0, 0, A, 9)
    jury = on_chain.JurorsDrawn(PLACE, b"u", (A, C), 1, 2)
    log = [committed(0, A), drawn, jury, committed(1, C)]
    job = cast(JobView, SimpleNamespace(log=log))
    assert accepted_claims(job) == {(0, 0): C}
    assert owed_audits(job) == {(B, 0, 0), (A, 0, 0), (C, 0, 0)}


def test_slow_worker_waits_and_writes_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine times the time of the unit at a tenth of the speed, between its two lines."""
    clock, waited = [100.0], list[float]()

    def honest(_self: object, *_: object) -> str:
        clock[0] += 2.0
        return "output"

    monkeypatch.setattr(Worker, "unit", honest)
    monkeypatch.setattr(metered.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(metered.time, "sleep", waited.append)
    monkeypatch.setenv(metered.UNITS_VARIABLE, str(tmp_path / "units"))
    monkeypatch.setenv(metered.SLOWNESS_VARIABLE, "10")
    worker = metered.MeteredWorker.__new__(metered.MeteredWorker)
    assert worker.unit("unit", cast(LoadedJob, None), {}, 0, 1) == "output"
    assert waited == [18.0]
    assert list(read_units(tmp_path / "units", A)) == [execution(A, 1, 2.0)]


def test_shifted_clock_is_off_by_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of asking for the time of day."""
    monkeypatch.setattr(shifted.time, "time", lambda: 1000.0)
    monkeypatch.setattr(shifted.time, "time_ns", lambda: 10**12)
    shifted.shift_clock(-5 * 3600.0)
    assert shifted.time.time() == 1000.0 - 18_000
    assert shifted.time.time_ns() == 10**12 - 18_000 * 10**9


def test_job_reads_its_data_about_once(tmp_path: Path) -> None:
    """Else the share of the data that a peer downloads would say nothing."""
    settings = Settings()
    manifest = assemble(write(tmp_path, settings)).manifest
    windows = manifest.units * manifest.steps
    assert 0.9 < windows * manifest.batch_rows / manifest.rows <= 1
    last = window(manifest, manifest.rounds - 1, manifest.slots - 1, manifest.steps - 1)
    assert last == ((windows - 1) * manifest.batch_rows, windows * manifest.batch_rows)
    assert manifest.checkpoint_bytes > 3 * 262_144
    assert tensors.decode((tmp_path / "test.safetensors").read_bytes())["label"].max() == 9
