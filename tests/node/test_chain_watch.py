"""node/chain_watch.py: the chain's time between blocks."""

from typing import cast

import pytest

from node import chain_watch as module
from node.chain import AsyncChain
from node.chain.client import Block
from node.chain.events import Event
from node.chain_watch import ChainWatch


class Chain:
    """A chain whose head is what a test says."""

    def __init__(self) -> None:
        self.latest = Block(0, 0)

    async def head(self) -> Block:
        return self.latest

    async def events(self, _start: int, _stop: int) -> list[Event]:
        return []


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
