"""AsyncChain: a Chain from trio, with requests in a few worker threads."""

import functools
from collections.abc import Callable, Collection
from typing import TypeVar, TypeVarTuple

import trio

from node.chain.answers import Block
from node.chain.client import RECEIPT_TIMEOUT_S, Chain, Page, not_mined
from node.chain.events import Event
from node.chain.handle import Transaction
from node.chain.sender import Receipt

THREADS = 4
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class AsyncChain:
    """The same chain for trio: `await read(chain.sync.vault.bond_of, account)`.

    `sync` prepares transactions (which touches no network) and names the reads. Reads can be
    cancelled at once; a submission is finished before a cancellation is noticed, so that nonces
    stay true.
    """

    def __init__(self, sync: Chain, *, threads: int = THREADS) -> None:
        self.sync = sync
        self._limiter = trio.CapacityLimiter(threads)
        self._submitting = trio.Lock()

    async def read(self, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """Call a blocking read in a thread."""
        return await trio.to_thread.run_sync(
            # trio-stubs, which libp2p brings along, knows only the old name of the argument.
            functools.partial(function, *arguments),
            limiter=self._limiter,
            abandon_on_cancel=True,  # type: ignore[call-arg]
        )

    async def head(self) -> Block:
        """The latest block."""
        return await self.read(self.sync.head)

    async def events(
        self, from_block: int, to_block: int, kinds: Collection[type[Event]] = ()
    ) -> list[Event]:
        """Our contracts' events in the blocks from..to, both included, in chain order."""
        return await self.read(self.sync.events, from_block, to_block, kinds)

    async def page(self, from_block: int, to_block: int, parent: Block | None) -> Page:
        """The log from `from_block` on, all from one endpoint that has the block `parent`."""
        return await self.read(
            functools.partial(self.sync.page, from_block, to_block, parent=parent)
        )

    async def send(
        self, transaction: Transaction, *, timeout_s: float = RECEIPT_TIMEOUT_S
    ) -> Receipt:
        """Submit and wait until it is mined. Raises Reverted if the contract refuses."""
        # One waiter in a thread at a time: the others wait here, not in the limiter's threads.
        async with self._submitting:
            digest = await trio.to_thread.run_sync(
                functools.partial(self.sync.submit, transaction), limiter=self._limiter
            )
        with trio.move_on_after(timeout_s):
            while True:
                receipt = await self.read(self.sync.receipt, digest, transaction)
                if receipt is not None:
                    return receipt
                await trio.sleep(self.sync.poll_s)
        raise not_mined(transaction.what, digest, timeout_s)
