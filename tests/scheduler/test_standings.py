"""Bounded tables and what is remembered of a wallet."""

from dataclasses import replace

import pytest

from scheduler import standings
from scheduler.commands import AssignUnit, DeclineReason, DeclineRequest
from scheduler.events import PeerVanished, Tick, UnitFaulted
from scheduler.standings import admitted, bonded, failed, faulted, may_work, worker_or_new
from scheduler.state import State, find_peer, find_worker
from scheduler.terms import PeerId, Wallet
from tests.scheduler.machine import START_MS, Machine, peer, wallet

A = wallet("a")


def fresh() -> State:
    return Machine().state


def test_unknown_wallet_may_not_work() -> None:
    """Somebody must have said that it has a bond."""
    assert not may_work(fresh(), A, START_MS)
    assert may_work(bonded(fresh(), A, True), A, START_MS)
    assert not may_work(bonded(fresh(), A, False), A, START_MS)


def test_quarantine_never_shrinks() -> None:
    """A small failure after a great one does not shorten the pause."""
    state = fresh()
    for _ in range(6):
        state = failed(state, A, START_MS, grave=True)
    until_ms = worker_or_new(state, A).quarantined_until_ms
    state = faulted(state, A, START_MS)
    assert worker_or_new(state, A).quarantined_until_ms == until_ms


def test_quarantine_is_bounded() -> None:
    """However often a wallet failed, it may try again within the bound."""
    state = fresh()
    for _ in range(100):
        state = failed(state, A, START_MS)
    most_ms = state.terms.policy.quarantine_max_ms
    assert worker_or_new(state, A).quarantined_until_ms == START_MS + most_ms
    assert may_work(bonded(state, A, True), A, START_MS + most_ms)


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
    assert [row.peer for row in machine.state.peers] == [peer("c"), peer("d")]
    machine.request("c")
    assert machine.issued(AssignUnit)


def test_full_table_of_workers_keeps_those_with_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the others the one with the least to remember goes first."""
    monkeypatch.setattr(standings, "WORKERS_MAX", 3)
    machine = Machine()
    machine.join("a")
    state = faulted(machine.state, wallet("liar"), START_MS)
    state = failed(state, wallet("slow"), START_MS)
    state = bonded(state, wallet("new"), True)
    assert [row.wallet for row in state.workers] == [A, wallet("liar"), wallet("new")]
    state = bonded(state, wallet("newer"), True)
    assert [row.wallet for row in state.workers] == [A, wallet("liar"), wallet("newer")]


def test_tables_are_sorted_however_they_were_filled() -> None:
    """No order of arrival survives in the state."""
    forth, back = fresh(), fresh()
    names = [f"{i:02}" for i in range(20)]
    for name in names:
        forth = admitted(forth, PeerId(name), Wallet(name), True)
    for name in reversed(names):
        back = admitted(back, PeerId(name), Wallet(name), True)
    assert forth == back
    for name in names:
        row = find_peer(forth, PeerId(name))
        worker = find_worker(forth, Wallet(name))
        assert row is not None
        assert worker is not None
        assert (row.wallet, worker.wallet) == (name, name)
    assert find_peer(forth, PeerId("zz")) is None
    assert find_worker(replace(forth, workers=()), Wallet("00")) is None
