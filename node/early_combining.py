"""Combining the open round while its claims travel to the chain.

Once every result of it is here, workers are told what the round will come to, so that they can step
to the next checkpoint meanwhile. It counts for nothing before the chain has the claims: if one of
them fails, other results are combined, and what was prepared is of no use.
"""

import logging
from collections.abc import Callable, Mapping, Sequence

import trio

from node.coordination_state import CoordinationState
from node.coordination_tasks import Tasks
from node.errors import NodeError
from node.ledger import JobView
from node.messages import RoundResults
from node.round_account import results_of
from scheduler.round import Round
from scheduler.terms import SlotResult, UnitRef

log = logging.getLogger(__name__)


class EarlyCombining:
    """What the open round comes to, unless a claim fails. `tell` is called when that is known."""

    def __init__(
        self,
        job: JobView,
        machine: CoordinationState,
        tasks: Tasks,
        took_ms: Callable[[], Mapping[UnitRef, int]],
        tell: Callable[[], None],
    ) -> None:
        self._job, self._machine, self._tasks = job, machine, tasks
        self._took_ms, self._tell = took_ms, tell
        self._early: tuple[Sequence[SlotResult], RoundResults] | None = None

    def begin(self, nursery: trio.Nursery) -> None:
        """Combine the open round once every result of it is here."""
        held = self._machine.state.open
        results = _results_here(held)
        if len(results) == len(held.slots) and held.combined is None:
            nursery.start_soon(self._foresee, held, results)

    def foreseen(self) -> RoundResults | None:
        """What makes the open round's checkpoint, unless a claim fails. The journal has it when the
        chain has the claims: whoever coordinates later may be given others.
        """
        held = self._machine.state.open
        if self._early is None or self._early[1].round != held.number:
            return None
        return self._early[1] if self._early[0] == _results_here(held) else None

    async def _foresee(self, held: Round, results: Sequence[SlotResult]) -> None:
        of = self._job, held.number, held.blob, [result.blob for result in results]
        try:
            aggregate = await self._tasks.aggregate(*of)
            state = self._machine.state
            same = held is state.open and results == _results_here(held)
            if same and held.combined is None:
                made_by = results_of(held, aggregate, self._took_ms(), state.metrics)
                self._early = results, made_by
                self._tell()
            made = await self._tasks.make(*of)
            await self._tasks.evaluate(self._job, made.step.checkpoint)
        except NodeError as error:
            log.info("round %d is not combined early: %s", held.number, error)


def _results_here(held: Round) -> list[SlotResult]:
    return [slot.result for slot in held.slots if slot.here]
