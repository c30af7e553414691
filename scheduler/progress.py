"""What people see of a coordination: how far it is, and what it waits for.

`progress` is the one typed view that the command line, the API and the web page render;
`codec.document` turns it into JSON.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from scheduler.custody import is_needed
from scheduler.round import Round
from scheduler.rows import ON_CHAIN, SlotStatus, Unavailable
from scheduler.settle import closing
from scheduler.standings import may_work, worker_or_new
from scheduler.state import State, could_work
from scheduler.terms import Metrics, PeerId, Wallet

NAMES_SHOWN_MAX = 4
PEERS_SHOWN_MAX = 256


@dataclass(frozen=True, slots=True)
class PeerProgress:
    """One peer and its wallet's standing. `holding`: slots of the open round that it computes."""

    peer: PeerId
    wallet: Wallet
    connected: bool
    active: bool
    quarantined_ms: int
    holding: tuple[int, ...]
    receipted: int
    stored: int
    settled: int
    failures: int
    faults: int


@dataclass(frozen=True, slots=True)
class Custody:
    """Who signed that it holds the result of a slot of the open round."""

    slot: int
    attempt: int
    worker: Wallet
    holders: tuple[Wallet, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is. `slots`: a count for every status, in the order of a slot's life.

    `peers`: of the `peers_known`, at most 256, those that are connected first. `unavailable`: the
    last 64 results that were not to be had; `unavailable_results` counts all.
    """

    round: int
    rounds: int
    slots: tuple[tuple[str, int], ...]
    computing: int
    attempts: int
    checkpoint: bytes
    units: int
    audited: int
    verified: int
    passed: int
    disputes: int
    faults: int
    voids: int
    reissued: int
    refused_results: int
    unavailable_results: int
    unavailable: tuple[Unavailable, ...]
    custody: tuple[Custody, ...]
    metrics: Metrics
    peers: tuple[PeerProgress, ...]
    peers_known: int
    outcome: str | None
    waiting: str


def progress(state: State, now_ms: int) -> Progress:
    """The view of a state at a time."""
    totals = state.totals
    statuses = [slot.status for slot in state.slots]
    return Progress(
        round=state.round,
        rounds=state.terms.rounds,
        slots=tuple((str(status), statuses.count(status)) for status in SlotStatus),
        computing=sum(bool(slot.assignments) for slot in state.slots),
        attempts=sum(slot.attempt for slot in state.slots),
        checkpoint=state.open.checkpoint,
        units=totals.units,
        audited=totals.drawn,
        verified=totals.verified,
        passed=totals.passed,
        disputes=totals.disputes,
        faults=totals.faults,
        voids=totals.voids,
        reissued=totals.reissued,
        refused_results=totals.refused_results,
        unavailable_results=totals.unavailable,
        unavailable=state.unavailable,
        custody=tuple(_custody(state)),
        metrics=state.metrics,
        peers=tuple(_peers(state, now_ms)),
        peers_known=len(state.peers),
        outcome=str(state.outcome) if state.outcome is not None else None,
        waiting=why_waiting(state, now_ms),
    )


def _custody(state: State) -> Iterator[Custody]:
    for slot in state.slots:
        if slot.filling is not None and slot.filling.holdings:
            holders = tuple(holding.wallet for holding in slot.filling.holdings)
            yield Custody(slot.index, slot.attempt, slot.filling.wallet, holders)


def _peers(state: State, now_ms: int) -> Iterator[PeerProgress]:
    rows = sorted(state.peers.values(), key=lambda row: (row.vanished_ms is not None, row.peer))
    for peer in rows[:PEERS_SHOWN_MAX]:
        worker = worker_or_new(state, peer.wallet)
        yield PeerProgress(
            peer=peer.peer,
            wallet=peer.wallet,
            connected=peer.vanished_ms is None,
            active=worker.active,
            quarantined_ms=max(0, worker.quarantined_until_ms - now_ms),
            holding=tuple(
                index
                for index in sorted(state.open.index.held.get(peer.wallet, ()))
                if any(a.peer == peer.peer for a in state.slots[index].assignments)
            ),
            receipted=worker.receipted,
            stored=worker.stored,
            settled=worker.settled,
            failures=worker.failures,
            faults=worker.faults,
        )


def why_waiting(state: State, now_ms: int) -> str:
    """One sentence on what the job waits for; never empty."""
    if state.outcome is not None:
        return f"nothing: the job's coordination is over ({state.outcome})"
    parts = list(_pauses(state, now_ms)) + list(_reasons(state, now_ms))
    return f"round {state.round + 1} of {state.terms.rounds}: " + "; ".join(parts)


def _pauses(state: State, now_ms: int) -> Iterator[str]:
    if state.paused_until_ms > now_ms:
        rest_s = -(-(state.paused_until_ms - now_ms) // 1000)
        yield f"the last step was refused {state.setbacks} times, next try in {rest_s} s"
    if state.on_hold:
        yield "the submitter paused the job, no unit is handed out"
    elif state.open.batches == 0 and closing(state, now_ms):
        yield "the deadline is near, no unit is handed out"
    ready, least = len(state.crowd.idle), state.terms.policy.peers_min
    if state.open.untouched() and ready < least > 1:
        yield f"the round begins with {least} peers that are ready, {ready} are"


def _reasons(state: State, now_ms: int) -> Iterator[str]:
    free = [s.index for s in state.slots if s.status is SlotStatus.OPEN and not s.assignments]
    if free:
        yield f"{_named(free)} for a peer to ask for work ({_crowd(state, now_ms)})"
    computed = [slot.index for slot in state.slots if slot.assignments]
    if computed:
        yield f"{_named(computed)} for its worker"
    for status, what in _WAITS:
        indices = [slot.index for slot in state.slots if slot.status is status]
        if indices:
            yield f"{_named(indices)} for {what}"
    for held in state.under_way():
        yield from _recovery_reasons(state, held, now_ms)
    if state.open.all_done():
        yield from _closing_reasons(state)


def _recovery_reasons(state: State, held: Round, now_ms: int) -> Iterator[str]:
    """Why results of claims by an earlier coordinator are not here."""
    where = "" if held is state.open else f"in round {held.number + 1} "
    missing = [slot for slot in held.slots if slot.status in ON_CHAIN and not slot.here]
    offered = [slot.index for slot in missing if slot.filling and slot.filling.blob]
    if offered:
        yield f"{where}{_named(offered)} for its result to be fetched"
    returning = [slot for slot in missing if slot.return_ms and slot.index not in offered]
    if returning:
        rest_ms = max(s.return_ms - now_ms if is_needed(state, s) else 0 for s in returning)
        rest = f", {-(-rest_ms // 1000)} s at most" if rest_ms > 0 else ""
        names = _named([slot.index for slot in returning])
        yield f"{where}{names} for a peer that holds its result to come back{rest}"
    given_up = (s for s in missing if not s.return_ms and s.status is not SlotStatus.DISPUTED)
    lost = [slot.index for slot in given_up if slot.index not in offered]
    if lost:
        yield f"{where}{_named(lost)} to be computed anew: nobody who holds its result came back"


def _closing_reasons(state: State) -> Iterator[str]:
    if state.open.all_ready() and state.open.combined is None:
        yield "the results are being combined"
    if not state.open.window_over:
        yield "the challenge window is open"
    elif state.open.combined is not None:
        yield "the chain to take the checkpoint"


_WAITS = (
    (SlotStatus.RECEIPTED, "its result to be fetched"),
    (SlotStatus.STORED, "more peers to hold its result"),
    (SlotStatus.FILLED, "the rest of the batch"),
    (SlotStatus.SUBMITTED, "the chain to take its claim"),
    (SlotStatus.COMMITTED, "the audit draw"),
    (SlotStatus.DRAWN, "its audit"),
    (SlotStatus.DISPUTED, "the committee's verdict"),
)


def _named(indices: list[int]) -> str:
    shown = ", ".join(map(str, indices[:NAMES_SHOWN_MAX]))
    more = f" and {len(indices) - NAMES_SHOWN_MAX} more" * (len(indices) > NAMES_SHOWN_MAX)
    return f"slot{'s' * (len(indices) > 1)} {shown}{more} wait{'s' * (len(indices) == 1)}"


def _crowd(state: State, now_ms: int) -> str:
    peers = [peer for peer in state.peers.values() if peer.vanished_ms is None]
    here = {peer.wallet for peer in peers}
    able = {wallet for wallet in here if may_work(state, wallet, now_ms)}
    crowd = f"{len(here)} connected, {len(able)} of them bonded and not in quarantine"
    small = [p for p in peers if p.memory_bytes is not None and not could_work(state, p)]
    if small:
        most = max(peer.memory_bytes or 0 for peer in small)
        crowd += (
            f"; {len(small)} offer too little memory: the job needs {state.terms.memory_bytes} "
            f"bytes, the largest of them has {most}"
        )
    short = len(state.crowd.short)
    if short:
        crowd += f"; the bonds of {short} cover no further unit until some are final"
    return crowd
