"""Downloading what a job made, checked against the chain: weights, metrics, a picture of them."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import trio

from engine import state as tensors
from engine.backend import open_backend
from node.archive import (
    ask_rounds,
    claims_of,
    fetch_checkpoint,
    fetch_job,
    fetch_results,
    look_for_peers,
)
from node.blobs import BlobStore
from node.bundle import Job, State
from node.chain_jobs import LedgerReader, find_job
from node.cli.output import emit_json, note
from node.cli.session import open_chain, open_config, open_network
from node.client import Client, open_client
from node.errors import BadInput, JobFailed, PeerFault, PeerUnreachable
from node.execution import build, evaluate
from node.files import write_atomic
from node.home import Home
from node.ledger import JobView
from node.messages import RoundResults
from node.metrics import RoundMetrics, jsonl, picture, rows_of


@dataclass(frozen=True, slots=True)
class Files:
    """Which files to write, None for those that are not wanted."""

    weights: Path | None
    metrics: Path | None
    plot: Path | None


def get_job(
    home: Home, job: str, number: int | None, files: Files, *, evaluated: bool, as_json: bool
) -> None:
    """Write the checkpoint after round `number`, counted from 1, and the metrics up to it.

    With `evaluated` the rounds are evaluated here, else only those whose evaluation nobody tells.
    """
    if files == Files(None, None, None):
        raise BadInput("Nothing is asked for.", "Give --out, --metrics or --plot.")
    with open_chain(home) as chain:
        view = find_job(LedgerReader(chain).update(), job)
    if not view.finalized:
        raise JobFailed("No round of this job is final yet.", "`ainur job show` tells why.")
    last = max(view.finalized) if number is None else number - 1
    if last not in view.finalized:
        raise BadInput(f"Round {number} is not final; {len(view.finalized)} rounds are.")
    missing = trio.run(_get, home, view, last, files, evaluated)
    root = view.finalized[last].checkpoint
    if as_json:
        written = {"file": files.weights, "metrics": files.metrics, "plot": files.plot}
        emit_json(
            {"job_id": view.job_id, "round": last + 1, "checkpoint": root}
            | {name: str(path) for name, path in written.items() if path is not None}
            | {"rounds_without_results": [round + 1 for round in missing]}
        )
        return
    if files.weights is not None:
        note(f"wrote {files.weights}: the checkpoint after round {last + 1}, digest {root.hex()}")
    if missing:
        rounds = ", ".join(str(round + 1) for round in missing)
        note(f"no peer has the results of rounds {rounds} any more: their steps are left out")


async def _get(
    home: Home, view: JobView, last: int, files: Files, evaluated: bool
) -> Sequence[int]:
    """Write the files; the rounds whose results nobody has."""
    with tempfile.TemporaryDirectory(prefix="ainur-get-") as folder:
        async with open_client(open_network(home), BlobStore(Path(folder) / "store")) as client:
            await look_for_peers(client)
            if files.weights is not None:
                write_atomic(files.weights, await _checkpoint(client, view, last))
            if files.metrics is None and files.plot is None:
                return []
            job = await fetch_job(client, view)
            rounds, missing = await _collect(client, view, job, last)
            rounds = await _evaluated(home, client, view, job, rounds, all_of_them=evaluated)
    if files.metrics is not None:
        write_atomic(files.metrics, jsonl(rows_of(rounds)))
        note(f"wrote {files.metrics}")
    if files.plot is not None:
        write_atomic(files.plot, picture(rounds, job.manifest.steps, job.manifest.name))
        note(f"wrote {files.plot}")
    return missing


async def _checkpoint(client: Client, view: JobView, round: int) -> bytes:
    try:
        return await fetch_checkpoint(client, view, round)
    except PeerUnreachable as error:
        raise PeerUnreachable(
            f"No peer has the checkpoint after round {round + 1} any more: {error.message}",
            f"Compute it anew: `ainur job replay {view.job_id.hex()[:12]} --out FILE` for the "
            f"last, with --round {round + 1} for this one.",
        ) from None


async def _collect(
    client: Client, view: JobView, job: Job, last: int
) -> tuple[list[RoundMetrics], list[int]]:
    """What peers tell of the rounds up to `last`, and those whose results nobody has."""
    told = await ask_rounds(client, view, claims_of(view), range(last + 1))
    rounds, missing = [], []
    for round in range(last + 1):
        made_by = told.get(round)
        results = await _results(client, job, made_by) if made_by is not None else []
        if not results:
            missing.append(round)
        rounds.append(RoundMetrics(round, results, dict(made_by.metrics) if made_by else {}))
    return rounds, missing


async def _results(client: Client, job: Job, made_by: RoundResults) -> list[State]:
    try:
        return await fetch_results(client, job, made_by)
    except (PeerUnreachable, PeerFault) as error:
        note(str(error))
        return []


async def _evaluated(
    home: Home,
    client: Client,
    view: JobView,
    job: Job,
    rounds: Sequence[RoundMetrics],
    *,
    all_of_them: bool,
) -> list[RoundMetrics]:
    """The rounds, each with an evaluation: what nobody tells follows from the checkpoint."""
    if not all_of_them and all(known.evaluation for known in rounds):
        return list(rounds)
    loaded = await trio.to_thread.run_sync(
        lambda: build(open_backend(open_config(home).device), job)
    )
    done = []
    for known in rounds:
        if known.evaluation and not all_of_them:
            done.append(known)
            continue
        try:
            state = tensors.decode(await fetch_checkpoint(client, view, known.round))
        except (PeerUnreachable, PeerFault) as error:
            note(f"round {known.round + 1} is not evaluated: {error.message}")
            done.append(known)
            continue
        metrics = await trio.to_thread.run_sync(evaluate, loaded, state)
        done.append(RoundMetrics(known.round, known.results, metrics, recomputed=True))
    return done
