"""The engine against numpy on the same machine: `python -m benchmarks.engine [--device SELECTOR]`.

Prints the hardware, then for matrix products the medians of runs taken in turns with numpy's BLAS
and the median of their ratios; for a training step of an MLP (784-512-512-10, batch 128, AdamW) the
time to load its Program and the time of a step, beside the same products in numpy. Shared machines
are noisy: ratios of paired runs say more than figures of one side.
"""

import argparse
import os
import platform
import sys
from collections.abc import Callable
from itertools import pairwise
from time import perf_counter

import numpy as np

from benchmarks.pairs import PAIRS, paired
from benchmarks.products import benchmark_products
from engine import Tensor, TensorType, gradient, trace
from engine.backend import Backend, Buffer, Loaded, open_backend
from engine.cost import cost
from engine.dtypes import DType
from engine.functional import cross_entropy, relu
from engine.nn import Linear, Module, functional_call
from engine.optim import AdamW
from engine.program import Program

SLOWING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Settings that make numpy's BLAS slower than it is; it reads them when it is imported."""

LAYERS, BATCH, CLASSES = (784, 512, 512), 128, 10


class MLP(Module):
    """784-512-512-10 with ReLU."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.first = Linear(LAYERS[0], LAYERS[1], rng=rng)
        self.second = Linear(LAYERS[1], LAYERS[2], rng=rng)
        self.last = Linear(LAYERS[2], CLASSES, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 784) -> (n, 10)."""
        return self.last(relu(self.second(relu(self.first(x)))))


def _until_done(loaded: Loaded, inputs: dict[str, Buffer], small: str) -> dict[str, Buffer]:
    """Run, and wait by reading the smallest output."""
    outputs = loaded(inputs)
    outputs[small].numpy()
    return outputs


def training_step(model: Module) -> Program:
    """One step of AdamW on a batch: state in, state and loss out."""
    parameters = model.state_dict()
    state = parameters | AdamW().init(parameters)

    def function(i: dict[str, Tensor]) -> dict[str, Tensor]:
        current = {name: i[name] for name in parameters}
        logits = functional_call(model, current, i["x"])
        loss = cross_entropy(logits, i["y"])
        gradients = dict(zip(current, gradient(loss, *current.values()), strict=True))
        new, moments = AdamW(lr=1e-3).step(current, gradients, {n: i[n] for n in state})
        return new | moments | {"loss": loss}

    types = {name: TensorType(t.dtype, t.shape) for name, t in state.items()}
    types |= {"x": TensorType(DType.FLOAT32, (BATCH, LAYERS[0]))}
    types |= {"y": TensorType(DType.INT32, (BATCH,))}
    return trace(function, types)


def products_in_numpy() -> Callable[[], None]:
    """The matrix products of `training_step`, forward and backward, in numpy alone."""
    random = np.random.default_rng(0)
    widths = [*LAYERS, CLASSES]
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    for layer, (before, after) in enumerate(pairwise(widths)):
        x, w, g = (
            random.standard_normal(shape).astype(np.float32)
            for shape in ((BATCH, before), (after, before), (BATCH, after))
        )
        pairs += [(x, w.T), (g.T, x)]
        if layer:
            pairs.append((g, w))

    def run() -> None:
        for a, b in pairs:
            a @ b

    return run


def benchmark_training(backend: Backend) -> None:
    """A training step with its state on the device."""
    model = MLP()
    program = training_step(model)
    start = perf_counter()
    loaded = backend.load(program)
    load_s = perf_counter() - start
    parameters = model.state_dict()
    state = {n: backend.upload(t.numpy()) for n, t in parameters.items()}
    state |= {n: backend.upload(t.numpy()) for n, t in AdamW().init(parameters).items()}
    random = np.random.default_rng(0)
    x = random.standard_normal((BATCH, LAYERS[0])).astype(np.float32)
    y = random.integers(0, CLASSES, BATCH).astype(np.int32)
    batch = {"x": backend.upload(x), "y": backend.upload(y)}
    start = perf_counter()
    _until_done(loaded, state | batch, "loss")
    first_s = perf_counter() - start

    def step() -> None:
        outputs = _until_done(loaded, state | batch, "loss")
        state.update((name, outputs[name]) for name in state)

    pair = paired(step, products_in_numpy())
    flops = cost(program).flops
    print(f"\nMLP step     {len(program.nodes)} nodes, {flops / 1e9:.2f} GFLOP")
    print(f"load         {load_s:.2f} s, first step {first_s:.2f} s")
    print(f"step         {pair.ours_s * 1e3:.2f} ms, {flops / pair.ours_s / 1e9:.1f} GFLOP/s")
    print(f"numpy        {pair.theirs_s * 1e3:.2f} ms for its matrix products alone")
    print(f"ratio        {pair.ratio:.2f} (numpy's products / our whole step)")


def main() -> None:
    """Parse the arguments, run everything."""
    if any(name in os.environ for name in SLOWING):
        fair = {name: value for name, value in os.environ.items() if name not in SLOWING}
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.engine", *sys.argv[1:]], fair)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine")
    parser.add_argument("--device", default="", help="index or part of a name; default: the best")
    backend = open_backend(parser.parse_args().device)
    print(f"device       {backend.name}")
    print(f"host         {platform.processor() or platform.machine()}, {os.cpu_count()} processors")
    print(f"numpy        {np.__version__}, medians of {PAIRS} paired runs")
    benchmark_products(backend)
    benchmark_training(backend)


if __name__ == "__main__":
    main()
