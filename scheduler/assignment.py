"""What peers ask and promise: work is pulled, the first receipted result fills the slot.

Who gets work: a peer whose wallet is bonded and not in quarantine, with the memory that the job
needs; on probation one unit at a time, and never more than its free bond covers, a part of which
the chain locks for each claim. Not while the submitter's pause holds, not so near the
deadline that the unit would not be paid, not before enough wallets are ready to begin a round.

Which unit: first the one that it holds already (its answer was lost), then one whose
result it has at hand, which costs nothing more, then the lowest open slot that nobody computes. The
last ones go to those who finish them first: a second unit only while open slots outnumber the idle
peers that could take them, and while peers that are at least twice as fast are idle, a slot is kept
for them as long as half of the slower one's unit time, which is the least that waiting for them
saves. When none is left and the round is in its last tenth, an idle peer may repeat a unit that
takes half as long again as usual: whoever is first fills the slot.

A receipt binds this coordinator: a receipted claim is replaced only when its result turns out
missing or malformed, when its worker loses its bond (the chain would refuse the claim), or when the
chain already holds another claim.
"""

from dataclasses import replace
from typing import assert_never

from scheduler.commands import (
    AcceptCommit,
    AssignUnit,
    DeclineReason,
    DeclineRequest,
    RefuseCommit,
    RefuseReason,
    Reply,
)
from scheduler.deadlines import jittered_ms, unit_limit_ms, usual_ms, with_sample
from scheduler.events import PeerAppeared, PeerEvent, PeerVanished, UnitCommitted, UnitRequested
from scheduler.round import Round
from scheduler.rows import Assignment, Filling, Peer, Slot, SlotStatus, Worker
from scheduler.settle import closing, too_late_to_begin
from scheduler.standings import admitted, timed, vanished
from scheduler.state import State, covers_another
from scheduler.terms import ASSIGNMENTS_MAX, Holding, Wallet
from scheduler.transitions import move

MEMORY_RETRY_MS = 600_000
LAST_PART = 10
"""A round's last tenth may be computed twice."""
REPEAT_AFTER_PERCENT = 150
"""Of the usual time. Where all peers are alike nearly everybody is a moment behind the usual, and a
copy keeps its peer from the next round for a whole unit's time."""

FASTER = 2
"""Idle peers this many times as fast have a claim to the last slots."""


def apply(state: State, event: PeerEvent, now_ms: int, seed: int) -> tuple[Reply, ...]:
    """What a peer did, and the answer to it. Never raises: a peer's claim is never our error."""
    match event:
        case PeerAppeared():
            admitted(state, event.peer, event.wallet, event.active, now_ms, event.covers)
        case PeerVanished():
            peer = state.peers.get(event.peer)
            if peer is not None and peer.vanished_ms is None:
                vanished(state, peer, now_ms)
        case UnitRequested():
            return (_requested(state, event, now_ms, seed),)
        case UnitCommitted():
            return (_committed(state, event, now_ms),)
        case _:
            assert_never(event)
    return ()


def answer_after_the_end(event: UnitRequested | UnitCommitted) -> tuple[Reply, ...]:
    """The only thing that a finished coordination still does."""
    if isinstance(event, UnitRequested):
        return (DeclineRequest(event.peer, DeclineReason.JOB_OVER, MEMORY_RETRY_MS),)
    return (RefuseCommit(event.peer, event.unit, RefuseReason.JOB_OVER),)


# --- Requests ---


def _requested(state: State, event: UnitRequested, now_ms: int, seed: int) -> Reply:
    peer = state.peers.get(event.peer)
    worker = state.workers.get(peer.wallet) if peer is not None else None
    if peer is None or worker is None:
        reason = DeclineReason.UNKNOWN_PEER
        return DeclineRequest(event.peer, reason, jittered_ms(state.terms.policy.retry_ms, seed))
    _note_memory(state, peer, event.memory_bytes)
    unfit = _unfit(state, worker, event)
    if unfit is not None:
        return _decline(state, event, worker, unfit, now_ms, seed)
    held = sorted(state.open.index.held.get(worker.wallet, ()))
    for index in held:
        slot = state.slots[index]
        mine = next(a for a in slot.assignments if a.wallet == worker.wallet)
        if mine.peer == event.peer:
            return _assign(state, slot, mine)
    short = None if covers_another(state, worker) else DeclineReason.BOND_COVERS
    chosen = short or _closed(state, now_ms) or _choose(state, worker, event, len(held), now_ms)
    if isinstance(chosen, DeclineReason):
        return _decline(state, event, worker, chosen, now_ms, seed)
    terms = state.terms
    limit_ms = unit_limit_ms(state.samples_ms, terms.unit_timeout_ms, terms.policy, worker.unit_ms)
    deadline_ms = now_ms + limit_ms * (len(held) + 1)
    assignment = Assignment(
        event.peer,
        worker.wallet,
        now_ms,
        deadline_ms,
        spare=bool(chosen.assignments),
        at_hand=state.open.unit(chosen) in event.ready,
    )
    others = tuple(old for old in chosen.lapsed if old.wallet != worker.wallet)
    assignments = (*chosen.assignments, assignment)
    state.put_slot(replace(chosen, assignments=assignments, lapsed=others))
    return _assign(state, chosen, assignment)


