"""A node that coordinates: drives the state machine as its documentation says, and crashes.

Durable: the journal and the blob store. Everything else is lost in a crash, which may strike
before, within or after the append of a record. Every adopted state is checked against what was
promised.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from scheduler.codec import Entry, encode
from scheduler.commands import (
    AcceptCommit,
    AskHolder,
    AssignUnit,
    AwaitChallengeWindow,
    CaptureDraw,
    Combine,
    Command,
    CommitRound,
    DeclineRequest,
    ExpireUnit,
    FetchResult,
    FinalizeRound,
    FinishJob,
    Outcome,
    PublishRound,
    RecoverResult,
    RefuseCommit,
    ResolveDispute,
)
from scheduler.coordinator import digest, handle, pending, replay, start
from scheduler.errors import IllegalEvent
from scheduler.events import (
    BondChanged,
    ChallengeWindowOver,
    CombineFailed,
    CombineFinished,
    CommitRefused,
    CoordinationStarted,
    Event,
    FinalizeRefused,
    HoldingRefused,
    LeaseLost,
    NodeRestarted,
    ResultFault,
    ResultHeld,
    ResultRefused,
    ResultStored,
    Tick,
)
from scheduler.state import State
from scheduler.terms import Holding, UnitRef, Wallet
from tests.simulation import truth
from tests.simulation.ledger import Revert
from tests.simulation.promises import check_adopted, check_combine

if TYPE_CHECKING:
    from tests.simulation.world import World


class Host:
    def __init__(self, world: "World", wallet: Wallet) -> None:
        self.world, self.wallet = world, wallet
        self.loop, self.ledger = world.loop, world.ledger
        self.journal: list[bytes] = []
        self.blobs: dict[str, bytes] = {}
        self.state: State | None = None
        self.epoch = 0
        self.alive = True
        self.receipts: dict[UnitRef, tuple[Wallet, bytes]] = {}
        self.cursor = 0
        self.loop.every(1_000, self._each_second)
        self.loop.every(5_000, self._reconcile)

    @property
    def working(self) -> bool:
        return self.alive and self.state is not None and self.state.outcome is None

    # --- Life ---

    def _each_second(self) -> None:
        if not self.alive:
            return
        if not self.working:
            self._begin()
            return
        self._read_chain()
        self._read_bonds()
        self.feed(Tick())

    def _begin(self) -> None:
        """Take the job over if its lease is free and the job is not."""
        if self.world.over or not self.ledger.take_lease(self.wallet):
            return
        checkpoint = self.ledger.checkpoints[self.ledger.open_round]
        blob = truth.ref_of(checkpoint)
        event = CoordinationStarted(self.world.terms, self.ledger.open_round, checkpoint, blob)
        self.journal = [encode(Entry(self.loop.now_ms, 0, event))]
        self.receipts.clear()
        self.epoch += 1
        self.state, commands = start(event, self.loop.now_ms)
        self.cursor = 0
        self._read_chain()
        self._carry_out(commands)

    def crash(self) -> None:
        self.alive = False
        self.epoch += 1
        self.state = None
        self.loop.after(self.loop.random.randrange(500, self.world.outage_ms), self._restart)

    def _restart(self) -> None:
        self.alive = True
        if not self.journal:
            return
        self.state = replay(self.journal).state
        self.journal = self.journal[:-1] if self._torn() else self.journal
        if self.ledger.holder not in (None, self.wallet):
            self.feed(LeaseLost())
            return
        self.feed(NodeRestarted())
        self.cursor = 0
        self._read_chain()
        if self.state is not None:
            self._carry_out(pending(self.state))

    def _torn(self) -> bool:
        return replay(self.journal).torn

    def _reconcile(self) -> None:
        if self.working and self.state is not None:
            self.ledger.take_lease(self.wallet)
            self._carry_out(pending(self.state))

    def _read_chain(self) -> None:
        while self.working and self.cursor < len(self.ledger.log):
            self.cursor += 1
            self.feed(self.ledger.log[self.cursor - 1])

    def _read_bonds(self) -> None:
        for worker in tuple(self.state.workers.values()) if self.state is not None else ():
            active = self.ledger.active(worker.wallet)
            if active != worker.active:
                self.feed(BondChanged(worker.wallet, active))

    # --- Events ---

    def feed(self, event: Event) -> None:
        if not self.working or self.state is None:
            return
        seed = self.loop.random.getrandbits(64)
        now_ms = self.loop.now_ms + self.loop.random.randrange(-50, 50)
        before, old = digest(self.state) if self.world.thorough else b"", tuple(self.state.slots)
        try:
            done = handle(self.state, event, now_ms, seed)
        except IllegalEvent as error:
            raise AssertionError(f"an event of a real run was illegal: {event}") from error
        if self.world.thorough:
            assert done.changed == (before != digest(self.state)), event
        if done.changed:
            if not self._append(encode(Entry(now_ms, seed, event))):
                return
            check_adopted(self, old, self.state, event)
        self._carry_out(done.commands)

    def _append(self, record: bytes) -> bool:
        """Whether the record is durable and the node still alive."""
        fate = self.world.crash_fate()
        if fate == "before":
            self.crash()
        elif fate == "torn":
            self.journal.append(record[: self.loop.random.randrange(len(record))])
            self.crash()
        elif fate == "after":
            self.journal.append(record)
            self.crash()
        else:
            self.journal.append(record)
        return self.alive

    # --- Commands ---

    def _carry_out(self, commands: tuple[Command, ...]) -> None:
        for command in commands:
            if not self.alive:
                return
            self._carry_out_one(command)

    def _carry_out_one(self, command: Command) -> None:
        match command:
            case AssignUnit() | DeclineRequest() | RefuseCommit():
                self.world.reply(command)
            case AcceptCommit():
                self._receipt(command)
            case FetchResult():
                self._later(lambda: self._fetch(command))
            case RecoverResult():
                self._later(lambda: self._recover(command))
            case AskHolder():
                self._later(lambda: self._ask_holder(command))
            case CommitRound():
                self._later(lambda: self._commit(command))
            case CaptureDraw():
                self._poke(lambda: self.ledger.capture(command.round, command.batch))
            case ExpireUnit():
                self._poke(lambda: self.ledger.expire(command.unit))
            case ResolveDispute():
                self._poke(lambda: self.ledger.resolve(command.unit))
            case Combine():
                check_combine(self, command)
                self._later(lambda: self._combine(command))
            case AwaitChallengeWindow():
                wait_ms = command.until_ms - self.loop.now_ms
                self._later(lambda: self.feed(ChallengeWindowOver(command.round)), wait_ms)
            case FinalizeRound():
                self._later(lambda: self._finalize(command))
            case FinishJob():
                self.world.finished(self, command.outcome)
            case PublishRound():
                pass

    def _later(self, action: Callable[[], None], delay_ms: int = 0) -> None:
        """Do it after some time, unless this process has died or the attempt is lost."""
        epoch = self.epoch
        if self.world.lost():
            return
        delay_ms = max(0, delay_ms) + self.loop.random.randrange(1, 300)
        self.loop.after(delay_ms, lambda: action() if epoch == self.epoch else None)

    def _poke(self, action: Callable[[], None]) -> None:
        def attempt() -> None:
            try:
                action()
            except Revert:
                return
            self._read_chain()

        self._later(attempt)

    def _receipt(self, command: AcceptCommit) -> None:
        assert self.state is not None
        filling = self.state.slots[command.unit.slot].filling
        assert filling is not None, "a receipt for an open slot"
        assert filling.blob is not None, "a receipt without a blob"
        self.receipts[command.unit] = (filling.wallet, filling.commitment)
        self.world.reply(command)

    def _fetch(self, command: FetchResult) -> None:
        data = self.blobs.get(command.blob.root) or self.world.download(command.peer, command.blob)
        if data is None:
            fault = ResultFault.UNAVAILABLE
        elif data != truth.blob_of(command.result_root):
            fault = ResultFault.MALFORMED
        else:
            self.blobs[command.blob.root] = data
            self.feed(ResultStored(command.unit, command.blob, Holding(self.wallet, b"held")))
            return
        self.feed(ResultRefused(command.unit, command.blob, command.peer, fault))

    def _ask_holder(self, command: AskHolder) -> None:
        """A peer takes a copy and signs, refuses, or does not answer at all."""
        answer = self.world.keep(command.wallet, self.blobs[command.blob.root])
        if answer is not None:
            holding = Holding(command.wallet, b"held")
            unit, blob = command.unit, command.blob
            self.feed(
                ResultHeld(unit, blob, holding)
                if answer
                else HoldingRefused(unit, blob, command.wallet)
            )

    def _recover(self, command: RecoverResult) -> None:
        """Compute the unit here, or take it from whoever lied so well that it passed."""
        data = truth.blob_of(command.result_root)
        ref = truth.ref_of(data)
        checkpoint = self.ledger.checkpoints[command.unit.round]
        right = truth.unit_root(checkpoint, command.unit.round, command.unit.slot)
        if command.result_root == right or self.world.download_any(command.worker, ref):
            self.blobs[ref.root] = data
            self.feed(ResultStored(command.unit, ref))

    def _commit(self, command: CommitRound) -> None:
        try:
            self.ledger.commit_round(self.wallet, command.round, command.claims)
        except Revert as revert:
            self._reverted(revert, CommitRefused(command.round, revert.reason, revert.slots))

    def _finalize(self, command: FinalizeRound) -> None:
        try:
            self.ledger.finalize(self.wallet, command.round, command.checkpoint)
        except Revert as revert:
            self._reverted(revert, FinalizeRefused(command.round, revert.reason))

    def _reverted(self, revert: Revert, event: Event) -> None:
        lost = revert.reason == "not lease holder" and not self.ledger.take_lease(self.wallet)
        self.feed(LeaseLost() if lost else event)

    def _combine(self, command: Combine) -> None:
        if self.world.lost():
            self.feed(CombineFailed(command.round, command.generation, "the process died"))
            return
        roots = [self.blobs[result.blob.root][len(b"result") :] for result in command.results]
        checkpoint = truth.combined(command.checkpoint, roots)
        aggregate = truth.ref_of(b"".join(roots))
        metrics = (("loss", 1.0 / (command.round + 1)),)
        event = CombineFinished(
            command.round,
            command.generation,
            checkpoint,
            truth.ref_of(checkpoint),
            aggregate,
            metrics,
        )
        self.feed(event)


def ended_well(outcome: Outcome) -> bool:
    """Whether nobody needs to take over."""
    return outcome in (Outcome.COMPLETED, Outcome.CANCELLED)
