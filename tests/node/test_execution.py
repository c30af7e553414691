"""What a job computes: the protocol's words, spelt out with numpy, against the functions."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.backend import Backend, list_devices, open_backend
from engine.commitment import merkle_root, state_root
from node import execution
from node.bundle import Bundle
from node.execution import LoadedJob, UnitOutput, build, combine, evaluate, run_unit
from scheduler.windows import window


@pytest.fixture(scope="module")
def loaded(tiny: Bundle) -> LoadedJob:
    """The tiny job on the reference backend."""
    return build(open_backend("reference"), tiny.job)


def unit_by_hand(
    job: LoadedJob, round: int, slot: int
) -> tuple[list[dict[str, NDArray[np.generic]]], list[float]]:
    """The unit's state after every step, and its losses, by numpy in double precision."""
    w, m = (np.array(job.job.state["w"], np.float64), np.zeros((3, 1)))
    states: list[dict[str, NDArray[np.generic]]] = []
    losses = []
    for step in range(job.job.manifest.steps):
        start, stop = window(job.job.manifest, round, slot, step)
        x, y = (job.job.train.read(start, stop)[name].astype(np.float64) for name in "xy")
        error = x @ w - y
        losses.append(float((error**2).mean()))
        m = 0.5 * m + x.T @ error / len(x)
        w = w - 0.1 * m
        states.append({"w": w, "m": m})
    return states, losses


@pytest.mark.parametrize(("round", "slot"), [(0, 0), (0, 2), (1, 1)])
def test_unit_follows_the_protocol(loaded: LoadedJob, round: int, slot: int) -> None:
    """State from the round or from zero, the right window at each step, the result at the end."""
    output = run_unit(loaded, loaded.job.state, round, slot)
    states, losses = unit_by_hand(loaded, round, slot)
    assert set(output.result) == {"delta", "m", "metric.loss", "metric.place"}
    np.testing.assert_allclose(output.result["delta"], -states[-1]["w"], rtol=1e-5)
    np.testing.assert_allclose(output.result["m"], states[-1]["m"], rtol=1e-5)
    np.testing.assert_allclose(output.result["metric.loss"], losses, rtol=1e-5)
    places = [round * 100 + slot * 10 + step for step in range(5)]
    assert output.result["metric.place"].tolist() == places
    assert output.metrics == {
        "loss": float(output.result["metric.loss"][-1]),
        "place": float(places[-1]),
    }


def test_roots_are_those_of_the_protocol(loaded: LoadedJob) -> None:
    """Result root: all result tensors. Trace root: the states after steps 2, 4 and 5."""
    output = run_unit(loaded, loaded.job.state, 0, 1)
    assert output.result_root == state_root(output.result)
    state = {"w": loaded.job.state["w"], "m": np.zeros((3, 1), np.float32)}
    roots = []
    for step in range(5):
        start, stop = window(loaded.job.manifest, 0, 1, step)
        rows = loaded.job.train.read(start, stop)
        batch = {f"batch.{name}": array for name, array in rows.items()}
        place = {"index.round": 0, "index.slot": 1, "index.step": step}
        outputs = loaded.step(
            {f"state.{name}": array for name, array in state.items()}
            | batch
            | {name: np.array(n, np.int32) for name, n in place.items()}
        )
        state = {name: outputs[f"state.{name}"].numpy() for name in state}
        if step + 1 in (2, 4, 5):
            roots.append(state_root(state))
    assert output.trace_root == merkle_root(roots)


def test_unit_is_a_function_of_its_place(loaded: LoadedJob) -> None:
    """Twice the same bits; another slot, round or checkpoint gives others."""
    state = loaded.job.state

    def roots(output: UnitOutput) -> tuple[bytes, bytes]:
        return output.result_root, output.trace_root

    first = roots(run_unit(loaded, state, 0, 0))
    moved = {**state, "w": state["w"] + np.float32(0.5)}
    others = [
        roots(run_unit(loaded, state, 0, 1)),
        roots(run_unit(loaded, state, 1, 0)),
        roots(run_unit(loaded, moved, 0, 0)),
    ]
    assert roots(run_unit(loaded, state, 0, 0)) == first
    assert len({first, *others}) == 4


