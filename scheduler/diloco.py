"""DiLoCo: the five Programs of a training job, from a model, a loss and a measure.

Peers train alone for many steps and meet once a round (Douillard et al. 2023, "DiLoCo: Distributed
Low-Communication Training of Language Models"). `programs` traces what docs/spec/protocol.md,
section 3 asks for; docs/spec/training.md has every formula:

    step       one step of AdamW on a batch, the gradients clipped. The rate follows one cosine
               through the whole job. A unit starts with first moments of zero, which say nothing
               yet: over its first tenth of steps the rate warms up.
    result     how far the parameters moved, in 4 bits each, and the second moments in 8.
    aggregate  both, over the slots in slot order, as small again: all that peers need of a round.
    outer      the parameters follow the aggregate with Nesterov momentum; its second moments are
               where the next round's units start.
    evaluate   what the measure says of the round's parameters, and how many slots counted.

One slot's influence is bounded, whoever computed it. A slot that holds anything but numbers counts
for nothing. No slot moves the parameters further than CLIP times the median of all slots, and of
every second moment the largest and the smallest word are ignored: so a peer that lies and is not
found out can cost one slot's share of a round, not the model.

It stands beside the state machine, which does not import it: who makes a job uses it once, before.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from engine.dtypes import DType
from engine.errors import UsageError
from engine.functional import clip_grad_norm
from engine.nn import Module
from engine.optim import SGD, AdamW, cosine, linear
from engine.program import Program, TensorType
from engine.state import Array, encoded_bytes, types_of
from engine.tensor import Tensor, gradient
from engine.trace import trace
from scheduler import compression
from scheduler.robust import clipped_mean, trimmed_mean

Tensors = Mapping[str, Tensor]
Arrays = Mapping[str, Array]
Model = TypeVar("Model", bound=Module)
Kind = TypeVar("Kind")

RESERVED = ("m.", "v.", "momentum.")
RESERVED_WHOLE = ("bias1", "bias2", "counted")
"""How the names of the optimizers' own tensors begin, or are; no parameter may be named so."""


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

    warm_up: float = 0.05
    """The share of the job's steps over which the rate rises to its full height."""

    rate_end: float = 0.1
    """The share of the rate at which its cosine ends with the job; 1 keeps the rate constant."""

    re_warm_up: float = 0.1
    """The share of a unit's steps over which the rate rises again in every unit; 0 for not."""

    outer_rate: float = 0.7
    outer_momentum: float = 0.9

    second_moment: Literal["full", "factored", "none"] = "full"
    """What a round publishes of the second moments; with "none" every unit begins without any."""

    delta_bits: compression.Bits = 4
    """Bits of an element of a delta; 32 leaves it as it is."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The numbers of a job that fix its Programs, named as in a job file."""

    rounds: int
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
    momentum = _outer_rule(recipe).init(parameters)
    published = {n: t for n, t in _moments(recipe).items() if _is_published(recipe, n)}
    return parameters | momentum | published | {"counted": Tensor(0.0)}


def programs(
    recipe: Recipe[Model], sizes: Sizes, train: Arrays, test: Arrays
) -> dict[str, Program]:
    """The Programs step, result, aggregate, outer and evaluate.

    Of the data only names, dtypes and shapes matter. Raises UsageError for a dtype that the engine
    does not have, and TraceError where loss or measure do what a Program cannot hold.
    """
    state = _types("round.", first_state(recipe))
    parameters = recipe.model.state_dict()
    unit = parameters | _moments(recipe)
    batch = {
        f"batch.{name}": TensorType(kind.dtype, (sizes.batch, *kind.shape[1:]))
        for name, kind in types_of(train).items()
    }
    index = dict.fromkeys(("index.round", "index.step"), TensorType(DType.INT32, ()))
    v = {name: tensor for name, tensor in unit.items() if _is_v(recipe, name)}
    ends = _types("end.", parameters | v)
    test_types = {f"test.{name}": kind for name, kind in types_of(test).items()}
    seen = _types("round.", parameters | {"counted": Tensor(0.0)})
    result = trace(lambda i: _result(recipe, i), _types("start.", parameters) | ends)
    coded = _under("result.", result.output_types)
    slots = {f"slot{i}.{n}": kind for i in range(sizes.slots) for n, kind in coded.items()}
    aggregate = trace(lambda i: _aggregate(recipe, i, sizes.slots), slots)
    return {
        "step": trace(lambda i: _step(recipe, i, sizes), _types("state.", unit) | batch | index),
        "result": result,
        "aggregate": aggregate,
        "outer": trace(lambda i: _outer(recipe, i, sizes), state | aggregate.output_types),
        "evaluate": trace(lambda i: _evaluate(recipe, i), seen | test_types),
    }


