"""Clocks that are wrong by hours: deadlines are the chain's, and nothing else hangs on a clock."""

from collections.abc import Callable
from typing import Any

from benchmarks.churn.network import LAUNCHER
from benchmarks.churn.node import SHIFT_VARIABLE
from node.chain import events as on_chain
from node.config import set_value
from node.ledger import JobState

SHIFTS_H = {"work": 5, "audit": -5, "coordinate": 26}


def test_clocks_wrong_by_hours_break_nothing(network: Callable[..., Any], small_job: Any) -> None:
    """Worker, auditor and coordinator disagree by 31 hours; then the coordinator's is put right.

    It comes back under another address with a clock that is a day behind all that it said before.
    """
    running = network(0, LAUNCHER)
    for home, (role, shift_h) in zip(running.add(3), SHIFTS_H.items(), strict=True):
        set_value(home.config, "roles", role)
        running.environments[home.path] = {SHIFT_VARIABLE: str(shift_h * 3600)}
    running.start()
    job_id = running.submit(small_job.file)
    running.wait("a round is final", lambda: running.job(job_id).open_round == 1)
    coordinator = running.homes[-1]
    assert running.holder(job_id) == coordinator
    running.swarm.kill(coordinator)
    running.environments[coordinator.path] = {}
    running.start(coordinator)
    job = running.wait_for_end(job_id)
    assert job.state is JobState.COMPLETED
    assert job.finalized[job.rounds - 1].checkpoint == small_job.digest
    running.check_payment(job)
    audited = [event for event in job.log if isinstance(event, on_chain.UnitVerified)]
    assert len(audited) == job.rounds * job.slots