def _note_memory(state: State, peer: Peer, memory_bytes: int) -> None:
    """What it offers, once, and again if it comes to be enough: a node's memory is that of its
    settings, and no peer may write a record with every request by naming another figure.
    """
    if peer.memory_bytes is None or peer.memory_bytes < state.terms.memory_bytes <= memory_bytes:
        state.put_peer(replace(peer, memory_bytes=memory_bytes))


def _unfit(state: State, worker: Worker, event: UnitRequested) -> DeclineReason | None:
    """Why this peer gets nothing, whatever there is."""
    if not worker.active:
        return DeclineReason.BOND_INACTIVE
    if worker.quarantined_until_ms:
        return DeclineReason.QUARANTINED
    if event.memory_bytes < state.terms.memory_bytes:
        return DeclineReason.MEMORY
    return None


def _closed(state: State, now_ms: int) -> DeclineReason | None:
    """Why nobody gets a unit that it does not hold yet."""
    if state.on_hold:
        return DeclineReason.PAUSED
    if state.open.batches == 0 and closing(state, now_ms):
        return DeclineReason.DEADLINE
    if too_late_to_begin(state, now_ms):
        return DeclineReason.CANCELLED
    if state.open.untouched() and len(state.crowd.idle) < state.terms.policy.peers_min:
        return DeclineReason.TOO_FEW_PEERS
    return None


def _choose(
    state: State, worker: Worker, event: UnitRequested, held: int, now_ms: int
) -> Slot | DeclineReason:
    """The slot for this wallet, or why it gets none."""
    if held >= (1 if worker.on_probation else state.terms.policy.held_max):
        return DeclineReason.HOLDING_ENOUGH
    at_hand = _at_hand(state, worker, event)
    if at_hand is not None:
        return at_hand
    index, idle = state.open.index, state.crowd.idle
    first = index.free.first()
    if first is None:
        spare = None if held else _slow_unit(state, now_ms)
        return spare or DeclineReason.NOTHING_OPEN
    if held and len(index.free) <= len(idle):
        return DeclineReason.NOTHING_OPEN
    slot, half_ms = state.slots[first], worker.unit_ms // FASTER
    faster = idle.below(half_ms + 1) - idle.below(1)
    if len(index.free) <= faster and now_ms < slot.since_ms + half_ms:
        return DeclineReason.KEPT_FOR_FASTER
    return slot


def _at_hand(state: State, worker: Worker, event: UnitRequested) -> Slot | None:
    """An open slot whose result the peer says to have: one that nobody computes, else any."""
    places = {unit.slot for unit in event.ready if state.open.is_free(unit)}
    slots = [
        slot
        for slot in (state.slots[index] for index in sorted(places))
        if len(slot.assignments) < state.terms.policy.copies_max
        # Another peer of the wallet may compute it.
        and worker.wallet not in {assignment.wallet for assignment in slot.assignments}
    ]
    return min(slots, key=lambda slot: len(slot.assignments), default=None)


