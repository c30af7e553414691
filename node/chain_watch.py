"""Follows the chain: feeds the contracts' events to the ledger and wakes whoever waits for change.

One task per daemon. An unreachable endpoint is reported once and tried again; the node waits, and
says so in its status, but never stops for it. Events count once their block is buried under as many
others as the network file asks for: a chain that replaces its last few blocks by others then never
takes back what was folded. The chain's time is that of its newest block all the same.

A chain that replaces more than that is noticed by the hash of the last block read: the log is taken
back to the newest block that both have, and the ledger is folded anew from there. `undone` counts
that; whoever acted on events that never happened has to begin again. What was read is in a cache
(event_cache.py), from which the next start goes on; without one everything is read again.
"""

import logging
import time
from collections import deque
from collections.abc import Iterable

import trio

from node.chain import AsyncChain, Block
from node.chain.answers import Log
from node.chain.rpc import ChainReplaced
from node.errors import ChainUnreachable
from node.event_cache import EventCache
from node.ledger import Ledger

log = logging.getLogger(__name__)

BLOCKS_PER_LOOK_MAX = 2_000
RETRY_S_MAX = 30.0
CLOCK_BLOCKS = 32
"""Blocks whose timestamps tell the chain's time."""


class ChainWatch:
    """Owns the daemon's `Ledger`. `run` is the task; `changed` and `settled` are for the others."""

    def __init__(
        self,
        chain: AsyncChain,
        first_block: int,
        poll_s: float,
        confirmations: int = 0,
        cache: EventCache | None = None,
    ) -> None:
        self.ledger = Ledger()
        self.problem = ""
        self.undone = 0
        self.caught_up = trio.Event()
        self._chain = chain
        self._cache = cache
        self._first_block = self._next_block = first_block
        self._last: Block | None = None
        self._newest = -1
        self._poll_s, self._confirmations = poll_s, confirmations
        self._change, self._haste, self._looked = trio.Event(), trio.Event(), trio.Event()
        self._leads_ms: deque[int] = deque(maxlen=CLOCK_BLOCKS)

    def chain_time_ms(self) -> int:
        """The chain's time now: a block's timestamp, grown by what passed since.

        A timestamp is cut to whole seconds and seen late, so each block gives a time that is past;
        the latest of the last few is the best.
        """
        lead_ms = max(self._leads_ms, default=0)
        return _now_ms() + lead_ms if self._leads_ms else self.ledger.head_time_s * 1000

    def chain_time_s(self) -> int:
        """The same in whole seconds."""
        return self.chain_time_ms() // 1000

    async def changed(self, timeout_s: float) -> None:
        """Return when events came in, or after `timeout_s` seconds."""
        with trio.move_on_after(timeout_s):
            await self._change.wait()

    def hurry(self) -> None:
        """Look at the chain now, and not when the next look is due."""
        self._haste.set()

    async def folded(self, block: int) -> None:
        """Return when the ledger has all that the chain had up to a block; looks at once."""
        if self.ledger.head < block:
            self.hurry()
        while self.ledger.head < block:
            with trio.move_on_after(self._poll_s):
                await self._looked.wait()

    async def run(self) -> None:
        """Follow for ever; `caught_up` is set once everything up to a present head is folded."""
        pause_s = self._poll_s
        self._fold_cache()
        while True:
            try:
                behind = await self._look()
            except ChainReplaced:
                await self._take_back()
                continue
            except ChainUnreachable as error:
                if not self.problem:
                    log.warning("%s", error)
                self.problem = str(error)
                pause_s = min(pause_s * 2, RETRY_S_MAX)
                await trio.sleep(pause_s)
                continue
            if self.problem:
                log.info("the chain answers again")
            self.problem, pause_s = "", self._poll_s
            if behind:
                continue
            self.caught_up.set()
            with trio.move_on_after(pause_s):
                await self._haste.wait()
            self._haste = trio.Event()

    async def _look(self) -> bool:
        """Fold what is new; True if there is more to fetch at once."""
        head = await self._chain.head()
        confirmed = head.number - self._confirmations
        last = min(confirmed, self._next_block + BLOCKS_PER_LOOK_MAX - 1)
        if head.number > self._newest:
            self._newest, self.ledger.head_time_s = head.number, head.timestamp
            self._leads_ms.append(head.timestamp * 1000 - _now_ms())
        if last < self._next_block:
            return False
        page = await self._chain.page(self._next_block, last, self._last)
        # What is folded is in the cache: a ledger is never ahead of what it can be rebuilt from.
        if self._cache is not None:
            self._cache.add(page.logs, page.last)
        self._fold(page.logs, page.last)
        self._looked.set()
        self._looked = trio.Event()
        if page.logs:
            self._wake()
        return page.last.number < confirmed

    def _fold(self, logs: Iterable[Log], last: Block) -> None:
        for entry in logs:
            for event in self._chain.sync.decode([entry]):
                self.ledger.apply(event)
        self.ledger.head = last.number
        self._last, self._next_block = last, last.number + 1

    def _fold_cache(self) -> None:
        """Begin with what an earlier run has read, if anything."""
        if self._cache is not None and (marks := self._cache.marks()):
            self._fold(self._cache.logs(), marks[0])

    async def _take_back(self) -> None:
        """Forget the blocks that the chain has replaced, and fold what is left anew."""
        try:
            await self._chain.read(self._chain.sync.doubt_nonces)
            common = await self._last_common()
        except ChainUnreachable as error:
            self.problem = str(error)
            await trio.sleep(self._poll_s)
            return
        log.warning(
            "the chain has replaced its blocks after %s: what they said is undone",
            common.number if common else "the deployment",
        )
        if self._cache is not None:
            self._cache.rewind(common)
        self.ledger.reset()
        self._last, self._next_block = None, self._first_block
        self._fold_cache()
        self.undone += 1
        self._wake()

    async def _last_common(self) -> Block | None:
        """The newest block of the cache that the chain still has."""
        for mark in self._cache.marks() if self._cache is not None else ():
            found = await self._chain.read(self._chain.sync.block, mark.number)
            if found is not None and found.hash == mark.hash:
                return mark
        return None

    def _wake(self) -> None:
        self._change.set()
        self._change = trio.Event()


def _now_ms() -> int:
    return int(time.monotonic() * 1000)
