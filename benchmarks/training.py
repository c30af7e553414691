"""Which training protocol loses least: `python -m benchmarks.training TEXT --results FILE`.

Small character transformers learn a text by the very Programs that `scheduler.diloco` makes, in one
process and without a network, one factor changed at a time. All runs of a seed begin with the same
parameters and read the same windows of the text. A finished run is one line of FILE; a repeated
call goes on with what is missing, so that killing it loses one run. `benchmarks.training_report`
makes tables and a picture of FILE. With --part 0/2 and --part 1/2 two processes share the runs.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.training_variants import VARIANTS, Variant, tell_lie
from engine.backend import Array, Backend, Buffer, Loaded, open_backend
from engine.functional import cross_entropy
from engine.tensor import Tensor
from examples.gpt import GPT, Settings
from scheduler import diloco

VERSION = 1
"""Of what is measured; a run of another version is done again."""

CONTEXT, ROWS, STEPS_ALL = 64, 4, 1000
EVALUATION_ROWS, EVALUATIONS_LAST = 256, 6
"""Windows of held-out text after each round, and how many times as many at the end."""

Tokens = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Text:
    """A text in windows of CONTEXT + 1 characters, each as a number; the last tenth is held out."""

    name: str
    sha256: str
    characters: int
    train: Tokens
    held_out: Tokens

    @classmethod
    def read(cls, path: Path) -> "Text":
        """Raises SystemExit for a text that is too short."""
        data = path.read_bytes()
        known, codes = np.unique(list(data.decode()), return_inverse=True)
        count = (len(codes) - 1) // CONTEXT
        starts = np.arange(count)[:, None] * CONTEXT
        windows = codes.astype(np.uint8)[starts + np.arange(CONTEXT + 1)]
        cut = count * 9 // 10
        if count - cut < EVALUATION_ROWS * EVALUATIONS_LAST or len(known) > 256:
            raise SystemExit("the text is too short, or has more than 256 different characters")
        digest = hashlib.sha256(data).hexdigest()
        return cls(path.name, digest, len(known), windows[:cut], windows[cut:])


@dataclass(slots=True)
class Run:
    """One variant, one seed: its Programs on a device and its shuffled windows."""

    backend: Backend
    variant: Variant
    train: Tokens
    held_out: Tokens
    programs: dict[str, Loaded]
    state: dict[str, Array]
    curve: list[float] = field(default_factory=list)
    counted: list[float] = field(default_factory=list)

    carried: dict[int, dict[str, Buffer]] = field(default_factory=dict)

    @property
    def rounds(self) -> int:
        """As many as fit into STEPS_ALL."""
        return STEPS_ALL // self.variant.steps

    def rows(self, round: int, slot: int, step: int) -> Tokens:
        """docs/spec/protocol.md, section 3."""
        turn = (round * self.variant.slots + slot) * self.variant.steps + step
        start = turn % (len(self.train) // ROWS) * ROWS
        return self.train[start : start + ROWS]

    def loss(self, chunk: int = 0) -> float:
        """On the chunk-th EVALUATION_ROWS held-out windows."""
        test = self.held_out[chunk * EVALUATION_ROWS :][:EVALUATION_ROWS]
        wanted = self.programs["evaluate"].program.input_types
        given = {f"round.{name}": array for name, array in self.state.items()}
        given = {name: given[name] for name in given if name in wanted}
        outputs = self.programs["evaluate"](given | {"test.text": test})
        return float(outputs["metric.loss"].numpy())

    def round(self, round: int) -> None:
        """All slots of a round, the aggregate and the outer step; or as many synchronous steps."""
        start = {name: self.backend.upload(array) for name, array in self.state.items()}
        if self.variant.is_synchronous:
            self._synchronous(start, round)
        else:
            self._units(start, round)
        self.curve.append(self.loss())

    def _units(self, start: dict[str, Buffer], round: int) -> None:
        slots: dict[str, Array] = {}
        for slot in range(self.variant.slots):
            end = self._unit(start, round, slot)
            given = {f"start.{n}": b for n, b in start.items()}
            given |= {f"end.{n}": b for n, b in end.items()}
            result = _outputs(self.programs["result"], given, "result.")
            if self.variant.lie and slot == self.variant.slots // 2:
                result = tell_lie(self.variant.lie, result)
            slots |= {f"slot{slot}.{name}": array for name, array in result.items()}
        found = _outputs(self.programs["aggregate"], slots, "aggregate.")
        self.counted.append(float(found["counted"]))
        given = {f"round.{n}": b for n, b in start.items()}
        given_all: dict[str, Any] = given | {f"aggregate.{n}": a for n, a in found.items()}
        self.state = _outputs(self.programs["outer"], given_all, "round.")

    def _unit(self, start: Mapping[str, Buffer], round: int, slot: int) -> dict[str, Buffer]:
        state = self._first(start, slot)
        for step in range(self.variant.steps):
            state = self._step(state, self.rows(round, slot, step), round, step)
        if self.variant.is_carried:
            self.carried[slot] = {n: b for n, b in state.items() if n not in start}
        return state

    def _first(self, start: Mapping[str, Buffer], slot: int) -> dict[str, Buffer]:
        """The round state's tensors; else what this slot carried; else zeros."""
        known = {**self.carried.get(slot, {}), **start}
        types = self.programs["step"].program.input_types
        wanted = {n.removeprefix("state."): k for n, k in types.items() if n.startswith("state.")}
        return {
            n: known[n] if n in known else self.backend.upload(np.zeros(k.shape, k.dtype.numpy))
            for n, k in wanted.items()
        }

    def _step(
        self, state: Mapping[str, Buffer], rows: Tokens, round: int, step: int
    ) -> dict[str, Buffer]:
        given: dict[str, Any] = {f"state.{name}": buffer for name, buffer in state.items()}
        given |= {"index.round": np.array(round, np.int32), "index.step": np.array(step, np.int32)}
        outputs = self.programs["step"](given | {"batch.text": rows})
        return {name: outputs[f"state.{name}"] for name in state}

    def _synchronous(self, start: dict[str, Buffer], round: int) -> None:
        """One AdamW that in every step sees the rows of all slots."""
        state = self._first(start, 0)
        for step in range(self.variant.steps):
            rows = [self.rows(round, slot, step) for slot in range(self.variant.slots)]
            state = self._step(state, np.concatenate(rows), round, step)
        self.carried[0] = {n: b for n, b in state.items() if n not in start}
        self.state |= {n: state[n].numpy() for n in state if n in start}


