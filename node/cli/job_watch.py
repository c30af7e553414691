"""Following a job: the chain says what is final, its coordinator what is under way.

Nothing is remembered between two runs: whoever starts to watch, in the middle or after the end,
asks peers for the evaluation of the rounds before. The coordinator is looked up anew for every
look, so a change of it is nothing special.
"""

import contextlib
import math
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import trio

from node import bounded_json
from node.cli.output import note
from node.cli.watch_view import View
from node.errors import JobFailed, NodeError, PeerUnreachable
from node.network_file import NetworkFile
from node.tokens import Token, Tokens

if TYPE_CHECKING:
    from node.chain import Chain
    from node.client import Client
    from node.ledger import JobView, Ledger
    from node.messages import RoundCustody, RoundResults

POLL_S = 0.5
LOOK_S = 5.0
ROUNDS_TOLD_MAX = 256
"""Rounds whose evaluation is asked for; of a longer job evenly spaced ones."""
ASK_AGAIN_S = 10.0
PACE_ROUNDS = 5
"""The time that is left is guessed from this many last rounds."""


def watch_job(
    chain: "Chain",
    network: NetworkFile,
    job: str,
    *,
    as_json: bool,
    timeout_s: float | None,
) -> None:
    """Print progress until the job is over; JobFailed unless it was completed."""
    try:
        trio.run(_watch, chain, network, job, as_json, timeout_s)
    except* KeyboardInterrupt:
        note(f"\nthe job goes on without you; `ainur job watch {job}` shows it again")
        raise


def ask_once(network: NetworkFile, view: "JobView") -> dict[str, object]:
    """The coordinator's view of a job, asked once."""

    async def ask() -> dict[str, object]:
        async with _client(network) as client:
            await client.find_peers(8, LOOK_S)
            return await _progress(client, view)

    return trio.run(ask)


def ask_past(
    network: NetworkFile, view: "JobView", rounds: Sequence[int]
) -> dict[int, "RoundResults"]:
    """What made the checkpoints after these rounds, as far as peers that answer know."""
    from node.archive import ask_rounds, claims_of

    async def ask() -> dict[int, "RoundResults"]:
        async with _client(network) as client:
            await client.find_peers(64, LOOK_S)
            return await ask_rounds(client, view, claims_of(view), rounds)

    return trio.run(ask)


def ask_holders(
    network: NetworkFile, view: "JobView", rounds: Sequence[int]
) -> dict[int, "RoundCustody"]:
    """Who holds the results of these rounds, as far as peers that answer know."""
    from node.archive import ask_custody

    async def ask() -> dict[int, "RoundCustody"]:
        async with _client(network) as client:
            await client.find_peers(64, LOOK_S)
            return await ask_custody(client, view, rounds)

    return trio.run(ask)


async def _watch(
    chain: "Chain", network: NetworkFile, job: str, as_json: bool, timeout_s: float | None
) -> None:
    from node.chain_jobs import LedgerReader, find_job, state_of

    reader = LedgerReader(chain)
    started = time.monotonic()
    with View(as_json=as_json) as shown:
        async with _client(network) as client:
            past, tokens = _Past(chain, client), Tokens(chain)
            while True:
                ledger = await trio.to_thread.run_sync(reader.update)
                view = find_job(ledger, job)
                state = state_of(view, ledger.head_time_s)
                progress = await _progress_or_reason(client, ledger, view, state)
                new = await past.learn(view)
                counts = await trio.to_thread.run_sync(past.counts, ledger, view)
                token = await trio.to_thread.run_sync(tokens.of, view.token)
                document = _document(ledger, view, token, state, progress, past.last(view))
                shown.show(document | counts, new)
                if state != "funded":
                    break
                if timeout_s is not None and time.monotonic() - started > timeout_s:
                    waiting = str(progress.get("waiting", ""))
                    raise JobFailed(f"The job is not over after {timeout_s:g} s.", waiting)
                await trio.sleep(POLL_S)
    _conclude(view, token, state)


