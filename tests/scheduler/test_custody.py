"""Who holds a result: a slot is filled by signatures of distinct, bonded wallets, in time."""

from dataclasses import replace

import pytest

from scheduler.commands import AskHolder, CommitRound, FetchResult
from scheduler.coordinator import digest, pending, replay
from scheduler.events import (
    BondChanged,
    HoldingRefused,
    NodeRestarted,
    PeerVanished,
    ResultFault,
    ResultHeld,
    ResultRefused,
    ResultStored,
    RoundCommittedOnChain,
    Tick,
)
from scheduler.progress import progress
from scheduler.rows import SlotStatus, UnavailableCause
from scheduler.terms import ASKS_AT_ONCE, HOLDERS_MAX, Claim, Holding, Policy, UnitRef, Wallet
from tests.scheduler.machine import HOST, Machine, blob, peer, root, wallet

THREE = Policy(holders_min=3)


def word(name: str) -> Holding:
    return Holding(wallet(name), b"held")


def held(machine: Machine, name: str, by: str = "a", index: int = 0) -> None:
    """A peer's word about the result of another."""
    unit = machine.unit(index)
    machine.feed(ResultHeld(unit, blob(by, unit), word(name)))


def asked(machine: Machine) -> list[Wallet]:
    return [c.wallet for c in pending(machine.state) if isinstance(c, AskHolder)]


def with_keepers(*names: str, policy: Policy = THREE) -> Machine:
    """A round of one slot, whose result is here, among peers that could hold it."""
    machine = Machine(slots=1, policy=policy)
    machine.proven("a", *names)
    machine.stored("a")
    return machine


def test_worker_and_coordinator_are_two_holders() -> None:
    """So that by default nobody is asked for more transfers."""
    machine = Machine(slots=1)
    machine.proven("a", "b", "c")
    unit = machine.receipted("a")
    assert not machine.issued(AskHolder)
    machine.feed(ResultStored(unit, blob("a", unit), HOST))
    assert machine.slot().status is SlotStatus.SUBMITTED
    assert machine.slot().filling.holders == {wallet("a"), HOST.wallet}
    assert not asked(machine)


def test_coordinators_own_unit_is_held_by_one_more_peer() -> None:
    """Its worker and its coordinator are one wallet."""
    machine = Machine(slots=1)
    machine.proven("a", "b")
    unit = machine.receipted("a")
    machine.feed(ResultStored(unit, blob("a", unit), word("a")))
    assert machine.slot().status is SlotStatus.STORED
    assert machine.only(AskHolder).wallet == wallet("b")
    held(machine, "b")
    assert machine.issued(CommitRound)


def test_alone_it_goes_on() -> None:
    """As many holders as there are wallets here."""
    machine = Machine(slots=1, policy=THREE)
    machine.proven("a")
    unit = machine.receipted("a")
    machine.feed(ResultStored(unit, blob("a", unit), word("a")))
    assert machine.issued(CommitRound)


def test_no_claim_goes_to_the_chain_before_enough_have_signed() -> None:
    """Whatever else is ready."""
    machine = with_keepers("b", "c")
    assert machine.slot().status is SlotStatus.STORED
    assert asked(machine) == [wallet("b")]
    held(machine, "b")
    assert machine.issued(CommitRound)
    assert len(machine.slot().filling.holdings) == 3


def test_no_wallet_counts_twice() -> None:
    """Neither the worker's word again nor the coordinator's."""
    machine = with_keepers("b", "c")
    for word_again in (word("a"), HOST):
        unit = machine.unit()
        machine.feed(ResultHeld(unit, blob("a", unit), word_again))
    assert machine.slot().status is SlotStatus.STORED


def test_word_about_another_blob_does_not_count() -> None:
    """A report that outlived what it was about."""
    machine = with_keepers("b")
    before = machine.digest()
    unit = machine.unit()
    machine.feed(ResultHeld(unit, blob("b", unit), word("b")))
    machine.feed(HoldingRefused(unit, blob("b", unit), wallet("b")))
    assert machine.digest() == before


def test_those_who_were_asked_least_are_asked_first() -> None:
    """Nobody holds everything for the others."""
    machine = Machine(slots=2, policy=THREE)
    machine.proven("a", "b", "c")
    row = machine.state.workers[wallet("b")]
    machine.state.put_worker(replace(row, kept=1))
    machine.stored("a")
    assert asked(machine) == [wallet("c")]