def _outputs(program: Loaded, given: Mapping[str, Any], prefix: str) -> dict[str, Array]:
    inputs = {name: given[name] for name in program.program.input_types}
    return {n.removeprefix(prefix): b.numpy() for n, b in program(inputs).items()}


def loss(model: GPT, batch: Mapping[str, Tensor]) -> Tensor:
    """The mean cross-entropy of every next character, in nats."""
    text = batch["text"].int()
    return cross_entropy(model(text[:, :-1]).flatten(0, 1), text[:, 1:].flatten())


def recipe_of(variant: Variant, seed: int, characters: int) -> diloco.Recipe[GPT]:
    """How a variant trains."""
    settings = Settings(variant.layers, 4, variant.width, CONTEXT, seed=seed)
    return diloco.Recipe(
        model=GPT(settings, characters),
        loss=loss,
        measure=lambda model, test: {"loss": loss(model, test)},
        **variant.recipe,
    )


def begin(backend: Backend, variant: Variant, seed: int, text: Text) -> tuple[Run, str]:
    """A run before its first round, and a digest of its Programs."""
    recipe = recipe_of(variant, seed, text.characters)
    joint = variant.slots if variant.is_synchronous else 1
    sizes = diloco.Sizes(STEPS_ALL // variant.steps, variant.slots, variant.steps, ROWS * joint)
    test = {"text": text.held_out[:EVALUATION_ROWS]}
    programs = diloco.programs(recipe, sizes, {"text": text.train}, test)
    digest = hashlib.sha256(b"".join(programs[name].digest for name in sorted(programs)))
    order = np.random.default_rng(seed).permutation(len(text.train))
    first = {name: tensor.numpy() for name, tensor in diloco.first_state(recipe).items()}
    loaded = {name: backend.load(program) for name, program in programs.items()}
    run = Run(backend, variant, text.train[order], text.held_out, loaded, first)
    return run, digest.hexdigest()


def measure(run: Run) -> dict[str, Any]:
    """Train to the end; what a line of the results says of it."""
    began, began_cpu = perf_counter(), process_time()
    for round in range(run.rounds):
        run.round(round)
    final = float(np.mean([run.loss(chunk) for chunk in range(EVALUATIONS_LAST)]))
    return {
        "final": final,
        "curve": run.curve,
        "counted": run.counted,
        "seconds": perf_counter() - began,
        "cpu_seconds": process_time() - began_cpu,
    }


def missing(options: argparse.Namespace) -> Iterator[tuple[Variant, int]]:
    """What to run: all variants with the first seed, then all with the next."""
    part, parts = map(int, options.part.split("/"))
    wanted = [
        (variant, seed)
        for seed in range(options.seeds)
        for variant in VARIANTS
        if seed < variant.seeds and re.search(options.only, variant.name)
    ]
    return iter(wanted[part::parts])


def done(path: Path) -> set[tuple[Any, ...]]:
    """The runs that the results file has; a line that was cut off counts for nothing."""
    found = set()
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            run = json.loads(line)
        except ValueError:
            continue
        found.add((run["name"], run["seed"], run["version"], run["text"], run["programs"]))
    return found


def append(path: Path, run: dict[str, Any]) -> None:
    """One line, on the disk when this returns; it begins anew where the last one was cut off."""
    with path.open("a+b") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
        torn = file.read(1) not in (b"", b"\n")
        file.write(b"\n" * torn + json.dumps(run, sort_keys=True).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def main() -> None:
    """Parse the arguments and run what is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("text", type=Path, help="a text in UTF-8 of a megabyte or so")
    parser.add_argument("--results", type=Path, required=True, help="one JSON line per run")
    parser.add_argument("--only", default="", help="variants whose names have this pattern")
    parser.add_argument("--part", default="0/1", help="K/N: every N-th run, from the K-th")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="", help="as in `ainur doctor`; default: the best")
    options = parser.parse_args()
    text, backend = Text.read(options.text), open_backend(options.device)
    for variant, seed in missing(options):
        run, digest = begin(backend, variant, seed, text)
        if (variant.name, seed, VERSION, text.sha256, digest) in done(options.results):
            continue
        found = measure(run)
        about = {
            "name": variant.name, "seed": seed, "version": VERSION, "text": text.sha256,
            "text_name": text.name, "programs": digest, "variant": asdict(variant),
            "device": backend.name, "machine": platform.machine(),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        }  # fmt: skip
        append(options.results, about | found)
        print(f"{variant.name} {seed}: {found['final']:.4f} {found['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