def _conclude(view: "JobView", token: Token, state: str) -> None:
    if state != "completed":
        charged = (
            "A committee found that nobody serves its data: "
            f"{token.amount(view.charged_wei)} were charged. "
            "Have more peers hold a job (--holders) before you go offline."
        )
        raise JobFailed(
            f"The job ended without a result: {state} after {view.open_round} of "
            f"{view.rounds} rounds.",
            charged if view.charged_wei else "",
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
        return dict(bounded_json.loads(answer.document))
    raise NodeError(f"the coordinator {view.holder} is not among the known peers yet")


async def _progress_or_reason(
    client: "Client", ledger: "Ledger", view: "JobView", state: str
) -> Mapping[str, object]:
    if state != "funded":
        return {}
    try:
        if not view.holder:
            await _reach_out(client)
            online = len(client.transport.connected())
            return {
                "waiting": f"no bonded node holds this job and its lease yet; {online} are online"
            }
        if not client.book.by_wallet(view.holder):
            await client.find_peers(64, LOOK_S)
        return await _progress(client, view)
    except NodeError as error:
        left_s = view.lease_expires_s - ledger.head_time_s
        ends = f"its lease ends in {left_s} s" if left_s > 0 else "its lease is over"
        return {"waiting": f"{error.message}; {ends}, then another node goes on" if view.holder
                else error.message}  # fmt: skip


async def _reach_out(client: "Client") -> None:
    if not client.transport.connected():
        with contextlib.suppress(PeerUnreachable):
            await client.find_peers(64, LOOK_S)


class _Past:
    """What is known of the rounds that are over: their evaluation, when they ended, their units."""

    def __init__(self, chain: "Chain", client: "Client") -> None:
        self._chain, self._client = chain, client
        self._metrics: dict[int, dict[str, float]] = {}
        self._asked_at: dict[int, float] = {}
        self._times: dict[int, int] = {}

    async def learn(self, view: "JobView") -> dict[int, dict[str, float]]:
        """Ask peers for the evaluation of final rounds; the newly known, by round from 0."""
        from node.archive import ask_rounds, claims_of

        now, count = time.monotonic(), view.open_round
        stride = -(-count // ROUNDS_TOLD_MAX) or 1
        wanted = [
            round
            for round in sorted({*range(0, count, stride), *range(max(0, count - 1), count)})
            if round not in self._metrics
            and now - self._asked_at.get(round, -math.inf) >= ASK_AGAIN_S
        ]
        if not wanted:
            return {}
        await _reach_out(self._client)
        told = await ask_rounds(self._client, view, claims_of(view), wanted)
        self._asked_at.update(dict.fromkeys(wanted, now))
        new = {round: dict(answer.metrics) for round, answer in sorted(told.items())}
        self._metrics |= new
        return new

    def last(self, view: "JobView") -> dict[str, float]:
        """The evaluation of the last final round, as far as it is known."""
        return self._metrics.get(view.open_round - 1, {})

    def counts(self, ledger: "Ledger", view: "JobView") -> dict[str, object]:
        """What the chain's log adds up to, and the seconds that are left; None: nobody can tell."""
        from node.unit_history import history_of

        units = history_of(view).units
        return {
            "units": sum(unit.accepted for unit in units),
            "audited": sum(bool(unit.audit_root) for unit in units),
            "faults": sum(unit.verdict == "faulted" for unit in units),
            "voids": sum(unit.verdict == "voided" for unit in units),
            "retries": sum(unit.attempt > 0 for unit in units),
            "eta_s": self._eta_s(ledger, view),
        }

    def _eta_s(self, ledger: "Ledger", view: "JobView") -> float | None:
        from node.unit_history import history_of

        ends = [view.funded_at.block, *(final.block for final in history_of(view).rounds)]
        if len(ends) < 2 or view.open_round == view.rounds:
            return None
        recent = ends[-PACE_ROUNDS - 1 :]
        first_s, last_s = self._time_of(recent[0]), self._time_of(recent[-1])
        pace_s = (last_s - first_s) / (len(recent) - 1)
        return max(0.0, pace_s * (view.rounds - view.open_round) - (ledger.head_time_s - last_s))

    def _time_of(self, number: int) -> int:
        if number not in self._times:
            block = self._chain.block(number)
            self._times[number] = block.timestamp if block is not None else 0
        return self._times[number]


def _document(
    ledger: "Ledger",
    view: "JobView",
    token: Token,
    state: str,
    progress: Mapping[str, object],
    last: Mapping[str, float],
) -> dict[str, object]:
    """What is known now, as JSON has it: only finite metrics, the others by name."""
    told = progress.get("metrics") or list(last.items())
    slots, peers = progress.get("slots") or [], progress.get("peers") or []
    assert isinstance(told, list)
    assert isinstance(slots, list)
    assert isinstance(peers, list)
    metrics = {str(name): float(value) for name, value in told}
    return {
        "job_id": view.job_id.hex(),
        "state": state,
        "round": view.open_round,
        "rounds": view.rounds,
        "anchored": len(view.anchors),
        "slots": {name: count for name, count in slots if count},
        "round_slots": view.slots,
        "metrics": {name: value for name, value in metrics.items() if math.isfinite(value)},
        "not_finite": sorted(n for n, value in metrics.items() if not math.isfinite(value)),
        "peers": sum(bool(peer["connected"]) for peer in peers),
        "failures": sum(int(peer["failures"]) for peer in peers),
        "coordinator": view.holder or None,
        "token": token.document(),
        "deposited_wei": view.deposited_wei,
        "paid_wei": view.paid_wei,
        "fees_wei": view.fees_wei,
        "refunded_wei": view.refunded_wei,
        "charged_wei": view.charged_wei,
        "unavailable": progress.get("unavailable_results", 0),
        "slashed_wei": ledger.slashed_wei,
        "waiting": progress.get("waiting", ""),
    }