@pytest.mark.parametrize("fails", ["refuses", "is late", "is gone"])
def test_peer_that_does_not_hold_is_replaced_and_remembered(fails: str) -> None:
    """The next one is asked at once; it is not asked again for a while and works on meanwhile: the
    line may be ours."""
    machine = with_keepers("b", "c")
    unit = machine.unit()
    if fails == "is gone":
        machine.feed(PeerVanished(peer("b")))
    if fails == "refuses":
        machine.feed(HoldingRefused(unit, blob("a", unit), wallet("b")))
    else:
        machine.feed(Tick(), after_ms=THREE.holding_timeout_ms)
    assert asked(machine) == [wallet("c")]
    row = machine.state.workers[wallet("b")]
    assert row.ask_after_ms > machine.now_ms
    assert (row.failures, row.quarantined_until_ms) == (0, 0)
    held(machine, "c")
    assert machine.issued(CommitRound)
    machine.feed(Tick(), after_ms=THREE.ask_again_ms)
    assert machine.state.workers[wallet("b")].ask_after_ms == 0


def test_peer_that_signs_something_else_is_in_quarantine() -> None:
    """That is no bad luck."""
    machine = with_keepers("b", "c")
    unit = machine.unit()
    machine.feed(HoldingRefused(unit, blob("a", unit), wallet("b"), lied=True))
    assert machine.state.workers[wallet("b")].quarantined_until_ms > machine.now_ms


def test_nobody_is_asked_for_more_than_it_takes_at_once() -> None:
    """The others wait until it has one."""
    machine = Machine(slots=ASKS_AT_ONCE + 2)
    machine.proven("a", "b")
    for index in range(ASKS_AT_ONCE + 2):
        unit = machine.receipted("a", index)
        machine.feed(ResultStored(unit, blob("a", unit), word("a")))
    assert asked(machine) == [wallet("b")] * ASKS_AT_ONCE
    held(machine, "b")
    assert asked(machine) == [wallet("b")] * ASKS_AT_ONCE


def test_large_results_have_longer_to_travel() -> None:
    """Or nobody behind a slow line could ever be asked."""
    machine = with_keepers("b", "c")
    machine.state.terms = replace(machine.state.terms, result_bytes=60 << 20)
    assert machine.state.terms.transfer_ms == 240_000
    unit = machine.unit()
    machine.feed(HoldingRefused(unit, blob("a", unit), wallet("b")))
    (ask,) = machine.slot().asks
    assert ask.until_ms == machine.now_ms + THREE.holding_timeout_ms + 240_000


def test_full_disk_of_the_coordinator_is_not_its_worker_s_fault() -> None:
    """It keeps its slot until there is room, and has all its time from then on."""
    machine = Machine(slots=1)
    unit = machine.receipted("a")
    limit_ms = machine.state.terms.policy.fetch_timeout_ms
    machine.feed(
        ResultRefused(unit, blob("a", unit), peer("a"), ResultFault.OURS), after_ms=limit_ms - 1
    )
    machine.feed(Tick(), after_ms=limit_ms - 1)
    assert machine.slot().status is SlotStatus.RECEIPTED
    assert machine.state.workers[wallet("a")].failures == 0
    assert machine.state.unavailable == ()
    machine.feed(Tick(), after_ms=1)
    assert machine.slot().status is SlotStatus.OPEN


def test_peers_that_all_refuse_do_not_stall_the_job() -> None:
    """They are not among those that are here any more; the worker and this node remain."""
    machine = with_keepers("b", "c", "d")
    for _ in range(3):
        unit = machine.unit()
        (who,) = asked(machine)
        machine.feed(HoldingRefused(unit, blob("a", unit), who))
    assert machine.slot().status is SlotStatus.SUBMITTED
    assert machine.state.workers[wallet("a")].failures == 0


def test_result_without_holders_in_time_is_unavailable() -> None:
    """Its slot is open again, unpaid; its worker delivered and is not to blame."""
    policy = Policy(holders_min=3, holding_timeout_ms=200_000)
    machine = with_keepers("b", policy=policy)
    unit = machine.unit()
    machine.feed(Tick(), after_ms=policy.holders_timeout_ms)
    assert machine.slot().status is SlotStatus.OPEN
    (noted,) = machine.state.unavailable
    assert (noted.unit, noted.wallet, noted.cause) == (
        unit,
        wallet("a"),
        UnavailableCause.HOLDERS,
    )
    assert machine.state.workers[wallet("a")].failures == 0


