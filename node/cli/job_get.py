"""Downloading what a job made, checked against the chain."""

import tempfile
from pathlib import Path

import trio

from engine import state as tensors
from engine.commitment import state_root
from node.blobs import BlobStore
from node.chain_jobs import LedgerReader, find_job
from node.cli.output import emit_json, note
from node.cli.session import open_chain, open_network
from node.client import open_client
from node.errors import BadInput, JobFailed, NodeError
from node.files import write_atomic
from node.home import Home
from node.ledger import JobView


def get_job(home: Home, job: str, out: Path, number: int | None, *, as_json: bool) -> None:
    """Write the checkpoint after round `number`, counted from 1, or after the last one."""
    with open_chain(home) as chain:
        view = find_job(LedgerReader(chain).update(), job)
    if not view.finalized:
        raise JobFailed("No round of this job is final yet.", "`ainur job show` tells why.")
    last = max(view.finalized) if number is None else number - 1
    if last not in view.finalized:
        raise BadInput(f"Round {number} is not final; {len(view.finalized)} rounds are.")
    root = _download(home, view, last, out)
    if as_json:
        emit_json({"job_id": view.job_id, "round": last + 1, "checkpoint": root, "file": str(out)})
        return
    note(f"wrote {out}: the checkpoint after round {last + 1}, digest {root.hex()}")


def _download(home: Home, view: JobView, number: int, out: Path) -> bytes:
    """Fetch a checkpoint's blob from peers, check its root and write it."""
    anchored = view.finalized[number]
    with tempfile.TemporaryDirectory(prefix="ainur-get-") as folder:

        async def download() -> bytes:
            store = BlobStore(Path(folder) / "store")
            async with open_client(open_network(home), store) as client:
                peers = await client.find_peers(8)
                return await client.fetch(anchored.blob, peers)

        data = trio.run(download)
    root = state_root(tensors.decode(data))
    if root != anchored.checkpoint:
        raise NodeError(
            f"The blob's tensors have digest {root.hex()}, the chain says "
            f"{anchored.checkpoint.hex()}.",
            "The coordinator anchored a wrong blob; ask for an earlier --round.",
        )
    write_atomic(out, data)
    return root
