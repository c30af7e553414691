"""A job as the chain has it: its money, and unit by unit where the money went."""

import contextlib
from collections.abc import Mapping, Sequence

from node.chain import Chain
from node.chain_jobs import LedgerReader, find_job, state_of
from node.cli.job_watch import ask_holders, ask_once, ask_past
from node.cli.output import Cell, ain, emit_fields, emit_json, emit_table, note, utc
from node.cli.session import open_chain, open_network
from node.errors import BadInput, NodeError
from node.home import Home
from node.ledger import JobView
from node.tokens import Token, Tokens
from node.unit_history import JobHistory, UnitHistory, history_of

BLOCKS_TIMED_MAX = 512
"""Blocks whose time is asked for, one request each; beyond them units have blocks without times."""

ROUNDS_ASKED_MAX = 64
"""Rounds whose units' times are asked of peers: the last ones shown."""

COLUMNS = ("round", "slot", "try", "worker", "computed in", "committed", "verdict", "after",
           "audited by", "held by", "paid to worker", "to auditor", "slashed")  # fmt: skip

Holders = Mapping[tuple[int, int, int], Sequence[str]]
"""Wallets that signed that they hold a unit's result, by (round, slot, attempt)."""

Seconds = Mapping[tuple[int, int], float]
"""How long the worker of an accepted unit had it, by (round, slot)."""


def show_jobs(home: Home, *, as_json: bool) -> None:
    """Print every job that the chain knows."""
    with open_chain(home) as chain:
        ledger, tokens = LedgerReader(chain).update(), Tokens(chain)
        jobs = [
            (job, state_of(job, ledger.head_time_s), tokens.of(job.token))
            for job in ledger.jobs.values()
        ]
    if as_json:
        emit_json([_job_document(job, state, token) for job, state, token in jobs])
        return
    rows = [
        (f"0x{job.job_id.hex()[:16]}", state, f"{job.open_round}/{job.rounds}", job.slots,
         token.amount(job.deposited_wei), token.per_gflop(job.gflop_wei), job.submitter)
        for job, state, token in jobs
    ]  # fmt: skip
    emit_table(
        ("job", "state", "rounds", "slots", "deposit", "price", "submitter"),
        rows,
        empty="no jobs yet",
    )


def show_job(home: Home, job: str, number: int | None, *, as_json: bool) -> None:
    """Print a job and its units, or those of round `number`, counted from 1."""
    with open_chain(home) as chain:
        ledger = LedgerReader(chain).update()
        view = find_job(ledger, job)
        token = Tokens(chain).of(view.token)
        state = state_of(view, ledger.head_time_s)
        history = history_of(view)
        units = _of_round(view, history, number)
        times = _times(chain, units)
    waiting = _why_waiting(home, view, state)
    took = _ask_took(home, view, units)
    holders, missing = _ask_holders(home, view, units)
    if as_json:
        emit_json(
            _job_document(view, state, token)
            | {"waiting_for": waiting, "unexplained_wei": _unexplained(history)}
            | {"units": [_unit_document(unit, times, took, holders) for unit in units]}
            | {"unavailable": missing}
        )
        return
    emit_fields(_job_fields(view, state, token, waiting))
    rows = [_row(unit, token, times, took, holders) for unit in units]
    emit_table(COLUMNS, rows, empty="no unit is on chain yet")
    for account, wei in _unexplained(history).items():
        note(
            f"{token.amount(wei)} to {account} do not follow from the units: a defect, please "
            "report it"
        )

    for each in missing:
        note(
            f"the result of round {each['round']}, slot {each['slot']}, by {each['wallet']} was "
            f"unavailable: {each['cause']}"
        )


def _ask_holders(
    home: Home, view: JobView, units: Sequence[UnitHistory]
) -> tuple[Holders, list[dict[str, object]]]:
    """Who holds what, and which results were not to be had, as peers tell of these rounds."""
    rounds = sorted({unit.round for unit in units} | {view.open_round})
    with contextlib.suppress(NodeError):
        told = ask_holders(open_network(home), view, rounds[-ROUNDS_ASKED_MAX:])
        holders = {
            (round, result.unit.slot, result.unit.attempt): [h.wallet for h in result.holdings]
            for round, custody in told.items()
            for result in custody.results
        }
        missing: list[dict[str, object]] = [
            {"round": round + 1, "slot": each.unit.slot, "attempt": each.unit.attempt}
            | {"wallet": each.wallet, "cause": each.cause}
            for round, custody in sorted(told.items())
            for each in custody.unavailable
        ]
        return holders, missing
    return {}, []


def _of_round(view: JobView, history: JobHistory, number: int | None) -> Sequence[UnitHistory]:
    if number is None:
        return history.units
    if not 1 <= number <= view.rounds:
        raise BadInput(f"--round {number}: the job has rounds 1 to {view.rounds}.")
    return [unit for unit in history.units if unit.round == number - 1]


def _times(chain: Chain, units: Sequence[UnitHistory]) -> dict[int, int]:
    """When the units' blocks were: Unix seconds by number, for the latest of them."""
    numbers = {n for unit in units for n in (unit.committed_block, unit.decided_block) if n}
    blocks = (chain.block(number) for number in sorted(numbers)[-BLOCKS_TIMED_MAX:])
    return {block.number: block.timestamp for block in blocks if block is not None}


def _ask_took(home: Home, view: JobView, units: Sequence[UnitHistory]) -> Seconds:
    """As peers tell, of final rounds; what no peer knows, or no peer that answers, is left out."""
    rounds = sorted({unit.round for unit in units if unit.round in view.finalized})
    if not rounds:
        return {}
    with contextlib.suppress(NodeError):
        told = ask_past(open_network(home), view, rounds[-ROUNDS_ASKED_MAX:])
        return {
            (round, result.slot): result.took_ms / 1000
            for round, made_by in told.items()
            for result in made_by.results
            if result.took_ms
        }
    return {}


