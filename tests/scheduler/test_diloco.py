"""DiLoCo's five Programs against its formulas in numpy, and what a lying slot can do."""

from math import sqrt

import numpy as np
import pytest

from engine import Tensor, UsageError
from engine.backend import open_backend
from engine.functional import mse_loss
from engine.nn import BatchNorm1d, Linear, Module
from scheduler import diloco

SLOTS, STEPS, BATCH = 3, 20, 4
SIZES = diloco.Sizes(SLOTS, STEPS, BATCH)
DATA = {"x": np.zeros((9, 3), np.float32), "y": np.zeros((9, 2), np.float32)}
TEST = {"x": np.zeros((5, 3), np.float32), "y": np.zeros((5, 2), np.float32)}
PARAMETERS = {"line.weight": (2, 3), "line.bias": (2,)}
COUNT = 8


class Line(Module):
    """Three numbers -> two."""

    def __init__(self):
        self.line = Linear(3, 2, rng=np.random.default_rng(4))

    def forward(self, x):
        """(n, 3) -> (n, 2)."""
        return self.line(x)


def loss(model, batch):
    """The squared error."""
    return mse_loss(model(batch["x"]), batch["y"])


def recipe(**changes):
    """A recipe for the line."""
    given = {"model": Line(), "loss": loss, "measure": lambda m, t: {"mse": loss(m, t)}}
    return diloco.Recipe(**(given | changes))


def load(name, **changes):
    """One of the five Programs on the reference backend, arrays in, arrays out."""
    program = diloco.programs(recipe(**changes), SIZES, DATA, TEST)[name]
    run = open_backend("reference").load(program)
    return lambda given: {n: b.numpy() for n, b in run(given).items()}


def round_state():
    """The first round's state as arrays."""
    return {name: tensor.numpy() for name, tensor in diloco.first_state(recipe()).items()}


def step_inputs(scale, index=0):
    """A unit's first step on rows whose gradients grow with `scale`."""
    rng = np.random.default_rng(1)
    state = round_state() | {f"m.{n}": np.zeros(s, np.float32) for n, s in PARAMETERS.items()}
    state |= {"bias1": np.zeros((), np.float32)}
    given = {f"state.{n}": a for n, a in state.items() if not n.startswith("momentum.")}
    rows = {n: rng.standard_normal((BATCH, *a.shape[1:])) * scale for n, a in DATA.items()}
    given |= {f"batch.{n}": a.astype(np.float32) for n, a in rows.items()}
    return given | {"index.step": np.array(index, np.int32)}


def slot_results(delta_scale=0.01, seed=0):
    """Honest results of every slot."""
    rng = np.random.default_rng(seed)
    results = []
    for _ in range(SLOTS):
        deltas = {f"delta.{n}": rng.standard_normal(s) * delta_scale for n, s in PARAMETERS.items()}
        moments = {f"v.{n}": rng.uniform(0, 0.1, s) for n, s in PARAMETERS.items()}
        result = deltas | moments | {"bias2": np.array(0.2)}
        results.append({n: np.asarray(a, np.float32) for n, a in result.items()})
    return results


def load_combine(**changes):
    """Aggregate and outer step as the network composes them: state and results -> next state."""
    aggregate, outer = load("aggregate", **changes), load("outer", **changes)
    wanted = dict(diloco.programs(recipe(**changes), SIZES, DATA, TEST)["outer"].input_types)

    def run(state, results):
        slots = [{f"slot{i}.{n}": a for n, a in r.items()} for i, r in enumerate(results)]
        given = aggregate({name: array for slot in slots for name, array in slot.items()})
        given |= {f"round.{n}": a for n, a in state.items() if f"round.{n}" in wanted}
        return outer(given)

    return run


def test_first_state_has_the_parameters_and_zeros():
    """Weights as the model drew them; second moments and momenta that say nothing yet."""
    state = round_state()
    assert set(state) == {
        *PARAMETERS, *(f"v.{n}" for n in PARAMETERS), *(f"momentum.{n}" for n in PARAMETERS),
        "bias2",
    }  # fmt: skip
    np.testing.assert_array_equal(state["line.weight"], Line().line.weight.numpy())
    assert not any(state[name].any() for name in state if name not in PARAMETERS)


