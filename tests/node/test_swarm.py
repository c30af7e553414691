"""node/swarm.py: children end when they should, and take what they started with them."""

import os
import sys
import time
from pathlib import Path

import pytest

from node.swarm import Processes

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('deaf', flush=True); time.sleep(600)"
)
PARENT = (
    "import subprocess, sys, time;"
    "c = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    "print(c.pid, flush=True); time.sleep(600)"
)


def wait_for_output(log: Path) -> str:
    give_up = time.monotonic() + 20
    while not log.exists() or not log.read_text().endswith("\n"):
        assert time.monotonic() < give_up
        time.sleep(0.01)
    return log.read_text()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
def test_stop_reaches_grandchildren(tmp_path: Path) -> None:
    """A worker that a daemon started ends with it."""
    with Processes() as processes:
        processes.start("parent", [sys.executable, "-c", PARENT], tmp_path / "log")
        grandchild = int(wait_for_output(tmp_path / "log"))
        assert alive(grandchild)
    give_up = time.monotonic() + 20
    while alive(grandchild):
        assert time.monotonic() < give_up
        time.sleep(0.01)


def test_deaf_child_is_killed(tmp_path: Path) -> None:
    """SIGTERM first; who does not listen is killed after the patience is over."""
    processes = Processes()
    child = processes.start("deaf", [sys.executable, "-c", STUBBORN], tmp_path / "log")
    wait_for_output(tmp_path / "log")
    processes.stop(timeout_s=0.2)
    assert child.process.returncode == -9
    with pytest.raises(ProcessLookupError):
        os.killpg(child.process.pid, 0)


def test_ended_child_is_reported_once_with_its_last_words(tmp_path: Path) -> None:
    """The reason of an unexpected end reaches a person."""
    with Processes() as processes:
        code = "print('error: no device'); raise SystemExit(3)"
        child = processes.start("node1", [sys.executable, "-c", code], tmp_path / "log")
        child.process.wait()
        (gone,) = processes.ended()
        assert gone is child
        assert (gone.process.returncode, gone.last_words()) == (3, "error: no device")
        assert processes.ended() == []
