"""The four Programs of the digits job, as functions on tensors.

`engine.trace` calls each once and keeps what it computed: a table of primitive operations that any
peer can price, run and verify. Names follow docs/spec/protocol.md, section 3.

A unit starts with the round's parameters and second moments, and with first moments of zero. Its
learning rate warms up again over the first steps, because those zeros say nothing yet. Its result
is how far each parameter moved, and the new second moments. A round averages both over its slots
and lets the parameters follow with Nesterov momentum (Douillard et al. 2023, "DiLoCo").

What a slot contributes is bounded, whoever computed it: a peer that lies and is not found out can
cost one slot's share of a round, not the model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.dtypes import DType
from engine.functional import accuracy, clip_grad_norm, cross_entropy, relu
from engine.nn import Linear, Module, functional_call
from engine.optim import SGD, AdamW
from engine.program import Program, TensorType
from engine.tensor import Tensor, gradient
from engine.trace import trace

PIXELS, WIDTH, CLASSES = 64, 64, 10
BRIGHTEST = 16.0

INNER_RATE = 2e-2
BETAS = (0.9, 0.99)
WEIGHT_DECAY = 1e-2
OUTER_RATE, OUTER_MOMENTUM = 0.7, 0.6

DELTA_NORM_MAX = 4.0
"""Honest units moved the parameters by 9 and 7 in the first two rounds, which this holds back, and
by 1.3 to 3.9 in the later ones."""

SECOND_MOMENT_MAX = 0.1
"""The largest honest one was 0.0054."""

NUMBER_MAX = 1e30

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Sizes:
    """What fixes the shapes of the Programs."""

    slots: int
    steps: int
    batch: int
    test_rows: int


class Classifier(Module):
    """64 pixels -> 64 hidden units -> 10 classes."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.hidden = Linear(PIXELS, WIDTH, rng=rng)
        self.output = Linear(WIDTH, CLASSES, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 64) -> (n, 10)."""
        return self.output(relu(self.hidden(x)))


def first_round_state(seed: int) -> dict[str, Tensor]:
    """Random parameters; no second moments and no momentum yet."""
    parameters = Classifier(np.random.default_rng(seed)).state_dict()
    moments = AdamW().init(parameters)
    momentum = SGD(OUTER_RATE, OUTER_MOMENTUM).init(parameters)
    return parameters | momentum | {n: moments[n] for n in moments if _is_published(n)}


def programs(sizes: Sizes) -> dict[str, Program]:
    """The job's Programs under their names in a job file."""
    state = first_round_state(0)
    parameters = {name: state[name] for name in _MODEL.state_dict()}
    unit = parameters | AdamW().init(parameters)
    result = _result(_prefixed("start.", state) | _prefixed("end.", unit))
    slots = {
        f"slot{slot}.{name.removeprefix('result.')}": tensor
        for slot in range(sizes.slots)
        for name, tensor in result.items()
    }
    round_types = _types(_prefixed("round.", parameters))
    warm_up_steps = max(1, sizes.steps // 10)
    return {
        "step": trace(
            lambda inputs: _step(inputs, warm_up_steps),
            _types(_prefixed("state.", unit))
            | _data_types("batch.", sizes.batch)
            | {"index.step": TensorType(DType.INT32, ())},
        ),
        "result": trace(_result, _types(_prefixed("start.", parameters) | _prefixed("end.", unit))),
        "combine": trace(
            lambda inputs: _combine(inputs, sizes.slots), _types(_prefixed("round.", state) | slots)
        ),
        "evaluate": trace(_evaluate, round_types | _data_types("test.", sizes.test_rows)),
    }


def _step(inputs: Tensors, warm_up_steps: int) -> Tensors:
    """One step of AdamW on a batch."""
    state = _under("state.", inputs)
    parameters = {name: state[name] for name in _MODEL.state_dict()}
    loss = cross_entropy(_logits(parameters, inputs["batch.pixels"]), inputs["batch.label"].int())
    gradients = dict(zip(parameters, gradient(loss, *parameters.values()), strict=True))
    warmth = ((inputs["index.step"].float() + 1.0) / warm_up_steps).minimum(1.0)
    rule = AdamW(lr=warmth * INNER_RATE, betas=BETAS, weight_decay=WEIGHT_DECAY)
    parameters, moments = rule.step(parameters, gradients, state)
    return _prefixed("state.", parameters | moments) | {"metric.loss": loss}


def _result(inputs: Tensors) -> dict[str, Tensor]:
    """How far the parameters moved, and the second moments to publish."""
    start, end = _under("start.", inputs), _under("end.", inputs)
    moved = {f"result.delta.{name}": start[name] - end[name] for name in _MODEL.state_dict()}
    return moved | {f"result.{name}": end[name] for name in end if _is_published(name)}


def _combine(inputs: Tensors, slots: int) -> Tensors:
    """The outer step: average what the slots found, each bounded, and follow with momentum."""
    state = _under("round.", inputs)
    results = [_bounded(_under(f"slot{slot}.", inputs)) for slot in range(slots)]
    mean = {name: _mean([result[name] for result in results]) for name in results[0]}
    parameters = {name: state[name] for name in _MODEL.state_dict()}
    rule = SGD(OUTER_RATE, OUTER_MOMENTUM, nesterov=True)
    parameters, momentum = rule.step(parameters, _under("delta.", mean), state)
    moments = {name: mean[name] for name in mean if _is_published(name)}
    return _prefixed("round.", parameters | momentum | moments)


def _bounded(result: Tensors) -> dict[str, Tensor]:
    """One slot's result with its influence limited; what is not a number counts for nothing."""
    deltas, norm = clip_grad_norm(_under("delta.", result), DELTA_NORM_MAX)
    usable = norm < NUMBER_MAX
    clipped = {f"delta.{name}": usable.where(delta, 0.0) for name, delta in deltas.items()}
    moments = {name: tensor for name, tensor in result.items() if _is_published(name)}
    bounds = {name: 1.0 if name == "bias2" else SECOND_MOMENT_MAX for name in moments}
    return clipped | {
        name: ((moment >= 0.0) & (moment <= bounds[name])).where(moment, bounds[name])
        for name, moment in moments.items()
    }


def _evaluate(inputs: Tensors) -> Tensors:
    """Loss and accuracy on the digits that nobody trained on."""
    label = inputs["test.label"].int()
    logits = _logits(_under("round.", inputs), inputs["test.pixels"])
    return {
        "metric.loss": cross_entropy(logits, label),
        "metric.accuracy": accuracy(logits, label),
    }


def _logits(parameters: Tensors, pixels: Tensor) -> Tensor:
    return functional_call(_MODEL, parameters, pixels.float() / BRIGHTEST)


def _is_published(name: str) -> bool:
    """The second moments and their bias correction; first moments stay in the unit."""
    return name.startswith("v.") or name == "bias2"


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    """The mean, added in slot order."""
    total = tensors[0]
    for tensor in tensors[1:]:
        total = total + tensor
    return total / float(len(tensors))


def _data_types(prefix: str, rows: int) -> dict[str, TensorType]:
    return {
        f"{prefix}pixels": TensorType(DType.UINT8, (rows, PIXELS)),
        f"{prefix}label": TensorType(DType.UINT8, (rows,)),
    }


def _types(tensors: Tensors) -> dict[str, TensorType]:
    return {name: TensorType(tensor.dtype, tensor.shape) for name, tensor in tensors.items()}


def _prefixed(prefix: str, tensors: Tensors) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _under(prefix: str, tensors: Tensors) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): tensor for n, tensor in tensors.items() if n.startswith(prefix)}


_MODEL = Classifier(np.random.default_rng(0))
"""The layers, for their names and shapes; its values enter no Program."""
