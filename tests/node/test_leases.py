"""node/leases.py: a coordinator that lives keeps its lease."""

from types import SimpleNamespace
from typing import cast

import pytest
import trio
import trio.testing

from node.chain import AsyncChain
from node.chain import events as e
from node.chain.events import Place
from node.chain.types import JobTerms, Parameter
from node.chain_watch import ChainWatch
from node.coordination import Coordination
from node.ids import JobId
from node.jobs import JobKeeper
from node.leases import RETRY_S, Leases
from node.ledger import JobView

pytestmark = pytest.mark.trio

JOB = JobId(b"j" * 32)
US = "0x" + "1" * 40
LEASE_S = 20
START_S = 1000


class Chain:
    """A ledger contract that grants what is asked for; the ledger has it `unseen_s` later."""

    def __init__(self, watch: ChainWatch, unseen_s: float, nursery: trio.Nursery) -> None:
        self.watch, self.unseen_s, self.nursery = watch, unseen_s, nursery
        self.renewed_at_s: list[int] = []
        get = lambda _parameter: LEASE_S  # noqa: E731
        ledger = SimpleNamespace(take_lease=lambda job_id: job_id)
        escrow = SimpleNamespace(settleable_at=lambda _job_id: 10**9)
        self.sync = SimpleNamespace(
            parameters=SimpleNamespace(get=get), ledger=ledger, escrow=escrow
        )

    async def read(self, function: object, *arguments: object) -> int:
        assert arguments == (Parameter.LEASE_S,)
        return LEASE_S

    async def send(self, _call: object) -> SimpleNamespace:
        now_s = self.watch.chain_time_s()
        self.renewed_at_s.append(now_s)
        self.nursery.start_soon(self.confirm, now_s)
        return SimpleNamespace(block=now_s)

    async def confirm(self, block: int) -> None:
        await trio.sleep(self.unseen_s)
        self.watch.ledger.apply(e.LeaseRenewed(Place(block, 0, b""), JOB, US, block + LEASE_S))
        self.watch.ledger.head = block


@pytest.mark.parametrize("unseen_s", [0, RETRY_S + 3])
async def test_lease_is_renewed_when_half_of_it_is_over(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch, unseen_s: float
) -> None:
    """Again and again, for as long as the coordination runs; never earlier, nor twice because the
    ledger has yet to show what was mined.
    """
    watch = ChainWatch(cast(AsyncChain, None), 0, 1.0)
    began = trio.current_time()
    now_ms = lambda: START_S * 1000 + int((trio.current_time() - began) * 1000)  # noqa: E731
    monkeypatch.setattr(watch, "chain_time_ms", now_ms)
    terms = JobTerms(b"m" * 32, 100, b"b" * 32, rounds=2, slots=2, unit_wei=10, deadline=10**6)
    watch.ledger.apply(e.JobFunded(Place(1, 0, b""), JOB, US, terms, 5, terms.unit_wei, 66))
    watch.ledger.apply(e.ActiveChanged(Place(1, 1, b""), US, True))
    watch.ledger.apply(e.LeaseTaken(Place(1, 2, b""), JOB, US, START_S + LEASE_S, 1))
    jobs = SimpleNamespace(workable=lambda: list(watch.ledger.jobs.values()))

    async def begin(_job: JobView) -> Coordination:
        return cast(Coordination, SimpleNamespace(run=trio.sleep_forever))

    with trio.move_on_after(3 * LEASE_S):
        async with trio.open_nursery() as nursery:
            chain = Chain(watch, unseen_s, nursery)
            leases = Leases(US, watch, cast(AsyncChain, chain), cast(JobKeeper, jobs), begin)
            await leases.run()
    first, second, third, *_ = chain.renewed_at_s
    assert START_S + LEASE_S / 2 <= first <= START_S + LEASE_S / 2 + 1
    assert second - first >= max(LEASE_S / 2, RETRY_S)
    assert third - second < LEASE_S
