"""Nodes die at any moment, by kill -9, and the result is the same."""

import secrets
from collections.abc import Callable
from random import Random
from typing import Any

from node.ledger import JobState, UnitState

FINAL = (UnitState.PASSED, UnitState.VERIFIED, UnitState.FAULTED, UnitState.VOIDED)


def status(running: Any, job_id: bytes) -> tuple[Any, ...]:
    """What one can see of a job's progress; changes with every step of a unit."""
    job = running.job(job_id)
    units = sorted((key, unit.state, bool(unit.unit_root)) for key, unit in job.units.items())
    holder = job.holder and running.document(running.home_of(job.holder), job_id)
    return job.open_round, job.holder, units, holder and holder["slots"]


def wait_for_changes(running: Any, job_id: bytes, count: int) -> None:
    """Return after so many changes of the job's status, as seen from outside."""
    for _ in range(count):
        before = status(running, job_id)
        running.wait("the job goes on", lambda before=before: status(running, job_id) != before)


def test_digest_survives_kills_at_random_moments(
    network: Callable[[int], Any], small_job: Any
) -> None:
    """Of the coordinator and of anybody, at the n-th change of status; everyone comes back."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    chance = Random(seed)
    running = network(5)
    job_id = running.submit(small_job.file)
    targets = ["coordinator", "coordinator", "anybody", "anybody", "anybody"]
    chance.shuffle(targets)
    for target in targets:
        wait_for_changes(running, job_id, chance.randint(1, 3))
        holder = running.holder(job_id)
        victim = holder if target == "coordinator" else chance.choice(running.homes)
        running.say(f"kill -9 {victim.path.name}, {target}; coordinator: {holder.path.name}")
        running.swarm.kill(victim)
        running.launch(victim)
        assert running.job(job_id).state is JobState.FUNDED
    job = running.wait_for_end(job_id)
    assert job.state is JobState.COMPLETED
    assert job.finalized[job.rounds - 1].checkpoint == small_job.digest
    running.check_payment(job)


def test_digest_survives_coordinators_that_never_return(
    network: Callable[[int], Any], small_job: Any
) -> None:
    """One dies with the only copy of a checkpoint, the next with claims on chain under audit."""
    running = network(4)
    job_id = running.submit(small_job.file)
    dead: list[str] = []

    def bury(what: str, reached: Callable[[Any], bool]) -> None:
        running.wait(what, lambda: reached(running.job(job_id)))
        dead.append(running.job(job_id).holder)
        running.swarm.kill(running.home_of(dead[-1]))
        running.say(f"kill -9 for good: {running.home_of(dead[-1]).path.name}; {what}")
        running.wait("another takes over", lambda: taken_over(running, job_id, dead))

    bury("a round is final", lambda job: job.open_round == 1)
    bury("claims are on chain", lambda job: (job.open_round, 0) in job.batches)
    running.wait("all rounds are final", lambda: skip(running, job_id, dead))
    job = running.wait_for_end(job_id)
    assert job.state is JobState.COMPLETED
    assert job.finalized[job.rounds - 1].checkpoint == small_job.digest
    running.check_payment(job)


def taken_over(running: Any, job_id: bytes, dead: list[str]) -> bool:
    """Whether the job has a coordinator that lives; the chain's clock skips a dead one's lease."""
    job = running.job(job_id)
    now_s = running.chain.head().timestamp
    if job.holder in dead and now_s <= job.lease_expires_s:
        running.devnet.travel(job.lease_expires_s - now_s + 1)
    return job.holder not in dead


def skip(running: Any, job_id: bytes, dead: list[str]) -> bool:
    """Let the clock skip what only the dead owe: audits, and openings of their own units.

    Whether all rounds are final.
    """
    job = running.job(job_id)
    waiting = [
        unit
        for key, unit in job.units.items()
        if key.round == job.open_round and unit.state not in FINAL
    ]
    owed_by_dead = [
        (unit.state is UnitState.DRAWN and unit.auditor in dead)
        or (unit.state is UnitState.AUDIT_COMMITTED and not unit.unit_root and unit.worker in dead)
        for unit in waiting
    ]
    now_s = running.chain.head().timestamp
    if waiting and all(owed_by_dead) and now_s <= waiting[0].deadline_s:
        running.devnet.travel(max(unit.deadline_s for unit in waiting) - now_s + 1)
    return job.open_round == job.rounds


def test_job_survives_a_restart_of_all(network: Callable[[int], Any], small_job: Any) -> None:
    """Every daemon is stopped in the middle, by SIGTERM; all come back and go on."""
    running = network(3)
    job_id = running.submit(small_job.file)
    running.wait("a round is final", lambda: running.job(job_id).open_round == 1)
    wait_for_changes(running, job_id, 1)
    assert [running.swarm.drain(home) for home in running.homes] == [0, 0, 0]
    running.say("all have drained")
    assert running.job(job_id).state is JobState.FUNDED
    running.start()
    job = running.wait_for_end(job_id)
    assert job.state is JobState.COMPLETED
    assert job.finalized[job.rounds - 1].checkpoint == small_job.digest
    running.check_payment(job)
