"""DiLoCo's five Programs against its formulas in numpy, and what a lying slot can do."""

from math import cos, pi, sqrt

import numpy as np
import pytest

from engine import Tensor, UsageError
from engine.backend import open_backend
from engine.functional import mse_loss
from engine.nn import BatchNorm1d, Linear, Module
from engine.state import encode
from scheduler import diloco
from scheduler.robust import CLIP

ROUNDS, SLOTS, STEPS, BATCH = 5, 3, 20, 4
SIZES = diloco.Sizes(ROUNDS, SLOTS, STEPS, BATCH)
DATA = {"x": np.zeros((9, 3), np.float32), "y": np.zeros((9, 2), np.float32)}
TEST = {"x": np.zeros((5, 3), np.float32), "y": np.zeros((5, 2), np.float32)}
PARAMETERS = {"line.weight": (2, 3), "line.bias": (2,)}
COUNT = 8
PLAIN = {"warm_up": 0.0, "rate_end": 1.0, "re_warm_up": 0.0}
"""A rate that stays."""


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
    return lambda given: {
        n: b.numpy() for n, b in run({n: given[n] for n in program.input_types}).items()
    }


def under(prefix, arrays):
    """Those whose names begin so, without it."""
    return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}


def prefixed(prefix, arrays):
    """All with longer names."""
    return {prefix + n: a for n, a in arrays.items()}


def round_state(**changes):
    """The first round's state as arrays."""
    return {n: tensor.numpy() for n, tensor in diloco.first_state(recipe(**changes)).items()}


def step_inputs(scale, step=0, round=0):
    """A unit's step on rows whose gradients grow with `scale`, from moments of zero."""
    rng = np.random.default_rng(1)
    moments = {f"{m}.{n}": np.zeros(s, np.float32) for n, s in PARAMETERS.items() for m in "mv"}
    moments |= dict.fromkeys(("bias1", "bias2"), np.zeros((), np.float32))
    given = prefixed("state.", {n: round_state()[n] for n in PARAMETERS} | moments)
    rows = {n: rng.standard_normal((BATCH, *a.shape[1:])) * scale for n, a in DATA.items()}
    given |= {f"batch.{n}": a.astype(np.float32) for n, a in rows.items()}
    index = {"index.step": step, "index.round": round}
    return given | {n: np.array(i, np.int32) for n, i in index.items()}


def slot_results(scale=0.01, seed=0, **changes):
    """Honest results of every slot, as the Program `result` writes them, and what they mean."""
    rng = np.random.default_rng(seed)
    start = {n: round_state()[n] for n in PARAMETERS}
    run, results, moved = load("result", **changes), [], []
    for _ in range(SLOTS):
        deltas = {n: np.float32(scale) * rng.standard_normal(s) for n, s in PARAMETERS.items()}
        end = {n: (start[n] - deltas[n]).astype(np.float32) for n in start}
        end |= {f"v.{n}": rng.uniform(0, 0.1, s).astype(np.float32) for n, s in PARAMETERS.items()}
        results.append(under("result.", run(prefixed("start.", start) | prefixed("end.", end))))
        moved.append(end | {n: start[n] - end[n] for n in start})
    return results, moved


def load_combine(**changes):
    """Aggregate and outer step as the network composes them: state, results -> next state."""
    aggregate, outer = load("aggregate", **changes), load("outer", **changes)

    def run(state, results):
        slots = [prefixed(f"slot{i}.", result) for i, result in enumerate(results)]
        given = aggregate({name: array for slot in slots for name, array in slot.items()})
        return under("round.", outer(given | prefixed("round.", state)))

    return run


def test_first_state_has_the_parameters_and_zeros():
    """Weights as the model drew them; second moments and momenta that say nothing yet."""
    state = round_state()
    assert set(state) == {
        *PARAMETERS, *(f"v.{n}" for n in PARAMETERS), *(f"momentum.{n}" for n in PARAMETERS),
        "bias2", "counted",
    }  # fmt: skip
    np.testing.assert_array_equal(state["line.weight"], Line().line.weight.numpy())
    assert not any(state[name].any() for name in state if name not in PARAMETERS)
    bare = round_state(second_moment="none", outer_momentum=0.0)
    assert set(bare) == {*PARAMETERS, "counted"}


