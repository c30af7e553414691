"""What a round costs on the wire: `python -m benchmarks.traffic [--json] [--only base]`.

A network of real daemons on this machine trains a job of M = 8 slots and H = 100 steps: eight
workers, which audit too, and a ninth node that only coordinates. Program and data lie in every
store before the daemons start, so that no byte of them travels. When the job is over each worker's
own counters (`ainur node status --json`) say what its connections carried, encryption and headers
included; TCP's and the chain's traffic are not in it.

It is done twice: `base` with rechecks switched off, and `rechecks` as nodes really are. The
difference is what the private coin costs. Both are compared with averaging float32 gradients by
ring all-reduce in every step: 2 (M - 1) / M * 4 N bytes sent, and as many received.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.noise_job import NoiseJob, write
from node import checkpoints
from node.blobs import BlobStore
from node.bundle import Bundle, assemble
from node.chain_jobs import LedgerReader
from node.cli.devnet import free_port
from node.cli.main import run
from node.config import set_value
from node.deployment import AIN
from node.devnet import Devnet
from node.errors import NodeError
from node.home import Home
from node.identity import load_seed, peer_id_from_key
from node.ledger import JobState
from node.local_chain import project_folder
from node.network_file import save_network
from node.status import WIRE, NodeStatus
from node.swarm import Swarm

SLOTS, STEPS = 8, 100
WIDTH = 640
BOND_WEI = 150 * AIN
PATIENCE_S = 900.0
LOOK_S = 0.25
MODES = ("base", "rechecks")


@dataclass(frozen=True, slots=True)
class Measured:
    """What eight workers' connections carried while a job of so many rounds was computed."""

    mode: str
    rounds: int
    seconds: float
    parameters: int
    result_bytes: int
    aggregate_bytes: int
    checkpoint_bytes: int
    rechecks: int
    wire_sent: int
    wire_received: int
    blob_sent: int
    blob_received: int
    control_sent: int
    control_received: int
    control_by_protocol: dict[str, int]
    """Sent and received."""

    @property
    def slot_round_bytes(self) -> float:
        """Sent and received for a slot of a round. A worker fetches no aggregate of the last."""
        sent = self.wire_sent / self.rounds
        return (sent + self.wire_received / max(1, self.rounds - 1)) / SLOTS

    @property
    def all_reduce_bytes(self) -> float:
        """What averaging float32 gradients in each step sends and receives for it."""
        return 2 * STEPS * 2 * (SLOTS - 1) / SLOTS * 4 * self.parameters

    def document(self) -> dict[str, object]:
        """Everything, for people and for `--json`."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return fields | {
            "slot_round_bytes": round(self.slot_round_bytes),
            "all_reduce_bytes": round(self.all_reduce_bytes),
            "times_less": round(self.all_reduce_bytes / self.slot_round_bytes, 1),
        }


def make_homes(devnet: Devnet, folder: Path, bundle: Bundle) -> tuple[list[Home], Home]:
    """Nine bonded homes that have the job's files, the coordinator's first, and a submitter."""
    homes = [devnet.home(folder / f"node-{i}", bond_wei=BOND_WEI) for i in range(SLOTS + 1)]
    submitter = devnet.home(folder / "submitter")
    port = free_port()
    set_value(homes[0].config, "listen_port", str(port))
    peer_id = peer_id_from_key(load_seed(homes[0].peer_key))
    network = devnet.network.with_bootstrap(f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer_id}")
    for home in (*homes, submitter):
        save_network(home.network, network)
    for home in homes:
        set_value(home.config, "roles", "coordinate" if home is homes[0] else "work,audit")
        bundle.put(BlobStore(home.store))
    return homes, submitter


def measure(mode: str, wanted: NoiseJob, folder: Path) -> Measured:
    """Train the job once on a network of its own; what the workers' counters say."""
    file = write(folder / "job", wanted)
    bundle = assemble(file)
    launcher = [sys.executable, "-m", "benchmarks.traffic", "launch", mode]
    with Devnet(log=folder / "chain.log") as devnet:
        homes, submitter = make_homes(devnet, folder, bundle)
        with Swarm(homes, launcher, project_folder()) as swarm:
            for home in homes:
                swarm.start(home)
            swarm.wait_until_up(peers=SLOTS, timeout_s=PATIENCE_S)
            started = time.monotonic()
            submit = ["job", "submit", str(file), "--json", "--home", str(submitter.path)]
            if run(submit) != 0:
                raise NodeError("The job was not submitted.")
            _wait_for_end(devnet, swarm)
            seconds = time.monotonic() - started
            workers = [swarm.status(home) for home in homes[1:]]
    found = [status for status in workers if status is not None]
    if len(found) != SLOTS:
        raise NodeError(f"{len(found)} of {SLOTS} workers answer.")
    return _summed(mode, wanted, seconds, bundle, found)


