"""A coordinator that publishes a false aggregate is caught by recomputation, by every node."""

from collections.abc import Callable
from typing import Any

from node.config import set_value
from node.home import Home

CHEATING = {"AINUR_WORKER_MODULE": "tests.integration.false_aggregate"}


def test_false_aggregate_is_caught_and_every_node_stops(
    network: Callable[[int], Any], small_job: Any
) -> None:
    """The workers recheck; who only audits is told, rechecks too, and nobody computes on it."""
    running = network(0)
    cheater, first, second, auditor = running.add(4)
    running.environments[cheater.path] = CHEATING
    for home, roles in ((cheater, "coordinate"), (first, "work"), (second, "work"),
                        (auditor, "audit")):  # fmt: skip
        set_value(home.config, "roles", roles)
    running.start()
    job_id = running.submit(small_job.file)
    running.wait("the false round is final", lambda: running.job(job_id).open_round == 1)

    def refuses(home: Home) -> bool:
        told = {job.job_id: job.waiting_for for job in running.status(home).jobs}
        return "does not follow from its results" in told[job_id.hex()]

    for home in (first, second, auditor):
        running.wait(f"{home.path.name} refuses to go on", lambda home=home: refuses(home))
    # What a node found out it does not forget.
    running.swarm.kill(first)
    running.start(first)
    running.wait("it still refuses", lambda: refuses(first))
    job = running.job(job_id)
    assert job.open_round == 1
    assert not any(unit.round == 1 for unit in job.units)
