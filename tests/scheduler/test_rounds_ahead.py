"""Rounds that run ahead of audits: anchored, cut behind a fault, withdrawn by a successor."""

import pytest

from scheduler.commands import (
    AnchorRound,
    AssignUnit,
    Combine,
    FinalizeRound,
    RefuseCommit,
    RefuseReason,
    WithdrawAnchors,
)
from scheduler.coordinator import pending
from scheduler.errors import IllegalEvent
from scheduler.events import (
    AnchorRefused,
    AnchorsWithdrawnOnChain,
    ChallengeWindowOver,
    CombineFinished,
    JobCancelled,
    RoundAnchoredOnChain,
    RoundFinalizedOnChain,
    Tick,
    UnitDisputed,
    UnitFaulted,
    UnitPassed,
    UnitVoided,
)
from scheduler.rows import SlotStatus
from scheduler.terms import Position, UnitRef
from tests.scheduler.machine import BLOB, Machine, commit, wallet

ANCHOR, NEXT, OTHER = b"a" * 32, b"c" * 32, b"o" * 32


def machine(rounds: int = 5, rounds_ahead: int = 2) -> Machine:
    return Machine(rounds=rounds, rounds_ahead=rounds_ahead)


def anchored(at: Machine, checkpoint: bytes = ANCHOR) -> None:
    """The open round has its claims, is combined and anchored; the next one is open."""
    at.committed("a", "b")
    at.only(Combine)
    at.combined(checkpoint)
    at.only(AnchorRound)
    at.feed(RoundAnchoredOnChain(at.at(), at.state.round, checkpoint, BLOB))


def stands(at: Machine, kind: type) -> list[object]:
    return [command for command in pending(at.state) if isinstance(command, kind)]


def test_a_round_is_anchored_as_soon_as_its_claims_stand() -> None:
    """The next one takes claims and starts from the anchor; nothing waits for an audit."""
    at = machine()
    anchored(at)
    assert (at.state.round, at.state.open.checkpoint, at.state.oldest.number) == (1, ANCHOR, 0)
    assert at.statuses() == [SlotStatus.OPEN] * 2
    at.assign("a")
    assert at.only(AssignUnit).unit == UnitRef(1, 0, 0)


def test_no_more_rounds_run_ahead_than_the_terms_allow() -> None:
    """Nor is the last round anchored: nothing follows it."""
    at = machine(rounds=5, rounds_ahead=2)
    for _ in range(2):
        anchored(at)
    at.committed("a", "b")
    at.combined(NEXT)
    assert not stands(at, AnchorRound)
    last = machine(rounds=2, rounds_ahead=2)
    anchored(last)
    last.committed("a", "b")
    last.combined(NEXT)
    assert not stands(last, AnchorRound)
    with pytest.raises(IllegalEvent, match="was anchored"):
        last.feed(RoundAnchoredOnChain(last.at(), 1, NEXT, BLOB))


@pytest.mark.parametrize("why", ["a dispute", "a cancellation"])
def test_nothing_is_anchored_that_may_be_for_nothing(why: str) -> None:
    """Whoever disputes a result may be right, and a cancelled job begins no round."""
    at = machine()
    anchored(at)
    at.committed("a", "b")
    at.combined(NEXT)
    assert stands(at, AnchorRound)
    if why == "a dispute":
        at.feed(UnitPassed(at.at(), UnitRef(0, 0, 0), at.now_ms + 5_000))
        at.feed(UnitDisputed(at.at(), UnitRef(0, 0, 0)))
    else:
        at.feed(JobCancelled(at.at()))
    assert not stands(at, AnchorRound)


def test_rounds_become_final_in_order_and_as_they_were_anchored() -> None:
    """The oldest when its own units are settled; the others go on beside it."""
    at = machine()
    anchored(at)
    at.committed("a", "b")
    at.combined(NEXT)
    for round in (1, 0):
        for slot in (0, 1):
            assert not stands(at, FinalizeRound)
            at.feed(UnitPassed(at.at(), UnitRef(round, slot, 0), at.now_ms))
    at.feed(ChallengeWindowOver(0))
    assert at.issued(FinalizeRound) == [FinalizeRound(0, ANCHOR, BLOB)]
    at.feed(RoundFinalizedOnChain(at.at(), 0, ANCHOR))
    assert (at.state.oldest.number, at.state.round, at.state.totals.units) == (1, 1, 2)


