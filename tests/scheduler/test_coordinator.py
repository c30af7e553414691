"""A job from its first round to its last, and every way in which it is interrupted."""

from dataclasses import replace

import pytest

from scheduler.commands import (
    AwaitChallengeWindow,
    CaptureDraw,
    Combine,
    CommitRound,
    DeclineReason,
    DeclineRequest,
    ExpireUnit,
    FinalizeRound,
    FinishJob,
    Outcome,
    PublishRound,
    RefuseCommit,
    ResolveDispute,
)
from scheduler.coordinator import pending, start
from scheduler.events import (
    AuditAdvanced,
    BondChanged,
    ChallengeWindowOver,
    CombineFailed,
    CombineFinished,
    CommitRefused,
    Event,
    FinalizeRefused,
    JobCancelled,
    JobExpired,
    LeaseLost,
    Tick,
    UnitDisputed,
    UnitDrawn,
    UnitFaulted,
    UnitPassed,
    UnitVerified,
    UnitVoided,
)
from scheduler.rows import SlotStatus
from scheduler.standings import may_work
from scheduler.terms import Claim, JobTerms, UnitRef
from tests.scheduler.machine import (
    AUDITOR,
    BLOB,
    CHECKPOINT,
    TIMEOUT_MS,
    Machine,
    commit,
    root,
    wallet,
)

NEXT = b"c" * 32


# --- The life of a job ---


def test_start_publishes_the_open_round() -> None:
    """Nothing else is to be done before a peer asks."""
    assert Machine().commands == (PublishRound(0),)


@pytest.mark.parametrize("round", [-1, 2])
def test_start_in_a_round_that_the_job_has_not_is_refused(round: int) -> None:
    """A finished job has no coordinator."""
    begun = Machine(rounds=2).begun
    with pytest.raises(ValueError, match=f"round {round}"):
        start(replace(begun, round=round), 0)


@pytest.mark.parametrize("field", ["rounds", "slots", "unit_timeout_ms"])
def test_terms_without_work_are_refused(field: str) -> None:
    """A job has at least one of each."""
    values = {"rounds": 1, "slots": 1, "unit_timeout_ms": 1} | {field: 0}
    with pytest.raises(ValueError, match=field):
        JobTerms(job_id=bytes(32), memory_bytes=0, **values)


def test_round_goes_from_claims_to_the_next_round() -> None:
    """Each step calls for the next, and for nothing else."""
    machine = Machine()
    machine.submitted("a", "b")
    claims = tuple(
        Claim(i, 0, wallet(n), root(n, UnitRef(0, i, 0)), wallet(n).encode(), b"signed")
        for i, n in enumerate("ab")
    )
    assert machine.commands == (CommitRound(0, claims),)
    machine.claim_on_chain()
    assert machine.commands == (CaptureDraw(0, 0),)
    machine.drawn(0)
    assert machine.commands == ()
    machine.feed(UnitPassed(machine.at(), machine.unit(1), 7_000))
    machine.feed(UnitVerified(machine.at(), machine.unit(0), 9_000))
    combine, wait = machine.commands
    assert isinstance(combine, Combine)
    assert [result.slot for result in combine.results] == [0, 1]
    assert [result.worker for result in combine.results] == [wallet("a"), wallet("b")]
    assert (combine.checkpoint, combine.blob) == (CHECKPOINT, BLOB)
    assert wait == AwaitChallengeWindow(0, 9_000)
    machine.combined()
    assert machine.commands == ()
    machine.feed(ChallengeWindowOver(0))
    assert machine.commands == (FinalizeRound(0, NEXT, BLOB),)
    machine.finalized()
    assert machine.commands == (PublishRound(1),)
    assert machine.state.open.checkpoint == NEXT
    assert machine.statuses() == [SlotStatus.OPEN, SlotStatus.OPEN]


