"""DiLoCo: the five Programs of a training job, from a model, a loss and a measure.

Peers train alone for many steps and meet once a round (Douillard et al. 2023, "DiLoCo: Distributed
Low-Communication Training of Language Models"). `programs` traces what docs/spec/protocol.md,
section 3 asks for:

    step      one step of AdamW on a batch, the gradients clipped. A unit starts with first moments
              of zero, which say nothing yet: over its first tenth of steps the rate warms up.
    result    how far each parameter moved, and the second moments.
    aggregate the mean of both over the slots, in slot order: all that peers need of a round.
    outer     the parameters follow the aggregate with Nesterov momentum; its second moments are
              where the next round's units start.
    evaluate  what the measure says of the round's parameters.

A slot's influence is bounded, whoever computed it: a peer that lies and is not found out can cost
one slot's share of a round, not the model. That is what the two limits of `Recipe` are for.

It stands beside the state machine, which does not import it: who makes a job uses it once, before.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Generic, TypeVar

from engine.dtypes import DType
from engine.errors import UsageError
from engine.functional import clip_grad_norm
from engine.nn import Module
from engine.optim import SGD, AdamW
from engine.program import Program, TensorType
from engine.state import Array, types_of
from engine.tensor import Tensor, gradient
from engine.trace import trace

Tensors = Mapping[str, Tensor]
Arrays = Mapping[str, Array]
Model = TypeVar("Model", bound=Module)

RESERVED = ("m.", "v.", "momentum.")
RESERVED_WHOLE = ("bias1", "bias2")
"""How the names of the optimizers' own tensors begin, or are; no parameter may be named so."""

NUMBER_MAX = 1e30
"""A movement of at least this norm, and one that is not a number, counts for nothing."""

WARM_UP = 10
"""One step of this many in a unit warms up."""

DELTA_SHARE = 0.5
"""How much of AdamW's reach a unit may move by default. Honest units of the digits job moved by a
third of it in the first round and by a tenth in the last ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(Generic[Model]):
    """How to train a model.

    `model` gives names, shapes and first values. `loss` and `measure` are called with a model of
    symbolic parameters and a batch: the tensors of the data under their names, first axis = rows.
    A loss is a FLOAT32 scalar; a measure is several, by name.
    """

    model: Model
    loss: Callable[[Model, Tensors], Tensor]
    measure: Callable[[Model, Tensors], Tensors]

    rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 1e-2
    gradient_norm_max: float | None = 1.0
    """All gradients of a step are scaled down to this joint 2-norm; None leaves them alone."""

    outer_rate: float = 0.7
    outer_momentum: float = 0.6

    delta_norm_max: float | None = None
    """A slot's movement is scaled down to this joint 2-norm. None derives it: half of what AdamW
    can reach, that is rate * steps * sqrt(number of parameters) / 2."""

    second_moment_max: float = 1.0
    """A second moment outside 0 and this counts as this. With gradients clipped to a norm of 1
    no honest one is larger than 1."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The numbers of a job that fix the shapes of its Programs, named as in a job file."""

    slots: int
    steps: int
    batch: int


def first_state(recipe: Recipe[Model]) -> dict[str, Tensor]:
    """The round state of the first round: the model's parameters, no moments and no momentum.

    Raises UsageError for a parameter whose name the optimizers need, and for a model with buffers.
    """
    parameters = recipe.model.state_dict()
    if recipe.model.buffers():
        raise UsageError(
            f"the model has buffers, {', '.join(recipe.model.buffers())}, and a round has no state "
            "for them; use GroupNorm or LayerNorm instead of BatchNorm"
        )
    taken = [n for n in parameters if n.startswith(RESERVED) or n in RESERVED_WHOLE]
    if taken:
        raise UsageError(
            f"the model has a parameter {taken[0]!r}; rename the attribute: no name may start "
            f"with {', '.join(RESERVED)} or be {' or '.join(RESERVED_WHOLE)}"
        )
    moments = _inner_rule(recipe, 0.0).init(parameters)
    momentum = _outer_rule(recipe).init(parameters)
    return parameters | momentum | {n: moments[n] for n in moments if _is_published(n)}