def _unexplained(history: JobHistory) -> dict[str, int]:
    total: dict[str, int] = {}
    for final in history.rounds:
        for account, wei in final.unexplained.items():
            total[account] = total.get(account, 0) + wei
    return total


def _unit_document(
    unit: UnitHistory, times: dict[int, int], took: Seconds, holders: Holders
) -> dict[str, object]:
    return {
        "unit_id": unit.unit_id,
        "round": unit.round + 1,
        "slot": unit.slot,
        "attempt": unit.attempt,
        "worker": unit.worker,
        "coordinator": unit.coordinator,
        "result_root": unit.result_root,
        "unit_root": unit.unit_root or None,
        "computed_s": took.get((unit.round, unit.slot)) if unit.accepted else None,
        "committed_block": unit.committed_block,
        "committed_at": times.get(unit.committed_block),
        "verdict": unit.verdict,
        "decided_block": unit.decided_block or None,
        "decided_at": times.get(unit.decided_block),
        "audited_by": unit.audited_by or None,
        "held_by": holders.get((unit.round, unit.slot, unit.attempt), []),
        "audit_root": unit.audit_root or None,
        "disputed_by": unit.disputed_by or None,
        "jurors": unit.jurors,
        "paid_wei": unit.paid,
        "slashed_wei": unit.slashed,
    }


def _row(
    unit: UnitHistory, token: Token, times: dict[int, int], took: Seconds, holders: Holders
) -> Sequence[Cell]:
    committed, decided = times.get(unit.committed_block), times.get(unit.decided_block)
    auditor = unit.audited_by
    took_s = took.get((unit.round, unit.slot)) if unit.accepted else None
    return (
        unit.round + 1,
        unit.slot,
        unit.attempt + 1,
        unit.worker,
        None if took_s is None else f"{took_s:.1f} s",
        f"block {unit.committed_block}" if committed is None else utc(committed),
        unit.verdict,
        None if committed is None or decided is None else f"{decided - committed} s",
        auditor or None,
        ", ".join(holders.get((unit.round, unit.slot, unit.attempt), ())) or None,
        _paid(unit, token, unit.worker),
        _paid(unit, token, auditor) if auditor else None,
        ", ".join(f"{ain(wei)} of {who}" for who, wei in unit.slashed.items()) or None,
    )


def _data_deposit(view: JobView, token: Token) -> str:
    """What answers for the job's data, and what became of it."""
    if view.charged_wei:
        charged = token.amount(view.charged_wei)
        return f"{charged}, charged: a committee found that its data was unavailable"
    return f"{token.amount(view.data_wei)}, {'returned' if view.settled else 'returned at the end'}"


def _paid(unit: UnitHistory, token: Token, account: str) -> str | None:
    return token.amount(unit.paid[account]) if account in unit.paid else None


def _why_waiting(home: Home, view: JobView, state: str) -> str:
    """What the job waits for, as its coordinator says, or why there is nobody to ask."""
    if state != "funded":
        return ""
    if not view.holder:
        return "no bonded node holds this job and its lease yet"
    try:
        return str(ask_once(open_network(home), view).get("waiting", ""))
    except NodeError as error:
        return f"its coordinator {view.holder} does not answer: {error.message}"


def _job_document(view: JobView, state: str, token: Token) -> dict[str, object]:
    return {
        "job_id": view.job_id,
        "state": state,
        "submitter": view.submitter,
        "coordinator": view.holder or None,
        "rounds": view.rounds,
        "rounds_done": view.open_round,
        "rounds_anchored": len(view.anchors),
        "rounds_ahead": view.rounds_ahead,
        "slots": view.slots,
        "token": token.document(),
        "deposited_wei": view.deposited_wei,
        "paid_wei": view.paid_wei,
        "fees_wei": view.fees_wei,
        "refunded_wei": view.refunded_wei,
        "data_deposit_wei": view.data_wei,
        "charged_wei": view.charged_wei,
        "unit_wei": view.unit_wei,
        "audit_wei": view.audit_wei,
        "unit_value_wei": view.unit_value_wei,
        "unit_flops": view.unit_flops,
        "gflop_wei": view.gflop_wei,
        "deadline": view.deadline_s,
        "checkpoints": [view.finalized[n].checkpoint for n in sorted(view.finalized)],
    }


def _rounds(view: JobView) -> str:
    anchored = f", {len(view.anchors)} more anchored" if view.anchors else ""
    return f"{view.open_round} of {view.rounds} final{anchored}, {view.slots} slots each"


def _job_fields(view: JobView, state: str, token: Token, waiting: str) -> dict[str, Cell]:
    amount = token.amount
    last = view.finalized[max(view.finalized)].checkpoint.hex() if view.finalized else None
    return {
        "job": f"0x{view.job_id.hex()}",
        "state": state,
        "rounds": _rounds(view),
        "submitter": view.submitter,
        "coordinator": view.holder or None,
        **({} if token.is_ain else {"paid in": token.name}),
        "price": f"{amount(view.unit_wei)} a unit, {token.per_gflop(view.gflop_wei)}",
        "deposited": amount(view.deposited_wei),
        "paid": amount(view.paid_wei),
        "fees": amount(view.fees_wei) + ("" if token.is_ain else ", to the treasury"),
        "refunded": amount(view.refunded_wei),
        "data deposit": _data_deposit(view, token),
        "checkpoint": last,
        "waits for": waiting or None,
    }
