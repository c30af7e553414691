"""A devnet's chain on disk: its state in one file that is whole at every moment.

anvil overwrites its own file in place, which kill -9 can cut in half. So we ask it for the state
and write the file ourselves, atomically: after blocks with transactions, at most once a `SAVE_S`,
less often where that takes long. What came after the last save is lost by kill -9, to everybody:
whoever had seen those blocks finds them replaced, as on any chain.
"""

import gzip
import threading
import time
from pathlib import Path
from typing import Any

from node.chain import answers
from node.chain.answers import Block
from node.chain.rpc import Rpc
from node.errors import NodeError
from node.files import write_atomic
from node.interrupts import postponed_interrupts
from node.local_chain import CHAIN_ID

SAVE_S = 1.0
IDLE_SAVE_S = 60.0
"""How old the file may grow while there are no transactions: blocks alone are no news."""
SHARE_MAX = 0.1
"""The part of the time that saving may take."""
CATCH_UP_MAX = 64
"""More new blocks than these are news without looking at them."""


class KeptChain:
    """Saves the state of the chain at `endpoint` to `path`, from now on, in a thread of its own."""

    def __init__(self, endpoint: str, path: Path) -> None:
        self._rpc, self._path = Rpc([endpoint], CHAIN_ID), path
        self._last = self._head().number
        self._saving, self._stopped = threading.Lock(), threading.Event()
        self.failure: NodeError | None = None
        """Why the file is older than it should be, if it is."""
        self._thread = threading.Thread(target=self._run, name="kept-chain", daemon=True)
        self._thread.start()

    def save(self) -> float:
        """Put the chain's present state on disk; the seconds that it took. NodeError without."""
        with postponed_interrupts(), self._saving:
            started = time.monotonic()
            number = self._head().number
            state = _unpacked(self._rpc.request("anvil_dumpState"))
            write_atomic(self._path, state)
            self._last, self.failure = number, None
            return time.monotonic() - started

    def close(self) -> None:
        """Save for the last time."""
        self._stopped.set()
        self._thread.join()
        try:
            self.save()
        finally:
            self._rpc.close()

    def _run(self) -> None:
        pause_s, saved_at = SAVE_S, time.monotonic()
        while not self._stopped.wait(pause_s):
            try:
                if self._has_news() or time.monotonic() - saved_at > IDLE_SAVE_S:
                    pause_s = max(SAVE_S, self.save() / SHARE_MAX)
                    saved_at = time.monotonic()
            except NodeError as error:
                self.failure = error

    def _has_news(self) -> bool:
        head = self._head().number
        new = range(self._last + 1, head + 1)
        if len(new) > CATCH_UP_MAX or head < self._last:
            return True
        if any(self._transactions(number) for number in new):
            return True
        self._last = head
        return False

    def _head(self) -> Block:
        found: Block = self._rpc.request(
            "eth_getBlockByNumber", "latest", False, read=answers.block
        )
        return found

    def _transactions(self, number: int) -> int:
        method = "eth_getBlockTransactionCountByNumber"
        return int(self._rpc.request(method, hex(number), read=answers.quantity))


def _unpacked(state: Any) -> bytes:
    """The JSON in anvil's answer, which is 0x and gzip in hexadecimal digits."""
    try:
        packed = bytes.fromhex(str(state).removeprefix("0x"))
        return gzip.decompress(packed)
    except (ValueError, OSError, EOFError) as error:
        raise NodeError(f"The local chain gave no state that can be kept: {error}.") from None
