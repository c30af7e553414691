"""`ainur demo`: it succeeds as a whole or not at all; interrupted, it leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file

ROOT = Path(__file__).parents[2]
PROMISED = {
    "accuracy", "final_loss", "checkpoint", "replay_checkpoint", "units", "audited", "faults",
    "slashed_wei", "claimed_wei", "proposal_state", "seconds",
}  # fmt: skip


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    """The demonstration in a process of its own, as a person starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", "node.cli.main", "demo", "--out", str(folder), *options],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def processes_of(folder: Path) -> list[str]:
    """The command lines of processes that work in or on a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(folder) in command and int(entry.name) != os.getpid():
            found.append(command)
    return found


def test_the_demonstration_succeeds(tmp_path: Path) -> None:
    """Every figure that it promises, the cheat caught, the digests equal, nothing left running."""
    folder = tmp_path / "demo"
    process = start(folder, "--json")
    out, err = process.communicate()
    assert process.returncode == 0, err[-3000:]
    result = json.loads(out.splitlines()[-1])
    assert set(result) >= PROMISED
    assert result["accuracy"] >= 0.95
    assert result["checkpoint"] == result["replay_checkpoint"]
    assert result["faults"] >= 1
    assert result["audited"] >= result["faults"]
    assert result["slashed_wei"] > 0
    assert result["proposal_state"] == "executed"
    nodes = result["participants"]
    assert sum(node["units"] for node in nodes) == result["units"]
    assert sum(node["claimed_wei"] for node in nodes) == result["claimed_wei"]
    assert all(node["claimed_wei"] == node["earned_wei"] for node in nodes)
    assert [n["role"] for n in nodes if n["slashed_wei"]] == ["cheater"]
    assert load_file(folder / "weights.safetensors")
    assert processes_of(folder) == []


@pytest.mark.parametrize("moment", ["deploying the contracts", "is held by"])
def test_an_interrupted_demonstration_leaves_nothing(tmp_path: Path, moment: str) -> None:
    """Ctrl-C at any moment: exit code 130, no process, no half-written file."""
    folder = tmp_path / "demo"
    process = start(folder)
    assert process.stderr is not None
    for line in process.stderr:
        if moment in line:
            break
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate()
    assert process.returncode == 130, rest
    assert "Traceback" not in rest
    assert processes_of(folder) == []
    assert list(folder.rglob("*.tmp")) == []
