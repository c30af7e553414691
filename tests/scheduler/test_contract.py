"""The contract between a job's parts: each broken promise is found, named and bounded."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from engine.dtypes import DType
from engine.ops import Op
from engine.program import Node, Program, TensorType
from scheduler.contract import (
    METRICS_MAX,
    PROBLEMS_MAX,
    Contract,
    Programs,
    Sizes,
    Types,
    agree,
    match,
)
from scheduler.errors import ManifestError

F32, I32, U8 = DType.FLOAT32, DType.INT32, DType.UINT8
SIZES = Sizes(slots=2, steps=5, batch_rows=4, rows=10)
W, M, C = TensorType(F32, (3, 2)), TensorType(F32, (3, 2)), TensorType(F32, ())
STATE = {"w": W, "outer": W}
TRAIN = {"x": TensorType(U8, (10, 3)), "y": TensorType(I32, (10,))}
TEST = {"x": TensorType(U8, (6, 3))}

STEP_IN: Types = {
    "state.w": W,
    "state.m": M,
    "batch.x": TensorType(U8, (4, 3)),
    "batch.y": TensorType(I32, (4,)),
    "index.step": TensorType(I32, ()),
}
STEP_OUT: Types = {"state.w": W, "state.m": M, "metric.loss": C}
RESULT_IN: Types = {"start.w": W, "end.w": W, "end.m": M}
RESULT_OUT: Types = {"result.delta": W}
AGGREGATE_IN: Types = {
    "round.w": W,
    "slot0.delta": W,
    "slot1.delta": W,
    "slot1.metric.loss": TensorType(F32, (5,)),
}
AGGREGATE_OUT: Types = {"aggregate.delta": W}
OUTER_IN: Types = {"round.w": W, "round.outer": W, "aggregate.delta": W}
OUTER_OUT: Types = {"round.w": W, "round.outer": W}
EVALUATE_IN: Types = {"round.w": W, "test.x": TEST["x"]}
EVALUATE_OUT: Types = {"metric.accuracy": C}


def program(inputs: Types, outputs: Types) -> Program:
    """A table with these types and nothing else: the contract looks at no node."""
    nodes: list[Node] = []

    def table(types: Types) -> tuple[tuple[str, int], ...]:
        named = []
        for name, kind in sorted(types.items()):
            nodes.append(Node(Op.INPUT, kind.dtype, kind.shape))
            named.append((name, len(nodes) - 1))
        return tuple(named)

    first, second = table(inputs), table(outputs)
    return Program(nodes=tuple(nodes), inputs=first, outputs=second)


GOOD = Programs(
    step=program(STEP_IN, STEP_OUT),
    result=program(RESULT_IN, RESULT_OUT),
    aggregate=program(AGGREGATE_IN, AGGREGATE_OUT),
    outer=program(OUTER_IN, OUTER_OUT),
    evaluate=program(EVALUATE_IN, EVALUATE_OUT),
)


def check(
    programs: Programs = GOOD,
    *,
    sizes: Sizes = SIZES,
    state: Types = STATE,
    train: Types = TRAIN,
    test: Types = TEST,
) -> Contract:
    """Agree on the good job with parts replaced."""
    return agree(programs, sizes, state, train, test)


def without(types: Types, name: str) -> dict[str, TensorType]:
    """The types less one."""
    return {key: kind for key, kind in types.items() if key != name}


def test_good_job_agrees_on_its_types() -> None:
    """State and results lose the prefixes of the Programs; metrics become (H,) in the result."""
    contract = check()
    assert contract.round_state == STATE
    assert contract.unit_state == {"w": W, "m": M}
    assert contract.result == {"delta": W, "metric.loss": TensorType(F32, (5,))}
    assert (contract.metrics, contract.evaluation) == (("loss",), ("accuracy",))


STEPS: list[tuple[Mapping[str, TensorType], Mapping[str, TensorType], str]] = [
    (without(STEP_IN, "state.m"), STEP_OUT, "step, output 'state.m'"),
    (STEP_IN, without(STEP_OUT, "state.m"), "step, output 'state.m': missing"),
    (STEP_IN, {**STEP_OUT, "state.m": TensorType(F32, (2, 3))}, "step, output 'state.m': is"),
    ({**STEP_IN, "state.w": C}, {**STEP_OUT, "state.w": C}, "step, input 'state.w': is FLOAT32 ()"),
    (without(STEP_IN, "batch.y"), STEP_OUT, "step, input 'batch.y': missing"),
    ({**STEP_IN, "batch.z": C}, STEP_OUT, "step, input 'batch.z': nothing"),
    ({**STEP_IN, "batch.y": TensorType(I32, (5,))}, STEP_OUT, "'batch.y': is INT32 (5,), expected"),
    ({**STEP_IN, "index.step": C}, STEP_OUT, "'index.step': is FLOAT32 (), expected INT32 ()"),
    ({**STEP_IN, "index.epoch": C}, STEP_OUT, "'index.epoch': nothing"),
    ({**STEP_IN, "w": W}, STEP_OUT, "'w': nothing"),
    ({**STEP_IN, "state.": W}, {**STEP_OUT, "state.": W}, "'state.': nothing"),
    (STEP_IN, {**STEP_OUT, "metric.loss": TensorType(F32, (1,))}, "'metric.loss': is"),
    (STEP_IN, {**STEP_OUT, "metric.loss": TensorType(I32, ())}, "'metric.loss': is"),
    (STEP_IN, {**STEP_OUT, "metric.": C}, "'metric.': nothing"),
    (STEP_IN, {**STEP_OUT, "loss": C}, "'loss': nothing"),
    (
        {"batch.x": STEP_IN["batch.x"], "batch.y": STEP_IN["batch.y"]},
        {"metric.loss": C},
        "no input state.X",
    ),
]


@pytest.mark.parametrize(("inputs", "outputs", "expected"), STEPS)
def test_step_that_does_not_fit_is_refused(inputs: Types, outputs: Types, expected: str) -> None:
    """State in and out alike, a batch of all training data, scalar metrics."""
    with pytest.raises(ManifestError) as caught:
        check(replace(GOOD, step=program(inputs, outputs)))
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [
        ({**RESULT_IN, "start.m": M}, RESULT_OUT, "'start.m': nothing"),
        ({**RESULT_IN, "end.outer": W}, RESULT_OUT, "'end.outer': nothing"),
        ({**RESULT_IN, "end.w": C}, RESULT_OUT, "'end.w': is"),
        (RESULT_IN, {}, "no output result.Y"),
        (RESULT_IN, {**RESULT_OUT, "delta": W}, "'delta': must be named result.Y"),
        (RESULT_IN, {**RESULT_OUT, "result.": W}, "'result.': must be named result.Y"),
        (RESULT_IN, {**RESULT_OUT, "result.metric.loss": C}, "taken by the step"),
    ],
)
def test_result_that_does_not_fit_is_refused(inputs: Types, outputs: Types, expected: str) -> None:
    """It reads round state and unit state and may not pretend to be a metric."""
    with pytest.raises(ManifestError) as caught:
        check(replace(GOOD, result=program(inputs, outputs)))
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [
        ({**AGGREGATE_IN, "slot2.delta": W}, AGGREGATE_OUT, "'slot2.delta': nothing"),
        ({**AGGREGATE_IN, "slot01.delta": W}, AGGREGATE_OUT, "'slot01.delta': nothing"),
        ({**AGGREGATE_IN, "slot1.other": W}, AGGREGATE_OUT, "'slot1.other': nothing"),
        ({**AGGREGATE_IN, "slot1.metric.loss": C}, AGGREGATE_OUT, "'slot1.metric.loss': is"),
        ({**AGGREGATE_IN, "round.m": W}, AGGREGATE_OUT, "'round.m': nothing"),
        (AGGREGATE_IN, {}, "no output aggregate.Z"),
        (AGGREGATE_IN, {"aggregate.": W}, "'aggregate.': must be named aggregate.Z"),
        (AGGREGATE_IN, {**AGGREGATE_OUT, "round.w": W}, "'round.w': must be named aggregate.Z"),
    ],
)
def test_aggregate_that_does_not_fit_is_refused(
    inputs: Types, outputs: Types, expected: str
) -> None:
    """Every slot that exists, any part of the round state, and some aggregate."""
    with pytest.raises(ManifestError) as caught:
        check(replace(GOOD, aggregate=program(inputs, outputs)))
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [
        ({**OUTER_IN, "aggregate.v": W}, OUTER_OUT, "'aggregate.v': nothing"),
        ({**OUTER_IN, "aggregate.delta": C}, OUTER_OUT, "'aggregate.delta': is"),
        ({**OUTER_IN, "slot0.delta": W}, OUTER_OUT, "'slot0.delta': nothing"),
        ({**OUTER_IN, "round.m": W}, OUTER_OUT, "'round.m': nothing"),
        (OUTER_IN, without(OUTER_OUT, "round.outer"), "'round.outer': missing"),
        (OUTER_IN, {**OUTER_OUT, "round.m": W}, "'round.m': nothing"),
    ],
)
def test_outer_that_does_not_fit_is_refused(inputs: Types, outputs: Types, expected: str) -> None:
    """No result, nothing that the aggregate has not, every tensor of the round state."""
    with pytest.raises(ManifestError) as caught:
        check(replace(GOOD, outer=program(inputs, outputs)))
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [
        (without(EVALUATE_IN, "test.x"), EVALUATE_OUT, "'test.x': missing"),
        ({**EVALUATE_IN, "state.m": M}, EVALUATE_OUT, "'state.m': nothing"),
        ({**EVALUATE_IN, "round.w": C}, EVALUATE_OUT, "'round.w': is"),
        (EVALUATE_IN, {}, "no output metric.N"),
        (EVALUATE_IN, {"metric.loss": TensorType(I32, ())}, "'metric.loss': is"),
        (EVALUATE_IN, {**EVALUATE_OUT, "loss": C}, "'loss': nothing"),
    ],
)
def test_evaluate_that_does_not_fit_is_refused(
    inputs: Types, outputs: Types, expected: str
) -> None:
    """Round state and test data in, scalar metrics out."""
    with pytest.raises(ManifestError) as caught:
        check(replace(GOOD, evaluate=program(inputs, outputs)))
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ({}, "no tensors"),
        ({"x": TensorType(U8, (9, 3)), "y": TRAIN["y"]}, "training data 'x' is UINT8 (9, 3)"),
        ({"x": TensorType(U8, ()), "y": TRAIN["y"]}, "training data 'x' is UINT8 ()"),
    ],
)
def test_training_data_without_its_rows_is_refused(train: Types, expected: str) -> None:
    """Every tensor of the training data has the job's rows."""
    with pytest.raises(ManifestError) as caught:
        check(train=train)
    assert expected in str(caught.value)


