"""`ainur devnet`: a local chain with contracts, funded homes and, if asked for, their daemons."""

import contextlib
import itertools
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from node.cli.options import AMOUNT, json_option
from node.cli.output import emit_fields, emit_json, note
from node.cli.stoppable import stoppable
from node.config import set_value
from node.errors import BadInput, NodeError, NodeNotRunning
from node.home import Home
from node.identity import load_seed, peer_id_from_key
from node.lock_file import LockTaken, take_lock
from node.network_file import NetworkFile, load_network, save_network

if TYPE_CHECKING:
    from node.devnet import Devnet
    from node.swarm import Swarm

HOMES_MAX = 64
NETWORK, CHAIN, LOCK = "network.json", "chain", "devnet.lock"
"""In the folder: the file that others join by, where the chain is kept, whose folder it is now."""
_WATCH_S = 0.2


@click.command()
@click.option("--homes", type=click.IntRange(0, HOMES_MAX), default=3, show_default=True)
@click.option("--nodes", is_flag=True, help="Also run a daemon for every home.")
@click.option("--bond", type=AMOUNT, default="500", show_default=True, help="Bond of each home.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of the chain; 0: any.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="For the homes and the chain; one that has them goes on. Else a temporary one.",
)
@json_option
def command(
    homes: int, nodes: bool, bond: int, port: int, folder: Path | None, as_json: bool
) -> None:
    """Run a local chain with contracts and funded homes, until Ctrl-C.

    With --folder, where anvil is installed (`make anvil`), the chain is kept in the folder, and the
    same command goes on where it was; --homes and --bond count for a new one only. Else it lives in
    memory: when it ends, the homes are of no more use. The home `treasury` holds tokens and votes.
    """
    from node.devnet import Devnet
    from node.local_chain import anvil_program
    from node.swarm import Swarm

    with stoppable(), _folder(folder) as root:
        begun = (root / NETWORK).exists()
        kept = root / CHAIN if begun or (folder and anvil_program()) else None
        with Devnet(port=port or _port_of(root, begun), folder=kept) as devnet:
            made = _take_up_homes(devnet, root) if begun else _make_homes(devnet, root, homes, bond)
            with Swarm(made) as swarm:
                if nodes:
                    for home in made:
                        _end_leftover(home)
                        swarm.start(home)
                # Whoever was told that it runs may end it: from here on that is no failure.
                with contextlib.suppress(KeyboardInterrupt):
                    _announce(devnet, root, made, nodes, as_json)
                    _watch(devnet, swarm)


def _port_of(root: Path, begun: bool) -> int:
    """Where homes expect a chain that is taken up; 0 for a new one."""
    if not begun:
        return 0
    return urlsplit(load_network(root / NETWORK).rpc_endpoints[0]).port or 0


def _take_up_homes(devnet: "Devnet", root: Path) -> list[Home]:
    """The homes of a chain that goes on, told where it answers now."""
    network = load_network(root / NETWORK).with_endpoints(devnet.endpoint)
    count = itertools.takewhile(
        lambda path: path.is_dir(), (root / f"node{i}" for i in itertools.count(1))
    )
    made = [Home.find(path) for path in count]
    for path in (root / "treasury", *(home.path for home in made)):
        save_network(Home.find(path).network, network)
    save_network(root / NETWORK, network)
    return made


def _make_homes(devnet: "Devnet", root: Path, count: int, bond: int) -> list[Home]:
    treasury = devnet.treasury_home(root / "treasury")
    made = [devnet.home(root / f"node{i}", bond_wei=bond) for i in range(1, count + 1)]
    network = _with_bootstrap(devnet.network, made)
    for home in (treasury, *made):
        save_network(home.network, network)
    devnet.save()
    # The last of all: a folder without it was never finished.
    save_network(root / NETWORK, network)
    return made


def _with_bootstrap(network: NetworkFile, homes: list[Home]) -> NetworkFile:
    """Give the first home a port of its own and name it as the peer to start from."""
    if not homes:
        return network
    port = free_port()
    set_value(homes[0].config, "listen_port", str(port))
    peer_id = peer_id_from_key(load_seed(homes[0].peer_key))
    return network.with_bootstrap(f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer_id}")


def free_port() -> int:
    """A TCP port of the loopback interface that nobody uses now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _end_leftover(home: Home) -> None:
    """End a daemon of an earlier devnet that was killed: daemons outlive that."""
    from node.cli.node import STOP_TIMEOUT_S
    from node.swarm import stop_node

    with contextlib.suppress(NodeNotRunning):
        pid = stop_node(home, STOP_TIMEOUT_S)
        note(f"{home.path.name} was running still (process {pid}); it has ended and starts anew")


def _announce(devnet: "Devnet", root: Path, homes: list[Home], nodes: bool, as_json: bool) -> None:
    network = root / NETWORK
    if as_json:
        emit_json(
            {
                "endpoint": devnet.endpoint,
                "network": str(network),
                "treasury": str(root / "treasury"),
                "homes": [str(home.path) for home in homes],
                "kept": devnet.is_kept,
                "resumed": devnet.is_resumed,
            }
        )
    else:
        chain = "in memory, forgotten at its end" if not devnet.is_kept else "kept in the folder"
        chain += f", goes on at block {devnet.head().number}" if devnet.is_resumed else ""
        emit_fields({"endpoint": devnet.endpoint, "network": str(network), "chain": chain})
        for path in (root / "treasury", *(home.path for home in homes)):
            emit_fields({"home": str(path)})
        first = homes[0].path if homes else root / "treasury"
        note("in another terminal, for instance:")
        note(f"  export AINUR_HOME={first}")
        note(f"  ainur {'node status' if nodes else 'node start'}")
    note("running until Ctrl-C")


def _watch(devnet: "Devnet", swarm: "Swarm") -> None:
    while True:
        devnet.require_running()
        for child in swarm.ended():
            note(f"{child.name} ended ({child.process.returncode}): {child.last_words()}")
        time.sleep(_WATCH_S)


@contextlib.contextmanager
def _folder(chosen: Path | None) -> Iterator[Path]:
    if chosen is None:
        with tempfile.TemporaryDirectory(prefix="ainur-devnet-") as temporary:
            yield Path(temporary)
        return
    if chosen.exists() and any(path.name != LOCK for path in chosen.iterdir()):
        if not (chosen / CHAIN / "state.json").exists():
            raise BadInput(
                f"The folder {chosen} is not empty, and keeps no chain.", "Name a new one."
            )
        if not (chosen / NETWORK).exists():
            raise BadInput(f"The chain in {chosen} was never finished.", "Name a new folder.")
    try:
        chosen.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NodeError(f"{chosen} cannot be made: {error.strerror}.") from None
    try:
        lock = take_lock(chosen / LOCK)
    except LockTaken as error:
        raise BadInput(
            f"A devnet is running in the folder {chosen} already (process {error.holder}).",
            "Use that one, or end it first with Ctrl-C.",
        ) from None
    with lock:
        yield chosen.absolute()
