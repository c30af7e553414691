"""Who is given work and who is not: speed, memory, probation, pauses, deadlines, few peers."""

from dataclasses import replace

import pytest

from scheduler.commands import (
    AcceptCommit,
    AssignUnit,
    CommitRound,
    DeclineReason,
    DeclineRequest,
    FinishJob,
)
from scheduler.commands import Outcome as Ended
from scheduler.coordinator import start
from scheduler.events import (
    ChallengeWindowOver,
    JobCancelled,
    JobExpired,
    NodeRestarted,
    PauseOrdered,
    PeerVanished,
    ResultFault,
    ResultRefused,
    Tick,
    UnitRequested,
)
from scheduler.progress import why_waiting
from scheduler.rows import SlotStatus
from scheduler.terms import Policy, UnitRef
from tests.scheduler.machine import MEMORY_BYTES, TIMEOUT_MS, Machine, blob, commit, peer, wallet

DEADLINE_MS = 900_000


def declined(machine: Machine) -> DeclineReason:
    return machine.only(DeclineRequest).reason


def with_speed(machine: Machine, **unit_ms: int) -> Machine:
    """Peers with a stored result behind them that took so long for a unit."""
    machine.proven(*unit_ms)
    for name, took_ms in unit_ms.items():
        row = machine.state.workers[wallet(name)]
        machine.state.put_worker(replace(row, unit_ms=took_ms))
    return machine


# --- Speed ---


def test_last_slot_is_kept_for_a_faster_idle_peer_for_half_the_slower_ones_time() -> None:
    """Longer would not pay: by then the slow one would have been half done."""
    machine = with_speed(Machine(slots=1), fast=2_000, slow=20_000)
    machine.request("slow")
    assert declined(machine) is DeclineReason.KEPT_FOR_FASTER
    machine.request("slow", after_ms=9_999)
    assert declined(machine) is DeclineReason.KEPT_FOR_FASTER
    machine.request("slow", after_ms=1)
    assert machine.issued(AssignUnit)


def test_last_slot_goes_to_the_faster_peer_that_asks() -> None:
    """And with more slots than faster peers the slow one gets its own."""
    machine = with_speed(Machine(slots=2), fast=2_000, slow=20_000)
    machine.request("slow")
    assert machine.issued(AssignUnit)
    machine.request("fast")
    assert machine.issued(AssignUnit)


@pytest.mark.parametrize("why", ["busy", "away", "small", "hardly faster", "unbonded"])
def test_slot_is_not_kept_for_a_peer_that_would_not_take_it(why: str) -> None:
    """Only for one that is here, fit, idle, and at least twice as fast."""
    fast_ms = 10_001 if why == "hardly faster" else 2_000
    machine = with_speed(Machine(slots=2), fast=fast_ms, slow=20_000)
    machine.assign("fast" if why == "busy" else "other")
    if why in ("away", "small"):
        machine.feed(PeerVanished(peer("fast")))
    if why == "small":
        machine.join("fast")
        machine.feed(UnitRequested(peer("fast"), 1))
    if why == "unbonded":
        machine.join("fast", active=False)
    machine.request("slow", after_ms=9_000)
    assert machine.issued(AssignUnit)


def test_result_at_hand_is_asked_for_first_and_says_nothing_about_speed() -> None:
    """The highest slot, if that is the one; the next peer gets the lowest as ever."""
    machine = Machine(slots=4)
    machine.proven("a", "b")
    samples = machine.state.samples_ms
    machine.request("a", ready=[machine.unit(3)])
    assigned = machine.only(AssignUnit)
    assert (assigned.unit, assigned.spare) == (machine.unit(3), False)
    machine.feed(commit("a", machine.unit(3)))
    machine.only(AcceptCommit)
    assert machine.state.samples_ms == samples
    assert machine.state.workers[wallet("a")].unit_ms == 0
    machine.request("b")
    assert machine.only(AssignUnit).unit == machine.unit(0)


def test_result_at_hand_fills_a_slot_that_another_has_just_begun() -> None:
    """It costs nothing more; but a slot that is filled, or of another attempt, is not given."""
    machine = Machine(slots=2)
    machine.proven("a", "b")
    machine.request("b")
    machine.request("a", ready=[UnitRef(0, 0, 7), UnitRef(9, 1, 0), UnitRef(0, 99, 0)])
    assert machine.only(AssignUnit).unit == machine.unit(1)
    machine.feed(commit("a", machine.unit(1)))
    machine.request("a", ready=[machine.unit(1), machine.unit(0)])
    assigned = machine.only(AssignUnit)
    assert (assigned.unit, assigned.spare) == (machine.unit(0), True)


def test_who_claims_to_have_everything_gets_no_more_than_others() -> None:
    """One at a time on probation; nothing while a unit is not delivered."""
    machine = Machine(slots=4)
    machine.join("a")
    everything = [machine.unit(slot) for slot in range(4)]
    machine.request("a", ready=everything)
    assert machine.issued(AssignUnit)
    machine.request_more("a", ready=everything)
    assert declined(machine) is DeclineReason.HOLDING_ENOUGH


