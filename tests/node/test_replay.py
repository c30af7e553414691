"""Replay: a whole job in one process gives the roots that its parts give."""

from pathlib import Path

from engine.backend import open_backend
from engine.commitment import state_root
from node.blobs import BlobStore
from node.bundle import Bundle, load_job
from node.execution import build, combine, evaluate, run_unit
from node.replay import RoundReplayed, UnitReplayed, replay


def test_replay_is_units_and_combinations_in_order(tiny: Bundle) -> None:
    """Each round starts from the checkpoint of the one before."""
    backend = open_backend("reference")
    seen: list[UnitReplayed | RoundReplayed] = []
    done = replay(tiny.job, backend, seen.append)
    loaded, state, roots = build(backend, tiny.job), tiny.job.state, []
    for round in range(2):
        results = [run_unit(loaded, state, round, slot).result for slot in range(3)]
        state = combine(loaded, state, results)
        roots.append(state_root(state))
    assert done.checkpoints == tuple(roots)
    assert state_root(done.state) == roots[-1]
    assert done.metrics == evaluate(loaded, state)
    places = [(e.round, e.slot if isinstance(e, UnitReplayed) else "round") for e in seen]
    assert places == [(r, s) for r in range(2) for s in (0, 1, 2, "round")]


def test_replay_from_a_store_can_stop_early(tiny: Bundle, tmp_path: Path) -> None:
    """What peers hold is enough; the first rounds of a job are a job's first rounds."""
    store = BlobStore(tmp_path)
    job = load_job(store, tiny.put(store))
    backend = open_backend("reference")
    whole = replay(tiny.job, backend)
    assert replay(job, backend, rounds=1).checkpoints == whole.checkpoints[:1]
