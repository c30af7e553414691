"""Following a job: the chain says what is final, its coordinator what is under way."""

import json
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import trio

from node.cli.output import ain, emit_json, note
from node.errors import JobFailed, NodeError
from node.network_file import NetworkFile

if TYPE_CHECKING:
    from node.chain import Chain
    from node.client import Client
    from node.ledger import JobView, Ledger

POLL_S = 0.5
COLUMNS = 100


def watch_job(
    chain: "Chain",
    network: NetworkFile,
    job: str,
    *,
    as_json: bool,
    timeout_s: float | None,
) -> None:
    """Print progress until the job is over; JobFailed unless it was completed."""
    trio.run(_watch, chain, network, job, as_json, timeout_s)


def ask_once(network: NetworkFile, view: "JobView") -> dict[str, object]:
    """The coordinator's view of a job, asked once."""

    async def ask() -> dict[str, object]:
        async with _client(network) as client:
            await client.find_peers(8, 5.0)
            return await _progress(client, view)

    return trio.run(ask)


async def _watch(
    chain: "Chain", network: NetworkFile, job: str, as_json: bool, timeout_s: float | None
) -> None:
    from node.chain_jobs import LedgerReader, find_job, state_of

    reader = LedgerReader(chain)
    started = time.monotonic()
    shown = ""
    async with _client(network) as client:
        while True:
            ledger = await trio.to_thread.run_sync(reader.update)
            view = find_job(ledger, job)
            state = state_of(view, ledger.head_time_s)
            progress = await _progress_or_reason(client, view, state)
            document = _document(ledger, view, state, progress)
            line = json.dumps(document, default=str)
            if line != shown:
                shown = line
                _show(document, as_json)
            if state != "funded":
                break
            if timeout_s is not None and time.monotonic() - started > timeout_s:
                raise JobFailed(f"The job is not over after {timeout_s:g} s.", str(progress))
            await trio.sleep(POLL_S)
    if not as_json and sys.stderr.isatty():
        print(file=sys.stderr)
    if state != "completed":
        raise JobFailed(
            f"The job ended without a result: {state} after {view.open_round} of "
            f"{view.rounds} rounds."
        )
    note(f"completed; ainur job get {view.job_id.hex()[:12]} --out FILE downloads the weights")


@asynccontextmanager
async def _client(network: NetworkFile) -> AsyncIterator["Client"]:
    """A client with a store that nobody needs afterwards."""
    from node.blobs import BlobStore
    from node.client import open_client

    with TemporaryDirectory(prefix="ainur-watch-") as folder:
        async with open_client(network, BlobStore(Path(folder) / "store")) as client:
            yield client


async def _progress(client: "Client", view: "JobView") -> dict[str, object]:
    for peer in client.book.by_wallet(view.holder):
        answer = await client.ask_progress(peer.hello.peer_id, view.job_id)
        return dict(json.loads(answer.document))
    raise NodeError(f"the coordinator {view.holder} is not among the known peers yet")


async def _progress_or_reason(
    client: "Client", view: "JobView", state: str
) -> Mapping[str, object]:
    if state != "funded":
        return {}
    if not view.holder:
        return {"waiting": "no bonded node holds this job and its lease yet"}
    try:
        if not client.book.by_wallet(view.holder):
            await client.find_peers(64, 5.0)
        return await _progress(client, view)
    except NodeError as error:
        return {"waiting": error.message}


def _document(
    ledger: "Ledger", view: "JobView", state: str, progress: Mapping[str, object]
) -> dict[str, object]:
    metrics = progress.get("metrics") or []
    assert isinstance(metrics, list)
    slots = progress.get("slots") or []
    assert isinstance(slots, list)
    peers = progress.get("peers") or []
    assert isinstance(peers, list)
    return {
        "job_id": view.job_id.hex(),
        "state": state,
        "round": view.open_round,
        "rounds": view.rounds,
        "slots": {name: count for name, count in slots if count},
        "metrics": {name: float(value) for name, value in metrics},
        "units": progress.get("units", 0),
        "audited": progress.get("audited", 0),
        "faults": progress.get("faults", 0),
        "peers": sum(bool(peer["connected"]) for peer in peers),
        "paid_wei": view.paid_wei,
        "slashed_wei": ledger.slashed_wei,
        "waiting": progress.get("waiting", ""),
    }


def _show(document: Mapping[str, object], as_json: bool) -> None:
    if as_json:
        emit_json(document)
        sys.stdout.flush()
        return
    line = _line(document)
    if sys.stderr.isatty():
        print(f"\r\033[K{line[:COLUMNS]}", end="", file=sys.stderr, flush=True)
    else:
        note(line)


def _line(document: Mapping[str, object]) -> str:
    metrics, slots = document["metrics"], document["slots"]
    paid = document["paid_wei"]
    assert isinstance(metrics, dict)
    assert isinstance(slots, dict)
    assert isinstance(paid, int)
    parts = [f"{document['state']}: round {document['round']}/{document['rounds']}"]
    parts += [" ".join(f"{count} {name}" for name, count in slots.items())]
    parts += [" ".join(f"{name} {value:.4f}" for name, value in metrics.items())]
    if document["state"] == "funded":
        parts.append(f"{document['peers']} peers")
    parts.append(f"paid {ain(paid)}")
    if document["faults"]:
        parts.append(f"{document['faults']} faults")
    return " | ".join(part for part in parts if part)
