"""What happens to a coordination by itself: the chain's events, bonds, connections and time.

After a restart the chain's log is fed again from its start: repetitions are ignored. Where more
rounds became final between two looks than the log keeps, the coordination ends, to be resumed at
the open round.
"""

from collections.abc import Callable, Iterable

from node.chain.events import Place
from node.chain_facts import FactReader
from node.chain_watch import ChainWatch
from node.coordination_state import CoordinationState
from node.coordination_tasks import Tasks
from node.ids import JobId
from node.ledger import JobView
from node.unit_requests import Feed
from scheduler.events import BondChanged, JobExpired, LeaseLost, PeerVanished, Tick

TICK_S = 0.5

Connected = Callable[[], Iterable[str]]


class CoordinationNews:
    """Feeds one job's coordination. `wallet` and `peer_id` are this node's own."""

    def __init__(
        self,
        job: JobView,
        wallet: str,
        peer_id: str,
        watch: ChainWatch,
        tasks: Tasks,
        connected: Connected,
        machine: CoordinationState,
        feed: Feed,
        stop: Callable[[], None],
    ) -> None:
        self._job, self._wallet, self._peer_id = job, wallet, peer_id
        self._watch, self._tasks, self._connected = watch, tasks, connected
        self._machine, self._feed, self._stop = machine, feed, stop
        self._reader = FactReader(JobId(job.job_id))
        self._read: Place | None = None

    async def run(self) -> None:
        """Feed what the chain says and what time and connections do, for ever."""
        while True:
            self._feed_log()
            self._feed_bonds()
            self._feed_connections()
            if self._job.holder and self._job.holder != self._wallet:
                self._feed(LeaseLost())
            elif await self._tasks.is_expired(self._job):
                self._feed(JobExpired())
            else:
                self._feed(Tick())
            await self._watch.changed(TICK_S)

    def _feed_log(self) -> None:
        if self._machine.state.oldest.number < self._job.log.first_round:
            self._stop()
            return
        for event in self._job.log.since(self._read):
            self._read = event.place
            fact = self._reader.read(event)
            if fact is not None:
                self._feed(fact)

    def _feed_bonds(self) -> None:
        for worker in tuple(self._machine.state.workers.values()):
            active = self._watch.ledger.is_active(worker.wallet)
            covers = self._watch.ledger.covers(worker.wallet, self._job)
            if (active, covers) != (worker.active, worker.covers):
                self._feed(BondChanged(worker.wallet, active, covers))

    def _feed_connections(self) -> None:
        connected = {self._peer_id, *self._connected()}
        for peer in tuple(self._machine.state.peers.values()):
            if peer.vanished_ms is None and peer.peer not in connected:
                self._feed(PeerVanished(peer.peer))
