"""Finding peers: hello and peer exchange over /ainur/peers/0, from a bootstrap address on.

Whoever opens the stream says hello; the other side answers with its own hello and at most
PEERS_TOLD_MAX others, verbatim, so that every one of them can be verified. `Discovery.run` keeps
enough connections alive: it dials peers of the book, backs off from those that fail, asks the ones
it has for more, and returns to the bootstrap addresses whenever it knows nobody else.
"""

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

import trio
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from node.addresses import peer_of
from node.channel import Channel
from node.errors import BadInput, PeerFault, PeerUnreachable
from node.peers import Hello, Peer, PeerBook
from node.transport import Transport

log = logging.getLogger(__name__)

PROTOCOL = "/ainur/peers/0"
PEERS_TOLD_MAX = 64
ANSWER_BYTES_MAX = 512 * 1024
DIALS_AT_ONCE = 4
FAULT_POINTS = 25.0
FAILURES_TOLD_MAX = 2

M = TypeVar("M", bound=BaseModel)


class PeersAnswer(BaseModel):
    """The answer to a hello."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    hello: Hello
    peers: Annotated[tuple[Hello, ...], Field(max_length=PEERS_TOLD_MAX)]


@dataclass(frozen=True, slots=True)
class Pace:
    """How eagerly to look for peers, in seconds."""

    wanted: int = 8
    tick_s: float = 2.0
    refresh_hungry_s: float = 5.0
    refresh_s: float = 60.0
    answer_s: float = 20.0
    retry_first_s: float = 2.0
    retry_longest_s: float = 600.0


class Discovery:
    """Serves peer exchange on a transport and looks for peers with it.

    `hello()` gives our own hello, signed; it is called again for every exchange, so it may change.
    """

    def __init__(
        self,
        transport: Transport,
        book: PeerBook,
        hello: Callable[[], Hello],
        bootstrap: Sequence[str] = (),
        *,
        chance: random.Random,
        pace: Pace | None = None,
    ) -> None:
        for address in bootstrap:
            if peer_of(address) is None:
                raise BadInput(
                    f"The bootstrap address {address} names no peer.", "End it in /p2p/PEER_ID."
                )
        self._transport = transport
        self._book = book
        self._hello = hello
        self._bootstrap = {str(peer_of(a)): a for a in bootstrap if peer_of(a) != transport.peer_id}
        self._chance = chance
        self._pace = pace or Pace()
        self._asked_at_s: dict[str, float] = {}
        self._bootstrap_retry: dict[str, tuple[int, float]] = {}
        transport.admits = book.allows
        transport.on_fault = self._count_fault
        transport.serve(PROTOCOL, self._answer)

    async def run(self) -> None:
        """Look for peers until cancelled."""
        while True:
            await self.look()
            self._book.forget_stale()
            self._book.save()
            await trio.sleep(self._pace.tick_s * (0.5 + self._chance.random()))

    async def look(self) -> None:
        """One round: exchange with those that are due, a few at once."""
        for peer_id in self._transport.connected():
            if not self._book.allows(peer_id):
                await self._transport.close_peer(peer_id)
        slots = trio.CapacityLimiter(DIALS_AT_ONCE)

        async def visit(peer_id: str, addresses: Sequence[str]) -> None:
            async with slots:
                await self._visit(peer_id, addresses)

        async with trio.open_nursery() as nursery:
            for peer_id, addresses in self._due():
                nursery.start_soon(visit, peer_id, addresses)

    async def exchange(self, peer_id: str, addresses: Sequence[str] = ()) -> Peer:
        """Say hello to a peer and enter it and the peers it tells of into the book.

        PeerUnreachable if it does not answer, PeerFault if its answer is wrong.
        """
        self._asked_at_s[peer_id] = self._book.now()
        channel = await self._transport.open(peer_id, PROTOCOL, addresses)
        async with channel:
            with trio.move_on_after(self._pace.answer_s) as patience:
                await channel.send(_encode(self._hello()))
                answer = _decode(PeersAnswer, await channel.receive())
            if patience.cancelled_caught:
                raise PeerUnreachable(f"Peer {peer_id} did not answer our hello.")
        met = self._book.meet(answer.hello, peer_id)
        for hello in answer.peers:
            self._book.hear([hello], peer_id)
            # Two signatures each: let others run in between.
            await trio.lowlevel.checkpoint()
        return met

    async def _answer(self, channel: Channel) -> None:
        with trio.move_on_after(self._pace.answer_s):
            hello = _decode(Hello, await channel.receive())
            self._book.meet(hello, channel.peer_id)
            await channel.send(_encode(PeersAnswer(hello=self._hello(), peers=self._tell(hello))))

    def _tell(self, to: Hello) -> tuple[Hello, ...]:
        """Peers worth knowing: those we have met, then hearsay, chosen by lot within each."""
        known = [
            peer
            for peer in self._book.peers()
            if peer.hello.peer_id != to.peer_id and peer.failures <= FAILURES_TOLD_MAX
        ]
        self._chance.shuffle(known)
        known.sort(key=lambda peer: not peer.met)
        return tuple(peer.hello for peer in known[:PEERS_TOLD_MAX])

    def _due(self) -> list[tuple[str, list[str]]]:
        now = self._book.now()
        connected = set(self._transport.connected())
        self._asked_at_s = {p: at for p, at in self._asked_at_s.items() if p in connected}
        lacking = self._pace.wanted - len(connected)
        every = self._pace.refresh_hungry_s if lacking > 0 else self._pace.refresh_s
        due = [
            (peer_id, self._book.addresses_of(peer_id))
            for peer_id in sorted(connected)
            if now - self._asked_at_s.get(peer_id, float("-inf")) >= every
        ]
        fresh = [
            (peer.hello.peer_id, list(peer.hello.addresses))
            for peer in self._book.peers()
            if peer.hello.peer_id not in connected
            and peer.hello.addresses
            and peer.retry_at_s <= now
        ]
        if lacking > 0:
            due += fresh[: 2 * lacking]
            due += [
                (peer_id, [address])
                for peer_id, address in sorted(self._bootstrap.items())
                if peer_id not in connected
                and self._book.get(peer_id) is None
                and self._bootstrap_retry.get(peer_id, (0, 0.0))[1] <= now
            ]
        return due

    async def _visit(self, peer_id: str, addresses: Sequence[str]) -> None:
        try:
            await self.exchange(peer_id, addresses)
        except PeerUnreachable as error:
            log.debug("peer %s: %s", peer_id, error)
            self._back_off(peer_id)
        except PeerFault as fault:
            self._count_fault(peer_id, str(fault))
            self._back_off(peer_id)
        else:
            self._bootstrap_retry.pop(peer_id, None)

    def _back_off(self, peer_id: str) -> None:
        peer = self._book.get(peer_id)
        failures = peer.failures if peer else self._bootstrap_retry.get(peer_id, (0, 0.0))[0]
        pause = min(self._pace.retry_first_s * 2.0 ** min(failures, 20), self._pace.retry_longest_s)
        retry_at_s = self._book.now() + pause * (0.75 + 0.5 * self._chance.random())
        if peer is not None:
            self._book.failed(peer_id, retry_at_s)
        else:
            self._bootstrap_retry[peer_id] = (failures + 1, retry_at_s)

    def _count_fault(self, peer_id: str, reason: str) -> None:
        if self._book.punish(peer_id, FAULT_POINTS, reason):
            log.warning("peer %s is banned: %s", peer_id, reason)


def _encode(message: BaseModel) -> bytes:
    return message.model_dump_json().encode()


def _decode(kind: type[M], payload: bytes) -> M:
    if len(payload) > ANSWER_BYTES_MAX:
        raise PeerFault(f"a message of {len(payload)} bytes; {ANSWER_BYTES_MAX} are allowed")
    try:
        return kind.model_validate_json(payload)
    except (ValidationError, RecursionError) as error:
        detail = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "too deep"
        raise PeerFault(f"a malformed {kind.__name__}: {detail}") from None