def test_step_moves_against_the_gradient_by_the_rate():
    """Adam's first step has the size of the rate."""
    given = step_inputs(1.0)
    out = load("step", rate=1e-2, weight_decay=0.0, **PLAIN)(given)
    moved = given["state.line.weight"] - out["state.line.weight"]
    np.testing.assert_allclose(np.abs(moved), 1e-2, rtol=1e-3)
    np.testing.assert_array_equal(np.sign(moved), np.sign(out["state.m.line.weight"]))


@pytest.mark.parametrize(("round", "step"), [(0, 0), (0, 1), (0, 4), (0, 12), (2, 0), (4, 19)])
def test_rate_warms_up_falls_along_a_cosine_and_warms_up_in_every_unit(round, step):
    """docs/spec/training.md, section 2, in numpy."""
    warm_up, end, again, rate = 10, 0.1, 2, 1e-2
    total, turn = ROUNDS * STEPS, round * STEPS + step
    fallen = max(0.0, min(1.0, (turn - warm_up) / (total - warm_up)))
    expected = rate * (end + (1 - end) * (1 + cos(pi * fallen)) / 2)
    expected *= min(1, (turn + 1) / warm_up) * min(1, (step + 1) / again)
    given = step_inputs(1.0, step, round)
    run = load("step", rate=rate, weight_decay=0.0, warm_up=0.1, rate_end=end, re_warm_up=0.1)
    moved = given["state.line.weight"] - run(given)["state.line.weight"]
    np.testing.assert_allclose(np.abs(moved), expected, rtol=1e-3)


def test_step_clips_gradients():
    """Gradients a million times too large count as a norm of 1, unless clipping is off."""
    given = step_inputs(1e3)
    squares = load("step", betas=(0.0, 0.0))(given)
    total = sum(float(squares[f"state.v.{n}"].sum()) for n in PARAMETERS)
    assert total == pytest.approx(1.0, rel=1e-4)
    raw = load("step", betas=(0.0, 0.0), gradient_norm_max=None)(given)
    assert float(raw["state.v.line.weight"].max()) > 1e6


def test_result_is_how_far_the_parameters_moved_and_the_second_moments():
    """In the order of names; first moments and corrections stay in the unit."""
    (result, *_), (moved, *_) = slot_results()
    assert {n: (a.dtype.name, a.shape) for n, a in result.items()} == {
        "delta": ("uint8", (1, 32)), "scale": ("float32", (1,)), "v": ("uint8", (COUNT,)),
    }  # fmt: skip
    flat = np.concatenate([moved[n].ravel() for n in sorted(PARAMETERS)])
    codes = np.stack([result["delta"] & 15, result["delta"] >> 4], -1).ravel()[:COUNT]
    found = (codes.astype(np.float32) - 8) * result["scale"]
    assert np.abs(found - flat).max() <= result["scale"] / 2 * 1.0001
    v = np.concatenate([moved[f"v.{n}"].ravel() for n in sorted(PARAMETERS)])
    meant = ((result["v"].astype(np.int32) + 315) << 21).view(np.float32)
    np.testing.assert_allclose(meant, v, rtol=1 / 8)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"delta_bits": 32}, {"delta": ("float32", (COUNT,)), "v": ("uint8", (COUNT,))}),
        ({"delta_bits": 8, "second_moment": "none"},
         {"delta": ("uint8", (1, 64)), "scale": ("float32", (1,))}),
        ({"second_moment": "factored"},
         {"delta": ("uint8", (1, 32)), "scale": ("float32", (1,)), "v": ("uint8", (2 + 3 + 2,))}),
    ],
)  # fmt: skip
def test_aggregate_has_the_types_of_a_result(changes, expected):
    """As small, and how many slots counted."""
    made = diloco.programs(recipe(**changes), SIZES, DATA, TEST)
    for name, more in (("result", {}), ("aggregate", {"counted": ("float32", ())})):
        types = under(f"{name}.", made[name].output_types)
        found = {n: (kind.dtype.numpy.name, kind.shape) for n, kind in types.items()}
        assert found == expected | more


