"""node/packing.py: chunks get smaller where it pays, and no stranger's bytes get large."""

import os
import tracemalloc
import zlib

import numpy as np
import pytest

from engine.commitment import BLOB_CHUNK_BYTES
from node.errors import PeerFault
from node.packing import WORTH, pack, unpack


def deltas() -> bytes:
    """Codes of 4 bits as scheduler.compression writes them of normal values."""
    codes = np.random.default_rng(1).normal(8, 2.5, 2 * BLOB_CHUNK_BYTES).round().clip(1, 15)
    halves = codes.astype(np.uint8)
    return bytes(halves[0::2] | halves[1::2] << 4)


def deflated(data: bytes) -> bytes:
    stream = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize("data", [b"a" * 100, bytes(BLOB_CHUNK_BYTES), deltas(), deltas()[:5000]])
def test_what_is_worth_it_is_packed_and_comes_back(data: bytes) -> None:
    """Smaller than WORTH of it, and the same bytes."""
    packed = pack(data)
    assert packed is not None
    assert len(packed) <= WORTH * len(data)
    assert unpack(packed, len(data)) == data


@pytest.mark.parametrize("size", [0, 1, 20_000, BLOB_CHUNK_BYTES])
def test_chance_is_left_as_it_is(size: int) -> None:
    """Packing it would make it larger."""
    assert pack(os.urandom(size)) is None


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"\xff\xff",
        deflated(b"x" * 99),
        deflated(b"x" * 101),
        deflated(b"x" * 100)[:-1],
        deflated(b"x" * 100) + b"\x00",
    ],
)
def test_what_does_not_end_at_the_size_is_the_peers_fault(packed: bytes) -> None:
    """Shorter, longer, cut off, followed by something, not a stream at all."""
    with pytest.raises(PeerFault, match="a packed chunk"):
        unpack(packed, 100)


def test_bomb_is_refused_in_bounded_memory() -> None:
    """A kilobyte for each megabyte: no more is unpacked than a chunk has."""
    bomb = deflated(bytes(64 << 20))
    assert len(bomb) < 1 << 17
    tracemalloc.start()
    try:
        with pytest.raises(PeerFault, match="holds more"):
            unpack(bomb, BLOB_CHUNK_BYTES)
        assert tracemalloc.get_traced_memory()[1] < 4 * BLOB_CHUNK_BYTES
    finally:
        tracemalloc.stop()
