"""Workers that wait for a unit: a request is answered when there is one, or its time is over.

Of one peer at most one request waits: a later one has the earlier answered at once.
"""

from collections.abc import Callable

import trio

from node.messages import Message, PullUnit, UnitDeclined
from scheduler.commands import DeclineReason

PASSING = (
    DeclineReason.NOTHING_OPEN,
    DeclineReason.KEPT_FOR_FASTER,
    DeclineReason.TOO_FEW_PEERS,
    DeclineReason.HOLDING_ENOUGH,
    DeclineReason.BOND_COVERS,
    DeclineReason.PAUSED,
)
"""Why there may be a unit soon for who gets none now."""


class WaitingWorkers:
    """The requests that wait. `pull` answers one at once; `tell` has all of them ask again."""

    def __init__(self, pull: Callable[[str, PullUnit], Message]) -> None:
        self._pull = pull
        self._opened = trio.Event()
        self._waits: dict[str, trio.CancelScope] = {}

    def tell(self) -> None:
        """There may be something to tell those who wait."""
        self._opened.set()
        self._opened = trio.Event()

    async def answer(self, peer_id: str, message: PullUnit) -> Message:
        """The answer, as soon as it is worth giving, `wait_ms` of the message at the latest.

        It is looked for as often as a worker would ask that does not wait.
        """
        older = self._waits.get(peer_id)
        if older is not None:
            older.cancel()
        patience = trio.CancelScope(deadline=trio.current_time() + message.wait_ms / 1000)
        self._waits[peer_id] = patience
        try:
            return await self._answer_within(patience, peer_id, message)
        finally:
            if self._waits[peer_id] is patience:
                del self._waits[peer_id]

    async def _answer_within(
        self, patience: trio.CancelScope, peer_id: str, message: PullUnit
    ) -> Message:
        answer = self._pull(peer_id, message)
        with patience:
            while isinstance(answer, UnitDeclined) and answer.reason in PASSING:
                if answer.combined not in (None, message.combined):
                    break
                with trio.move_on_after(answer.retry_after_ms / 1000):
                    await self._opened.wait()
                answer = self._pull(peer_id, message)
        return answer
