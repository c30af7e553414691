"""node/peers.py: hellos that cannot be forged, a book that cannot be flooded, bans that fade."""

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.errors import PeerFault
from node.identity import peer_id_from_key
from node.journal import Journal
from node.peers import (
    BAN_FIRST_S,
    BAN_LONGEST_S,
    STALE_HEARSAY_S,
    Hello,
    NetworkName,
    PeerBook,
    hello_text,
    make_hello,
    next_sequence,
    verify_hello,
)
from node.wallet import Signer, recover

NETWORK = NetworkName(chain_id=31337, vault="0x" + "Ab" * 20)


def seed(number: int) -> bytes:
    return hashlib.sha256(f"peer {number}".encode()).digest()


@cache
def signer(number: int) -> Signer:
    return Signer.from_key(hashlib.sha256(f"wallet {number}".encode()).digest())


@cache
def hello(number: int, sequence: int = 1, wallet: int | None = None) -> Hello:
    """The hello of peer `number`, signed by the wallet of that number unless told otherwise."""
    owner = signer(number if wallet is None else wallet)
    return make_hello(
        NETWORK,
        seed(number),
        owner.sign_text,
        wallet=owner.address,
        addresses=[f"/ip4/192.0.2.{number % 250 + 1}/tcp/{4000 + sequence}"],
        sequence=sequence,
        roles=["worker"],
        versions={"protocol": 0},
    )


class Clock:
    """Time that the test sets."""

    def __init__(self) -> None:
        self.now_s = 1_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(clock: Clock) -> PeerBook:
    return PeerBook(peer_id_from_key(seed(0)), NETWORK, recover, clock)


def test_hello_is_verified() -> None:
    """What we make is what we accept; the text names the network and the peer in clear."""
    verify_hello(NETWORK, hello(1), recover)
    text = hello_text(NETWORK, hello(1)).split("\n")
    assert text[:4] == [
        "ainur hello v1",
        "chain: 31337",
        f"vault: 0x{'ab' * 20}",
        f"peer: {hello(1).peer_id}",
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"addresses": ("/ip4/198.51.100.1/tcp/1",)},
        {"sequence": 2},
        {"roles": ("worker", "auditor")},
        {"versions": {}},
        {"accepted_tokens": ("0x" + "5" * 40,)},
        {"wallet": signer(2).address},
        {"peer_id": peer_id_from_key(seed(2))},
        {"signature": "00" * 65},
        {"signature": hello(2).signature},
        {"peer_signature": "00" * 64},
        {"peer_signature": hello(2).peer_signature},
        {"peer_id": "1" * 50},
    ],
)
def test_altered_hello_is_refused(change: dict[str, object]) -> None:
    """No field can be changed by whoever passes it on."""
    with pytest.raises(PeerFault):
        verify_hello(NETWORK, hello(1).model_copy(update=change), recover)


@pytest.mark.parametrize(
    "network", [NetworkName(1, NETWORK.vault), NetworkName(31337, "0x" + "cd" * 20)]
)
def test_hello_of_another_network_is_refused(network: NetworkName) -> None:
    """A hello cannot be carried from one deployment to another."""
    with pytest.raises(PeerFault):
        verify_hello(network, hello(1), recover)


def test_hello_with_useless_address_is_refused() -> None:
    """Even a well-signed one."""
    for address in ("rubbish", "/ip4/0.0.0.0/tcp/1", f"/ip4/192.0.2.1/tcp/1/p2p/{'1' * 46}"):
        owner = signer(1)
        bad = make_hello(
            NETWORK, seed(1), owner.sign_text, wallet=owner.address, addresses=[address], sequence=1
        )
        with pytest.raises(PeerFault, match="is wrong"):
            verify_hello(NETWORK, bad, recover)


def test_met_peer_is_found_by_id_and_wallet(book: PeerBook) -> None:
    """Look-up both ways; addresses are those of its hello."""
    peer = book.meet(hello(1), hello(1).peer_id)
    assert peer.met
    assert book.get(hello(1).peer_id) == peer
    assert book.by_wallet(signer(1).address.lower()) == [peer]
    assert book.addresses_of(hello(1).peer_id) == ["/ip4/192.0.2.2/tcp/4001"]
    assert book.addresses_of("unknown") == []


