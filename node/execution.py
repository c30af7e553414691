"""What a job computes: units, aggregate, outer step, evaluation, by its five Programs.

This is the part of docs/spec/protocol.md, section 3 that decides bits. It does no I/O: data comes
in and goes out as arrays, and a backend does the arithmetic. Every peer, auditor, juror and replay
calls these functions, so equal inputs give equal roots everywhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from engine.backend import Backend, Buffer, Loaded
from engine.commitment import merkle_root, state_root
from engine.program import Program
from node.bundle import Job, State
from node.self_check import Watched, runner
from scheduler.contract import METRIC
from scheduler.windows import window

METRIC_STEPS_MAX = 256
"""Metrics of at most so many steps wait on the device; reading each at once would stall it."""


@dataclass(frozen=True, slots=True)
class LoadedJob:
    """A job whose Programs are built for a backend."""

    job: Job
    backend: Backend
    step: Loaded
    result: Loaded
    aggregate: Loaded
    outer: Loaded
    evaluate: Loaded


@dataclass(frozen=True, slots=True)
class UnitOutput:
    """What a work unit produces. `metrics` holds the last step's; `result` has every step's."""

    result: dict[str, NDArray[np.generic]]
    result_root: bytes
    trace_root: bytes
    metrics: dict[str, float]


def build(backend: Backend, job: Job, random: Random | None = None) -> LoadedJob:
    """Build the five Programs; raises DeviceError where the device cannot.

    With `random` every unit checks a sample of the device's work, and raises FaultyDevice.
    """

    def load(what: str, program: Program) -> Loaded:
        return backend.load(program) if random is None else Watched(what, backend, program, random)

    programs = job.programs
    return LoadedJob(
        job=job,
        backend=backend,
        step=load("step", programs.step),
        result=load("result", programs.result),
        aggregate=backend.load(programs.aggregate),
        outer=backend.load(programs.outer),
        evaluate=backend.load(programs.evaluate),
    )


def run_unit(loaded: LoadedJob, checkpoint: State, round: int, slot: int) -> UnitOutput:
    """Compute the unit of `slot` in `round` from the round state `checkpoint`.

    The state stays on the device from step to step; it is read where the trace wants its root.
    """
    manifest, contract = loaded.job.manifest, loaded.job.contract
    start = {name: loaded.backend.upload(array) for name, array in checkpoint.items()}
    state = _first_state(loaded, start)
    traced = frozenset(manifest.trace_steps())
    roots: list[bytes] = []
    history: dict[str, list[Buffer]] = {name: [] for name in contract.metrics}
    metrics = {name: np.empty(manifest.steps, np.float32) for name in contract.metrics}
    run = runner(loaded.step, manifest.steps)
    for step in range(manifest.steps):
        outputs = run(step, _step_inputs(loaded, state, round, slot, step))
        state = {name: outputs[f"state.{name}"] for name in contract.unit_state}
        for name, buffers in history.items():
            buffers.append(outputs[METRIC + name])
        if step + 1 in traced:
            roots.append(state_root({name: buffer.numpy() for name, buffer in state.items()}))
        if step + 1 in traced or (step + 1) % METRIC_STEPS_MAX == 0:
            _read_metrics(history, metrics, step + 1)
    result = _result(loaded, start, state)
    result |= {METRIC + name: values for name, values in metrics.items()}
    return UnitOutput(
        result=result,
        result_root=state_root(result),
        trace_root=merkle_root(roots),
        metrics={name: float(values[-1]) for name, values in metrics.items()},
    )


def combine(
    loaded: LoadedJob, checkpoint: State, results: Sequence[State]
) -> dict[str, NDArray[np.generic]]:
    """The next checkpoint from this one and a round's results: `aggregate`, then `outer`."""
    return outer(loaded, checkpoint, aggregate(loaded, checkpoint, results))