def test_outer_follows_the_mean_with_nesterov_momentum():
    """Douillard et al. 2023, algorithm 1, with torch's form of the momentum, over two rounds."""
    run = load_combine(delta_bits=32, outer_rate=0.7, outer_momentum=0.6)
    state = round_state()
    p, b = state["line.weight"].astype(np.float64), np.zeros(PARAMETERS["line.weight"])
    for seed in (0, 1):
        results, moved = slot_results(seed=seed, delta_bits=32)
        scales = [norm(m) for m in moved]
        limit = CLIP * sorted(scales)[1]
        state = run(state, results)
        parts = zip(moved, scales, strict=True)
        g = np.mean([m["line.weight"] * min(1, limit / s) for m, s in parts], axis=0)
        b = 0.6 * b + g
        p = p - 0.7 * (g + 0.6 * b)
        np.testing.assert_allclose(state["line.weight"], p, atol=1e-6)
        v = np.median([m["v.line.bias"] for m in moved], axis=0)
        np.testing.assert_allclose(state["v.line.bias"], v, rtol=1 / 8)
        assert state["counted"] == SLOTS
    assert state["bias2"] == pytest.approx(1 - 0.99 ** (2 * STEPS), rel=1e-5)


def norm(moved):
    """The joint 2-norm of a slot's movement."""
    return sqrt(sum(float(np.square(moved[n]).sum()) for n in PARAMETERS))


def test_quantised_mean_is_near_the_mean():
    """Two roundings to the nearest of 15 steps: in the slot and in the aggregate."""
    results, moved = slot_results()
    state = round_state()
    told = load_combine(outer_rate=1.0, outer_momentum=0.0, second_moment="full")(state, results)
    largest = max(np.abs(m[n]).max() for m in moved for n in PARAMETERS)
    for name in PARAMETERS:
        mean = np.mean([m[name] for m in moved], axis=0)
        assert np.abs(state[name] - told[name] - mean).max() <= 2 * largest * CLIP / 14


def test_factored_second_moments_come_back_as_their_best_product():
    """Rows times columns, over the mean; the bias is no matrix."""
    changes = {"second_moment": "factored"}
    state = load_combine(**changes)(round_state(**changes), slot_results(**changes)[0])
    v = state["v.line.weight"]
    np.testing.assert_allclose(v, np.outer(v.mean(1), v.mean(0)) / v.mean(), rtol=1e-5)
    assert (v > 0).all()


LIES = {
    "huge": {"scale": np.float32(1e30)},
    "not a number": {"scale": np.float32(np.nan)},
    "infinite": {"scale": np.float32(-np.inf)},
    "negated, ten times": {"scale": np.float32(-1)},
    "no moments": {"v": np.uint8(0)},
    "huge moments": {"v": np.uint8(255)},
    "any bytes": {"delta": np.uint8(0), "v": np.uint8(255), "scale": np.float32(1)},
}


@pytest.mark.parametrize("lie", LIES)
def test_one_lying_slot_has_a_slots_share(lie):
    """Parameters move by a bounded distance; second moments stay among the honest ones."""
    run = load_combine(outer_rate=0.7, outer_momentum=0.6)
    state, (results, moved) = round_state(), slot_results()
    honest = run(state, results)
    results[1] = results[1] | {n: np.full_like(results[1][n], x) for n, x in LIES[lie].items()}
    told = run(state, results)
    largest = max(map(norm, moved)) * 1.1
    away = norm({n: told[n] - honest[n] for n in PARAMETERS})
    assert away <= (1 + CLIP) * largest / (SLOTS - 1) * 0.7 * 1.6
    for name in PARAMETERS:
        seen = np.array([moved[i][f"v.{name}"] for i in (0, 2)])
        assert (told[f"v.{name}"] >= seen.min(0) * 8 / 9 - 1e-6).all()
        assert (told[f"v.{name}"] <= seen.max(0) * 9 / 8 + 1e-6).all()
    assert told["counted"] == (2 if lie in ("huge", "not a number", "infinite") else 3)


def test_round_in_which_nothing_counts_changes_nothing():
    """Every slot exploded: the state is as it was, and says that none counted."""
    run = load_combine()
    state = run(round_state(), slot_results()[0])
    results = [r | {"scale": np.full_like(r["scale"], np.nan)} for r in slot_results(seed=1)[0]]
    after = run(state, results)
    assert after.pop("counted") == 0
    for name, array in after.items():
        np.testing.assert_array_equal(array, state[name], err_msg=name)


