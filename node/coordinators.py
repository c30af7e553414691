"""Reaching a job's coordinator, whoever it is, and answering for the jobs that this node
coordinates.

The chain names the holder of a job's lease, the peer book its addresses. One persistent stream
per coordinator carries the requests, one at a time; it is dropped on any failure and opened anew.
For our own jobs there is no stream: the same answers are given directly. Which results made a
finished round anybody may know who checked it, so that this outlives a coordinator.
"""

from collections.abc import Callable, Mapping, Sequence

import trio

from node import rpc
from node.chain_watch import ChainWatch
from node.coordination import Coordination
from node.errors import PeerFault, PeerUnreachable
from node.identity import peer_id_text
from node.ledger import JobView
from node.messages import (
    JOB_PROTOCOL,
    WORK_PROTOCOL,
    AskJob,
    AskRound,
    CommitUnit,
    Message,
    OrderKept,
    OrderPause,
    OrderStale,
    PullUnit,
    Refused,
    RoundResults,
    expect,
)
from node.pause_order import Orders, StaleOrder
from node.peers import PeerBook
from node.round_memory import RoundMemory
from node.transport import Channel, Transport
from node.unit_requests import STRANGER

ANSWER_S = 30.0
NOT_HERE = "this node does not coordinate the job"
NOT_YET = (NOT_HERE, STRANGER)
"""Refusals of a coordinator that is just starting: it is there again in a moment."""


class Coordinators:
    """Requests to coordinators, and to `own`, the coordinations of this node by job id.

    `introduce` is told of a coordinator that does not know us, so that it gets our hello.
    """

    def __init__(
        self,
        transport: Transport,
        watch: ChainWatch,
        book: PeerBook,
        own: Mapping[bytes, Coordination],
        rounds: RoundMemory,
        introduce: Callable[[str], None],
        orders: Orders,
    ) -> None:
        self._transport, self._watch, self._book, self._own = transport, watch, book, own
        self._rounds, self._introduce, self._orders = rounds, introduce, orders
        self._channels: dict[str, Channel] = {}
        self._locks: dict[str, trio.Lock] = {}

    async def ask(self, job: JobView, message: Message) -> Message:
        """The answer of the job's coordinator; PeerUnreachable if it gives none."""
        own = self._own.get(job.job_id)
        if own is not None:
            return await own.answer_in_time(self._transport.peer_id, message)
        peer_id = self.peer_of(job)
        async with self._locks.setdefault(peer_id, trio.Lock()):
            answer = await self._over_stream(peer_id, message)
        if isinstance(answer, Refused) and answer.reason == STRANGER:
            self._introduce(peer_id)
        if isinstance(answer, Refused) and answer.reason in NOT_YET:
            raise PeerUnreachable(f"the coordinator is just starting: {answer.reason}")
        return answer

    async def _over_stream(self, peer_id: str, message: Message) -> Message:
        """The answer over the persistent stream to a coordinator; its lock is the caller's."""
        channel = self._channels.get(peer_id)
        if channel is not None and channel.has_ended:
            # A coordinator closes a stream that asked nothing for long.
            await channel.aclose()
            channel = None
        if channel is None:
            addresses = self._book.addresses_of(peer_id)
            channel = await self._transport.open(peer_id, WORK_PROTOCOL, addresses)
            self._channels[peer_id] = channel
        answered = False
        try:
            answer = await rpc.ask_any(channel, message, ANSWER_S)
            answered = True
        finally:
            # An answer that may still come must not be taken for that of the next request.
            if not answered:
                del self._channels[peer_id]
                with trio.CancelScope(shield=True), trio.move_on_after(1):
                    await channel.aclose()
        return answer

    async def ask_round(self, peer_id: str, message: AskRound) -> RoundResults:
        """What made a round, as this peer says; PeerUnreachable or PeerFault if it does not.

        Over the persistent stream to it, where there is one that nobody waits on.
        """
        lock = self._locks.get(peer_id)
        if peer_id in self._channels and lock is not None and not lock.locked():
            async with lock:
                return expect(await self._over_stream(peer_id, message), RoundResults)
        addresses = self._book.addresses_of(peer_id)
        async with await self._transport.open(peer_id, JOB_PROTOCOL, addresses) as channel:
            return await rpc.ask(channel, message, RoundResults, ANSWER_S)

    def peer_of(self, job: JobView) -> str:
        """The peer id of the job's coordinator; PeerUnreachable if there is none or it is us."""
        if not job.holder:
            raise PeerUnreachable("no node holds the lease of this job")
        registered = self._watch.ledger.tally(job.holder).peer_id
        peer_id = peer_id_text(registered) if registered else ""
        if not peer_id or peer_id == self._transport.peer_id:
            raise PeerUnreachable(f"the coordinator {job.holder} is not known or just starting")
        return peer_id

    def sources(self, job: JobView) -> Sequence[str]:
        """Peers that probably have the job's blobs, the coordinator first."""
        connected = self._transport.connected()
        try:
            first = self.peer_of(job)
        except PeerUnreachable:
            return connected
        return [first, *(peer_id for peer_id in connected if peer_id != first)]

    def serve(self, on_fault: Callable[[str, str], None]) -> None:
        """Answer peers on both protocols; either may carry a request for work that waits."""
        for protocol in (WORK_PROTOCOL, JOB_PROTOCOL):
            self._transport.serve(protocol, rpc.serve(self.answer, on_fault, holds=True))

    async def answer(self, peer_id: str, message: Message) -> Message:
        """Serve the work and job protocols: as a coordinator, or as one who checked a round."""
        if not isinstance(message, PullUnit | CommitUnit | AskRound | AskJob | OrderPause):
            raise PeerFault(f"{type(message).__name__} is no request to a coordinator")
        own = self._own.get(bytes.fromhex(message.job_id))
        if own is None and isinstance(message, AskRound):
            return self._rounds.answer(message)
        if own is None and isinstance(message, OrderPause):
            return self._keep_order(message)
        if own is None:
            return Refused(reason=NOT_HERE)
        return await own.answer_in_time(peer_id, message)

    def _keep_order(self, order: OrderPause) -> Message:
        """Keep a submitter's order, for when this node comes to coordinate the job."""
        job = self._watch.ledger.jobs.get(bytes.fromhex(order.job_id))
        if job is None or job.is_over:
            return Refused(reason="the chain knows no such job that goes on")
        try:
            taken = self._orders.take(order, job.submitter)
        except StaleOrder as error:
            return OrderStale(last=error.last)
        if taken is None:
            return Refused(reason=f"the order is not signed by {job.submitter}")
        return OrderKept(job_id=order.job_id)
