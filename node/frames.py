"""Frames: how a byte stream between peers is cut into messages.

A frame is u32be length ‖ payload, 1 byte to 1 MiB (docs/spec/protocol.md, section 5). Sans I/O: the
decoder is fed whatever arrived and returns the frames that became complete. It believes no length:
memory grows with the bytes received, never with the bytes announced, and a length outside the
bounds is refused before its payload is awaited.
"""

from node.errors import PeerFault

HEADER_BYTES = 4
FRAME_BYTES_MAX = 1 << 20


def encode(payload: bytes) -> bytes:
    """The frame around a payload. ValueError if it is empty or over 1 MiB: our caller's mistake."""
    if not 0 < len(payload) <= FRAME_BYTES_MAX:
        raise ValueError(f"a frame carries 1 to {FRAME_BYTES_MAX} bytes, not {len(payload)}")
    return len(payload).to_bytes(HEADER_BYTES, "big") + payload


class FrameDecoder:
    """Cuts received bytes into payloads.

    After a PeerFault the stream cannot be understood any more: the decoder stays broken and every
    later `feed` raises the same fault.
    """

    __slots__ = ("_buffer", "_fault")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._fault: PeerFault | None = None

    @property
    def pending_bytes(self) -> int:
        """How many bytes of an unfinished frame are held; not zero at the end means truncation."""
        return len(self._buffer)

    @property
    def fault(self) -> PeerFault | None:
        """What made the stream unintelligible, if anything did."""
        return self._fault

    def feed(self, data: bytes) -> list[bytes]:
        """Take what arrived, return the payloads completed by it, in order.

        Frames completed before a malformed length are returned first, so that nothing valid is
        lost; the fault then shows in `fault` and is raised by the next call.
        """
        if self._fault is not None:
            raise self._fault
        buffer = self._buffer
        buffer += data
        payloads: list[bytes] = []
        start = 0
        while len(buffer) - start >= HEADER_BYTES:
            length = int.from_bytes(buffer[start : start + HEADER_BYTES], "big")
            if not 0 < length <= FRAME_BYTES_MAX:
                self._fault = PeerFault(
                    f"a frame of {length} bytes was announced; 1 to {FRAME_BYTES_MAX} are allowed"
                )
                break
            end = start + HEADER_BYTES + length
            if len(buffer) < end:
                break
            payloads.append(bytes(buffer[start + HEADER_BYTES : end]))
            start = end
        del buffer[:start]
        if self._fault is not None:
            buffer.clear()
            if not payloads:
                raise self._fault
        return payloads
