"""How much of this machine peers may hold, and what is counted of them."""

from collections import Counter
from dataclasses import dataclass

import trio


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of this machine peers may hold, and how long they may take."""

    connections_inbound: int = 256
    connections_outbound: int = 256
    connections_per_peer: int = 4
    connections_per_address: int = 64
    handlers: int = 512
    handlers_per_peer: int = 48
    channels_per_peer: int = 64
    dial_s: float = 10.0
    handshake_s: float = 10.0
    open_s: float = 20.0
    stall_s: float = 60.0
    linger_s: float = 5.0


@dataclass(slots=True)
class Traffic:
    """Bytes since the start: of one protocol's frames, or of all connections as they are sent."""

    sent: int = 0
    received: int = 0


def shielded(limit_s: float) -> trio.CancelScope:
    """A scope that nobody outside can cancel, for at most `limit_s`."""
    return trio.CancelScope(shield=True, deadline=trio.current_time() + limit_s)


def count_down(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
