"""Fixtures that several packages' tests share: a real local chain and the command line."""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from node.cli.main import run
from node.devnet import Devnet

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def devnet() -> Iterator[Devnet]:
    """One real EVM node with all contracts for the whole run. Tests use accounts of their own."""
    if not (ROOT / "node_modules" / "hardhat").is_dir():
        npm = ROOT / ".venv" / "bin" / "npm"
        subprocess.run([npm, "install", "--ignore-scripts", "--no-audit"], cwd=ROOT, check=True)
    with Devnet() as running:
        yield running


@dataclass(frozen=True)
class Outcome:
    """What one command line did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def ainur(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Outcome]:
    """Run `ainur` with arguments through its entry point, away from the tester's own settings."""
    for name in ("AINUR_HOME", "AINUR_PASSWORD", "AINUR_DEVICE", "AINUR_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call
