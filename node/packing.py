"""Chunks made smaller for the wire, without loss: raw DEFLATE (RFC 1951) where it pays.

Deltas in 4 bits and second moments in 8 are codes of few likely values, of which entropy coding
takes a tenth to a third; float32 weights give next to nothing and are left as they are. What a
chunk is, and its hash, is said of the plain bytes: packing is how they travel (docs/spec/
protocol.md, section 5). A packed chunk comes from a stranger: it is unpacked into a bound that is
known before, and whatever does not end exactly there is refused.
"""

import zlib

from node.errors import PeerFault

LEVEL = 1
"""Level 6 takes 1.5 times as long for half a percent (docs/results/traffic.md)."""

MEMORY_LEVEL = 9
"""The most that zlib has, 256 KiB for the time of a call: longer blocks, better codes."""

SAMPLES, SAMPLE_BYTES = 4, 2048
WORTH = 0.95
"""What packing does not make smaller than this share travels plain."""

_RAW = -zlib.MAX_WBITS


def pack(data: bytes) -> bytes | None:
    """The bytes packed; None where that would not pay."""
    if len(data) > 2 * SAMPLES * SAMPLE_BYTES:
        step = len(data) // SAMPLES
        starts = range(step // 2 - SAMPLE_BYTES // 2, len(data), step)
        sample = b"".join(data[start : start + SAMPLE_BYTES] for start in starts)
        if len(_deflate(sample, zlib.Z_HUFFMAN_ONLY)) > WORTH * len(sample):
            return None
    packed = _deflate(data, zlib.Z_DEFAULT_STRATEGY)
    return packed if len(packed) <= WORTH * len(data) else None


def unpack(packed: bytes, size: int) -> bytes:
    """The `size` bytes that were packed. PeerFault for anything else; never takes more memory."""
    stream = zlib.decompressobj(_RAW)
    try:
        # One byte of room more: what is too long fills it, and the rest of a bomb stays packed.
        data = stream.decompress(packed, size + 1)
    except zlib.error as error:
        raise PeerFault(f"a packed chunk cannot be unpacked: {error}") from None
    if len(data) != size or not stream.eof or stream.unused_data:
        found = "more" if len(data) > size else f"{len(data)}"
        raise PeerFault(f"a packed chunk of {size} bytes holds {found}, or does not end there")
    return data


def _deflate(data: bytes, strategy: int) -> bytes:
    stream = zlib.compressobj(LEVEL, zlib.DEFLATED, _RAW, MEMORY_LEVEL, strategy)
    return stream.compress(data) + stream.flush()