@pytest.mark.parametrize("cause", [UnavailableCause.OVERDUE, UnavailableCause.REFUSED])
def test_result_that_its_worker_does_not_deliver_is_unavailable(cause: UnavailableCause) -> None:
    """Named, counted and shown with who and why; the worker answers for it here."""
    machine = Machine(slots=1)
    unit = machine.receipted("a")
    if cause is UnavailableCause.OVERDUE:
        machine.feed(Tick(), after_ms=machine.state.terms.policy.fetch_timeout_ms)
    else:
        machine.feed(ResultRefused(unit, blob("a", unit), peer("a"), ResultFault.UNAVAILABLE))
    view = progress(machine.state, machine.now_ms)
    assert view.unavailable_results == 1
    (noted,) = view.unavailable
    assert (noted.unit, noted.wallet, noted.cause) == (unit, wallet("a"), cause)
    assert machine.state.workers[wallet("a")].failures == 1
    assert machine.slot().status is SlotStatus.OPEN
    assert digest(replay(machine.journal).state) == machine.digest()


def test_malformed_result_is_not_unavailable() -> None:
    """It came, and was none."""
    machine = Machine(slots=1)
    unit = machine.receipted("a")
    machine.feed(ResultRefused(unit, blob("a", unit), peer("a"), ResultFault.MALFORMED))
    assert machine.state.unavailable == ()
    assert machine.state.totals.refused_results == 1


def test_result_that_was_computed_anew_is_told() -> None:
    """A claim on the chain stands, though nobody had its result any more."""
    machine = Machine(slots=1)
    unit = UnitRef(0, 0, 0)
    claim = Claim(0, 0, wallet("a"), root("a", unit), b"a", b"signed")
    machine.feed(RoundCommittedOnChain(machine.at(), 0, 0, (claim,)))
    machine.feed(ResultStored(unit, blob("a", unit), HOST, recomputed=True))
    (noted,) = machine.state.unavailable
    assert (noted.wallet, noted.cause) == (wallet("a"), UnavailableCause.LOST)
    assert machine.slot().status is SlotStatus.COMMITTED


def test_holder_without_bond_counts_no_more() -> None:
    """While its word is still needed."""
    machine = Machine(slots=1, policy=Policy(holders_min=4))
    machine.proven("a", "b", "c", "d")
    machine.stored("a")
    held(machine, "b")
    machine.feed(BondChanged(wallet("b"), False))
    assert wallet("b") not in machine.slot().filling.holders
    assert asked(machine) == [wallet("c"), wallet("d")]


def test_peer_that_lost_its_bond_while_it_fetched_does_not_count() -> None:
    """Another is asked at once, and its late word changes nothing."""
    machine = with_keepers("b", "c")
    assert asked(machine) == [wallet("b")]
    machine.feed(BondChanged(wallet("b"), False))
    assert asked(machine) == [wallet("c")]
    before = machine.digest()
    held(machine, "b")
    assert machine.digest() == before


def test_asking_goes_on_after_a_restart() -> None:
    """And nobody is to blame for the pause."""
    machine = with_keepers("b")
    assert asked(machine) == [wallet("b")]
    machine.feed(NodeRestarted(), after_ms=THREE.holding_timeout_ms - 1)
    assert asked(machine) == [wallet("b")]
    assert machine.state.workers[wallet("b")].failures == 0


def test_progress_says_who_holds_what() -> None:
    """From the worker's commit on."""
    machine = with_keepers("b")
    (custody,) = progress(machine.state, machine.now_ms).custody
    assert (custody.slot, custody.worker) == (0, wallet("a"))
    assert custody.holders == (wallet("a"), HOST.wallet)


@pytest.mark.parametrize("holders_min", [0, HOLDERS_MAX + 1])
def test_a_policy_out_of_bounds_is_refused(holders_min: int) -> None:
    """Named, with its bounds."""
    with pytest.raises(ValueError, match=f"holders_min {holders_min} must be 1 to 8"):
        Policy(holders_min=holders_min)


def test_the_blob_is_fetched_from_its_worker_first() -> None:
    """Nobody else has it before the coordinator has."""
    machine = Machine(slots=1, policy=THREE)
    machine.proven("a", "b")
    machine.receipted("a")
    assert machine.only(FetchResult).peer == peer("a")
    assert not asked(machine)
