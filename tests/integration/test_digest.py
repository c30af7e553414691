"""The final checkpoint does not depend on how many peers computed it."""

from collections.abc import Callable
from typing import Any

from node.chain import events as on_chain
from node.chain.types import Parameter
from node.deployment import DEVNET
from node.ledger import JobState

PROBATION = DEVNET.parameters[Parameter.PROBATION_UNITS]


def test_digest_is_the_same_with_one_three_and_five_peers(
    network: Callable[[int], Any], small_job: Any
) -> None:
    """And that of a replay in one process; audited as soon as there are auditors."""
    running = network(0)
    for peers in (1, 3, 5):
        running.start(*running.add(peers - len(running.homes)))
        before = probation_units(running)
        job_id = running.submit(small_job.file)
        job = running.wait_for_end(job_id)
        assert job.state is JobState.COMPLETED
        assert job.finalized[job.rounds - 1].checkpoint == small_job.digest
        verified = sum(isinstance(event, on_chain.UnitVerified) for event in job.log)
        passed = sum(isinstance(event, on_chain.UnitPassed) for event in job.log)
        assert verified + passed == job.rounds * job.slots
        # Nobody can audit a network of one; later each node's first units are audited, all of them.
        assert verified == 0 if peers == 1 else verified >= probation_units(running) - before
        running.check_payment(job)
    tallies = [running.ledger().tally(running.address(home)) for home in running.homes]
    assert sum(tally.units for tally in tallies) == 3 * job.rounds * job.slots
    assert not any(tally.slashed_wei for tally in tallies)


def probation_units(running: Any) -> int:
    """How many units the nodes have computed while they were on probation."""
    tallies = [running.ledger().tally(running.address(home)) for home in running.homes]
    return sum(min(tally.units, PROBATION) for tally in tallies)
