"""Build this job: `python build.py` writes job.toml and all that it names next to this file.

Change what CHANGE marks: the data, the model, what is minimised and measured, the numbers.
Then `ainur job quote job.toml` tells the price and `ainur job submit job.toml` trains it.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine import Tensor, state
from engine.functional import accuracy, cross_entropy
from engine.nn import Flatten, Linear, Module, ReLU, Sequential
from scheduler import diloco

FOLDER = Path(__file__).resolve().parent
Arrays = dict[str, NDArray[np.generic]]

# --- Numbers (CHANGE). ----------------------------------------------------------------------------

NAME = "spirals"
ROUNDS = 6  # how often the peers combine what they found
SLOTS = 4  # work units in a round; any number of peers shares them
STEPS = 40  # training steps in a unit
BATCH = 32  # rows in a step
RATE = 1e-2  # AdamW's learning rate
PRICE_PER_GFLOP = "40"  # AIN that a worker earns for 10**9 operations
BUDGET = "200"  # AIN, the most that the job may cost; what is not earned comes back
DEADLINE_S = 3600  # the whole job
UNIT_TIMEOUT_S = 60  # one unit; then another peer gets it
SEED = 0


# --- Data (CHANGE). Every peer that works on the job sees it. -------------------------------------


def load() -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Features (rows, ...) and class numbers (rows,): data.npz if it is there, or three spirals."""
    file = FOLDER / "data.npz"
    if not file.exists():
        return spirals()
    with np.load(file) as data:
        return data["x"].astype(np.float32), data["y"].astype(np.int32)


def spirals(rows: int = 1500, arms: int = 3) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Points on the arms of a spiral, and the number of each point's arm."""
    rng = np.random.default_rng(SEED)
    arm = rng.integers(arms, size=rows)
    radius = rng.uniform(0.1, 1.0, rows)
    angle = 2 * np.pi * (arm / arms + 0.75 * radius) + rng.normal(0, 0.3, rows)
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return points.astype(np.float32), arm.astype(np.int32)


# --- Model (CHANGE). Layers are in engine.nn, functions in engine.functional. ---------------------


class Model(Module):
    """Three layers: features -> 32 -> 32 -> one score per class."""

    def __init__(self, features: int, classes: int, rng: np.random.Generator) -> None:
        self.layers = Sequential(
            Flatten(),
            Linear(features, 32, rng=rng),
            ReLU(),
            Linear(32, 32, rng=rng),
            ReLU(),
            Linear(32, classes, rng=rng),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(rows, ...) -> (rows, classes)."""
        return self.layers(x)


def loss(model: Model, batch: Mapping[str, Tensor]) -> Tensor:
    """What training minimises on a batch of rows: one number."""
    return cross_entropy(model(batch["x"]), batch["y"])


def measure(model: Model, test: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What everybody sees of a round, on rows that nobody trained on: numbers by name."""
    scores = model(test["x"])
    return {"loss": cross_entropy(scores, test["y"]), "accuracy": accuracy(scores, test["y"])}


# --- From here on nothing needs to change. --------------------------------------------------------

JOB = f"""\
# Written by build.py: change that, not this.
name = "{NAME}"

[training]
rounds = {ROUNDS}
slots = {SLOTS}
steps = {STEPS}
trace_every = {max(1, STEPS // 4)}
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
price_per_gflop = "{PRICE_PER_GFLOP}"
budget = "{BUDGET}"

[limits]
deadline_s = {DEADLINE_S}
unit_timeout_s = {UNIT_TIMEOUT_S}
"""


def split(x: NDArray[np.float32], y: NDArray[np.int32]) -> tuple[Arrays, Arrays]:
    """Shuffled rows, since units read them in order; every fifth is for the measure alone."""
    order = np.random.default_rng(SEED).permutation(len(x))
    held_out = np.arange(len(x)) % 5 == 0
    train, test = order[~held_out], order[held_out]
    return {"x": x[train], "y": y[train]}, {"x": x[test], "y": y[test]}


def main() -> None:
    """Write the job's files."""
    x, y = load()
    train, test = split(x, y)
    model = Model(x[0].size, int(y.max()) + 1, np.random.default_rng(SEED))
    recipe = diloco.Recipe(model=model, loss=loss, measure=measure, rate=RATE)
    sizes = diloco.Sizes(ROUNDS, SLOTS, STEPS, BATCH)
    for name, program in diloco.programs(recipe, sizes, train, test).items():
        (FOLDER / f"{name}.program").write_bytes(program.to_bytes())
    first = {name: tensor.numpy() for name, tensor in diloco.first_state(recipe).items()}
    for name, arrays in (("state", first), ("train", train), ("test", test)):
        (FOLDER / f"{name}.safetensors").write_bytes(state.encode(arrays))
    (FOLDER / "job.toml").write_text(JOB, encoding="utf-8")
    print(FOLDER / "job.toml")


if __name__ == "__main__":
    main()
