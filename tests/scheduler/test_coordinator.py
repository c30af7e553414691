"""A job from its first round to its last, and every way in which it is interrupted."""

from dataclasses import replace

import pytest

from scheduler.codec import Entry, encode
from scheduler.commands import (
    AcceptCommit,
    AwaitChallengeWindow,
    CaptureDraw,
    Combine,
    CommitRound,
    DeclineReason,
    DeclineRequest,
    ExpireUnit,
    FetchResult,
    FinalizeRound,
    FinishJob,
    Outcome,
    PublishRound,
    RecoverResult,
    RefuseCommit,
    ResolveDispute,
)
from scheduler.coordinator import digest, handle, pending, replay, start
from scheduler.errors import IllegalEvent, JournalError
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
    NodeRestarted,
    ResultFault,
    ResultRefused,
    ResultStored,
    RoundCommittedOnChain,
    RoundFinalizedOnChain,
    Tick,
    UnitDisputed,
    UnitDrawn,
    UnitFaulted,
    UnitPassed,
    UnitVerified,
    UnitVoided,
)
from scheduler.state import SlotStatus
from scheduler.terms import Claim, JobTerms, Position, UnitRef
from tests.scheduler.machine import (
    AUDITOR,
    BLOB,
    CHECKPOINT,
    TIMEOUT_MS,
    Machine,
    blob,
    commit,
    peer,
    root,
    wallet,
)

NEXT = b"c" * 32


def finalize(machine: Machine, checkpoint: bytes = NEXT) -> tuple[object, ...]:
    return machine.feed(RoundFinalizedOnChain(machine.at(), machine.state.round, checkpoint))


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
        JobTerms(job_id=bytes(32), unit_peak_bytes=0, **values)


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
    finalize(machine)
    assert machine.commands == (PublishRound(1),)
    assert machine.state.checkpoint == NEXT
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
    finalize(machine)
    assert machine.commands == (FinishJob(Outcome.COMPLETED),)
    assert machine.state.totals.units == 2
    machine.request("a")
    assert machine.only(DeclineRequest).reason is DeclineReason.JOB_OVER
    machine.feed(commit("a", UnitRef(0, 0, 0)))
    assert machine.issued(RefuseCommit)
    before = machine.state
    machine.feed(LeaseLost())
    machine.feed(UnitDrawn(machine.at(), UnitRef(7, 7, 7), AUDITOR, 0))
    assert machine.state is before


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
    before = machine.state
    machine.feed(CombineFinished(0, 0, b"o" * 32, BLOB))
    assert machine.state is before
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
    finalize(machine)
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
    assert machine.state.combined is not None
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
    assert machine.statuses() == [SlotStatus.STORED, SlotStatus.OPEN]
    machine.feed(Tick(), 2_000)
    assert [claim.slot for claim in machine.only(CommitRound).claims] == [0]


def test_lost_bond_during_the_transaction_drops_the_claim_when_it_is_refused() -> None:
    """Until then the chain may still have taken it."""
    machine = Machine()
    machine.submitted("a", "b")
    machine.feed(BondChanged(wallet("b"), False))
    assert machine.statuses() == [SlotStatus.SUBMITTED, SlotStatus.SUBMITTED]
    machine.feed(CommitRefused(0, "NotActive"))
    assert machine.statuses() == [SlotStatus.STORED, SlotStatus.OPEN]


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
    finalize(machine)
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
    finalize(machine, b"x" * 32)
    assert machine.commands == (FinishJob(Outcome.DIVERGED),)


def test_finalization_by_another_node_ends_the_coordination() -> None:
    """Only the holder of the lease can finalize."""
    machine = Machine()
    machine.settled("a", "b")
    finalize(machine)
    assert machine.commands == (FinishJob(Outcome.LEASE_LOST),)


# --- Illegal events ---


def settled_machine() -> Machine:
    machine = Machine()
    machine.settled("a", "b")
    return machine


