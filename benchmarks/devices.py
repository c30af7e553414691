"""The same bits on every device: random Programs and whole training runs.

    python -m benchmarks.devices programs --programs 10000 --seed 1 --state FILE
    python -m benchmarks.devices train --model mlp --steps 100

`programs` runs random Programs (every op, forward and gradient, special values, odd shapes) on the
reference and on every OpenCL device that is listed, and compares all bits of all outputs. Program
i of a seed is always the same. With --state a run that was stopped goes on where it was. A Program
that differs is printed, cut down to the nodes that matter, and saved. `train` runs a model and
prints the digest of its final state per device. OCL_ICD_VENDORS names a folder of further drivers.
"""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from random import Random
from time import perf_counter
from unittest.mock import patch

import numpy as np

from benchmarks import models
from benchmarks.models import Model
from benchmarks.steps import initial_state, step_program
from engine import Tensor
from engine.backend import Backend, Buffer, list_devices, open_backend
from engine.commitment import state_root
from engine.functional import cross_entropy, relu
from engine.ops import Op
from engine.program import Node, Program, decode, encode
from engine.reference import ReferenceBackend, evaluate
from engine.validate import validate
from tests.engine.random_functions import random_step
from tests.engine.random_programs import joined, random_inputs, random_program

Arrays = Mapping[str, np.ndarray]

FAILURES_MAX = 5
STEPS_MAX = 12
SIZES = (1, 2, 7, 24, 36, 60, 96, 130, 210, 256, 360, 528, 720, 1001, 1024, 1920)
PACKED = 50
"""So many Programs in a row share a size of SIZES, so that one build has few kernels."""


@dataclass(slots=True)
class Progress:
    """How far a run is; `ops` counts the nodes that were run, by op."""

    seed: int
    devices: list[str]
    programs: int = 0
    failures: int = 0
    outputs: int = 0
    elements: int = 0
    kernels: int = 0
    seconds: float = 0.0
    ops: dict[str, int] = field(default_factory=dict)

    def save(self, path: Path | None) -> None:
        """Replace the state file."""
        if path is not None:
            part = path.with_suffix(".part")
            part.write_text(json.dumps(asdict(self)))
            part.replace(path)


def numbered_program(seed: int, index: int) -> tuple[Program, dict[str, np.ndarray]]:
    """Program `index` of a seed, with its inputs; one in 25 is a traced loss with gradients."""
    random = Random(f"{seed}/{index}")
    steps = min(1 + int(random.expovariate(0.4)), STEPS_MAX)
    if index % 25 == 0:
        program = random_step(random, random.randint(1, 4))
    elif index % 25 <= 2:
        program = random_program(random, steps)
    else:
        size = Random(f"{seed}/{index // PACKED}/size").choice(SIZES)
        program = random_program(random, steps, size)
    return program, random_inputs(program, random)


def devices(only: Sequence[str], gpu_kernels: bool) -> dict[str, Backend]:
    """Every device, or those that are named, each admitted by its golden vectors."""
    if "reference" in only:
        return {"reference": open_backend("reference")}
    found: dict[str, Backend] = {}
    for info in list_devices():
        if only and str(info.index) not in only:
            continue
        backend = open_backend(str(info.index))
        name = f"{info.index}: {info.platform} / {info.name} / {info.driver}"
        if gpu_kernels:  # the kernels of a GPU, whatever the device is
            backend.target = replace(backend.target, is_gpu=True)
            name += " / GPU kernels"
        found[name] = backend
    return found


def compare_programs(options: argparse.Namespace) -> int:
    """Run what is left of the asked number of Programs; the exit status."""
    backends = devices(options.device, options.gpu_kernels)
    progress = _resume(options, list(backends))
    print(f"seed {options.seed}, from Program {progress.programs}", *backends, sep="\n  ")
    while progress.programs < options.programs and progress.failures < FAILURES_MAX:
        first = progress.programs
        started = perf_counter()
        indices = range(first, min(first + options.batch, options.programs))
        wrong = _run_batch(backends, options.seed, indices, progress)
        for index, name, output in wrong:
            _report(backends[name], name, options, index, output)
        progress.failures += len(wrong)
        progress.programs = indices.stop
        progress.seconds += perf_counter() - started
        progress.save(options.state)
        if progress.programs // 200 != first // 200:
            print(_summary(progress), flush=True)
    print(_summary(progress))
    print("nodes:", ", ".join(f"{op} {n}" for op, n in sorted(progress.ops.items())))
    return 1 if progress.failures else 0


