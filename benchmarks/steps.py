"""Whole training steps against PyTorch and tinygrad: `python -m benchmarks.steps [--json]`.

For each model of `benchmarks.models`: a step of AdamW with everything on the device, run in turns
with the same step in the other frameworks (each from the same parameters; the losses stand beside
each other), the time until the first step is done, and the memory that the plan takes beside the
most that is alive at once. The frameworks have their own defaults. Shared machines are noisy: the
median of the ratios of paired runs says more than either side's time, and with OPENBLAS_NUM_THREADS
and POCL_MAX_PTHREAD_COUNT set to 1, every side has one thread and its processor time is taken.
"""

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from statistics import median
from time import perf_counter, process_time
from typing import Any

import numpy as np

from benchmarks.models import MODELS, Model
from benchmarks.pairs import clock
from engine import Tensor, TensorType, gradient, trace
from engine.backend import Backend, Loaded, open_backend
from engine.cost import cost
from engine.dtypes import DType, from_numpy
from engine.optim import AdamW
from engine.planner import live_bytes_max
from engine.program import Program

RATE = 1e-3


def step_program(model: Model) -> Program:
    """State and batch in, state and loss out."""
    types = {n: TensorType(DType.FLOAT32, a.shape) for n, a in initial_state(model).items()}
    for name, array in (("x", model.x), ("y", model.y)):
        types[name] = TensorType(from_numpy(array.dtype), array.shape)

    def function(i: dict[str, Tensor]) -> dict[str, Tensor]:
        current = {name: i[name] for name in model.parameters}
        loss = model.ours(current, i["x"], i["y"])
        gradients = dict(zip(current, gradient(loss, *current.values()), strict=True))
        rest = {n: t for n, t in i.items() if n not in current}
        new, moments = AdamW(lr=RATE).step(current, gradients, rest)
        return new | moments | {"loss": loss}

    return trace(function, types)


def initial_state(model: Model) -> dict[str, np.ndarray]:
    """Parameters and zero moments."""
    tensors = {name: Tensor(array) for name, array in model.parameters.items()}
    zeros = {n: np.zeros(t.shape, np.float32) for n, t in AdamW().init(tensors).items()}
    return model.parameters | zeros


def ours(backend: Backend, model: Model, loaded: Loaded) -> Callable[[], float]:
    """A function that does one step and returns its loss."""
    state = {name: backend.upload(array) for name, array in initial_state(model).items()}
    batch = {"x": backend.upload(model.x), "y": backend.upload(model.y)}

    def step() -> float:
        outputs = loaded(state | batch)
        state.update((name, outputs[name]) for name in state)
        return float(outputs["loss"].numpy())

    return step


def in_torch(model: Model) -> Callable[[], float]:
    """The same in PyTorch, eagerly, with its own AdamW."""
    import torch

    if clock is process_time:
        torch.set_num_threads(1)
    parameters = {n: torch.tensor(a, requires_grad=True) for n, a in model.parameters.items()}
    optimizer = torch.optim.AdamW(parameters.values(), lr=RATE)
    x, y = torch.tensor(model.x), torch.tensor(model.y.astype(np.int64))
    x = x.long() if model.x.dtype == np.int32 else x

    def step() -> float:
        optimizer.zero_grad()
        loss = model.torch(parameters, x, y)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def in_tinygrad(model: Model) -> Callable[[], float]:
    """The same in tinygrad, captured by its TinyJit on the device that its environment chooses."""
    from tinygrad import Context, TinyJit
    from tinygrad import Tensor as T
    from tinygrad.nn.optim import AdamW as TinyAdamW

    parameters = {n: T(a).is_param_() for n, a in model.parameters.items()}
    optimizer = TinyAdamW(list(parameters.values()), lr=RATE)
    x, y = T(model.x).realize(), T(model.y).realize()

    @TinyJit
    def run() -> Any:
        optimizer.zero_grad()
        loss = model.tinygrad(parameters, x, y)
        loss.backward()
        return loss.realize(*optimizer.schedule_step())

    def step() -> float:
        with Context(TRAINING=1):
            return float(run().item())

    return step