@pytest.mark.parametrize(("round", "slot"), [(2, 0), (0, 3), (-1, 0)])
def test_unit_outside_the_job_is_refused(loaded: LoadedJob, round: int, slot: int) -> None:
    """There is no such work."""
    with pytest.raises(ValueError, match="is not in"):
        run_unit(loaded, loaded.job.state, round, slot)


def test_combine_takes_every_slot_in_order(loaded: LoadedJob) -> None:
    """The movement is averaged, the metrics arrive, and order decides the last bits."""
    state = loaded.job.state
    outputs = [run_unit(loaded, state, 0, slot).result for slot in range(3)]
    following = combine(loaded, state, outputs)
    mean = np.mean([output["delta"] for output in outputs], axis=0)
    np.testing.assert_allclose(following["w"], state["w"] - mean, rtol=1e-5)
    total = sum(output["metric.loss"].sum() for output in outputs)
    np.testing.assert_allclose(following["losses"], total, rtol=1e-5)
    doubled = [outputs[0], outputs[0], outputs[2]]
    assert state_root(combine(loaded, state, doubled)) != state_root(following)


@pytest.mark.parametrize("count", [0, 2, 4])
def test_combine_refuses_another_number_of_results(loaded: LoadedJob, count: int) -> None:
    """A missing slot is no average of fewer."""
    output = run_unit(loaded, loaded.job.state, 0, 0).result
    with pytest.raises(ValueError, match=f"{count} results for 3 slots"):
        combine(loaded, loaded.job.state, [output] * count)


def test_evaluate_reads_the_whole_test_data(loaded: LoadedJob) -> None:
    """One number per metric."""
    test = loaded.job.test
    expected = float(((test["x"] @ loaded.job.state["w"] - test["y"]) ** 2).mean())
    assert evaluate(loaded, loaded.job.state) == {"mse": pytest.approx(expected, rel=1e-5)}


def test_trace_every_changes_the_trace_alone(tiny: Bundle, loaded: LoadedJob) -> None:
    """How often the state is digested does not touch the result."""
    manifest = tiny.manifest.model_copy(update={"trace_every": 5})
    other = build(loaded.backend, replace(tiny.job, manifest=manifest))
    first, second = (run_unit(job, tiny.job.state, 0, 0) for job in (loaded, other))
    assert first.result_root == second.result_root
    assert first.trace_root != second.trace_root


@pytest.fixture(scope="module")
def device() -> Backend:
    """The best OpenCL device."""
    if not list_devices():
        pytest.skip("no OpenCL device")
    return open_backend("")


def test_device_and_reference_give_the_same_roots(
    tiny: Bundle, loaded: LoadedJob, device: Backend
) -> None:
    """Units, combination and evaluation, bit for bit."""
    state, other = tiny.job.state, build(device, tiny.job)
    for round in range(2):
        mine = [run_unit(loaded, state, round, slot) for slot in range(3)]
        theirs = [run_unit(other, state, round, slot) for slot in range(3)]
        assert [m.result_root for m in mine] == [t.result_root for t in theirs]
        assert [m.trace_root for m in mine] == [t.trace_root for t in theirs]
        following = combine(loaded, state, [m.result for m in mine])
        assert state_root(following) == state_root(
            combine(other, state, [t.result for t in theirs])
        )
        assert evaluate(loaded, following) == evaluate(other, following)
        state = following


def test_metrics_arrive_however_rarely_they_are_read(
    loaded: LoadedJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading every step, every third, or at the end gives the same result."""
    roots = set()
    for count in (1, 3, 100):
        monkeypatch.setattr(execution, "METRIC_STEPS_MAX", count)
        roots.add(run_unit(loaded, loaded.job.state, 0, 2).result_root)
    assert len(roots) == 1
