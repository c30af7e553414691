"""Child processes that never outlive their reason: started in groups, watched, stopped together.

Each child leads a process group of its own, so that one signal reaches what it started too, and so
that Ctrl-C in a terminal reaches only us: we stop the children in order and wait for them.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

STOP_TIMEOUT_S = 15.0
"""How long a child may take to end by itself after SIGTERM; a daemon drains in that time."""
_POLL_S = 0.05
_LOG_TAIL_BYTES = 2_048


@dataclass(frozen=True, slots=True)
class Child:
    """One supervised process and the file that its output goes to."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def last_words(self) -> str:
        """The last line that it wrote, for a message about its end."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - _LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


class Processes:
    """A set of children; leaving the context, or `stop`, ends all of them."""

    def __init__(self) -> None:
        self.children: list[Child] = []

    def start(self, name: str, command: Sequence[str], log: Path) -> Child:
        """Start `command` with its output appended to `log`."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        child = Child(name, process, log)
        self.children.append(child)
        return child

    def start_node(self, home: Path) -> Child:
        """Start the daemon of a home folder; its output goes to `logs/node.log` there."""
        log = home / "logs" / "node.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        return self.start(
            home.name,
            [sys.executable, "-m", "node.cli.main", "node", "start", "--home", str(home)],
            log,
        )

    def ended(self) -> list[Child]:
        """The children that are no longer running; each is reported once."""
        gone = [child for child in self.children if not child.running]
        self.children = [child for child in self.children if child not in gone]
        return gone

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """End all children: SIGTERM to their groups, SIGKILL to what is left after `timeout_s`."""
        for number, patience_s in ((signal.SIGTERM, timeout_s), (signal.SIGKILL, timeout_s)):
            for child in self.children:
                _signal_group(child.process, number)
            _wait(self.children, patience_s)
        self.children = []

    def __enter__(self) -> "Processes":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def stop_group(process: subprocess.Popen[bytes], timeout_s: float = STOP_TIMEOUT_S) -> None:
    """End one process and its group, politely first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        _signal_group(process, number)
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            continue


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    # Also when the leader has ended: what it started may be left, in the same group.
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _wait(children: Sequence[Child], timeout_s: float) -> None:
    give_up = time.monotonic() + timeout_s
    while any(child.running for child in children) and time.monotonic() < give_up:
        time.sleep(_POLL_S)