def test_peer_cannot_introduce_another(book: PeerBook) -> None:
    """The first hello of a connection is the peer's own."""
    with pytest.raises(PeerFault, match="introduced itself as"):
        book.meet(hello(1), hello(2).peer_id)
    assert book.peers() == []


def test_newer_hello_replaces_older_never_the_reverse(book: PeerBook) -> None:
    """Whoever relays it, in whatever order."""
    id_1 = hello(1).peer_id
    book.meet(hello(1, 5), id_1)
    assert book.hear([hello(1, 4), hello(1, 5)], "teller") == 0
    assert book.hear([hello(1, 6)], "teller") == 1
    assert book.addresses_of(id_1) == ["/ip4/192.0.2.2/tcp/4006"]
    peer = book.get(id_1)
    assert peer is not None
    assert peer.met
    book.meet(hello(1, 3), id_1)
    assert book.addresses_of(id_1) == ["/ip4/192.0.2.2/tcp/4006"]


def test_own_hello_is_not_hearsay(book: PeerBook) -> None:
    """We are not our own peer."""
    assert book.hear([hello(0)], "teller") == 0
    assert book.peers() == []


def test_forged_hearsay_is_the_tellers_fault(book: PeerBook) -> None:
    """An honest peer verifies before it tells."""
    with pytest.raises(PeerFault):
        book.hear([hello(1), hello(2).model_copy(update={"sequence": 9})], "teller")
    assert [peer.hello for peer in book.peers()] == [hello(1)]


def test_peers_are_ordered_by_acquaintance(book: PeerBook, clock: Clock) -> None:
    """Met before hearsay, recent before old."""
    for number in (1, 2):
        clock.now_s += 1
        book.meet(hello(number), hello(number).peer_id)
    book.hear([hello(3)], "teller")
    assert [peer.hello for peer in book.peers()] == [hello(2), hello(1), hello(3)]


def test_flood_of_hearsay_displaces_only_its_own(clock: Clock) -> None:
    """Whoever tells most makes room: the met and what others told stay."""
    book = PeerBook("me", NETWORK, recover, clock, peers_max=10)
    book.meet(hello(1), hello(1).peer_id)
    book.hear([hello(2), hello(3)], "modest")
    for number in range(10, 40):
        clock.now_s += 1
        book.hear([hello(number)], "flooder")
    known = {peer.hello.peer_id for peer in book.peers()}
    assert len(known) == 10
    assert {hello(1).peer_id, hello(2).peer_id, hello(3).peer_id, hello(39).peer_id} <= known


def test_points_ban_and_the_ban_ends(book: PeerBook, clock: Clock) -> None:
    """A hundred points: refused for an hour, peer and wallet, then admitted again."""
    id_1 = hello(1).peer_id
    book.meet(hello(1), id_1)
    assert not book.punish(id_1, 60, "first")
    assert book.allows(id_1)
    assert book.punish(id_1, 60, "second")
    assert not book.allows(id_1)
    assert book.why_banned(id_1) == "second"
    assert book.peers() == []
    with pytest.raises(PeerFault, match="banned"):
        book.meet(hello(7, wallet=1), hello(7).peer_id)
    clock.now_s += BAN_FIRST_S - 1
    assert not book.allows(id_1)
    clock.now_s += 2
    assert book.allows(id_1)
    assert book.why_banned(id_1) == ""
    book.meet(hello(7, wallet=1), hello(7).peer_id)


def test_points_fade(book: PeerBook, clock: Clock) -> None:
    """A slip a day never becomes a ban."""
    for _ in range(50):
        assert not book.punish("peer", 60, "slip")
        clock.now_s += 86400


def test_bans_grow_longer(book: PeerBook, clock: Clock) -> None:
    """Each one twice as long as the last, up to a week."""
    lengths = []
    for _ in range(10):
        book.punish("peer", 100, "again")
        lengths.append(book._bans["peer"].until_s - clock.now_s)
        clock.now_s += lengths[-1] + 1
    assert lengths[:3] == [BAN_FIRST_S, 2 * BAN_FIRST_S, 4 * BAN_FIRST_S]
    assert lengths[-1] == BAN_LONGEST_S


