"""Commands that are tried until they no longer stand."""

from typing import cast
from unittest.mock import Mock

import pytest
import trio
import trio.testing

from node.blobs import StoreFull
from node.journal import Journal
from node.messages import UnitAssigned
from scheduler import coordinator, terms
from scheduler import events as facts
from scheduler.commands import FetchResult, RecoverResult
from scheduler.terms import UnitRef
from tests.node.coordinating import (
    WORKER,
    commit,
    coordination,
    pull,
    watch,
)


@pytest.mark.trio
async def test_a_full_disk_here_gives_the_worker_more_time(journal: Journal) -> None:
    """Its result finds no room: that is told, and is not held against it."""
    watching = watch()
    tasks = Mock(attempt=Mock(side_effect=StoreFull("there is no room")))
    of = coordination(journal, watching, tasks=tasks)
    of.answer("worker", commit(cast(UnitAssigned, pull(of))))
    (command,) = (c for c in coordinator.pending(of.state) if isinstance(c, FetchResult))
    due_ms = of.state.slots[0].due_ms
    watching.ledger.head_time_s += 10
    with trio.move_on_after(0.1):
        await of._standing.keep_trying(command)
    assert of.state.slots[0].due_ms == due_ms + 10_000
    assert of.waiting() == "there is no room"


@pytest.mark.trio
@pytest.mark.parametrize("needed", [False, True])
async def test_result_that_nothing_needs_yet_is_looked_for_rarely(
    journal: Journal, autojump_clock: trio.testing.MockClock, needed: bool
) -> None:
    """Each look asks many peers, and an audit lasts."""
    looks = list[float]()

    async def attempt(_job: object, _manifest: object, command: object) -> None:
        if isinstance(command, RecoverResult):
            looks.append(trio.current_time())

    of = coordination(journal, tasks=Mock(attempt=attempt))
    async with trio.open_nursery() as of._nursery:
        claim = terms.Claim(0, 0, terms.Wallet(WORKER.address), b"r" * 32, b"c" * 32, b"s")
        of.feed(facts.RoundCommittedOnChain(terms.Position(2, 0), 0, 0, (claim,)))
        if needed:
            of.feed(facts.UnitPassed(terms.Position(2, 1), UnitRef(0, 0, 0), 10**6))
        await trio.sleep(100)
        of._nursery.cancel_scope.cancel()
    assert (len(looks) > 15) if needed else (2 <= len(looks) <= 4)
