"""Rounds over slow links: `python -m benchmarks.links [--json] [--out FOLDER]`, as root.

A chain, a coordinator and workers, each node a real daemon in a network namespace whose link is
shaped to 100 Mbit/s down and 20 up, and all that they say to each other and to the chain comes
40 ms late in each direction, through a relay. Results, aggregates and checkpoints are as large as
those of the GPT of examples/gpt.py; a unit's arithmetic is short, and a timed wait makes it, and
an audit, last 60 s (benchmarks/links/worker.py). Workers begin with 1,000 clean units, so that few
of theirs are audited; --clean-units 0 makes them new ones, nearly all of whose units are. Told is
which share of a round its workers compute, and where the rest goes. Left out is the first round, in
which kernels are built and peers are met, and where rounds run ahead of audits (--rounds-ahead) the
last one, which ends with nothing that could. Everything stays on this machine; the namespaces are
removed at the end, however it comes.
"""

import argparse
import contextlib
import io
import json
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.links.experience import give_clean_units
from benchmarks.links.measure import (
    RoundTimes,
    Seen,
    processor_wait,
    read_computed,
    round_times,
)
from benchmarks.links.namespaces import (
    CHAIN_ADDRESS,
    Links,
    Rates,
    enter,
    hub_address,
    inside,
    node_address,
)
from benchmarks.links.node import NAMESPACE_VARIABLE
from benchmarks.links.relay import Route
from benchmarks.links.worker import AUDIT_VARIABLE, UNIT_VARIABLE, UNITS_VARIABLE
from benchmarks.noise_job import NoiseJob, write
from node.blobs import BlobStore
from node.bundle import Bundle, assemble
from node.chain.types import Parameter
from node.chain_jobs import LedgerReader
from node.cli.main import run as run_command
from node.config import set_value
from node.deployment import AIN, DEVNET
from node.devnet import Devnet
from node.errors import BadInput, NodeError
from node.home import Home
from node.identity import load_seed, peer_id_from_key
from node.ledger import JobState, JobView
from node.local_chain import project_folder
from node.network_file import save_network
from node.status import WIRE
from node.swarm import Processes, Swarm
from node.wallet import find_wallet

BOND_WEI = 2_000 * AIN
PORT, CHAIN_PORT = 4177, 8545
WIDTH, STEPS = 864, 4
"""804,385 parameters; the GPT has 804,096."""

LAUNCHER = (sys.executable, "-m", "benchmarks.links.node")
WORKER = "benchmarks.links.worker"
LOOK_S = 0.1
READY_S = 60.0
UP_S = 300.0
ROUND_PATIENCE_S = 300.0

PRESET = replace(
    DEVNET,
    parameters={
        **DEVNET.parameters,
        # A unit takes a minute here, and so may an audit.
        Parameter.LEASE_S: 240,
        # The lowest that the contracts allow: a round waits for its audits, a unit's time each.
        Parameter.AUDIT_FLOOR_BPS: 100,
        Parameter.AUDIT_WINDOW_S: 240,
        Parameter.OPEN_WINDOW_S: 60,
        Parameter.UNBOND_DELAY_S: 2_000,
    },
)


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run is like."""

    workers: int = 4
    rounds: int = 5
    rounds_ahead: int = 0
    unit_s: float = 60.0
    audit_s: float = 60.0
    clean_units: int = 1000
    delay_ms: float = 40.0
    down_mbit: float = 100.0
    up_mbit: float = 20.0
    chain_poll_s: float = 0.5


@dataclass(slots=True)
class Network:
    """The homes of a run, the coordinator's first, and what watches them."""

    setting: Setting
    links: Links
    devnet: Devnet
    swarm: Swarm
    submitter: Home
    started_at: float

    def say(self, text: str) -> None:
        """One line with the seconds since the run began, on stderr."""
        print(f"[{time.monotonic() - self.started_at:6.1f} s] {text}", file=sys.stderr, flush=True)

    def require_running(self) -> None:
        """NodeError where anything has ended by itself."""
        self.devnet.require_running()
        for child in self.swarm.ended():
            raise NodeError(f"The node {child.name} ended: {child.last_words()}")