def _slow_unit(state: State, now_ms: int) -> Slot | None:
    """A unit of the round's last tenth that takes much longer than usual, the slowest first."""
    usual, terms, index = usual_ms(state.samples_ms), state.terms, state.open.index
    last_part = max(1, terms.slots // LAST_PART)
    if usual is None or index.count[SlotStatus.OPEN] > last_part:
        return None
    patience_ms = usual * REPEAT_AFTER_PERCENT // 100
    slow = (state.slots[at] for at in index.computed.up_to(now_ms - patience_ms))
    return next((s for s in slow if len(s.assignments) < terms.policy.copies_max), None)


def _assign(state: State, slot: Slot, assignment: Assignment) -> AssignUnit:
    unit = state.open.unit(slot)
    return AssignUnit(assignment.peer, unit, assignment.deadline_ms, assignment.spare)


def _decline(
    state: State,
    event: UnitRequested,
    worker: Worker,
    reason: DeclineReason,
    now_ms: int,
    seed: int,
) -> DeclineRequest:
    wait_ms = jittered_ms(state.terms.policy.retry_ms, seed)
    if reason is DeclineReason.QUARANTINED:
        wait_ms += worker.quarantined_until_ms - now_ms
    if reason is DeclineReason.MEMORY:
        wait_ms = jittered_ms(MEMORY_RETRY_MS, seed)
    return DeclineRequest(event.peer, reason, wait_ms)


# --- Commits ---


def _committed(state: State, event: UnitCommitted, now_ms: int) -> Reply:
    peer = state.peers.get(event.peer)
    worker = state.workers.get(peer.wallet) if peer is not None else None
    reason = _mistimed(state, event)
    held = state.find(event.unit.round)
    if peer is None or worker is None or held is None or reason is not None:
        return _refuse(event, reason or RefuseReason.UNKNOWN_PEER)
    slot = held.slots[event.unit.slot]
    assignment = _assignment_of(slot, peer.wallet)
    if slot.filling is not None:
        if assignment is not None:
            _measure(state, peer, assignment, now_ms)
            _forget(state, held, slot, peer.wallet)
        return _committed_again(state, held, slot.filling, peer, event)
    if not worker.active:
        return _refuse(event, RefuseReason.BOND_INACTIVE)
    if assignment is None:
        return _refuse(event, RefuseReason.NOT_ASSIGNED)
    state.put_slot(_filled(state, slot, peer, event, now_ms))
    state.put_worker(replace(worker, receipted=worker.receipted + 1))
    took_ms = _measure(state, peer, assignment, now_ms)
    if took_ms is not None:
        state.note(samples_ms=with_sample(state.samples_ms, took_ms))
    return AcceptCommit(event.peer, event.unit)


def _measure(state: State, peer: Peer, assignment: Assignment, now_ms: int) -> int | None:
    """How long a unit took, from when the peer could begin it; None: it was at hand.

    A result too late says it too.
    """
    state.put_peer(replace(peer, committed_ms=now_ms))
    if assignment.at_hand:
        return None
    took_ms = now_ms - max(assignment.assigned_ms, peer.committed_ms)
    timed(state, peer.wallet, took_ms)
    return took_ms


def _forget(state: State, held: Round, slot: Slot, wallet: Wallet) -> None:
    """An assignment that came to its end counts once."""
    lapsed = tuple(old for old in slot.lapsed if old.wallet != wallet)
    state.put_slot(replace(slot, lapsed=lapsed), held)


def _mistimed(state: State, event: UnitCommitted) -> RefuseReason | None:
    unit = event.unit
    if unit.round < state.oldest.number:
        return RefuseReason.ROUND_OVER
    if unit.round in state.dissolved:
        return RefuseReason.DISSOLVED
    held = state.find(unit.round)
    if held is None or not 0 <= unit.slot < len(held.slots):
        return RefuseReason.NOT_ASSIGNED
    attempt = held.slots[unit.slot].attempt
    if unit.attempt != attempt:
        return RefuseReason.ATTEMPT_OVER if unit.attempt < attempt else RefuseReason.NOT_ASSIGNED
    return None


def _committed_again(
    state: State, held: Round, filling: Filling, peer: Peer, event: UnitCommitted
) -> Reply:
    """The slot is filled: the same claim gets its receipt again, any other a refusal."""
    if filling.wallet != peer.wallet:
        return _refuse(event, RefuseReason.TAKEN)
    same = (filling.result_root, filling.commitment) == (event.result_root, event.commitment)
    if not same or filling.blob not in (None, event.blob):
        return _refuse(event, RefuseReason.CONFLICT)
    if filling.blob is None:
        filling = replace(filling, blob=event.blob, peer=event.peer)
        state.put_slot(replace(held.slots[event.unit.slot], filling=filling), held)
    return AcceptCommit(event.peer, event.unit)


def _filled(state: State, slot: Slot, peer: Peer, event: UnitCommitted, now_ms: int) -> Slot:
    others = tuple(a for a in (*slot.lapsed, *slot.assignments) if a.wallet != peer.wallet)
    filling = Filling(
        wallet=peer.wallet,
        result_root=event.result_root,
        commitment=event.commitment,
        signature=event.signature,
        peer=peer.peer,
        blob=event.blob,
        holdings=(Holding(peer.wallet, event.holding),),
    )
    return replace(
        slot,
        status=move(slot, event),
        assignments=(),
        lapsed=others[-ASSIGNMENTS_MAX:],
        filling=filling,
        due_ms=now_ms + state.terms.policy.fetch_timeout_ms,
    )


def _assignment_of(slot: Slot, wallet: Wallet) -> Assignment | None:
    """The wallet's assignment, also a lapsed one: late is better than never."""
    both = (*slot.assignments, *slot.lapsed)
    return next((assignment for assignment in both if assignment.wallet == wallet), None)


def _refuse(event: UnitCommitted, reason: RefuseReason) -> RefuseCommit:
    return RefuseCommit(event.peer, event.unit, reason)
