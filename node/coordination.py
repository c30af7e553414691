"""Coordinating one job: the shell around the scheduler's state machine.

Every event goes through `feed`: handled, journaled if it changed anything, and only then are its
commands carried out, so a receipt never leaves before its commit is durable. After a restart the
journal is replayed, the chain's log is fed again (repetitions are ignored) and everything that
stands is carried out again. The parts:

    coordination_state   the machine and its journal
    unit_requests        units and receipts for workers
    waiting_workers      those of them that wait
    standing_commands    what is tried until it no longer stands
    early_combining      the open round, while its claims travel
    coordination_news    chain, bonds, connections and time
"""

from collections.abc import Iterator

import trio

from node.chain_watch import ChainWatch
from node.claim_signature import ClaimDomain
from node.coordination_news import Connected, CoordinationNews
from node.coordination_state import CoordinationState
from node.coordination_tasks import Tasks
from node.custody import Custody
from node.early_combining import EarlyCombining
from node.errors import PeerFault
from node.journal import Journal
from node.ledger import JobView
from node.messages import (
    AskJob,
    AskRound,
    CommitUnit,
    JobProgress,
    Message,
    OrderPause,
    OrderStale,
    PullUnit,
    Refused,
    RoundCustody,
)
from node.pause_order import Orders, StaleOrder
from node.round_account import custody_of, results_of
from node.round_memory import RoundMemory
from node.standing_commands import StandingCommands
from node.unit_requests import UnitRequests, WalletOf
from node.waiting_workers import WaitingWorkers
from node.wallet import Signer
from scheduler import coordinator
from scheduler.blob_ref import BlobRef
from scheduler.codec import document
from scheduler.commands import Command, CommitRound, StandingCommand
from scheduler.events import Event
from scheduler.manifest import Manifest
from scheduler.progress import progress, why_waiting
from scheduler.round import Round
from scheduler.state import State
from scheduler.terms import Policy


