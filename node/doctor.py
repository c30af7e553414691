"""Can this machine and this home take part? One check after the other, each with its remedy.

A check never raises: it returns what it found. Checks that need an earlier one to have succeeded
(the bond needs the chain) are left out when it has not.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import trio

from engine.backend import Backend, list_devices, open_backend
from engine.errors import DeviceError
from engine.tuning import Trial, name_of, tune
from engine.vectors import check_device
from node.blobs import BlobStore
from node.chain import Chain
from node.chain.types import Parameter
from node.client import open_client
from node.config import load_config
from node.device_fault import clear_fault, read_fault
from node.errors import BadInput, NodeError, NoDevice
from node.home import Home
from node.network_file import NetworkFile, load_network
from node.referee import seat_of
from node.tokens import Tokens
from node.wallet import find_wallet

FREE_BYTES_WANTED = 2 * 2**30
CLOCK_SKEW_S_MAX = 60
PEERS_S = 15.0
CHECKS_AFTER_FAULT = 10
"""Golden vectors in a row that a device which returned wrong bits has to pass."""


class Level(StrEnum):
    """How bad a finding is: only `FAIL` keeps the node from taking part."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `exit_code` is the command's, if this is the first failure."""

    check: str
    level: Level
    found: str
    remedy: str = ""
    exit_code: int = 0


def examine(
    home: Home, now_s: Callable[[], float], tried: Callable[[Trial], None] | None = None
) -> Iterator[Finding]:
    """Every finding, in the order in which they should be mended.

    With `tried` the tiles of matrix products are measured, too, and it is told each of them.
    """
    yield from _devices(home, tried)
    if not home.peer_key.exists():
        yield _fail("home", BadInput(f"{home.path} is no home.", "Create it with `ainur init`."))
        return
    yield Finding("home", Level.OK, str(home.path))
    yield _disk(home.path)
    wallet = ""
    try:
        config = load_config(home.config)
        wallet = find_wallet(home.wallets, config.wallet).address
        yield Finding("wallet", Level.OK, f"{config.wallet}: {wallet}")
        network = load_network(home.network)
        yield Finding("network", Level.OK, f"{network.name}, chain {network.chain_id}")
    except NodeError as error:
        yield _fail("settings", error)
        return
    try:
        with Chain(network) as chain:
            yield from _chain(chain, wallet, now_s)
            if config.accepted_tokens:
                yield _tokens(chain, config.accepted_tokens)
    except NodeError as error:
        yield _fail("chain", error)
    yield _peers(network)


def _fail(check: str, error: NodeError) -> Finding:
    return Finding(check, Level.FAIL, error.message, error.remedy, error.exit_code)


def _devices(home: Home, tried: Callable[[Trial], None] | None) -> Iterator[Finding]:
    """List the devices, run the golden vectors on the one that would work, and tune it."""
    devices = list_devices()
    for device in devices:
        memory = f"{device.memory_bytes / 2**30:.1f} GiB"
        yield Finding(f"device {device.index}", Level.OK, f"{device.kind}: {device.name}, {memory}")
    try:
        selector = load_config(home.config).device if home.config.exists() else ""
        backend = open_backend(selector)
    except (DeviceError, NodeError) as error:
        remedy = "Install a driver for your GPU, or for a processor: pip install 'ainur[pocl]'."
        yield Finding("bits", Level.FAIL, str(error), remedy, NoDevice.exit_code)
        return
    fault = read_fault(home.device_fault, backend.name)
    failures = [f for _ in range(CHECKS_AFTER_FAULT if fault else 0) for f in check_device(backend)]
    if failures:
        remedy = "Replace the device, or mend it (memory, overclocking, driver)."
        yield Finding("bits", Level.FAIL, failures[0], remedy, NoDevice.exit_code)
        return
    yield Finding("bits", Level.OK, f"{backend.name} returns the golden vectors' bits")
    if fault:
        clear_fault(home.device_fault)
        found = f"it may work again; before, {fault}"
        yield Finding("fault", Level.WARN, found, "If it comes back, replace the device.")
    if tried is not None:
        yield _tiles(backend, tried)


