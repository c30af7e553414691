"""node/discovery.py between real hosts: everyone finds everyone from one bootstrap address."""

import contextlib
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import pytest
import trio

from node.channel import Channel
from node.discovery import PEERS_TOLD_MAX, PROTOCOL, Discovery, Pace, PeersAnswer
from node.errors import BadInput, ChannelClosed, PeerFault, PeerUnreachable
from node.peers import Hello, NetworkName, PeerBook, make_hello
from node.transport import Transport
from node.wallet import Signer, recover

NETWORK = NetworkName(31337, "0x" + "ab" * 20)
BRISK = Pace(tick_s=0.1, refresh_hungry_s=0.3, retry_first_s=0.2)


@dataclass
class Node:
    """A transport with a book and discovery, not looking yet."""

    transport: Transport
    book: PeerBook
    discovery: Discovery
    wallet: Signer
    hello: Callable[[], Hello]

    def knows(self) -> set[str]:
        return {peer.hello.peer_id for peer in self.book.peers() if peer.met}


@contextlib.asynccontextmanager
async def new_node(
    bootstrap: Sequence[str] = (), network: NetworkName = NETWORK, seed: bytes | None = None
) -> AsyncIterator[Node]:
    """A node of a network, serving peer exchange."""
    seed, wallet = seed or secrets.token_bytes(32), Signer.random()
    async with Transport(seed) as transport:

        def hello() -> Hello:
            return make_hello(
                network,
                seed,
                wallet.sign_text,
                wallet=wallet.address,
                addresses=transport.addresses,
                sequence=time.time_ns(),
            )

        book = PeerBook(transport.peer_id, network, recover, time.time)
        discovery = Discovery(
            transport, book, hello, bootstrap, chance=random.Random(7), pace=BRISK
        )
        yield Node(transport, book, discovery, wallet, hello)


async def until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    with trio.fail_after(within_s):
        while not condition():  # noqa: ASYNC110 - the network has no event for it
            await trio.sleep(0.02)


@pytest.mark.trio
async def test_exchange_introduces_both() -> None:
    """One exchange: each side has met the other, by id and by wallet."""
    async with new_node() as a, new_node() as b:
        peer = await a.discovery.exchange(b.transport.peer_id, b.transport.addresses)
        assert peer.hello.wallet == b.wallet.address
        assert [p.hello.peer_id for p in a.book.by_wallet(b.wallet.address)] == [
            b.transport.peer_id
        ]
        assert b.knows() == {a.transport.peer_id}


def said(node: Node) -> int:
    """How many bytes of peer exchange a node has sent."""
    return node.transport.traffic[PROTOCOL].sent


def steady(node: Node) -> Node:
    """The same node with one hello for good, as the daemon's are."""
    hello = node.hello()
    node.discovery._hello = lambda: hello
    return node


@pytest.mark.trio
async def test_what_the_other_knows_is_not_said_again() -> None:
    """The first exchange tells all; the next ones a few numbers, until there is news."""
    async with new_node() as a, new_node() as b, new_node() as c, new_node() as d:
        for node in (a, b, c, d):
            steady(node)
        await c.discovery.exchange(b.transport.peer_id, b.transport.addresses)
        await a.discovery.exchange(b.transport.peer_id, b.transport.addresses)
        first = said(a), said(b)
        assert a.book.get(c.transport.peer_id) is not None
        await a.discovery.exchange(b.transport.peer_id)
        assert said(a) - first[0] < 150 > said(b) - first[1]
        await d.discovery.exchange(b.transport.peer_id, b.transport.addresses)
        before = said(b)
        await a.discovery.exchange(b.transport.peer_id)
        assert a.book.get(d.transport.peer_id) is not None
        assert said(b) - before < 1000


@pytest.mark.trio
async def test_forgotten_hello_is_asked_for() -> None:
    """A peer that lost its book is introduced to us within one exchange."""
    async with new_node() as a, new_node() as b:
        steady(a)
        await a.discovery.exchange(b.transport.peer_id, b.transport.addresses)
        b.book._remove(a.transport.peer_id)
        await a.discovery.exchange(b.transport.peer_id)
        assert b.knows() == {a.transport.peer_id}


@pytest.mark.trio
async def test_more_peers_than_an_answer_holds_are_told_in_turn() -> None:
    """Whoever asks again hears of everyone in the end, and then of nobody."""
    async with new_node() as here:
        book, wallet = here.book, Signer.random()
        names = set()
        for number in range(PEERS_TOLD_MAX + 20):
            seed = number.to_bytes(32, "big")
            hello = make_hello(
                NETWORK, seed, wallet.sign_text, wallet=wallet.address, addresses=[], sequence=1
            )
            names.add(hello.peer_id)
            book.hear([hello], "someone")
        told, since = set(), 0
        for _ in range(3):
            peers, since = here.discovery._tell("another", since)
            assert len(peers) <= PEERS_TOLD_MAX
            told |= {hello.peer_id for hello in peers}
        assert told == names
        assert here.discovery._tell("another", since) == ((), since)
        assert len(here.discovery._tell("another", since + 1)[0]) == PEERS_TOLD_MAX


