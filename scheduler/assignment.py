"""What peers ask and promise: work is pulled, the first receipted result fills the slot.

Which unit a peer gets: first the one it holds already and did not list (its answer was lost), then
the lowest open slot that nobody computes; a second one only while open slots outnumber the idle
peers that could take them. When none is left and the round is in its last tenth, an idle peer may
repeat a unit that takes longer than usual: whoever is first fills the slot, the other is told so.

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
from scheduler.standings import admitted, may_work, worker_or_new
from scheduler.state import (
    Assignment,
    Filling,
    Peer,
    Slot,
    SlotStatus,
    State,
    find_peer,
    find_worker,
    unit_of,
    with_peer,
    with_slot,
    with_worker,
)
from scheduler.terms import ASSIGNMENTS_MAX, Wallet
from scheduler.transitions import move

Step = tuple[State, tuple[Reply, ...]]

MEMORY_RETRY_MS = 600_000
LAST_PART = 10
"""A round's last tenth may be computed twice."""


def apply(state: State, event: PeerEvent, now_ms: int, seed: int) -> Step:
    """What a peer did, and the answer to it. Never raises: a peer's claim is never our error."""
    match event:
        case PeerAppeared():
            return admitted(state, event.peer, event.wallet, event.active), ()
        case PeerVanished():
            peer = find_peer(state, event.peer)
            if peer is None or peer.vanished_ms is not None:
                return state, ()
            return with_peer(state, replace(peer, vanished_ms=now_ms)), ()
        case UnitRequested():
            return _requested(state, event, now_ms, seed)
        case UnitCommitted():
            return _committed(state, event, now_ms)
        case _:
            assert_never(event)


def answer_after_the_end(event: UnitRequested | UnitCommitted) -> tuple[Reply, ...]:
    """The only thing that a finished coordination still does."""
    if isinstance(event, UnitRequested):
        return (DeclineRequest(event.peer, DeclineReason.JOB_OVER, MEMORY_RETRY_MS),)
    return (RefuseCommit(event.peer, event.unit, RefuseReason.JOB_OVER),)


def _requested(state: State, event: UnitRequested, now_ms: int, seed: int) -> Step:
    peer = find_peer(state, event.peer)
    reason = _unfit(state, peer, event, now_ms)
    if peer is None or reason is not None:
        return state, (_decline(state, peer, event, reason, now_ms, seed),)
    held = _held(state, peer.wallet)
    for slot, assignment in held:
        if unit_of(state, slot) not in event.holding and assignment.peer == peer.peer:
            return state, (_assign(state, slot, assignment),)
    if len(held) >= state.terms.policy.held_max:
        reason = DeclineReason.HOLDING_ENOUGH
        return state, (_decline(state, peer, event, reason, now_ms, seed),)
    chosen, spare = _choose(state, peer.wallet, len(held), now_ms)
    if chosen is None:
        reason = DeclineReason.NOTHING_OPEN
        return state, (_decline(state, peer, event, reason, now_ms, seed),)
    limit_ms = unit_limit_ms(state.samples_ms, state.terms.unit_timeout_ms, state.terms.policy)
    deadline_ms = now_ms + limit_ms * (len(held) + 1)
    assignment = Assignment(peer.peer, peer.wallet, now_ms, deadline_ms, spare)
    chosen = replace(
        chosen,
        assignments=(*chosen.assignments, assignment),
        lapsed=tuple(old for old in chosen.lapsed if old.wallet != peer.wallet),
    )
    return with_slot(state, chosen), (_assign(state, chosen, assignment),)


def _unfit(
    state: State, peer: Peer | None, event: UnitRequested, now_ms: int
) -> DeclineReason | None:
    worker = find_worker(state, peer.wallet) if peer is not None else None
    if worker is None:
        return DeclineReason.UNKNOWN_PEER
    if not worker.active:
        return DeclineReason.BOND_INACTIVE
    if now_ms < worker.quarantined_until_ms:
        return DeclineReason.QUARANTINED
    if event.memory_bytes < state.terms.unit_peak_bytes:
        return DeclineReason.MEMORY
    return None


def _assign(state: State, slot: Slot, assignment: Assignment) -> AssignUnit:
    unit = unit_of(state, slot)
    return AssignUnit(assignment.peer, unit, assignment.deadline_ms, assignment.spare)


def _decline(
    state: State,
    peer: Peer | None,
    event: UnitRequested,
    reason: DeclineReason | None,
    now_ms: int,
    seed: int,
) -> DeclineRequest:
    wait_ms = jittered_ms(state.terms.policy.retry_ms, seed)
    worker = find_worker(state, peer.wallet) if peer is not None else None
    if reason is DeclineReason.QUARANTINED and worker is not None:
        wait_ms += worker.quarantined_until_ms - now_ms
    if reason is DeclineReason.MEMORY:
        wait_ms = jittered_ms(MEMORY_RETRY_MS, seed)
    return DeclineRequest(event.peer, reason or DeclineReason.UNKNOWN_PEER, wait_ms)


