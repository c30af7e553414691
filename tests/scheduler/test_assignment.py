"""Pulling work and promising results: who gets which unit, whose result counts."""

from dataclasses import replace

import pytest

from scheduler.commands import (
    AcceptCommit,
    AssignUnit,
    CommitRound,
    DeclineReason,
    DeclineRequest,
    FetchResult,
    RefuseCommit,
    RefuseReason,
)
from scheduler.coordinator import start
from scheduler.events import (
    BondChanged,
    PeerAppeared,
    PeerVanished,
    ResultFault,
    ResultRefused,
    ResultStored,
    Tick,
    UnitCommitted,
    UnitRequested,
)
from scheduler.rows import SlotStatus
from scheduler.terms import Policy, UnitRef
from tests.scheduler.machine import (
    HOST,
    MEMORY_BYTES,
    TIMEOUT_MS,
    Machine,
    blob,
    commit,
    peer,
    wallet,
)


def declined(machine: Machine) -> DeclineReason:
    return machine.only(DeclineRequest).reason


def refused(machine: Machine) -> RefuseReason:
    return machine.only(RefuseCommit).reason


# --- Requests ---


def test_request_gets_lowest_open_slot_until_the_unit_timeout() -> None:
    """Before any unit was observed, the limit is the job's own."""
    machine = Machine(slots=3)
    machine.join("a", "b")
    machine.request("a")
    assert machine.only(AssignUnit) == AssignUnit(
        peer("a"), UnitRef(0, 0, 0), machine.now_ms + TIMEOUT_MS
    )
    machine.request("b")
    assert machine.only(AssignUnit).unit == UnitRef(0, 1, 0)


def test_request_repeated_gets_the_same_unit_and_deadline() -> None:
    """The first answer may have been lost; asking again must not take a second unit."""
    machine = Machine(slots=3)
    machine.join("a")
    (first,) = machine.request("a")
    before = machine.digest()
    (second,) = machine.request("a", after_ms=500)
    assert second == first
    assert machine.digest() == before


def test_wallet_gets_a_second_unit_for_a_second_peer_and_no_third() -> None:
    """Nobody hoards."""
    machine = Machine(slots=4)
    machine.proven("a")
    machine.request("a")
    machine.request_more("a")
    assert machine.only(AssignUnit).deadline_ms == machine.now_ms + 2 * TIMEOUT_MS
    machine.request_more("a")
    assert declined(machine) is DeclineReason.HOLDING_ENOUGH


def test_second_unit_is_kept_for_an_idle_peer() -> None:
    """With as many idle peers as open slots, nobody gets two."""
    machine = Machine(slots=2)
    machine.proven("a", "b")
    machine.request("a")
    machine.request_more("a")
    assert declined(machine) is DeclineReason.NOTHING_OPEN
    machine.feed(PeerVanished(peer("b")))
    machine.request_more("a")
    assert machine.issued(AssignUnit)


def test_request_of_unknown_peer_is_declined() -> None:
    """Without a proven wallet there is no work."""
    machine = Machine()
    machine.request("stranger")
    assert declined(machine) is DeclineReason.UNKNOWN_PEER


def test_request_without_bond_is_declined_until_bonded() -> None:
    """The chain would refuse the claim, so the work would be for nothing."""
    machine = Machine()
    machine.join("a", active=False)
    machine.request("a")
    assert declined(machine) is DeclineReason.BOND_INACTIVE
    machine.feed(BondChanged(wallet("a"), True))
    machine.request("a")
    assert machine.issued(AssignUnit)


def test_request_beyond_what_the_bond_covers_waits_until_a_unit_is_final() -> None:
    """The chain locks a part of the bond for each claim; units in hand count before it has them."""
    machine = Machine(slots=3)
    machine.proven("a", "b")
    machine.feed(BondChanged(wallet("a"), True, covers=1))
    machine.request("a")
    assert machine.issued(AssignUnit)
    machine.feed(PeerAppeared(peer("a2"), wallet("a"), True, covers=1))
    machine.feed(UnitRequested(peer("a2"), MEMORY_BYTES))
    assert declined(machine) is DeclineReason.BOND_COVERS
    machine.stored("a")
    machine.request("a")
    assert declined(machine) is DeclineReason.BOND_COVERS
    machine.feed(BondChanged(wallet("a"), True, covers=2))
    machine.request("a")
    assert machine.issued(AssignUnit)