def test_stale_peers_are_forgotten(book: PeerBook, clock: Clock) -> None:
    """Hearsay goes first."""
    book.meet(hello(1), hello(1).peer_id)
    book.hear([hello(2)], "teller")
    clock.now_s += STALE_HEARSAY_S + 1
    book.forget_stale()
    assert [peer.hello for peer in book.peers()] == [hello(1)]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "j.db") as journal:
        yield journal


def test_book_and_bans_survive_a_restart(journal: Journal, clock: Clock) -> None:
    """The book when it was saved, bans at once."""
    book = PeerBook("me", NETWORK, recover, clock, journal)
    book.meet(hello(1), hello(1).peer_id)
    book.hear([hello(2)], "teller")
    book.save()
    book.punish(hello(1).peer_id, 100, "lies")
    again = PeerBook("me", NETWORK, recover, clock, journal)
    assert [peer.hello for peer in again.peers()] == [hello(2)]
    assert again.get(hello(1).peer_id) == book.get(hello(1).peer_id)
    assert again.why_banned(hello(1).peer_id) == "lies"


def test_clock_that_was_put_back_keeps_nobody_waiting(journal: Journal, clock: Clock) -> None:
    """Neither a retry nor a ban of a day ahead outlasts a restart; our hellos go on growing."""
    right_s, wrong_s = clock.now_s, clock.now_s + 26 * 3600
    clock.now_s = wrong_s
    book = PeerBook(peer_id_from_key(seed(0)), NETWORK, recover, clock, journal)
    book.meet(hello(1), hello(1).peer_id)
    book.failed(hello(1).peer_id, wrong_s + 600)
    while not book.punish("liar", 50.0, "lies"):
        pass
    for _ in range(20):
        book.punish("liar", 200.0, "lies")
    book.save()
    first = next_sequence(journal, int(wrong_s * 1000))
    clock.now_s = right_s
    again = PeerBook(peer_id_from_key(seed(0)), NETWORK, recover, clock, journal)
    (peer,) = again.peers()
    assert peer.retry_at_s <= right_s
    clock.now_s = right_s + BAN_LONGEST_S - 1
    assert not again.allows("liar")
    clock.now_s = right_s + BAN_LONGEST_S
    assert again.allows("liar")
    assert next_sequence(journal, int(right_s * 1000)) == first + 1


def test_unreadable_book_is_forgotten(journal: Journal, clock: Clock) -> None:
    """Peers introduce themselves again; a node starts all the same."""
    journal.set("peers.book", b'[{"nonsense": 1}]')
    journal.set("peers.bans", b"\xff")
    assert PeerBook("me", NETWORK, recover, clock, journal).peers() == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["meet", "hear", "punish", "fail", "wait", "stale"]),
            st.integers(0, 11),
            st.integers(1, 3),
        ),
        max_size=40,
    )
)
@settings(max_examples=40, deadline=None)
def test_book_stays_within_bounds(steps: list[tuple[str, int, int]]) -> None:
    """Whatever happens: bounded, never us, never a banned peer, newest hello only."""
    clock = Clock()
    own = peer_id_from_key(seed(0))
    book = PeerBook(own, NETWORK, recover, clock, peers_max=6)
    newest: dict[str, int] = {}
    for action, number, sequence in steps:
        said = hello(number, sequence)
        if action == "meet" and number and book.allows(said.peer_id):
            book.meet(said, said.peer_id)
        elif action == "hear":
            book.hear([said], f"teller {sequence}")
        elif action == "punish":
            book.punish(said.peer_id, 60, "reason")
        elif action == "fail":
            book.failed(said.peer_id, clock() + 5)
        elif action == "wait":
            clock.now_s += 3600.0 * sequence
        elif action == "stale":
            book.forget_stale()
        peers = book.peers()
        assert len(book._peers) <= 6
        assert own not in book._peers
        assert all(book.allows(peer.hello.peer_id) for peer in peers)
        for peer_id in list(newest):
            if book.get(peer_id) is None:
                del newest[peer_id]
        for peer in peers:
            assert peer.hello.sequence >= newest.get(peer.hello.peer_id, 0)
            newest[peer.hello.peer_id] = peer.hello.sequence
