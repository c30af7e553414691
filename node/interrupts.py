"""Interruptions that wait: what must not be cut short by a second Ctrl-C."""

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def postponed_interrupts() -> Iterator[None]:
    """Let SIGINT and SIGTERM of this process take effect only after the block.

    Not by ignoring them: children would inherit that. Only the main thread can do it; elsewhere the
    block just runs.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _frame: received.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        signal.raise_signal(received[0])