ILLEGAL = {
    "started twice": lambda m: m.begun,
    "stored in a later round": lambda m: ResultStored(UnitRef(1, 0, 0), BLOB),
    "stored in a later attempt": lambda m: ResultStored(UnitRef(0, 0, 1), BLOB),
    "stored in no slot": lambda m: ResultStored(UnitRef(0, 2, 0), BLOB),
    "refused in a later round": lambda m: ResultRefused(
        UnitRef(1, 0, 0), BLOB, peer("a"), ResultFault.MALFORMED
    ),
    "commit refused in a later round": lambda m: CommitRefused(1, ""),
    "combined in a later round": lambda m: CombineFinished(1, 0, NEXT, BLOB),
    "combined in a later generation": lambda m: CombineFinished(0, 1, NEXT, BLOB),
    "combination failed in a later round": lambda m: CombineFailed(1, 0, ""),
    "window over in a later round": lambda m: ChallengeWindowOver(1),
    "finalize refused in a later round": lambda m: FinalizeRefused(1, ""),
    "finalized in a later round": lambda m: RoundFinalizedOnChain(m.at(), 1, NEXT),
    "committed in a later round": lambda m: RoundCommittedOnChain(m.at(), 1, 0, ()),
    "committed batch out of order": lambda m: RoundCommittedOnChain(m.at(), 0, 2, ()),
    "drawn in a later round": lambda m: UnitDrawn(m.at(), UnitRef(1, 0, 0), AUDITOR, 0),
    "drawn in another attempt": lambda m: UnitDrawn(m.at(), UnitRef(0, 0, 1), AUDITOR, 0),
    "drawn in no slot": lambda m: UnitDrawn(m.at(), UnitRef(0, 2, 0), AUDITOR, 0),
}


@pytest.mark.parametrize("name", ILLEGAL)
def test_event_that_cannot_be_is_illegal_and_changes_nothing(name: str) -> None:
    """About what never was: an error of the node, not of a peer."""
    machine = settled_machine()
    before, event = machine.state, ILLEGAL[name](machine)
    with pytest.raises(IllegalEvent):
        machine.feed(event)
    assert machine.state is before


def test_combination_of_unsettled_units_is_illegal() -> None:
    """Nobody asked for it."""
    machine = Machine()
    machine.committed("a", "b")
    machine.passed(0)
    with pytest.raises(IllegalEvent, match="not settled"):
        machine.combined()


def test_second_checkpoint_from_the_same_results_is_illegal() -> None:
    """The same one is only a repetition."""
    machine = settled_machine()
    machine.combined(NEXT)
    before = machine.state
    machine.combined(NEXT)
    assert machine.state is before
    with pytest.raises(IllegalEvent, match="two checkpoints"):
        machine.combined(b"x" * 32)


def test_finalization_with_unsettled_slots_is_illegal() -> None:
    """The ledger would not do that."""
    machine = Machine()
    machine.committed("a", "b")
    machine.passed(0)
    with pytest.raises(IllegalEvent, match=r"slots \[1\] unsettled"):
        finalize(machine)


def test_reports_on_an_earlier_round_are_ignored() -> None:
    """Commands overlap with events; what is over is over."""
    machine = Machine()
    machine.settled("a", "b")
    machine.combined()
    machine.feed(ChallengeWindowOver(0))
    finalize(machine)
    before = machine.state
    unit = UnitRef(0, 0, 0)
    for event in (
        ResultStored(unit, blob("a", unit)),
        ResultRefused(unit, blob("a", unit), peer("a"), ResultFault.MALFORMED),
        CommitRefused(0, ""),
        CombineFinished(0, 0, NEXT, BLOB),
        CombineFailed(0, 0, ""),
        ChallengeWindowOver(0),
        FinalizeRefused(0, ""),
    ):
        machine.feed(event)
    assert machine.state is before


# --- Time and the chain's order ---


def test_chain_event_repeated_is_ignored_by_its_position() -> None:
    """After a restart the log is read again."""
    machine = Machine()
    machine.submitted("a", "b")
    claims = machine.only(CommitRound).claims
    event = RoundCommittedOnChain(Position(5, 1), 0, 0, claims)
    machine.feed(event)
    assert machine.state.chain_at == Position(5, 1)
    before = machine.state
    machine.feed(event)
    machine.feed(UnitPassed(Position(5, 0), machine.unit(0), 0))
    assert machine.state is before
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
    before = machine.state
    machine.feed(Tick(), 5_000)
    assert machine.state is before


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
        RecoverResult(units[0], wallet("a"), root("a", units[0])),
        RecoverResult(units[1], wallet("b"), root("b", units[1])),
        CaptureDraw(0, 0),
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
        RecoverResult(unit, wallet("b"), root("b", unit)),
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
    assert machine.issued(RecoverResult)
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
    assert all(row.vanished_ms == machine.now_ms for row in machine.state.peers)
    machine.feed(Tick(), machine.state.terms.policy.reconnect_grace_ms)
    assert not machine.held("a")


def test_handle_never_repeats_what_already_stands() -> None:
    """A command is issued when it begins to hold."""
    machine = Machine()
    machine.receipted("a")
    state, commands = handle(machine.state, Tick(), machine.now_ms)
    assert commands == ()
    assert len(pending(state)) == 2
