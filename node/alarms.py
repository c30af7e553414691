"""Alarms: telling peers of a false checkpoint, and looking into what they tell.

A node that finds a checkpoint wrong tells every peer that it is connected to, once. Nobody believes
it: each rechecks the round by itself (node/checkpoints.py), one round at a time and at most one
every `RECHECK_EVERY_S`, and goes on with the job no more if it finds the same; then it tells its
own peers. A round whose outcome is known is not rechecked again, so that a round costs a node one
recheck, however many cry. Who cries falsely is punished.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import trio

from node.chain_watch import ChainWatch
from node.checkpoints import Checkpoints
from node.errors import NodeError, PeerFault
from node.ledger import JobView
from node.messages import AlarmHeard, Message, RaiseAlarm, Refused
from scheduler.manifest import Manifest

log = logging.getLogger(__name__)

RECHECK_EVERY_S = 5.0
HEARD_MAX = 32
HEARD_PER_PEER_MAX = 2
"""Alarms that may wait, in all and of one peer."""

FALSE_ALARM_POINTS = 40.0
"""Three false alarms in a short time are a ban (node/peers.py)."""

CATCH_UP_S = 10.0
"""How long our view of the chain may be behind that of who raised an alarm."""

TELL_AT_ONCE = 8

Tell = Callable[[str, RaiseAlarm], Awaitable[None]]
Punish = Callable[[str, float, str], None]


@dataclass(frozen=True, slots=True)
class _Heard:
    """An alarm and who raised it."""

    peer_id: str
    alarm: RaiseAlarm


class Alarms:
    """What this node hears and tells of false checkpoints. `run` is the task.

    `tell` sends an alarm to one peer and raises NodeError if it does not take it.
    """

    def __init__(
        self,
        watch: ChainWatch,
        held: Mapping[bytes, Manifest],
        checkpoints: Checkpoints,
        connected: Callable[[], Sequence[str]],
        tell: Tell,
        punish: Punish,
    ) -> None:
        self._watch, self._held, self._checkpoints = watch, held, checkpoints
        self._connected, self._tell, self._punish = connected, tell, punish
        self._heard: deque[_Heard] = deque()
        self._untold: deque[RaiseAlarm] = deque()
        self._news = trio.Event()

    def spread(self, job: JobView, round: int) -> None:
        """Have every connected peer told that the checkpoint after `round` is false."""
        anchored = job.after(round)
        if anchored is None:
            return
        checkpoint = anchored.checkpoint.hex()
        self._untold.append(RaiseAlarm(job_id=job.job_id.hex(), round=round, checkpoint=checkpoint))
        self._wake()

    async def answer(self, peer_id: str, message: Message) -> Message:
        """Serve the alarm protocol: note what a peer says, within bounds."""
        if not isinstance(message, RaiseAlarm):
            raise PeerFault(f"an alarm was due, {type(message).__name__} came")
        of_peer = sum(heard.peer_id == peer_id for heard in self._heard)
        if len(self._heard) >= HEARD_MAX or of_peer >= HEARD_PER_PEER_MAX:
            return Refused(reason="too many alarms wait to be looked into")
        self._heard.append(_Heard(peer_id, message))
        self._wake()
        return AlarmHeard()

    async def run(self) -> None:
        """Tell and recheck, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run_telling)
            nursery.start_soon(self._run_rechecking)

    async def _run_telling(self) -> None:
        while True:
            while self._untold:
                await self._tell_all(self._untold.popleft())
            await self._news.wait()

    async def _run_rechecking(self) -> None:
        while True:
            while self._heard:
                if await self._look_into(self._heard.popleft()):
                    await trio.sleep(RECHECK_EVERY_S)
            await self._news.wait()

    async def _tell_all(self, alarm: RaiseAlarm) -> None:
        limiter = trio.CapacityLimiter(TELL_AT_ONCE)

        async def tell(peer_id: str) -> None:
            async with limiter:
                try:
                    await self._tell(peer_id, alarm)
                except NodeError as error:
                    log.info("peer %s was not told of round %d: %s", peer_id, alarm.round, error)

        async with trio.open_nursery() as nursery:
            for peer_id in self._connected():
                nursery.start_soon(tell, peer_id)

    async def _look_into(self, heard: _Heard) -> bool:
        """Recheck what a peer says is false; whether that was any work."""
        alarm = heard.alarm
        job, round = await self._known(alarm), alarm.round
        manifest = self._held.get(bytes.fromhex(alarm.job_id))
        if job is None or manifest is None or not self._checkpoints.can_recheck(job, round):
            return False
        try:
            await self._checkpoints.recheck(job, manifest, round)
        except NodeError as error:
            log.warning("round %d was rechecked for peer %s: %s", round, heard.peer_id, error)
            return True
        self._punish(heard.peer_id, FALSE_ALARM_POINTS, f"a false alarm about round {round}")
        return True

    async def _known(self, alarm: RaiseAlarm) -> JobView | None:
        """The job, if the chain has for its round the very checkpoint that the alarm is about."""
        job_id = bytes.fromhex(alarm.job_id)
        with trio.move_on_after(CATCH_UP_S):
            while (job := self._watch.ledger.jobs.get(job_id)) and job.head_round == alarm.round:
                await self._watch.changed(CATCH_UP_S)
        anchored = job.after(alarm.round) if job is not None else None
        if anchored is None or anchored.checkpoint.hex() != alarm.checkpoint:
            return None
        return job

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()
