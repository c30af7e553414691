"""What a coordinator makes of a refusal by the chain."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from node.chain import Reverted
from node.chain.types import Claim
from node.coordination_tasks import Tasks
from node.ledger import JobView

WORKER, OTHER = "0x1", "0x2"
CLAIMS = [
    Claim(slot, 0, worker, b"r", b"c", b"s")
    for slot, worker in enumerate((WORKER, OTHER, WORKER, WORKER))
]


def blamed(covers: int, name: str, **arguments: object) -> tuple[int, ...]:
    tasks: Any = Tasks.__new__(Tasks)
    tasks._watch = SimpleNamespace(ledger=SimpleNamespace(covers=lambda *_: covers))
    job = cast(JobView, None)
    return cast(Tasks, tasks)._blamed(job, CLAIMS, Reverted("commitRound", name, arguments))


@pytest.mark.parametrize(
    ("covers", "slots"), [(0, (0, 2, 3)), (1, (2, 3)), (2, (3,)), (3, (3,)), (9, (3,))]
)
def test_claims_beyond_the_bond_are_left_out(covers: int, slots: tuple[int, ...]) -> None:
    """Those that it covers are sent again; one at least is left out, or nothing would change."""
    arguments = {"worker": WORKER, "needed": 10, "free": 3}
    assert blamed(covers, "InsufficientFreeBond", **arguments) == slots


def test_other_refusals_blame_every_claim_of_the_worker_that_is_named() -> None:
    """By either name that the contract's errors use; nobody else."""
    assert blamed(9, "NotActive", account=WORKER) == (0, 2, 3)
    assert blamed(9, "BadSignature", worker=OTHER) == (1,)
    assert blamed(9, "JobNotOpen") == ()
