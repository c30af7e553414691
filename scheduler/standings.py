"""A wallet's standing: who may work, what a failure costs, when it is forgotten.

Failures (overdue, missing, malformed) quarantine with a doubling pause from the second in a row, a
malformed result or a proven fault at once. A stored result forgives failures; a fault is
remembered. Nothing here touches money: slashing is the chain's. Both tables are bounded.
"""

from dataclasses import replace

from scheduler.deadlines import backoff_ms
from scheduler.state import Peer, State, Worker, find_peer, find_worker, with_peer, with_worker
from scheduler.terms import PEERS_MAX, WORKERS_MAX, PeerId, Wallet

FAILURES_FREE = 1


def worker_or_new(state: State, wallet: Wallet) -> Worker:
    """The wallet's row; a new one has no bond until somebody says so."""
    return find_worker(state, wallet) or Worker(wallet, active=False)


def may_work(state: State, wallet: Wallet, now_ms: int) -> bool:
    """Bonded and not in quarantine."""
    worker = find_worker(state, wallet)
    return worker is not None and worker.active and now_ms >= worker.quarantined_until_ms


def admitted(state: State, peer: PeerId, wallet: Wallet, active: bool) -> State:
    """The peer is connected. With a full table of connected peers it stays unknown."""
    if find_peer(state, peer) is None and len(state.peers) >= PEERS_MAX:
        state = _without_a_vanished_peer(state)
        if len(state.peers) >= PEERS_MAX:
            return state
    old = find_peer(state, peer)
    committed_ms = old.committed_ms if old is not None and old.wallet == wallet else 0
    state = with_peer(state, Peer(peer, wallet, None, committed_ms))
    return bonded(state, wallet, active)


def bonded(state: State, wallet: Wallet, active: bool) -> State:
    """The wallet's bond suffices, or not."""
    if find_worker(state, wallet) is None and len(state.workers) >= WORKERS_MAX:
        state = _without_an_absent_worker(state)
    return with_worker(state, replace(worker_or_new(state, wallet), active=active))


def failed(state: State, wallet: Wallet, now_ms: int, grave: bool = False) -> State:
    """A unit of this wallet came to nothing; `grave`: not by bad luck."""
    worker = worker_or_new(state, wallet)
    failures = worker.failures + 1
    worker = replace(worker, failures=failures)
    excess = failures - (0 if grave else FAILURES_FREE)
    if excess > 0:
        worker = _quarantined(state, worker, now_ms, excess - 1)
    return with_worker(state, worker)


def faulted(state: State, wallet: Wallet, now_ms: int) -> State:
    """The chain proved a fault of this wallet."""
    worker = worker_or_new(state, wallet)
    worker = replace(worker, faults=worker.faults + 1)
    return with_worker(state, _quarantined(state, worker, now_ms, worker.faults - 1))


def _quarantined(state: State, worker: Worker, now_ms: int, doublings: int) -> Worker:
    policy = state.terms.policy
    until = now_ms + backoff_ms(policy.quarantine_ms, doublings, policy.quarantine_max_ms)
    return replace(worker, quarantined_until_ms=max(until, worker.quarantined_until_ms))


def _without_a_vanished_peer(state: State) -> State:
    """Forget the peer that has been away for longest; its assignments lapse with it."""
    gone = [row for row in state.peers if row.vanished_ms is not None]
    if not gone:
        return state
    oldest = min(gone, key=lambda row: (row.vanished_ms or 0, row.peer))
    return replace(state, peers=tuple(row for row in state.peers if row is not oldest))


def _without_an_absent_worker(state: State) -> State:
    """Forget the wallet with the least to remember among those that take no part now."""
    present = {row.wallet for row in state.peers}
    for slot in state.slots:
        present |= {assignment.wallet for assignment in (*slot.assignments, *slot.lapsed)}
        present |= {slot.filling.wallet} if slot.filling is not None else set()
    absent = [row for row in state.workers if row.wallet not in present]
    if not absent:
        return state
    least = min(absent, key=lambda row: (row.faults, row.failures, row.wallet))
    return replace(state, workers=tuple(row for row in state.workers if row is not least))