def test_unit_that_a_peer_holds_is_not_given_to_it_again_as_one_at_hand() -> None:
    """Another peer of its wallet may have it at hand, and that must not break the round."""
    machine = Machine(slots=2)
    machine.proven("a")
    machine.request("a")
    held = machine.only(AssignUnit).unit
    machine.request_more("a", ready=[held])
    assert len(machine.state.slots[held.slot].assignments) == 1


def test_unit_times_are_smoothed_and_measured_also_when_late() -> None:
    """A result that came second still says how fast its worker is, once."""
    machine = Machine(slots=1)
    machine.join("a", "b")
    machine.request("a")
    machine.request("b", after_ms=TIMEOUT_MS)
    unit = machine.unit(0)
    machine.feed(commit("b", unit), 4_000)
    assert machine.state.workers[wallet("b")].unit_ms == 4_000
    machine.feed(commit("a", unit), 1_000)
    late_ms = TIMEOUT_MS + 5_000
    assert machine.state.workers[wallet("a")].unit_ms == late_ms
    before = machine.digest()
    machine.feed(commit("a", unit), 1_000)
    assert machine.digest() == before


def test_fast_peer_takes_more_slots_than_a_slow_one() -> None:
    """Work is pulled: over a round each gets what it can do."""
    machine = with_speed(Machine(slots=40, rounds=1), fast=1_000, slow=4_000)
    free_ms = {"fast": 0, "slow": 0}
    got = dict.fromkeys(free_ms, 0)
    for now_ms in range(0, 60_000, 500):
        machine.now_ms += 500
        for name in sorted(free_ms):
            for unit in machine.held(name) if free_ms[name] <= now_ms else ():
                machine.feed(commit(name, unit))
                got[name] += 1
            if not machine.held(name):
                machine.request(name)
                free_ms[name] = now_ms + machine.state.workers[wallet(name)].unit_ms
    assert sum(got.values()) == 40
    assert got["fast"] >= 3 * got["slow"] > 0


# --- Memory ---


def test_memory_is_what_the_job_needs_to_the_byte_and_the_reason_says_it() -> None:
    """A job that fits nobody waits, and says for what."""
    machine = Machine()
    machine.join("a")
    machine.feed(UnitRequested(peer("a"), 499))
    assert declined(machine) is DeclineReason.MEMORY
    waits = why_waiting(machine.state, machine.now_ms)
    assert (
        "1 offer too little memory: the job needs 500 bytes, the largest of them has 499" in waits
    )
    machine.feed(UnitRequested(peer("a"), 500))
    assert machine.issued(AssignUnit)
    assert "too little memory" not in why_waiting(machine.state, machine.now_ms)


# --- Probation ---


def test_new_peer_gets_one_unit_at_a_time_until_its_first_stored_result() -> None:
    """What it does not deliver is one unit, not two."""
    machine = Machine(slots=4)
    machine.join("a")
    machine.request("a")
    machine.request_more("a")
    assert declined(machine) is DeclineReason.HOLDING_ENOUGH
    machine.stored("a")
    machine.request("a")
    machine.request_more("a")
    assert machine.issued(AssignUnit)


def test_failure_puts_a_peer_on_probation_again() -> None:
    """Until it delivers."""
    machine = Machine(slots=4)
    machine.proven("a")
    unit = machine.receipted("a")
    machine.feed(ResultRefused(unit, blob("a", unit), peer("a"), ResultFault.UNAVAILABLE))
    machine.request("a")
    machine.request_more("a")
    assert declined(machine) is DeclineReason.HOLDING_ENOUGH


# --- Pauses ---


def test_paused_job_hands_nothing_out_and_loses_nothing() -> None:
    """Who computes already may commit, and what is stored reaches the chain."""
    machine = Machine(slots=3)
    machine.assign("a")
    machine.feed(PauseOrdered(True, 1))
    machine.join("b")
    machine.request("b")
    assert declined(machine) is DeclineReason.PAUSED
    assert "the submitter paused the job" in why_waiting(machine.state, machine.now_ms)
    machine.stored("a")
    machine.feed(Tick(), 2 * TIMEOUT_MS)
    assert [claim.slot for claim in machine.only(CommitRound).claims] == [0]
    machine.feed(PauseOrdered(False, 2))
    machine.request("b")
    assert machine.issued(AssignUnit)


def test_paused_peer_is_still_told_of_the_unit_that_it_holds() -> None:
    """Its first answer may have been lost."""
    machine = Machine(slots=2)
    machine.assign("a")
    machine.feed(PauseOrdered(True, 1))
    machine.request("a")
    assert machine.only(AssignUnit).unit == machine.unit(0)


def test_order_that_is_not_newer_is_ignored() -> None:
    """Whoever kept an old order cannot give it again."""
    machine = Machine()
    machine.feed(PauseOrdered(True, 5))
    machine.feed(PauseOrdered(False, 6))
    before = machine.digest()
    machine.feed(PauseOrdered(True, 5))
    machine.feed(PauseOrdered(True, 6))
    assert machine.digest() == before


# --- Few peers ---


