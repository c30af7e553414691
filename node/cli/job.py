"""`ainur job`: quote, submit and follow training jobs.

Here are the commands; what they do is in the modules beside it, imported when it is needed.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from node.cli.desk import How, transacting, transaction_options
from node.cli.options import home_option, json_option, signer_options
from node.cli.output import emit_fields, emit_json, note
from node.cli.session import open_chain, open_network, open_signer
from node.errors import BadInput
from node.home import Home

if TYPE_CHECKING:
    from node.bundle import Bundle

JOB_FILE = click.argument("job_file", type=click.Path(path_type=Path))
FILE = click.Path(dir_okay=False, path_type=Path)
TOKEN = click.option(
    "--token",
    help="What the job is paid in: AIN, or an accepted token by symbol or address. Else as in "
    "JOB_FILE.",
)
ROUND = click.option("--round", "number", type=int, help="One round, counted from 1.")


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
@TOKEN
@home_option
@json_option
def quote(job_file: Path, token: str | None, home: Home, as_json: bool) -> None:
    """Tell exactly what JOB_FILE costs, before anything is spent, and about how long it takes.

    Within a home the network's rates are used and the peers that are online are asked for their
    speed; without one, the rates are those of free audits and no fee.
    """
    from node.cli.job_payment import paid_job
    from node.cli.job_submit import quote_document, quote_fields, quote_job

    known = home if home.network.exists() else None
    bundle, accepted = paid_job(job_file, known, token)
    quoted = quote_job(bundle, known, accepted)
    if as_json:
        emit_json(quote_document(bundle, quoted))
        return
    emit_fields(quote_fields(bundle, quoted))


@command.command("submit")
@JOB_FILE
@click.option("--again", is_flag=True, help="Pay for another run of a job that you paid before.")
@click.option("--holders", default=0, help="Peers that must hold the job; 0: 3, or all there are.")
@click.option(
    "--rounds-ahead",
    default=0,
    type=click.IntRange(0, 8),
    help="Rounds that may be computed before the audits of earlier ones are over.",
)
@TOKEN
@home_option
@transaction_options
def submit(
    job_file: Path,
    again: bool,
    holders: int,
    rounds_ahead: int,
    token: str | None,
    home: Home,
    how: How,
) -> None:
    """Fund JOB_FILE and hand it to peers. When this returns you may go offline.

    Once more after a failure: a job that is funded and open is offered again, not paid again.
    """
    from node.cli.job_payment import paid_job
    from node.cli.job_submit import place_job, price_job
    from node.quote import check_budget

    bundle, accepted = paid_job(job_file, home, token)
    price = price_job(bundle, home, accepted)
    check_budget(bundle, price, accepted.token)
    with transacting(home, how) as desk:
        job_id, held = place_job(
            home, desk, bundle, accepted.token,
            again=again, holders=holders, rounds_ahead=rounds_ahead,
        )  # fmt: skip
        if how.as_json:
            desk.emit(
                {"job_id": job_id, "held_by": held, "cost_wei_max": price.total_wei_max,
                 "token": accepted.token.document()}
            )  # fmt: skip
            return
        note(f"{len(held)} peers hold the job; you may go offline")
        click.echo(f"0x{job_id.hex()}")


@command.command("list")
@home_option
@json_option
def list_jobs(home: Home, as_json: bool) -> None:
    """List every job that the chain knows."""
    from node.cli.job_show import show_jobs

    show_jobs(home, as_json=as_json)


@command.command("show")
@click.argument("job")
@ROUND
@home_option
@json_option
def show(job: str, number: int | None, home: Home, as_json: bool) -> None:
    """Show a JOB: its money, what it waits for, and each unit: who, when, verdict, paid what."""
    from node.cli.job_show import show_job

    show_job(home, job, number, as_json=as_json)


@command.command("watch")
@click.argument("job")
@click.option("--timeout", type=float, help="Give up after this many seconds.")
@home_option
@json_option
def watch(job: str, timeout: float | None, home: Home, as_json: bool) -> None:
    """Follow a JOB until it ends: loss, time left, money, peers, retries, and what it waits for.

    At any time, also afterwards; Ctrl-C leaves the job running. Exit code 10 if the job fails.
    """
    from node.cli.job_watch import watch_job

    with open_chain(home) as chain:
        watch_job(chain, open_network(home), job, as_json=as_json, timeout_s=timeout)


@command.command("pause")
@click.argument("job")
@home_option
@signer_options
def pause(job: str, home: Home, wallet: str | None, password_file: Path | None) -> None:
    """Have no more units of a JOB of yours handed out. Units under way are finished and paid.

    The order binds the coordinator of now, not a later one; the deadline does not wait.
    """
    _order(job, home, wallet, password_file, paused=True)


@command.command("resume")
@click.argument("job")
@home_option
@signer_options
def resume(job: str, home: Home, wallet: str | None, password_file: Path | None) -> None:
    """Go on with a JOB of yours that you paused."""
    _order(job, home, wallet, password_file, paused=False)


def _order(
    job: str, home: Home, wallet: str | None, password_file: Path | None, *, paused: bool
) -> None:
    from node.chain_jobs import LedgerReader, find_job
    from node.cli.job_pause import order_pause

    signer = open_signer(home, wallet, password_file)
    with open_chain(home) as chain:
        view = find_job(LedgerReader(chain).update(), job)
        if view.is_over:
            raise BadInput(f"The job is over: {view.state}.")
        waiting = order_pause(open_network(home), view, signer, paused)
    note(f"{'paused' if paused else 'resumed'}; {waiting}")


@command.command("cancel")
@click.argument("job")
@home_option
@transaction_options
def cancel(job: str, home: Home, how: How) -> None:
    """Cancel a JOB of yours. What was not earned is refunded; a round under way may finish.

    Once more for a job that is over but not settled, because its coordinator is gone: what is left
    comes back as soon as the chain allows.
    """
    from node.chain.events import JobRefunded
    from node.chain_jobs import LedgerReader, find_job
    from node.ids import JobId
    from node.tokens import Tokens

    with transacting(home, how) as desk:
        chain = desk.chain
        view = find_job(LedgerReader(chain).update(), job)
        job_id = JobId(view.job_id)
        if view.submitter != chain.address:
            raise BadInput(f"The job belongs to {view.submitter}, not to {chain.address}.")
        if view.settled:
            raise BadInput(f"The job is over: {view.state}.")
        call = chain.escrow.settle if view.is_over else chain.escrow.cancel
        (receipt,) = desk.send(call(job_id))
        refunds = [e.amount for e in receipt.events if isinstance(e, JobRefunded)]
        token = Tokens(chain).of(view.token)
        back = token.amount(sum(refunds))
        note(f"{'settled' if view.is_over else 'cancelled'}; {back} came back at once")
        held = chain.escrow.held_of(job_id)
        if held:
            note(
                f"{token.amount(held)} stay for the round under way and come back when it is "
                "settled"
            )


@command.command("get")
@click.argument("job")
@click.option("--out", type=FILE, help="Write the weights to this safetensors file.")
@click.option("--metrics", type=FILE, help="Write every step's and round's metrics, JSON a line.")
@click.option("--plot", type=FILE, help="Draw the loss to this PNG (needs ainur[plot]).")
@click.option(
    "--round", "number", type=int, help="After this round, counted from 1; else the last."
)
@click.option("--evaluate", "evaluated", is_flag=True, help="Evaluate here, instead of being told.")
@home_option
@json_option
def get(
    job: str,
    out: Path | None,
    metrics: Path | None,
    plot: Path | None,
    number: int | None,
    evaluated: bool,
    home: Home,
    as_json: bool,
) -> None:
    """Download what a JOB made: the weights of any round, checked against the chain, and metrics.

    A step's metrics come from the units' results, checked too; a round's evaluation is what its
    coordinator told, or computed here.
    """
    from node.cli.job_get import Files, get_job

    get_job(home, job, number, Files(out, metrics, plot), evaluated=evaluated, as_json=as_json)


@command.command("replay")
@click.argument("job")
@ROUND
@click.option("--slot", type=int, help="One unit of the round, counted from 0.")
@click.option("--out", type=FILE, help="Write the last checkpoint to this file.")
@click.option("--device", help="As in `node devices`, or `reference`. Else that of the settings.")
@click.option("--anew", is_flag=True, help="Forget what an earlier run recomputed.")
@home_option
@json_option
def replay(
    job: str,
    number: int | None,
    slot: int | None,
    out: Path | None,
    device: str | None,
    anew: bool,
    home: Home,
    as_json: bool,
) -> None:
    """Recompute a JOB here and compare with the chain: all, a --round, or a unit of it.

    Exit code 12 at the first difference, with unit and roots. An interrupted run goes on where it
    stopped when it is started again.
    """
    from node.cli.job_replay import replay_job

    replay_job(home, job, number, slot, out, device, anew=anew, as_json=as_json)


def _assemble(job_file: Path) -> "Bundle":
    from node.bundle import assemble

    return assemble(job_file)