def test_step_moves_against_the_gradient_by_the_warming_rate():
    """Adam's first step has the size of the rate, a half of it in the first of two warm steps."""
    for index, warmth in ((0, 0.5), (1, 1.0), (7, 1.0)):
        given = step_inputs(1.0, index)
        out = load("step", rate=1e-2, weight_decay=0.0)(given)
        moved = given["state.line.weight"] - out["state.line.weight"]
        np.testing.assert_allclose(np.abs(moved), warmth * 1e-2, rtol=1e-3)
        np.testing.assert_array_equal(np.sign(moved), np.sign(out["state.m.line.weight"]))


def test_step_clips_gradients_so_that_second_moments_stay_below_their_limit():
    """Gradients a million times too large count as a norm of 1, unless clipping is off."""
    given = step_inputs(1e3)
    squares = load("step", betas=(0.0, 0.0))(given)
    total = sum(float(squares[f"state.v.{n}"].sum()) for n in PARAMETERS)
    assert total == pytest.approx(1.0, rel=1e-4)
    raw = load("step", betas=(0.0, 0.0), gradient_norm_max=None)(given)
    assert float(raw["state.v.line.weight"].max()) > 1e6


def test_result_is_how_far_the_parameters_moved_and_the_second_moments():
    """First moments and their correction stay in the unit."""
    rng = np.random.default_rng(2)
    unit = {**PARAMETERS, **{f"{k}.{n}": s for k in "mv" for n, s in PARAMETERS.items()}}
    unit |= {"bias1": (), "bias2": ()}
    end = {f"end.{n}": np.asarray(rng.standard_normal(s), np.float32) for n, s in unit.items()}
    start = {f"start.{n}": np.ones(s, np.float32) for n, s in PARAMETERS.items()}
    out = load("result")(start | end)
    expected = {f"result.delta.{n}": start[f"start.{n}"] - end[f"end.{n}"] for n in PARAMETERS}
    expected |= {f"result.v.{n}": end[f"end.v.{n}"] for n in PARAMETERS}
    expected |= {"result.bias2": end["end.bias2"]}
    assert out.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(out[name], array)


def test_combine_follows_the_mean_with_nesterov_momentum():
    """Douillard et al. 2023, algorithm 1, with torch's form of the momentum, over two rounds."""
    run = load_combine(delta_norm_max=1.0, outer_rate=0.7, outer_momentum=0.6)
    state = round_state()
    p, b = state["line.weight"].astype(np.float64), np.zeros(PARAMETERS["line.weight"])
    for seed in (0, 1):
        results = slot_results(seed=seed)
        out = run(state, results)
        state = {name.removeprefix("round."): array for name, array in out.items()}
        g = np.mean([r["delta.line.weight"] for r in results], axis=0)
        b = 0.6 * b + g
        p = p - 0.7 * (g + 0.6 * b)
        np.testing.assert_allclose(state["line.weight"], p, atol=1e-6)
        v = np.mean([r["v.line.bias"] for r in results], axis=0)
        np.testing.assert_allclose(state["v.line.bias"], v, rtol=1e-6)


@pytest.mark.parametrize("given", [None, 0.25])
def test_combine_holds_a_movement_back_to_its_limit(given):
    """Half of what AdamW can reach, or the recipe's own number; what is below it is untouched."""
    rate = 1e-2
    limit = given or 0.5 * rate * STEPS * sqrt(COUNT)
    run = load_combine(rate=rate, delta_norm_max=given, outer_rate=1.0, outer_momentum=0.0)
    state = {name: array for name, array in round_state().items() if "momentum" not in name}
    for factor, expected in ((0.5, 0.5), (100.0, 1.0)):
        deltas = {f"delta.{n}": np.full(s, 1, np.float32) for n, s in PARAMETERS.items()}
        scaled = {n: a * np.float32(factor * limit / sqrt(COUNT)) for n, a in deltas.items()}
        results = [result | scaled for result in slot_results()]
        out = run(state, results)
        moved = [state[n] - out[f"round.{n}"] for n in PARAMETERS]
        norm = sqrt(sum(float(np.square(a).sum()) for a in moved))
        assert norm == pytest.approx(expected * limit, rel=1e-4)


