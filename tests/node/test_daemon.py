"""node/daemon.py: what it says of a job."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from node.daemon import Daemon
from node.ledger import JobState, JobView
from node.round_memory import Refutation


@pytest.mark.parametrize("stands", [True, False])
def test_status_tells_of_a_refutation_for_as_long_as_the_checkpoint_stands(stands: bool) -> None:
    """One whose anchor was withdrawn stops nothing any more; the anchored rounds are counted."""
    wrong = (
        Refutation(1, b"w" * 32, "checkpoint 7777 of round 1 does not follow") if stands else None
    )
    daemon = Daemon.__new__(Daemon)
    parts: dict[str, Any] = {
        "_jobs": SimpleNamespace(held={}, problems={}),
        "_leases": SimpleNamespace(active={}),
        "_checkpoints": SimpleNamespace(refuted=lambda _job: wrong),
    }
    for name, part in parts.items():
        setattr(daemon, name, part)
    facts = {"job_id": b"j" * 32, "state": JobState.FUNDED, "is_over": False, "open_round": 1}
    numbers = {"anchors": {1: None, 2: None}, "rounds": 6, "slots": 4}
    told = daemon._job_status(cast(JobView, SimpleNamespace(**facts, **numbers)))
    expected = "stopped: checkpoint 7777" if stands else "its program and data are being fetched"
    assert told.waiting_for.startswith(expected)
    assert (told.rounds_done, told.rounds_anchored) == (1, 2)
