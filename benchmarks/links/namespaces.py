"""Network namespaces with shaped links: one for each node, and a hub that they all hang on.

A node's only way out is its link to the hub: a veth pair whose node end sends at most the rate up,
and whose hub end at most the rate down (tc tbf). Nothing is routed: what nodes want of each other,
or of the chain, they ask of an address of the hub, where a relay listens (benchmarks/links/
relay.py). All is named after the process that made it, so that what a killed run left behind can be
found and removed. Needs root.
"""

import ctypes
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TypeVar

from node.errors import BadInput, NodeError

PREFIX = "ainur-links"
NAMESPACES = Path("/run/netns")
HUB_NETWORK, LINK_NETWORK = "10.77.0", "10.77"
CHAIN_ADDRESS = f"{HUB_NETWORK}.254"
NODES_MAX = 64
BURST_BYTES = 128 * 1024
"""Above the largest packet that the kernel hands to a veth in one piece."""

QUEUE_MS = 400
_CLONE_NEWNET = 0x40000000

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Rates:
    """What a node's link carries, in Mbit/s."""

    down: float = 100.0
    up: float = 20.0


class Links:
    """A hub and `count` nodes' namespaces; a context manager that removes them again."""

    def __init__(self, count: int, rates: Rates) -> None:
        if not 0 < count <= NODES_MAX:
            raise BadInput(f"{count} nodes; 1 to {NODES_MAX} are possible.")
        if os.geteuid() != 0:
            raise BadInput("Network namespaces need root.", "Run this with sudo.")
        self.hub = f"{PREFIX}-{os.getpid()}-hub"
        self.nodes = [f"{PREFIX}-{os.getpid()}-{number}" for number in range(1, count + 1)]
        self._rates = rates

    def __enter__(self) -> "Links":
        remove_orphans()
        try:
            _run("ip", "netns", "add", self.hub)
            _in(self.hub, "ip", "link", "set", "lo", "up")
            _in(self.hub, "ip", "address", "add", f"{CHAIN_ADDRESS}/32", "dev", "lo")
            for number, name in enumerate(self.nodes, start=1):
                self._hang_on(number, name)
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Delete every namespace of this run; their links go with them."""
        for name in (*self.nodes, self.hub):
            if (NAMESPACES / name).exists():
                _run("ip", "netns", "delete", name)

    def _hang_on(self, number: int, name: str) -> None:
        link, hub = f"{LINK_NETWORK}.{number}", f"n{number}"
        _run("ip", "netns", "add", name)
        _in(name, "ip", "link", "set", "lo", "up")
        _in(name, "ip", "link", "add", "up0", "type", "veth", "peer", "name", hub)
        _in(name, "ip", "link", "set", hub, "netns", self.hub)
        _in(name, "ip", "address", "add", f"{link}.2/24", "dev", "up0")
        _in(name, "ip", "link", "set", "up0", "up")
        _in(name, "ip", "route", "add", "default", "via", f"{link}.1")
        _in(self.hub, "ip", "address", "add", f"{link}.1/24", "dev", hub)
        _in(self.hub, "ip", "address", "add", f"{hub_address(number)}/32", "dev", "lo")
        _in(self.hub, "ip", "link", "set", hub, "up")
        _shape(name, "up0", self._rates.up)
        _shape(self.hub, hub, self._rates.down)


def hub_address(number: int) -> str:
    """Where on the hub the node with this number, from 1 on, is reached."""
    return f"{HUB_NETWORK}.{number}"


def node_address(number: int) -> str:
    """The node's own address, which the hub alone can reach."""
    return f"{LINK_NETWORK}.{number}.2"


def enter(namespace: str) -> None:
    """Move the calling thread, and what it starts from now on, into a namespace."""
    library = ctypes.CDLL(None, use_errno=True)
    with (NAMESPACES / namespace).open("rb") as file:
        if library.setns(file.fileno(), _CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise NodeError(f"The namespace {namespace} cannot be entered: {os.strerror(code)}.")


def inside(namespace: str, function: Callable[[], Result]) -> Result:
    """What a function returns that runs in a thread inside a namespace."""
    results: list[Result] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            enter(namespace)
            results.append(function())
        except BaseException as error:  # noqa: BLE001 - raised below, in the thread that asked
            failures.append(error)

    thread = Thread(target=run)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


def remove_orphans() -> None:
    """Delete the namespaces that runs left behind which were killed."""
    for path in NAMESPACES.glob(f"{PREFIX}-*") if NAMESPACES.is_dir() else ():
        owner = path.name.split("-")[2]
        if owner.isdecimal() and not Path(f"/proc/{owner}").exists():
            _run("ip", "netns", "delete", path.name)


def _shape(namespace: str, device: str, mbit: float) -> None:
    limits = ("rate", f"{mbit}mbit", "burst", str(BURST_BYTES), "latency", f"{QUEUE_MS}ms")
    _in(namespace, "tc", "qdisc", "add", "dev", device, "root", "tbf", *limits)


def _in(namespace: str, *command: str) -> None:
    _run("ip", "netns", "exec", namespace, *command)


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BadInput(f"There is no program {command[0]}.", "Install iproute2.") from None
    if done.returncode:
        raise NodeError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
