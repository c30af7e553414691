"""Matrix products beside numpy's BLAS: squares, awkward shapes, those of training steps."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from benchmarks.pairs import Pair, paired, waiter
from engine import Tensor, TensorType, gradient, trace
from engine.backend import Backend
from engine.dtypes import DType

TURN_FLOP = 4e9
"""Small products are repeated to about this many operations in one turn."""

GPT_LINEAR = {"qkv": (128, 384), "projection": (128, 128), "up": (128, 512), "down": (512, 128)}
GPT_ROWS, GPT_VOCABULARY, GPT_BATCHES, GPT_CONTEXT, GPT_HEAD = 768, 65, 48, 64, 32

CONVOLUTIONS, CONVOLVED, WINDOW = ((1, 28, 32), (32, 26, 32), (32, 12, 64)), 128, 3
"""Channels, side of the image, channels of the result; images; side of a window."""


@dataclass(frozen=True, slots=True)
class Product:
    """a @ b, either of them transposed in memory."""

    name: str
    a: tuple[int, ...]
    b: tuple[int, ...]
    a_transposed: bool = False
    b_transposed: bool = False

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """The product of what is in memory."""
        return (a.transpose(-1, -2) if self.a_transposed else a) @ (
            b.transpose(-1, -2) if self.b_transposed else b
        )

    @property
    def flop(self) -> int:
        """Multiplications and additions."""
        n = self.b[-2 if self.b_transposed else -1]
        return 2 * int(np.prod(self.a)) * n


@dataclass(frozen=True, slots=True)
class Row:
    """A measured line."""

    name: str
    flop: int
    pair: Pair


def products() -> Iterator[Product]:
    """Everything that is measured."""
    for n in (256, 512, 1024, 2048):
        yield Product(f"{n} squared", (n, n), (n, n))
    yield Product("1024 squared, a transposed", (1024, 1024), (1024, 1024), True)
    yield Product("1024 squared, b transposed", (1024, 1024), (1024, 1024), False, True)
    yield Product("1000 x 1013 x 1027", (1000, 1013), (1013, 1027))
    yield Product("64 x 8192 x 64", (64, 8192), (8192, 64))
    for name, (k, n) in (GPT_LINEAR | {"head": (128, GPT_VOCABULARY)}).items():
        yield Product(f"GPT {name}", (GPT_ROWS, k), (n, k), False, True)
        yield Product(f"GPT {name}, input gradient", (GPT_ROWS, n), (n, k))
        yield Product(f"GPT {name}, weight gradient", (GPT_ROWS, n), (GPT_ROWS, k), True)
    heads, square = (GPT_BATCHES, GPT_CONTEXT, GPT_HEAD), (GPT_BATCHES, GPT_CONTEXT, GPT_CONTEXT)
    yield Product("GPT attention scores", heads, heads, False, True)
    yield Product("GPT attention values", square, heads)
    yield Product("GPT attention, key gradient", square, heads, True)
    for k, n in ((784, 512), (512, 512), (512, 10)):
        yield Product(f"MLP {k} to {n}", (128, k), (n, k), False, True)
        yield Product(f"MLP {k} to {n}, input gradient", (128, n), (n, k))
        yield Product(f"MLP {k} to {n}, weight gradient", (128, n), (128, k), True)


def measure(backend: Backend, product: Product) -> Row:
    """One product with its operands on the device."""
    random = np.random.default_rng(0)
    a, b = (random.standard_normal(shape).astype(np.float32) for shape in (product.a, product.b))
    x, y = (
        array.swapaxes(-1, -2) if transposed else array
        for array, transposed in ((a, product.a_transposed), (b, product.b_transposed))
    )
    return _measure(
        backend,
        (product.name, product.flop),
        lambda i: product(i["a"], i["b"]),
        {"a": a, "b": b},
        lambda: x @ y,
    )


def convolutions(backend: Backend) -> Iterator[Row]:
    """Forward and gradients, beside numpy's product alone of windows that it need not collect."""
    random = np.random.default_rng(0)
    for channels, side, results in CONVOLUTIONS:
        places = side - WINDOW + 1
        shapes = {
            "x": (CONVOLVED, channels, side, side),
            "w": (results, channels, WINDOW, WINDOW),
            "g": (CONVOLVED, results, places, places),
        }
        inputs = {n: random.standard_normal(s).astype(np.float32) for n, s in shapes.items()}
        length = channels * WINDOW**2
        windows = random.standard_normal((CONVOLVED, length, places**2)).astype(np.float32)
        w, g = inputs["w"].reshape(results, -1), inputs["g"].reshape(CONVOLVED, results, -1)
        flop = 2 * windows.size * results
        name = f"convolution {channels} to {results}, {WINDOW}²"
        for what, ours, theirs in (
            ("", _convolve, lambda w=w, windows=windows: w @ windows),
            (", input gradient", _by("x"), lambda w=w, g=g: w.T @ g),
            (
                ", weight gradient",
                _by("w"),
                lambda g=g, windows=windows: (g @ windows.swapaxes(1, 2)).sum(0),
            ),
        ):
            yield _measure(backend, (name + what, flop), ours, inputs, theirs)


def _convolve(i: dict[str, Tensor]) -> Tensor:
    return i["x"].conv2d(i["w"])


def _by(name: str) -> Callable[[dict[str, Tensor]], Tensor]:
    return lambda i: gradient((_convolve(i) * i["g"]).sum(), i[name])[0]


def _measure(
    backend: Backend,
    row: tuple[str, int],
    function: Callable[[dict[str, Tensor]], Tensor],
    arrays: dict[str, NDArray[np.float32]],
    theirs: Callable[[], NDArray[np.float32]],
) -> Row:
    types = {name: TensorType(DType.FLOAT32, array.shape) for name, array in arrays.items()}
    loaded = backend.load(trace(lambda i: {"c": function(i)}, types))
    inputs = {name: backend.upload(array) for name, array in arrays.items()}
    wait = waiter(backend)
    calls = max(1, round(TURN_FLOP / row[1]))

    def ours() -> None:
        for _ in range(calls):
            loaded(inputs)
        wait()

    pair = paired(ours, _repeat(theirs, calls))
    return Row(*row, Pair(pair.ours_s / calls, pair.theirs_s / calls, pair.ratio))


def _repeat(action: Callable[[], NDArray[np.float32]], calls: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(calls):
            action()

    return run


def benchmark_products(backend: Backend) -> list[Row]:
    """Measure and print them all."""
    print(f"\n{'product':34} {'ours GFLOP/s':>13} {'numpy GFLOP/s':>14} {'ours / numpy':>13}")
    rows = []
    for row in chain((measure(backend, product) for product in products()), convolutions(backend)):
        rows.append(row)
        ours, theirs = (1e-9 * row.flop / s for s in (row.pair.ours_s, row.pair.theirs_s))
        print(f"{row.name:34} {ours:13.1f} {theirs:14.1f} {row.pair.ratio:13.2f}", flush=True)
    return rows
