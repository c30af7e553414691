"""Several node daemons on this machine, each in a process of its own: for demonstrations and tests.

Every daemon leads a process group, so that stopping it stops its compute worker too, and Ctrl-C
in a terminal reaches only us. `Swarm.stop` leaves no process behind, whatever state they are in.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from node.api_client import ApiClient
from node.errors import NodeError, NodeNotRunning
from node.home import Home
from node.status import NodeStatus

START_TIMEOUT_S = 150.0
STOP_TIMEOUT_S = 10.0
POLL_S = 0.1
LOG_TAIL_LINES = 5


class Swarm:
    """Daemons of `homes`, started by `launcher` (a command that takes the arguments of `ainur`)."""

    def __init__(
        self, homes: Sequence[Home], launcher: Sequence[str] = (), folder: Path | None = None
    ) -> None:
        self.homes = list(homes)
        self._launcher = list(launcher) or [sys.executable, "-m", "node.cli.main"]
        self._folder = folder
        self._processes: dict[Path, subprocess.Popen[bytes]] = {}

    def start(self, home: Home) -> None:
        """Start one daemon without waiting for it; its output goes to logs/node.log."""
        home.logs.mkdir(mode=0o700, exist_ok=True)
        with (home.logs / "node.log").open("ab") as log:
            self._processes[home.path] = subprocess.Popen(
                [*self._launcher, "node", "start", "--home", str(home.path)],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, home: Home) -> None:
        """Kill one daemon at once, as a power cut would (its worker ends by itself)."""
        process = self._processes.pop(home.path)
        process.kill()
        process.wait()

    def wait_until_up(self, peers: int = 0, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until every daemon answers and has so many peers; NodeError if one cannot."""
        give_up = time.monotonic() + timeout_s
        waiting = list(self.homes)
        while waiting:
            home = waiting[0]
            status = self.status(home)
            if status is not None and status.peers >= peers:
                waiting.pop(0)
                continue
            if self._processes[home.path].poll() is not None:
                raise NodeError(f"The node of {home.path} ended: {self._last_words(home)}")
            if time.monotonic() > give_up:
                raise NodeError(f"The node of {home.path} is not up: {self._last_words(home)}")
            time.sleep(POLL_S)

    def status(self, home: Home) -> NodeStatus | None:
        """What the daemon of a home says, or None if it does not answer."""
        try:
            return ApiClient(home.api).status()
        except NodeNotRunning:
            return None

    def stop(self) -> None:
        """Drain all daemons; kill those that do not end in time, with all that they started."""
        for process in self._processes.values():
            process.terminate()
        give_up = time.monotonic() + STOP_TIMEOUT_S
        for process in self._processes.values():
            try:
                process.wait(max(0.0, give_up - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._processes.clear()

    def __enter__(self) -> "Swarm":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _last_words(self, home: Home) -> str:
        log = home.logs / "node.log"
        lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        return " / ".join(lines[-LOG_TAIL_LINES:]) or "it said nothing"
