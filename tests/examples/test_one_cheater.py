"""The draw of a cheater: uniform enough, secret, and decisive for the launcher."""

import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from examples import one_cheater
from examples.one_cheater import CHEATING_WORKER, WORKER_VARIABLE, home_of, main, open_seal
from node.errors import BadInput


@pytest.fixture
def homes(tmp_path: Path) -> list[Path]:
    """Three homes, not created."""
    return [tmp_path / name for name in "abc"]


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], str | None]]:
    """What the launcher ran, and which worker it would have got."""
    calls: list[tuple[list[str], str | None]] = []

    def run(arguments: Sequence[str]) -> int:
        calls.append((list(arguments), os.environ.get(WORKER_VARIABLE)))
        return 7

    monkeypatch.setenv(WORKER_VARIABLE, "before")
    monkeypatch.delenv(WORKER_VARIABLE)
    monkeypatch.setattr(one_cheater, "run", run)
    return calls


def draw(seal: Path, homes: Sequence[Path]) -> Path:
    """Draw through the command line."""
    assert main(["draw", "--seal", str(seal), *map(str, homes)]) == 0
    return open_seal(seal)


def test_draw_is_private_and_reaches_every_home(tmp_path: Path, homes: list[Path]) -> None:
    """Nobody else can read the choice; in 100 draws each home comes up (odds of a miss 1e-17)."""
    seal = tmp_path / "seal"
    assert {draw(seal, homes) for _ in range(100)} == set(homes)
    assert stat.S_IMODE(seal.stat().st_mode) == 0o600


def test_only_the_drawn_home_gets_the_cheating_worker(
    tmp_path: Path,
    homes: list[Path],
    launched: list[tuple[list[str], str | None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The command line passes through unchanged, and so does the exit code."""
    seal = tmp_path / "seal"
    cheater = draw(seal, homes)
    for home in homes:
        arguments = ["node", "start", "--home", str(home), "--verbose"]
        assert main(["--seal", str(seal), *arguments]) == 7
        worker = CHEATING_WORKER if home == cheater else None
        assert launched[-1] == (arguments, worker)
        monkeypatch.delenv(WORKER_VARIABLE, raising=False)


def test_home_is_found_as_the_command_line_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either spelling, relative paths, the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AINUR_HOME", str(tmp_path / "default"))
    assert home_of(["node", "start", "--home", "a"]) == tmp_path / "a"
    assert home_of(["node", "start", f"--home={tmp_path}/b/../c"]) == tmp_path / "c"
    assert home_of(["node", "start"]) == tmp_path / "default"


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps({"cheater": 5}), "nonsense"])
def test_broken_seal_is_refused(tmp_path: Path, content: str) -> None:
    """A launcher without a draw must not run an honest swarm in silence."""
    seal = tmp_path / "seal"
    with pytest.raises(BadInput, match="Draw first"):
        open_seal(seal)
    seal.write_text(content)
    with pytest.raises(BadInput, match="does not hold"):
        open_seal(seal)


def test_launch_without_a_draw_starts_nothing(
    tmp_path: Path,
    launched: list[tuple[list[str], str | None]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line that says what to do, and the exit code of a wrong input."""
    assert main(["--seal", str(tmp_path / "seal"), "node", "start"]) == 2
    assert "Draw first" in capsys.readouterr().err
    assert not launched


def test_wrong_usage_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    """No seal, or no homes to draw from."""
    for arguments in (["node", "start"], ["draw", "--seal", "x"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
    assert "required" in capsys.readouterr().err
