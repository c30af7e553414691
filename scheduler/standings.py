"""A wallet's standing: who may work, what a failure costs, when it is forgotten.

Failures (overdue, missing, malformed) quarantine with a doubling pause from the second in a row, a
malformed result or a proven fault at once. A stored result forgives failures; a fault is
remembered. Nothing here touches money: slashing is the chain's. Both tables are bounded.
"""

from dataclasses import replace

from scheduler.deadlines import backoff_ms, smoothed_ms
from scheduler.rows import Peer, Slot, Worker
from scheduler.state import State
from scheduler.terms import COVERS_MAX, PEERS_MAX, PeerId, Wallet

FAILURES_FREE = 1


def worker_or_new(state: State, wallet: Wallet) -> Worker:
    """The wallet's row; a new one has no bond until somebody says so."""
    return state.workers.get(wallet) or Worker(wallet, active=False)


def may_work(state: State, wallet: Wallet, now_ms: int) -> bool:
    """Bonded and not in quarantine."""
    worker = state.workers.get(wallet)
    return worker is not None and worker.active and now_ms >= worker.quarantined_until_ms


def admitted(
    state: State,
    peer: PeerId,
    wallet: Wallet,
    active: bool,
    now_ms: int,
    covers: int = COVERS_MAX,
) -> None:
    """The peer is connected. With a full table of connected peers it stays unknown."""
    old = state.peers.get(peer)
    if old is None and len(state.peers) >= PEERS_MAX:
        _forget_a_vanished_peer(state)
        if len(state.peers) >= PEERS_MAX:
            return
    row = old if old is not None and old.wallet == wallet else Peer(peer, wallet)
    bonded(state, wallet, active, now_ms, covers)
    state.put_peer(replace(row, vanished_ms=None))
    _expect(state, row, None)


def vanished(state: State, peer: Peer, now_ms: int) -> None:
    """The peer's connection ended; its units wait for it a while.

    What it offered counts no more: it may return with other memory.
    """
    state.put_peer(replace(peer, vanished_ms=now_ms, memory_bytes=None))
    _expect(state, peer, now_ms + state.terms.policy.reconnect_grace_ms)


def _expect(state: State, peer: Peer, grace_ms: int | None) -> None:
    """How long what the peer computes waits for it to be there again; None: it is there."""
    for index in sorted(state.open.index.held.get(peer.wallet, ())):
        slot = state.slots[index]
        assignments = tuple(
            replace(a, grace_ms=grace_ms) if a.peer == peer.peer else a for a in slot.assignments
        )
        state.put_slot(replace(slot, assignments=assignments))


def bonded(
    state: State, wallet: Wallet, active: bool, now_ms: int, covers: int = COVERS_MAX
) -> None:
    """The wallet's bond suffices, or not, and covers so many units that are not on the chain.

    What it holds or has claimed beyond that stays: the chain may free more before it is sent.
    """
    covers = max(0, min(covers, COVERS_MAX))
    state.put_worker(replace(worker_or_new(state, wallet), active=active, covers=covers))
    if not active:
        _drop_unbonded(state, wallet, now_ms)


def _drop_unbonded(state: State, wallet: Wallet, now_ms: int) -> None:
    """The chain refuses a claim without an active bond, so such a claim must not wait for it."""
    index = state.open.index
    for at in sorted(index.claimed.get(wallet, ())):
        state.put_slot(emptied(state.slots[at], now_ms))
    for at in sorted(index.held.get(wallet, ())):
        slot = state.slots[at]
        kept = tuple(a for a in slot.assignments if a.wallet != wallet)
        since_ms = slot.since_ms if kept else now_ms
        state.put_slot(replace(slot, assignments=kept, since_ms=since_ms))
    for at in sorted(index.stored):
        _drop_holding(state, state.slots[at], wallet)


def _drop_holding(state: State, slot: Slot, wallet: Wallet) -> None:
    """Without a bond its word counts no more, where it still has to, and nobody waits for it."""
    slot = replace(slot, asks=tuple(ask for ask in slot.asks if ask.wallet != wallet))
    if slot.filling is not None and wallet in slot.filling.holders:
        kept = tuple(h for h in slot.filling.holdings if h.wallet != wallet)
        slot = replace(slot, filling=replace(slot.filling, holdings=kept))
    state.put_slot(slot)


def emptied(slot: Slot, now_ms: int) -> Slot:
    """The slot open again, at the same attempt; others that still compute it may fill it."""
    return Slot(slot.index, slot.attempt, since_ms=now_ms, lapsed=slot.lapsed)


def timed(state: State, wallet: Wallet, took_ms: int) -> None:
    """A unit took the wallet so long."""
    worker = state.workers[wallet]
    state.put_worker(replace(worker, unit_ms=smoothed_ms(worker.unit_ms, took_ms)))


def failed(state: State, wallet: Wallet, now_ms: int, grave: bool = False) -> None:
    """A unit of this wallet came to nothing; `grave`: not by bad luck."""
    worker = worker_or_new(state, wallet)
    failures = worker.failures + 1
    worker = replace(worker, failures=failures)
    excess = failures - (0 if grave else FAILURES_FREE)
    if excess > 0:
        worker = _quarantined(state, worker, now_ms, excess - 1)
    state.put_worker(worker)


def faulted(state: State, wallet: Wallet, now_ms: int) -> None:
    """The chain proved a fault of this wallet."""
    worker = worker_or_new(state, wallet)
    worker = replace(worker, faults=worker.faults + 1)
    state.put_worker(_quarantined(state, worker, now_ms, worker.faults - 1))


def _quarantined(state: State, worker: Worker, now_ms: int, doublings: int) -> Worker:
    policy = state.terms.policy
    until = now_ms + backoff_ms(policy.quarantine_ms, doublings, policy.quarantine_max_ms)
    return replace(worker, quarantined_until_ms=max(until, worker.quarantined_until_ms))


def _forget_a_vanished_peer(state: State) -> None:
    """Forget the peer that has been away for longest; what it computes lapses at once."""
    oldest = state.crowd.vanished.first()
    if oldest is not None:
        row = state.peers[oldest]
        _expect(state, row, 0)
        state.drop_peer(row)
