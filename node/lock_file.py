"""One process at a time: a lock on a file that names who has it.

The kernel gives it up with the process, however that ends; children do not inherit it.
"""

import fcntl
import os
from pathlib import Path
from typing import BinaryIO


class LockTaken(Exception):
    """Another process has the lock: `holder`, its id as text, or "unknown"."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"process {holder} has the lock")
        self.holder = holder


def take_lock(path: Path) -> BinaryIO:
    """Lock `path`, made where it is missing, until the file that is returned is closed.

    LockTaken if another process has it.
    """
    file = open(path, "ab+")  # noqa: SIM115 - the caller holds and closes it
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read(32).decode(errors="replace").strip() or "unknown"
        file.close()
        raise LockTaken(holder) from None
    file.truncate(0)
    file.write(str(os.getpid()).encode())
    file.flush()
    return file