def test_window_may_be_over_before_the_combination() -> None:
    """The two run side by side; the later one releases the checkpoint."""
    machine = Machine()
    machine.settled("a", "b")
    machine.feed(ChallengeWindowOver(0))
    assert machine.commands == ()
    machine.combined()
    assert machine.commands == (FinalizeRound(0, NEXT, BLOB),)


def test_last_round_completes_the_job() -> None:
    """Afterwards peers are told so, and everything else is too late."""
    machine = Machine(rounds=1)
    machine.settled("a", "b")
    machine.combined()
    machine.feed(ChallengeWindowOver(0))
    machine.finalized()
    assert machine.commands == (FinishJob(Outcome.COMPLETED),)
    assert machine.state.totals.units == 2
    machine.request("a")
    assert machine.only(DeclineRequest).reason is DeclineReason.JOB_OVER
    machine.feed(commit("a", UnitRef(0, 0, 0)))
    assert machine.issued(RefuseCommit)
    before = machine.digest()
    machine.feed(LeaseLost())
    machine.feed(UnitDrawn(machine.at(), UnitRef(7, 7, 7), AUDITOR, 0))
    assert machine.digest() == before


# --- Audits and verdicts ---


def test_overdue_audit_is_expired_once_per_deadline() -> None:
    """The chain redraws; the new deadline counts anew, and so does an audit's progress."""
    machine = Machine()
    machine.committed("a", "b")
    machine.drawn(0, due_ms=1_000)
    machine.feed(Tick(), 999)
    assert machine.commands == ()
    machine.feed(Tick(), 1)
    assert machine.commands == (ExpireUnit(UnitRef(0, 0, 0)),)
    machine.feed(Tick(), 10_000)
    assert machine.commands == ()
    machine.drawn(0, due_ms=1_000)
    assert ExpireUnit(UnitRef(0, 0, 0)) not in pending(machine.state)
    machine.feed(AuditAdvanced(machine.at(), machine.unit(0), machine.now_ms + 5_000))
    machine.feed(Tick(), 4_999)
    assert machine.commands == ()
    machine.feed(Tick(), 1)
    assert machine.commands == (ExpireUnit(UnitRef(0, 0, 0)),)


def test_no_combination_while_a_unit_is_under_audit_or_dispute() -> None:
    """Not even when all the others are settled."""
    machine = Machine()
    machine.committed("a", "b")
    machine.passed(1)
    machine.drawn(0)
    assert not machine.issued(Combine)
    machine.feed(UnitDisputed(machine.at(), machine.unit(0)))
    assert machine.commands == (ResolveDispute(UnitRef(0, 0, 0)),)
    machine.feed(UnitVerified(machine.at(), machine.unit(0), 0))
    assert machine.issued(Combine)


@pytest.mark.parametrize("verdict", [UnitFaulted, UnitVoided])
def test_verdict_reissues_the_slot_with_the_next_attempt(verdict: type) -> None:
    """The slot is filled again and a further batch commits it."""
    machine = Machine()
    machine.committed("a", "b")
    machine.passed(1)
    machine.disputed(0)
    worker = (wallet("a"),) if verdict is UnitFaulted else ()
    machine.feed(verdict(machine.at(), machine.unit(0), *worker))
    assert machine.unit(0) == UnitRef(0, 0, 1)
    machine.stored("b", 0)
    (claim,) = machine.only(CommitRound).claims
    assert (claim.slot, claim.attempt) == (0, 1)
    machine.claim_on_chain()
    assert machine.commands == (CaptureDraw(0, 1),)


def test_fault_quarantines_the_worker_and_void_does_not() -> None:
    """A void verdict blames nobody."""
    for verdict, blamed in ((UnitFaulted, True), (UnitVoided, False)):
        machine = Machine()
        machine.committed("a", "b")
        machine.disputed(0)
        worker = (wallet("a"),) if verdict is UnitFaulted else ()
        machine.feed(verdict(machine.at(), machine.unit(0), *worker))
        machine.request("a")
        assert bool(machine.issued(DeclineRequest)) is blamed


