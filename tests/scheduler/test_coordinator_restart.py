"""Time, the order of the chain, take-over by another node, restarts from the journal."""

from dataclasses import replace

import pytest

from scheduler.codec import Entry, encode
from scheduler.commands import (
    AcceptCommit,
    CaptureDraw,
    Combine,
    CommitRound,
    ExpireUnit,
    FetchResult,
    PublishRound,
    RecoverResult,
)
from scheduler.coordinator import digest, handle, pending, replay, start
from scheduler.errors import IllegalEvent, JournalError
from scheduler.events import (
    ChallengeWindowOver,
    NodeRestarted,
    ResultFault,
    ResultRefused,
    ResultStored,
    RoundCommittedOnChain,
    RoundFinalizedOnChain,
    Tick,
    UnitDrawn,
    UnitPassed,
    UnitVoided,
)
from scheduler.rows import SlotStatus
from scheduler.terms import Claim, Position, UnitRef
from tests.scheduler.machine import (
    AUDITOR,
    TIMEOUT_MS,
    Machine,
    blob,
    commit,
    peer,
    root,
    wallet,
)

NEXT = b"c" * 32


# --- Time and the chain's order ---


def test_chain_event_repeated_is_ignored_by_its_position() -> None:
    """After a restart the log is read again."""
    machine = Machine()
    machine.submitted("a", "b")
    claims = machine.only(CommitRound).claims
    event = RoundCommittedOnChain(Position(5, 1), 0, 0, claims)
    machine.feed(event)
    assert machine.state.chain_at == Position(5, 1)
    before = machine.digest()
    machine.feed(event)
    machine.feed(UnitPassed(Position(5, 0), machine.unit(0), 0))
    assert machine.digest() == before
    machine.feed(UnitPassed(Position(5, 2), machine.unit(0), 0))
    assert machine.slot(0).status is SlotStatus.PASSED


def test_clock_that_steps_back_does_not_turn_time_back() -> None:
    """Deadlines are reckoned from the latest time that was seen."""
    machine = Machine()
    machine.join("a", "b")
    latest = machine.now_ms
    machine.now_ms -= 1_000_000
    machine.request("a")
    assert machine.slot().assignments[0].assigned_ms == latest


def test_tick_without_effect_returns_the_same_state() -> None:
    """So that it need not be journaled."""
    machine = Machine()
    before = machine.digest()
    machine.feed(Tick(), 5_000)
    assert machine.digest() == before


# --- Take-over ---


def test_claims_of_a_predecessor_are_adopted_and_recovered() -> None:
    """Its round goes on; results that are not here are looked for before anything is combined."""
    machine = Machine()
    units = [UnitRef(0, 0, 0), UnitRef(0, 1, 0)]
    claims = tuple(
        Claim(unit.slot, 0, wallet(n), root(n, unit), wallet(n).encode(), b"signed")
        for n, unit in zip("ab", units, strict=True)
    )
    machine.feed(RoundCommittedOnChain(machine.at(), 0, 0, claims))
    assert machine.commands == (
        RecoverResult(units[0], wallet("a"), root("a", units[0]), anew=False),
        CaptureDraw(0, 0),
        RecoverResult(units[1], wallet("b"), root("b", units[1]), anew=False),
    )
    machine.passed(0)
    machine.passed(1)
    assert not machine.issued(Combine)
    machine.feed(ResultStored(units[1], blob("b", units[1])))
    machine.join("a")
    machine.feed(commit("a", units[0]))
    assert [type(command) for command in machine.commands] == [AcceptCommit, FetchResult]
    machine.feed(ResultStored(units[0], blob("a", units[0])))
    assert machine.issued(Combine)


def test_claim_on_the_chain_displaces_another_that_was_stored_here() -> None:
    """The predecessor's last transaction was faster than our reading of the chain."""
    machine = Machine()
    unit = machine.stored("a")
    claim = Claim(0, 0, wallet("b"), root("b", unit), b"b", b"signed")
    machine.feed(RoundCommittedOnChain(machine.at(), 0, 0, (claim,)))
    assert machine.commands == (
        RecoverResult(unit, wallet("b"), root("b", unit), anew=False),
        CaptureDraw(0, 0),
    )


@pytest.mark.parametrize("attempt", [0, 2])
def test_chain_event_about_another_attempt_is_illegal(attempt: int) -> None:
    """Even where the slot's status would admit it."""
    machine = Machine()
    machine.committed("a", "b")
    machine.disputed(0)
    machine.feed(UnitVoided(machine.at(), machine.unit(0)))
    machine.stored("a")
    machine.claim_on_chain()
    with pytest.raises(IllegalEvent, match="attempt 1"):
        machine.feed(UnitPassed(machine.at(), UnitRef(0, 0, attempt), 0))