def _wait_for_end(devnet: Devnet, swarm: Swarm) -> None:
    with devnet.chain() as chain:
        reader, give_up = LedgerReader(chain), time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up:
            jobs = list(reader.update().jobs.values())
            if jobs and jobs[0].is_over:
                if jobs[0].state is not JobState.COMPLETED:
                    raise NodeError(f"The job is {jobs[0].state}.")
                return
            for child in swarm.ended():
                raise NodeError(f"{child.name} ended: {child.last_words()}")
            time.sleep(LOOK_S)
    raise NodeError(f"The job took more than {PATIENCE_S:g} s.")


def _summed(
    mode: str, wanted: NoiseJob, seconds: float, bundle: Bundle, workers: Sequence[NodeStatus]
) -> Measured:
    counts = [count for worker in workers for count in worker.traffic]
    blobs = [count for count in counts if "/blob/" in count.protocol]
    wire = [count for count in counts if count.protocol == WIRE]
    control = [count for count in counts if count not in blobs and count not in wire]
    return Measured(
        mode=mode,
        rounds=wanted.rounds,
        seconds=round(seconds, 1),
        parameters=wanted.parameters,
        result_bytes=bundle.manifest.result_bytes,
        aggregate_bytes=bundle.manifest.aggregate_bytes,
        checkpoint_bytes=bundle.manifest.checkpoint_bytes,
        rechecks=sum(worker.rounds_rechecked for worker in workers),
        wire_sent=sum(count.sent_bytes for count in wire),
        wire_received=sum(count.received_bytes for count in wire),
        blob_sent=sum(count.sent_bytes for count in blobs),
        blob_received=sum(count.received_bytes for count in blobs),
        control_sent=sum(count.sent_bytes for count in control),
        control_received=sum(count.received_bytes for count in control),
        control_by_protocol={
            name: sum(c.sent_bytes + c.received_bytes for c in control if c.protocol == name)
            for name in sorted({count.protocol for count in control})
        },
    )


def show(measured: Measured) -> str:
    """A few lines for people."""
    m, per = measured, measured.rounds * SLOTS
    return "\n".join(
        [
            f"{m.mode}: {m.rounds} rounds of {SLOTS} slots and {STEPS} steps, "
            f"{m.parameters:,} parameters, {m.seconds:.0f} s, {m.rechecks} rechecks",
            f"  a result {m.result_bytes:,} bytes, an aggregate {m.aggregate_bytes:,}",
            f"  on the wire, all workers: {m.wire_sent:,} sent, {m.wire_received:,} received; "
            f"of it control {m.control_sent + m.control_received:,} "
            f"({(m.control_sent + m.control_received) // per:,} a slot and round)",
            f"  results handed in {per * m.result_bytes:,} bytes, the rest of the blobs sent "
            f"{m.blob_sent - per * m.result_bytes:,} (served to other workers); "
            f"blobs received {m.blob_received:,}",
            f"  control: {m.control_by_protocol}",
            f"  a slot and round: {m.slot_round_bytes:,.0f} bytes sent and received; "
            f"ring all-reduce {m.all_reduce_bytes:,.0f}: "
            f"{m.all_reduce_bytes / m.slot_round_bytes:.1f} times less",
        ]
    )


def launch(mode: str, arguments: Sequence[str]) -> int:
    """Be `ainur` with these arguments, in a network without rechecks if the mode is `base`."""
    if mode == "base":
        checkpoints.RECHECKS_A_ROUND = checkpoints.RECHECK_ALWAYS_BYTES = 0
    return run(list(arguments))


def main(arguments: Sequence[str]) -> int:
    """Measure, or be a node of a measurement; the exit code."""
    if arguments[:1] == ["launch"]:
        return launch(arguments[1], arguments[2:])
    parser = argparse.ArgumentParser(prog="python -m benchmarks.traffic", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="at least 2")
    parser.add_argument("--width", type=int, default=WIDTH, help="864: 804,385 parameters")
    parser.add_argument("--second-moment", choices=("full", "factored", "none"), default="full")
    parser.add_argument("--only", choices=MODES, help="one of the two measurements")
    parser.add_argument("--json", action="store_true", help="one JSON document a line")
    options = parser.parse_args(arguments)
    for mode in [options.only] if options.only else MODES:
        with tempfile.TemporaryDirectory(prefix="ainur-traffic-") as folder:
            wanted = NoiseJob(
                "traffic", options.rounds, SLOTS, STEPS, options.width, options.second_moment
            )
            measured = measure(mode, wanted, Path(folder))
        print(json.dumps(measured.document()) if options.json else show(measured), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
