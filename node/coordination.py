"""Coordinating one job: the shell around the scheduler's state machine.

Every event goes through `_feed`: handled, journaled if it changed anything, and only then are its
commands carried out, so a receipt never leaves before its commit is durable. A
standing command gets a task that tries until the command no longer stands. After a restart the
journal is replayed, the chain's log is fed again (repetitions are ignored) and everything that
stands is carried out again.
"""

import logging
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import trio

from node.blobs import StoreFull
from node.chain_facts import FactReader, has_undone
from node.chain_watch import ChainWatch
from node.claim_signature import ClaimDomain, Statement
from node.coordination_tasks import Tasks
from node.custody import Custody, holding_text
from node.errors import NodeError, PeerFault
from node.ids import JobId, unit_id
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
    Receipt,
    Refused,
    RoundCustody,
    RoundResults,
    UnitAssigned,
    UnitDeclined,
)
from node.pause_order import Orders, StaleOrder
from node.receipts import receipt_text
from node.round_account import custody_of, key_of, results_of, unit_of
from node.round_memory import RoundMemory
from node.wallet import Signer, recover
from scheduler import coordinator
from scheduler.blob_ref import BlobRef
from scheduler.codec import Entry, document, encode
from scheduler.commands import (
    AcceptCommit,
    AssignUnit,
    Command,
    CommitRound,
    DeclineReason,
    DeclineRequest,
    FetchResult,
    RecoverResult,
    RefuseCommit,
    StandingCommand,
)
from scheduler.custody import is_needed
from scheduler.errors import IllegalEvent
from scheduler.events import (
    BondChanged,
    CoordinationStarted,
    Event,
    JobExpired,
    LeaseLost,
    NodeRestarted,
    PeerAppeared,
    PeerVanished,
    ResultFault,
    ResultRefused,
    Tick,
    UnitCommitted,
    UnitRequested,
)
from scheduler.manifest import Manifest
from scheduler.progress import progress, why_waiting
from scheduler.round import Round
from scheduler.rows import Combined
from scheduler.state import State
from scheduler.terms import (
    ROUNDS_AHEAD_MAX,
    JobTerms,
    PeerId,
    Policy,
    SlotResult,
    UnitRef,
    Wallet,
)

log = logging.getLogger(__name__)

TICK_S = 0.5
STRANGER = "say hello first: this node does not know your wallet"
RETRY_FIRST_S, RETRY_MAX_S = 0.2, 5.0
UNNEEDED_S = 30.0
"""How often a result is looked for that nothing needs yet."""
GATHER_MS = 5_000
"""How long a successor gives units only to who has the result at hand: what its predecessor had
receipted would else be computed again."""
GATHERING = "first the results that others have at hand from the coordinator before"
PASSING = (
    DeclineReason.NOTHING_OPEN,
    DeclineReason.KEPT_FOR_FASTER,
    DeclineReason.TOO_FEW_PEERS,
    DeclineReason.HOLDING_ENOUGH,
    DeclineReason.BOND_COVERS,
    DeclineReason.PAUSED,
)
"""Why there may be a unit soon for who gets none now."""

