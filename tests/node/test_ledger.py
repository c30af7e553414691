"""The fold of the chain's events: jobs, units, accounts."""

from dataclasses import replace
from typing import TypeVar

from node.chain import events as e
from node.chain.events import Place
from node.chain.types import Claim, JobTerms, Parameter, PassReason
from node.ids import JobId, unit_id
from node.ledger import JobState, Ledger, UnitState
from node.parameters import Versions
from scheduler.blob_ref import BLOB_BYTES_MAX
from scheduler.terms import UnitRef

T = TypeVar("T")
JOB, OTHER = JobId(b"j" * 32), JobId(b"k" * 32)
SUBMITTER, HOLDER, WORKER, AUDITOR = (f"0x{digit * 40}" for digit in "1234")
TERMS = JobTerms(b"m" * 32, 100, b"b" * 32, rounds=2, slots=2, unit_wei=10, deadline=1000)


class Chain:
    """Hands out places in order and folds what happens, as a command does or as a node does."""

    def __init__(self, *, whole_logs: bool = True) -> None:
        self.ledger = Ledger(whole_logs=whole_logs)
        self._index = 0

    def happen(self, kind: type[e.Event], *values: object) -> None:
        self._index += 1
        self.ledger.apply(kind(Place(7, self._index, b""), *values))


def committed(slots: tuple[int, ...] = (0, 1), attempt: int = 0) -> Chain:
    """A funded job whose open round has these slots on chain."""
    chain = Chain()
    chain.happen(e.JobFunded, JOB, SUBMITTER, TERMS, 5, TERMS.unit_wei, 66)
    chain.happen(e.LeaseTaken, JOB, HOLDER, 50, 1)
    claims = tuple(Claim(s, attempt, WORKER, b"r" * 32, b"c" * 32, b"s" * 65) for s in slots)
    chain.happen(e.RoundCommitted, JOB, 0, 0, b"x" * 32, 9, claims)
    return chain


def name(slot: int, attempt: int = 0, round: int = 0) -> bytes:
    return unit_id(JOB, round, slot, attempt)


def test_a_funded_job_is_known_with_its_terms() -> None:
    """Manifest, money, deadline and place come from the event."""
    chain = Chain()
    chain.happen(e.JobFunded, JOB, SUBMITTER, TERMS, 5, TERMS.unit_wei, 66)
    job = chain.ledger.jobs[JOB]
    assert (job.manifest.root, job.manifest.size) == ((b"b" * 32).hex(), 100)
    assert (job.rounds, job.slots, job.unit_wei, job.audit_wei, job.deposited_wei) == (
        2, 2, 10, 5, 66,
    )  # fmt: skip
    assert job.state is JobState.FUNDED
    assert job.open_round == 0


def test_a_units_way_through_an_audit() -> None:
    """Committed, drawn, audit committed, opened, verified; deadlines follow."""
    chain = committed()
    unit = chain.ledger.units[name(0)]
    assert (unit.state, unit.worker, unit.coordinator) == (UnitState.COMMITTED, WORKER, HOLDER)
    chain.happen(e.UnitDrawn, name(0), AUDITOR, JOB, 0, 0, 0, WORKER, 100)
    assert (unit.state, unit.auditor, unit.deadline_s) == (UnitState.DRAWN, AUDITOR, 100)
    chain.happen(e.AuditCommitted, name(0), AUDITOR, 120)
    assert (unit.state, unit.deadline_s) == (UnitState.AUDIT_COMMITTED, 120)
    chain.happen(e.UnitOpened, name(0), b"o" * 32, 130)
    assert unit.unit_root == b"o" * 32
    chain.happen(e.AuditRevealed, name(0), AUDITOR, b"o" * 32)
    chain.happen(e.UnitVerified, name(0), JOB, 140)
    assert (unit.state, unit.deadline_s) == (UnitState.VERIFIED, 140)


def test_only_passed_and_verified_units_are_accepted() -> None:
    """A slot counts once its unit is settled for good."""
    chain = committed()
    job = chain.ledger.jobs[JOB]
    assert job.accepted(0) == {}
    chain.happen(e.UnitPassed, name(0), JOB, PassReason.NOT_DRAWN, 90)
    chain.happen(e.UnitDrawn, name(1), AUDITOR, JOB, 0, 1, 0, WORKER, 100)
    assert set(job.accepted(0)) == {0}
    chain.happen(e.UnitDisputed, name(0), JOB, AUDITOR)
    assert job.accepted(0) == {}


