"""node/kept_chain.py: a chain that was stopped, or killed, goes on where it was saved."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from node import devnet as devnet_module
from node.chain.rpc import Rpc
from node.deployment import AIN
from node.devnet import CHAIN_ID, Devnet
from node.errors import BadInput, NodeError
from node.kept_chain import _unpacked
from node.local_chain import anvil_program, project_folder

needs_anvil = pytest.mark.skipif(
    anvil_program() is None, reason="a chain that is kept needs `make anvil`"
)
SOMEBODY = "0x" + "11" * 20


def blockhash_of(rpc: Rpc, number: int) -> str:
    """What contracts see: PUSH2 number, BLOCKHASH, MSTORE at 0, RETURN 32 bytes."""
    code = f"0x61{number:04x}405f5260205ff3"
    return str(rpc.request("eth_call", {"data": code}, "latest"))


@needs_anvil
def test_a_stopped_chain_goes_on_with_its_state_log_and_time(tmp_path: Path) -> None:
    """Balances, events, blocks, a clock that never goes back."""
    folder = tmp_path / "chain"
    with Devnet(folder=folder) as devnet:
        assert (devnet.is_kept, devnet.is_resumed) == (True, False)
        devnet.fund(SOMEBODY, tokens_wei=5 * AIN)
        before, network, treasury = devnet.travel(5_000), devnet.network, devnet.treasury.address
        with devnet.chain() as chain:
            log = chain.events(network.deployment_block, before.number)
            earlier = chain.block(before.number - 2)
            assert earlier is not None
    port = int(devnet.endpoint.rsplit(":", 1)[1])
    with Devnet(folder=folder, port=port) as again:
        assert again.is_resumed
        assert (again.network, again.treasury.address) == (network, treasury)
        with again.chain() as chain:
            assert chain.block(before.number) == before
            assert chain.events(network.deployment_block, before.number) == log != []
            assert chain.token.balance_of(SOMEBODY) == 5 * AIN
        rpc = Rpc([again.endpoint], CHAIN_ID)
        try:
            # anvil forgets what BLOCKHASH was, but knows that there was such a block: a draw that
            # waits is still made.
            assert int(blockhash_of(rpc, earlier.number), 16)
        finally:
            rpc.close()
        again.fund(SOMEBODY, tokens_wei=AIN)
        assert again.head().timestamp >= before.timestamp


@needs_anvil
@pytest.mark.parametrize("ahead_s", [50_000, -50_000])
def test_no_time_passes_on_a_chain_that_is_stopped(tmp_path: Path, ahead_s: int) -> None:
    """Stopped for half a day, or sent ahead and stopped: its clock goes on where it was."""
    folder = tmp_path / "chain"
    with Devnet(folder=folder) as devnet:
        rpc = Rpc([devnet.endpoint], CHAIN_ID)
        try:
            rpc.request("evm_setTime", devnet.head().timestamp + ahead_s)
        finally:
            rpc.close()
        before = devnet.travel(1)
    with Devnet(folder=folder) as again:
        assert before.timestamp < again.travel(1).timestamp < before.timestamp + 10_000


@needs_anvil
def test_kill_loses_nothing_that_was_saved(tmp_path: Path) -> None:
    """SIGKILL of whoever runs it: the file is whole, saved after the last transactions."""
    folder = tmp_path / "chain"
    code = (
        "import sys, time; from pathlib import Path; from node.devnet import Devnet;"
        "devnet = Devnet(folder=Path(sys.argv[1])); devnet.fund(sys.argv[2], tokens_wei=7);"
        "print(devnet.endpoint, flush=True); time.sleep(600)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, folder, SOMEBODY],
        stdout=subprocess.PIPE,
        cwd=project_folder(),
        text=True,
    )
    assert child.stdout is not None
    with child.stdout:
        endpoint = child.stdout.readline().strip()
    transactions_saved(folder / "state.json", endpoint)
    child.send_signal(signal.SIGKILL)
    child.wait()
    with Devnet(folder=folder) as again, again.chain() as chain:
        assert chain.token.balance_of(SOMEBODY) == 7


def transactions_saved(state: Path, endpoint: str) -> None:
    """Wait until the file has the latest transaction, by itself."""
    rpc = Rpc([endpoint], CHAIN_ID)
    try:
        number = int(str(rpc.request("eth_blockNumber")), 16)
        while True:
            block = rpc.request("eth_getBlockByNumber", hex(number), False)
            if block["transactions"]:
                break
            number -= 1
    finally:
        rpc.close()
    give_up = time.monotonic() + 60
    while not (state.exists() and block["transactions"][-1] in state.read_text()):
        assert time.monotonic() < give_up, "it was never saved"
        time.sleep(0.1)


def test_without_anvil_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is started, nothing is written."""
    monkeypatch.setattr(devnet_module, "anvil_program", lambda: None)
    with pytest.raises(BadInput, match="make anvil"):
        Devnet(folder=tmp_path / "chain")
    assert not (tmp_path / "chain").exists()


@pytest.mark.parametrize("answer", ["0xzz", "0x1f8b", None, "0x00"])
def test_an_answer_that_is_no_state_is_not_written(answer: object) -> None:
    """What is on disk stays."""
    with pytest.raises(NodeError, match="no state that can be kept"):
        _unpacked(answer)