def test_unit_whose_loss_is_not_a_number_counts_for_nothing():
    """From a row of NaN through the step and the result to the aggregate; the metric says so."""
    given = step_inputs(1.0)
    given["batch.x"] = np.full_like(given["batch.x"], np.nan)
    out = load("step")(given)
    assert np.isnan(out["metric.loss"])
    state, (results, _) = round_state(), slot_results()
    start = prefixed("start.", {n: state[n] for n in PARAMETERS})
    exploded = load("result")(start | prefixed("end.", under("state.", out)))
    results[0] = under("result.", exploded)
    after = load_combine()(state, results)
    assert after["counted"] == SLOTS - 1
    assert all(np.isfinite(array).all() for array in after.values())
    measured = load("evaluate")(prefixed("round.", after) | prefixed("test.", TEST))
    assert measured["metric.counted"] == SLOTS - 1


def test_evaluate_measures_the_rounds_parameters():
    """On all test rows, with the names of the measure."""
    rng = np.random.default_rng(3)
    test = {n: rng.standard_normal(a.shape).astype(np.float32) for n, a in TEST.items()}
    state = round_state()
    given = prefixed("round.", state) | prefixed("test.", test)
    predicted = test["x"] @ state["line.weight"].T + state["line.bias"]
    mse = load("evaluate")(given)["metric.mse"]
    assert mse == pytest.approx(np.square(predicted - test["y"]).mean(), rel=1e-5)


def test_measure_may_not_take_the_name_counted():
    """It would hide how many slots counted."""
    with pytest.raises(UsageError, match="'counted'"):
        diloco.programs(recipe(measure=lambda m, t: {"counted": loss(m, t)}), SIZES, DATA, TEST)


def test_bytes_of_a_round_are_those_of_its_files():
    """Results with their metrics, and aggregates, as they are sent."""
    made = diloco.programs(recipe(), SIZES, DATA, TEST)
    result = slot_results()[0][0]
    slots = [prefixed(f"slot{i}.", r) for i, r in enumerate(slot_results()[0])]
    found = load("aggregate")({name: array for slot in slots for name, array in slot.items()})
    metric = {"metric.loss": np.zeros(STEPS, np.float32)}
    files = (result | metric, under("aggregate.", found))
    assert diloco.round_bytes(made, STEPS) == tuple(len(encode(file)) for file in files)


@pytest.mark.parametrize(("second_moment", "least"), [("full", 400), ("factored", 1000)])
def test_round_costs_so_much_less_than_an_all_reduce_in_every_step(second_moment, least):
    """M = 8 and H = 100, on two layers of 512 by 512."""

    class Deep(Module):
        def __init__(self):
            self.a = Linear(512, 512, rng=np.random.default_rng(0))
            self.b = Linear(512, 512, rng=np.random.default_rng(0))

        def forward(self, x):
            """(n, 512) -> the same."""
            return self.b(self.a(x))

    rows = np.zeros((4, 512), np.float32)
    given = recipe(model=Deep(), second_moment=second_moment)
    made = diloco.programs(
        given, diloco.Sizes(1, 8, 100, 2), {"x": rows, "y": rows}, {"x": rows, "y": rows}
    )
    count = 2 * (512 * 512 + 512)
    ratio = 2 * diloco.all_reduce_bytes(count, 8, 100) / sum(diloco.round_bytes(made, 100))
    assert ratio >= least


def test_programs_do_not_depend_on_values():
    """Other parameters and other data of the same types give the same Programs."""
    other = {name: array + 1 for name, array in DATA.items()}
    model = Line()
    model.line.weight.assign(Tensor.ones(2, 3))
    one = diloco.programs(recipe(), SIZES, DATA, TEST)
    two = diloco.programs(recipe(model=model), SIZES, other, TEST)
    assert {n: p.digest for n, p in one.items()} == {n: p.digest for n, p in two.items()}


@pytest.mark.parametrize(
    "name", ["v.weight", "m.weight", "momentum.weight", "bias1", "bias2", "counted"]
)
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
