"""A cheating worker on a node among honest ones: found, judged, slashed, without a trace left."""

import secrets
from collections.abc import Callable
from random import Random
from typing import Any

from node.chain import events as on_chain
from node.home import Home
from node.ledger import JobState, JobView

CHEATING = {"AINUR_WORKER_MODULE": "examples.cheating_worker"}
JOBS_MAX = 8
"""The cheater falsifies every other unit of its own, by the toss of a coin."""


def test_cheat_is_convicted_and_leaves_no_trace(
    network: Callable[[int], Any], wide_job: Any
) -> None:
    """A random node; the digest is that of honest work, and nobody else is slashed."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    running = network(0)
    cheater = Random(seed).choice(running.add(5))
    running.environments[cheater.path] = CHEATING
    running.start()
    tokens = balances(running)
    for _ in range(JOBS_MAX):
        job_id = running.submit(wide_job.file)
        job = running.wait_for_end(job_id)
        check_honest(running, job, wide_job.digest)
        if faults_of(job):
            break
    check_conviction(running, job, cheater, tokens)


def test_cheating_coordinator_is_convicted_and_replaced(
    network: Callable[[int], Any], wide_job: Any
) -> None:
    """It loses bond, lease and work; another node finishes the job with the same digest."""
    running = network(0)
    cheater, *others = running.add(5)
    running.environments[cheater.path] = CHEATING
    # Alone it takes the lease and all units of the first round; the draws fall on the others.
    running.start(cheater)
    tokens = balances(running)
    job_id = running.submit(wide_job.file)
    running.wait("claims are on chain", lambda: running.job(job_id).batches)
    assert running.holder(job_id) == cheater
    running.start(*others)
    job = running.wait_for_end(job_id)
    check_honest(running, job, wide_job.digest)
    check_conviction(running, job, cheater, tokens)
    assert running.home_of(job.holder) != cheater


def balances(running: Any) -> dict[Home, int]:
    """What every node's wallet holds, without its bond."""
    return {h: running.chain.token.balance_of(running.address(h)) for h in running.homes}


def faults_of(job: JobView) -> list[on_chain.UnitFaulted]:
    return [event for event in job.log if isinstance(event, on_chain.UnitFaulted)]


def check_honest(running: Any, job: JobView, digest: bytes) -> None:
    assert job.state is JobState.COMPLETED
    assert job.finalized[job.rounds - 1].checkpoint == digest
    running.check_payment(job)


def check_conviction(
    running: Any, job: JobView, cheater: Home, tokens_before: dict[Home, int]
) -> None:
    """Slashed below the minimum, bounties paid, slots issued again, no further work."""
    faults = faults_of(job)
    guilty = running.address(cheater)
    assert faults, "the coin fell on honest for every unit"
    assert {fault.worker for fault in faults} == {guilty}
    ledger = running.ledger()
    for home in running.homes:
        tally = ledger.tally(running.address(home))
        assert bool(tally.slashed_wei) == (home == cheater), home
        assert tally.active == (home != cheater)
    slashed = running.chain.events(0, running.chain.head().number, [on_chain.Slashed])
    slashed = [event for event in slashed if event.account == guilty]
    bounty_wei = sum(event.bounty for event in slashed)
    assert sum(event.amount for event in slashed) == ledger.tally(guilty).slashed_wei
    assert 0 < bounty_wei < ledger.tally(guilty).slashed_wei
    gained = {home: held - tokens_before[home] for home, held in balances(running).items()}
    assert sum(gained.values()) == bounty_wei
    convicted = job.log.index(faults[-1])
    for event in job.log[convicted:]:
        if isinstance(event, on_chain.RoundCommitted):
            assert guilty not in {claim.worker for claim in event.claims}
