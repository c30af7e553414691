"""A coordinator's standing commands: each has one task, which tries until it no longer stands.

One attempt is node/coordination_tasks.py's. The pauses grow, and what nothing needs yet is looked
for rarely, because each look asks many peers.
"""

import logging
from collections.abc import Iterable

import trio

from node.blobs import StoreFull
from node.chain_watch import ChainWatch
from node.coordination_state import CoordinationState
from node.coordination_tasks import Tasks
from node.errors import NodeError
from node.ledger import JobView
from node.unit_requests import Feed
from scheduler import coordinator
from scheduler.commands import Command, FetchResult, RecoverResult, StandingCommand
from scheduler.custody import is_needed
from scheduler.events import Event, ResultFault, ResultRefused
from scheduler.manifest import Manifest

log = logging.getLogger(__name__)

RETRY_FIRST_S, RETRY_MAX_S = 0.2, 5.0
UNNEEDED_S = 30.0
"""How often a result is looked for that nothing needs yet."""


class StandingCommands:
    """The commands of one job that are under way. `problem`: why the last attempt failed, or empty.

    `feed` gives the outcome of an attempt to the coordination.
    """

    def __init__(
        self,
        job: JobView,
        manifest: Manifest,
        watch: ChainWatch,
        tasks: Tasks,
        machine: CoordinationState,
        feed: Feed,
    ) -> None:
        self.problem = ""
        self._job, self._manifest, self._watch, self._tasks = job, manifest, watch, tasks
        self._machine, self._feed = machine, feed
        self._running: set[StandingCommand] = set()

    def carry_out(self, nursery: trio.Nursery, commands: Iterable[Command]) -> None:
        """Begin those that are not under way; replies among the commands are left alone."""
        for command in commands:
            if isinstance(command, StandingCommand) and command not in self._running:
                self._running.add(command)
                nursery.start_soon(self.keep_trying, command)

    async def keep_trying(self, command: StandingCommand) -> None:
        """Carry the command out until it no longer stands."""
        pause_s = RETRY_FIRST_S
        try:
            while self._stands(command):
                await self._try(command)
                if self._stands(command):
                    await self._rest(command, pause_s)
                    pause_s = min(pause_s * 1.5, RETRY_MAX_S)
        finally:
            self._running.discard(command)

    async def _try(self, command: StandingCommand) -> None:
        try:
            event = await self._tasks.attempt(self._job, self._manifest, command)
            self.problem = ""
        except NodeError as error:
            event = _excuse(command, error)
            self.problem = str(error)
            log.warning("%s is tried again: %s", type(command).__name__, error)
        if event is not None:
            self._feed(event)

    def _stands(self, command: StandingCommand) -> bool:
        return coordinator.stands(self._machine.state, command)

    async def _rest(self, command: StandingCommand, pause_s: float) -> None:
        """Until the next try. What nothing needs yet is looked for rarely: each look asks many."""
        until = trio.current_time() + UNNEEDED_S
        await self._watch.changed(pause_s)
        while self._is_unneeded(command) and trio.current_time() < until:
            await self._watch.changed(pause_s)

    def _is_unneeded(self, command: StandingCommand) -> bool:
        if not isinstance(command, RecoverResult) or command.anew:
            return False
        held = self._machine.state.find(command.unit.round)
        if held is None or not self._stands(command):
            return False
        return not is_needed(self._machine.state, held.slots[command.unit.slot])


def _excuse(command: StandingCommand, error: NodeError) -> Event | None:
    """A result that finds no room here is not its worker's fault: it has more time."""
    if isinstance(command, FetchResult) and isinstance(error, StoreFull):
        return ResultRefused(command.unit, command.blob, command.peer, ResultFault.OURS)
    return None