GUILTY = UnitRef(0, 0, 0)


@pytest.mark.parametrize(
    "verdict",
    [UnitFaulted(Position(99, 0), GUILTY, wallet("a")), UnitVoided(Position(99, 0), GUILTY)],
    ids=["fault", "void"],
)
def test_a_verdict_behind_an_anchor_dissolves_what_came_after(
    verdict: UnitFaulted | UnitVoided,
) -> None:
    """Its slot is open again, and so is each of the later rounds when its turn comes."""
    at = machine()
    for _ in range(2):
        anchored(at)
    late = at.receipted("a")
    at.feed(UnitPassed(at.at(), GUILTY, at.now_ms + 5_000))
    at.feed(UnitDisputed(at.at(), GUILTY))
    at.feed(verdict)
    at.block = 99
    # The chain says in an event of its own what follows from the verdict: once is enough.
    at.feed(AnchorsWithdrawnOnChain(at.at(), 0, 2))
    assert (at.state.round, at.state.anchored) == (0, [])
    assert at.statuses() == [SlotStatus.OPEN, SlotStatus.COMMITTED]
    assert at.state.totals.dissolved == 3
    at.feed(commit("b", late))
    assert at.only(RefuseCommit).reason is RefuseReason.DISSOLVED
    at.stored("b", 0)
    at.claim_on_chain()
    at.combined(NEXT)
    at.feed(RoundAnchoredOnChain(at.at(), 0, NEXT, BLOB))
    assert [slot.attempt for slot in at.state.slots] == [1, 1]
    assert at.state.open.checkpoint == NEXT


def test_a_successor_withdraws_an_anchor_that_does_not_follow() -> None:
    """It combined the results itself; then the round is anchored anew, and the next one again."""
    at = machine()
    at.committed("a", "b")
    # What the chain has from an earlier holder of the lease, before this one combined anything.
    at.feed(RoundAnchoredOnChain(at.at(), 0, OTHER, BLOB))
    assert (at.state.round, at.state.open.checkpoint) == (1, OTHER)
    at.committed("a", "b")
    held = at.state.oldest
    from_results(at, held.number, ANCHOR)
    assert stands(at, WithdrawAnchors) == [WithdrawAnchors(0)]
    assert not stands(at, FinalizeRound)
    at.feed(AnchorRefused(0, "the lease is an earlier one"))
    assert not stands(at, WithdrawAnchors)
    at.feed(Tick(), at.state.terms.policy.chain_retry_ms)
    assert stands(at, WithdrawAnchors)
    at.feed(AnchorsWithdrawnOnChain(at.at(), 0, 1))
    assert not stands(at, WithdrawAnchors)
    assert (at.state.round, at.state.totals.dissolved) == (0, 2)
    assert at.statuses() == [SlotStatus.COMMITTED] * 2
    assert stands(at, AnchorRound) == [AnchorRound(0, ANCHOR, BLOB)]
    at.feed(RoundAnchoredOnChain(at.at(), 0, ANCHOR, BLOB))
    assert at.state.open.checkpoint == ANCHOR
    assert [slot.attempt for slot in at.state.slots] == [1, 1]


def test_an_anchor_that_follows_is_not_withdrawn() -> None:
    """Whoever anchored it."""
    at = machine()
    at.committed("a", "b")
    at.feed(RoundAnchoredOnChain(at.at(), 0, ANCHOR, BLOB))
    from_results(at, 0, ANCHOR)
    assert not stands(at, WithdrawAnchors)


def from_results(at: Machine, round: int, checkpoint: bytes) -> None:
    """This coordinator has combined a round that is anchored already."""
    held = at.state.find(round)
    assert held is not None
    at.feed(CombineFinished(round, held.generation, checkpoint, BLOB, BLOB))


@pytest.mark.parametrize(("round", "head"), [(1, 1), (2, 1), (0, 9)])
def test_a_withdrawal_of_what_was_not_anchored_is_illegal(round: int, head: int) -> None:
    """The chain says no such thing."""
    at = machine()
    anchored(at)
    with pytest.raises(IllegalEvent, match="withdrawn"):
        at.feed(AnchorsWithdrawnOnChain(at.at(), round, head))