def programs(
    recipe: Recipe[Model], sizes: Sizes, train: Arrays, test: Arrays
) -> dict[str, Program]:
    """The Programs step, result, aggregate, outer and evaluate.

    Of the data only names, dtypes and shapes matter. Raises UsageError for a dtype that the engine
    does not have, and TraceError where loss or measure do what a Program cannot hold.
    """
    state = first_state(recipe)
    parameters = recipe.model.state_dict()
    unit = parameters | _inner_rule(recipe, 0.0).init(parameters)
    unit_types = _types("state.", unit)
    batch = {
        f"batch.{name}": TensorType(kind.dtype, (sizes.batch, *kind.shape[1:]))
        for name, kind in types_of(train).items()
    }
    result_types = _types("start.", parameters) | _types("end.", unit)
    evaluation = {f"test.{name}": kind for name, kind in types_of(test).items()}
    result = _result(_prefixed("start.", parameters) | _prefixed("end.", unit), tuple(parameters))
    outer_state = {name: state[name] for name in state if not _is_published(name)}
    slots: dict[str, TensorType] = {}
    for slot in range(sizes.slots):
        slots |= _types(f"slot{slot}.", _under("result.", result))
    return {
        "step": trace(
            lambda inputs: _step(recipe, inputs, max(1, sizes.steps // WARM_UP)),
            unit_types | batch | {"index.step": TensorType(DType.INT32, ())},
        ),
        "result": trace(lambda inputs: _result(inputs, tuple(parameters)), result_types),
        "aggregate": trace(lambda inputs: _aggregate(recipe, inputs, sizes), slots),
        "outer": trace(
            lambda inputs: _outer(recipe, inputs),
            _types("round.", outer_state) | _types("aggregate.", _under("result.", result)),
        ),
        "evaluate": trace(
            lambda inputs: _evaluate(recipe, inputs), _types("round.", parameters) | evaluation
        ),
    }


def _step(recipe: Recipe[Model], inputs: Tensors, warm_up_steps: int) -> Tensors:
    state = _under("state.", inputs)
    parameters = {name: state[name] for name in recipe.model.state_dict()}
    loss = recipe.loss(_with(recipe, parameters), _under("batch.", inputs))
    if not isinstance(loss, Tensor) or loss.shape != () or loss.dtype is not DType.FLOAT32:
        raise UsageError(f"the loss must be a FLOAT32 scalar, not {loss}; take a mean of it")
    gradients = dict(zip(parameters, gradient(loss, *parameters.values()), strict=True))
    if recipe.gradient_norm_max is not None:
        gradients, _ = clip_grad_norm(gradients, recipe.gradient_norm_max)
    warmth = ((inputs["index.step"].float() + 1.0) / warm_up_steps).minimum(1.0)
    rule = _inner_rule(recipe, warmth * recipe.rate)
    parameters, moments = rule.step(parameters, gradients, state)
    return _prefixed("state.", parameters | moments) | {"metric.loss": loss}


def _result(inputs: Tensors, parameters: Sequence[str]) -> dict[str, Tensor]:
    start, end = _under("start.", inputs), _under("end.", inputs)
    moved = {f"result.delta.{name}": start[name] - end[name] for name in parameters}
    return moved | {f"result.{name}": end[name] for name in end if _is_published(name)}


def _aggregate(recipe: Recipe[Model], inputs: Tensors, sizes: Sizes) -> Tensors:
    limit = _delta_norm_max(recipe, sizes.steps)
    results = [_bounded(recipe, _under(f"slot{i}.", inputs), limit) for i in range(sizes.slots)]
    mean = {name: _mean([result[name] for result in results]) for name in results[0]}
    return _prefixed("aggregate.", mean)


def _outer(recipe: Recipe[Model], inputs: Tensors) -> Tensors:
    state, mean = _under("round.", inputs), _under("aggregate.", inputs)
    parameters = {name: state[name] for name in recipe.model.state_dict()}
    parameters, momentum = _outer_rule(recipe).step(parameters, _under("delta.", mean), state)
    moments = {name: mean[name] for name in mean if _is_published(name)}
    return _prefixed("round.", parameters | momentum | moments)


def _bounded(recipe: Recipe[Model], result: Tensors, delta_norm_max: float) -> dict[str, Tensor]:
    """One slot's result with its influence limited; what is not a number counts for nothing."""
    deltas, norm = clip_grad_norm(_under("delta.", result), delta_norm_max)
    usable = norm < NUMBER_MAX
    clipped = {f"delta.{name}": usable.where(delta, 0.0) for name, delta in deltas.items()}
    moments = {name: tensor for name, tensor in result.items() if _is_published(name)}
    bounds = {name: 1.0 if name == "bias2" else recipe.second_moment_max for name in moments}
    return clipped | {
        name: ((moment >= 0.0) & (moment <= bounds[name])).where(moment, bounds[name])
        for name, moment in moments.items()
    }


def _evaluate(recipe: Recipe[Model], inputs: Tensors) -> Tensors:
    model = _with(recipe, _under("round.", inputs))
    return _prefixed("metric.", recipe.measure(model, _under("test.", inputs)))


def _with(recipe: Recipe[Model], parameters: Tensors) -> Model:
    return recipe.model.with_parameters(parameters)


def _inner_rule(recipe: Recipe[Model], rate: "float | Tensor") -> AdamW:
    return AdamW(lr=rate, betas=recipe.betas, weight_decay=recipe.weight_decay)


def _outer_rule(recipe: Recipe[Model]) -> SGD:
    return SGD(recipe.outer_rate, recipe.outer_momentum, nesterov=True)


def _delta_norm_max(recipe: Recipe[Model], steps: int) -> float:
    if recipe.delta_norm_max is not None:
        return recipe.delta_norm_max
    elements = sum(tensor.numel() for tensor in recipe.model.parameters())
    return DELTA_SHARE * recipe.rate * steps * sqrt(elements)


def _is_published(name: str) -> bool:
    """The second moments and their bias correction; first moments stay in the unit."""
    return name.startswith("v.") or name == "bias2"


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    """The mean, added in slot order."""
    total = tensors[0]
    for tensor in tensors[1:]:
        total = total + tensor
    return total / float(len(tensors))


def _types(prefix: str, tensors: Tensors) -> dict[str, TensorType]:
    return {prefix + name: TensorType(t.dtype, t.shape) for name, t in tensors.items()}


def _prefixed(prefix: str, tensors: Tensors) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _under(prefix: str, tensors: Tensors) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): tensor for n, tensor in tensors.items() if n.startswith(prefix)}
