"""The job of the churn runs: a classifier on shifted, noisy copies of scikit-learn's digits.

Small enough for two cores, and everything is there: data, results and checkpoints of several
chunks, units that take seconds, rounds enough for several kills.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from engine import state as tensors
from engine.functional import accuracy, cross_entropy, relu
from engine.nn import Linear, Module
from engine.tensor import Tensor
from examples.digits.__main__ import JOB_TOML
from scheduler.diloco import Recipe, Sizes, first_state, programs

SIDE, CLASSES, BRIGHTEST = 8, 10, 16.0
HELD_OUT = 5
SHIFTS = tuple((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1))
NOISES = 20
"""Copies with other noise; so many that the default job reads each row about once."""

DATA_SEED, PARAMETER_SEED = 0, 0


@dataclass(frozen=True, slots=True)
class Settings:
    """A job's size."""

    rounds: int = 5
    slots: int = 8
    steps: int = 100
    trace_every: int = 20
    batch: int = 64
    width: int = 256
    unit_timeout_s: int = 240
    deadline_s: int = 3600
    price_wei_per_gflop: int = 10**17
    budget_wei: int = 1000 * 10**18


class Classifier(Module):
    """64 pixels -> two hidden layers -> 10 classes."""

    def __init__(self, width: int, rng: np.random.Generator) -> None:
        self.first = Linear(SIDE * SIDE, width, rng=rng)
        self.second = Linear(width, width, rng=rng)
        self.output = Linear(width, CLASSES, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        """Pixels 0..16 as (n, 64) of any dtype -> logits (n, 10)."""
        return self.output(relu(self.second(relu(self.first(x.float() / BRIGHTEST)))))


def write(folder: Path, settings: Settings) -> Path:
    """Write the job's files; the path of its job file."""
    folder.mkdir(parents=True, exist_ok=True)
    train, test = _data()
    recipe = Recipe(
        model=Classifier(settings.width, np.random.default_rng(PARAMETER_SEED)),
        loss=lambda model, batch: cross_entropy(model(batch["pixels"]), batch["label"].int()),
        measure=_measure,
    )
    sizes = Sizes(settings.rounds, settings.slots, settings.steps, settings.batch)
    for name, program in programs(recipe, sizes, train, test).items():
        (folder / f"{name}.program").write_bytes(program.to_bytes())
    state = {name: tensor.numpy() for name, tensor in first_state(recipe).items()}
    for name, content in (("state", state), ("train", train), ("test", test)):
        (folder / f"{name}.safetensors").write_bytes(tensors.encode(content))
    values = {name: getattr(settings, name) for name in settings.__dataclass_fields__}
    job = folder / "job.toml"
    job.write_text(JOB_TOML.format(**values).replace('"digits"', '"churn"'))
    return job


def _measure(model: Classifier, test: Mapping[str, Tensor]) -> dict[str, Tensor]:
    label, logits = test["label"].int(), model(test["pixels"])
    return {"loss": cross_entropy(logits, label), "accuracy": accuracy(logits, label)}


def _data() -> tuple[dict[str, NDArray[np.generic]], dict[str, NDArray[np.generic]]]:
    """Training digits, each in several copies, shuffled; evaluation digits as they are."""
    pixels, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(DATA_SEED)
    order = rng.permutation(len(labels))
    held_out = np.arange(len(labels)) % HELD_OUT == 0
    images = pixels[order[~held_out]].reshape(-1, SIDE, SIDE).astype(np.int8)
    copies = [np.roll(images, shift, axis=(1, 2)) for shift in SHIFTS for _ in range(NOISES)]
    noisy = np.concatenate(copies) + rng.integers(
        -2, 3, (len(copies) * len(images), SIDE, SIDE), np.int8
    )
    label = np.tile(labels[order[~held_out]], len(copies))
    shuffled = rng.permutation(len(label))
    train = np.clip(noisy, 0, int(BRIGHTEST)).reshape(-1, SIDE * SIDE)[shuffled]
    test = order[held_out]
    return (
        {"pixels": train.astype(np.uint8), "label": label[shuffled].astype(np.uint8)},
        {"pixels": pixels[test].astype(np.uint8), "label": labels[test].astype(np.uint8)},
    )