def test_batch_larger_than_the_data_is_refused() -> None:
    """There would be no whole window."""
    with pytest.raises(ManifestError, match="larger than the 10 rows"):
        check(sizes=replace(SIZES, batch_rows=11))


@pytest.mark.parametrize(("count", "fits"), [(METRICS_MAX, True), (METRICS_MAX + 1, False)])
def test_metrics_are_bounded(count: int, fits: bool) -> None:
    """They travel in messages; a job with thousands would break those."""
    metrics = {f"metric.{i}": C for i in range(count)}
    many = replace(
        GOOD,
        step=program(STEP_IN, {**without(STEP_OUT, "metric.loss"), **metrics}),
        aggregate=program(without(AGGREGATE_IN, "slot1.metric.loss"), AGGREGATE_OUT),
        evaluate=program(EVALUATE_IN, metrics),
    )
    if fits:
        assert len(check(many).metrics) == count
        return
    with pytest.raises(ManifestError) as caught:
        check(many)
    for name in ("step", "evaluate"):
        assert f"program {name} has {count} metrics, may have {METRICS_MAX}" in str(caught.value)


def test_problems_are_listed_together_and_bounded() -> None:
    """However wrong a stranger's job is, the message stays short and printable."""
    inputs = {**STEP_IN, **{f"batch.\x1b{i}" + "x" * 500: C for i in range(100)}}
    with pytest.raises(ManifestError) as caught:
        check(replace(GOOD, step=program(inputs, STEP_OUT)))
    lines = str(caught.value).splitlines()
    assert len(lines) == PROBLEMS_MAX + 2
    assert lines[-1] == "..."
    assert len(str(caught.value)) < 2000
    assert "\x1b" not in str(caught.value)


def test_match_wants_exactly_the_expected_tensors() -> None:
    """Missing, foreign and mistyped tensors are all refused."""
    match("state", STATE, STATE)
    for wrong in (without(STATE, "w"), {**STATE, "x": C}, {**STATE, "w": C}):
        with pytest.raises(ManifestError, match="state '"):
            match("state", STATE, wrong)
