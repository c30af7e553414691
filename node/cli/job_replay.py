"""`ainur job replay`: recompute a unit, a round or a whole job here, and compare with the chain."""

import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import trio

from engine import state as tensors
from engine.backend import open_backend
from node.archive import claims_of, fetch_checkpoint, fetch_job, look_for_peers
from node.blobs import BlobStore
from node.bundle import Job, State
from node.chain_jobs import LedgerReader, find_job
from node.cli.output import emit_json, note
from node.cli.session import open_chain, open_config, open_network
from node.client import open_client
from node.errors import BadInput, JobFailed, PeerFault, PeerUnreachable
from node.execution import build
from node.files import write_atomic
from node.home import Home
from node.ledger import JobView
from node.recheck import Kept, Recheck, RoundEqual, UnitEqual


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to recompute: everything, a round, or a unit; `round` counts from 0 here."""

    round: int | None
    slot: int | None


def replay_job(
    home: Home,
    job: str,
    number: int | None,
    slot: int | None,
    out: Path | None,
    device: str | None,
    *,
    anew: bool,
    as_json: bool,
) -> None:
    """Recompute and compare; ReplayDiffers names the first unit or round that is not equal."""
    with open_chain(home) as chain:
        view = find_job(LedgerReader(chain).update(), job)
    wanted = _wanted(view, number, slot)
    if out is not None and wanted.slot is not None:
        raise BadInput("--out writes a checkpoint; a single --slot does not lead to one.")
    folder = home.path / "replay" / view.job_id.hex()
    if anew:
        shutil.rmtree(folder, ignore_errors=True)
    found, start = trio.run(_fetch, home, view, folder, wanted)
    device = open_config(home).device if device is None else device
    progress = _Progress(view)
    recheck = Recheck(
        build(open_backend(device), found),
        claims_of(view),
        [view.finalized[round].checkpoint for round in sorted(view.finalized)],
        Kept(folder / "kept"),
        progress.tell,
    )
    state = _run(recheck, wanted, start, len(view.finalized))
    progress.end()
    if out is not None:
        write_atomic(out, tensors.encode(state))
        note(f"wrote {out}")
    _report(view, wanted, progress, as_json)


def _wanted(view: JobView, number: int | None, slot: int | None) -> Wanted:
    if number is None:
        if slot is not None:
            raise BadInput("--slot needs a --round.")
        if not view.finalized:
            raise JobFailed("No round of this job is final yet.", "`ainur job show` tells why.")
        return Wanted(None, None)
    # A unit of the round after the last final one can be compared once it is accepted.
    last = min(view.rounds, len(view.finalized) + (slot is not None))
    if not 1 <= number <= last:
        raise BadInput(f"--round {number}: the rounds 1 to {last} can be compared now.")
    if slot is not None and not 0 <= slot < view.slots:
        raise BadInput(f"--slot {slot}: the job has slots 0 to {view.slots - 1}.")
    return Wanted(number - 1, slot)


async def _fetch(
    home: Home, view: JobView, folder: Path, wanted: Wanted
) -> tuple[Job, State | None]:
    """Program and data, and the checkpoint that a wanted round starts from if somebody has it."""
    store = BlobStore(folder / "store")
    async with open_client(open_network(home), store) as client:
        await look_for_peers(client)
        note("fetching program and data")
        job = await fetch_job(client, view)
        if not wanted.round:
            return job, None
        try:
            data = await fetch_checkpoint(client, view, wanted.round - 1)
        except (PeerUnreachable, PeerFault) as error:
            note(f"{error} The rounds before are recomputed instead.")
            return job, None
    return job, tensors.decode(data)


def _run(recheck: Recheck, wanted: Wanted, start: State | None, final: int) -> State:
    if wanted.round is None:
        return recheck.rounds(final)
    if start is None:
        start = recheck.rounds(wanted.round)
    if wanted.slot is None:
        return recheck.round(start, wanted.round)
    return recheck.unit(start, wanted.round, wanted.slot)


class _Progress:
    """Tells of each equal unit and round: one line that is rewritten, or one line each."""

    def __init__(self, view: JobView) -> None:
        self.units = self.rounds = self.kept = 0
        self.metrics: dict[str, float] = {}
        self._view = view
        self._since = time.monotonic()

    def tell(self, event: UnitEqual | RoundEqual) -> None:
        if isinstance(event, UnitEqual):
            self.units += 1
            self.kept += event.kept
            unit = event.unit
            how = "recomputed earlier" if event.kept else f"{self._took():.1f} s"
            self._show(
                f"round {unit.round + 1}/{self._view.rounds} slot {unit.slot}: equal ({how})"
            )
            return
        self.rounds += 1
        self.metrics = event.metrics
        values = ", ".join(f"{name} {value:.4f}" for name, value in event.metrics.items())
        self.end()
        note(f"round {event.round + 1}/{self._view.rounds}: checkpoint equal; {values}")

    def _took(self) -> float:
        now = time.monotonic()
        took, self._since = now - self._since, now
        return took

    def _show(self, line: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
        else:
            note(line)

    def end(self) -> None:
        """Clear the line that is rewritten."""
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _report(view: JobView, wanted: Wanted, progress: _Progress, as_json: bool) -> None:
    if as_json:
        emit_json(
            {
                "job_id": view.job_id,
                "equal": True,
                "units": progress.units,
                "units_of_earlier_runs": progress.kept,
                "rounds": progress.rounds,
                "metrics": progress.metrics,
            }
        )
        return
    if wanted.slot is not None:
        return
    if wanted.round is not None:
        note(f"round {wanted.round + 1} is what the chain says")
        return
    earlier = len(view.finalized) - progress.rounds
    note(
        f"all {len(view.finalized)} final rounds are what the chain says"
        + (f"; {earlier} of them by an earlier run (--anew starts over)" if earlier else "")
    )