def run(setting: Setting, folder: Path) -> dict[str, Any]:
    """Train a job once; what is to be told of it."""
    timeout_s = int(4 * max(setting.unit_s, setting.audit_s)) + 60
    sizes = (setting.rounds, setting.workers, STEPS, WIDTH)
    file = write(folder / "job", NoiseJob("links", *sizes, unit_timeout_s=timeout_s))
    bundle = assemble(file)
    with ExitStack() as stack:
        rates = Rates(setting.down_mbit, setting.up_mbit)
        links = stack.enter_context(Links(setting.workers + 1, rates))
        enter(links.hub)
        devnet = stack.enter_context(Devnet(PRESET, log=folder / "chain.log"))
        processes = stack.enter_context(Processes())
        _start_relay(processes, setting, devnet, folder / "relay.log")
        homes, submitter = _make_homes(setting, devnet, folder, bundle)
        if setting.clean_units:
            wallets = [find_wallet(home.wallets, "default").address for home in homes[1:]]
            give_clean_units(devnet, wallets, setting.clean_units)
        swarm = stack.enter_context(Swarm(homes, LAUNCHER, project_folder()))
        network = Network(setting, links, devnet, swarm, submitter, time.monotonic())
        _start(network)
        job_id = _submit(network, file)
        seen = Seen()
        _follow(network, job_id, seen)
        return _report(network, seen, bundle)


def _start_relay(processes: Processes, setting: Setting, devnet: Devnet, log: Path) -> None:
    chain_port = int(devnet.endpoint.rsplit(":", 1)[1])
    routes = [Route(CHAIN_ADDRESS, CHAIN_PORT, "127.0.0.1", chain_port)]
    for number in range(1, setting.workers + 2):
        routes.append(Route(hub_address(number), PORT, node_address(number), PORT))
    command = [sys.executable, "-m", "benchmarks.links.relay", str(setting.delay_ms)]
    child = processes.start("relay", [*command, *map(str, routes)], log, folder=project_folder())
    give_up = time.monotonic() + READY_S
    while "ready" not in log.read_text():
        if not child.running or time.monotonic() > give_up:
            raise NodeError(f"The relay does not start: {child.last_words()}")
        time.sleep(LOOK_S)


def _make_homes(
    setting: Setting, devnet: Devnet, folder: Path, bundle: Bundle
) -> tuple[list[Home], Home]:
    """Bonded homes that have the job's files, the coordinator's first, and a submitter's."""
    count = setting.workers + 1
    homes = [devnet.home(folder / f"node-{i}", bond_wei=BOND_WEI) for i in range(1, count + 1)]
    submitter = devnet.home(folder / "submitter")
    first = peer_id_from_key(load_seed(homes[0].peer_key))
    network = devnet.network.with_bootstrap(f"/ip4/{hub_address(1)}/tcp/{PORT}/p2p/{first}")
    for home in (*homes, submitter):
        save_network(home.network, network)
    for number, home in enumerate(homes, start=1):
        for name, value in (
            ("listen_host", node_address(number)),
            ("listen_port", str(PORT)),
            ("announce", f"/ip4/{hub_address(number)}/tcp/{PORT}"),
            ("rpc_endpoints", f"http://{CHAIN_ADDRESS}:{CHAIN_PORT}"),
            ("chain_poll_s", str(setting.chain_poll_s)),
            ("roles", "coordinate" if home is homes[0] else "work,audit"),
        ):
            set_value(home.config, name, value)
        bundle.put(BlobStore(home.store))
    return homes, submitter


def _start(network: Network) -> None:
    """Start every daemon in its namespace, and wait until all know all."""
    setting, homes = network.setting, network.swarm.homes
    for name, home in zip(network.links.nodes, homes, strict=True):
        environment = {
            NAMESPACE_VARIABLE: name,
            "AINUR_WORKER_MODULE": WORKER,
            UNITS_VARIABLE: str(_record(home)),
            UNIT_VARIABLE: str(setting.unit_s),
            AUDIT_VARIABLE: str(setting.audit_s),
        }
        network.swarm.start(home, environment)
    give_up = time.monotonic() + UP_S
    for name, home in zip(network.links.nodes, homes, strict=True):
        while (status := inside(name, lambda home=home: network.swarm.status(home))) is None or (
            status.peers < setting.workers
        ):
            network.require_running()
            if time.monotonic() > give_up:
                raise NodeError(f"The node {home.path.name} is not up after {UP_S:g} s.")
            time.sleep(LOOK_S)
    network.say("all nodes are up")


def _submit(network: Network, file: Path) -> bytes:
    out, err = io.StringIO(), io.StringIO()
    words = ["job", "submit", str(file), "--json", "--home", str(network.submitter.path)]
    words += ["--rounds-ahead", str(network.setting.rounds_ahead)]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run_command(words)
    if code:
        raise NodeError(f"ainur job submit: exit {code}: {err.getvalue().strip()}")
    return bytes.fromhex(str(json.loads(out.getvalue())["job_id"]).removeprefix("0x"))


