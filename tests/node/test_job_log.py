"""A job's events, whole for who explains them and bounded for who follows them."""

from dataclasses import replace

import pytest

from node.chain import events as e
from node.chain.events import Place
from node.chain.types import Claim, PassReason
from node.job_log import FINAL_ROUNDS, JobLog
from tests.node.test_chain_facts import COMMITTED, EACH
from tests.node.test_ledger import HOLDER, JOB, SUBMITTER, TERMS, WORKER, Chain, name

EVENTS_PER_ROUND = 6
"""Of which one, the lease's, is none that a coordinator follows."""


def rounds(count: int, *, whole_logs: bool) -> JobLog:
    """The log of a job of which so many rounds are final."""
    chain = Chain(whole_logs=whole_logs)
    chain.happen(e.JobFunded, JOB, SUBMITTER, replace(TERMS, rounds=10**6), 5, 10, 66)
    for round in range(count):
        claims = tuple(Claim(s, 0, WORKER, b"r" * 32, b"c" * 32, b"s" * 65) for s in (0, 1))
        chain.happen(e.LeaseRenewed, JOB, HOLDER, 50)
        chain.happen(e.RoundCommitted, JOB, round, 0, b"x" * 32, 9, claims)
        for slot in (0, 1):
            chain.happen(e.UnitPassed, name(slot, round=round), JOB, PassReason.NOT_DRAWN, 90)
        chain.happen(e.RoundAnchored, JOB, round, b"p" * 32, b"b" * 32, 9)
        chain.happen(e.RoundFinalized, JOB, round, b"p" * 32, b"b" * 32, 9, 20)
    return chain.ledger.jobs[JOB].log


@pytest.mark.parametrize("count", [FINAL_ROUNDS, 20, 1_000])
def test_a_long_job_takes_no_more_room_than_a_short_one(count: int) -> None:
    """A node keeps the last final rounds, however many there were; a command keeps all."""
    log = rounds(count, whole_logs=False)
    assert len(log) == FINAL_ROUNDS * (EVENTS_PER_ROUND - 1)
    assert log.first_round == count - FINAL_ROUNDS
    finals = [event.round for event in log if isinstance(event, e.RoundFinalized)]
    assert finals == list(range(log.first_round, count))


def test_a_whole_log_forgets_nothing() -> None:
    """What is over is explained from it."""
    log = rounds(20, whole_logs=True)
    assert (len(log), log.first_round) == (1 + 20 * EVENTS_PER_ROUND, 0)


def test_what_is_a_fact_to_a_coordinator_is_kept_and_nothing_else() -> None:
    """The list here and the translation in node/chain_facts.py go together."""
    for event, fact in [*EACH, (COMMITTED, True)]:
        log = JobLog()
        log.add(event, 0)
        assert len(log) == (fact is not None), event


def test_the_end_of_a_job_stays_when_later_rounds_become_final() -> None:
    """It is told once, and rounds that had begun go on after it."""
    log = JobLog()
    log.add(e.JobCancelled(Place(1, 0, b""), JOB), 0)
    log.forget_final(100)
    assert len(log) == 1


def test_who_reads_goes_on_after_the_last_event_that_it_has_read() -> None:
    """By its place on the chain: what is forgotten meanwhile moves nothing."""
    log = rounds(20, whole_logs=False)
    assert list(log.since(None)) == list(log)
    assert list(log.since(log[7].place)) == list(log[8:])
    assert list(log.since(log[-1].place)) == []


def test_logs_of_the_same_events_are_equal() -> None:
    """So that a ledger that took replaced blocks back can be compared with one that begins anew."""
    assert rounds(9, whole_logs=False) == rounds(9, whole_logs=False)
    assert rounds(9, whole_logs=False) != rounds(8, whole_logs=False)
    assert rounds(2, whole_logs=False) != rounds(2, whole_logs=True)
