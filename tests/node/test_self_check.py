"""A device that returns wrong bits is found by its own node, before anything is committed."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import pytest

from engine import trace
from engine.arithmetic import canonical_input
from engine.backend import Backend, Buffer, list_devices, open_backend
from engine.dtypes import DType
from engine.errors import DeviceError
from engine.ops import Op
from engine.program import Program, TensorType
from engine.reference import HostBuffer, evaluate, evaluate_node
from node import self_check
from node.blobs import BlobStore
from node.bundle import Bundle
from node.compute_messages import ComputeUnit, Failed, UnitDone
from node.errors import FaultyDevice
from node.execution import build, run_unit
from node.self_check import ELEMENTS_MAX, EXPOSED_BYTES_MAX, TARGETS_MAX, Watched, runner
from node.worker import Worker
from tests.engine.random_functions import random_step
from tests.engine.random_programs import random_inputs, random_program


@dataclass
class FlippingBackend:
    """The reference, but for one bit: of every element of an op's results, or in every third run.

    In every third run it is one element of one node's results.
    """

    op: Op | None
    every_time: bool = True
    name: str = "broken"
    runs: int = 0
    loads: int = 0
    bytes_max: int = 1 << 62

    def load(self, program: Program) -> "FlippingProgram":
        self.loads += 1
        if sum(program.nodes[index].bytes for _, index in program.outputs) > self.bytes_max:
            raise DeviceError("too large")
        return FlippingProgram(self, program)

    def upload(self, array: np.ndarray) -> HostBuffer:
        return HostBuffer(array)


@dataclass
class FlippingProgram:
    """A Program on such a device."""

    backend: FlippingBackend
    program: Program

    def __call__(self, inputs: Mapping[str, Buffer | np.ndarray]) -> dict[str, Buffer]:
        self.backend.runs += 1
        values: list[np.ndarray] = []
        names = {index: name for name, index in self.program.inputs}
        for index, node in enumerate(self.program.nodes):
            if index in names:
                given = inputs[names[index]]
                array = given if isinstance(given, np.ndarray) else given.numpy()
                values.append(canonical_input(array))
                continue
            result = evaluate_node(node, [values[i] for i in node.inputs])
            if node.op is self.backend.op and result.dtype == np.float32:
                result = self.spoilt(result)
            values.append(result)
        return {name: HostBuffer(values[index]) for name, index in self.program.outputs}

    def spoilt(self, result: np.ndarray) -> np.ndarray:
        bits = result.view(np.uint32).copy()
        if self.backend.every_time:
            bits ^= 1
        elif self.backend.runs % 3 == 0:
            bits.reshape(-1)[self.backend.runs % bits.size] ^= 1 << 12
        return bits.view(np.float32)


@pytest.fixture(autouse=True)
def look_at_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """However short the unit is."""
    monkeypatch.setattr(self_check, "NODES_MIN", TARGETS_MAX)


def unit(tiny: Bundle, backend: Backend, seed: int) -> None:
    """One unit with a self-check."""
    run_unit(build(backend, tiny.job, Random(seed)), tiny.job.state, 0, seed % 3)


@pytest.mark.parametrize("op", [Op.DOT, Op.SUM, Op.MUL, Op.FMA])
def test_a_wrong_operation_is_found_in_the_first_unit(tiny: Bundle, op: Op) -> None:
    """One bit of every result of an op, in the step or in the result, is named with its op."""
    used = {node.op for p in (tiny.job.programs.step, tiny.job.programs.result) for node in p.nodes}
    for seed in range(10):
        if op not in used:
            unit(tiny, FlippingBackend(op), seed)
            continue
        with pytest.raises(
            FaultyDevice, match=r"^broken computed .* expected 0x.*, got 0x"
        ) as caught:
            unit(tiny, FlippingBackend(op), seed)
        if op in (Op.DOT, Op.SUM):  # these have a buffer of their own
            assert f"computed {op.name} FLOAT32 wrongly" in str(caught.value)
        assert "ainur doctor" in caught.value.remedy


def test_a_device_that_errs_now_and_then_is_found_in_the_end(tiny: Bundle) -> None:
    """One element in every third run: the odds of each unit add up."""
    backend = FlippingBackend(Op.DOT, every_time=False)
    found = 0
    for seed in range(30):
        try:
            unit(tiny, backend, seed)
        except FaultyDevice:
            found += 1
    assert 0 < found < 30


def test_a_long_unit_runs_its_step_twice() -> None:
    """A difference between two runs is found wherever it is."""
    kind = TensorType(DType.FLOAT32, (40, 300))
    program = trace(lambda i: {"y": i["x"] * 3.0}, {"x": kind})
    backend = FlippingBackend(Op.MUL, every_time=False)
    watched = Watched("step", backend, program, Random(1))
    x = {"x": np.ones((40, 300), np.float32)}
    watched.checked(x, 49, lambda: 0.0)
    assert backend.runs == 1
    with pytest.raises(FaultyDevice, match=r"wrongly.* in a second run: expected"):
        watched.checked(x, 50, lambda: 0.0)
    assert backend.runs == 3


def test_a_sound_device_is_never_blamed(tiny: Bundle) -> None:
    """On the reference and on a real device; the roots are those without a check."""
    backends = [open_backend("reference")] + ([open_backend()] if list_devices() else [])
    for backend in backends:
        plain = run_unit(build(backend, tiny.job), tiny.job.state, 0, 1)
        for seed in range(12):
            loaded = build(backend, tiny.job, Random(seed))
            checked = run_unit(loaded, tiny.job.state, 0, 1)
            assert checked.result_root == plain.result_root
            assert checked.trace_root == plain.trace_root


@pytest.mark.parametrize("seed", range(30))
def test_no_program_is_too_strange_to_be_checked(seed: int) -> None:
    """Every op, dtype and special value: a sound device passes, its outputs are untouched."""
    random = Random(seed)
    program = random_step(random, 3) if seed % 3 == 0 else random_program(random, 12)
    inputs = random_inputs(program, random)
    watched = Watched("step", FlippingBackend(None), program, random)
    outputs = runner(watched, 1)(0, inputs)
    values = evaluate(program, inputs)
    assert list(outputs) == [name for name, _ in program.outputs]
    for name, index in program.outputs:
        assert outputs[name].numpy().tobytes() == values[index].tobytes()


def test_what_is_in_sight_is_bounded_and_random() -> None:
    """A few nodes, others with other randomness; none at all where they do not fit."""
    kind = TensorType(DType.FLOAT32, (64, 64))

    def deep(i):
        x = i["x"]
        for _ in range(60):
            x = x @ i["x"]
        return {"y": x}

    program, choices = trace(deep, {"x": kind}), set()
    for seed in range(5):
        backend = FlippingBackend(None)
        watched = Watched("step", backend, program, Random(seed))
        shown = watched._loaded.program.outputs
        assert len(shown) <= 1 + 3 * TARGETS_MAX
        assert sum(program.nodes[i].bytes for _, i in shown) <= 64 * 64 * 4 + EXPOSED_BYTES_MAX
        choices.add(shown)
    assert len(choices) == 5
    tight = FlippingBackend(None, bytes_max=64 * 64 * 4)
    watched = Watched("step", tight, program, Random(1))
    assert (tight.loads, watched._loaded.program) == (2, program)
    watched.checked({"x": np.eye(64, dtype=np.float32)}, 1, lambda: 0.0)
    assert ELEMENTS_MAX <= 64 * 64


def test_the_step_that_is_checked_is_random_and_not_the_first() -> None:
    """Of one step it is that one; the time of the whole unit is estimated from those before."""
    program = trace(lambda i: {"y": i["x"] + 1.0}, {"x": TensorType(DType.FLOAT32, (3,))})
    seen = set()
    for seed in range(60):
        watched = Watched("step", FlippingBackend(None), program, Random(seed))
        times: list[float] = []
        watched.checked = partial(_note_time, times)
        run = watched.runner(7)
        for step in range(7):
            run(step, {"x": np.zeros(3, np.float32)})
            if len(times) == 1:
                seen.add(step)
                times.append(0.0)
        assert times[0] > 0
        assert len(times) == 2
    assert seen == {1, 2, 3, 4, 5, 6}


def _note_time(times, inputs, steps, unit_s):
    """In place of a check."""
    times.append(unit_s())
    return {}


def test_worker_answers_that_its_device_is_faulty(tiny: Bundle, tmp_path: Path) -> None:
    """No result is stored, and without a check nobody would have noticed."""
    store = BlobStore(tmp_path)
    request = ComputeUnit(
        kind="unit", manifest=tiny.put(store), checkpoint=tiny.manifest.state, round=0, slot=0
    )
    before = sorted(tmp_path.rglob("*"))
    answer = Worker(store, FlippingBackend(Op.DOT), 1 << 30, Random(1)).answer(request)
    assert isinstance(answer, Failed)
    assert answer.blame == "faulty"
    assert "computed DOT FLOAT32 wrongly" in answer.message
    assert sorted(tmp_path.rglob("*")) == before
    assert isinstance(Worker(store, FlippingBackend(Op.DOT), 1 << 30).answer(request), UnitDone)
