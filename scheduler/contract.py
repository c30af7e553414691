"""What the parts of a job owe each other: names, dtypes and shapes.

The five Programs, the round state and the data of a job come from a stranger. Each is well-formed
by itself (their decoders saw to that); `agree` checks that they make a job together, as
docs/spec/protocol.md, section 3 says, before anyone works on it. It looks at types only and its
errors are bounded: at most `PROBLEMS_MAX` lines, however wrong the job is.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from engine.dtypes import DType
from engine.program import Program, TensorType
from scheduler.errors import ManifestError

Types = Mapping[str, TensorType]

INDEX_NAMES = ("round", "slot", "step")
METRIC = "metric."
METRICS_MAX = 32
"""Metrics of a step or of the evaluation: every one travels in messages and stays in journals."""

PROBLEMS_MAX = 8
NAME_SHOWN_MAX = 80

_SCALAR = TensorType(DType.FLOAT32, ())
_INDEX = TensorType(DType.INT32, ())
_SLOT = re.compile(r"slot(0|[1-9][0-9]{0,5})")


@dataclass(frozen=True, slots=True)
class Programs:
    """The five Programs of a job, decoded."""

    step: Program
    result: Program
    aggregate: Program
    outer: Program
    evaluate: Program


@dataclass(frozen=True, slots=True)
class Sizes:
    """The numbers of a job that decide shapes."""

    slots: int
    steps: int
    batch_rows: int
    rows: int


@dataclass(frozen=True, slots=True)
class Contract:
    """What the parts of a job agreed on; types by name, without the prefixes of the Programs."""

    round_state: dict[str, TensorType]
    unit_state: dict[str, TensorType]
    result: dict[str, TensorType]
    aggregate: dict[str, TensorType]
    metrics: tuple[str, ...]
    evaluation: tuple[str, ...]


def agree(programs: Programs, sizes: Sizes, state: Types, train: Types, test: Types) -> Contract:
    """Check that everything fits; `state`, `train` and `test` are the types in the three files.

    Raises ManifestError with one line per problem.
    """
    unit_state = _under("state.", programs.step.input_types)
    metrics = tuple(sorted(_under(METRIC, programs.step.output_types)))
    result = _under("result.", programs.result.output_types)
    result |= {METRIC + name: TensorType(DType.FLOAT32, (sizes.steps,)) for name in metrics}
    contract = Contract(
        round_state=dict(state),
        unit_state=unit_state,
        result=result,
        aggregate=_under("aggregate.", programs.aggregate.output_types),
        metrics=metrics,
        evaluation=tuple(sorted(_under(METRIC, programs.evaluate.output_types))),
    )
    found = list(islice(_problems(programs, sizes, contract, train, test), PROBLEMS_MAX + 1))
    if found:
        lines = found[:PROBLEMS_MAX] + ["..."] * (len(found) > PROBLEMS_MAX)
        raise ManifestError("the parts of the job do not fit together:\n" + "\n".join(lines))
    return contract


def match(what: str, expected: Types, actual: Types) -> None:
    """Check that tensors have exactly the expected names and types; ManifestError if not."""
    found = list(islice(_same(what, dict(expected), actual), PROBLEMS_MAX))
    if found:
        raise ManifestError("\n".join(found))


def _problems(
    programs: Programs, sizes: Sizes, contract: Contract, train: Types, test: Types
) -> Iterator[str]:
    yield from _data_problems(sizes, train)
    yield from _step_problems(programs.step, sizes, contract, train)
    yield from _result_problems(programs.result, contract)
    yield from _aggregate_problems(programs.aggregate, sizes, contract)
    yield from _outer_problems(programs.outer, contract)
    yield from _evaluate_problems(programs.evaluate, contract, test)


def _data_problems(sizes: Sizes, train: Types) -> Iterator[str]:
    if not train:
        yield "the training data has no tensors"
    for name, kind in train.items():
        if not kind.shape or kind.shape[0] != sizes.rows:
            yield (
                f"training data {_show(name)} is {_type(kind)}, "
                f"its first axis must be the {sizes.rows} rows"
            )
    if sizes.batch_rows > sizes.rows:
        yield f"a batch of {sizes.batch_rows} rows is larger than the {sizes.rows} rows of data"


def _step_problems(step: Program, sizes: Sizes, contract: Contract, train: Types) -> Iterator[str]:
    batches = {
        name: TensorType(kind.dtype, (sizes.batch_rows, *kind.shape[1:]))
        for name, kind in train.items()
    }
    shared = {
        name: contract.round_state.get(name, kind) for name, kind in contract.unit_state.items()
    }
    if not shared:
        yield "program step has no input state.X"
    inputs = {**_prefixed("state.", shared), **_prefixed("batch.", batches)}
    indices = {f"index.{name}": _INDEX for name in INDEX_NAMES}
    given = step.input_types
    inputs |= {name: kind for name, kind in indices.items() if name in given}
    yield from _same("program step, input", inputs, given)
    yield from _metric_problems("step", contract.metrics)
    outputs = _prefixed("state.", contract.unit_state) | _metrics(contract.metrics)
    yield from _same("program step, output", outputs, step.output_types)


def _result_problems(result: Program, contract: Contract) -> Iterator[str]:
    allowed = _prefixed("start.", contract.round_state) | _prefixed("end.", contract.unit_state)
    yield from _subset("program result, input", allowed.get, result.input_types)
    if not result.output_types:
        yield "program result has no output result.Y"
    for name in result.output_types:
        if not _named("result.", name):
            yield f"program result, output {_show(name)}: must be named result.Y"
        elif name.startswith("result." + METRIC):
            yield f"program result, output {_show(name)}: names in metric. are taken by the step"


def _aggregate_problems(aggregate: Program, sizes: Sizes, contract: Contract) -> Iterator[str]:
    rounds = _prefixed("round.", contract.round_state)

    def allowed(name: str) -> TensorType | None:
        head, _, tensor = name.partition(".")
        slot = _SLOT.fullmatch(head)
        if slot and int(slot[1]) < sizes.slots:
            return contract.result.get(tensor)
        return rounds.get(name)

    yield from _subset("program aggregate, input", allowed, aggregate.input_types)
    if not aggregate.output_types:
        yield "program aggregate has no output aggregate.Z"
    for name in aggregate.output_types:
        if not _named("aggregate.", name):
            yield f"program aggregate, output {_show(name)}: must be named aggregate.Z"


def _outer_problems(outer: Program, contract: Contract) -> Iterator[str]:
    rounds = _prefixed("round.", contract.round_state)
    allowed = rounds | _prefixed("aggregate.", contract.aggregate)
    yield from _subset("program outer, input", allowed.get, outer.input_types)
    yield from _same("program outer, output", rounds, outer.output_types)


def _evaluate_problems(evaluate: Program, contract: Contract, test: Types) -> Iterator[str]:
    rounds = _prefixed("round.", contract.round_state)
    given = evaluate.input_types
    inputs = {name: kind for name, kind in rounds.items() if name in given}
    yield from _same("program evaluate, input", inputs | _prefixed("test.", test), given)
    if not contract.evaluation:
        yield "program evaluate has no output metric.N"
    yield from _metric_problems("evaluate", contract.evaluation)
    outputs = _metrics(contract.evaluation)
    yield from _same("program evaluate, output", outputs, evaluate.output_types)


def _metric_problems(program: str, metrics: tuple[str, ...]) -> Iterator[str]:
    if len(metrics) > METRICS_MAX:
        yield f"program {program} has {len(metrics)} metrics, may have {METRICS_MAX}"


def _same(what: str, expected: dict[str, TensorType], actual: Types) -> Iterator[str]:
    """Exactly the expected names, each with its expected type."""
    for name in sorted(expected.keys() - actual.keys()):
        yield f"{what} {_show(name)}: missing, expected {_type(expected[name])}"
    yield from _subset(what, expected.get, actual)


def _subset(what: str, allowed: Callable[[str], TensorType | None], actual: Types) -> Iterator[str]:
    """Only names that are allowed, each with its expected type."""
    for name, kind in sorted(actual.items()):
        expected = allowed(name)
        if expected is None:
            yield f"{what} {_show(name)}: nothing in this job has that name"
        elif expected != kind:
            yield f"{what} {_show(name)}: is {_type(kind)}, expected {_type(expected)}"


def _under(prefix: str, types: Types) -> dict[str, TensorType]:
    """The types whose names start with `prefix`, without it."""
    return {name[len(prefix) :]: kind for name, kind in types.items() if _named(prefix, name)}


def _named(prefix: str, name: str) -> bool:
    return name.startswith(prefix) and len(name) > len(prefix)


def _prefixed(prefix: str, types: Types) -> dict[str, TensorType]:
    return {prefix + name: kind for name, kind in types.items()}


def _metrics(names: tuple[str, ...]) -> dict[str, TensorType]:
    return {METRIC + name: _SCALAR for name in names}


def _type(kind: TensorType) -> str:
    return f"{kind.dtype.name} {tuple(kind.shape)}"


def _show(name: str) -> str:
    text = repr(name)
    return text if len(text) <= NAME_SHOWN_MAX else text[: NAME_SHOWN_MAX - 3] + "..."