def test_failed_recovery_leaves_the_claim_and_looks_elsewhere() -> None:
    """What stands on the chain is not ours to drop."""
    machine = Machine(slots=1)
    unit = UnitRef(0, 0, 0)
    claim = Claim(0, 0, wallet("a"), root("a", unit), wallet("a").encode(), b"signed")
    machine.feed(RoundCommittedOnChain(machine.at(), 0, 0, (claim,)))
    machine.join("a")
    machine.feed(commit("a", unit))
    machine.feed(ResultRefused(unit, blob("a", unit), peer("a"), ResultFault.UNAVAILABLE))
    assert [type(command) for command in pending(machine.state)[-2:]] == [
        RecoverResult,
        CaptureDraw,
    ]
    assert machine.slot().status is SlotStatus.COMMITTED


def test_history_of_earlier_rounds_is_ignored() -> None:
    """A new coordinator may read the job's log from its beginning."""
    machine = Machine(rounds=3)
    machine.state, _ = start(replace(machine.begun, round=2), machine.now_ms)
    for event in (
        RoundCommittedOnChain(machine.at(), 0, 0, ()),
        UnitDrawn(machine.at(), UnitRef(0, 0, 0), AUDITOR, 0),
        RoundFinalizedOnChain(machine.at(), 1, NEXT),
    ):
        machine.feed(event)
    assert machine.state.round == 2
    assert machine.state.chain_at == Position(3, 0)


# --- Restarts ---


def test_replay_gives_the_same_digest_and_pending_commands() -> None:
    """The journal is the state."""
    machine = Machine()
    machine.committed("a", "b")
    machine.drawn(0, due_ms=0)
    machine.feed(Tick())
    replayed = replay(machine.journal)
    assert digest(replayed.state) == digest(machine.state)
    assert (replayed.illegal, replayed.torn) == (0, False)
    assert pending(replayed.state) == (
        PublishRound(0),
        ExpireUnit(UnitRef(0, 0, 0)),
        CaptureDraw(0, 0),
    )


@pytest.mark.parametrize("keep", [0, 1, 20, -1])
def test_replay_drops_a_torn_last_record(keep: int) -> None:
    """Its commands were never carried out."""
    machine = Machine()
    machine.join("a")
    expected = digest(machine.state)
    machine.request("a")
    replayed = replay([*machine.journal[:-1], machine.journal[-1][:keep]])
    assert replayed.torn
    assert digest(replayed.state) == expected


def test_replay_of_a_damaged_journal_fails() -> None:
    """Only the last record can be torn by a crash; anything else is damage."""
    machine = Machine()
    machine.join("a", "b")
    damaged = [machine.journal[0], machine.journal[1][:-1], machine.journal[2]]
    with pytest.raises(JournalError, match="no JSON object"):
        replay(damaged)
    with pytest.raises(JournalError, match="no records"):
        replay([])
    with pytest.raises(JournalError, match="CoordinationStarted"):
        replay(machine.journal[1:])


def test_replay_skips_illegal_events_and_counts_them() -> None:
    """They changed nothing when they were journaled."""
    machine = Machine()
    machine.join("a")
    wrong = encode(Entry(machine.now_ms, 0, ChallengeWindowOver(1)))
    replayed = replay([machine.journal[0], wrong, *machine.journal[1:]])
    assert replayed.illegal == 1
    assert digest(replayed.state) == digest(machine.state)


def test_restart_gives_peers_the_time_that_the_node_was_away() -> None:
    """It was not their fault: deadlines and fetches move by the pause."""
    machine = Machine(slots=3)
    machine.assign("a", "b")
    machine.feed(commit("a", machine.unit(0)))
    deadline_ms = machine.slot(1).assignments[0].deadline_ms
    machine.feed(NodeRestarted(), after_ms=3 * TIMEOUT_MS)
    assert machine.slot(0).status is SlotStatus.RECEIPTED
    assert machine.slot(1).assignments[0].deadline_ms == deadline_ms + 3 * TIMEOUT_MS
    machine.join("b")
    machine.feed(Tick(), machine.state.terms.policy.reconnect_grace_ms)
    assert machine.held("b")


def test_restart_takes_every_peer_for_vanished() -> None:
    """One that does not come back within the grace loses its unit."""
    machine = Machine()
    machine.assign("a")
    machine.feed(NodeRestarted(), after_ms=1_000)
    assert all(row.vanished_ms == machine.now_ms for row in machine.state.peers.values())
    machine.feed(Tick(), machine.state.terms.policy.reconnect_grace_ms)
    assert not machine.held("a")


def test_handle_never_repeats_what_already_stands() -> None:
    """A command is issued when it begins to hold."""
    machine = Machine()
    machine.receipted("a")
    assert handle(machine.state, Tick(), machine.now_ms).commands == ()
    assert len(pending(machine.state)) == 2
