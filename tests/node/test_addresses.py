"""node/addresses.py: which texts are addresses, and what they mean."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.addresses import check_port_free, dialable, parse, peer_of, reachable
from node.errors import BadInput
from node.identity import peer_id_from_key

PEER = peer_id_from_key(bytes(32))
OTHER = peer_id_from_key(bytes([1] * 32))


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("/ip4/192.0.2.7/tcp/4001", "/ip4/192.0.2.7/tcp/4001"),
        ("192.0.2.7:4001", "/ip4/192.0.2.7/tcp/4001"),
        ("[2001:DB8::0:1]:4001", "/ip6/2001:db8::1/tcp/4001"),
        ("/ip6/::1/tcp/0", "/ip6/::1/tcp/0"),
        ("node.example.org:4001", "/dns/node.example.org/tcp/4001"),
        ("/dns4/node.example.org/tcp/04001", "/dns4/node.example.org/tcp/4001"),
        (f"/ip4/192.0.2.7/tcp/1/p2p/{PEER}", f"/ip4/192.0.2.7/tcp/1/p2p/{PEER}"),
    ],
)
def test_parse_accepts_and_normalises(text: str, canonical: str) -> None:
    """People write host:port, peers write multiaddresses; one form comes out."""
    assert parse(text) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rubbish",
        "/ip4/192.0.2.7/udp/4001",
        "/ip4/192.0.2.7/tcp/4001/ws",
        "/ip4/192.0.2.7/tcp/70000",
        "/ip4/192.0.2.999/tcp/4001",
        "/ip4/::1/tcp/4001",
        "/ip6/fe80::1%eth0/tcp/4001",
        "/dns4/-bad-/tcp/1",
        "/dns4/a b/tcp/1",
        "/ip4/192.0.2.7/tcp/4001/p2p/0OIl",
        "/ip4/192.0.2.7/tcp/4001/p2p-circuit",
        "/dns4/" + "a" * 300 + "/tcp/1",
        "/ip4/192.0.2.7/tcp/4001\n",
    ],
)
def test_parse_refuses(text: str) -> None:
    """Everything else gets an error that shows how an address is written."""
    with pytest.raises(BadInput):
        parse(text)


@given(st.text(max_size=300))
def test_parse_is_total_and_stable(text: str) -> None:
    """Any text is either refused or normalised to a fixed point."""
    try:
        address = parse(text)
    except BadInput:
        return
    assert parse(address) == address


def test_peer_of_names_the_last_part() -> None:
    """The peer id is optional."""
    assert peer_of(f"/ip4/192.0.2.7/tcp/1/p2p/{PEER}") == PEER
    assert peer_of("/ip4/192.0.2.7/tcp/1") is None


@pytest.mark.parametrize(
    "text",
    [f"/ip4/192.0.2.7/tcp/1/p2p/{OTHER}", "/ip4/0.0.0.0/tcp/1", "/ip6/::/tcp/1", "192.0.2.7:0"],
)
def test_dialable_refuses_what_leads_nowhere(text: str) -> None:
    """Another peer's address, no host, no port."""
    with pytest.raises(BadInput):
        dialable(text, PEER)


def test_reachable_keeps_a_definite_address() -> None:
    """Only 0.0.0.0 and :: are replaced."""
    assert list(reachable("/ip4/127.0.0.1/tcp/5")) == ["/ip4/127.0.0.1/tcp/5"]


@pytest.mark.parametrize("anywhere", ["/ip4/0.0.0.0/tcp/5", "/ip6/::/tcp/5"])
def test_reachable_replaces_anywhere(anywhere: str) -> None:
    """There is always at least one definite address, and it can be dialled."""
    found = list(reachable(anywhere))
    assert found
    for address in found:
        assert dialable(address, PEER) == address


def test_taken_port_is_refused() -> None:
    """The error names the address."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(BadInput, match=f"/tcp/{port}"):
            check_port_free(f"/ip4/127.0.0.1/tcp/{port}")
    check_port_free(f"/ip4/127.0.0.1/tcp/{port}")
