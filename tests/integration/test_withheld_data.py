"""A job whose data nobody serves ends by a verdict: its submitter pays for that, no worker does."""

import sys
from collections.abc import Callable
from typing import Any

from node.bundle import assemble
from node.chain import events as on_chain
from node.config import set_value
from node.ledger import JobState
from tests.integration.withholding import WITHHELD_VARIABLE

LAUNCHER = (sys.executable, "-m", "tests.integration.withholding")
JOB_FAILED = 10


def test_withheld_data_costs_the_submitter_its_deposit_and_nobody_a_bond(
    network: Callable[..., Any], small_job: Any
) -> None:
    """An accomplice has the only copy and works alone; auditor and jury cannot recompute it."""
    running = network(0, LAUNCHER)
    accomplice, *others = running.add(4)
    set_value(accomplice.config, "roles", "coordinate,work")
    withheld = assemble(small_job.file).manifest.train.root
    running.environments[accomplice.path] = {WITHHELD_VARIABLE: withheld}
    for home in others:
        set_value(home.config, "roles", "audit")
        set_value(home.config, "input_patience_s", "1")
    # It is alone when the job is handed over: nobody else has a copy.
    running.start(accomplice)
    job_id = running.submit(small_job.file)
    running.start(*others)
    running.wait("the verdict", lambda: running.job(job_id).charged_wei)
    job = running.job(job_id)
    assert job.state is JobState.INPUT_UNAVAILABLE
    assert job.charged_wei == job.data_wei > 0
    assert job.open_round == 0
    verdicts = [event for event in job.log if isinstance(event, on_chain.UnitVoided)]
    assert verdicts
    assert not any(isinstance(event, on_chain.UnitFaulted) for event in job.log)
    for home in running.homes:
        tally = running.ledger().tally(running.address(home))
        assert (tally.slashed_wei, tally.active) == (0, True), home
    check_told(running, job_id)


def check_told(running: Any, job_id: bytes) -> None:
    """`job show` and `job watch` name the state, the verdict, what was charged and a remedy."""
    shown = running.ainur(running.submitter, "job", "show", job_id.hex())
    assert shown.code == 0
    fields = dict(line.split("\t", 1) for line in shown.out.splitlines() if "\t" in line)
    assert fields["state"] == "input unavailable"
    assert "charged: a committee found that its data was unavailable" in fields["data deposit"]
    units = running.ainur(running.submitter, "job", "show", job_id.hex(), "--json").json["units"]
    assert "input unavailable" in {unit["verdict"] for unit in units}
    watched = running.ainur(running.submitter, "job", "watch", job_id.hex())
    assert watched.code == JOB_FAILED
    for text in ("without a result: input unavailable", "nobody serves its data", "--holders"):
        assert text in watched.err
