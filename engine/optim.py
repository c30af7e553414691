"""Optimizers: one arithmetic for eager training and for traced steps.

A rule (`SGD`, `AdamW`, ...) is a pure function: parameters, gradients and state in, parameters and
state out, all of them named tensors, symbolic or not. `Optimizer` applies a rule to tensors in
place, as in torch; a rule that is made of tensors is one: `AdamW(model.parameters(), lr=1e-3)`. All
state starts at zero, so that a step that finds zeros is the first step.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from math import log, pi, sqrt
from typing import Any, TypeAlias

from engine.errors import UsageError
from engine.functional import clip_grad_norm
from engine.realize import realize
from engine.tensor import Tensor

Tensors: TypeAlias = Mapping[str, Tensor]
Own: TypeAlias = dict[str, Tensor]
Recall: TypeAlias = Callable[[str], Tensor]
Rate: TypeAlias = "float | Tensor"


class Rule:
    """How parameters follow their gradients.

    A rule says with `way` which way one parameter goes, at the learning rate, and what is
    remembered of it; with `once` what is remembered besides (scalars, as they are in this step).
    Weight decay is part of the gradient, or, if it is decoupled, shrinks the parameter itself.
    """

    __slots__ = ()
    lr: Rate
    weight_decay: float
    is_decoupled = False

    def __new__(cls, *arguments: Any, **options: Any) -> Any:
        """The rule, or with tensors as first argument the rule applied to them."""
        given = options.pop("params", arguments[0] if arguments else None)
        if given is None or isinstance(given, (int, float, Tensor)):
            return object.__new__(cls)
        return Optimizer(given, cls(*arguments[1:], **options))

    def once(self, state: Tensors) -> Own:
        """The scalars of this step, from those of the last one."""
        return {}

    def way(self, g: Tensor, own: Recall) -> tuple[Tensor, Own]:
        """What is taken from a parameter, and its slots, from its gradient, slots and scalars."""
        raise NotImplementedError(f"{type(self).__name__}.way")

    def init(self, parameters: Tensors) -> Own:
        """The state before the first step: zeros, named slot.parameter and as the scalars."""
        _, state = self.step(parameters, parameters, _Zeros())
        return {name: tensor.zeros_like() for name, tensor in state.items()}

    def step(self, parameters: Tensors, gradients: Tensors, state: Tensors) -> tuple[Own, Own]:
        """The parameters and the state after a step."""
        if parameters.keys() != gradients.keys():
            names = sorted(parameters.keys() ^ gradients.keys())
            raise UsageError(f"parameters and gradients have different names: {names}")
        new: Own = {}
        scalars = self.once(state)
        kept = dict(scalars)
        for name, p in parameters.items():

            def own(slot: str, name: str = name) -> Tensor:
                return scalars[slot] if slot in scalars else state[f"{slot}.{name}"]

            g, decay = gradients[name], self.weight_decay
            step, after = self.way(p.fma(decay, g) if decay and not self.is_decoupled else g, own)
            rest = p * (1 - self.lr * decay) if decay and self.is_decoupled else p
            new[name] = step.fma(-self.lr, rest)
            kept |= {f"{slot}.{name}": tensor for slot, tensor in after.items()}
        return new, kept


class _Zeros(dict[str, Tensor]):
    """A state in which everything is still zero."""

    def __missing__(self, name: str) -> Tensor:
        return Tensor.zeros()


@dataclass(frozen=True, slots=True)
class SGD(Rule):
    """Gradient descent with momentum, as in torch; state `momentum.<name>`."""

    lr: Rate = 1e-3
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    dampening: float = 0.0

    def once(self, state: Tensors) -> Own:
        """With dampening: 1 in the first step, whose gradient is not dampened, then the rest."""
        if not self.dampening:
            return {}
        return {"share": (state["share"] == 0.0).where(1.0, 1.0 - self.dampening)}

    def way(self, g: Tensor, own: Recall) -> tuple[Tensor, Own]:
        """b = momentum b + g; it is b, or g + momentum b with Nesterov."""
        if not self.momentum:
            return g, {}
        velocity = own("momentum").fma(self.momentum, g * own("share") if self.dampening else g)
        step = velocity.fma(self.momentum, g) if self.nesterov else velocity
        return step, {"momentum": velocity}


@dataclass(frozen=True, slots=True)
class AdamW(Rule):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019).

    State: `m.<name>`, `v.<name>`, and two scalars for the bias correction, `bias1` = 1 - beta1**t
    and `bias2` = 1 - beta2**t. These follow the same recurrence as m and v do for gradients of 1,
    starting from 0, so that no power is computed and m / bias1 is a weighted mean to the last bits.
    """

    lr: Rate = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 1e-2
    is_decoupled = True

    def once(self, state: Tensors) -> Own:
        names = zip(("bias1", "bias2"), self.betas, strict=True)
        return {name: state[name].fma(beta, 1 - beta) for name, beta in names}

    def way(self, g: Tensor, own: Recall) -> tuple[Tensor, Own]:
        """(m / bias1) / (sqrt(v / bias2) + eps)."""
        beta1, beta2 = self.betas
        m = own("m").fma(beta1, g * (1 - beta1))
        v = own("v").fma(beta2, g.square() * (1 - beta2))
        return (m / own("bias1")) / ((v / own("bias2")).sqrt() + self.eps), {"m": m, "v": v}


