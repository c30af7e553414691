"""A job small enough to follow by hand: three weights, ten rows, every feature of the protocol."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from engine import state as tensors
from engine.dtypes import DType
from engine.program import TensorType
from engine.tensor import Tensor
from engine.trace import trace
from node.bundle import Bundle, assemble
from node.journal import Journal

ROUNDS, SLOTS, STEPS, TRACE_EVERY, BATCH, ROWS, TEST_ROWS = 2, 3, 5, 2, 4, 10, 6
WIDE_ROWS = 110_000

F32, I32 = DType.FLOAT32, DType.INT32
W, SCALAR, INDEX = TensorType(F32, (3, 1)), TensorType(F32, ()), TensorType(I32, ())

JOB_TOML = f"""
name = "tiny"
[training]
rounds = {ROUNDS}
slots = {SLOTS}
steps = {STEPS}
trace_every = {TRACE_EVERY}
batch = {BATCH}
[programs]
step = "step.program"
result = "result.program"
aggregate = "aggregate.program"
outer = "outer.program"
evaluate = "evaluate.program"
[data]
state = "state.safetensors"
train = "train.safetensors"
test = "test.safetensors"
[budget]
price_wei_per_gflop = 1_000_000_000_000
budget_wei = 10_000_000
[limits]
deadline_s = 600
unit_timeout_s = 60
peers_min = 2
"""

Tensors = Mapping[str, Tensor]


def step(t: Tensors) -> Tensors:
    """Linear regression with momentum; a second metric tells which step this is."""
    error = t["batch.x"] @ t["state.w"] - t["batch.y"]
    m = t["state.m"] * 0.5 + t["batch.x"].T @ error / float(BATCH)
    place = t["index.round"] * 100 + t["index.slot"] * 10 + t["index.step"]
    return {
        "state.m": m,
        "state.w": t["state.w"] - m * 0.1,
        "metric.loss": error.square().mean(),
        "metric.place": place.float(),
    }


def result(t: Tensors) -> Tensors:
    """How far the weights moved, and where the momentum ended."""
    return {"result.delta": t["start.w"] - t["end.w"], "result.m": t["end.m"]}


def aggregate(t: Tensors) -> Tensors:
    """Average the movement; add up the losses, so that metrics are seen to arrive."""
    delta, losses = t["slot0.delta"] / float(SLOTS), t["slot0.metric.loss"].sum()
    for slot in range(1, SLOTS):
        delta = delta + t[f"slot{slot}.delta"] / float(SLOTS)
        losses = losses + t[f"slot{slot}.metric.loss"].sum()
    return {"aggregate.delta": delta, "aggregate.losses": losses}


def outer(t: Tensors) -> Tensors:
    """Follow the average."""
    return {
        "round.w": t["round.w"] - t["aggregate.delta"],
        "round.losses": t["round.losses"] + t["aggregate.losses"],
    }


def evaluate(t: Tensors) -> Tensors:
    """The mean squared error."""
    return {"metric.mse": (t["test.x"] @ t["round.w"] - t["test.y"]).square().mean()}


def rows(count: int, x: str = "x", y: str = "y") -> dict[str, TensorType]:
    """The types of so many rows of data."""
    return {x: TensorType(F32, (count, 3)), y: TensorType(F32, (count, 1))}


@pytest.fixture(scope="session")
def tiny_programs() -> dict[str, bytes]:
    """The five Programs of the tiny job, encoded."""
    slots = {f"slot{i}.delta": W for i in range(SLOTS)}
    losses = {f"slot{i}.metric.loss": TensorType(F32, (STEPS,)) for i in range(SLOTS)}
    batch = rows(BATCH, "batch.x", "batch.y")
    indices = {f"index.{name}": INDEX for name in ("round", "slot", "step")}
    states = {"round.w": W, "round.losses": SCALAR}
    test = rows(TEST_ROWS, "test.x", "test.y")
    made = {
        "step": trace(step, {"state.w": W, "state.m": W, **batch, **indices}),
        "result": trace(result, {"start.w": W, "end.w": W, "end.m": W}),
        "aggregate": trace(aggregate, {**slots, **losses}),
        "outer": trace(outer, {**states, "aggregate.delta": W, "aggregate.losses": SCALAR}),
        "evaluate": trace(evaluate, {"round.w": W, **test}),
    }
    return {name: program.to_bytes() for name, program in made.items()}


@pytest.fixture(scope="session")
def write_tiny(tiny_programs: dict[str, bytes]) -> Callable[..., Path]:
    """Write the tiny job's files to a folder; the path of its job file."""

    def write(folder: Path, train_rows: int = ROWS) -> Path:
        rng = np.random.default_rng(5)

        def data(count: int) -> dict[str, np.ndarray]:
            x = rng.standard_normal((count, 3)).astype(np.float32)
            return {"x": x, "y": (x @ [[1.0], [-2.0], [0.5]]).astype(np.float32)}

        for name, code in tiny_programs.items():
            (folder / f"{name}.program").write_bytes(code)
        state = {"w": np.zeros((3, 1), np.float32), "losses": np.zeros((), np.float32)}
        contents = {"state": state, "train": data(train_rows), "test": data(TEST_ROWS)}
        for name, content in contents.items():
            (folder / f"{name}.safetensors").write_bytes(tensors.encode(content))
        (folder / "job.toml").write_text(JOB_TOML)
        return folder / "job.toml"

    return write


@pytest.fixture
def tiny_file(tmp_path: Path, write_tiny: Callable[[Path], Path]) -> Path:
    """The tiny job's file, with its neighbours, to spoil at will."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    return write_tiny(folder)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, write_tiny: Callable[..., Path]) -> Bundle:
    """The tiny job, assembled."""
    return assemble(write_tiny(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory, write_tiny: Callable[..., Path]) -> Bundle:
    """The tiny job with data of 7 chunks, of which a unit reads the first and the sixth."""
    return assemble(write_tiny(tmp_path_factory.mktemp("wide"), WIDE_ROWS))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal") as opened:
        yield opened