def _follow(network: Network, job_id: bytes, seen: Seen) -> None:
    """Look until the job is completed, and note when what was seen."""
    with network.devnet.chain() as chain:
        reader = LedgerReader(chain)
        give_up = time.monotonic() + network.setting.rounds * ROUND_PATIENCE_S
        shown = -1
        while (job := reader.update().jobs[job_id]).state is not JobState.COMPLETED:
            seen.look(job, time.monotonic())
            if job.is_over or time.monotonic() > give_up:
                raise NodeError(f"The job is {job.state} in round {job.open_round}.")
            network.require_running()
            if job.open_round != shown:
                shown = job.open_round
                network.say(f"round {shown} of {job.rounds}")
            time.sleep(LOOK_S)
        seen.look(job, time.monotonic())
        _check_paid(job)


def _check_paid(job: JobView) -> None:
    if len(job.finalized) != job.rounds:
        raise NodeError(f"{len(job.finalized)} of {job.rounds} rounds are final.")


def _report(network: Network, seen: Seen, bundle: Bundle) -> dict[str, Any]:
    homes = network.swarm.homes[1:]
    workers = {home.path.name: list(read_computed(_record(home))) for home in homes}
    last = network.setting.rounds - bool(network.setting.rounds_ahead)
    rounds = [round_times(r, seen, workers) for r in range(1, last)]
    found = [
        inside(name, lambda home=home: network.swarm.status(home))
        for name, home in zip(network.links.nodes[1:], homes, strict=True)
    ]
    up = [status for status in found if status is not None]
    traffic = [count for status in up for count in status.traffic if count.protocol == WIRE]
    manifest = bundle.manifest
    return {
        "setting": asdict(network.setting),
        "result_bytes": manifest.result_bytes,
        "aggregate_bytes": manifest.aggregate_bytes,
        "checkpoint_bytes": manifest.checkpoint_bytes,
        "audits": sum(c.kind == "audit" for done in workers.values() for c in done),
        "wire_bytes": sum(count.sent_bytes + count.received_bytes for count in traffic),
        "processor_wait": round(processor_wait(status.pid for status in up), 2),
        "rounds": [_rounded(one) for one in rounds],
        "utilisation": round(
            sum(mean(one.computing) for one in rounds) / sum(one.seconds for one in rounds), 4
        ),
    }


def _rounded(one: RoundTimes) -> dict[str, Any]:
    return {
        "round": one.round,
        "seconds": round(one.seconds, 2),
        "computing": [round(seconds, 2) for seconds in one.computing],
        "utilisation": round(one.utilisation, 4),
        "begun_s": round(one.begun_s, 2),
        "commit_s": round(one.commit_s, 2),
        "closing_s": round(one.closing_s, 2),
    }


def _record(home: Home) -> Path:
    return home.path / "units.jsonl"


def show(report: dict[str, Any]) -> str:
    """What a person reads."""
    setting = report["setting"]
    lines = [
        f"{setting['workers']} workers, units of {setting['unit_s']:g} s, "
        f"{setting['down_mbit']:g}/{setting['up_mbit']:g} Mbit/s, {setting['delay_ms']:g} ms each "
        f"way; a result {report['result_bytes']:,} bytes, an aggregate "
        f"{report['aggregate_bytes']:,}, a checkpoint {report['checkpoint_bytes']:,}; "
        f"{report['audits']} audits of {setting['audit_s']:g} s",
        "round   lasts   begins after   last unit to claims on chain   to the end   computing",
    ]
    lines += [
        f"{one['round'] + 1:>5}{one['seconds']:>7.1f}s{one['begun_s']:>13.1f}s"
        f"{one['commit_s']:>29.1f}s{one['closing_s']:>12.1f}s{one['utilisation']:>12.1%}"
        for one in report["rounds"]
    ]
    lines.append(
        f"compute utilisation: {report['utilisation']:.1%}; the workers' daemons waited "
        f"{report['processor_wait']:.0%} of the time that they could have run for a processor"
    )
    return "\n".join(lines)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    """Run once; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.links", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--out", type=Path, help="keep homes and logs in this new folder")
    for name in Setting.__dataclass_fields__:
        default = getattr(Setting(), name)
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=type(default), default=default)
    options = vars(parser.parse_args(arguments))
    as_json, out = options.pop("json"), options.pop("out")
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if out is not None:
            out.mkdir(parents=True)
            report = run(Setting(**options), out.resolve())
        else:
            with tempfile.TemporaryDirectory(prefix="ainur-links-") as folder:
                report = run(Setting(**options), Path(folder))
    except (BadInput, NodeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(report) if as_json else show(report))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