def round_bytes(programs: Mapping[str, Program], steps: int) -> tuple[int, int]:
    """The bytes of a result and of an aggregate as files: what a slot sends and gets in a round."""
    result = dict(_under("result.", programs["result"].output_types))
    metrics = [n for n in programs["step"].output_types if n.startswith("metric.")]
    result |= {name: TensorType(DType.FLOAT32, (steps,)) for name in metrics}
    aggregate = _under("aggregate.", programs["aggregate"].output_types)
    return encoded_bytes(result), encoded_bytes(aggregate)


def all_reduce_bytes(parameters: int, slots: int, steps: int) -> float:
    """What a slot sends, and gets, in as many steps of a FLOAT32 ring all-reduce of gradients."""
    return 2 * (slots - 1) / slots * 4 * parameters * steps


def _step(recipe: Recipe[Model], inputs: Tensors, sizes: Sizes) -> Tensors:
    state = _under("state.", inputs)
    parameters = {name: state[name] for name in recipe.model.state_dict()}
    loss = recipe.loss(_with(recipe, parameters), _under("batch.", inputs))
    if not isinstance(loss, Tensor) or loss.shape != () or loss.dtype is not DType.FLOAT32:
        raise UsageError(f"the loss must be a FLOAT32 scalar, not {loss}; take a mean of it")
    gradients = dict(zip(parameters, gradient(loss, *parameters.values()), strict=True))
    if recipe.gradient_norm_max is not None:
        gradients, _ = clip_grad_norm(gradients, recipe.gradient_norm_max)
    rate = _rate(recipe, inputs["index.round"], inputs["index.step"], sizes)
    parameters, moments = _inner_rule(recipe, rate).step(parameters, gradients, state)
    return _prefixed("state.", parameters | moments) | {"metric.loss": loss}


def _rate(recipe: Recipe[Model], round: Tensor, step: Tensor, sizes: Sizes) -> Tensor:
    """The cosine of the job times the warm-up of the unit."""
    steps = sizes.rounds * sizes.steps
    low, warm_up = recipe.rate * recipe.rate_end, int(recipe.warm_up * steps)
    rate = cosine(round * sizes.steps + step, recipe.rate, low, steps, warm_up)
    again = int(recipe.re_warm_up * sizes.steps)
    return rate * linear(step + 1, 0.0, 1.0, again) if again else rate


def _result(recipe: Recipe[Model], inputs: Tensors) -> dict[str, Tensor]:
    start, end = _under("start.", inputs), _under("end.", inputs)
    moved = compression.join({name: start[name] - end[name] for name in start})
    coded = compression.encode_delta(moved, recipe.delta_bits)
    if recipe.second_moment != "none":
        moments = {name: end[name] for name in end if _is_v(recipe, name)}
        if recipe.second_moment == "factored":
            moments = compression.factor(moments)
        coded["v"] = compression.encode_moment(compression.join(moments))
    return _prefixed("result.", coded)


