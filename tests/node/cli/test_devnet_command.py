"""`ainur devnet` as a process: it announces, serves, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from node.chain import Chain
from node.local_chain import anvil_program
from node.lock_file import take_lock
from node.network_file import load_network
from node.wallet import find_wallet


@pytest.mark.parametrize(("number", "homes"), [(signal.SIGINT, 2), (signal.SIGTERM, 1)])
def test_devnet_runs_until_it_is_interrupted(
    tmp_path: Path, number: signal.Signals, homes: int
) -> None:
    """Homes are funded, bonded and know the first as bootstrap; the chain goes with the command."""
    folder = tmp_path / "net"
    # A runner may have told its children to ignore ^C.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from node.cli.main import main; main()"
    )
    command = [sys.executable, "-c", program, "devnet", "--homes", str(homes), "--json"]
    process, document = started([*command, "--folder", str(folder), "--bond", "150"])
    network = load_network(Path(document["network"]))
    (bootstrap,) = network.bootstrap
    assert bootstrap.startswith("/ip4/127.0.0.1/tcp/")
    assert [Path(home).name for home in document["homes"]] == ["node1", "node2"][:homes]
    with Chain(network) as chain:
        for home in document["homes"]:
            assert load_network(Path(home) / "network.json") == network
            account = find_wallet(Path(home) / "wallets", "default").address
            assert chain.vault.bond_of(account) == 150 * 10**18
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert err == "running until Ctrl-C\n"
    assert no_chain_at(network.rpc_endpoints[0])
    assert (folder / "treasury" / "peer.key").exists()


@pytest.mark.skipif(anvil_program() is None, reason="a chain that is kept needs `make anvil`")
def test_a_folder_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    """The same homes, bonds, contracts and port; --homes counts for a new one only."""
    folder = tmp_path / "net"
    command = [sys.executable, "-m", "node.cli.main", "devnet", "--folder", str(folder), "--json"]
    process, first = started([*command, "--homes", "1", "--bond", "150"])
    assert (first["kept"], first["resumed"]) == (True, False)
    network = load_network(folder / "network.json")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, no_chain_at(first["endpoint"])) == (0, True), err

    process, again = started([*command, "--homes", "5"])
    assert again == first | {"resumed": True}
    assert load_network(folder / "network.json") == network
    with Chain(network) as chain:
        account = find_wallet(folder / "node1" / "wallets", "default").address
        assert chain.vault.bond_of(account) == 150 * 10**18
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err


def started(command: list[str]) -> tuple["subprocess.Popen[str]", dict[str, Any]]:
    """The running command and what it announced."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def no_chain_at(endpoint: str) -> bool:
    import socket

    port = int(endpoint.rsplit(":", 1)[1])
    give_up = time.monotonic() + 10
    while time.monotonic() < give_up:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return True
    return False


def test_devnet_refuses_a_used_folder(ainur: Callable[..., Any], tmp_path: Path) -> None:
    """Homes of an earlier chain are not mixed with new ones; nothing is started."""
    (tmp_path / "file").touch()
    outcome = ainur("devnet", "--folder", tmp_path)
    assert (outcome.code, "is not empty" in outcome.err) == (2, True)
    assert os.listdir(tmp_path) == ["file"]


def test_devnet_refuses_a_chain_that_was_never_finished(
    ainur: Callable[..., Any], tmp_path: Path
) -> None:
    """Killed while its homes were made: nobody can tell what is missing."""
    (tmp_path / "chain").mkdir()
    (tmp_path / "chain" / "state.json").touch()
    outcome = ainur("devnet", "--folder", tmp_path)
    assert (outcome.code, "was never finished" in outcome.err) == (2, True)


def test_devnet_refuses_a_folder_that_another_runs_in(
    ainur: Callable[..., Any], tmp_path: Path
) -> None:
    """Two would write to one chain's file, and the second would end the first one's nodes."""
    (tmp_path / "chain").mkdir()
    for name in ("chain/state.json", "network.json"):
        (tmp_path / name).touch()
    with take_lock(tmp_path / "devnet.lock"):
        outcome = ainur("devnet", "--folder", tmp_path)
    assert (outcome.code, f"already (process {os.getpid()})" in outcome.err) == (2, True)
