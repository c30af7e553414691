"""Optimizers: one arithmetic for eager training and for traced steps.

A rule (`SGD`, `AdamW`) is a pure function: parameters, gradients and state in, parameters and state
out, all of them named tensors, symbolic or not. `Optimizer` applies a rule to tensors in place, as
in torch. All state starts at zero, so that a step that finds zeros is the first step.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from engine.errors import UsageError
from engine.realize import realize
from engine.tensor import Tensor

Tensors: TypeAlias = Mapping[str, Tensor]
Rate: TypeAlias = "float | Tensor"


class Rule(Protocol):
    """How parameters follow their gradients."""

    def init(self, parameters: Tensors) -> dict[str, Tensor]:
        """The state before the first step: zeros."""

    def step(
        self, parameters: Tensors, gradients: Tensors, state: Tensors
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The parameters and the state after a step."""


@dataclass(frozen=True, slots=True)
class SGD:
    """Gradient descent with momentum, as in torch (no dampening); state `momentum.<name>`."""

    lr: Rate
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def init(self, parameters: Tensors) -> dict[str, Tensor]:
        """Zeros, and nothing without momentum."""
        if not self.momentum:
            return {}
        return {f"momentum.{name}": p.zeros_like() for name, p in parameters.items()}

    def step(
        self, parameters: Tensors, gradients: Tensors, state: Tensors
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """b = momentum b + g; p = p - lr b, or p - lr (g + momentum b) with Nesterov."""
        _require_same_names(parameters, gradients)
        new: dict[str, Tensor] = {}
        new_state: dict[str, Tensor] = {}
        for name, p in parameters.items():
            g = gradients[name]
            if self.weight_decay:
                g = p.fma(self.weight_decay, g)
            if self.momentum:
                velocity = state[f"momentum.{name}"].fma(self.momentum, g)
                new_state[f"momentum.{name}"] = velocity
                g = velocity.fma(self.momentum, g) if self.nesterov else velocity
            new[name] = g.fma(-self.lr, p)
        return new, new_state


@dataclass(frozen=True, slots=True)
class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019).

    State: `m.<name>`, `v.<name>`, and two scalars for the bias correction, `bias1` = 1 - beta1**t
    and `bias2` = 1 - beta2**t. These follow the same recurrence as m and v do for gradients of 1,
    starting from 0, so that no power is computed and m / bias1 is a weighted mean to the last bits.
    """

    lr: Rate = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 1e-2

    def init(self, parameters: Tensors) -> dict[str, Tensor]:
        """Zeros."""
        moments = {f"{k}.{name}": p.zeros_like() for k in "mv" for name, p in parameters.items()}
        return {**moments, "bias1": Tensor.zeros(), "bias2": Tensor.zeros()}

    def step(
        self, parameters: Tensors, gradients: Tensors, state: Tensors
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """p = p (1 - lr decay) - lr (m / bias1) / (sqrt(v / bias2) + eps)."""
        _require_same_names(parameters, gradients)
        beta1, beta2 = self.betas
        bias1 = state["bias1"].fma(beta1, 1 - beta1)
        bias2 = state["bias2"].fma(beta2, 1 - beta2)
        new: dict[str, Tensor] = {}
        new_state = {"bias1": bias1, "bias2": bias2}
        for name, p in parameters.items():
            g = gradients[name]
            m = state[f"m.{name}"].fma(beta1, g * (1 - beta1))
            v = state[f"v.{name}"].fma(beta2, g.square() * (1 - beta2))
            update = (m / bias1) / ((v / bias2).sqrt() + self.eps)
            kept = p * (1 - self.lr * self.weight_decay) if self.weight_decay else p
            new[name] = update.fma(-self.lr, kept)
            new_state[f"m.{name}"], new_state[f"v.{name}"] = m, v
        return new, new_state


class Optimizer:
    """A rule applied to tensors that require gradients, in place.

    optimizer = Optimizer(model.named_parameters(), AdamW(lr=1e-3))
    optimizer.zero_grad(); loss.backward(); optimizer.step()
    """

    def __init__(self, named_parameters: Iterable[tuple[str, Tensor]], rule: Rule) -> None:
        self.parameters = dict(named_parameters)
        self.rule = rule
        self.state = rule.init(self.parameters)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for tensor in self.parameters.values():
            tensor.grad = None

    def step(self) -> None:
        """Update every parameter and the state in one run."""
        gradients = {}
        for name, tensor in self.parameters.items():
            if tensor.grad is None:
                raise UsageError(f"{name} has no gradient; call backward() on a loss that uses it")
            gradients[name] = tensor.grad
        parameters, state = self.rule.step(self.parameters, gradients, self.state)
        realize([tensor.value for tensor in (*parameters.values(), *state.values())])  # one run
        for name, tensor in self.parameters.items():
            tensor.assign(parameters[name])
        self.state = {name: tensor.zeros_like().assign(tensor) for name, tensor in state.items()}


def _require_same_names(parameters: Tensors, gradients: Tensors) -> None:
    if parameters.keys() != gradients.keys():
        names = sorted(parameters.keys() ^ gradients.keys())
        raise UsageError(f"parameters and gradients have different names: {names}")