def _held(state: State, wallet: Wallet) -> list[tuple[Slot, Assignment]]:
    return [
        (slot, assignment)
        for slot in state.slots
        for assignment in slot.assignments
        if assignment.wallet == wallet
    ]


def _choose(state: State, wallet: Wallet, held: int, now_ms: int) -> tuple[Slot | None, bool]:
    """The slot for this wallet, and whether it is a repetition."""
    unfilled = [slot for slot in state.slots if slot.status is SlotStatus.OPEN]
    free = [slot for slot in unfilled if not slot.assignments]
    if free:
        if held and len(free) <= _idle_peers(state, wallet, now_ms):
            return None, False
        return free[0], False
    usual = usual_ms(state.samples_ms)
    last_part = max(1, state.terms.slots // LAST_PART)
    if held or usual is None or len(unfilled) > last_part:
        return None, False
    slow = [
        slot
        for slot in unfilled
        if len(slot.assignments) < state.terms.policy.copies_max
        and now_ms - slot.assignments[0].assigned_ms >= usual
    ]
    return (
        (min(slow, key=lambda slot: slot.assignments[0].assigned_ms), True)
        if slow
        else (None, False)
    )


def _idle_peers(state: State, asking: Wallet, now_ms: int) -> int:
    """Other wallets that are connected, may work and hold nothing."""
    busy = {a.wallet for slot in state.slots for a in slot.assignments} | {asking}
    here = {peer.wallet for peer in state.peers if peer.vanished_ms is None}
    return sum(may_work(state, wallet, now_ms) for wallet in sorted(here - busy))


def _committed(state: State, event: UnitCommitted, now_ms: int) -> Step:
    peer = find_peer(state, event.peer)
    reason = _mistimed(state, event)
    if peer is None or reason is not None:
        return state, (_refuse(event, reason or RefuseReason.UNKNOWN_PEER),)
    slot = state.slots[event.unit.slot]
    if slot.filling is not None:
        return _committed_again(state, slot, slot.filling, peer, event)
    worker = worker_or_new(state, peer.wallet)
    if not worker.active:
        return state, (_refuse(event, RefuseReason.BOND_INACTIVE),)
    assignment = _assignment_of(slot, peer.wallet)
    if assignment is None:
        return state, (_refuse(event, RefuseReason.NOT_ASSIGNED),)
    state = with_slot(state, _filled(state, slot, peer, event, now_ms))
    state = with_worker(state, replace(worker, receipted=worker.receipted + 1))
    took_ms = now_ms - max(assignment.assigned_ms, peer.committed_ms)
    state = replace(state, samples_ms=with_sample(state.samples_ms, took_ms))
    state = with_peer(state, replace(peer, committed_ms=now_ms))
    return state, (AcceptCommit(event.peer, event.unit),)


def _mistimed(state: State, event: UnitCommitted) -> RefuseReason | None:
    unit = event.unit
    if unit.round < state.round:
        return RefuseReason.ROUND_OVER
    if unit.round > state.round or not 0 <= unit.slot < len(state.slots):
        return RefuseReason.NOT_ASSIGNED
    attempt = state.slots[unit.slot].attempt
    if unit.attempt != attempt:
        return RefuseReason.ATTEMPT_OVER if unit.attempt < attempt else RefuseReason.NOT_ASSIGNED
    return None


def _committed_again(
    state: State, slot: Slot, filling: Filling, peer: Peer, event: UnitCommitted
) -> Step:
    """The slot is filled: the same claim gets its receipt again, any other a refusal."""
    if filling.wallet != peer.wallet:
        return state, (_refuse(event, RefuseReason.TAKEN),)
    same = (filling.result_root, filling.commitment) == (event.result_root, event.commitment)
    if not same or filling.blob not in (None, event.blob):
        return state, (_refuse(event, RefuseReason.CONFLICT),)
    if filling.blob is None:
        filling = replace(filling, blob=event.blob, peer=event.peer)
        state = with_slot(state, replace(slot, filling=filling))
    return state, (AcceptCommit(event.peer, event.unit),)


def _filled(state: State, slot: Slot, peer: Peer, event: UnitCommitted, now_ms: int) -> Slot:
    others = tuple(a for a in (*slot.lapsed, *slot.assignments) if a.wallet != peer.wallet)
    filling = Filling(
        wallet=peer.wallet,
        result_root=event.result_root,
        commitment=event.commitment,
        signature=event.signature,
        peer=peer.peer,
        blob=event.blob,
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
