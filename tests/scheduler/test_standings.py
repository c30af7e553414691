"""Bounded tables and what is remembered of a wallet."""

import pytest

from scheduler import standings, state
from scheduler.codec import encode_state
from scheduler.commands import AssignUnit, DeclineReason, DeclineRequest
from scheduler.events import PeerVanished, Tick, UnitFaulted
from scheduler.invariants import invariants
from scheduler.standings import admitted, bonded, failed, faulted, may_work, worker_or_new
from scheduler.state import State
from scheduler.terms import PeerId, Wallet
from tests.scheduler.machine import START_MS, Machine, peer, wallet

A = wallet("a")


def fresh() -> State:
    return Machine().state


def test_unknown_wallet_may_not_work() -> None:
    """Somebody must have said that it has a bond."""
    of = fresh()
    assert not may_work(of, A, START_MS)
    bonded(of, A, True, START_MS)
    assert may_work(of, A, START_MS)
    bonded(of, A, False, START_MS)
    assert not may_work(of, A, START_MS)


def test_quarantine_never_shrinks() -> None:
    """A small failure after a great one does not shorten the pause."""
    of = fresh()
    for _ in range(6):
        failed(of, A, START_MS, grave=True)
    until_ms = worker_or_new(of, A).quarantined_until_ms
    faulted(of, A, START_MS)
    assert worker_or_new(of, A).quarantined_until_ms == until_ms


def test_quarantine_is_bounded() -> None:
    """However often a wallet failed, it may try again within the bound."""
    of = fresh()
    for _ in range(100):
        failed(of, A, START_MS)
    most_ms = of.terms.policy.quarantine_max_ms
    assert worker_or_new(of, A).quarantined_until_ms == START_MS + most_ms
    bonded(of, A, True, START_MS)
    assert may_work(of, A, START_MS + most_ms)


def test_quarantine_ends_by_itself() -> None:
    """Its end is a change of the state, so that a replay sees it at the same event."""
    machine = Machine(slots=1)
    machine.join("a")
    failed(machine.state, A, machine.now_ms, grave=True)
    quarantine_ms = machine.state.terms.policy.quarantine_ms
    machine.feed(Tick(), quarantine_ms - 1)
    assert machine.state.workers[A].quarantined_until_ms
    before = machine.digest()
    machine.feed(Tick(), 1)
    assert not machine.state.workers[A].quarantined_until_ms
    assert machine.digest() != before


def test_faults_are_remembered_beyond_stored_results() -> None:
    """Unlike failures: the chain proved them."""
    machine = Machine(slots=2, rounds=3)
    machine.committed("a", "b")
    machine.disputed(0)
    machine.feed(UnitFaulted(machine.at(), machine.unit(0), A))
    machine.feed(Tick(), machine.state.terms.policy.quarantine_ms)
    machine.stored("a")
    assert worker_or_new(machine.state, A).faults == 1


def test_full_table_forgets_the_peer_away_for_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its assignment lapses with it; connected peers are never forgotten."""
    monkeypatch.setattr(standings, "PEERS_MAX", 2)
    machine = Machine(slots=1)
    machine.join("a", "b")
    machine.request("a")
    machine.join("c")
    machine.request("c")
    assert machine.only(DeclineRequest).reason is DeclineReason.UNKNOWN_PEER
    machine.feed(PeerVanished(peer("b")), 1)
    machine.feed(PeerVanished(peer("a")), -1)
    machine.join("c", "d")
    assert sorted(machine.state.peers) == [peer("c"), peer("d")]
    machine.request("c")
    assert machine.issued(AssignUnit)


def test_full_table_of_workers_keeps_those_with_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the others the one with the least to remember goes first."""
    monkeypatch.setattr(state, "WORKERS_MAX", 3)
    machine = Machine()
    machine.join("a")
    of = machine.state
    faulted(of, wallet("liar"), START_MS)
    failed(of, wallet("slow"), START_MS)
    bonded(of, wallet("new"), True, START_MS)
    assert sorted(of.workers) == [A, wallet("liar"), wallet("new")]
    bonded(of, wallet("newer"), True, START_MS)
    assert sorted(of.workers) == [A, wallet("liar"), wallet("newer")]


def test_no_order_of_arrival_shows_in_the_state() -> None:
    """Nor in its bytes, nor in its indexes."""
    forth, back = fresh(), fresh()
    names = [f"{i:02}" for i in range(20)]
    for name in names:
        admitted(forth, PeerId(name), Wallet(name), True, START_MS)
    for name in reversed(names):
        admitted(back, PeerId(name), Wallet(name), True, START_MS)
    assert forth == back
    assert encode_state(forth) == encode_state(back)
    assert invariants(forth) == invariants(back) == []
    assert {row.wallet for row in forth.peers.values()} == set(forth.workers) == set(names)
