"""Claims of a coordinator before: who holds a result may come back before it is computed anew."""

from dataclasses import replace

import pytest

from scheduler.commands import Combine, FetchResult, RecoverResult
from scheduler.coordinator import pending, start
from scheduler.events import (
    NodeRestarted,
    ResultFault,
    ResultRefused,
    ResultStored,
    RoundCommittedOnChain,
    Tick,
    UnitDisputed,
    UnitPassed,
    UnitVerified,
)
from scheduler.progress import why_waiting
from scheduler.terms import Claim, Policy, UnitRef
from tests.scheduler.machine import Machine, blob, commit, peer, root, wallet

WAIT_MS = Policy().holders_return_ms
UNIT = UnitRef(0, 0, 0)


def successor(rounds_ahead: int = 0) -> Machine:
    """One slot, whose claim by `a` was put on the chain by a coordinator before."""
    machine = Machine(slots=1)
    terms = replace(machine.state.terms, rounds_ahead=rounds_ahead)
    machine.state, machine.commands = start(replace(machine.begun, terms=terms), machine.now_ms)
    claim = Claim(0, 0, wallet("a"), root("a", UNIT), wallet("a").encode(), b"signed")
    machine.feed(RoundCommittedOnChain(machine.at(), 0, 0, (claim,)))
    assert not may_compute(machine)
    return machine


def passes(machine: Machine, window_ms: int = 10 * WAIT_MS) -> None:
    machine.feed(UnitPassed(machine.at(), UNIT, machine.now_ms + window_ms))


def may_compute(machine: Machine) -> bool:
    """Whether the unit may be computed anew; its result is looked for either way."""
    (command,) = (c for c in pending(machine.state) if isinstance(c, RecoverResult))
    return command.anew


def reason(machine: Machine) -> str:
    return why_waiting(machine.state, machine.now_ms)


def test_unit_is_computed_anew_when_nobody_who_holds_it_came_back() -> None:
    """Not before, and then at once: the round closes also if they never come."""
    machine = successor()
    passes(machine)
    machine.feed(Tick(), WAIT_MS - 1)
    assert not may_compute(machine)
    machine.feed(Tick(), 1)
    assert machine.only(RecoverResult).anew
    machine.feed(ResultStored(UNIT, blob("a", UNIT), recomputed=True))
    assert machine.issued(Combine)


def test_result_whose_holder_comes_back_is_not_computed_anew() -> None:
    """It was only being started again."""
    machine = successor()
    passes(machine)
    machine.feed(ResultStored(UNIT, blob("a", UNIT)), WAIT_MS - 1)
    assert machine.issued(Combine)
    machine.feed(Tick(), WAIT_MS)
    assert not any(isinstance(command, RecoverResult) for command in pending(machine.state))


def test_unit_under_audit_is_not_computed_anew() -> None:
    """Nothing waits for its result yet, and it may turn out to be at fault."""
    machine = successor()
    machine.drawn(due_ms=10 * WAIT_MS)
    for _ in range(3):
        machine.feed(Tick(), WAIT_MS)
        assert not may_compute(machine)
    passes(machine)
    machine.feed(Tick(), WAIT_MS)
    assert may_compute(machine)


def test_unit_under_audit_is_computed_anew_where_rounds_run_ahead() -> None:
    """The next round waits for its result."""
    machine = successor(rounds_ahead=1)
    machine.feed(Tick(), WAIT_MS - 1)
    assert not may_compute(machine)
    machine.feed(Tick(), 1)
    assert may_compute(machine)