def test_a_fault_is_counted_and_the_slot_has_a_next_attempt() -> None:
    """The faulted unit stays beside its replacement."""
    chain = committed()
    chain.happen(e.UnitDisputed, name(0), JOB, AUDITOR)
    chain.happen(e.Slashed, WORKER, 75, 45, 30, 75)
    chain.happen(e.UnitFaulted, name(0), JOB, WORKER, 75)
    claim = Claim(0, 1, HOLDER, b"r" * 32, b"c" * 32, b"s" * 65)
    chain.happen(e.RoundCommitted, JOB, 0, 1, b"x" * 32, 12, (claim,))
    chain.happen(e.UnitPassed, name(0, 1), JOB, PassReason.NOT_DRAWN, 90)
    ledger = chain.ledger
    assert ledger.tally(WORKER).faults == 1
    assert ledger.tally(WORKER).slashed_wei == ledger.slashed_wei == 75
    assert ledger.jobs[JOB].accepted(0)[0].key == UnitRef(0, 0, 1)
    batches = ledger.jobs[JOB].batches
    assert {key: batch.draw_block for key, batch in batches.items()} == {(0, 0): 9, (0, 1): 12}


def test_a_dispute_collects_its_jurors_and_votes() -> None:
    """Who sits, who committed, who revealed, and until when."""
    chain = committed()
    chain.happen(e.UnitDisputed, name(0), JOB, AUDITOR)
    chain.happen(e.DisputeOpened, name(0), 20)
    chain.happen(e.JurorsDrawn, name(0), (HOLDER, AUDITOR), 200, 230)
    chain.happen(e.VoteCommitted, name(0), AUDITOR)
    chain.happen(e.VotingClosed, name(0), 225)
    chain.happen(e.VoteRevealed, name(0), AUDITOR, b"o" * 32)
    unit = chain.ledger.units[name(0)]
    assert unit.dispute_draw_block == 20
    assert unit.jurors == (HOLDER, AUDITOR)
    assert unit.votes_committed == unit.votes_revealed == {AUDITOR}
    assert unit.vote_reveal_deadline_s == 225


def finish_round(chain: Chain, round: int) -> None:
    for slot in (0, 1):
        chain.happen(e.UnitPassed, name(slot, 0, round), JOB, PassReason.NOT_DRAWN, 90)
    chain.happen(e.RoundRewards, JOB, round, (WORKER,), (20,))
    chain.happen(e.RoundFinalized, JOB, round, bytes([round]) * 32, b"p" * 32, 77, 20)
    chain.happen(e.Credited, "0x5", "0x6", (WORKER, AUDITOR), (20, 0))


def test_a_finalised_round_opens_the_next_and_pays() -> None:
    """Checkpoint, blob, rewards and counts; units of earlier rounds are forgotten."""
    chain = committed()
    finish_round(chain, 0)
    job = chain.ledger.jobs[JOB]
    assert job.open_round == 1
    assert (job.finalized[0].checkpoint, job.finalized[0].blob.size) == (bytes(32), 77)
    assert chain.ledger.tally(WORKER).earned == {"0x5": 20}
    assert chain.ledger.tally(WORKER).units == 2
    claims = tuple(Claim(s, 0, WORKER, b"r" * 32, b"c" * 32, b"s" * 65) for s in (0, 1))
    chain.happen(e.RoundCommitted, JOB, 1, 0, b"x" * 32, 30, claims)
    finish_round(chain, 1)
    assert name(0) not in chain.ledger.units
    assert name(0, 0, 1) in chain.ledger.units


def test_a_jobs_end_and_its_money() -> None:
    """Completed, paid, fees, refunded, settled: what was deposited is accounted for."""
    chain = committed()
    chain.happen(e.RoundPaid, JOB, 0, 30, 3)
    chain.happen(e.JobCompleted, JOB)
    job = chain.ledger.jobs[JOB]
    assert job.is_over
    assert not job.settled
    chain.happen(e.JobSettled, JOB)
    chain.happen(e.JobRefunded, JOB, SUBMITTER, 33)
    assert (job.state, job.settled) == (JobState.COMPLETED, True)
    assert job.deposited_wei == job.paid_wei + job.fees_wei + job.refunded_wei