def aggregate(
    loaded: LoadedJob, checkpoint: State, results: Sequence[State]
) -> dict[str, NDArray[np.generic]]:
    """What a round's results in slot order come to.

    ValueError unless there is exactly one result per slot.
    """
    slots = loaded.job.manifest.slots
    if len(results) != slots:
        raise ValueError(f"{len(results)} results for {slots} slots")
    given = {f"round.{name}": array for name, array in checkpoint.items()}
    for slot, result in enumerate(results):
        given |= {f"slot{slot}.{name}": array for name, array in result.items()}
    outputs = loaded.aggregate(_wanted(loaded.aggregate, given))
    return {name: outputs[f"aggregate.{name}"].numpy() for name in loaded.job.contract.aggregate}


def outer(
    loaded: LoadedJob, checkpoint: State, aggregated: State
) -> dict[str, NDArray[np.generic]]:
    """The next checkpoint from this one and the round's aggregate."""
    given = {f"round.{name}": array for name, array in checkpoint.items()}
    given |= {f"aggregate.{name}": array for name, array in aggregated.items()}
    outputs = loaded.outer(_wanted(loaded.outer, given))
    return {name: outputs[f"round.{name}"].numpy() for name in checkpoint}


def evaluate(loaded: LoadedJob, checkpoint: State) -> dict[str, float]:
    """The metrics of a checkpoint on the job's evaluation data."""
    given = {f"round.{name}": array for name, array in checkpoint.items()}
    given |= {f"test.{name}": array for name, array in loaded.job.test.items()}
    outputs = loaded.evaluate(_wanted(loaded.evaluate, given))
    return {name: float(outputs[METRIC + name].numpy()) for name in loaded.job.contract.evaluation}


def _first_state(loaded: LoadedJob, start: Mapping[str, Buffer]) -> dict[str, Buffer]:
    """The state before the first step: the round state's tensors where it has them, or zeros."""
    return {
        name: start[name]
        if name in start
        else loaded.backend.upload(np.zeros(kind.shape, kind.dtype.numpy))
        for name, kind in loaded.job.contract.unit_state.items()
    }


def _step_inputs(
    loaded: LoadedJob, state: Mapping[str, Buffer], round: int, slot: int, step: int
) -> dict[str, Buffer | NDArray[np.generic]]:
    first, last = window(loaded.job.manifest, round, slot, step)
    inputs: dict[str, Buffer | NDArray[np.generic]] = {
        f"state.{name}": buffer for name, buffer in state.items()
    }
    rows = loaded.job.train.read(first, last)
    inputs |= {f"batch.{name}": array for name, array in rows.items()}
    indices = {"index.round": round, "index.slot": slot, "index.step": step}
    wanted = loaded.step.program.input_types
    inputs |= {name: np.array(n, np.int32) for name, n in indices.items() if name in wanted}
    return inputs


def _result(
    loaded: LoadedJob, start: Mapping[str, Buffer], end: Mapping[str, Buffer]
) -> dict[str, NDArray[np.generic]]:
    given = {f"start.{name}": buffer for name, buffer in start.items()}
    given |= {f"end.{name}": buffer for name, buffer in end.items()}
    outputs = runner(loaded.result, 1)(0, _wanted(loaded.result, given))
    return {name.removeprefix("result."): buffer.numpy() for name, buffer in outputs.items()}


def _read_metrics(
    history: Mapping[str, list[Buffer]], metrics: Mapping[str, NDArray[np.float32]], stop: int
) -> None:
    """Move the metrics of the steps before `stop` from the device to the host."""
    for name, buffers in history.items():
        for step, buffer in enumerate(buffers, start=stop - len(buffers)):
            metrics[name][step] = buffer.numpy()
        buffers.clear()


def _wanted(
    program: Loaded, given: Mapping[str, Buffer | NDArray[np.generic]]
) -> dict[str, Buffer | NDArray[np.generic]]:
    return {name: given[name] for name in program.program.input_types}
