"""The final checkpoint does not depend on how many peers computed it."""

from collections.abc import Callable
from typing import Any

import pytest

from node.chain import events as on_chain
from node.ledger import JobState

Network = Any


@pytest.mark.parametrize("nodes", [1, 3, 5])
def test_digest_is_that_of_a_replay(
    network: Callable[..., Network], small_job: Any, nodes: int
) -> None:
    """With one, three and five peers; audited as far as there are auditors."""
    running = network(nodes)
    job_id = running.submit(small_job.file)
    job = running.wait_for_end(job_id)
    assert job.state is JobState.COMPLETED
    assert job.finalized[job.rounds - 1].checkpoint == small_job.digest
    verified = [event for event in job.log if isinstance(event, on_chain.UnitVerified)]
    passed = [event for event in job.log if isinstance(event, on_chain.UnitPassed)]
    units = job.rounds * job.slots
    # Every worker is on probation, so every unit with an eligible auditor is audited.
    assert (len(verified), len(passed)) == ((0, units) if nodes == 1 else (units, 0))
    ledger = running.ledger()
    tallies = [ledger.tally(running.address(home)) for home in running.homes]
    assert sum(tally.units for tally in tallies) == units
    assert not any(tally.slashed_wei for tally in tallies)
