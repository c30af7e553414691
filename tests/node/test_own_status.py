"""What a node says of a job."""

from types import SimpleNamespace
from typing import cast

import pytest

from node.ground import Ground
from node.ledger import JobState, JobView
from node.own_status import OwnStatus
from node.round_memory import Refutation
from node.services import Services


@pytest.mark.parametrize("stands", [True, False])
def test_status_tells_of_a_refutation_for_as_long_as_the_checkpoint_stands(stands: bool) -> None:
    """One whose anchor was withdrawn stops nothing any more; the anchored rounds are counted."""
    wrong = (
        Refutation(1, b"w" * 32, "checkpoint 7777 of round 1 does not follow") if stands else None
    )
    services = SimpleNamespace(
        jobs=SimpleNamespace(held={}, problems={}),
        leases=SimpleNamespace(active={}),
        checkpoints=SimpleNamespace(refuted=lambda _job: wrong),
    )
    own = OwnStatus("1", 0.0, cast(Ground, None), cast(Services, services), lambda: False)
    facts = {"job_id": b"j" * 32, "state": JobState.FUNDED, "is_over": False, "open_round": 1}
    numbers = {"anchors": {1: None, 2: None}, "rounds": 6, "slots": 4}
    told = own._job(cast(JobView, SimpleNamespace(**facts, **numbers)))
    expected = "stopped: checkpoint 7777" if stands else "its program and data are being fetched"
    assert told.waiting_for.startswith(expected)
    assert (told.rounds_done, told.rounds_anchored) == (1, 2)


@pytest.mark.parametrize("left", ["", "left to others: it pays in 0x5, which is not accepted"])
def test_status_says_of_a_job_that_is_held_whether_it_is_worked_on(left: str) -> None:
    """Who leaves it to others for what it pays still audits."""
    services = SimpleNamespace(
        jobs=SimpleNamespace(
            held={b"j" * 32: SimpleNamespace(name="digits")}, why_left=lambda _: left
        ),
        leases=SimpleNamespace(active={}),
        checkpoints=SimpleNamespace(refuted=lambda _job: None),
    )
    own = OwnStatus("1", 0.0, cast(Ground, None), cast(Services, services), lambda: False)
    facts = {"job_id": b"j" * 32, "state": JobState.FUNDED, "is_over": False, "open_round": 1}
    numbers = {"anchors": {}, "rounds": 6, "slots": 4}
    told = own._job(cast(JobView, SimpleNamespace(**facts, **numbers)))
    assert (told.role, told.waiting_for) == ("auditor" if left else "worker", left)
