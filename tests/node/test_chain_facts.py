"""The chain's events as the coordinator's facts."""

from dataclasses import replace

from node.chain import events as e
from node.chain.events import Event, Place
from node.chain.types import Claim, PassReason
from node.chain_facts import FactReader, has_undone
from node.ids import JobId, unit_id
from node.job_log import FINAL_ROUNDS
from scheduler import events as facts
from scheduler.codec import Entry, encode
from scheduler.terms import Position, UnitRef
from tests.node.test_ledger import SUBMITTER, TERMS, Chain

JOB, WORKER, AUDITOR = JobId(b"j" * 32), "0x" + "3" * 40, "0x" + "4" * 40
CLAIM = Claim(1, 0, WORKER, b"r" * 32, b"c" * 32, b"s" * 65)
UNIT, NAME = UnitRef(0, 1, 0), unit_id(JOB, 0, 1, 0)
PLACE, AT = Place(7, 3, b""), Position(7, 3)

COMMITTED = e.RoundCommitted(PLACE, JOB, 0, 0, b"x" * 32, 9, (CLAIM,))

EACH: list[tuple[Event, facts.ChainEvent | None]] = [
    (
        e.UnitDrawn(PLACE, NAME, AUDITOR, JOB, 0, 1, 0, WORKER, 100),
        facts.UnitDrawn(AT, UNIT, AUDITOR, 100_000),
    ),
    (e.AuditCommitted(PLACE, NAME, AUDITOR, 110), facts.AuditAdvanced(AT, UNIT, 110_000)),
    (e.UnitOpened(PLACE, NAME, b"o" * 32, 120), facts.AuditAdvanced(AT, UNIT, 120_000)),
    (e.UnitPassed(PLACE, NAME, JOB, PassReason.NOT_DRAWN, 9), facts.UnitPassed(AT, UNIT, 9_000)),
    (e.UnitVerified(PLACE, NAME, JOB, 8), facts.UnitVerified(AT, UNIT, 8_000)),
    (e.UnitDisputed(PLACE, NAME, JOB, AUDITOR), facts.UnitDisputed(AT, UNIT)),
    (e.UnitFaulted(PLACE, NAME, JOB, WORKER, 5), facts.UnitFaulted(AT, UNIT, WORKER)),
    (e.UnitVoided(PLACE, NAME, JOB), facts.UnitVoided(AT, UNIT)),
    (e.JobCancelled(PLACE, JOB), facts.JobCancelled(AT)),
    (
        e.RoundFinalized(PLACE, JOB, 0, b"p" * 32, b"b" * 32, 5, 1),
        facts.RoundFinalizedOnChain(AT, 0, b"p" * 32),
    ),
    (e.AuditRevealed(PLACE, NAME, AUDITOR, b"o" * 32), None),
    (e.LeaseRenewed(PLACE, JOB, WORKER, 50), None),
    (e.DataCharged(PLACE, JOB, 3, 1, 1, 1, 1), facts.JobCancelled(AT)),
]


def test_a_committed_round_names_its_claims() -> None:
    """Slot, attempt, worker, root, commitment and signature arrive unchanged."""
    fact = FactReader(JOB).read(COMMITTED)
    assert isinstance(fact, facts.RoundCommittedOnChain)
    (claim,) = fact.claims
    assert (fact.at, fact.round, fact.batch) == (AT, 0, 0)
    assert (claim.slot, claim.attempt, claim.worker) == (1, 0, WORKER)
    assert (claim.result_root, claim.commitment, claim.signature) == (
        CLAIM.result_root,
        CLAIM.commitment,
        CLAIM.signature,
    )


def test_every_event_becomes_its_fact_with_times_in_milliseconds() -> None:
    """Units are named by round, slot and attempt; deadlines lose no unit."""
    reader = FactReader(JOB)
    reader.read(COMMITTED)
    for event, fact in EACH:
        assert reader.read(event) == fact


def test_a_unit_that_was_never_committed_is_no_fact() -> None:
    """Events of units that the log does not know are left out."""
    reader = FactReader(JOB)
    assert all(reader.read(event) is None for event, fact in EACH if hasattr(event, "unit_id"))


def test_the_units_of_a_final_round_are_forgotten() -> None:
    """A job of a million rounds needs the memory of those that are open."""
    reader = FactReader(JOB)
    for round in (0, 1):
        reader.read(replace(COMMITTED, round=round))
    reader.read(e.RoundFinalized(PLACE, JOB, 0, b"p" * 32, b"b" * 32, 5, 1))
    assert set(reader._units) == {unit_id(JOB, 1, 1, 0)}


def test_facts_of_rounds_that_the_log_has_forgotten_are_not_missed() -> None:
    """Others that the chain does not have are: it has undone them."""
    chain = Chain(whole_logs=False)
    chain.happen(e.JobFunded, JOB, SUBMITTER, replace(TERMS, rounds=100), 5, 10, 66)
    job = chain.ledger.jobs[JOB]
    records = []
    for round in range(20):
        chain.happen(e.RoundFinalized, JOB, round, b"p" * 32, b"b" * 32, 5, 1)
        fact = facts.RoundFinalizedOnChain(Position(7, len(records) + 2), round, b"p" * 32)
        records.append(encode(Entry(0, 0, fact)))
    assert job.log.first_round == 20 - FINAL_ROUNDS
    assert not has_undone(job, 7, records)
    gone = facts.UnitVoided(Position(7, 99), UnitRef(19, 0, 0))
    assert has_undone(job, 7, [*records, encode(Entry(0, 0, gone))])
    assert not has_undone(job, 6, [*records, encode(Entry(0, 0, gone))])
