"""Child processes that never outlive their reason, and several node daemons as such children.

Each child leads a process group of its own, so that one signal reaches what it started too, and so
that Ctrl-C in a terminal reaches only us: we stop the children in order and wait for them. The
compute worker of a daemon leads a group too, and ends by itself when its daemon does.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from node.api_client import ApiClient
from node.errors import NodeError, NodeNotRunning
from node.home import Home
from node.interrupts import postponed_interrupts
from node.status import NodeStatus

START_TIMEOUT_S = 150.0
STOP_TIMEOUT_S = 15.0
"""How long a child may take to end by itself after SIGTERM; a daemon drains in that time."""
POLL_S = 0.05
LOG_TAIL_BYTES = 2_048
LOG_TAIL_LINES = 5


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
        """The last lines that it wrote, for a message about its end."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - LOG_TAIL_BYTES))
            text = file.read().decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return " / ".join(lines[-LOG_TAIL_LINES:]) or "it said nothing"


class Processes:
    """A set of children; leaving the context, or `stop`, ends all of them."""

    def __init__(self) -> None:
        self.children: list[Child] = []

    def start(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Child:
        """Start `command` in `folder` with its output appended to `log`.

        `environment` comes on top of ours.
        """
        # An interruption between the start and its record would leave a child behind.
        with log.open("ab") as output, postponed_interrupts():
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            child = Child(name, process, log)
            self.children.append(child)
        return child

    def ended(self) -> list[Child]:
        """The children that are no longer running; each is reported once."""
        gone = [child for child in self.children if not child.running]
        self.children = [child for child in self.children if child not in gone]
        return gone

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """End all children: SIGTERM to their groups, SIGKILL to what is left after `timeout_s`."""
        # The second Ctrl-C of an impatient person must not cut the cleaning short.
        with postponed_interrupts():
            for number in (signal.SIGTERM, signal.SIGKILL):
                for child in self.children:
                    _signal_group(child.process, number)
                _wait(self.children, timeout_s)
            self.children = []

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Swarm:
    """The daemons of `homes`, each in a process of its own; leaving the context ends them.

    `launcher` is a command that takes the arguments of `ainur`, `folder` where it is run.
    """

    def __init__(
        self, homes: Sequence[Home], launcher: Sequence[str] = (), folder: Path | None = None
    ) -> None:
        self.homes = list(homes)
        self._launcher = list(launcher) or [sys.executable, "-m", "node.cli.main"]
        self._folder = folder
        self._processes = Processes()
        self._nodes: dict[Path, Child] = {}

    def start(self, home: Home, environment: Mapping[str, str] | None = None) -> Child:
        """Start one daemon without waiting for it; its output goes to logs/node.log."""
        home.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        child = self._processes.start(
            home.path.name,
            [*self._launcher, "node", "start", "--home", str(home.path)],
            home.logs / "node.log",
            folder=self._folder,
            environment=environment,
        )
        self._nodes[home.path] = child
        return child

    def kill(self, home: Home) -> None:
        """Kill one daemon at once, as a power cut would (its worker ends by itself)."""
        self._nodes[home.path].process.kill()
        self._nodes[home.path].process.wait()
        self._forget(home)

    def drain(self, home: Home, timeout_s: float = START_TIMEOUT_S) -> int:
        """Ask one daemon to end by SIGTERM and wait for it; its exit code."""
        child = self._nodes[home.path]
        child.process.terminate()
        try:
            code = child.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise NodeError(f"{child.name} has not ended: {child.last_words()}") from None
        self._forget(home)
        return code

    def status(self, home: Home) -> NodeStatus | None:
        """What the daemon of a home says, or None if it does not answer."""
        try:
            return ApiClient(home.api).status()
        except NodeNotRunning:
            return None

    def wait_until_up(self, peers: int = 0, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until every started daemon answers and has so many peers; NodeError if one can't."""
        give_up = time.monotonic() + timeout_s
        waiting = self.running()
        while waiting:
            child = self._nodes[waiting[0].path]
            status = self.status(waiting[0])
            if status is not None and status.pid == child.process.pid and status.peers >= peers:
                waiting.pop(0)
                continue
            if not child.running:
                raise NodeError(f"The node {child.name} ended: {child.last_words()}")
            if time.monotonic() > give_up:
                raise NodeError(f"The node {child.name} is not up: {child.last_words()}")
            time.sleep(POLL_S)

    def running(self) -> list[Home]:
        """The homes whose daemons were started and neither killed nor drained."""
        return [home for home in self.homes if home.path in self._nodes]

    def ended(self) -> list[Child]:
        """The daemons that ended by themselves; each is reported once."""
        return self._processes.ended()

    def stop(self) -> None:
        """Drain all daemons; kill those that do not end in time, with all that they started."""
        self._processes.stop()
        self._nodes.clear()

    def _forget(self, home: Home) -> None:
        gone = self._nodes.pop(home.path)
        self._processes.children.remove(gone)

    def __enter__(self) -> "Swarm":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def stop_group(process: subprocess.Popen[bytes], timeout_s: float = STOP_TIMEOUT_S) -> None:
    """End one process and its group, politely first."""
    with postponed_interrupts():
        for number in (signal.SIGTERM, signal.SIGKILL):
            _signal_group(process, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout_s)


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    # Also when the leader has ended: what it started may be left, in the same group.
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _wait(children: Sequence[Child], timeout_s: float) -> None:
    give_up = time.monotonic() + timeout_s
    while any(child.running for child in children) and time.monotonic() < give_up:
        time.sleep(POLL_S)


def stop_node(home: Home, timeout_s: float) -> int:
    """Ask the daemon of a home, whoever started it, to drain; its process id once it has ended.

    NodeNotRunning if there is none, NodeError if it takes longer.
    """
    client = ApiClient(home.api)
    pid = client.status().pid
    client.stop()
    give_up = time.monotonic() + timeout_s
    while _alive(home, pid):
        if time.monotonic() > give_up:
            raise NodeError(
                f"The node (process {pid}) has not ended within {timeout_s:g} s.",
                f"It may still be draining; `kill {pid}` hurries it.",
            )
        time.sleep(POLL_S)
    return pid


def _alive(home: Home, pid: int) -> bool:
    try:
        if ApiClient(home.api).status().pid != pid:
            return False
    except NodeNotRunning:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Whether the process has ended and only waits for its parent to notice."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] == "Z"
