"""Finding peers: hello and peer exchange over /ainur/peers/2, from a bootstrap address on.

Whoever opens the stream says hello; the other side answers with its own hello and at most
PEERS_TOLD_MAX others, verbatim, so that every one of them can be verified. What the other side has
already is not said again: a hello is named by its sequence alone, and of others only what is new
since the last answer is told. `Discovery.run` keeps enough connections alive: it dials peers of the
book, backs off from those that fail, asks the ones it has for more, the less often the less they
have to tell, and returns to the bootstrap addresses whenever it knows nobody else.
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

PROTOCOL = "/ainur/peers/2"
PEERS_TOLD_MAX = 64
ANSWER_BYTES_MAX = 512 * 1024
DIALS_AT_ONCE = 4
FAULT_POINTS = 25.0
FAILURES_TOLD_MAX = 2

M = TypeVar("M", bound=BaseModel)

Number = Annotated[int, Field(ge=0, lt=2**63)]


class AskPeers(BaseModel):
    """Our hello, and what we know: `have` is the sequence of the hello that we have of the other,
    `since` the revision of its last answer; each 0 for nothing yet.

    Whoever said it on this connection before leaves the hello out and names its `sequence`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    hello: Hello | None = None
    sequence: Number
    have: Number = 0
    since: Number = 0


class PeersAnswer(BaseModel):
    """The answer: `known` is false where the hello was left out and is not here; it is then asked
    for on the same stream, once. `hello` is left out where the other has it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    known: bool = True
    hello: Hello | None = None
    peers: Annotated[tuple[Hello, ...], Field(max_length=PEERS_TOLD_MAX)] = ()
    revision: Number = 0


@dataclass(frozen=True, slots=True)
class Pace:
    """How eagerly to look for peers, in seconds.

    A peer is asked again after `refresh_s`, `refresh_hungry_s` while fewer than `wanted` are
    connected, and twice as much after every answer without news, up to `refresh_longest_s`, or
    `refresh_s` while hungry.
    """

    wanted: int = 8
    tick_s: float = 2.0
    refresh_hungry_s: float = 5.0
    refresh_s: float = 60.0
    refresh_longest_s: float = 600.0
    answer_s: float = 20.0
    retry_first_s: float = 2.0
    retry_longest_s: float = 600.0


@dataclass(slots=True)
class _Talk:
    """What was said to a peer over the connection to it, and when."""

    asked_at_s: float = float("-inf")
    told_sequence: int = 0
    heard_revision: int = 0
    quiet: int = 0
    """Answers without news, one after the other."""


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
        self._talks: dict[str, _Talk] = {}
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
        talk = self._talks.setdefault(peer_id, _Talk())
        talk.asked_at_s = self._book.now()
        channel = await self._transport.open(peer_id, PROTOCOL, addresses)
        async with channel:
            with trio.move_on_after(self._pace.answer_s) as patience:
                answer = await self._ask(channel, talk)
            if patience.cancelled_caught:
                raise PeerUnreachable(f"Peer {peer_id} did not answer our hello.")
        known = self._book.get(peer_id)
        hello = answer.hello or (known.hello if known is not None else None)
        if hello is None:
            raise PeerFault(f"peer {peer_id} says nothing of itself")
        met = self._book.meet(hello, peer_id)
        news = known is None or known.hello != met.hello
        for told in answer.peers:
            news |= self._book.hear([told], peer_id) > 0
            # Two signatures each: let others run in between.
            await trio.lowlevel.checkpoint()
        talk.heard_revision = answer.revision
        talk.quiet = 0 if news else talk.quiet + 1
        return met

    def ask_again(self, peer_id: str) -> None:
        """Say hello to a peer anew, soon: it does not know us any more."""
        self._talks.pop(peer_id, None)

    async def _ask(self, channel: Channel, talk: _Talk) -> PeersAnswer:
        """The peer's answer; our hello goes along unless the peer has it."""
        own = self._hello()
        known = self._book.get(channel.peer_id)
        request = AskPeers(
            hello=None if talk.told_sequence == own.sequence else own,
            sequence=own.sequence,
            have=known.hello.sequence if known is not None else 0,
            since=talk.heard_revision,
        )
        await channel.send(_encode(request))
        answer = _decode(PeersAnswer, await channel.receive())
        if not answer.known and request.hello is None:
            await channel.send(_encode(request.model_copy(update={"hello": own})))
            answer = _decode(PeersAnswer, await channel.receive())
        talk.told_sequence = own.sequence
        return answer

    async def _answer(self, channel: Channel) -> None:
        with trio.move_on_after(self._pace.answer_s):
            asked = _decode(AskPeers, await channel.receive())
            if asked.hello is None and not self._knows(channel.peer_id, asked.sequence):
                await channel.send(_encode(PeersAnswer(known=False)))
                asked = _decode(AskPeers, await channel.receive())
            hello = asked.hello or self._hello_of(channel.peer_id)
            self._book.meet(hello, channel.peer_id)
            peers, revision = self._tell(channel.peer_id, asked.since)
            own = self._hello()
            answer = PeersAnswer(
                hello=None if own.sequence == asked.have else own, peers=peers, revision=revision
            )
            await channel.send(_encode(answer))

    def _knows(self, peer_id: str, sequence: int) -> bool:
        peer = self._book.get(peer_id)
        return peer is not None and peer.hello.sequence == sequence

    def _hello_of(self, peer_id: str) -> Hello:
        peer = self._book.get(peer_id)
        if peer is None:
            raise PeerFault(f"peer {peer_id} left its hello out when it was asked for it")
        return peer.hello

    def _tell(self, to: str, since: int) -> tuple[tuple[Hello, ...], int]:
        """Peers worth knowing that are new since a revision, and the revision to ask from next.

        To a newcomer those that we have met, then hearsay, chosen by lot within each. Where that is
        not all, it is told the rest from then on, in the order in which it came here.
        """
        book = self._book
        if since > book.revision:
            since = 0
        known = [
            peer
            for peer in book.peers()
            if peer.hello.peer_id != to
            and peer.failures <= FAILURES_TOLD_MAX
            and (since == 0 or book.revision_of(peer.hello.peer_id) > since)
        ]
        if since == 0:
            self._chance.shuffle(known)
            known.sort(key=lambda peer: not peer.met)
        else:
            known.sort(key=lambda peer: book.revision_of(peer.hello.peer_id))
        told = known[:PEERS_TOLD_MAX]
        if len(told) == len(known):
            revision = book.revision
        else:
            revision = book.revision_of(told[-1].hello.peer_id) if since else 1
        return tuple(peer.hello for peer in told), revision

    def _due(self) -> list[tuple[str, list[str]]]:
        now = self._book.now()
        connected = set(self._transport.connected())
        self._talks = {p: talk for p, talk in self._talks.items() if p in connected}
        lacking = self._pace.wanted - len(connected)
        due = [
            (peer_id, self._book.addresses_of(peer_id))
            for peer_id in sorted(connected)
            if now >= self._next_talk_s(self._talks.get(peer_id, _Talk()), hungry=lacking > 0)
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

    def _next_talk_s(self, talk: _Talk, *, hungry: bool) -> float:
        pace = self._pace
        first, longest = (
            (pace.refresh_hungry_s, pace.refresh_s)
            if hungry
            else (pace.refresh_s, pace.refresh_longest_s)
        )
        return talk.asked_at_s + min(first * 2.0 ** min(talk.quiet, 20), longest)

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
