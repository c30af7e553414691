"""node/local_chain.py: the process behind a devnet starts, is reported dead, never outlives us."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from node import local_chain as module
from node.errors import BadInput
from node.local_chain import LocalChain, project_folder, start_hardhat


def group_exists(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


def leader_of(chain: LocalChain) -> int:
    return chain._process.pid


def wait_until_gone(leader: int) -> None:
    give_up = time.monotonic() + 20
    while group_exists(leader):
        assert time.monotonic() < give_up, f"process group {leader} is still there"
        time.sleep(0.02)


def test_close_leaves_no_process() -> None:
    """The whole group is gone when close returns."""
    chain = start_hardhat(0, None)
    leader = leader_of(chain)
    assert group_exists(leader)
    chain.close()
    wait_until_gone(leader)


def test_chain_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    """kill -9 of whoever started it leaves no chain behind."""
    code = (
        "import time; from node.local_chain import start_hardhat; chain = start_hardhat(0, None);"
        "print(chain._process.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=project_folder(), text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        leader = int(parent.stdout.readline())
    assert group_exists(leader)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_until_gone(leader)


def test_checkout_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Outside a source checkout the command says what to do."""
    monkeypatch.setattr(module, "__file__", str(tmp_path / "node" / "local_chain.py"))
    with pytest.raises(BadInput, match="source checkout"):
        project_folder()
    (tmp_path / "hardhat.config.js").touch()
    with pytest.raises(BadInput, match="make setup"):
        project_folder()
