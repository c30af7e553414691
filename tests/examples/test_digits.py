"""The digits job: it fits together, it learns, and one liar cannot spoil it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.backend import Backend, list_devices, open_backend
from examples.digits.__main__ import Settings, split, write
from node.bundle import Bundle, assemble
from node.execution import LoadedJob, build, combine, run_unit
from node.quote import check_budget, quote
from node.replay import replay
from node.tokens import AIN

State = dict[str, NDArray[np.generic]]
CHECKPOINT = "a3233d24ce4b1e86"


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The job as it is written without options."""
    return assemble(write(tmp_path_factory.mktemp("digits"), Settings()))


@pytest.fixture(scope="module")
def device() -> Backend:
    """The best OpenCL device: the reference backend would take a minute."""
    if not list_devices():
        pytest.skip("no OpenCL device")
    return open_backend("")


def test_job_reaches_95_percent_and_the_published_checkpoint(
    digits: Bundle, device: Backend
) -> None:
    """The README's figures, which every device must reproduce."""
    done = replay(digits.job, device)
    assert done.metrics["accuracy"] >= 0.95
    assert done.checkpoints[-1].hex().startswith(CHECKPOINT)
    readme = Path("examples/digits/README.md").read_text()
    assert f"`{CHECKPOINT}`" in readme
    assert f"{done.metrics['accuracy']:.1%} of the 360" in readme


def test_budget_covers_the_job(digits: Bundle) -> None:
    """With audits of everything paid in full and a tenth for the protocol."""
    price = quote(digits.manifest, digits.job.costs, audit_pay_bps=10_000, protocol_fee_bps=1000)
    check_budget(digits, price, AIN)
    assert price.peak_bytes < 1 << 20
    figures = (
        f"One unit is {price.unit_flops / 1e6:.1f} MFLOP, the job {price.total_flops / 1e9:.2f} G"
    )
    assert figures in Path("examples/digits/README.md").read_text()


def test_split_holds_out_a_fifth_of_all_digits() -> None:
    """Nothing is lost, nothing is in both parts, every class is in each."""
    train, test = split()
    assert (len(train["label"]), len(test["label"])) == (1437, 360)
    assert set(train["label"]) == set(test["label"]) == set(range(10))
    rows = {
        part["pixels"][i].tobytes() for part in (train, test) for i in range(len(part["label"]))
    }
    assert len(rows) == len(
        {row.tobytes() for row in np.concatenate([train["pixels"], test["pixels"]])}
    )
    assert not {r.tobytes() for r in test["pixels"]} & {r.tobytes() for r in train["pixels"]}


def test_command_line_writes_the_same_job_again(digits: Bundle, tmp_path: Path) -> None:
    """Another process, another folder: the same manifest. Options reach the job file."""
    command = [sys.executable, "-m", "examples.digits", "--out"]
    subprocess.run([*command, str(tmp_path / "a")], check=True, capture_output=True)
    assert assemble(tmp_path / "a" / "job.toml").manifest == digits.manifest
    small = ["--rounds", "2", "--slots", "3", "--steps", "4", "--trace-every", "2"]
    subprocess.run([*command, str(tmp_path / "b"), *small], check=True, capture_output=True)
    manifest = assemble(tmp_path / "b" / "job.toml").manifest
    assert (manifest.rounds, manifest.slots, manifest.steps) == (2, 3, 4)


@pytest.fixture(scope="module")
def second_round(digits: Bundle, device: Backend) -> tuple[LoadedJob, State, list[State]]:
    """The state after one round, and the honest results of the next."""
    loaded = build(device, digits.job)
    first = [run_unit(loaded, digits.job.state, 0, slot).result for slot in range(8)]
    state = combine(loaded, digits.job.state, first)
    return loaded, state, [run_unit(loaded, state, 1, slot).result for slot in range(8)]


LIES: dict[str, Callable[[NDArray[np.generic]], NDArray[np.generic]]] = {
    "nan": lambda a: np.full_like(a, np.nan if a.dtype == np.float32 else 255),
    "infinity": lambda a: np.full_like(a, np.inf if a.dtype == np.float32 else 255),
    "huge": lambda a: np.full_like(a, 3e38 if a.dtype == np.float32 else 255),
    "negated, ten times": lambda a: a * np.float32(-10) if a.dtype == np.float32 else a,
    "zeros": np.zeros_like,
    "one bit of an exponent": lambda a: _with_first(a, 2.0**60 if a.dtype == np.float32 else 128),
}


def _with_first(array: NDArray[np.generic], value: float) -> NDArray[np.generic]:
    changed = array.copy()
    changed.reshape(-1)[0] = value
    return changed


@pytest.mark.parametrize("lie", LIES)
def test_one_undetected_lie_does_not_wreck_the_model(
    second_round: tuple[LoadedJob, State, list[State]], lie: str
) -> None:
    """Whatever one slot says in all its tensors, the parameters stay near the honest ones."""
    loaded, state, results = second_round
    honest = combine(loaded, state, results)
    falsified = {name: LIES[lie](array) for name, array in results[3].items()}
    told = combine(loaded, state, [*results[:3], falsified, *results[4:]])
    for name, array in told.items():
        assert np.isfinite(array).all(), name
    names = [name for name in told if f"v.{name}" in told]
    moved, away = (_norm(told, base, names) for base in (state, honest))
    assert away <= 0.5 * _norm(honest, state, names)
    assert moved >= 0.5 * _norm(honest, state, names)
    for name in names:
        assert (told[f"v.{name}"] >= 0).all()
        assert told[f"v.{name}"].max() <= 2 * honest[f"v.{name}"].max()


def _norm(one: State, other: State, names: list[str]) -> float:
    return float(np.sqrt(sum(np.square(one[n] - other[n]).sum() for n in names)))
