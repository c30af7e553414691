"""Whole training steps against PyTorch and tinygrad: `python -m benchmarks.steps [--json]`.

For each model of `benchmarks.models`: a step of AdamW with everything on the device, run in turns
with the same step in the other frameworks (each started from the same parameters, its loss
compared), the time to load the Program and the memory that its plan takes. Options choose the
models, the rivals and the device. Shared machines are noisy: the median of the ratios of paired
runs says more than either side's time.
"""

import argparse
import json
import os
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.models import MODELS, Model
from engine import Tensor, TensorType, gradient, trace
from engine.backend import Backend, open_backend
from engine.cost import cost
from engine.dtypes import DType, from_numpy
from engine.optim import AdamW
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


def ours(backend: Backend, model: Model) -> Callable[[], float]:
    """A function that does one step and returns its loss."""
    loaded = backend.load(step_program(model))
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
    from tinygrad import Tensor as T
    from tinygrad import TinyJit
    from tinygrad.nn.optim import AdamW as TinyAdamW

    parameters = {n: T(a).requires_grad_() for n, a in model.parameters.items()}
    optimizer = TinyAdamW(list(parameters.values()), lr=RATE)
    x, y = T(model.x).realize(), T(model.y).realize()

    @TinyJit
    def run() -> Any:
        optimizer.zero_grad()
        loss = model.tinygrad(parameters, x, y)
        loss.backward()
        return loss.realize(*optimizer.schedule_step())

    def step() -> float:
        with T.train():
            return float(run().item())

    return step


RIVALS = {"torch": in_torch, "tinygrad": in_tinygrad}


def measure(backend: Backend, name: str, rivals: list[str], runs: int) -> dict[str, Any]:
    """One model: seconds of each side, paired ratios (below 1, ours is faster), and the losses."""
    model = MODELS[name]()
    program = step_program(model)
    start = perf_counter()
    steps = {"ours": ours(backend, model)}
    losses = {"ours": [steps["ours"]()]}
    result: dict[str, Any] = {"model": name, "first_step_s": perf_counter() - start}
    for rival in rivals:
        start = perf_counter()
        try:
            steps[rival] = RIVALS[rival](model)
        except ImportError:
            print(f"{rival} is not installed and is left out: pip install {rival}")
            continue
        losses[rival] = [steps[rival]()]
        result[f"{rival}_first_step_s"] = perf_counter() - start
    times: dict[str, list[float]] = {side: [] for side in steps}
    for _ in range(runs):
        for side, step in steps.items():
            start = perf_counter()
            losses[side].append(step())
            times[side].append(perf_counter() - start)
    result |= {f"{side}_s": median(t) for side, t in times.items()}
    for rival in steps.keys() - {"ours"}:
        pairs = zip(times["ours"], times[rival], strict=True)
        result[f"ratio_to_{rival}"] = median(a / b for a, b in pairs)
    spent = cost(program)
    result |= {"nodes": len(program.nodes), "flops": spent.flops, "peak_bytes": spent.peak_bytes}
    return result | {"losses": {side: values[-1] for side, values in losses.items()}}


def main() -> None:
    """Parse the arguments, run everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steps")
    parser.add_argument("--device", default="", help="index or part of a name; default: the best")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--rivals", nargs="*", choices=RIVALS, default=["torch"])
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    backend = open_backend(options.device)
    print(f"device       {backend.name}, {os.cpu_count()} processors")
    for name in options.models:
        result = measure(backend, name, options.rivals, options.runs)
        print(json.dumps(result) if options.json else result)


if __name__ == "__main__":
    main()