def _tiles(backend: Backend, tried: Callable[[Trial], None]) -> Finding:
    """Choose the register tile of matrix products by measuring; a running node keeps its own."""
    from engine.opencl import OpenCLBackend

    if not isinstance(backend, OpenCLBackend) or backend.target.is_gpu:
        return Finding("tiles", Level.OK, f"{backend.name} has none to choose")
    tile = tune(backend.info.index, time.perf_counter, tried)
    is_default = " (the default)" if tile == backend.default_tile else ""
    return Finding("tiles", Level.OK, f"{name_of(tile)}{is_default} from the next start on")


def _disk(path: Path) -> Finding:
    free = shutil.disk_usage(path).free
    found = f"{free / 2**30:.1f} GiB free"
    if free < FREE_BYTES_WANTED:
        return Finding("disk", Level.WARN, found, "Free some space, or lower storage_bytes_max.")
    return Finding("disk", Level.OK, found)


def _chain(chain: Chain, wallet: str, now_s: Callable[[], float]) -> Iterator[Finding]:
    head = chain.head()
    yield Finding("chain", Level.OK, f"block {head.number}")
    skew = int(now_s()) - head.timestamp
    if abs(skew) > CLOCK_SKEW_S_MAX:
        yield Finding(
            "clock",
            Level.WARN,
            f"this machine is {skew} s ahead of the last block",
            "Set the clock, or wait if the chain makes no blocks. "
            "A devnet that was stopped stays behind.",
        )
    yield _referee(chain)
    least = chain.parameters.get(Parameter.MIN_BOND_WEI)
    bond = chain.vault.bond_of(wallet)
    if chain.balance(wallet) == 0:
        yield Finding(
            "gas",
            Level.WARN,
            "the wallet has no native currency",
            f"From a wallet that has some: `ainur wallet send {wallet} 1 --gas`.",
        )
    if chain.vault.is_active(wallet):
        yield Finding("bond", Level.OK, f"{bond / 10**18:g} AIN, active")
    else:
        remedy = "Bond with `ainur stake add AMOUNT`."
        held = chain.token.balance_of(wallet)
        if bond + held < least:
            remedy = f"The wallet holds {held / 10**18:g} AIN: send it more. {remedy}"
        yield Finding(
            "bond",
            Level.WARN,
            f"{bond / 10**18:g} AIN; {least / 10**18:g} are needed to work",
            remedy,
        )


def _referee(chain: Chain) -> Finding:
    """Who would take this node's bond, now and soon: the time to leave is before."""
    seat = seat_of(chain)
    if not seat.is_known:
        return Finding(
            "referee",
            Level.WARN,
            f"{seat.referee} has the seat, which this network file does not name",
            "Get the network's present file and release; until then this node sits on no jury.",
        )
    if seat.successor:
        days = max(0, seat.seated_at_s - chain.head().timestamp) / 86_400
        return Finding(
            "referee",
            Level.WARN,
            f"{seat.successor} takes the seat in {days:.1f} days",
            "If you do not want to be judged by it, leave before: `ainur stake remove AMOUNT`.",
        )
    return Finding("referee", Level.OK, seat.referee)


def _tokens(chain: Chain, chosen: Sequence[str]) -> Finding:
    """What this node takes besides AIN, if jobs can be paid in it at all."""
    accepted = {each.token.address: each.token for each in Tokens(chain).accepted()}
    if unknown := [address for address in chosen if address not in accepted]:
        return Finding(
            "tokens",
            Level.WARN,
            f"the DAO accepts no jobs in {', '.join(unknown)}, which accepted_tokens names",
            "`ainur params` lists the tokens that it accepts.",
        )
    return Finding("tokens", Level.OK, ", ".join(accepted[address].name for address in chosen))


def _peers(network: NetworkFile) -> Finding:
    async def count() -> int:
        with tempfile.TemporaryDirectory(prefix="ainur-doctor-") as folder:
            async with open_client(network, BlobStore(Path(folder) / "store")) as client:
                return len(await client.find_peers(1, PEERS_S))

    try:
        found = trio.run(count)
    except NodeError as error:
        return Finding("peers", Level.WARN, error.message, error.remedy, error.exit_code)
    return Finding("peers", Level.OK, f"{found} answer")
