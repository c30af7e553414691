"""Jobs that do not complete: what was not earned comes back, and one is told why."""

from collections.abc import Callable
from typing import Any

from node.ledger import JobState


def test_cancelled_job_refunds_what_was_not_earned(
    network: Callable[[int], Any], small_job: Any
) -> None:
    """The started round is finished and paid; then nothing is held any more."""
    running = network(3)
    job_id = running.submit(small_job.file)
    # `job` compares deposited with paid + fees + refunded + held at every look.
    running.wait("claims of round 2 are on chain", lambda: (1, 0) in running.job(job_id).batches)
    outcome = running.ainur(running.submitter, "job", "cancel", job_id.hex())
    assert outcome.code == 0, outcome.err
    assert "came back at once" in outcome.err
    assert running.job(job_id).state is JobState.CANCELLED
    running.wait("the started round is final", lambda: running.job(job_id).open_round == 2)
    job = running.wait_for_end(job_id)
    running.check_payment(job)
    assert job.open_round == 2
    assert job.deposited_wei == job.paid_wei + job.fees_wei + job.refunded_wei
    # A third for the round that was not begun, and every audit that did not take place.
    assert job.refunded_wei >= job.deposited_wei // 3
    shown = running.ainur(running.submitter, "job", "show", job_id.hex(), "--json").json
    assert (shown["state"], shown["rounds_done"]) == ("cancelled", 2)
    watched = running.ainur(running.submitter, "job", "watch", job_id.hex())
    assert (watched.code, "without a result: cancelled" in watched.err) == (10, True)
    again = running.ainur(running.submitter, "job", "cancel", job_id.hex())
    assert (again.code, "is over: cancelled" in again.err) == (2, True)


def test_job_that_nobody_serves_says_so_and_is_refunded(
    network: Callable[[int], Any], small_job: Any
) -> None:
    """Its only peer holds it, but coordinates no jobs; a look tells, and all comes back."""
    running = network(0)
    (home,) = running.add(1)
    running.ainur(home, "config", "set", "roles", "work,audit")
    running.start()
    before_wei = running.chain.token.balance_of(running.address(running.submitter))
    job_id = running.submit(small_job.file)
    shown = running.ainur(running.submitter, "job", "show", job_id.hex())
    assert "no bonded node holds this job and its lease yet" in shown.out
    told = "waiting: no node holds the lease of any job"
    running.wait("the node says so too", lambda: running.status(home).activity == told)
    watched = running.ainur(
        running.submitter, "job", "watch", job_id.hex(), "--json", "--timeout", 0
    )
    assert (watched.code, watched.json["state"]) == (10, "funded")
    waiting = "no bonded node holds this job and its lease yet; 1 are online"
    assert watched.json["waiting"] == waiting
    outcome = running.ainur(running.submitter, "job", "cancel", job_id.hex())
    assert outcome.code == 0, outcome.err
    job = running.job(job_id)
    assert (job.refunded_wei, job.settled) == (job.deposited_wei, True)
    assert running.chain.token.balance_of(running.address(running.submitter)) == before_wei


def test_deadline_ends_a_job(network: Callable[[int], Any], small_job: Any) -> None:
    """No new round is begun; one that was begun in time is finished; the rest comes back."""
    # Alone, because for several the leap would also skip the time that audits may take.
    running = network(1)
    job_id = running.submit(small_job.file)
    running.wait("a round is final", lambda: running.job(job_id).open_round)
    job = running.job(job_id)
    running.devnet.travel(job.deadline_s - running.chain.head().timestamp + 1)
    shown = running.ainur(running.submitter, "job", "show", job_id.hex(), "--json").json
    assert shown["state"] == "expired"
    job = running.wait_for_end(job_id)
    assert job.state is JobState.EXPIRED
    assert 1 <= job.open_round < job.rounds
    assert job.deposited_wei == job.paid_wei + job.fees_wei + job.refunded_wei
    running.check_payment(job)