WalletOf = Callable[[str], str | None]
Connected = Callable[[], Iterable[str]]


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
        self.job, self.manifest = job, manifest
        self.problem = ""
        self._signer, self._peer_id = signer, peer_id
        self._watch, self._journal, self._domain = watch, journal, domain
        self._tasks, self._wallet_of, self._connected = tasks, wallet_of, connected
        self._custody, self._policy = custody, policy
        self._initial_root = initial_root
        self._rounds = RoundMemory(journal)
        self._stream = f"coordination/{job.job_id.hex()}/{job.lease_epoch}"
        self._reader = FactReader(JobId(job.job_id))
        self._read = 0
        self._given_ms: dict[tuple[UnitRef, str], int] = {}
        self._took_ms: dict[UnitRef, int] = {}
        self._running: set[StandingCommand] = set()
        self._nursery: trio.Nursery | None = None
        self._over = trio.Event()
        self._opened = trio.Event()
        self._waits: dict[str, trio.CancelScope] = {}
        self._gather_until_ms = 0
        self._early: tuple[Sequence[SlotResult], RoundResults] | None = None
        self._orders = Orders(journal)
        self._state = self._open()
        # Given before this node came to coordinate: one that the state knows is ignored.
        order = self._orders.of(job.job_id, job.submitter)
        if order is not None:
            self._feed(order)

    @property
    def state(self) -> State:
        """The state machine's state now."""
        return self._state

    async def run(self) -> None:
        """Coordinate until the job is over or the lease is lost."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._follow)
            self._carry_out(coordinator.pending(self._state))
            await self._over.wait()
            nursery.cancel_scope.cancel()
        self._nursery = None

    def stop(self) -> None:
        """End the coordination as a restart would: its journal stays."""
        self._over.set()

    # --- What peers ask

    async def answer_in_time(self, peer_id: str, message: Message) -> Message:
        """The answer; one to a worker that waits for a unit when there is one, or its time is over.

        It is looked for as often as a worker would ask that does not wait. Of one peer at most one
        request waits: a later one has the earlier answered at once.
        """
        if not isinstance(message, PullUnit):
            return self.answer(peer_id, message)
        older = self._waits.get(peer_id)
        if older is not None:
            older.cancel()
        patience = trio.CancelScope(deadline=trio.current_time() + message.wait_ms / 1000)
        self._waits[peer_id] = patience
        try:
            return await self._answer_pull_within(patience, peer_id, message)
        finally:
            if self._waits[peer_id] is patience:
                del self._waits[peer_id]

    async def _answer_pull_within(
        self, patience: trio.CancelScope, peer_id: str, message: PullUnit
    ) -> Message:
        answer = self.answer(peer_id, message)
        with patience:
            while isinstance(answer, UnitDeclined) and answer.reason in PASSING:
                if answer.combined not in (None, message.combined):
                    break
                with trio.move_on_after(answer.retry_after_ms / 1000):
                    await self._opened.wait()
                answer = self.answer(peer_id, message)
        return answer

    def answer(self, peer_id: str, message: Message) -> Message:
        """The answer to a worker's request; PeerFault for a message that has no place here."""
        match message:
            case PullUnit():
                return self._answer_pull(peer_id, message)
            case CommitUnit():
                return self._answer_commit(peer_id, message)
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
        view = progress(self._state, self._watch.chain_time_ms())
        return JobProgress(job_id=self.job.job_id.hex(), document=document(view))

    def blobs(self) -> Iterator[BlobRef]:
        """The blobs that open rounds need: their starts, results, and what these were made into."""
        for held in self._state.under_way():
            yield held.blob
            yield from (s.filling.blob for s in held.slots if s.filling and s.filling.blob)
            if held.combined is not None:
                yield from (held.combined.blob, held.combined.aggregate)

    def waiting(self) -> str:
        """Why nothing happens, in a sentence."""
        return self.problem or why_waiting(self._state, self._watch.chain_time_ms())

    def custody(self) -> RoundCustody:
        """Who holds the results of the open round, and which were not to be had."""
        return custody_of(self._state, self._state.open)

    def _answer_pull(self, peer_id: str, message: PullUnit) -> Message:
        if not self._greet(peer_id):
            return Refused(reason=STRANGER)
        ready = tuple(unit_of(key) for key in message.ready)
        gathering = self._watch.chain_time_ms() < self._gather_until_ms
        if gathering and not any(self._state.open.is_free(unit) for unit in ready):
            return UnitDeclined(reason=GATHERING, retry_after_ms=GATHER_MS // 5)
        request = UnitRequested(PeerId(peer_id), message.memory_bytes, ready=ready)
        for reply in self._feed(request):
            match reply:
                case AssignUnit():
                    now_ms = self._watch.chain_time_ms()
                    self._given_ms.setdefault((reply.unit, peer_id), now_ms)
                    return UnitAssigned(
                        unit=key_of(reply.unit),
                        checkpoint=self._state.open.blob,
                        checkpoint_root=self._state.open.checkpoint.hex(),
                        timeout_ms=max(1, reply.deadline_ms - now_ms),
                    )
                case DeclineRequest():
                    state = self._state
                    return UnitDeclined(
                        reason=str(reply.reason),
                        retry_after_ms=reply.retry_after_ms,
                        combined=state.round if self._is_combined() else None,
                    )
        return Refused(reason="the coordinator has no answer to this request")

    def _answer_commit(self, peer_id: str, message: CommitUnit) -> Message:
        wallet = self._greet(peer_id)
        if not wallet:
            return Refused(reason=STRANGER)
        if message.blob.size != self.manifest.result_bytes:
            raise PeerFault(
                f"a result of {message.blob.size} bytes; {self.manifest.result_bytes} are due"
            )
        unit = unit_of(message.unit)
        parent = bytes.fromhex(message.parent)
        result_root = bytes.fromhex(message.result_root)
        commitment = bytes.fromhex(message.commitment)
        signature = bytes.fromhex(message.signature)
        if not any(commitment) or not any(result_root):
            # The contract would refuse the whole round for it.
            raise PeerFault(f"the claim to unit {unit} has a hash of zeros")
        if message.lease_epoch != self.job.lease_epoch:
            return Refused(
                reason=f"the claim is for lease {message.lease_epoch}, {self.job.lease_epoch} holds"
            )
        start = self.job.start_of(unit.round)
        if unit.round >= self.job.open_round and start not in (None, parent):
            return Refused(reason=f"the claim starts from another checkpoint: {parent.hex()}")
        statement = Statement(
            unit_id(JobId(self.job.job_id), unit.round, unit.slot, unit.attempt),
            parent,
            message.lease_epoch,
            result_root,
            commitment,
        )
        if self._domain.signer_of(statement, signature) != wallet:
            raise PeerFault(f"the claim to unit {unit} is not signed by {wallet}")
        holding = bytes.fromhex(message.holding)
        if (
            recover(holding_text(self.job.job_id, unit, result_root, message.blob), holding)
            != wallet
        ):
            raise PeerFault(f"the holding of unit {unit} is not signed by {wallet}")
        event = UnitCommitted(
            PeerId(peer_id), unit, result_root, commitment, signature, message.blob, holding
        )
        for reply in self._feed(event):
            match reply:
                case AcceptCommit():
                    self._note_took(unit, peer_id)
                    return self._receipt(message)
                case RefuseCommit():
                    return Refused(reason=str(reply.reason))
        return Refused(reason="the coordinator has no answer to this commit")

    def _note_took(self, unit: UnitRef, peer_id: str) -> None:
        """How long the worker had the unit; unknown where it was given before a restart."""
        given_ms = self._given_ms.get((unit, peer_id))
        if given_ms is not None:
            took_ms = max(1, self._watch.chain_time_ms() - given_ms)
            self._took_ms.setdefault(unit, took_ms)

    def _answer_round(self, message: AskRound) -> Message:
        early = self._foreseen() if self._state.open.combined is None else None
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
        self._feed(order)
        return self.progress()

    def _receipt(self, message: CommitUnit) -> Receipt:
        text = receipt_text(
            self.job.job_id,
            unit_of(message.unit),
            bytes.fromhex(message.result_root),
            bytes.fromhex(message.commitment),
        )
        return Receipt(unit=message.unit, signature=self._signer.sign_text(text).hex())

    def _greet(self, peer_id: str) -> str:
        """Tell the machine of a peer that asks; its wallet, empty if it is not known."""
        wallet = self._signer.address if peer_id == self._peer_id else self._wallet_of(peer_id)
        if not wallet:
            return ""
        known = self._state.peers.get(PeerId(peer_id))
        if known is None or known.vanished_ms is not None:
            active = self._watch.ledger.is_active(wallet)
            covers = self._watch.ledger.covers(wallet, self.job)
            self._feed(PeerAppeared(PeerId(peer_id), Wallet(wallet), active, covers))
        return wallet

    # --- The machine

    def _open(self) -> State:
        """The state that the journal leads to, or a new coordination from the open round on."""
        records = [record.body for record in self._journal.read(self._stream)]
        undone = has_undone(self.job, self._watch.ledger.head, records)
        if undone:
            log.warning("%s counts with events that the chain has undone: begun anew", self._stream)
            self._journal.drop(self._stream)
        elif records:
            replayed = coordinator.replay(records)
            if replayed.torn:
                self._drop_last(records)
            if replayed.state.outcome is None and replayed.state.round >= self.job.open_round:
                return self._resumed(replayed.state)
            # Somebody else went on from where we stopped: begin anew at the open round.
            self._journal.drop(self._stream)
        self._forget_earlier_leases()
        started = self._started()
        now_ms = self._watch.chain_time_ms()
        self._journal.append(self._stream, encode(Entry(now_ms, 0, started)))
        if self.job.lease_epoch > 1 or undone:
            self._gather_until_ms = now_ms + GATHER_MS
        return coordinator.start(started, now_ms)[0]

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
        job, manifest = self.job, self.manifest
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

    def _feed(self, event: Event) -> tuple[Command, ...]:
        """Handle an event, durably; the replies to it. Standing commands begin here."""
        now_ms = self._watch.chain_time_ms()
        seed = secrets.randbits(64)
        combined, before = _combined(self._state), self._open_units()
        try:
            done = coordinator.handle(self._state, event, now_ms, seed)
        except IllegalEvent as error:
            log.error("an event cannot follow and is ignored: %s", error)
            return ()
        if done.changed:
            self._keep(Entry(now_ms, seed, event), combined)
        replies = tuple(c for c in done.commands if not isinstance(c, StandingCommand))
        self._carry_out(c for c in done.commands if isinstance(c, StandingCommand))
        if any(isinstance(command, CommitRound) for command in done.commands):
            self._combine_early()
        if self._state.outcome is not None:
            self._over.set()
        if self._open_units() != before:
            self._tell_waiting()
        return replies

    def _tell_waiting(self) -> None:
        self._opened.set()
        self._opened = trio.Event()

    def _combine_early(self) -> None:
        """Combine the open round while its claims travel, once every result of it is here."""
        held = self._state.open
        results = _results_here(held)
        if len(results) == len(held.slots) and held.combined is None and self._nursery is not None:
            self._nursery.start_soon(self._foresee, held, results)

    async def _foresee(self, held: Round, results: Sequence[SlotResult]) -> None:
        """Have workers prepare for what a round comes to. It counts when the chain has the claims:
        if one of them fails, other results are combined, and what was prepared is of no use.
        """
        of = self.job, held.number, held.blob, [result.blob for result in results]
        try:
            aggregate = await self._tasks.aggregate(*of)
            same = held is self._state.open and results == _results_here(held)
            if same and held.combined is None:
                metrics = self._state.metrics
                made_by = results_of(held, aggregate, self._took_ms, metrics)
                self._early = results, made_by
                self._tell_waiting()
            made = await self._tasks.make(*of)
            await self._tasks.evaluate(self.job, made.step.checkpoint)
        except NodeError as error:
            log.info("round %d is not combined early: %s", held.number, error)

    def _open_units(self) -> tuple[object, ...]:
        """What changes when there may be something to tell those who wait for a unit."""
        state = self._state
        is_free = state.open.index.free.first() is not None
        return state.round, is_free, self._is_combined(), state.on_hold, state.outcome

    def _is_combined(self) -> bool:
        """Whether it is known what the open round comes to: for sure, or unless a claim fails."""
        return self._state.open.combined is not None or self._foreseen() is not None

    def _foreseen(self) -> RoundResults | None:
        """What makes the open round's checkpoint, unless a claim fails. The journal has it when the
        chain has the claims: whoever coordinates later may be given others.
        """
        held = self._state.open
        if self._early is None or self._early[1].round != held.number:
            return None
        return self._early[1] if self._early[0] == _results_here(held) else None

    def _keep(self, entry: Entry, before: dict[int, Combined]) -> None:
        """Make an event durable that the state has taken in; `before`: its checkpoints until then.

        Where that fails the state goes back to what is durable, and nothing is promised.
        """
        try:
            for held in self._state.under_way():
                if held.combined not in (None, before.get(held.number)):
                    self._remember_round(held)
            self._journal.append(self._stream, encode(entry))
        except NodeError:
            records = [record.body for record in self._journal.read(self._stream)]
            self._state = coordinator.replay(records).state
            raise

    def _carry_out(self, commands: Iterable[Command]) -> None:
        for command in commands:
            if not isinstance(command, StandingCommand) or self._nursery is None:
                continue
            if command not in self._running:
                self._running.add(command)
                self._nursery.start_soon(self._keep_trying, command)

    async def _keep_trying(self, command: StandingCommand) -> None:
        """Carry the command out until it no longer stands."""
        pause_s = RETRY_FIRST_S
        try:
            while coordinator.stands(self._state, command):
                try:
                    event = await self._tasks.attempt(self.job, self.manifest, command)
                    self.problem = ""
                except NodeError as error:
                    event = _excuse(command, error)
                    self.problem = str(error)
                    log.warning("%s is tried again: %s", type(command).__name__, error)
                if event is not None:
                    self._feed(event)
                if coordinator.stands(self._state, command):
                    await self._rest(command, pause_s)
                    pause_s = min(pause_s * 1.5, RETRY_MAX_S)
        finally:
            self._running.discard(command)

    async def _rest(self, command: StandingCommand, pause_s: float) -> None:
        """Until the next try. What nothing needs yet is looked for rarely: each look asks many."""
        until = trio.current_time() + UNNEEDED_S
        await self._watch.changed(pause_s)
        while self._is_unneeded(command) and trio.current_time() < until:
            await self._watch.changed(pause_s)

    def _is_unneeded(self, command: StandingCommand) -> bool:
        if not isinstance(command, RecoverResult) or command.anew:
            return False
        held = self._state.find(command.unit.round)
        if held is None or not coordinator.stands(self._state, command):
            return False
        return not is_needed(self._state, held.slots[command.unit.slot])

    async def _follow(self) -> None:
        """Feed what the chain says and what time and connections do."""
        while True:
            self._feed_log()
            self._feed_bonds()
            self._feed_connections()
            if self.job.holder and self.job.holder != self._signer.address:
                self._feed(LeaseLost())
            elif await self._tasks.is_expired(self.job):
                self._feed(JobExpired())
            else:
                self._feed(Tick())
            await self._watch.changed(TICK_S)

    def _feed_log(self) -> None:
        events = self.job.log[self._read :]
        self._read += len(events)
        for event in events:
            fact = self._reader.read(event)
            if fact is not None:
                self._feed(fact)

    def _feed_bonds(self) -> None:
        for worker in tuple(self._state.workers.values()):
            active = self._watch.ledger.is_active(worker.wallet)
            covers = self._watch.ledger.covers(worker.wallet, self.job)
            if (active, covers) != (worker.active, worker.covers):
                self._feed(BondChanged(worker.wallet, active, covers))

    def _feed_connections(self) -> None:
        connected = {self._peer_id, *self._connected()}
        for peer in tuple(self._state.peers.values()):
            if peer.vanished_ms is None and peer.peer not in connected:
                self._feed(PeerVanished(peer.peer))

    def _remember_round(self, held: Round) -> None:
        """Before the journal has the event: after a crash in between it is combined again."""
        combined, oldest = held.combined, self._state.oldest.number
        assert combined is not None
        made_by = results_of(held, combined.aggregate, self._took_ms, self._state.metrics)
        self._rounds.keep(self.job.job_id, made_by)
        self._custody.keep(self.job.job_id, custody_of(self._state, held))
        self._given_ms = {k: ms for k, ms in self._given_ms.items() if k[0].round >= oldest}
        self._took_ms = {k: ms for k, ms in self._took_ms.items() if k.round >= oldest}


def _results_here(held: Round) -> list[SlotResult]:
    return [slot.result for slot in held.slots if slot.here]


def _combined(state: State) -> dict[int, Combined]:
    rounds = state.under_way()
    return {held.number: held.combined for held in rounds if held.combined is not None}


def _excuse(command: StandingCommand, error: NodeError) -> Event | None:
    """A result that finds no room here is not its worker's fault: it has more time."""
    if isinstance(command, FetchResult) and isinstance(error, StoreFull):
        return ResultRefused(command.unit, command.blob, command.peer, ResultFault.OURS)
    return None
