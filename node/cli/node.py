"""`ainur node`: the daemon, and questions to the one that runs."""

import dataclasses
import logging
import sys
from pathlib import Path

import click

from node.api_client import ApiClient
from node.cli.options import home_option, json_option, signer_options
from node.cli.output import ain, emit_fields, emit_json, emit_table, note
from node.cli.session import open_config, open_network, open_signer, require_home
from node.home import Home
from node.status import WIRE, NodeStatus

STOP_TIMEOUT_S = 60.0
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@click.group()
def command() -> None:
    """Run a node daemon and ask it how it is."""


@command.command("start")
@home_option
@signer_options
def start(home: Home, wallet: str | None, password_file: Path | None) -> None:
    """Run this home's node in the foreground. Ctrl-C or SIGTERM drains it, a second one hurries."""
    import trio

    from node.daemon import Daemon

    require_home(home)
    config, network = open_config(home), open_network(home)
    signer = open_signer(home, wallet, password_file)
    logging.basicConfig(level=config.log_level.upper(), format=LOG_FORMAT, stream=sys.stderr)
    for noisy in ("libp2p", "multiaddr", "hypercorn", "web3", "urllib3", "async_service"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    daemon = Daemon(home, config, network, signer, version())
    trio.run(daemon.run, _announce)


@command.command("status")
@home_option
@json_option
def status(home: Home, as_json: bool) -> None:
    """Show what the running node does, holds, earned, and why it waits."""
    found = ApiClient(home.api).status()
    if as_json:
        emit_json(found.model_dump(mode="json"))
        return
    emit_fields(_fields(found))
    rows = [
        (j.job_id[:16], j.name, j.state, j.role, f"{j.rounds_done}/{j.rounds}", j.waiting_for)
        for j in found.jobs
    ]
    if rows:
        click.echo()
        emit_table(("job", "name", "state", "role", "rounds", "waits for"), rows)


@command.command("stop")
@click.option("--timeout", default=STOP_TIMEOUT_S, show_default=True, help="Seconds to wait.")
@home_option
def stop(timeout: float, home: Home) -> None:
    """Ask the running node to finish its unit and end, and wait until it has."""
    from node.swarm import stop_node

    pid = stop_node(home, timeout)
    note(f"the node (process {pid}) has ended")


@command.command("devices")
@json_option
def devices(as_json: bool) -> None:
    """List the OpenCL devices of this machine; set one by `ainur config set device INDEX`."""
    from engine.backend import list_devices

    found = list_devices()
    if as_json:
        emit_json([dataclasses.asdict(device) for device in found])
        return
    rows = [
        (d.index, d.kind, d.name, d.platform, d.driver, f"{d.memory_bytes / 2**30:.1f} GiB")
        for d in found
    ]
    emit_table(
        ("index", "kind", "name", "platform", "driver", "memory"),
        rows,
        empty="no OpenCL device; for a processor: pip install 'ainur[pocl]'",
    )


def version() -> str:
    """The installed version."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("ainur")
    except PackageNotFoundError:
        return "0"


def _announce(found: NodeStatus) -> None:
    note(f"node {found.peer_id} is up, wallet {found.wallet}, on {found.device}")
    for address in found.addresses:
        note(f"  {address}")


def _traffic(found: NodeStatus) -> str:
    wire = next((count for count in found.traffic if count.protocol == WIRE), None)
    if wire is None:
        return "none"
    return f"{wire.sent_bytes:,} bytes sent, {wire.received_bytes:,} received"


def _chain(found: NodeStatus) -> str:
    """The endpoint in use, and what is wrong with those that do not answer."""
    said = [each.name for each in found.endpoints if each.in_use and not each.problem]
    said += [f"{each.name}: {each.problem}" for each in found.endpoints if each.problem]
    if found.chain_undone:
        said.append(f"blocks replaced {found.chain_undone} times")
    return "; ".join(said) or "not asked yet"


def _tokens(found: NodeStatus) -> dict[str, str]:
    """Other tokens than AIN; their names are the chain's to tell."""
    if not found.tokens:
        return {}
    told = "; ".join(
        f"{each.earned:,} smallest units of {each.address}, of which {each.claimed:,} claimed"
        for each in found.tokens
    )
    return {"tokens": f"{told} (`ainur rewards show`)"}


def _fields(found: NodeStatus) -> dict[str, str | int | float | bool | None]:
    return {
        "activity": found.activity,
        "peer id": found.peer_id,
        "wallet": found.wallet,
        "bond": (
            f"{ain(found.bond_wei)} ({'active' if found.active else 'not active'}), "
            f"{ain(found.locked_wei)} locked for open units, {ain(found.free_wei)} free"
        ),
        "device": found.device,
        "speed": f"{found.gflops_per_s:.2f} GFLOP/s over the last units",
        "units": f"{found.units_computed} computed, {found.units_lost} lost",
        "audits": found.audits_computed,
        "earned": f"{ain(found.earned_wei)}, of which {ain(found.claimed_wei)} claimed",
        **_tokens(found),
        "peers": found.peers,
        "traffic": _traffic(found),
        "storage": (
            f"{found.storage_bytes:,} of {found.storage_bytes_max:,} bytes, "
            f"{found.cleaned_bytes:,} cleaned since the start"
        ),
        "chain": _chain(found),
        "block": found.chain_block,
        "up": f"{found.uptime_s:.0f} s",
        "process": found.pid,
    }
