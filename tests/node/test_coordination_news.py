"""What the chain says reaches the state machine, once and in order."""

from node.chain import events as e
from node.chain.events import Place
from node.job_log import FINAL_ROUNDS
from node.journal import Journal
from scheduler.terms import Position
from tests.node.coordinating import JOB, coordination, watch


def test_events_are_fed_from_where_the_last_look_ended(journal: Journal) -> None:
    """The first look reads the log from its start, the next one what came since."""
    watching = watch()
    of = coordination(journal, watching)
    of._news._feed_log()
    assert (of._news._read, of.state.cancelled) == (None, False)
    watching.ledger.apply(e.JobCancelled(Place(2, 0, b""), JOB))
    of._news._feed_log()
    assert of._news._read == Place(2, 0, b"")
    assert (of.state.cancelled, of.state.chain_at) == (True, Position(2, 0))


def test_a_coordination_that_missed_rounds_ends_and_begins_anew(journal: Journal) -> None:
    """Between two looks more became final than the log keeps: nothing is guessed of them."""
    watching = watch()
    job = watching.ledger.jobs[JOB]
    of = coordination(journal, watching)
    for round in range(FINAL_ROUNDS + 1):
        place = Place(2, round, b"")
        watching.ledger.apply(e.RoundFinalized(place, JOB, round, b"p" * 32, b"b" * 32, 9, 1))
    of._news._feed_log()
    assert of._over.is_set()
    job.rounds = 100
    again = coordination(journal, watching)
    assert (again.state.round, again._over.is_set()) == (FINAL_ROUNDS + 1, False)
    again._news._feed_log()
    assert not again._over.is_set()
