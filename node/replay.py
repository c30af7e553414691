"""A whole job in one process: what the network must arrive at, whoever took part.

Rounds and slots run one after the other. The roots are those that the chain holds for the same job,
so anyone with the blobs can check a finished job bit for bit.
"""

from collections.abc import Callable
from dataclasses import dataclass

from engine.backend import Backend
from engine.commitment import state_root
from node.bundle import Job, State
from node.execution import UnitOutput, build, combine, evaluate, run_unit


@dataclass(frozen=True, slots=True)
class UnitReplayed:
    """One unit is done."""

    round: int
    slot: int
    output: UnitOutput


@dataclass(frozen=True, slots=True)
class RoundReplayed:
    """One round is done; `metrics` are its checkpoint's on the evaluation data."""

    round: int
    checkpoint: bytes
    metrics: dict[str, float]


Progress = Callable[[UnitReplayed | RoundReplayed], None]


@dataclass(frozen=True, slots=True)
class Replayed:
    """The end of a job: every round's checkpoint root, the last state and its metrics."""

    checkpoints: tuple[bytes, ...]
    state: State
    metrics: dict[str, float]


def replay(
    job: Job, backend: Backend, progress: Progress = lambda _: None, *, rounds: int | None = None
) -> Replayed:
    """Run a job's first `rounds` rounds, or all of them, on one backend."""
    loaded = build(backend, job)
    state, checkpoints = job.state, list[bytes]()
    metrics = dict[str, float]()
    for round in range(job.manifest.rounds if rounds is None else rounds):
        results: list[State] = []
        for slot in range(job.manifest.slots):
            output = run_unit(loaded, state, round, slot)
            results.append(output.result)
            progress(UnitReplayed(round, slot, output))
        state = combine(loaded, state, results)
        checkpoints.append(state_root(state))
        metrics = evaluate(loaded, state)
        progress(RoundReplayed(round, checkpoints[-1], metrics))
    return Replayed(checkpoints=tuple(checkpoints), state=state, metrics=metrics)