def test_result_at_hand_needs_a_bond_too() -> None:
    """Its claim locks as much as any."""
    machine = Machine()
    machine.join("a")
    machine.feed(BondChanged(wallet("a"), True, covers=0))
    machine.request("a", ready=[machine.unit(0)])
    assert declined(machine) is DeclineReason.BOND_COVERS


def test_bond_that_shrinks_takes_nothing_away() -> None:
    """What is computed or claimed stays: before it is sent the chain may have freed more."""
    machine = Machine()
    unit = machine.receipted("a")
    machine.assign("a")
    machine.feed(BondChanged(wallet("a"), True, covers=0))
    assert machine.slot(0).status is SlotStatus.RECEIPTED
    assert len(machine.held("a")) == 1
    machine.feed(ResultStored(unit, blob("a", unit), HOST))
    assert machine.slot(0).status is SlotStatus.FILLED


def test_claims_go_to_the_chain_when_no_bond_covers_another_unit() -> None:
    """To wait for the rest of the batch would be to wait for themselves."""
    machine = Machine(slots=3)
    machine.proven("a", "b")
    for name in ("a", "b"):
        machine.feed(BondChanged(wallet(name), True, covers=1))
    machine.stored("a")
    assert not machine.issued(CommitRound), "b may take one yet"
    machine.stored("b", 1)
    assert [claim.slot for claim in machine.only(CommitRound).claims] == [0, 1]


@pytest.mark.parametrize(("memory_bytes", "fits"), [(499, False), (500, True)])
def test_request_needs_memory_for_the_units_peak(memory_bytes: int, fits: bool) -> None:
    """The peak is known exactly, so the limit is exact."""
    machine = Machine()
    machine.join("a")
    machine.feed(UnitRequested(peer("a"), memory_bytes))
    if fits:
        assert machine.issued(AssignUnit)
    else:
        assert declined(machine) is DeclineReason.MEMORY


