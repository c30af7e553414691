"""node/devnet.py: a chain that starts, is funded, travels in time and never outlives us."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from node import devnet as module
from node.devnet import PASSWORD, Devnet, project_folder
from node.errors import BadInput, NodeError
from node.identity import load_seed, peer_id_bytes
from node.network_file import load_network
from node.wallet import find_wallet, unlock


def group_exists(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until_gone(leader: int) -> None:
    give_up = time.monotonic() + 20
    while group_exists(leader):
        assert time.monotonic() < give_up, f"process group {leader} is still there"
        time.sleep(0.02)


def test_home_is_funded_bonded_and_ready(devnet: Devnet, tmp_path: Path) -> None:
    """A home made for the devnet has everything that a daemon needs."""
    home = devnet.home(tmp_path / "n1", bond_wei=150 * 10**18, tokens_wei=200 * 10**18)
    account = find_wallet(home.wallets, "default").address
    assert load_network(home.network) == devnet.network
    with devnet.chain() as chain:
        assert chain.token.balance_of(account) == 50 * 10**18
        assert chain.vault.peer_id_of(account) == peer_id_bytes(load_seed(home.peer_key))
        assert chain.vault.is_active(account)
    with devnet.chain(unlock(find_wallet(home.wallets, "default"), PASSWORD)) as mine:
        # Nobody runs this node: leave the list that auditors of other tests are drawn from.
        mine.send(mine.vault.request_unbond(150 * 10**18))


def test_time_travel_moves_the_clock(devnet: Devnet) -> None:
    """The next block is that much later; nothing waited."""
    with devnet.chain() as chain:
        before = chain.head().timestamp
        started = time.monotonic()
        assert devnet.travel(3600).timestamp >= before + 3600
        assert time.monotonic() - started < 10


def test_close_leaves_no_process() -> None:
    """The whole group is gone when close returns."""
    process, log = module._start(0, None)
    module._wait_for_endpoint(process, log)
    assert group_exists(process.pid)
    module._stop(process, log)
    wait_until_gone(process.pid)


def test_chain_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    """kill -9 of whoever started it leaves no chain behind."""
    code = (
        "import time; from node.devnet import _start, _wait_for_endpoint;"
        "process, log = _start(0, None); _wait_for_endpoint(process, log);"
        "print(process.pid, flush=True); time.sleep(600)"
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


def test_dead_chain_is_reported(devnet: Devnet) -> None:
    """A chain that ended is an error with its last words, not a hang."""
    with pytest.raises(NodeError, match="ended at once"):
        Devnet(port=int(devnet.endpoint.rsplit(":", 1)[1]))


def test_checkout_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Outside a source checkout the command says what to do."""
    monkeypatch.setattr(module, "__file__", str(tmp_path / "node" / "devnet.py"))
    with pytest.raises(BadInput, match="source checkout"):
        project_folder()
    (tmp_path / "hardhat.config.js").touch()
    with pytest.raises(BadInput, match="make setup"):
        project_folder()
