"""Matrix products beside numpy's BLAS: squares, awkward shapes, and those of training steps."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.pairs import Pair, paired, waiter
from engine import Tensor, TensorType, trace
from engine.backend import Backend
from engine.dtypes import DType

TURN_FLOP = 4e8
"""Small products are repeated to about this many operations in one turn."""

GPT_LINEAR = {"qkv": (128, 384), "projection": (128, 128), "up": (128, 512), "down": (512, 128)}
GPT_ROWS, GPT_VOCABULARY, GPT_BATCHES, GPT_CONTEXT, GPT_HEAD = 768, 65, 48, 64, 32


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
    types = {"a": TensorType(DType.FLOAT32, a.shape), "b": TensorType(DType.FLOAT32, b.shape)}
    loaded = backend.load(trace(lambda i: {"c": product(i["a"], i["b"])}, types))
    inputs = {"a": backend.upload(a), "b": backend.upload(b)}
    wait = waiter(backend)
    x, y = (
        array.swapaxes(-1, -2) if transposed else array
        for array, transposed in ((a, product.a_transposed), (b, product.b_transposed))
    )
    calls = max(1, round(TURN_FLOP / product.flop))

    def ours() -> None:
        for _ in range(calls):
            loaded(inputs)
        wait()

    pair = paired(ours, _repeat(lambda: x @ y, calls))
    return Row(
        product.name, product.flop, Pair(pair.ours_s / calls, pair.theirs_s / calls, pair.ratio)
    )


def _repeat(action: Callable[[], NDArray[np.float32]], calls: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(calls):
            action()

    return run


def benchmark_products(backend: Backend) -> list[Row]:
    """Measure and print them all."""
    print(f"\n{'product':34} {'ours GFLOP/s':>13} {'numpy GFLOP/s':>14} {'ours / numpy':>13}")
    rows = []
    for product in products():
        row = measure(backend, product)
        rows.append(row)
        ours, theirs = (1e-9 * row.flop / s for s in (row.pair.ours_s, row.pair.theirs_s))
        print(f"{row.name:34} {ours:13.1f} {theirs:14.1f} {row.pair.ratio:13.2f}", flush=True)
    return rows