class Coordination:
    """One job while this node holds its lease. `run` ends when the coordination is over.

    `initial_root` is the state root of the job's own initial state, checked by the caller.
    """

    def __init__(
        self,
        job: JobView,
        manifest: Manifest,
        signer: Signer,
        peer_id: str,
        watch: ChainWatch,
        journal: Journal,
        domain: ClaimDomain,
        tasks: Tasks,
        custody: Custody,
        initial_root: bytes,
        wallet_of: WalletOf,
        connected: Connected,
        policy: Policy,
    ) -> None:
        self.job, self._watch, self._custody = job, watch, custody
        self._rounds, self._orders = RoundMemory(journal), Orders(journal)
        self._nursery: trio.Nursery | None = None
        self._over = trio.Event()
        machine = self._machine = CoordinationState(
            job, manifest, initial_root, policy, watch, journal, self._remember_round
        )
        feed, combined = self.feed, self.is_combined
        self._requests = UnitRequests(
            job, manifest, signer, peer_id, watch, domain, wallet_of, machine, feed, combined
        )
        self._waiting = WaitingWorkers(self._requests.pull)
        self._early = EarlyCombining(
            job, machine, tasks, lambda: self._requests.took_ms, self._waiting.tell
        )
        self._standing = StandingCommands(job, manifest, watch, tasks, machine, feed)
        self._news = CoordinationNews(
            job, signer.address, peer_id, watch, tasks, connected, machine, feed, self.stop
        )
        # Given before this node came to coordinate: one that the state knows is ignored.
        order = self._orders.of(job.job_id, job.submitter)
        if order is not None:
            self.feed(order)

    @property
    def state(self) -> State:
        """The state machine's state now."""
        return self._machine.state

    async def run(self) -> None:
        """Coordinate until the job is over or the lease is lost."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._news.run)
            self._standing.carry_out(nursery, coordinator.pending(self.state))
            await self._over.wait()
            nursery.cancel_scope.cancel()
        self._nursery = None

    def stop(self) -> None:
        """End the coordination as a restart would: its journal stays."""
        self._over.set()

    # --- What peers ask

    async def answer_in_time(self, peer_id: str, message: Message) -> Message:
        """The answer; one to a worker that waits for a unit when there is one, or its time is over.

        Of one peer at most one request waits: a later one has the earlier answered at once.
        """
        if isinstance(message, PullUnit):
            return await self._waiting.answer(peer_id, message)
        return self.answer(peer_id, message)

    def answer(self, peer_id: str, message: Message) -> Message:
        """The answer to a worker's request; PeerFault for a message that has no place here."""
        match message:
            case PullUnit():
                return self._requests.pull(peer_id, message)
            case CommitUnit():
                return self._requests.commit(peer_id, message)
            case AskRound():
                return self._answer_round(message)
            case AskJob():
                return self.progress()
            case OrderPause():
                return self._answer_order(message)
            case _:
                raise PeerFault(f"{type(message).__name__} is no request to a coordinator")

    def progress(self) -> JobProgress:
        """How far the job is, for whoever asks."""
        view = progress(self.state, self._watch.chain_time_ms())
        return JobProgress(job_id=self.job.job_id.hex(), document=document(view))

    def blobs(self) -> Iterator[BlobRef]:
        """The blobs that open rounds need: their starts, results, and what these were made into."""
        for held in self.state.under_way():
            yield held.blob
            yield from (s.filling.blob for s in held.slots if s.filling and s.filling.blob)
            if held.combined is not None:
                yield from (held.combined.blob, held.combined.aggregate)

    def waiting(self) -> str:
        """Why nothing happens, in a sentence."""
        return self._standing.problem or why_waiting(self.state, self._watch.chain_time_ms())

    def custody(self) -> RoundCustody:
        """Who holds the results of the open round, and which were not to be had."""
        return custody_of(self.state, self.state.open)

    def is_combined(self) -> bool:
        """Whether it is known what the open round comes to: for sure, or unless a claim fails."""
        return self.state.open.combined is not None or self._early.foreseen() is not None

    def _answer_round(self, message: AskRound) -> Message:
        early = self._early.foreseen() if self.state.open.combined is None else None
        if early is not None and early.round == message.round:
            return early
        return self._rounds.answer(message)

    def _answer_order(self, message: OrderPause) -> Message:
        try:
            order = self._orders.take(message, self.job.submitter)
        except StaleOrder as error:
            return OrderStale(last=error.last)
        if order is None:
            return Refused(reason=f"the order is not signed by {self.job.submitter}")
        self.feed(order)
        return self.progress()

    # --- The machine

    def feed(self, event: Event) -> tuple[Command, ...]:
        """Handle an event, durably; the replies to it. Standing commands begin here."""
        before = self._open_units()
        commands = self._machine.handle(event)
        if self._nursery is not None:
            self._standing.carry_out(self._nursery, commands)
            if any(isinstance(command, CommitRound) for command in commands):
                self._early.begin(self._nursery)
        if self.state.outcome is not None:
            self._over.set()
        if self._open_units() != before:
            self._waiting.tell()
        return tuple(c for c in commands if not isinstance(c, StandingCommand))

    def _open_units(self) -> tuple[object, ...]:
        """What changes when there may be something to tell those who wait for a unit."""
        state = self.state
        is_free = state.open.index.free.first() is not None
        return state.round, is_free, self.is_combined(), state.on_hold, state.outcome

    def _remember_round(self, held: Round) -> None:
        """Before the journal has the event: after a crash in between it is combined again."""
        combined = held.combined
        assert combined is not None
        took_ms, metrics = self._requests.took_ms, self.state.metrics
        self._rounds.keep(self.job.job_id, results_of(held, combined.aggregate, took_ms, metrics))
        self._custody.keep(self.job.job_id, custody_of(self.state, held))
        self._requests.forget_before(self.state.oldest.number)
