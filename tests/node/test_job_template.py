"""The starter job: what `ainur job init` writes builds, is accepted, is priced and learns."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.backend import Backend, list_devices, open_backend
from node.bundle import Bundle, assemble
from node.errors import BadInput
from node.job_template import write_template
from node.quote import check_budget, quote
from node.replay import RoundReplayed, replay
from node.tokens import AIN

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "train-your-own.md"
WRITTEN = {
    "README.md", "build.py", "job.toml",
    "step.program", "result.program", "aggregate.program", "outer.program", "evaluate.program",
    "state.safetensors", "train.safetensors", "test.safetensors",
}  # fmt: skip

Ainur = Callable[..., Any]


def python(*arguments: object, cwd: Path) -> str:
    """What a script prints, run as users run theirs: a process elsewhere, Ainur importable."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *(str(argument) for argument in arguments)]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def device() -> Backend:
    """The best OpenCL device."""
    if not list_devices():
        pytest.skip("no OpenCL device")
    return open_backend("")


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The job file of the starter job as it is."""
    folder = tmp_path_factory.mktemp("starter") / "deep" / "my-job"
    write_template(folder)
    printed = python("my-job/build.py", cwd=folder.parent)
    assert printed == f"{folder / 'job.toml'}\n"
    return folder / "job.toml"


@pytest.fixture(scope="module")
def bundle(starter: Path) -> Bundle:
    return assemble(starter)


def test_build_writes_the_job_beside_itself_wherever_it_is_called(starter: Path) -> None:
    """Nothing but the job's files appears, and another folder gives the same job."""
    assert {path.name for path in starter.parent.iterdir()} == WRITTEN
    assert {path.name for path in starter.parent.parent.iterdir()} == {"my-job"}


def test_build_gives_the_same_job_in_another_folder(bundle: Bundle, tmp_path: Path) -> None:
    """Data and first parameters come from fixed seeds."""
    write_template(tmp_path)
    python(tmp_path / "build.py", cwd=tmp_path)
    assert assemble(tmp_path / "job.toml").manifest == bundle.manifest


def test_command_line_from_init_to_quote(ainur: Ainur, tmp_path: Path) -> None:
    """The README's steps up to the price, each through the entry point."""
    folder = tmp_path / "job"
    made = ainur("job", "init", folder)
    assert (made.code, made.out) == (0, "")
    assert made.err.splitlines() == [
        f"wrote {folder / 'build.py'}",
        f"wrote {folder / 'README.md'}",
        f"next: python {folder / 'build.py'} && ainur job quote {folder / 'job.toml'}",
    ]
    python(folder / "build.py", cwd=tmp_path)
    valid = ainur("job", "validate", folder / "job.toml")
    assert (valid.code, valid.err.split(" is a valid job")[0]) == (0, str(folder / "job.toml"))
    quoted = ainur("job", "quote", folder / "job.toml", "--home", tmp_path / "none", "--json")
    assert quoted.code == 0
    assert quoted.json["name"] == "spirals"
    assert quoted.json["unit_flops"] > 0


def test_budget_covers_the_starter_job(bundle: Bundle) -> None:
    """With audits of everything paid in full and a tenth for the protocol."""
    price = quote(bundle.manifest, bundle.job.costs, audit_pay_bps=10_000, protocol_fee_bps=1000)
    check_budget(bundle, price, AIN)


def test_replay_learns_the_spirals_as_the_guide_says(bundle: Bundle, device: Backend) -> None:
    """Chance is a third; the guide's figures are those of every device."""
    rounds = list[float]()

    def note(event: object) -> None:
        if isinstance(event, RoundReplayed):
            rounds.append(event.metrics["accuracy"])

    replay(bundle.job, device, note)
    assert rounds[-1] > 0.95
    assert f"print {', '.join(f'{share:.0%}' for share in rounds)} accuracy" in GUIDE.read_text()


def test_guide_goes_from_arrays_to_weights(tmp_path: Path, device: Backend) -> None:
    """Its Python, run in order with a job in between: trained weights classify the user's rows."""
    write_template(tmp_path / "my-job")
    data, trial, use = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)
    python("-c", data, cwd=tmp_path)
    build = tmp_path / "my-job" / "build.py"
    build.write_text(build.read_text().replace("ROUNDS = 6", "ROUNDS = 2"))
    python(build, cwd=tmp_path)
    shown = python("-c", trial, cwd=tmp_path).splitlines()
    assert [line.split()[0] for line in shown] == ["1", "2"]
    assert float(python("-c", use, cwd=tmp_path)) > 0.9


def test_write_template_accepts_an_empty_folder(tmp_path: Path) -> None:
    """And says what it wrote."""
    assert write_template(tmp_path) == [tmp_path / "build.py", tmp_path / "README.md"]
    assert (tmp_path / "README.md").read_bytes() == (ROOT / "node/templates/README.md").read_bytes()


def test_write_template_leaves_a_folder_with_anything_in_it_alone(
    ainur: Ainur, tmp_path: Path
) -> None:
    """Exit code 2, a remedy, and nothing written."""
    (tmp_path / "thesis.txt").write_text("precious")
    refused = ainur("job", "init", tmp_path)
    assert (refused.code, refused.out) == (2, "")
    assert f"The folder {tmp_path} is not empty." in refused.err
    assert "Name a new or an empty folder." in refused.err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("below", [".", "job"])
def test_write_template_refuses_a_file_in_the_way(tmp_path: Path, below: str) -> None:
    """Of the folder itself, or of one of its parents."""
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="Not a directory"):
        write_template(tmp_path / "file" / below)


def test_script_imports_nothing_but_ainur_and_numpy() -> None:
    """It must run wherever Ainur is installed, and stay one page to read."""
    text = (ROOT / "node/templates/build.py").read_text()
    imports = re.findall(r"^(?:from|import) ([a-z_]+)", text, flags=re.MULTILINE)
    assert set(imports) == {"collections", "pathlib", "numpy", "engine", "scheduler"}
    assert len(text.splitlines()) <= 150
