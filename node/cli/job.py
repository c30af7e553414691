"""`ainur job`: quote, submit and follow training jobs."""

import dataclasses
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from node.cli.options import home_option, json_option, signer_options
from node.cli.output import ain, emit_fields, emit_json, emit_table, note
from node.cli.session import open_chain, open_network, signing_chain
from node.errors import BadInput, JobFailed, NodeError, PeerUnreachable
from node.home import Home

if TYPE_CHECKING:
    from node.blobs import BlobStore
    from node.bundle import Bundle
    from node.chain import Chain
    from node.ids import JobId
    from node.ledger import JobView
    from node.quote import Quote

JOB_FILE = click.argument("job_file", type=click.Path(path_type=Path))


@click.group()
def command() -> None:
    """Quote, submit and follow training jobs."""


@command.command("init")
@click.argument("folder", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Write a starter job to FOLDER: a script that builds it, data included, to change at will."""
    from node.job_template import write_template

    for path in write_template(folder):
        note(f"wrote {path}")
    note(f"next: python {folder / 'build.py'} && ainur job quote {folder / 'job.toml'}")


@command.command("validate")
@JOB_FILE
@json_option
def validate(job_file: Path, as_json: bool) -> None:
    """Check JOB_FILE and everything that it names, as every peer will."""
    bundle = _assemble(job_file)
    if as_json:
        emit_json({"valid": True, "manifest": json.loads(bundle.manifest.to_bytes())})
        return
    note(f"{job_file} is a valid job; its digest is {bundle.manifest.digest().hex()}")


@command.command("quote")
@JOB_FILE
@home_option
@json_option
def quote(job_file: Path, home: Home, as_json: bool) -> None:
    """Tell exactly what JOB_FILE costs, before anything is spent.

    Within a home the network's rates are used; without one, those of free audits and no fee.
    """
    bundle = _assemble(job_file)
    quoted = _quote(bundle, home if home.network.exists() else None)
    if as_json:
        emit_json({"name": bundle.manifest.name} | dataclasses.asdict(quoted))
        return
    emit_fields(_quote_fields(bundle, quoted))


@command.command("submit")
@JOB_FILE
@click.option("--again", is_flag=True, help="Pay for another run of a job that is still open.")
@click.option("--holders", default=0, help="Peers that must hold the job; 0: 3, or all there are.")
@home_option
@signer_options
@json_option
def submit(
    job_file: Path,
    again: bool,
    holders: int,
    home: Home,
    wallet: str | None,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Fund JOB_FILE and hand it to peers. When this returns you may go offline."""
    from node.submission import check_budget

    bundle = _assemble(job_file)
    quoted = _quote(bundle, home)
    check_budget(bundle, quoted)
    with (
        signing_chain(home, wallet, password_file) as chain,
        _temporary_store(bundle) as store,
    ):
        job_id, held = _place(home, chain, store, bundle, again=again, holders=holders)
    if as_json:
        emit_json({"job_id": job_id, "held_by": held, "cost_wei_max": quoted.total_wei_max})
        return
    note(f"{len(held)} peers hold the job; you may go offline")
    click.echo(f"0x{job_id.hex()}")


@command.command("list")
@home_option
@json_option
def list_jobs(home: Home, as_json: bool) -> None:
    """List every job that the chain knows."""
    from node.chain_jobs import LedgerReader, state_of

    with open_chain(home) as chain:
        ledger = LedgerReader(chain).update()
    jobs = [(job, state_of(job, ledger.head_time_s)) for job in ledger.jobs.values()]
    if as_json:
        emit_json([_job_document(job, state) for job, state in jobs])
        return
    rows = [
        (f"0x{job.job_id.hex()[:16]}", state, f"{job.open_round}/{job.rounds}", job.slots,
         ain(job.deposited_wei), job.submitter)
        for job, state in jobs
    ]  # fmt: skip
    emit_table(
        ("job", "state", "rounds", "slots", "deposit", "submitter"), rows, empty="no jobs yet"
    )


@command.command("show")
@click.argument("job")
@home_option
@json_option
def show(job: str, home: Home, as_json: bool) -> None:
    """Show a JOB: its money, its rounds, and what it waits for."""
    from node.chain_jobs import LedgerReader, find_job, state_of

    with open_chain(home) as chain:
        ledger = LedgerReader(chain).update()
        view = find_job(ledger, job)
        state = state_of(view, ledger.head_time_s)
        waiting = _why_waiting(home, view, state)
    document = _job_document(view, state) | {"waiting_for": waiting}
    if as_json:
        emit_json(document)
        return
    emit_fields(_job_fields(view, state, waiting))


@command.command("watch")
@click.argument("job")
@click.option("--timeout", type=float, help="Give up after this many seconds.")
@home_option
@json_option
def watch(job: str, timeout: float | None, home: Home, as_json: bool) -> None:
    """Follow a JOB until it ends: round, slots, loss, peers, speed. Exit code 10 if it fails."""
    from node.cli.job_watch import watch_job

    with open_chain(home) as chain:
        watch_job(chain, open_network(home), job, as_json=as_json, timeout_s=timeout)


@command.command("cancel")
@click.argument("job")
@home_option
@signer_options
def cancel(job: str, home: Home, wallet: str | None, password_file: Path | None) -> None:
    """Cancel a JOB of yours. What was not earned is refunded; a round under way may finish.

    Once more for a job that is over but not settled, because its coordinator is gone: what is left
    comes back as soon as the chain allows.
    """
    from node.chain.events import JobRefunded
    from node.chain_jobs import LedgerReader, find_job

    with signing_chain(home, wallet, password_file) as chain:
        view = find_job(LedgerReader(chain).update(), job)
        if view.submitter != chain.address:
            raise BadInput(f"The job belongs to {view.submitter}, not to {chain.address}.")
        if view.settled:
            raise BadInput(f"The job is over: {view.state}.")
        call = chain.escrow.settle if view.is_over else chain.escrow.cancel
        receipt = chain.send(call(_id(view)))
        refunds = [e.amount for e in receipt.events if isinstance(e, JobRefunded)]
        note(f"{'settled' if view.is_over else 'cancelled'}; {ain(sum(refunds))} came back at once")
        held = chain.escrow.held_of(_id(view))
        if held:
            note(f"{ain(held)} stay for the round under way and come back when it is settled")


@command.command("get")
@click.argument("job")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The file to write.")
@click.option("--round", "number", type=int, help="The checkpoint after this round; else the last.")
@home_option
@json_option
def get(job: str, out: Path, number: int | None, home: Home, as_json: bool) -> None:
    """Download the checkpoint of a JOB as a safetensors file, verified against the chain."""
    from node.chain_jobs import LedgerReader, find_job

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


def _assemble(job_file: Path) -> "Bundle":
    from node.bundle import assemble

    return assemble(job_file)


def _quote(bundle: "Bundle", home: Home | None) -> "Quote":
    from node.quote import quote as price

    if home is None:
        return price(bundle.manifest, bundle.job.costs)
    from node.chain.types import Parameter

    with open_chain(home) as chain:
        rates = chain.parameters.all()
    return price(
        bundle.manifest,
        bundle.job.costs,
        audit_pay_bps=rates[Parameter.AUDIT_PAY_BPS],
        protocol_fee_bps=rates[Parameter.PROTOCOL_FEE_BPS],
    )


def _quote_fields(bundle: "Bundle", quoted: "Quote") -> dict[str, str | int]:
    manifest = bundle.manifest
    return {
        "job": manifest.name,
        "units": f"{quoted.units} ({manifest.rounds} rounds of {manifest.slots} slots)",
        "a unit": f"{quoted.unit_flops:,} FLOPs, {quoted.unit_bytes_moved:,} bytes moved",
        "all units": f"{quoted.total_flops:,} FLOPs; {quoted.total_flops_max:,} if all are audited",
        "memory": f"{quoted.peak_bytes:,} bytes at most on a device",
        "to fetch": f"{quoted.blob_bytes:,} bytes per peer",
        "price": f"{ain(quoted.unit_wei)} a unit, {ain(quoted.audit_wei)} an audit",
        "deposit": f"{ain(quoted.total_wei_max)}; what is not earned comes back",
        "budget": ain(bundle.spec.budget.budget_wei),
        "peers": (
            f"{quoted.peers_min} to run, {quoted.peers_audited} to be audited, "
            f"{quoted.peers_judged} for a committee"
        ),
    }


@contextmanager
def _temporary_store(bundle: "Bundle") -> Iterator["BlobStore"]:
    """A blob store with a job's blobs, for as long as they are offered."""
    from node.blobs import BlobStore

    with tempfile.TemporaryDirectory(prefix="ainur-submit-") as folder:
        store = BlobStore(Path(folder) / "store")
        bundle.put(store)
        yield store


def _known_job(chain: "Chain", bundle: "Bundle", *, again: bool) -> bytes | None:
    """The open job that this wallet paid for before; None, once it is clear that it can pay."""
    from node.chain_jobs import LedgerReader
    from node.submission import open_job, require_funds, terms_of

    if not again:
        known = open_job(LedgerReader(chain).update(), chain.address, bundle.manifest)
        if known is not None:
            note(f"job 0x{known.hex()} is funded and open: it is offered again, not paid again")
            return known
    terms = terms_of(bundle.manifest, chain.head().timestamp)
    require_funds(chain, terms, bundle.spec.budget.budget_wei)
    return None


def _fund(chain: "Chain", bundle: "Bundle") -> bytes:
    from node.submission import fund

    funded = fund(chain, bundle.manifest, bundle.spec.budget.budget_wei)
    note(f"funded job 0x{funded.job_id.hex()} with {ain(funded.deposited_wei)}")
    return funded.job_id


def _place(
    home: Home,
    chain: "Chain",
    store: "BlobStore",
    bundle: "Bundle",
    *,
    again: bool,
    holders: int,
) -> tuple[bytes, list[str]]:
    """Find peers, fund the job, offer it until enough hold it; its id and their wallets.

    Nothing is paid while no peer answers.
    """
    import trio

    from node.client import open_client
    from node.submission import HOLDERS_WANTED

    known = _known_job(chain, bundle, again=again)
    wallets: list[str] = []
    problems: list[str] = []

    def held(peer_id: str, wallet: str) -> None:
        wallets.append(wallet)
        note(f"held by {wallet} ({peer_id})")

    async def place() -> bytes:
        async with open_client(open_network(home), store) as client:
            wanted = holders or HOLDERS_WANTED
            if sys.stderr.isatty():
                note("looking for peers: up to half a minute")
            peers = await client.find_peers(max(wanted, HOLDERS_WANTED))
            job_id = await trio.to_thread.run_sync(_fund, chain, bundle) if known is None else known
            enough = holders if holders else min(wanted, len(peers))
            await client.offer(
                job_id,
                bundle.manifest.ref(),
                peers,
                enough,
                held,
                lambda peer_id, reason: problems.append(f"{peer_id}: {reason}"),
            )
            if len(wallets) < enough:
                raise PeerUnreachable(
                    f"{len(wallets)} of {enough} peers hold job 0x{job_id.hex()}: "
                    + ("; ".join(problems) or f"only {len(peers)} answer"),
                    "Run the same command again: it is not paid twice. Or `ainur job cancel` it.",
                )
            return job_id

    return trio.run(place), wallets


def _download(home: Home, view: "JobView", number: int, out: Path) -> bytes:
    """Fetch a checkpoint's blob from peers, check its root and write it."""
    import trio

    from engine import state as tensors
    from engine.commitment import state_root
    from node.blobs import BlobStore
    from node.client import open_client
    from node.files import write_atomic

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


def _why_waiting(home: Home, view: "JobView", state: str) -> str:
    """What the job waits for, as its coordinator says, or why there is nobody to ask."""
    if state != "funded":
        return ""
    if not view.holder:
        return "no bonded node holds this job and its lease yet"
    from node.cli.job_watch import ask_once

    try:
        return str(ask_once(open_network(home), view).get("waiting", ""))
    except NodeError as error:
        return f"its coordinator {view.holder} does not answer: {error.message}"


def _id(view: "JobView") -> "JobId":
    from node.ids import JobId

    return JobId(view.job_id)


def _job_document(view: "JobView", state: str) -> dict[str, object]:
    return {
        "job_id": view.job_id,
        "state": state,
        "submitter": view.submitter,
        "coordinator": view.holder or None,
        "rounds": view.rounds,
        "rounds_done": view.open_round,
        "slots": view.slots,
        "deposited_wei": view.deposited_wei,
        "paid_wei": view.paid_wei,
        "fees_wei": view.fees_wei,
        "refunded_wei": view.refunded_wei,
        "unit_wei": view.unit_wei,
        "audit_wei": view.audit_wei,
        "deadline": view.deadline_s,
        "checkpoints": [view.finalized[n].checkpoint for n in sorted(view.finalized)],
    }


def _job_fields(view: "JobView", state: str, waiting: str) -> dict[str, str | int | None]:
    last = view.finalized[max(view.finalized)].checkpoint.hex() if view.finalized else None
    return {
        "job": f"0x{view.job_id.hex()}",
        "state": state,
        "rounds": f"{view.open_round} of {view.rounds}, {view.slots} slots each",
        "submitter": view.submitter,
        "coordinator": view.holder or None,
        "deposited": ain(view.deposited_wei),
        "paid": ain(view.paid_wei),
        "fees": ain(view.fees_wei),
        "refunded": ain(view.refunded_wei),
        "checkpoint": last,
        "waits for": waiting or None,
    }