def _resume(options: argparse.Namespace, names: list[str]) -> Progress:
    progress = Progress(options.seed, names)
    if options.state is not None and options.state.exists():
        stored = json.loads(options.state.read_text())
        progress = Progress(**stored)
        if (progress.seed, progress.devices) != (options.seed, names):
            sys.exit(f"{options.state} is of seed {progress.seed} on {progress.devices}")
    return progress


def _summary(progress: Progress) -> str:
    return (
        f"{progress.programs} Programs, {progress.outputs} outputs, {progress.elements} elements, "
        f"{progress.kernels} kernels, {progress.failures} failures, {progress.seconds:.0f} s"
    )


def _run_batch(
    backends: Mapping[str, Backend], seed: int, indices: Iterable[int], progress: Progress
) -> list[tuple[int, str, str]]:
    """(Program, device, output) of every Program that differs on a device."""
    parts = [numbered_program(seed, index) for index in indices]
    whole = joined([program for program, _ in parts])
    assert decode(encode(whole)) == whole
    given = {f"p{n:03}.{k}": v for n, (_, values) in enumerate(parts) for k, v in values.items()}
    expected = _arrays(ReferenceBackend().load(whole)(given))
    for name, count in Counter(node.op.name for node in whole.nodes).items():
        progress.ops[name] = progress.ops.get(name, 0) + count
    wrong: dict[tuple[int, str], str] = {}
    for device, backend in backends.items():
        loaded = backend.load(whole)
        actual = _arrays(loaded(given))
        progress.kernels += len(getattr(loaded, "_launches", ()))
        progress.outputs += len(expected)
        progress.elements += sum(array.size for array in expected.values())
        for name in _differing(expected, actual):
            part, _, output = name.partition(".")
            wrong.setdefault((indices[int(part[1:])], device), output)
    return [(index, device, output) for (index, device), output in wrong.items()]


def _arrays(buffers: Mapping[str, Buffer]) -> dict[str, np.ndarray]:
    return {name: buffer.numpy() for name, buffer in buffers.items()}


def _differing(expected: Arrays, actual: Arrays) -> list[str]:
    return [n for n, a in expected.items() if a.tobytes() != actual[n].tobytes()]


def _report(
    backend: Backend, device: str, options: argparse.Namespace, index: int, output: str
) -> None:
    """Print a differing Program, as small as it gets, and save it with its inputs."""
    print(f"DIFFERS: --seed {options.seed}, Program {index}, output {output}, on {device}")
    program, inputs = numbered_program(options.seed, index)
    if not _fails(backend, program, inputs):
        print("  it does not differ when it runs without its neighbours in the batch")
        return
    program, inputs = shrink(program, inputs, lambda p, i: _fails(backend, p, i))
    for at, node in enumerate(program.nodes):
        operands = f"{node.inputs}" if node.inputs else ""
        print(f"  {at}: {node.op.name} {node.dtype.name} {node.shape} {operands} {node.attributes}")
    expected = _arrays(ReferenceBackend().load(program)(inputs))
    actual = _arrays(backend.load(program)(inputs))
    for name in _differing(expected, actual):
        bits = f"u{expected[name].itemsize}"
        want, got = expected[name].reshape(-1).view(bits), actual[name].reshape(-1).view(bits)
        where = np.flatnonzero(want != got)
        print(f"  {name}: {len(where)} of {want.size} elements differ; element {where[0]} is "
              f"{int(got[where[0]]):#x}, not {int(want[where[0]]):#x}")  # fmt: skip
    folder = Path(options.failures) / f"{options.seed}-{index}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "program.bin").write_bytes(encode(program))
    np.savez(folder / "inputs.npz", **inputs)
    print(f"  saved in {folder}", flush=True)


def _fails(backend: Backend, program: Program, inputs: Arrays) -> bool:
    expected = _arrays(ReferenceBackend().load(program)(inputs))
    return bool(_differing(expected, _arrays(backend.load(program)(inputs))))


def shrink(
    program: Program, inputs: Arrays, fails: Callable[[Program, Arrays], bool]
) -> tuple[Program, Arrays]:
    """A failing Program of fewer nodes: one output, and INPUTs for whatever need not be computed.

    One node alone if that fails; else nodes that fail only where they are computed together. An
    INPUT in place of a node holds what the reference computes there.
    """
    shown = replace(program, outputs=tuple((f"n{i:05}", i) for i in range(len(program.nodes))))
    values = evaluate(shown, dict(inputs))
    kept = {i for i, node in enumerate(program.nodes) if node.op is not Op.INPUT}
    for index in sorted(kept):
        alone = _cut(program, values, {index}, index)
        if fails(*alone):
            return alone
    for target in (index for _, index in program.outputs):
        candidate = _cut(program, values, kept, target)
        if fails(*candidate):
            break
    else:
        return program, inputs
    for index in sorted(kept):
        attempt = _cut(program, values, kept - {index}, target)
        if index != target and fails(*attempt):
            kept, candidate = kept - {index}, attempt
    return candidate


