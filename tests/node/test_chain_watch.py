"""node/chain_watch.py: the chain's time between blocks, and how deep a block must be to count."""

from typing import Any, cast

import pytest
import trio
import trio.testing

from node import chain_watch as module
from node.chain import AsyncChain
from node.chain.answers import Block
from node.chain.client import Page
from node.chain.events import ActiveChanged, Event, Place
from node.chain_watch import ChainWatch


class Chain:
    """A chain whose head is what a test says; its log entries are events already."""

    def __init__(self) -> None:
        self.latest = Block(0, 0)
        self.active: dict[int, str] = {}
        self.sync = self

    async def head(self) -> Block:
        return self.latest

    async def page(self, start: int, stop: int, _parent: Block | None) -> Page:
        events = [
            ActiveChanged(Place(block, 0, b""), account, True)
            for block, account in sorted(self.active.items())
            if start <= block <= stop
        ]
        return Page(Block(stop, 0), cast(Any, events))

    def decode(self, events: list[Event]) -> list[Event]:
        return events


@pytest.mark.trio
async def test_time_follows_the_block_that_was_seen_soonest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Timestamps are cut to seconds and seen late: a later block must not set the time back."""
    clock = 0.0
    monkeypatch.setattr(module.time, "monotonic", lambda: clock)
    chain = Chain()
    watch = ChainWatch(cast(AsyncChain, chain), 0, 1.0)
    # Cut by 0.1 s, seen after 0.1 s; then cut by 0.9 s, seen after 0.5 s; then three days later.
    seen = [(1, 1000, 0.2, 1_000_000), (2, 1003, 4.4, 1_004_200), (3, 261_000, 5.0, 261_000_000)]
    for number, timestamp, at_s, expected_ms in seen:
        clock = at_s
        chain.latest = Block(number, timestamp)
        await watch._look()
        assert watch.chain_time_ms() == expected_ms
    clock += 2.5
    assert watch.chain_time_s() == 261_002


@pytest.mark.trio
async def test_an_event_counts_once_its_block_is_deep_enough() -> None:
    """What the chain replaces by other blocks before that was never folded; time does not wait."""
    chain = Chain()
    watch = ChainWatch(cast(AsyncChain, chain), 0, 1.0, confirmations=2)
    chain.active, chain.latest = {1: "0xa", 3: "0xdropped"}, Block(3, 1003)
    await watch._look()
    assert (watch.ledger.head, watch.ledger.head_time_s) == (1, 1003)
    assert watch.ledger.is_active("0xa")
    chain.active, chain.latest = {1: "0xa", 4: "0xb"}, Block(5, 1005)
    await watch._look()
    assert not watch.ledger.is_active("0xdropped")
    chain.latest = Block(6, 1006)
    await watch._look()
    assert watch.ledger.head == 4
    assert watch.ledger.is_active("0xb")
    assert not watch.ledger.is_active("0xdropped")


@pytest.mark.trio
async def test_waiting_for_a_block_ends_when_it_is_folded(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Blocks without events count as well."""
    chain = Chain()
    chain.latest = Block(5, 1005)
    watch = ChainWatch(cast(AsyncChain, chain), 0, 1.0, confirmations=2)
    await watch._look()
    with trio.move_on_after(10) as early:
        await watch.folded(4)
    assert early.cancelled_caught
    chain.latest = Block(6, 1006)
    await watch._look()
    with trio.fail_after(10):
        await watch.folded(4)


@pytest.mark.trio
async def test_who_waits_for_a_block_does_not_wait_for_the_next_look(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A transaction of ours is folded as soon as it is mined, however rarely the chain is read."""
    chain = Chain()
    watch = ChainWatch(cast(AsyncChain, chain), 0, 600.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.run)
        await watch.caught_up.wait()
        chain.latest = Block(1, 1001)
        await watch.folded(1)
        # What is not mined yet costs one look, and then as many as without it.
        with trio.move_on_after(599):
            await watch.folded(2)
        assert trio.current_time() == pytest.approx(599)
        nursery.cancel_scope.cancel()
