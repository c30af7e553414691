"""Rounds that run ahead of audits: a lie in an anchored round costs its successors, never bits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from node.chain import events as on_chain
from node.config import set_value
from node.ledger import JobState, JobView
from tests.integration.one_lie import FOLDER_VARIABLE, JUDGE, LIES_IN

AHEAD = 2


def test_lie_in_an_anchored_round_dissolves_what_follows_and_leaves_no_trace(
    network: Callable[[int], Any], long_job: Any, tmp_path: Path
) -> None:
    """Two rounds start from unaudited ones, the coordinator is killed meanwhile; then the verdict
    cuts them, and the digest is still the replay's.
    """
    running = network(0)
    coordinator, *workers = running.add(5)
    set_value(coordinator.config, "roles", "coordinate")
    for home in workers:
        set_value(home.config, "roles", "work,audit")
    for home in running.homes:
        running.environments[home.path] = {
            "AINUR_WORKER_MODULE": "tests.integration.one_lie",
            FOLDER_VARIABLE: str(tmp_path),
        }
    running.start()
    job_id = running.submit(long_job.file, "--rounds-ahead", AHEAD)
    assert running.job(job_id).rounds_ahead == AHEAD

    def runs_ahead() -> bool:
        job = running.job(job_id)
        return job.open_round == LIES_IN and job.head_round == LIES_IN + AHEAD

    running.wait("rounds run ahead of the audit", runs_ahead)
    shown = running.ainur(running.submitter, "job", "show", job_id.hex())
    assert f"{LIES_IN} of {long_job.rounds} final, {AHEAD} more anchored" in shown.out
    running.swarm.kill(coordinator)
    running.start(coordinator)
    (tmp_path / JUDGE).touch()
    job = running.wait_for_end(job_id)
    assert job.state is JobState.COMPLETED
    check_cut(job)
    assert job.finalized[job.rounds - 1].checkpoint == long_job.digest
    running.check_payment(job)
    for home in running.homes:
        slashed = running.ledger().tally(running.address(home)).slashed_wei
        assert bool(slashed) == (running.address(home) == liar_of(job)), home
        assert "Traceback" not in (home.logs / "node.log").read_text()


def liar_of(job: JobView) -> str:
    """Whom the one fault was found with."""
    (fault,) = (event for event in job.log if isinstance(event, on_chain.UnitFaulted))
    return fault.worker


def check_cut(job: JobView) -> None:
    """Rounds were anchored before the lie's was final, and withdrawn; their units came again."""
    (cut,) = (event for event in job.log if isinstance(event, on_chain.AnchorsWithdrawn))
    assert (cut.round, cut.head) == (LIES_IN, LIES_IN + AHEAD)
    before = job.log[: job.log.index(cut)]
    final = [event.round for event in before if isinstance(event, on_chain.RoundFinalized)]
    anchored = [event.round for event in before if isinstance(event, on_chain.RoundAnchored)]
    assert final == list(range(LIES_IN))
    assert anchored == list(range(LIES_IN + AHEAD))
    attempts = {
        (event.round, claim.attempt)
        for event in job.log[job.log.index(cut) :]
        if isinstance(event, on_chain.RoundCommitted)
        for claim in event.claims
    }
    assert attempts == {(round, 1) for round in range(LIES_IN, job.rounds)}