def _aggregate(recipe: Recipe[Model], inputs: Tensors, slots: int) -> Tensors:
    results = [_under(f"slot{i}.", inputs) for i in range(slots)]
    bits, count = recipe.delta_bits, _count(recipe)
    deltas = [compression.decode_delta(result, bits, count) for result in results]
    mean, counts = clipped_mean(deltas)
    found = compression.encode_delta(mean, bits)
    if recipe.second_moment != "none":
        found["v"] = trimmed_mean([result["v"] for result in results], counts)
    return _prefixed("aggregate.", found | {"counted": counts.float().sum()})


def _outer(recipe: Recipe[Model], inputs: Tensors, sizes: Sizes) -> Tensors:
    """A round of which nothing counts changes nothing."""
    state, coded = _under("round.", inputs), _under("aggregate.", inputs)
    shapes = {name: tensor.shape for name, tensor in recipe.model.state_dict().items()}
    parameters = {name: state[name] for name in shapes}
    flat = compression.decode_delta(coded, recipe.delta_bits, _count(recipe))
    parameters, new = _outer_rule(recipe).step(parameters, compression.split(flat, shapes), state)
    new |= parameters
    if recipe.second_moment != "none":
        new |= _moments_of(recipe, coded["v"], {f"v.{name}": s for name, s in shapes.items()})
        kept = recipe.betas[1] ** sizes.steps
        new["bias2"] = state["bias2"].fma(kept, 1.0 - kept)
    any_counted = coded["counted"] > 0.0
    chosen = {name: any_counted.where(tensor, state[name]) for name, tensor in new.items()}
    return _prefixed("round.", chosen | {"counted": coded["counted"]})


def _moments_of(
    recipe: Recipe[Model], codes: Tensor, shapes: compression.Shapes
) -> dict[str, Tensor]:
    """The second moments that the aggregate tells."""
    v = compression.decode_moment(codes)
    if recipe.second_moment == "full":
        return compression.split(v, shapes)
    factors = compression.split(v, compression.factored_shapes(shapes))
    return compression.unfactor(factors, shapes)


def _evaluate(recipe: Recipe[Model], inputs: Tensors) -> Tensors:
    state = _under("round.", inputs)
    model = _with(recipe, {name: state[name] for name in recipe.model.state_dict()})
    measured = dict(recipe.measure(model, _under("test.", inputs)))
    if "counted" in measured:
        raise UsageError("the measure has a number 'counted'; that one is taken: rename it")
    return _prefixed("metric.", measured | {"counted": state["counted"]})


def _with(recipe: Recipe[Model], parameters: Tensors) -> Model:
    return recipe.model.with_parameters(parameters)


def _inner_rule(recipe: Recipe[Model], rate: "float | Tensor") -> AdamW:
    return AdamW(lr=rate, betas=recipe.betas, weight_decay=recipe.weight_decay)


def _outer_rule(recipe: Recipe[Model]) -> SGD:
    return SGD(recipe.outer_rate, recipe.outer_momentum, nesterov=True)


def _moments(recipe: Recipe[Model]) -> dict[str, Tensor]:
    """The inner optimizer's state before its first step."""
    return _inner_rule(recipe, 0.0).init(recipe.model.state_dict())


def _count(recipe: Recipe[Model]) -> int:
    return sum(tensor.numel() for tensor in recipe.model.parameters())


def _is_v(recipe: Recipe[Model], name: str) -> bool:
    return recipe.second_moment != "none" and name.startswith("v.")


def _is_published(recipe: Recipe[Model], name: str) -> bool:
    """The second moments and their bias correction; first moments stay in the unit."""
    return _is_v(recipe, name) or (recipe.second_moment != "none" and name == "bias2")


def _types(prefix: str, tensors: Tensors) -> dict[str, TensorType]:
    return {prefix + name: TensorType(t.dtype, t.shape) for name, t in tensors.items()}


def _prefixed(prefix: str, tensors: Tensors) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _under(prefix: str, named: Mapping[str, Kind]) -> dict[str, Kind]:
    return {n.removeprefix(prefix): kind for n, kind in named.items() if n.startswith(prefix)}
