"""Follows the chain: feeds the contracts' events to the ledger and wakes whoever waits for change.

One task per daemon. An unreachable endpoint is reported once and tried again; the node waits, and
says so in its status, but never stops for it. Events count once their block is buried under as many
others as the network file asks for: a chain that replaces its last few blocks by others then never
takes back what was folded. The chain's time is that of its newest block all the same.
"""

import logging
import time
from collections import deque

import trio

from node.chain import AsyncChain
from node.errors import ChainUnreachable
from node.ledger import Ledger

log = logging.getLogger(__name__)

BLOCKS_PER_LOOK_MAX = 2_000
RETRY_S_MAX = 30.0
CLOCK_BLOCKS = 32
"""Blocks whose timestamps tell the chain's time."""


class ChainWatch:
    """Owns the daemon's `Ledger`. `run` is the task; `changed` and `settled` are for the others."""

    def __init__(
        self, chain: AsyncChain, first_block: int, poll_s: float, confirmations: int = 0
    ) -> None:
        self.ledger = Ledger()
        self.problem = ""
        self.caught_up = trio.Event()
        self._chain = chain
        self._next_block = first_block
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
        while True:
            try:
                behind = await self._look()
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
        events = await self._chain.events(self._next_block, last)
        for event in events:
            self.ledger.apply(event)
        self.ledger.head = last
        self._next_block = last + 1
        self._looked.set()
        self._looked = trio.Event()
        if events:
            self._change.set()
            self._change = trio.Event()
        return last < confirmed


def _now_ms() -> int:
    return int(time.monotonic() * 1000)