def test_round_is_not_begun_with_fewer_peers_than_the_least() -> None:
    """Those that are here, fit, and have asked with enough memory count."""
    machine = Machine(slots=2, policy=Policy(peers_min=2))
    machine.join("a", "b", "c")
    machine.request("a")
    assert declined(machine) is DeclineReason.TOO_FEW_PEERS
    machine.feed(UnitRequested(peer("b"), 1))
    machine.request("a")
    assert declined(machine) is DeclineReason.TOO_FEW_PEERS
    waits = why_waiting(machine.state, machine.now_ms)
    assert "the round begins with 2 peers that are ready, 1 are" in waits
    machine.request("c")
    assert machine.issued(AssignUnit)


def test_round_that_was_begun_goes_on_with_fewer() -> None:
    """What was computed is not thrown away."""
    machine = Machine(slots=2, policy=Policy(peers_min=2))
    machine.proven("a", "b")
    machine.stored("a")
    machine.feed(PeerVanished(peer("b")))
    machine.request("a")
    assert machine.issued(AssignUnit)


# --- Ends ---


def near_deadline(slots: int = 2) -> Machine:
    """A machine a moment before its job's deadline is near; the first result is stored."""
    machine = Machine(slots=slots)
    margin_ms = machine.state.terms.policy.deadline_margin_ms
    deadline_ms = machine.now_ms + margin_ms + 1_000
    terms = replace(machine.begun.terms, deadline_ms=deadline_ms)
    machine.state, _ = start(replace(machine.begun, terms=terms), machine.now_ms)
    return machine


def test_stored_results_go_to_the_chain_before_the_deadline() -> None:
    """A started round is finished and paid; waiting for the rest would lose all of it."""
    machine = near_deadline()
    machine.stored("a")
    machine.feed(Tick(), 999)
    assert machine.commands == ()
    machine.feed(Tick(), 1)
    assert [claim.slot for claim in machine.only(CommitRound).claims] == [0]


def test_no_unit_is_handed_out_that_would_not_be_paid() -> None:
    """Unless the round stands on the chain already: that one is finished."""
    machine = near_deadline()
    machine.stored("a")
    machine.join("b")
    machine.request("b", after_ms=1_000)
    assert declined(machine) is DeclineReason.DEADLINE
    assert "the deadline is near" in why_waiting(machine.state, machine.now_ms)
    machine.claim_on_chain()
    machine.request("b")
    assert machine.issued(AssignUnit)


def test_round_on_the_chain_is_finalized_after_the_deadline() -> None:
    """Every unit of it is credited; the next round is not begun, and the job expires."""
    machine = near_deadline()
    machine.committed("a", "b")
    machine.feed(Tick(), 10 * TIMEOUT_MS)
    machine.passed(0)
    machine.passed(1)
    machine.combined()
    machine.feed(ChallengeWindowOver(0))
    machine.finalized()
    assert machine.state.totals.units == 2
    machine.request("a")
    assert declined(machine) is DeclineReason.DEADLINE
    machine.feed(JobExpired())
    assert machine.commands == (FinishJob(Ended.EXPIRED),)


def test_cancelled_round_on_the_chain_may_fill_its_open_slots() -> None:
    """The escrow holds the whole round back: a re-issued unit is still paid."""
    machine = Machine(slots=2, rounds=3)
    machine.stored("a")
    machine.feed(Tick(), 2 * TIMEOUT_MS)
    machine.claim_on_chain()
    machine.feed(JobCancelled(machine.at()))
    assert machine.state.outcome is None
    machine.stored("b", 1)
    assert machine.issued(CommitRound)
    machine.claim_on_chain()
    machine.passed(0)
    machine.passed(1)
    machine.combined()
    machine.feed(ChallengeWindowOver(0))
    machine.finalized()
    assert machine.commands == (FinishJob(Ended.CANCELLED),)
    assert machine.state.totals.units == 2


def test_lost_time_of_a_restart_does_not_cost_the_peers_grace() -> None:
    """Away since the restart, and expected as long as after any other break."""
    machine = Machine(slots=1)
    machine.assign("a")
    machine.feed(NodeRestarted(), TIMEOUT_MS)
    grace_ms = machine.state.terms.policy.reconnect_grace_ms
    machine.feed(Tick(), grace_ms - 1)
    assert machine.slot().assignments
    machine.feed(Tick(), 1)
    assert machine.slot().status is SlotStatus.OPEN
    assert not machine.slot().assignments


def test_memory_offered_is_remembered_until_the_peer_leaves() -> None:
    """It decides for whom a slot is kept; another figure counts only where it comes to suffice."""
    machine = Machine()
    machine.join("a")
    seen = []
    for memory_bytes in (1, 2, MEMORY_BYTES, 1):
        machine.feed(UnitRequested(peer("a"), memory_bytes))
        seen.append(machine.state.peers[peer("a")].memory_bytes)
    assert seen == [1, 1, MEMORY_BYTES, MEMORY_BYTES]
    machine.feed(PeerVanished(peer("a")))
    machine.join("a")
    machine.feed(UnitRequested(peer("a"), 1))
    assert machine.state.peers[peer("a")].memory_bytes == 1