def test_unit_is_computed_anew_while_it_can_be_challenged() -> None:
    """What nobody gives may be a lie: half of the window is left to say so."""
    machine = successor()
    passes(machine, WAIT_MS)
    machine.feed(Tick(), WAIT_MS // 2 - 1)
    assert not may_compute(machine)
    machine.feed(Tick(), 1)
    assert may_compute(machine)


def test_disputed_unit_is_not_computed_anew_before_its_verdict() -> None:
    """This node challenged it, because it is a lie: to compute it once was enough."""
    machine = successor()
    passes(machine)
    machine.feed(Tick(), WAIT_MS)
    assert may_compute(machine)
    machine.feed(UnitDisputed(machine.at(), UNIT))
    assert not may_compute(machine)
    assert "anew" not in reason(machine)
    machine.feed(UnitVerified(machine.at(), UNIT, 0))
    assert may_compute(machine)


def test_window_that_is_over_hurries_nobody() -> None:
    """A successor reads verdicts long after they were given."""
    machine = successor()
    passes(machine, -1)
    machine.feed(Tick(), WAIT_MS - 1)
    assert not may_compute(machine)


def test_time_that_the_coordinator_was_away_does_not_count() -> None:
    """It could not ask the holders."""
    machine = successor()
    passes(machine)
    machine.feed(NodeRestarted(), 5 * WAIT_MS)
    machine.feed(Tick(), WAIT_MS - 1)
    assert not may_compute(machine)
    machine.feed(Tick(), 1)
    assert may_compute(machine)


def test_coordinator_that_was_away_leaves_time_for_a_challenge() -> None:
    """The chain's clock went on: half of what is left of the window remains."""
    machine = successor()
    passes(machine, 3 * WAIT_MS)
    machine.feed(NodeRestarted(), 5 * WAIT_MS // 2)
    machine.feed(Tick(), WAIT_MS // 4 - 1)
    assert not may_compute(machine)
    machine.feed(Tick(), 1)
    assert may_compute(machine)


def test_worker_that_offers_its_result_and_fails_leaves_the_wait_as_it_was() -> None:
    """Others who hold it may still come."""
    machine = successor()
    passes(machine)
    machine.join("a")
    machine.feed(commit("a", UNIT))
    assert "fetched" in reason(machine)
    machine.feed(ResultRefused(UNIT, blob("a", UNIT), peer("a"), ResultFault.SILENT), WAIT_MS - 1)
    assert not may_compute(machine)
    machine.feed(Tick(), 1)
    assert may_compute(machine)


def test_offer_of_something_else_does_not_keep_the_result_away() -> None:
    """The chain binds the result's root, not its blob: a worker may offer any, and never end."""
    machine = successor()
    passes(machine)
    machine.join("a")
    other = blob("other", UNIT)
    machine.feed(replace(commit("a", UNIT), blob=other))
    assert machine.only(FetchResult).blob == other
    assert not may_compute(machine)
    machine.feed(Tick(), WAIT_MS)
    assert may_compute(machine)
    stored = machine.state.workers[wallet("a")].stored
    machine.feed(ResultStored(UNIT, blob("a", UNIT), recomputed=True))
    assert machine.issued(Combine)
    assert (machine.slot().filling.blob, machine.slot().filling.peer) == (blob("a", UNIT), None)
    assert machine.state.workers[wallet("a")].stored == stored
    left = {type(command) for command in pending(machine.state)}
    assert not left & {FetchResult, RecoverResult}


@pytest.mark.parametrize("fault", ResultFault)
def test_worker_that_offers_what_is_no_result_is_in_quarantine(fault: ResultFault) -> None:
    """As it would be for a result of its own; whoever is slow is not."""
    machine = successor()
    machine.join("a")
    machine.feed(commit("a", UNIT))
    machine.feed(ResultRefused(UNIT, blob("a", UNIT), peer("a"), fault))
    until_ms = machine.state.workers[wallet("a")].quarantined_until_ms
    assert (until_ms > machine.now_ms) == (fault is ResultFault.MALFORMED)


@pytest.mark.parametrize("rounds_ahead", [0, 1])
def test_wait_and_its_end_are_shown(rounds_ahead: int) -> None:
    """Every wait has a reason, with its end where it has one."""
    machine = successor(rounds_ahead)
    waits = "slot 0 waits for a peer that holds its result to come back"
    assert (f"{waits}, 60 s at most" if rounds_ahead else waits) in reason(machine)
    passes(machine)
    assert f"{waits}, 60 s at most" in reason(machine)
    machine.feed(Tick(), WAIT_MS)
    assert "slot 0 waits to be computed anew: nobody" in reason(machine)
