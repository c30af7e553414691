"""A job whose data is noise: a net of two hidden layers, as large as is asked for.

For measurements of what surrounds computing. Its steps cost next to nothing and its payloads are
those of any model with as many parameters: what the codes of deltas and moments look like depends
on the optimizer more than on the data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine import state as tensors
from engine.functional import relu
from engine.nn import Linear, Module
from engine.tensor import Tensor
from examples.digits.__main__ import JOB_TOML
from examples.digits.__main__ import Settings as DigitsSettings
from scheduler.diloco import Recipe, Sizes, first_state, programs

FEATURES, ROWS, BATCH = 64, 256, 4

Tensors = Mapping[str, Tensor]
SecondMoment = Literal["full", "factored", "none"]


@dataclass(frozen=True, slots=True)
class NoiseJob:
    """Its numbers. The width makes the size: 640 has 452,481 parameters, 864 has 804,385."""

    name: str
    rounds: int
    slots: int
    steps: int
    width: int = 640
    second_moment: SecondMoment = "full"
    unit_timeout_s: int = 60

    @property
    def parameters(self) -> int:
        """The number of the model's parameters."""
        return sum(tensor.numel() for tensor in Net(self.width).parameters())


class Net(Module):
    """FEATURES -> width -> width -> 1."""

    def __init__(self, width: int) -> None:
        rng = np.random.default_rng(1)
        self.one, self.two = Linear(FEATURES, width, rng=rng), Linear(width, width, rng=rng)
        self.out = Linear(width, 1, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        """(n, FEATURES) -> (n, 1)."""
        return self.out(relu(self.two(relu(self.one(x)))))


def write(folder: Path, wanted: NoiseJob) -> Path:
    """Write the job's files to a new folder; the path of its job file."""
    folder.mkdir()

    def rows(seed: int) -> dict[str, NDArray[np.float32]]:
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((ROWS, FEATURES)).astype(np.float32)
        return {"x": x, "y": x[:, :1].copy()}

    def loss(model: Net, batch: Tensors) -> Tensor:
        return (model(batch["x"]) - batch["y"]).square().mean()

    def measure(model: Net, test: Tensors) -> Tensors:
        return {"loss": loss(model, test)}

    model = Net(wanted.width)
    recipe = Recipe(model=model, loss=loss, measure=measure, second_moment=wanted.second_moment)
    train, test = rows(1), rows(2)
    sizes = Sizes(wanted.rounds, wanted.slots, wanted.steps, BATCH)
    for name, program in programs(recipe, sizes, train, test).items():
        (folder / f"{name}.program").write_bytes(program.to_bytes())
    state = {name: tensor.numpy() for name, tensor in first_state(recipe).items()}
    for name, content in (("state", state), ("train", train), ("test", test)):
        (folder / f"{name}.safetensors").write_bytes(tensors.encode(content))
    job = folder / "job.toml"
    job.write_text(_job_file(wanted))
    return job


def _job_file(wanted: NoiseJob) -> str:
    settings = DigitsSettings(
        rounds=wanted.rounds,
        slots=wanted.slots,
        steps=wanted.steps,
        trace_every=wanted.steps,
        batch=BATCH,
        unit_timeout_s=wanted.unit_timeout_s,
        price_wei_per_gflop=10**15,
    )
    values = {name: getattr(settings, name) for name in settings.__dataclass_fields__}
    return JOB_TOML.format(**values).replace('name = "digits"', f'name = "{wanted.name}"')