def test_a_job_whose_data_was_unavailable_is_over_and_its_deposit_charged() -> None:
    """The unit is void, nobody is at fault, and the money adds up."""
    chain = committed()
    chain.happen(e.DataDeposited, JOB, 6)
    chain.happen(e.UnitDisputed, name(0), JOB, WORKER)
    chain.happen(e.InputUnavailable, name(0), JOB)
    chain.happen(e.UnitVoided, name(0), JOB)
    chain.happen(e.DataCharged, JOB, 3, 1, 1, 1, 1)
    job, unit = chain.ledger.jobs[JOB], chain.ledger.units[name(0)]
    assert (job.state, job.is_over, unit.input_unavailable) == (
        JobState.INPUT_UNAVAILABLE,
        True,
        True,
    )
    assert (job.data_wei, job.charged_wei) == (6, 6)
    assert chain.ledger.tally(WORKER).faults == 0
    chain.happen(e.JobSettled, JOB)
    chain.happen(e.JobRefunded, JOB, SUBMITTER, job.deposited_wei - 6)
    assert job.deposited_wei == job.refunded_wei + job.charged_wei
    assert (job.state, job.settled) == (JobState.INPUT_UNAVAILABLE, True)


def test_a_job_that_is_settled_without_an_end_has_expired() -> None:
    """Only a deadline ends a funded job that way."""
    chain = committed()
    chain.happen(e.JobSettled, JOB)
    assert chain.ledger.jobs[JOB].state is JobState.EXPIRED


def test_bonds_activity_and_identity() -> None:
    """The vault's events make an account's standing."""
    chain = Chain()
    chain.happen(e.Bonded, WORKER, 150, 150)
    chain.happen(e.ActiveChanged, WORKER, True)
    chain.happen(e.PeerIdChanged, WORKER, b"peer")
    chain.happen(e.Slashed, WORKER, 75, 45, 30, 75)
    chain.happen(e.ActiveChanged, WORKER, False)
    tally = chain.ledger.tally(WORKER)
    assert (tally.bond_wei, tally.active, tally.peer_id) == (75, False, b"peer")
    assert not chain.ledger.is_active(WORKER)
    assert not chain.ledger.is_active("0xnobody")


def test_the_log_has_every_event_of_the_job_and_no_other() -> None:
    """It is what a job's history is made of."""
    chain = committed()
    before = len(chain.ledger.jobs[JOB].log)
    chain.happen(e.UnitPassed, name(0), JOB, PassReason.NOT_DRAWN, 90)
    chain.happen(e.Bonded, WORKER, 1, 1)
    chain.happen(e.JobFunded, OTHER, SUBMITTER, TERMS, 5, TERMS.unit_wei, 66)
    assert len(chain.ledger.jobs[JOB].log) == before + 1
    assert len(chain.ledger.jobs[OTHER].log) == 1


def test_sizes_beyond_any_blob_stop_nobody() -> None:
    """The contracts take any uint64 as a size; whoever writes one must not end the daemons."""
    chain = Chain()
    huge = replace(TERMS, manifest_size=2**64 - 1)
    chain.happen(e.JobFunded, JOB, SUBMITTER, huge, 5, huge.unit_wei, 66)
    chain.happen(e.RoundFinalized, JOB, 0, b"s" * 32, b"b" * 32, 2**64 - 1, 20)
    job = chain.ledger.jobs[JOB]
    assert job.manifest.size == job.finalized[0].blob.size == BLOB_BYTES_MAX


def test_units_of_an_open_round_outlive_the_jobs_books() -> None:
    """A worker can still be asked to open a unit of a settled job: it must know of it."""
    chain = committed()
    chain.happen(e.JobCancelled, JOB)
    chain.happen(e.JobSettled, JOB)
    chain.happen(e.UnitDrawn, name(0), AUDITOR, JOB, 0, 0, 0, WORKER, 100)
    chain.happen(e.AuditCommitted, name(0), AUDITOR, 120)
    assert chain.ledger.units[name(0)].state is UnitState.AUDIT_COMMITTED


def ahead() -> Chain:
    """A job of two rounds, the first anchored, claims to the second on chain."""
    chain = committed()
    chain.happen(e.RoundAnchored, JOB, 0, b"a" * 32, b"d" * 32, 9)
    claims = tuple(Claim(s, 0, WORKER, b"r" * 32, b"c" * 32, b"s" * 65) for s in (0, 1))
    chain.happen(e.RoundCommitted, JOB, 1, 0, b"x" * 32, 12, claims)
    chain.happen(e.DrawCaptured, JOB, 1, 0, b"s" * 32, False)
    return chain


def test_an_anchored_round_is_where_the_next_one_starts() -> None:
    """Before it is final; its own units wait for their audits."""
    job = ahead().ledger.jobs[JOB]
    assert (job.open_round, job.head_round) == (0, 1)
    assert job.parent(1) == b"a" * 32
    anchor = job.after(0)
    assert anchor is not None
    assert (anchor.blob.root, anchor.blob.size) == ((b"d" * 32).hex(), 9)
    assert {key.round for key in job.units} == {0, 1}
    assert job.after(1) is None


