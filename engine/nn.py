"""Layers, named as in torch.nn: objects that hold parameters and are called.

A parameter is a Tensor attribute; layers nest as attributes. `functional_call` runs a layer with
other tensors in place of its own, which is how a model enters a traced step: the parameters come
in as inputs and go out as outputs. Initial values are drawn from a generator that the caller seeds.
"""

from collections.abc import Iterator, Mapping
from copy import copy
from math import sqrt
from typing import Self

import numpy as np

from engine import functional
from engine.errors import UsageError
from engine.tensor import Tensor


class Module:
    """A layer: its Tensor attributes are parameters, its Module attributes are part of it."""

    def forward(self, x: Tensor) -> Tensor:
        """What the layer computes."""
        raise NotImplementedError(f"{type(self).__name__}.forward")

    def __call__(self, x: Tensor) -> Tensor:
        return self.forward(x)

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """(name, tensor) in the order of definition, names joined by dots."""
        for name, part in vars(self).items():
            if isinstance(part, Tensor):
                yield prefix + name, part
            elif isinstance(part, Module):
                yield from part.named_parameters(f"{prefix}{name}.")

    def parameters(self) -> list[Tensor]:
        """The tensors alone."""
        return [tensor for _, tensor in self.named_parameters()]

    def state_dict(self) -> dict[str, Tensor]:
        """The tensors by name."""
        return dict(self.named_parameters())

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over the elements of tensors with the same names, dtypes and shapes."""
        own = self.state_dict()
        _require_names(own, state)
        for name, tensor in own.items():
            tensor.assign(state[name])

    def with_parameters(self, state: Mapping[str, Tensor], prefix: str = "") -> Self:
        """A copy of the layer that holds the tensors of `state` instead of its own."""
        new = copy(self)
        for name, part in vars(self).items():
            if isinstance(part, Tensor):
                vars(new)[name] = state[prefix + name]
            elif isinstance(part, Module):
                vars(new)[name] = part.with_parameters(state, f"{prefix}{name}.")
        return new


def functional_call(module: Module, state: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """What `module` computes with the tensors of `state` as its parameters."""
    _require_names(module.state_dict(), state)
    return module.with_parameters(state)(x)


def _require_names(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    if own.keys() != given.keys():
        missing, unknown = sorted(own.keys() - given.keys()), sorted(given.keys() - own.keys())
        raise UsageError(f"the state does not fit: missing {missing}, unknown {unknown}")
    for name, tensor in own.items():
        other = given[name]
        if (tensor.dtype, tensor.shape) != (other.dtype, other.shape):
            raise UsageError(f"{name} is {tensor}, the state has {other}")


class Linear(Module):
    """x @ weight.T + bias, with weight (outputs, inputs).

    Weight and bias are drawn uniformly from +-1/sqrt(inputs), as in torch.
    """

    def __init__(
        self, inputs: int, outputs: int, bias: bool = True, *, rng: np.random.Generator
    ) -> None:
        bound = 1 / sqrt(inputs)
        self.weight = _parameter(rng.uniform(-bound, bound, (outputs, inputs)))
        self.bias = _parameter(rng.uniform(-bound, bound, outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        y = x @ self.weight.T
        return y if self.bias is None else y + self.bias


class Embedding(Module):
    """Rows of a table by INT32 index, drawn from the normal distribution."""

    def __init__(self, rows: int, width: int, *, rng: np.random.Generator) -> None:
        self.weight = _parameter(rng.standard_normal((rows, width)))

    def forward(self, x: Tensor) -> Tensor:
        """(...) -> (..., width)."""
        return functional.embedding(x, self.weight)


class LayerNorm(Module):
    """The last axis brought to mean 0 and variance 1, scaled and shifted."""

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        self.eps = eps
        self.weight = _parameter(np.ones(width))
        self.bias = _parameter(np.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) -> (..., width)."""
        return functional.layer_norm(x, self.weight, self.bias, self.eps)


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return functional.relu(x)


class GELU(Module):
    """x times the normal distribution function of x."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return functional.gelu(x)


class Flatten(Module):
    """All axes but the first as one."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, ...) -> (n, product)."""
        return x.flatten(1)


class Sequential(Module):
    """Layers one after the other; their parameters are named 0.weight, 0.bias, 1...."""

    def __init__(self, *layers: Module) -> None:
        vars(self).update({str(i): layer for i, layer in enumerate(layers)})

    def forward(self, x: Tensor) -> Tensor:
        """What the last layer gives."""
        for layer in vars(self).values():
            x = layer(x)
        return x


def _parameter(array: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> Tensor:
    return Tensor(array, requires_grad=True)
