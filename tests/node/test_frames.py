"""node/frames.py: cutting and joining, whatever arrives in whatever pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import PeerFault
from node.frames import FRAME_BYTES_MAX, FrameDecoder, encode

payloads = st.lists(st.binary(min_size=1, max_size=300), max_size=8)


def feed_in_pieces(decoder: FrameDecoder, data: bytes, cuts: list[int]) -> list[bytes]:
    found: list[bytes] = []
    start = 0
    for cut in [*sorted(cuts), len(data)]:
        found += decoder.feed(data[start:cut])
        start = max(start, cut)
    return found


@given(payloads, st.lists(st.integers(0, 2600), max_size=12))
def test_frames_survive_any_cut(sent: list[bytes], cuts: list[int]) -> None:
    """What was encoded comes out, in order, however the stream was cut."""
    data = b"".join(map(encode, sent))
    decoder = FrameDecoder()
    assert feed_in_pieces(decoder, data, cuts) == sent
    assert decoder.pending_bytes == 0
    assert decoder.fault is None


@given(payloads, st.binary(min_size=1, max_size=200))
def test_truncated_stream_shows_pending_bytes(sent: list[bytes], last: bytes) -> None:
    """An unfinished frame is held back and reported as pending."""
    decoder = FrameDecoder()
    assert decoder.feed(b"".join(map(encode, sent)) + encode(last)[:-1]) == sent
    assert decoder.pending_bytes == len(last) + 3


@pytest.mark.parametrize("length", [0, FRAME_BYTES_MAX + 1, 1 << 31, (1 << 32) - 1])
def test_length_outside_bounds_is_a_fault_before_the_payload(length: int) -> None:
    """A length is judged when it is announced; nothing is held for it, now or later."""
    decoder = FrameDecoder()
    with pytest.raises(PeerFault, match=f"a frame of {length} bytes"):
        decoder.feed(length.to_bytes(4, "big"))
    assert decoder.pending_bytes == 0
    with pytest.raises(PeerFault):
        decoder.feed(encode(b"valid"))


def test_frames_before_a_fault_are_delivered() -> None:
    """What was whole before the stream went wrong is not lost."""
    decoder = FrameDecoder()
    assert decoder.feed(encode(b"one") + bytes(4) + encode(b"two")) == [b"one"]
    assert decoder.fault is not None
    with pytest.raises(PeerFault):
        decoder.feed(b"")


@given(st.binary(max_size=3000))
def test_any_bytes_are_frames_or_a_fault(data: bytes) -> None:
    """No input makes the decoder do anything else, or hold more than it was given."""
    decoder = FrameDecoder()
    try:
        found = decoder.feed(data)
    except PeerFault:
        return
    assert all(found)
    assert sum(len(payload) + 4 for payload in found) + decoder.pending_bytes <= len(data)


@pytest.mark.parametrize("size", [1, FRAME_BYTES_MAX])
def test_extreme_sizes_are_frames(size: int) -> None:
    """The bounds themselves are allowed."""
    assert FrameDecoder().feed(encode(bytes(size))) == [bytes(size)]


@pytest.mark.parametrize("size", [0, FRAME_BYTES_MAX + 1])
def test_encode_refuses_what_no_peer_would_take(size: int) -> None:
    """Our own mistake is a ValueError."""
    with pytest.raises(ValueError, match=f"not {size}"):
        encode(bytes(size))