def test_an_anchored_round_that_is_final_is_anchored_no_more() -> None:
    """What follows it goes on as it was."""
    chain = ahead()
    chain.happen(e.RoundFinalized, JOB, 0, b"a" * 32, b"d" * 32, 9, 20)
    job = chain.ledger.jobs[JOB]
    assert (job.open_round, job.head_round, job.anchors) == (1, 1, {})
    assert job.parent(1) == b"a" * 32
    assert set(job.batches) == {(1, 0)}


def test_withdrawn_anchors_take_all_that_came_after_with_them() -> None:
    """Units, batches and draws of later rounds are owed no more, those of the round itself are."""
    chain = ahead()
    chain.happen(e.AnchorsWithdrawn, JOB, 0, 1)
    job = chain.ledger.jobs[JOB]
    assert (job.head_round, job.anchors, job.after(0)) == (0, {}, None)
    assert {key.round for key in job.units} == {0}
    assert {unit.key.round for unit in chain.ledger.units.values()} == {0}
    assert set(job.batches) == {(0, 0)}
    # What is said of a dissolved unit later finds none.
    chain.happen(e.UnitDrawn, name(0, 0, 1), AUDITOR, JOB, 1, 0, 0, WORKER, 100)
    assert name(0, 0, 1) not in chain.ledger.units
    # The round is anchored anew, and its successor begins with later attempts.
    chain.happen(e.RoundAnchored, JOB, 0, b"b" * 32, b"d" * 32, 9)
    claims = tuple(Claim(s, 1, WORKER, b"r" * 32, b"c" * 32, b"s" * 65) for s in (0, 1))
    chain.happen(e.RoundCommitted, JOB, 1, 0, b"x" * 32, 12, claims)
    assert job.parent(1) == b"b" * 32
    assert {key.attempt for key in job.units if key.round == 1} == {1}
    assert job.batches[1, 0].dissolutions == 1
    assert job.batches[0, 0].dissolutions == 0


def test_bonds_are_free_but_for_what_is_locked_or_leaving() -> None:
    """Locks, exits and slashes as the vault has them, and how many units the rest covers."""
    chain = committed()
    chain.happen(e.ParameterChanged, Parameter.AUDIT_FLOOR_BPS, 0, 500)
    chain.happen(e.ParameterChanged, Parameter.LOCK_FACTOR_BPS, 0, 10_000)
    job = chain.ledger.jobs[JOB]
    assert chain.ledger.lock_wei(job) == 200
    assert chain.ledger.covers(WORKER, job) == 0
    chain.happen(e.Bonded, WORKER, 1_000, 1_000)
    assert chain.ledger.covers(WORKER, job) == 2, "at most a round's"
    chain.happen(e.BondLocked, WORKER, 200, 400)
    chain.happen(e.UnbondRequested, WORKER, 300, 300, 99)
    tally = chain.ledger.tally(WORKER)
    assert (tally.bond_wei, tally.locked_wei, tally.pending_wei) == (1_000, 400, 300)
    assert (tally.free_wei, chain.ledger.covers(WORKER, job)) == (300, 1)
    chain.happen(e.BondUnlocked, WORKER, 200, 200)
    chain.happen(e.Slashed, WORKER, 800, 800, 0, 200)
    assert (tally.bond_wei, tally.pending_wei, tally.free_wei) == (200, 200, 0)
    chain.happen(e.Withdrawn, WORKER, 200, 0)
    assert (tally.bond_wei, tally.pending_wei, tally.free_wei) == (0, 0, 0)


def test_a_job_in_a_token_locks_by_what_its_price_counts_as() -> None:
    """Its own amounts stay in its token's smallest units; what it paid is counted apart."""
    chain, usdx = Chain(), "0x" + "5" * 40
    chain.happen(e.ParameterChanged, Parameter.AUDIT_FLOOR_BPS, 0, 500)
    chain.happen(e.ParameterChanged, Parameter.LOCK_FACTOR_BPS, 0, 10_000)
    chain.happen(e.JobFunded, JOB, SUBMITTER, replace(TERMS, token=usdx), 5, 700, 66)
    chain.happen(e.Bonded, WORKER, 20_000, 20_000)
    job = chain.ledger.jobs[JOB]
    assert (job.token, job.unit_wei, job.unit_value_wei) == (usdx, 10, 700)
    assert chain.ledger.lock_wei(job) == 14_000
    assert chain.ledger.covers(WORKER, job) == 1
    chain.happen(e.Credited, usdx, "0x6", (WORKER,), (20,))
    chain.happen(e.Credited, "0x5", "0x6", (WORKER,), (3,))
    chain.happen(e.Claimed, usdx, WORKER, 15)
    tally = chain.ledger.tally(WORKER)
    assert (tally.earned, tally.claimed) == ({usdx: 20, "0x5": 3}, {usdx: 15})


