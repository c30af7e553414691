"""The open round, combined while its claims travel."""

from typing import cast
from unittest.mock import AsyncMock, Mock

import pytest
import trio
import trio.testing

from node.journal import Journal
from node.messages import AskRound, Refused, RoundResults, UnitAssigned, UnitDeclined
from node.round_memory import RoundMemory
from scheduler import events as facts
from scheduler.blob_ref import BlobRef
from scheduler.terms import UnitRef
from tests.node.coordinating import (
    BLOB,
    JOB,
    commit,
    coordination,
    patient,
    pull,
)


@pytest.mark.trio
async def test_a_round_is_combined_early_while_its_claims_travel(journal: Journal) -> None:
    """Workers hear of it and are told what made it; it counts for nothing before the chain says."""
    aggregate, asked = BlobRef(root="ef" * 32, size=7), list[object]()

    async def make(*round: object) -> BlobRef:
        asked.append(round[1:])
        return aggregate

    async def never(*_: object) -> None:
        await trio.sleep_forever()

    of = coordination(journal, tasks=Mock(attempt=never, aggregate=make, make=never))
    ask = AskRound(job_id=JOB.hex(), round=0)
    async with trio.open_nursery() as of._nursery:
        for slot in (0, 1):
            assert isinstance(of.answer("worker", ask), Refused)
            of.answer("worker", commit(cast(UnitAssigned, pull(of))))
            of.feed(facts.ResultStored(UnitRef(0, slot, 0), BLOB))
        news = await of.answer_in_time("worker", patient(20_000))
        of._nursery.cancel_scope.cancel()
    assert asked == [(0, BLOB, [BLOB, BLOB])]
    assert isinstance(news, UnitDeclined)
    assert (news.combined, of.state.open.combined) == (0, None)
    told = of.answer("worker", ask)
    assert isinstance(told, RoundResults)
    assert told.aggregate == aggregate
    assert [result.took_ms > 0 for result in told.results] == [True, True]
    assert RoundMemory(journal).recall(JOB, 0) is None


@pytest.mark.trio
async def test_what_was_foreseen_goes_with_the_claim_that_is_refused(journal: Journal) -> None:
    """Nobody is told of an aggregate of results that the round will not have."""

    async def never(*_: object) -> None:
        await trio.sleep_forever()

    tasks = Mock(attempt=never, aggregate=AsyncMock(return_value=BLOB), make=never)
    of = coordination(journal, tasks=tasks)
    ask = AskRound(job_id=JOB.hex(), round=0)
    async with trio.open_nursery() as of._nursery:
        for slot in (0, 1):
            of.answer("worker", commit(cast(UnitAssigned, pull(of))))
            of.feed(facts.ResultStored(UnitRef(0, slot, 0), BLOB))
        await trio.testing.wait_all_tasks_blocked()
        assert isinstance(of.answer("worker", ask), RoundResults)
        of.feed(facts.CommitRefused(0, "not bonded", (1,)))
        assert not of.is_combined()
        assert isinstance(of.answer("worker", ask), Refused)
        of._nursery.cancel_scope.cancel()