@pytest.mark.trio
async def test_peer_without_news_is_asked_less_often() -> None:
    """The pause doubles up to its bound, and news ends it."""
    async with new_node() as a, new_node() as b, new_node() as c:
        for node in (a, b, c):
            steady(node)
        await a.discovery.exchange(b.transport.peer_id, b.transport.addresses)
        talk = a.discovery._talks[b.transport.peer_id]
        pauses = []
        for _ in range(12):
            pauses.append(a.discovery._next_talk_s(talk, hungry=True) - talk.asked_at_s)
            await a.discovery.exchange(b.transport.peer_id)
        assert pauses[:3] == pytest.approx([0.3, 0.6, 1.2])
        assert pauses[-1] == pytest.approx(BRISK.refresh_s)
        await c.discovery.exchange(b.transport.peer_id, b.transport.addresses)
        await a.discovery.exchange(b.transport.peer_id)
        assert talk.quiet == 0


@pytest.mark.trio
async def test_everyone_finds_everyone_from_one_address() -> None:
    """Five nodes that know one address each end up connected to all others."""
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(new_node())
        others = [
            await stack.enter_async_context(new_node(first.transport.addresses)) for _ in range(4)
        ]
        nodes = [first, *others]
        async with trio.open_nursery() as nursery:
            for node in nodes:
                nursery.start_soon(node.discovery.run)
            await until(lambda: all(len(node.knows()) == 4 for node in nodes))
            await until(lambda: all(len(node.transport.connected()) == 4 for node in nodes))
            nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_lost_peer_is_found_again() -> None:
    """A node that restarts under its identity at another port is reconnected."""
    seed = secrets.token_bytes(32)
    async with new_node() as steady, trio.open_nursery() as nursery:
        nursery.start_soon(steady.discovery.run)
        for _ in range(2):
            async with new_node(steady.transport.addresses, seed=seed) as restarting:
                await restarting.discovery.look()
                address = restarting.transport.addresses
                peer_id = restarting.transport.peer_id
                await until(lambda p=peer_id, a=address: steady.book.addresses_of(p) == a)
                await until(lambda p=peer_id: p in steady.transport.connected())
            await until(lambda: steady.transport.connected() == [])
        nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_dead_bootstrap_is_retried_with_growing_pauses() -> None:
    """An address that does not answer is not hammered."""
    async with new_node() as gone:
        address = gone.transport.addresses
    async with new_node(address) as node:
        pauses = []
        for _ in range(4):
            node.discovery._bootstrap_retry = {
                peer: (failures, 0.0)
                for peer, (failures, _) in node.discovery._bootstrap_retry.items()
            }
            before = time.time()
            await node.discovery.look()
            ((_, (_, retry_at_s)),) = node.discovery._bootstrap_retry.items()
            pauses.append(retry_at_s - before)
        assert pauses == sorted(pauses)
        assert pauses[-1] > 4 * pauses[0]
        assert node.discovery._due() == []


@pytest.mark.trio
async def test_other_network_is_not_met() -> None:
    """Nodes of different deployments do not mix."""
    async with new_node() as a, new_node(network=NetworkName(1, NETWORK.vault)) as b:
        with pytest.raises(PeerUnreachable):
            await a.discovery.exchange(b.transport.peer_id, b.transport.addresses)
        assert a.knows() == b.knows() == set()


@pytest.mark.trio
@pytest.mark.parametrize("nonsense", [b"{}", b"\xff", b"[" * 5000, b'{"peer_id": 1}'])
async def test_malformed_hello_costs_points(nonsense: bytes) -> None:
    """Five of them are a ban, and a banned peer is disconnected."""
    async with new_node() as victim, new_node() as rude:
        for _ in range(5):
            channel = await rude.transport.open(
                victim.transport.peer_id, PROTOCOL, victim.transport.addresses
            )
            await channel.send(nonsense)
            with pytest.raises(ChannelClosed):
                await channel.receive()
            await channel.aclose()
        assert not victim.book.allows(rude.transport.peer_id)
        await victim.discovery.look()
        assert victim.transport.connected() == []
        with pytest.raises(PeerUnreachable):
            await rude.discovery.exchange(victim.transport.peer_id, victim.transport.addresses)


@pytest.mark.trio
async def test_forged_gossip_is_the_tellers_fault() -> None:
    """A hello that was altered on the way is refused with its teller; nothing of it is kept."""
    async with new_node() as here, new_node() as liar, new_node() as third:
        altered = third.hello().model_copy(update={"addresses": ("/ip4/192.0.2.1/tcp/1",)})
        answer = PeersAnswer(hello=liar.hello(), peers=(altered,), revision=1)

        async def lie(channel: Channel) -> None:
            await channel.receive()
            await channel.send(answer.model_dump_json().encode())

        liar.transport.serve(PROTOCOL, lie)
        with pytest.raises(PeerFault, match="not signed"):
            await here.discovery.exchange(liar.transport.peer_id, liar.transport.addresses)
        assert here.book.get(third.transport.peer_id) is None


@pytest.mark.trio
async def test_bootstrap_address_must_name_its_peer() -> None:
    """Otherwise anybody at that address would do."""
    with pytest.raises(BadInput, match="names no peer"):
        async with new_node(["/ip4/127.0.0.1/tcp/4001"]):
            pass