def _cut(
    program: Program, values: Mapping[int, np.ndarray], kept: set[int], target: int
) -> tuple[Program, Arrays]:
    """What leads to `target` through `kept` nodes; everything else is an INPUT."""
    wanted = {target}
    for index in range(target, -1, -1):
        if index in wanted and index in kept:
            wanted.update(program.nodes[index].inputs)
    place = {index: at for at, index in enumerate(sorted(wanted))}
    nodes, names = [], []
    for index, at in place.items():
        node = program.nodes[index]
        if index in kept:
            nodes.append(replace(node, inputs=tuple(place[i] for i in node.inputs)))
        else:
            nodes.append(Node(Op.INPUT, node.dtype, node.shape))
            names.append((f"n{index:05}", at))
    small = Program(tuple(nodes), tuple(names), (("out", place[target]),))
    validate(small)
    return small, {f"n{i:05}": values[i] for i in place if i not in kept}


def train(options: argparse.Namespace) -> int:
    """Print the digest of the final state on every device; the exit status says if all agree."""
    model, program = _model(options.model)
    roots = set()
    for name, backend in devices(options.device, options.gpu_kernels).items():
        started = perf_counter()
        loaded = backend.load(program)
        state = {n: backend.upload(array) for n, array in initial_state(model).items()}
        for step in range(options.steps):
            batch = {"x": np.roll(model.x, step, 0), "y": np.roll(model.y, 2 * step, 0)}
            outputs = loaded({**state, **batch})
            state = {n: outputs[n] for n in state}
        root, loss = state_root(_arrays(state)).hex(), float(outputs["loss"].numpy())
        roots.add(root)
        seconds = perf_counter() - started
        print(
            f"{model.name}, {options.steps} steps, loss {loss:.6f}, {root}, {seconds:.0f} s, {name}"
        )
    return 0 if len(roots) == 1 else 1


TINY = {
    "tiny-mlp": {"WIDTHS": (60, 50, 40, 10), "BATCH": 16},
    "tiny-gpt": {
        "LAYERS": 2, "HEADS": 2, "WIDTH": 16, "CONTEXT": 8, "SEQUENCES": 2, "VOCABULARY": 11,
    },
}  # fmt: skip
"""Models that the reference trains in a minute."""


def _model(name: str) -> tuple[Model, Program]:
    """A model of benchmarks.models, a tiny one or a convolutional net, and its training step."""
    if name in TINY:
        with patch.multiple(models, **TINY[name]):
            model = models.MODELS[name.removeprefix("tiny-")]()
            return replace(model, name=f"tiny {model.name}"), step_program(model)
    model = _conv() if name == "conv" else models.MODELS[name]()
    return model, step_program(model)


def _conv() -> Model:
    """Two convolutions with pooling and a linear layer on images like MNIST's, batch 32."""
    random = np.random.default_rng(0)
    shapes = {"c1": (16, 1, 3, 3), "c2": (32, 16, 3, 3), "w": (1568, 10), "b": (10,)}
    scale = np.float32(0.1)
    parameters = {n: scale * random.standard_normal(s).astype("f4") for n, s in shapes.items()}
    x = random.standard_normal((32, 1, 28, 28)).astype("f4")
    y = random.integers(0, 10, 32).astype("i4")

    def loss(p: Mapping[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        x = relu(x.conv2d(p["c1"], padding=1)).max_pool2d(2)
        x = relu(x.conv2d(p["c2"], padding=1)).max_pool2d(2)
        return cross_entropy(x.reshape(32, 1568) @ p["w"] + p["b"], y)

    return Model("convolutional net", parameters, x, y, loss, loss, loss)


def main() -> None:
    """Parse, run."""
    parser = argparse.ArgumentParser(prog="benchmarks.devices")
    parser.add_argument("what", choices=("programs", "train"))
    parser.add_argument("--device", action="append", default=[], help="an index, or reference")
    parser.add_argument("--gpu-kernels", action="store_true", help="as for a GPU, on any device")
    parser.add_argument("--programs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=25, help="Programs in one build")
    parser.add_argument("--state", type=Path, help="where to go on from and to")
    parser.add_argument("--failures", default="failures", help="folder for what differs")
    parser.add_argument("--model", default="mlp", help="mlp, conv, gpt, tiny-mlp or tiny-gpt")
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()
    os.environ.setdefault("PYOPENCL_NO_CACHE", "1")
    sys.exit(compare_programs(options) if options.what == "programs" else train(options))


if __name__ == "__main__":
    main()