def test_decline_spreads_retries_by_the_seed() -> None:
    """Equal seeds give equal answers; different ones keep peers from asking in step."""
    machine = Machine(slots=1)
    machine.join("a", "b")
    machine.request("a")
    waits = set()
    for seed in (0, 0, 300, 1023):
        machine.request("b", seed=seed)
        waits.add(machine.only(DeclineRequest).retry_after_ms)
    first = Policy().retry_ms
    assert waits == {first, first + first * 300 // 1024, first + first * 1023 // 1024}


# --- Overdue and vanished ---


def test_overdue_unit_is_given_to_another_peer_at_the_same_attempt() -> None:
    """Nothing was committed on the chain, so the unit is the same one."""
    machine = Machine(slots=1)
    machine.join("a", "b")
    machine.request("a")
    machine.request("b", after_ms=TIMEOUT_MS - 1)
    assert declined(machine) is DeclineReason.NOTHING_OPEN
    machine.request("b", after_ms=1)
    assert machine.only(AssignUnit).unit == UnitRef(0, 0, 0)
    worker = machine.state.workers.get(wallet("a"))
    assert worker is not None
    assert worker.failures == 1


def test_vanished_peers_unit_waits_for_the_grace_only() -> None:
    """A flapping connection costs nothing, an absence costs the unit."""
    machine = Machine(slots=1)
    grace_ms = machine.state.terms.policy.reconnect_grace_ms
    machine.join("a", "b")
    machine.request("a")
    machine.feed(PeerVanished(peer("a")))
    machine.feed(Tick(), grace_ms - 1)
    assert machine.held("a")
    machine.join("a")
    machine.feed(Tick(), grace_ms)
    assert machine.held("a")
    machine.feed(PeerVanished(peer("a")))
    machine.feed(Tick(), grace_ms)
    assert not machine.held("a")
    machine.request("b")
    assert machine.issued(AssignUnit)


def test_late_result_counts_if_it_is_the_first() -> None:
    """The work is done and right; refusing it would only waste it."""
    machine = Machine(slots=1)
    machine.join("a", "b")
    unit = machine.only(AssignUnit).unit if machine.request("a") else None
    assert unit is not None
    machine.request("b", after_ms=TIMEOUT_MS)
    machine.feed(commit("a", unit))
    assert machine.issued(AcceptCommit)
    machine.feed(commit("b", unit))
    assert refused(machine) is RefuseReason.TAKEN


def test_second_failure_in_a_row_quarantines_and_doubles() -> None:
    """Once is bad luck."""
    machine = Machine(slots=1)
    machine.join("a")
    waits = []
    for _ in range(4):
        machine.request("a")
        assert machine.issued(AssignUnit)
        machine.feed(Tick(), TIMEOUT_MS)
        machine.request("a")
        if machine.issued(DeclineRequest):
            assert declined(machine) is DeclineReason.QUARANTINED
            worker = machine.state.workers.get(wallet("a"))
            assert worker is not None
            waits.append(worker.quarantined_until_ms - machine.now_ms)
            machine.now_ms = worker.quarantined_until_ms
    first_ms = machine.state.terms.policy.quarantine_ms
    assert waits == [first_ms, 2 * first_ms, 4 * first_ms]


def test_stored_result_forgives_failures() -> None:
    """A peer that came back and delivered starts afresh."""
    machine = Machine(slots=2)
    machine.join("a")
    machine.request("a")
    machine.feed(Tick(), TIMEOUT_MS)
    machine.stored("a")
    worker = machine.state.workers.get(wallet("a"))
    assert worker is not None
    assert (worker.failures, worker.stored) == (0, 1)


# --- The last tenth ---


def last_unit_runs_long() -> Machine:
    """Nine of ten units done in 1 s each; the last has run for 30 s at peer z."""
    machine = Machine(slots=10)
    machine.join("z")
    machine.request("z")
    for index in range(1, 10):
        machine.assign("a")
        unit = machine.unit(index)
        machine.feed(commit("a", unit), 1_000)
    machine.feed(Tick(), 30_000)
    return machine


def test_last_tenth_is_repeated_by_an_idle_peer() -> None:
    """First result wins; the other is told that it was taken."""
    machine = last_unit_runs_long()
    machine.request("a")
    assert machine.only(AssignUnit).spare
    unit = machine.unit(0)
    machine.join("b")
    machine.request("b")
    assert declined(machine) is DeclineReason.NOTHING_OPEN
    machine.feed(commit("a", unit))
    assert machine.issued(AcceptCommit)
    machine.feed(commit("z", unit))
    assert refused(machine) is RefuseReason.TAKEN


def test_spare_result_takes_over_when_the_first_is_missing() -> None:
    """Whoever still computes a unit may fill it again."""
    machine = last_unit_runs_long()
    machine.request("a")
    unit = machine.unit(0)
    machine.feed(commit("a", unit))
    machine.feed(ResultRefused(unit, blob("a", unit), peer("a"), ResultFault.UNAVAILABLE))
    machine.feed(commit("z", unit))
    assert machine.issued(AcceptCommit)


def test_unit_is_not_repeated_before_it_is_slow() -> None:
    """Repeating everything would waste the work of honest peers."""
    machine = last_unit_runs_long()
    began = replace(machine.slot(0).assignments[0], assigned_ms=machine.now_ms - 1_499)
    machine.state.put_slot(replace(machine.slot(0), assignments=(began,)))
    machine.request("a")
    assert declined(machine) is DeclineReason.NOTHING_OPEN
    machine.request("a", after_ms=1)
    assert machine.only(AssignUnit).spare


# --- Commits ---


def test_commit_is_receipted_and_its_result_fetched() -> None:
    """The receipt and the order to fetch leave together."""
    machine = Machine()
    machine.join("a")
    machine.request("a")
    unit = machine.unit(0)
    commands = machine.feed(commit("a", unit))
    sent = commit("a", unit)
    assert commands == (
        AcceptCommit(peer("a"), unit),
        FetchResult(unit, sent.blob, peer("a"), sent.result_root),
    )


def test_commit_repeated_gets_its_receipt_again_in_every_later_state() -> None:
    """A receipt lost on the way is asked for again; the slot does not move."""
    for status in list(SlotStatus)[1:]:
        machine = Machine()
        machine.bring(status)
        before = machine.digest()
        machine.feed(commit("a", machine.unit(0)))
        assert machine.issued(AcceptCommit), status
        assert machine.digest() == before


@pytest.mark.parametrize("field", ["result_root", "commitment", "blob"])
def test_commit_that_changes_its_mind_is_refused(field: str) -> None:
    """The receipted claim stands."""
    machine = Machine()
    unit = machine.stored("a")
    other = commit("b", unit)
    changed = replace(commit("a", unit), **{field: getattr(other, field)})
    before = machine.digest()
    machine.feed(changed)
    assert refused(machine) is RefuseReason.CONFLICT
    assert machine.digest() == before


@pytest.mark.parametrize(
    ("unit", "reason"),
    [
        (UnitRef(0, 0, 0), RefuseReason.ROUND_OVER),
        (UnitRef(2, 0, 0), RefuseReason.NOT_ASSIGNED),
        (UnitRef(1, 2, 0), RefuseReason.NOT_ASSIGNED),
        (UnitRef(1, -1, 0), RefuseReason.NOT_ASSIGNED),
        (UnitRef(1, 0, 1), RefuseReason.NOT_ASSIGNED),
        (UnitRef(1, 0, 0), RefuseReason.NOT_ASSIGNED),
    ],
)
def test_commit_to_a_unit_that_is_not_the_peers_is_refused(
    unit: UnitRef, reason: RefuseReason
) -> None:
    """Whatever a peer claims is answered; nothing of it is an error of ours."""
    machine = Machine(rounds=3)
    machine.state, _ = start(replace(machine.begun, round=1), machine.now_ms)
    machine.join("a")
    machine.feed(commit("a", unit))
    assert refused(machine) is reason


def test_commit_to_an_earlier_attempt_is_refused() -> None:
    """Its unit was settled against somebody; the slot is another unit now."""
    machine = Machine()
    machine.join("a")
    machine.state.put_slot(replace(machine.slot(0), attempt=1))
    machine.feed(commit("a", UnitRef(0, 0, 0)))
    assert refused(machine) is RefuseReason.ATTEMPT_OVER


def test_commit_of_unknown_peer_is_refused() -> None:
    """A claim needs a wallet."""
    machine = Machine()
    machine.feed(commit("stranger", machine.unit(0)))
    assert refused(machine) is RefuseReason.UNKNOWN_PEER


def test_commit_without_bond_is_refused() -> None:
    """The bond fell between the assignment and the commit."""
    machine = Machine()
    machine.join("a")
    machine.request("a")
    unit = machine.unit(0)
    machine.feed(BondChanged(wallet("a"), False))
    machine.feed(commit("a", unit))
    assert refused(machine) is RefuseReason.BOND_INACTIVE


# --- Missing and malformed results, lost bonds ---


@pytest.mark.parametrize(("fault", "failures"), [("unavailable", 1), ("malformed", 1)])
def test_refused_result_opens_the_slot_and_is_counted(fault: str, failures: int) -> None:
    """The worker may not fill the slot again unless it is assigned again."""
    machine = Machine()
    unit = machine.receipted("a")
    machine.feed(ResultRefused(unit, blob("a", unit), peer("a"), ResultFault(fault)))
    worker = machine.state.workers.get(wallet("a"))
    assert worker is not None
    assert worker.failures == failures
    assert (worker.quarantined_until_ms > machine.now_ms) == (fault == "malformed")
    machine.feed(commit("a", unit))
    assert refused(machine) is RefuseReason.NOT_ASSIGNED


def test_result_that_does_not_come_in_time_opens_the_slot() -> None:
    """A peer that commits and then sits on its result cannot hold up the round."""
    machine = Machine()
    machine.receipted("a")
    fetch_ms = machine.state.terms.policy.fetch_timeout_ms
    machine.feed(Tick(), fetch_ms - 1)
    assert machine.slot().status is SlotStatus.RECEIPTED
    machine.feed(Tick(), 1)
    assert machine.slot().status is SlotStatus.OPEN


def test_result_of_an_absent_peer_is_waited_for() -> None:
    """Whether or not it was noticed that it is away: a receipt is not given up for that."""
    machine = Machine()
    unit = machine.receipted("a")
    before = machine.digest()
    machine.feed(ResultRefused(unit, blob("a", unit), peer("a"), ResultFault.SILENT))
    assert machine.digest() == before
    machine.feed(Tick(), machine.state.terms.policy.fetch_timeout_ms)
    assert machine.slot().status is SlotStatus.OPEN


def test_malformed_result_of_an_absent_peer_is_refused() -> None:
    """It is here, and it is wrong."""
    machine = Machine()
    unit = machine.receipted("a")
    machine.feed(PeerVanished(peer("a")))
    machine.feed(ResultRefused(unit, blob("a", unit), peer("a"), ResultFault.MALFORMED))
    assert machine.slot().status is SlotStatus.OPEN


@pytest.mark.parametrize("status", [SlotStatus.RECEIPTED, SlotStatus.STORED, SlotStatus.FILLED])
def test_claim_without_bond_is_dropped(status: SlotStatus) -> None:
    """The chain would refuse the whole batch for it."""
    machine = Machine()
    machine.bring(status)
    machine.feed(BondChanged(wallet("a"), False))
    assert machine.slot().status is SlotStatus.OPEN


def test_report_on_a_replaced_result_is_ignored() -> None:
    """The fetch of a's result outlived its claim; b's claim is not touched by how it ends."""
    machine = Machine(slots=1)
    machine.receipted("a")
    unit = machine.unit(0)
    machine.feed(ResultRefused(unit, blob("a", unit), peer("a"), ResultFault.UNAVAILABLE))
    machine.receipted("b")
    before = machine.digest()
    machine.feed(ResultRefused(unit, blob("a", unit), peer("a"), ResultFault.MALFORMED))
    machine.feed(ResultRefused(unit, blob("b", unit), peer("a"), ResultFault.MALFORMED))
    machine.feed(ResultStored(unit, blob("a", unit)))
    assert machine.digest() == before
    machine.feed(ResultStored(unit, blob("b", unit), HOST))
    assert machine.issued(CommitRound)


def test_one_wallet_with_two_peers_holds_units_as_one() -> None:
    """A second identity does not give a second share, nor a way out of quarantine."""
    machine = Machine(slots=4, policy=Policy(held_max=1))
    machine.join("a")
    machine.request("a")
    machine.feed(PeerAppeared(peer("a2"), wallet("a"), True))
    machine.feed(UnitRequested(peer("a2"), MEMORY_BYTES))
    assert declined(machine) is DeclineReason.HOLDING_ENOUGH
    unit = machine.unit(0)
    sent = commit("a", unit)
    machine.feed(
        UnitCommitted(
            peer("a2"), unit, sent.result_root, sent.commitment, sent.signature, sent.blob, b"held"
        )
    )
    assert machine.issued(AcceptCommit)


def test_second_units_time_counts_from_the_first_units_commit() -> None:
    """While it waited for its turn nobody worked on it."""
    machine = Machine(slots=2)
    machine.proven("a")
    machine.request("a")
    machine.request_more("a")
    first, second = machine.unit(0), machine.unit(1)
    machine.feed(commit("a", first), 4_000)
    machine.feed(commit("a", second), 3_000)
    assert machine.state.samples_ms == (4_000, 3_000)
