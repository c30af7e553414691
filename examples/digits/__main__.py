"""Write the digits job to a folder: `python -m examples.digits --out FOLDER`.

The folder gets job.toml, five Programs and three safetensors files; `ainur job submit
FOLDER/job.toml` takes it from there. Every fifth digit of a fixed shuffle is held out for
evaluation.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from engine import state as tensors
from examples.digits.model import recipe
from scheduler.diloco import Sizes, first_state, programs

SHUFFLE_SEED, PARAMETER_SEED = 0, 0
HELD_OUT = 5
"""One digit of this many is for evaluation alone."""

JOB_TOML = """\
# Train a 64-64-10 classifier on scikit-learn's digits. See examples/digits/README.md.
name = "digits"

[training]
rounds = {rounds}
slots = {slots}       # work units per round; any number of peers shares them
steps = {steps}      # optimizer steps per unit
trace_every = {trace_every}  # a digest of the state every so many steps
batch = {batch}

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
price_wei_per_gflop = {price_wei_per_gflop}
budget_wei = {budget_wei}

[limits]
deadline_s = {deadline_s}
unit_timeout_s = {unit_timeout_s}
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """What may be chosen; the defaults reach 98% on the held-out digits."""

    rounds: int = 8
    slots: int = 8
    steps: int = 20
    trace_every: int = 5
    batch: int = 32
    price_wei_per_gflop: int = 40 * 10**18
    budget_wei: int = 200 * 10**18
    deadline_s: int = 3600
    unit_timeout_s: int = 60


def write(folder: Path, settings: Settings) -> Path:
    """Write the job's files; the path of its job file."""
    folder.mkdir(parents=True, exist_ok=True)
    train, test = split()
    how = recipe(PARAMETER_SEED)
    sizes = Sizes(settings.rounds, settings.slots, settings.steps, settings.batch)
    for name, program in programs(how, sizes, train, test).items():
        (folder / f"{name}.program").write_bytes(program.to_bytes())
    state = {name: tensor.numpy() for name, tensor in first_state(how).items()}
    for name, content in (("state", state), ("train", train), ("test", test)):
        (folder / f"{name}.safetensors").write_bytes(tensors.encode(content))
    job = folder / "job.toml"
    values = {name: getattr(settings, name) for name in settings.__dataclass_fields__}
    job.write_text(JOB_TOML.format(**values))
    return job


def split() -> tuple[dict[str, NDArray[np.generic]], dict[str, NDArray[np.generic]]]:
    """Training and evaluation digits: pixels 0..16 and labels 0..9, each as bytes."""
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(SHUFFLE_SEED).permutation(len(labels))
    held_out = np.arange(len(labels)) % HELD_OUT == 0
    return tuple(  # type: ignore[return-value]
        {"pixels": pixels[rows].astype(np.uint8), "label": labels[rows].astype(np.uint8)}
        for rows in (order[~held_out], order[held_out])
    )


def main() -> None:
    """Parse the arguments and write the job."""
    parser = argparse.ArgumentParser(prog="python -m examples.digits", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the job's files")
    defaults = Settings()
    for name in Settings.__dataclass_fields__:
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=int, default=getattr(defaults, name))
    options = vars(parser.parse_args())
    print(write(options.pop("out"), Settings(**options)))


if __name__ == "__main__":
    main()