@dataclass(frozen=True, slots=True)
class Adam(AdamW):
    """Adam (Kingma and Ba 2015); weight decay is part of the gradient."""

    weight_decay: float = 0.0
    is_decoupled = False


@dataclass(frozen=True, slots=True)
class RMSprop(Rule):
    """Steps divided by the root of a running mean square (Hinton 2012), as in torch."""

    lr: Rate = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0

    def way(self, g: Tensor, own: Recall) -> tuple[Tensor, Own]:
        v = own("v").fma(self.alpha, g.square() * (1 - self.alpha))
        step = g / (v.sqrt() + self.eps)
        if not self.momentum:
            return step, {"v": v}
        velocity = own("momentum").fma(self.momentum, step)
        return velocity, {"v": v, "momentum": velocity}


@dataclass(frozen=True, slots=True)
class Muon(Rule):
    """Momentum whose matrices are made orthogonal (Jordan et al. 2024), as in torch.

    For weights with two axes or more, of which all but the first count as one; give vectors to
    AdamW.
    """

    lr: Rate = 1e-3
    momentum: float = 0.95
    nesterov: bool = True
    weight_decay: float = 0.1
    ns_steps: int = 5
    is_decoupled = True

    def way(self, g: Tensor, own: Recall) -> tuple[Tensor, Own]:
        if g.ndim < 2:
            raise UsageError(f"Muon is for matrices, not {g}; give this parameter to AdamW")
        share = g * (1 - self.momentum)
        velocity = own("momentum").fma(self.momentum, share)
        step = velocity.fma(self.momentum, share) if self.nesterov else velocity
        update = newton_schulz(step.flatten(1), self.ns_steps).reshape(g.shape)
        scale = sqrt(max(1.0, g.shape[0] / (g.numel() // g.shape[0])))
        return update * scale, {"momentum": velocity}


def newton_schulz(x: Tensor, steps: int = 5, eps: float = 1e-7) -> Tensor:
    """Singular values brought near 1 by a quintic, so about the nearest orthogonal matrix."""
    is_tall = x.shape[-2] > x.shape[-1]
    x = x.transpose(-2, -1) if is_tall else x
    x = x / (x.square().sum((-2, -1), True).sqrt() + eps)
    for _ in range(steps):
        gram = x @ x.transpose(-2, -1)
        x = x * 3.4445 + (gram * -4.775 + (gram @ gram) * 2.0315) @ x
    return x.transpose(-2, -1) if is_tall else x


class Optimizer:
    """A rule applied to tensors that require gradients, in place.

    optimizer = Optimizer(model.named_parameters(), AdamW(lr=1e-3))
    optimizer.zero_grad(); loss.backward(); optimizer.step()

    Parameters are tensors, (name, tensor) pairs, or groups: mappings with such "params" and what is
    different for them, like "lr". Setting `lr` changes it for all.
    """

    def __init__(self, parameters: Iterable[Any], rule: Rule) -> None:
        parts = list(parameters)
        groups = parts if parts and isinstance(parts[0], Mapping) else [{"params": parts}]
        self.parameters: dict[str, Tensor] = {}
        self.rules, self.groups = list[Any](), list[tuple[Own, Own]]()
        for group in groups:
            named = enumerate(group["params"], len(self.parameters))
            own = dict((str(i), p) if isinstance(p, Tensor) else p for i, p in named)
            self.rules.append(replace(rule, **{n: group[n] for n in group if n != "params"}))  # type: ignore[type-var]
            self.groups.append((own, self.rules[-1].init(own)))
            self.parameters |= own

    @property
    def lr(self) -> Rate:
        """The learning rate, of the first group."""
        rate: Rate = self.rules[0].lr
        return rate

    @lr.setter
    def lr(self, rate: Rate) -> None:
        tensor = Tensor(rate)  # not a constant: so a step with another rate is the same Program
        self.rules = [replace(rule, lr=tensor) for rule in self.rules]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for tensor in self.parameters.values():
            tensor.grad = None

    def step(self) -> None:
        """Update every parameter and the state in one run."""
        changes: list[tuple[Tensor, Tensor]] = []
        for rule, (parameters, state) in zip(self.rules, self.groups, strict=True):
            gradients = {name: p.grad for name, p in parameters.items() if p.grad is not None}
            for name in parameters.keys() - gradients.keys():
                raise UsageError(f"{name} has no gradient; call backward() on a loss that uses it")
            new, after = rule.step(parameters, gradients, state)
            changes += [(p, new[name]) for name, p in parameters.items()]
            changes += [(tensor, after[name]) for name, tensor in state.items()]
        realize([new.value for _, new in changes])
        for tensor, new in changes:
            tensor.assign(new)


def clip_grad_norm_(parameters: Iterable[Tensor], max_norm: float) -> Tensor:
    """Scale the gradients of tensors to a joint 2-norm of at most `max_norm`; the norm before."""
    known = [(p, p.grad) for p in parameters if p.grad is not None]
    clipped, norm = clip_grad_norm({f"{i:09}": g for i, (_, g) in enumerate(known)}, max_norm)
    for (p, _), gradient in zip(known, clipped.values(), strict=True):
        p.grad = gradient
    return norm


def clip_grad_value_(parameters: Iterable[Tensor], clip_value: float) -> None:
    """Bring every element of the gradients of tensors between -clip_value and clip_value."""
    for p in parameters:
        p.grad = None if p.grad is None else p.grad.clamp(-clip_value, clip_value)


# Learning rates as functions of the step, which counts from 0 and may be an input of a Program.


def linear(step: Tensor, start: float, end: float, steps: int) -> Tensor:
    """From `start` to `end` in so many steps, then constant; linear(step, 0, 1, n) warms up."""
    return (step.float() / steps).minimum(1.0) * (end - start) + start


def cosine(step: Tensor, high: float, low: float, steps: int, warm_up: int = 0) -> Tensor:
    """Up to `high` in a line, then down to `low` along half a cosine (Loshchilov, Hutter 2017)."""
    falling = linear(step - warm_up, 0.0, pi, steps - warm_up).maximum(0.0)
    rate = (falling.cos() + 1.0) * (0.5 * (high - low)) + low
    return rate * linear(step + 1, 0.0, 1.0, warm_up) if warm_up else rate


def decay(step: Tensor, rate: float, every: int, factor: float = 0.1) -> Tensor:
    """`rate` times `factor` to the number of times that `every` steps have passed."""
    return ((step // every).float() * log(factor)).exp() * rate
