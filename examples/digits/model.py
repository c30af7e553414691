"""The model of the digits job and how it is trained.

`scheduler.diloco` makes the five Programs of it: tables of primitive operations that any peer can
price, run and verify. Names follow docs/spec/protocol.md, section 3.
"""

from collections.abc import Mapping

import numpy as np

from engine.functional import accuracy, cross_entropy, relu
from engine.nn import Linear, Module
from engine.tensor import Tensor
from scheduler.diloco import Recipe

PIXELS, WIDTH, CLASSES = 64, 64, 10
BRIGHTEST = 16.0

Tensors = Mapping[str, Tensor]


class Classifier(Module):
    """64 pixels -> 64 hidden units -> 10 classes."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.hidden = Linear(PIXELS, WIDTH, rng=rng)
        self.output = Linear(WIDTH, CLASSES, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        """Pixels 0..16 as (n, 64) of any dtype -> logits (n, 10)."""
        return self.output(relu(self.hidden(x.float() / BRIGHTEST)))


def loss(model: Classifier, batch: Tensors) -> Tensor:
    """The mean cross-entropy."""
    return cross_entropy(model(batch["pixels"]), batch["label"].int())


def measure(model: Classifier, test: Tensors) -> Tensors:
    """Loss and accuracy on the digits that nobody trained on."""
    label, logits = test["label"].int(), model(test["pixels"])
    return {"loss": cross_entropy(logits, label), "accuracy": accuracy(logits, label)}


def recipe(seed: int) -> Recipe[Classifier]:
    """How the digits are trained, from parameters drawn with `seed`."""
    return Recipe(
        model=Classifier(np.random.default_rng(seed)),
        loss=loss,
        measure=measure,
        rate=2e-2,
        gradient_norm_max=None,
        outer_momentum=0.6,  # 0.9 has not settled after so few rounds
    )