RIVALS = {"torch": in_torch, "tinygrad": in_tinygrad}


def measure(backend: Backend, name: str, rivals: list[str], runs: int) -> dict[str, Any]:
    """One model: seconds of each side, medians of paired ratios (below 1, ours is faster)."""
    model = MODELS[name]()
    program = step_program(model)
    start = perf_counter()
    loaded = backend.load(program)
    steps = {"ours": ours(backend, model, loaded)}
    losses = {"ours": steps["ours"]()}
    result: dict[str, Any] = {"model": name, "ours_first_step_s": perf_counter() - start}
    for rival in rivals:
        start = perf_counter()
        try:
            step = RIVALS[rival](model)
        except ImportError:
            print(f"{rival} is not installed and is left out; pip install {rival}")
            continue
        for _ in range(3):  # what compiles by itself does so at the second or third call
            losses[rival] = step()
        steps[rival] = step
        result[f"{rival}_first_steps_s"] = perf_counter() - start
    times: dict[str, list[float]] = {side: [] for side in steps}
    for _ in range(runs):
        for side, step in steps.items():
            start = clock()
            losses[side] = step()
            times[side].append(clock() - start)
    result |= {f"{side}_s": median(t) for side, t in times.items()}
    for rival in steps.keys() - {"ours"}:
        pairs = zip(times["ours"], times[rival], strict=True)
        result[f"ratio_to_{rival}"] = median(a / b for a, b in pairs)
    result |= {"nodes": len(program.nodes), "flops": cost(program).flops, "losses": losses}
    return result | _memory(loaded)


def _memory(loaded: Loaded) -> dict[str, int]:
    """Bytes of the plan and bytes alive at once, both with the inputs and the outputs."""
    if not hasattr(loaded, "memory_plan"):
        return {}
    nodes, named = loaded.program.nodes, (*loaded.program.inputs, *loaded.program.outputs)
    bound = sum(nodes[index].bytes for index in {index for _, index in named})
    planned, live = sum(loaded.memory_plan.arenas), live_bytes_max(loaded.lifetimes)
    return {"planned_bytes": bound + planned, "live_bytes": bound + live}


def benchmark_steps(backend: Backend, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure and print them all."""
    print(f"\n{'training step':14} {'first s':>8} {'ms':>8}   beside, ratio; memory")
    rows = []
    for name in options.models:
        row = measure(backend, name, options.rivals, options.runs)
        rows.append(row)
        beside = [
            f"{rival} {1e3 * row[f'{rival}_s']:.1f} ms, {row[f'ratio_to_{rival}']:.2f}"
            for rival in options.rivals
            if f"{rival}_s" in row
        ]
        planned, live = (1e-6 * row.get(f"{kind}_bytes", 0) for kind in ("planned", "live"))
        memory = f"{planned:.1f} MB, {live:.1f} alive"
        first, step = row["ours_first_step_s"], 1e3 * row["ours_s"]
        print(f"{name:14} {first:8.2f} {step:8.2f}   {'; '.join([*beside, memory])}", flush=True)
    return rows


def add_options(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What a benchmark can be told."""
    parser.add_argument("--device", default="", help="index or part of a name; default: the best")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--rivals", nargs="*", choices=RIVALS, default=["torch"])
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument(
        "--json", action="store_true", help="one object on stdout, the rest on stderr"
    )
    return parser


def main() -> None:
    """Parse the arguments, run everything."""
    options = add_options(argparse.ArgumentParser(prog="python -m benchmarks.steps")).parse_args()
    with redirect_stdout(sys.stderr if options.json else sys.stdout):
        backend = open_backend(options.device)
        print(f"device       {backend.name}")
        rows = benchmark_steps(backend, options)
    if options.json:
        print(json.dumps({"device": backend.name, "steps": rows}))


if __name__ == "__main__":
    main()