@pytest.mark.parametrize("lie", [np.nan, np.inf, -np.inf, 3e38, -3e38, 1e15, -1e-3])
def test_combine_bounds_what_one_lying_slot_can_do(lie):
    """Parameters move by at most twice the slot's share; second moments stay in their range."""
    limit, run = 0.05, load_combine(delta_norm_max=0.05)
    state, results = round_state(), slot_results()
    honest = run(state, results)
    results[1] = {name: np.full_like(array, lie) for name, array in results[1].items()}
    told = run(state, results)
    for name in PARAMETERS:
        away = np.linalg.norm(told[f"round.{name}"] - honest[f"round.{name}"])
        assert away <= 2 * limit / SLOTS * 0.7 * 1.6 + 1e-6
        assert (told[f"round.v.{name}"] >= 0).all()
        assert (told[f"round.v.{name}"] <= honest[f"round.v.{name}"] + 1 / SLOTS + 1e-6).all()
    assert 0 <= told["round.bias2"] <= 1


def test_combine_limits_second_moments_but_not_their_correction_to_the_recipes_number():
    """`bias2` is 1 - beta2**t, whatever the size of the gradients."""
    out = load_combine(second_moment_max=0.01)(round_state(), slot_results())
    assert max(float(out[f"round.v.{name}"].max()) for name in PARAMETERS) == pytest.approx(0.01)
    assert out["round.bias2"] == pytest.approx(0.2)


def test_evaluate_measures_the_rounds_parameters():
    """On all test rows, with the names of the measure."""
    rng = np.random.default_rng(3)
    test = {n: rng.standard_normal(a.shape).astype(np.float32) for n, a in TEST.items()}
    parameters = {n: a for n, a in round_state().items() if n in PARAMETERS}
    given = {f"round.{n}": a for n, a in parameters.items()} | {f"test.{n}": test[n] for n in test}
    predicted = test["x"] @ parameters["line.weight"].T + parameters["line.bias"]
    (mse,) = load("evaluate")(given).values()
    assert mse == pytest.approx(np.square(predicted - test["y"]).mean(), rel=1e-5)


def test_programs_do_not_depend_on_values():
    """Other parameters and other data of the same types give the same Programs."""
    other = {name: array + 1 for name, array in DATA.items()}
    model = Line()
    model.line.weight.assign(Tensor.ones(2, 3))
    one = diloco.programs(recipe(), SIZES, DATA, TEST)
    two = diloco.programs(recipe(model=model), SIZES, other, TEST)
    assert {n: p.digest for n, p in one.items()} == {n: p.digest for n, p in two.items()}


@pytest.mark.parametrize("name", ["v.weight", "m.weight", "momentum.weight", "bias1", "bias2"])
def test_parameter_named_like_the_optimizers_own_is_refused(name):
    """It would be taken for a moment, silently."""
    attribute, nested, _ = name.partition(".")
    model = Line()
    layer = Linear(3, 2, rng=np.random.default_rng(0))
    setattr(model, attribute, layer if nested else layer.bias)
    with pytest.raises(UsageError, match=f"'{name}'; rename"):
        diloco.programs(recipe(model=model), SIZES, DATA, TEST)


@pytest.mark.parametrize("name", ["values", "bias10"])
def test_attribute_that_only_begins_like_a_moment_is_allowed(name):
    """`values` is not `v.`."""
    model = Line()
    setattr(model, name, Linear(3, 2, rng=np.random.default_rng(0)))
    assert f"{name}.weight" in diloco.first_state(recipe(model=model))


def test_model_with_buffers_is_refused():
    """Running statistics have no place in a round's state."""
    with pytest.raises(UsageError, match=r"buffers, running_mean, .*GroupNorm"):
        diloco.first_state(recipe(model=BatchNorm1d(3)))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda m, b: (m(b["x"]) - b["y"]).square(),
        lambda m, b: (m(b["x"]) > b["y"]).int().sum(),
        lambda m, b: 0.5,
    ],
)
def test_loss_that_is_not_one_number_is_refused(wrong):
    """A loss per row, a loss of integers, a Python number."""
    with pytest.raises(UsageError, match="the loss must be a FLOAT32 scalar"):
        diloco.programs(recipe(loss=wrong), SIZES, DATA, TEST)


def test_data_of_a_foreign_dtype_is_refused_with_a_remedy():
    """numpy's default is float64."""
    wide = DATA | {"y": DATA["y"].astype(np.float64)}
    with pytest.raises(UsageError, match=r"'y' has dtype float64; cast it to one of float32"):
        diloco.programs(recipe(), SIZES, wide, TEST)
