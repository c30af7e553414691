"""How a node's services reach its peers: who they are, what is fetched from and asked of them.

Holds the peer book and discovery, which tells others of this node, and gives the services functions
instead of either.
"""

import random
import time
from collections.abc import Collection, Sequence

from node import rpc
from node.clock import unix_ms, unix_s
from node.discovery import Discovery, Pace
from node.ground import Ground
from node.messages import ALARM_PROTOCOL, AlarmHeard, AskOpening, RaiseAlarm, UnitOpening
from node.openings import ask_worker
from node.own_hello import OwnHello
from node.peers import Hello, NetworkName, PeerBook, make_hello, next_sequence
from node.transfer import fetch
from node.wallet import recover
from scheduler.blob_ref import BlobRef

FETCH_S = 600.0
SPEED = "speed"
"""Where the journal keeps how fast the last units were: what a restarted node tells of itself."""
DISCOVERY_PACE = Pace(tick_s=1.0, refresh_hungry_s=3.0)


class Outreach:
    """The peers of one node. `discovery` is the caller's to run."""

    def __init__(self, ground: Ground) -> None:
        self._ground, self._transport = ground, ground.transport
        self._name = NetworkName(ground.network.chain_id, ground.network.contracts.vault)
        peer_id, journal = ground.transport.peer_id, ground.journal
        self.book = PeerBook(peer_id, self._name, recover, unix_s, journal)
        self.discovery = Discovery(
            self._transport,
            self.book,
            OwnHello(self._hello, lambda: self._transport.addresses, self._mflops, time.monotonic),
            ground.network.bootstrap,
            chance=random.Random(),
            pace=DISCOVERY_PACE,
        )

    def _hello(self, addresses: Sequence[str], mflops: int) -> Hello:
        ground = self._ground
        return make_hello(
            self._name,
            ground.seed,
            ground.signer.sign_text,
            wallet=ground.signer.address,
            addresses=addresses,
            sequence=next_sequence(ground.journal, unix_ms()),
            roles=ground.config.roles,
            versions=ground.network.spec.model_dump(),
            memory_bytes=ground.memory_bytes,
            mflops=mflops,
            accepted_tokens=ground.config.accepted_tokens,
        )

    def _mflops(self) -> int:
        """10^6 operations a second over the last units, those of earlier days included; 0: none."""
        measured = round(self._ground.compute.gflops * 1000)
        kept = int(self._ground.journal.get(SPEED) or 0)
        if measured and measured != kept:
            self._ground.journal.set(SPEED, str(measured).encode())
        return measured or kept

    async def fetch(
        self, ref: BlobRef, sources: Sequence[str], chunks: Collection[int] | None = None
    ) -> None:
        """Have a blob, or some of its chunks, from any of these peers; NotServed if none has it."""
        await fetch(
            self._transport,
            self._ground.store,
            ref,
            sources,
            chunks=chunks,
            addresses_of=self.book.addresses_of,
            punish=self.punish,
            deadline_s=FETCH_S,
        )

    async def raise_alarm(self, peer_id: str, alarm: RaiseAlarm) -> None:
        """Tell a peer of a false checkpoint."""
        addresses = self.book.addresses_of(peer_id)
        async with await self._transport.open(peer_id, ALARM_PROTOCOL, addresses) as channel:
            await rpc.ask(channel, alarm, AlarmHeard)

    async def ask_worker(self, worker: str, question: AskOpening) -> UnitOpening:
        """A unit's opening, asked of the wallet that computed it."""
        ledger = self._ground.watch.ledger
        return await ask_worker(self._transport, self.book, ledger, worker, question)

    def wallet_of(self, peer_id: str) -> str | None:
        """The wallet of a peer that was met, None where it is not known."""
        peer = self.book.get(peer_id)
        return peer.hello.wallet if peer is not None and peer.met else None

    def punish(self, peer_id: str, points: float, reason: str) -> None:
        """Count a fault of a peer against it in the book."""
        self.book.punish(peer_id, points, reason)

    def count_fault(self, peer_id: str, reason: str) -> None:
        """Count a message of a peer that should not have been sent."""
        self._transport.on_fault(peer_id, reason)
