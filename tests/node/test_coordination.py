"""The shell around the state machine: orders, what it tells of a job, what made its rounds."""

import json
import math
from typing import Any, cast

import pytest

from node.coordinators import Coordinators
from node.errors import PeerFault
from node.journal import Journal
from node.ledger import JobState
from node.messages import (
    AcceptedResult,
    AskRound,
    JobHeld,
    JobProgress,
    OrderKept,
    OrderStale,
    Refused,
    RoundResults,
    UnitAssigned,
    UnitDeclined,
)
from node.pause_order import Orders, make_order
from node.round_memory import RoundMemory
from node.wallet import Signer
from tests.node.coordinating import BLOB, JOB, WORKER, combined, coordination, pull, watch


def test_the_submitter_pauses_and_resumes_its_job(journal: Journal) -> None:
    """Nobody else does, no order counts twice, and a restart remembers it."""
    watching, submitter = watch(), Signer.random()
    of = coordination(journal, watching)
    of.job.submitter = submitter.address
    foreign = make_order(Signer.random(), JOB, True, 1)
    assert isinstance(of.answer("anyone", foreign), Refused)
    pause, resume = make_order(submitter, JOB, True, 1), make_order(submitter, JOB, False, 2)
    forged = pause.model_copy(update={"serial": 9})
    assert isinstance(of.answer("anyone", forged), Refused)
    answer = of.answer("anyone", pause)
    assert isinstance(answer, JobProgress)
    assert "the submitter paused the job" in answer.document
    after = coordination(journal, watching)
    assert isinstance(pull(after), UnitDeclined)
    after.answer("anyone", resume)
    assert after.answer("anyone", pause) == OrderStale(last=resume)
    assert isinstance(after.answer("anyone", resume), JobProgress)
    assert isinstance(pull(after), UnitAssigned)


def test_a_pause_binds_whoever_coordinates_later(journal: Journal) -> None:
    """A peer that was told keeps the latest order that the submitter signed."""
    watching, submitter = watch(), Signer.random()
    job = watching.ledger.jobs[JOB]
    job.submitter = submitter.address
    orders = Orders(journal)
    peer = Coordinators(*[cast(Any, None)] * 6, orders)
    peer._watch, peer._own = watching, {}

    def tell(paused: bool, serial: int, signer: Signer = submitter) -> object:
        return peer._keep_order(make_order(signer, JOB, paused, serial))

    assert isinstance(tell(True, 1, Signer.random()), Refused)
    assert orders.of(JOB, submitter.address) is None
    assert tell(False, 3) == tell(True, 5) == OrderKept(job_id=JOB.hex())
    last = OrderStale(last=make_order(submitter, JOB, True, 5))
    assert tell(False, 4) == tell(False, 5) == last
    of = coordination(journal, watching)
    assert isinstance(pull(of), UnitDeclined)
    of.answer("anyone", make_order(submitter, JOB, False, 6))
    assert isinstance(pull(of), UnitAssigned)
    job.state = JobState.CANCELLED
    assert isinstance(tell(True, 9), Refused)


def test_a_message_out_of_place_is_a_fault(journal: Journal) -> None:
    """Only requests to a coordinator are answered."""
    with pytest.raises(PeerFault, match="JobHeld"):
        coordination(journal).answer("worker", JobHeld(job_id=JOB.hex(), wallet=WORKER.address))


def test_the_results_of_a_round_are_told_if_they_are_known(journal: Journal) -> None:
    """Peers check a checkpoint against them."""
    of = coordination(journal)
    ask = AskRound(job_id=JOB.hex(), round=0)
    assert isinstance(of.answer("worker", ask), Refused)
    result = AcceptedResult(slot=0, result_root="ab" * 32, blob=BLOB)
    made_by = RoundResults(round=0, aggregate=BLOB, results=(result,))
    RoundMemory(journal).keep(JOB, made_by)
    assert of.answer("worker", ask) == made_by


def test_a_combined_round_is_remembered_with_its_metrics_and_times(journal: Journal) -> None:
    """So that whoever follows the round knows its evaluation, a diverged one too."""
    of = combined(journal)
    told = of.answer("worker", AskRound(job_id=JOB.hex(), round=0))
    assert isinstance(told, RoundResults)
    assert [result.took_ms for result in told.results] == [3_000, 5_000]
    assert told.metrics["accuracy"] == 0.5
    assert math.isnan(told.metrics["loss"])


def test_progress_is_a_document_with_a_reason(journal: Journal) -> None:
    """Whoever asks learns how far the job is and what it waits for."""
    of = coordination(journal)
    document = json.loads(of.progress().document)
    assert (document["round"], document["rounds"]) == (0, 2)
    assert document["waiting"] == of.waiting() != ""
