"""A coordination's state machine, durable: its state is what its journal leads to.

An event is in the journal, if it changed anything, before anybody learns what came of it. After a
restart the journal is replayed. Where the chain went on without it, or has undone what it counts
with, a new coordination begins at the open round.
"""

import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace

from node.chain_facts import has_undone
from node.chain_watch import ChainWatch
from node.errors import NodeError
from node.journal import Journal
from node.ledger import JobView
from scheduler import coordinator
from scheduler.codec import Entry, encode
from scheduler.commands import Command
from scheduler.errors import IllegalEvent
from scheduler.events import CoordinationStarted, Event, NodeRestarted
from scheduler.manifest import Manifest
from scheduler.round import Round
from scheduler.rows import Combined
from scheduler.state import State
from scheduler.terms import ROUNDS_AHEAD_MAX, JobTerms, Policy

log = logging.getLogger(__name__)


class CoordinationState:
    """The state of one job's coordination under one lease. `state` is replaced where it goes back.

    `initial_root` is the state root of the job's own initial state. `remember` is given each round
    whose checkpoint has become known, before the journal has the event that said so.
    """

    def __init__(
        self,
        job: JobView,
        manifest: Manifest,
        initial_root: bytes,
        policy: Policy,
        watch: ChainWatch,
        journal: Journal,
        remember: Callable[[Round], None],
    ) -> None:
        self._job, self._manifest, self._initial_root = job, manifest, initial_root
        self._policy, self._watch, self._journal = policy, watch, journal
        self._remember = remember
        self._stream = f"coordination/{job.job_id.hex()}/{job.lease_epoch}"
        self.succeeds_another = False
        """Whether it began where others may have results that a coordinator before receipted."""
        self.state = self._open()

    def handle(self, event: Event) -> tuple[Command, ...]:
        """Take an event in, durably; the commands that follow. Illegal ones change nothing.

        NodeError where it cannot be kept: the state is then what it was before.
        """
        now_ms = self._watch.chain_time_ms()
        seed = secrets.randbits(64)
        combined = _combined(self.state)
        try:
            done = coordinator.handle(self.state, event, now_ms, seed)
        except IllegalEvent as error:
            log.error("an event cannot follow and is ignored: %s", error)
            return ()
        if done.changed:
            self._keep(Entry(now_ms, seed, event), combined)
        return done.commands

    def _keep(self, entry: Entry, before: dict[int, Combined]) -> None:
        """Make an event durable that the state has taken in; `before`: its checkpoints until then.

        Where that fails the state goes back to what is durable, and nothing is promised.
        """
        try:
            for held in self.state.under_way():
                if held.combined not in (None, before.get(held.number)):
                    self._remember(held)
            self._journal.append(self._stream, encode(entry))
        except NodeError:
            self.state = coordinator.replay(self._records()).state
            raise

    def _records(self) -> list[bytes]:
        return [record.body for record in self._journal.read(self._stream)]

    # --- Where it begins

    def _open(self) -> State:
        """The state that the journal leads to, or a new coordination from the open round on."""
        records = self._records()
        undone = has_undone(self._job, self._watch.ledger.head, records)
        if undone:
            log.warning("%s counts with events that the chain has undone: begun anew", self._stream)
            self._journal.drop(self._stream)
        elif records:
            replayed = coordinator.replay(records)
            if replayed.torn:
                self._drop_last(records)
            if self._goes_on(replayed.state):
                return self._resumed(replayed.state)
            # Somebody else went on from where we stopped: begin anew at the open round.
            self._journal.drop(self._stream)
        self._forget_earlier_leases()
        started = self._started()
        now_ms = self._watch.chain_time_ms()
        self._journal.append(self._stream, encode(Entry(now_ms, 0, started)))
        self.succeeds_another = self._job.lease_epoch > 1 or undone
        return coordinator.start(started, now_ms)[0]

    def _goes_on(self, state: State) -> bool:
        """Whether the chain has gone no further than a state, and starts where it starts."""
        job, oldest = self._job, state.oldest
        before = job.finalized.get(oldest.number - 1)
        same = before is None or before.checkpoint == oldest.checkpoint
        behind = state.round < job.open_round or oldest.number < job.log.first_round
        return state.outcome is None and same and not behind

    def _forget_earlier_leases(self) -> None:
        """What workers signed for them counts no more."""
        prefix, _, _ = self._stream.rpartition("/")
        for stream in self._journal.streams():
            if stream.startswith(f"{prefix}/") and stream != self._stream:
                self._journal.drop(stream)

    def _resumed(self, state: State) -> State:
        """The state that goes on after a restart, which is an event like any other."""
        now_ms = self._watch.chain_time_ms()
        if coordinator.handle(state, NodeRestarted(), now_ms).changed:
            self._journal.append(self._stream, encode(Entry(now_ms, 0, NodeRestarted())))
        return state

    def _drop_last(self, records: Sequence[bytes]) -> None:
        """Forget a torn last record, none of whose commands was carried out."""
        log.warning("the last record of %s was torn and is dropped", self._stream)
        with self._journal.transaction():
            self._journal.drop(self._stream)
            for record in records[:-1]:
                self._journal.append(self._stream, record)

    def _started(self) -> CoordinationStarted:
        job, manifest = self._job, self._manifest
        terms = JobTerms(
            job_id=job.job_id,
            rounds=job.rounds,
            slots=job.slots,
            unit_timeout_ms=manifest.unit_timeout_s * 1000,
            memory_bytes=manifest.memory_bytes,
            deadline_ms=job.deadline_s * 1000,
            rounds_ahead=min(job.rounds_ahead, ROUNDS_AHEAD_MAX),
            result_bytes=manifest.result_bytes,
            policy=replace(self._policy, peers_min=manifest.peers_min),
        )
        if job.open_round == 0:
            return CoordinationStarted(terms, 0, self._initial_root, manifest.state)
        anchored = job.finalized[job.open_round - 1]
        return CoordinationStarted(terms, job.open_round, anchored.checkpoint, anchored.blob)


def _combined(state: State) -> dict[int, Combined]:
    rounds = state.under_way()
    return {held.number: held.combined for held in rounds if held.combined is not None}