def test_challenge_holds_the_checkpoint_and_an_upheld_unit_releases_it() -> None:
    """The results did not change, so they are not combined again."""
    machine = Machine()
    machine.settled("a", "b")
    machine.combined()
    machine.feed(ChallengeWindowOver(0))
    machine.feed(UnitDisputed(machine.at(), machine.unit(0)))
    assert machine.commands == (ResolveDispute(UnitRef(0, 0, 0)),)
    machine.feed(ChallengeWindowOver(0))
    assert machine.commands == ()
    machine.feed(UnitVerified(machine.at(), machine.unit(0), 0))
    assert not machine.issued(Combine)
    assert machine.issued(AwaitChallengeWindow)
    machine.feed(ChallengeWindowOver(0))
    assert machine.issued(FinalizeRound)


def test_fault_after_the_combination_discards_it() -> None:
    """A late result of the old generation is ignored; the new results are combined."""
    machine = Machine()
    machine.settled("a", "b")
    machine.combined(b"o" * 32)
    machine.feed(UnitDisputed(machine.at(), machine.unit(0)))
    machine.feed(UnitFaulted(machine.at(), machine.unit(0), wallet("a")))
    before = machine.digest()
    machine.feed(CombineFinished(0, 0, b"o" * 32, BLOB, BLOB))
    assert machine.digest() == before
    machine.stored("b", 0)
    machine.claim_on_chain()
    machine.passed(0)
    assert machine.only(Combine).generation == 1
    assert machine.only(Combine).results[0].worker == wallet("b")


def test_next_round_counts_batches_and_generations_anew() -> None:
    """A re-issued unit of one round leaves no trace in the next."""
    machine = Machine()
    machine.committed("a", "b")
    machine.passed(1)
    machine.disputed(0)
    machine.feed(UnitVoided(machine.at(), machine.unit(0)))
    machine.stored("a")
    machine.claim_on_chain()
    machine.passed(0)
    machine.combined()
    machine.feed(ChallengeWindowOver(0))
    machine.finalized()
    machine.committed("a", "b")
    assert machine.issued(CaptureDraw) == [CaptureDraw(1, 0)]
    machine.passed(0)
    machine.passed(1)
    assert machine.only(Combine).generation == 0


def test_combination_may_finish_during_a_dispute() -> None:
    """Whether it counts is decided by the verdict."""
    machine = Machine()
    machine.settled("a", "b")
    machine.feed(UnitDisputed(machine.at(), machine.unit(0)))
    machine.combined()
    assert machine.state.open.combined is not None
    assert not machine.issued(FinalizeRound)


# --- Batches ---


def test_straggler_does_not_hold_up_stored_results_for_ever() -> None:
    """After two unit timeouts the batch goes without it."""
    machine = Machine()
    machine.stored("a")
    machine.feed(Tick(), 2 * TIMEOUT_MS - 1)
    assert machine.commands == ()
    machine.feed(Tick(), 1)
    assert [claim.slot for claim in machine.only(CommitRound).claims] == [0]
    machine.claim_on_chain()
    machine.stored("b", 1)
    assert [claim.slot for claim in machine.only(CommitRound).claims] == [1]


def test_second_batch_waits_for_the_first_to_be_taken() -> None:
    """One transaction of a round is under way at a time."""
    machine = Machine()
    machine.stored("a")
    machine.feed(Tick(), 2 * TIMEOUT_MS)
    machine.stored("b", 1)
    assert not machine.issued(CommitRound)
    machine.claim_on_chain()
    assert machine.issued(CommitRound)


def test_refused_commit_is_repeated_after_growing_pauses() -> None:
    """An unreachable chain is not hammered, and not forgotten."""
    machine = Machine()
    machine.submitted("a", "b")
    policy = machine.state.terms.policy
    for pause_ms in (policy.chain_retry_ms, 2 * policy.chain_retry_ms):
        machine.feed(CommitRefused(0, "execution reverted"))
        assert machine.commands == ()
        machine.feed(Tick(), pause_ms - 1)
        assert machine.commands == ()
        machine.feed(Tick(), 1)
        assert len(machine.only(CommitRound).claims) == 2