def test_delegated_bonds_cover_units_beside_the_own_bond_and_never_more() -> None:
    """As the vault's freeOf; a slash says itself what is left of the own bond."""
    chain = committed()
    chain.happen(e.ParameterChanged, Parameter.AUDIT_FLOOR_BPS, 0, 500)
    chain.happen(e.ParameterChanged, Parameter.LOCK_FACTOR_BPS, 0, 10_000)
    chain.happen(e.Bonded, WORKER, 250, 250)
    chain.happen(e.DelegatedChanged, WORKER, 240, 200)
    tally, job = chain.ledger.tally(WORKER), chain.ledger.jobs[JOB]
    assert (tally.free_wei, chain.ledger.covers(WORKER, job)) == (450, 2)
    chain.happen(e.UnbondRequested, WORKER, 150, 150, 99)
    assert (tally.free_wei, chain.ledger.covers(WORKER, job)) == (200, 1)
    chain.happen(e.BondLocked, WORKER, 200, 200)
    chain.happen(e.DelegatedChanged, WORKER, 140, 100)
    chain.happen(e.Slashed, WORKER, 200, 200, 0, 150)
    chain.happen(e.BondUnlocked, WORKER, 200, 0)
    assert (tally.bond_wei, tally.pending_wei, tally.free_wei) == (150, 150, 0)


def test_dissolved_units_are_remembered_until_their_locks_are_released() -> None:
    """Not those that were at fault or void before: their locks are over."""
    chain = Chain()
    terms = replace(TERMS, rounds=3, slots=3, rounds_ahead=1)
    chain.happen(e.JobFunded, JOB, SUBMITTER, terms, 5, terms.unit_wei, 66)
    chain.happen(e.LeaseTaken, JOB, HOLDER, 50, 1)
    chain.happen(e.RoundAnchored, JOB, 0, b"c" * 32, b"b" * 32, 99)
    claims = tuple(Claim(s, 0, WORKER, b"r" * 32, b"c" * 32, b"s" * 65) for s in range(3))
    chain.happen(e.RoundCommitted, JOB, 1, 0, b"x" * 32, 9, claims)
    chain.happen(e.UnitFaulted, name(1, round=1), JOB, WORKER, 75)
    for slot in (0, 2):
        chain.happen(e.ChallengeOpened, name(slot, round=1), WORKER, 50)
    chain.happen(e.ChallengeClosed, name(0, round=1), WORKER, 0, 50, 0)
    chain.happen(e.AnchorsWithdrawn, JOB, 0, 1)
    left = {name(0, round=1), name(2, round=1)}
    assert set(chain.ledger.dissolved) == left
    assert set(chain.ledger.deposits) == {name(2, round=1)}
    chain.happen(e.ChallengeClosed, name(2, round=1), WORKER, 50, 0, 0)
    assert chain.ledger.deposits == {}
    chain.happen(e.LockReleased, name(0, round=1), WORKER, 200)
    assert set(chain.ledger.dissolved) == {name(2, round=1)}


def test_a_job_keeps_the_versions_that_were_accepted_when_it_was_funded() -> None:
    """A later vote is about later jobs."""
    chain = Chain()
    chain.happen(e.ParameterChanged, Parameter.ARITHMETIC_VERSIONS, 0, 0b0010)
    chain.happen(e.ParameterChanged, Parameter.MANIFEST_VERSIONS, 0, 0b0100)
    chain.happen(e.JobFunded, JOB, SUBMITTER, TERMS, 5, TERMS.unit_wei, 66)
    chain.happen(e.ParameterChanged, Parameter.ARITHMETIC_VERSIONS, 0b0010, 0b1000)
    assert chain.ledger.jobs[JOB].versions == Versions(0b0010, 0b0100)
    assert Versions.of(chain.ledger.parameters) == Versions(0b1000, 0b0100)


def test_a_draw_that_was_missed_has_another_block() -> None:
    """Whoever captures it next waits for that one."""
    chain = committed()
    chain.happen(e.DrawMissed, JOB, 0, 0, 777)
    assert chain.ledger.jobs[JOB].batches[0, 0].draw_block == 777
    chain.happen(e.DrawMissed, JOB, 0, 9, 888)
    assert not chain.ledger.jobs[JOB].batches[0, 0].is_captured
