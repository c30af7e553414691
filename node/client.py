"""A short-lived peer: how a command reaches the network without a daemon.

It has a random identity, is never bonded, and speaks to peers found through the bootstrap
addresses of the network file. It can offer a job (peers then fetch its blobs from here), ask a
coordinator how far a job is, and fetch blobs.
"""

import random
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from node import rpc
from node.blobs import BlobStore
from node.clock import unix_ms, unix_s
from node.discovery import Discovery
from node.errors import NodeError, PeerFault, PeerUnreachable
from node.messages import (
    JOB_PROTOCOL,
    OFFER_PROTOCOL,
    AskJob,
    JobHeld,
    JobProgress,
    OfferJob,
    OrderKept,
    OrderPause,
    OrderStale,
    expect,
)
from node.network_file import NetworkFile
from node.pause_order import StaleOrder
from node.peers import NetworkName, PeerBook, make_hello
from node.transfer import fetch, serve_blobs
from node.transport import Transport
from node.wallet import Signer, recover
from scheduler.blob_ref import BlobRef

FIND_S = 20.0
OFFER_S = 300.0


@dataclass(slots=True)
class Client:
    """The network as a command sees it."""

    transport: Transport
    book: PeerBook
    discovery: Discovery
    store: BlobStore

    async def find_peers(self, wanted: int, timeout_s: float = FIND_S) -> list[str]:
        """The ids of at least one and, if there are so many, `wanted` peers.

        PeerUnreachable if nobody answers.
        """
        with trio.move_on_after(timeout_s):
            while len(self.transport.connected()) < wanted:
                before = len(self.book.peers())
                await self.discovery.look()
                if len(self.book.peers()) == before and self.transport.connected():
                    break
                await trio.sleep(0.2)
        found = self.transport.connected()
        if not found:
            raise PeerUnreachable(
                "No bootstrap peer of the network file answers.",
                "Does one run, and is this machine online? Else ask for a newer network file.",
            )
        return found

    async def offer(
        self,
        job_id: bytes,
        manifest: BlobRef,
        peers: list[str],
        enough: int,
        held: Callable[[str, str], None],
        refused: Callable[[str, str], None],
    ) -> int:
        """Offer a funded job to peers until `enough` hold it; how many do.

        One more than `enough` is asked at a time: each of them fetches all data from here, and one
        that is slow holds up nobody.
        """
        request = OfferJob(job_id=job_id.hex(), manifest=manifest)
        count = 0
        at_once = trio.CapacityLimiter(enough + 1)
        async with trio.open_nursery() as nursery:

            async def offer_to(peer_id: str) -> None:
                nonlocal count
                try:
                    async with at_once:
                        answer = await self._ask(peer_id, OFFER_PROTOCOL, request)
                except (PeerUnreachable, PeerFault) as error:
                    refused(peer_id, str(error))
                    return
                count += 1
                held(peer_id, answer.wallet)
                if count >= enough:
                    nursery.cancel_scope.cancel()

            for peer_id in peers:
                nursery.start_soon(offer_to, peer_id)
        return count

    async def _ask(self, peer_id: str, protocol: str, request: OfferJob) -> JobHeld:
        addresses = self.book.addresses_of(peer_id)
        async with await self.transport.open(peer_id, protocol, addresses) as channel:
            return await rpc.ask(channel, request, JobHeld, OFFER_S)

    async def ask_progress(self, peer_id: str, job_id: bytes) -> JobProgress:
        """How far a job is, from its coordinator."""
        addresses = self.book.addresses_of(peer_id)
        async with await self.transport.open(peer_id, JOB_PROTOCOL, addresses) as channel:
            return await rpc.ask(channel, AskJob(job_id=job_id.hex()), JobProgress)

    async def order_pause(self, peer_id: str, order: OrderPause) -> JobProgress | None:
        """Give a submitter's order to a peer; how far the job is then, from its coordinator.

        Any other peer keeps the order, and that is all: None. StaleOrder where the peer says that
        it knows a later one, which the caller has to check.
        """
        addresses = self.book.addresses_of(peer_id)
        async with await self.transport.open(peer_id, JOB_PROTOCOL, addresses) as channel:
            answer = await rpc.ask_any(channel, order)
        if isinstance(answer, OrderStale):
            raise StaleOrder(order.serial, answer.last)
        return None if isinstance(answer, OrderKept) else expect(answer, JobProgress)

    async def fetch(self, ref: BlobRef, sources: list[str]) -> bytes:
        """A blob's verified bytes from one of these peers."""
        await fetch(self.transport, self.store, ref, sources, addresses_of=self.book.addresses_of)
        return self.store.read(ref)


@asynccontextmanager
async def open_client(network: NetworkFile, store: BlobStore) -> AsyncIterator[Client]:
    """A client that serves the blobs of `store` for as long as it is open."""
    if not network.bootstrap:
        raise NodeError(
            "The network file names no bootstrap peer.", "Ask for one that does, or add yours."
        )
    seed, signer = secrets.token_bytes(32), Signer.random()
    name = NetworkName(network.chain_id, network.contracts.vault)
    async with Transport(seed) as transport:
        hello = make_hello(
            name,
            seed,
            signer.sign_text,
            wallet=signer.address,
            addresses=(),
            sequence=unix_ms(),
        )
        book = PeerBook(transport.peer_id, name, recover, unix_s)
        discovery = Discovery(
            transport, book, lambda: hello, network.bootstrap, chance=random.Random()
        )
        serve_blobs(transport, store, lambda _peer_id, _ref: True)
        yield Client(transport, book, discovery, store)