def test_refused_commit_opens_the_slots_that_are_to_blame() -> None:
    """The others are kept; both go together once the slot is filled again."""
    machine = Machine()
    machine.submitted("a", "b")
    machine.feed(CommitRefused(0, "BadSignature", slots=(1,)))
    assert machine.statuses() == [SlotStatus.FILLED, SlotStatus.OPEN]
    assert not may_work(machine.state, wallet("b"), machine.state.clock_ms)
    machine.feed(Tick(), 2_000)
    assert [claim.slot for claim in machine.only(CommitRound).claims] == [0]


def test_lost_bond_during_the_transaction_drops_the_claim_when_it_is_refused() -> None:
    """Until then the chain may still have taken it."""
    machine = Machine()
    machine.submitted("a", "b")
    machine.feed(BondChanged(wallet("b"), False))
    assert machine.statuses() == [SlotStatus.SUBMITTED, SlotStatus.SUBMITTED]
    machine.feed(CommitRefused(0, "NotActive"))
    assert machine.statuses() == [SlotStatus.FILLED, SlotStatus.OPEN]


def test_refused_finalization_waits_for_the_window_again() -> None:
    """The chain's clock decides, not ours."""
    machine = Machine()
    machine.settled("a", "b")
    machine.combined()
    machine.feed(ChallengeWindowOver(0))
    machine.feed(FinalizeRefused(0, "SlotNotFinal"))
    assert machine.commands == ()
    machine.feed(Tick(), machine.state.terms.policy.chain_retry_ms)
    assert machine.issued(AwaitChallengeWindow)
    machine.feed(ChallengeWindowOver(0))
    assert machine.issued(FinalizeRound)


def test_failed_combination_is_repeated_after_a_pause() -> None:
    """A worker process may die."""
    machine = Machine()
    machine.settled("a", "b")
    machine.feed(CombineFailed(0, 0, "out of memory"))
    assert machine.commands == ()
    machine.feed(Tick(), machine.state.terms.policy.chain_retry_ms)
    assert machine.issued(Combine)


# --- Ends ---


def test_cancelled_job_ends_at_once_without_claims_on_the_chain() -> None:
    """Nothing can be earned any more."""
    machine = Machine()
    machine.stored("a")
    machine.feed(JobCancelled(machine.at()))
    assert machine.commands == (FinishJob(Outcome.CANCELLED),)


def test_cancelled_job_finishes_a_round_with_claims_on_the_chain() -> None:
    """The escrow holds the round's pay back for it."""
    machine = Machine(rounds=3)
    machine.committed("a", "b")
    machine.feed(JobCancelled(machine.at()))
    assert machine.state.outcome is None
    machine.passed(0)
    machine.passed(1)
    machine.combined()
    machine.feed(ChallengeWindowOver(0))
    machine.finalized()
    assert machine.commands == (FinishJob(Outcome.CANCELLED),)


@pytest.mark.parametrize(
    ("event", "outcome"),
    [(JobExpired(), Outcome.EXPIRED), (LeaseLost(), Outcome.LEASE_LOST)],
)
def test_job_ends_from_outside(event: Event, outcome: Outcome) -> None:
    """Whatever the round was doing."""
    machine = Machine()
    machine.committed("a", "b")
    assert machine.feed(event) == (FinishJob(outcome),)


def test_another_checkpoint_on_the_chain_ends_the_coordination() -> None:
    """It is not ours to build on what does not follow."""
    machine = Machine()
    machine.settled("a", "b")
    machine.combined()
    machine.finalized(b"x" * 32)
    assert machine.commands == (FinishJob(Outcome.DIVERGED),)


def test_finalization_by_another_node_ends_the_coordination() -> None:
    """Only the holder of the lease can finalize."""
    machine = Machine()
    machine.settled("a", "b")
    machine.finalized()
    assert machine.commands == (FinishJob(Outcome.LEASE_LOST),)
