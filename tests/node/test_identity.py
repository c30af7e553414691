"""node/identity.py against libp2p's own derivation."""

import contextlib
import stat
from pathlib import Path

import base58
import pytest
from hypothesis import given
from hypothesis import strategies as st
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.peer.id import ID

from node.errors import BadInput
from node.identity import (
    _base58_decode,
    _base58_encode,
    create_seed,
    load_seed,
    peer_id_bytes,
    peer_id_decode,
    peer_id_from_key,
    peer_id_text,
)

seeds = st.binary(min_size=32, max_size=32)


@given(seeds)
def test_peer_id_equals_libp2p(seed: bytes) -> None:
    """The id that we bond is the id under which libp2p is reached."""
    theirs = ID.from_pubkey(create_new_key_pair(seed).public_key)
    assert peer_id_from_key(seed) == str(theirs)
    assert peer_id_bytes(seed) == theirs.to_bytes()


@given(seeds)
def test_peer_id_text_round_trips(seed: bytes) -> None:
    """Text and bytes name the same peer."""
    assert peer_id_decode(peer_id_from_key(seed)) == peer_id_bytes(seed)
    assert peer_id_text(peer_id_bytes(seed)) == peer_id_from_key(seed)


@given(st.binary(max_size=64))
def test_base58_equals_the_reference(data: bytes) -> None:
    """Leading zeros included."""
    assert _base58_encode(data) == base58.b58encode(data).decode()
    assert _base58_decode(_base58_encode(data)) == data


@given(st.text(max_size=80))
def test_peer_id_decode_refuses_other_text(text: str) -> None:
    """Whatever a stranger writes is an id or BadInput, never another error."""
    with contextlib.suppress(BadInput):
        assert len(peer_id_decode(text)) == 38


def test_peer_id_decode_refuses_rsa_id() -> None:
    """A valid peer id of another key type is refused: the vault stores Ed25519 ids only."""
    with pytest.raises(BadInput, match="Ed25519"):
        peer_id_decode("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N")


def test_seed_is_private_and_never_overwritten(tmp_path: Path) -> None:
    """The identity's secret is its owner's alone and survives a second init."""
    path = tmp_path / "peer.key"
    seed = create_seed(path)
    assert load_seed(path) == seed
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        create_seed(path)
    assert load_seed(path) == seed


def test_damaged_seed_is_refused(tmp_path: Path) -> None:
    """A truncated key is not silently another identity."""
    path = tmp_path / "peer.key"
    path.write_bytes(bytes(31))
    with pytest.raises(BadInput, match="31 bytes"):
        load_seed(path)
    with pytest.raises(BadInput, match="ainur init"):
        load_seed(tmp_path / "missing")
