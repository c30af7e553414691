"""A node that may coordinate: node/coordination.py without its threads, around the same machine.

The state machine, the translation of chain events (node/chain_facts.py) and the attempts at its
commands (node/coordination_tasks.py) are the real ones. Durable: the journal and the blob store.
Everything else is lost in a crash, which may strike before, within or after the append of a record.
Every adopted state is checked against what was promised.
"""

import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from node.chain import AsyncChain
from node.chain.types import Parameter
from node.chain_facts import FactReader
from node.chain_watch import ChainWatch
from node.compute import Compute, ComputeError
from node.coordination_tasks import Tasks
from node.custody import Custody
from node.errors import ChainUnreachable, NodeError, PeerFault, PeerUnreachable
from node.holders import Holders
from node.ledger import JobView
from node.recompute import Recompute
from node.transfer import NotServed
from scheduler.blob_ref import BlobRef
from scheduler.codec import Entry, encode
from scheduler.commands import (
    AcceptCommit,
    AnchorRound,
    AskHolder,
    AssignUnit,
    Combine,
    Command,
    CommitRound,
    StandingCommand,
)
from scheduler.coordinator import digest, handle, pending, replay, stands, start
from scheduler.errors import IllegalEvent
from scheduler.events import (
    BondChanged,
    CoordinationStarted,
    Event,
    HoldingRefused,
    LeaseLost,
    NodeRestarted,
    PeerAppeared,
    PeerEvent,
    PeerVanished,
    ResultHeld,
    Tick,
    UnitRequested,
)
from scheduler.manifest import Manifest
from scheduler.rows import Slot
from scheduler.state import State
from scheduler.terms import Holding, UnitRef, Wallet
from tests.simulation import truth
from tests.simulation.chain import Call
from tests.simulation.faults import Traits
from tests.simulation.laws import Law, Violation
from tests.simulation.peer import Peer
from tests.simulation.promises import check_adopted, check_combine, check_covered
from tests.simulation.worker import Offer, Worker

if TYPE_CHECKING:
    from tests.simulation.world import World

TICK_MS = 1_000
RETRY_FIRST_MS, RETRY_MAX_MS = 200, 5_000
STAGGER_S = 2
ABSENCE_MS = 15_000
"""How much longer than its lease a coordinator stays away that has something to hide."""


class Host(Peer):
    def __init__(self, world: "World", name: str, traits: Traits) -> None:
        self.journals: dict[int, list[bytes]] = {}
        self.receipts: dict[UnitRef, tuple[Wallet, bytes]] = {}
        self.signed: dict[tuple[UnitRef, bytes], BlobRef] = {}
        self.state: State | None = None
        self.epoch = 0
        super().__init__(world, name, traits)
        self.rank = len(world.hosts)
        self.loop.every(TICK_MS, self._tick)

    @property
    def working(self) -> bool:
        return self.alive and self.state is not None and self.state.outcome is None

    @property
    def journal(self) -> list[bytes]:
        return self.journals.get(self.epoch, [])

    # --- Life ---

    def _forget(self) -> None:
        super()._forget()
        self.state = None
        self._reader, self._read = FactReader(truth.JOB), None
        self._running: set[StandingCommand] = set()
        self._inbox: deque[Event] = deque()
        self._draining = False
        self._busy_until_ms = 0
        self._take_at_s = 0
        self._free_since_s: int | None = None
        self._renew_at_s = 0
        self.tasks = Tasks(
            cast(ChainWatch, self),
            cast(AsyncChain, _Chain(self)),
            cast(Compute, _Device(self)),
            cast(Recompute, _Device(self)),
            self._fetch,
            cast(Custody, self),
            cast(Holders, _Holders(self)),
            lambda: [name for name in self.world.by_peer if self._connected(name)],
            self.peer,
        )

    def _tick(self) -> None:
        if not self.alive:
            return
        self.sync()
        if self.job is None:
            return
        self._mind_lease(self.job)
        if self.working:
            self._follow(self.job)
            self.feed(Tick())

    def _mind_lease(self, job: JobView) -> None:
        """What node/leases.py does."""
        now_s = self.chain_time_s()
        free = not job.holder or now_s >= job.lease_expires_s or not self.view.is_active(job.holder)
        if not job.accepts_work(now_s) or not self.view.is_active(self.wallet):
            return
        if not free and job.holder == self.wallet:
            if not self.working and (self.state is None or self.epoch != job.lease_epoch):
                self._begin(job)
            if now_s >= max(self._renew_at_s, job.lease_expires_s - self.world.rules.lease_s // 2):
                self._renew_at_s = now_s + 5
                self.send("ledger", "take_lease", truth.JOB)
        if not free:
            self._free_since_s = None
            return
        self._free_since_s = now_s if self._free_since_s is None else self._free_since_s
        if now_s >= max(self._take_at_s, self._free_since_s + self.rank * STAGGER_S):
            self._take_at_s = now_s + 5
            self.send("ledger", "take_lease", truth.JOB)

    def _begin(self, job: JobView) -> None:
        """Go on where the journal of this lease ends, or begin at the open round."""
        self.epoch = job.lease_epoch
        self._reader, self._read = FactReader(truth.JOB), None
        records = self.journals.get(self.epoch, [])
        if records:
            replayed = replay(records)
            self.journals[self.epoch] = records[:-1] if replayed.torn else records
            resumed = replayed.state
            behind = resumed.round < job.open_round or resumed.oldest.number < job.log.first_round
            if resumed.outcome is None and not behind:
                self.state = resumed
                self.feed(NodeRestarted())
                self._carry_out(pending(self.state) if self.state is not None else ())
                return
        self.receipts.clear()
        # The blob and the checkpoint: those of the last anchored round.
        checkpoint, blob = truth.GENESIS, truth.ref_of(truth.GENESIS)
        if job.open_round:
            anchored = job.finalized[job.open_round - 1]
            checkpoint, blob = anchored.checkpoint, anchored.blob
        event = CoordinationStarted(self.world.terms, job.open_round, checkpoint, blob)
        self.journals = {self.epoch: [encode(Entry(self.loop.now_ms, 0, event))]}
        self.state, _ = start(event, self.loop.now_ms)
        self._carry_out(pending(self.state))

    def _follow(self, job: JobView) -> None:
        """Feed what the chain, the bonds and the connections say."""
        if self.state is not None and self.state.oldest.number < job.log.first_round:
            self._begin(job)
        for event in job.log.since(self._read):
            if not self.working:
                break
            self._read = event.place
            fact = self._reader.read(event)
            if fact is not None:
                self.feed(fact)
        for worker in tuple(self.state.workers.values()) if self.state is not None else ():
            active = self.view.is_active(worker.wallet)
            covers = self.view.covers(worker.wallet, job)
            if (active, covers) != (worker.active, worker.covers):
                self.feed(BondChanged(worker.wallet, active, covers))
        for peer in tuple(self.state.peers.values()) if self.state is not None else ():
            if peer.vanished_ms is None and not self._connected(peer.peer):
                self.feed(PeerVanished(peer.peer))
        if job.holder and job.holder != self.wallet:
            self.feed(LeaseLost())

    def _connected(self, peer: str) -> bool:
        worker = self.world.by_peer[peer]
        return (
            worker.alive and not worker.away and self.world.network.reaches(self.name, worker.name)
        )

    # --- Events ---

    def feed(self, event: Event) -> None:
        """Handle an event when its turn comes: a slow disk holds the whole process up."""
        self._inbox.append(event)
        if not self._draining:
            self._draining = True
            self._drain()

    def _drain(self) -> None:
        while self._inbox:
            wait_ms = self._busy_until_ms - self.loop.now_ms
            if wait_ms > 0:
                self.loop.after(wait_ms, self._while_alive(self._drain))
                return
            self._handle(self._inbox.popleft())
        self._draining = False

    def _handle(self, event: Event) -> None:
        """Handle an event, durably, and begin what it calls for."""
        if not self.working or self.state is None:
            return
        seed = self.loop.random.getrandbits(64)
        now_ms = self.loop.now_ms + self.loop.random.randrange(-50, 50)
        before, old = digest(self.state) if self.world.thorough else b"", _slots(self.state)
        try:
            done = handle(self.state, event, now_ms, seed)
        except IllegalEvent as error:
            raise Violation(Law.PROMISE, f"an event of a real run was illegal: {event}") from error
        if self.world.thorough:
            assert done.changed == (before != digest(self.state)), event
        if done.changed:
            if not self._append(event, encode(Entry(now_ms, seed, event))):
                return
            check_adopted(self, old, self.state, event)
        self._carry_out(done.commands)

    def _append(self, event: Event, record: bytes) -> bool:
        """Whether the record is durable and the node still alive."""
        weather, records = self.world.weather(), self.journals[self.epoch]
        if self.chance(weather.disk_full) and self.note("records refused by the disk"):
            # A request is refused then; where the node's own report is lost, the process ends.
            if isinstance(event, PeerEvent):
                self.state = replay(records).state
            else:
                self.crash()
            return False
        if self.chance(weather.disk_slow) and self.note("slow writes"):
            self._busy_until_ms = self.loop.now_ms + self.loop.random.randrange(50, 4_000)
        if not self.chance(weather.crash):
            records.append(record)
            return True
        fate = self.loop.random.choice(("lost", "torn", "whole"))
        self.note(f"crashes with a record {fate}")
        if fate != "lost":
            whole = fate == "whole"
            records.append(record if whole else record[: self.loop.random.randrange(len(record))])
        self.crash()
        return False

    # --- What workers ask ---

    def hear(self, event: UnitRequested | Offer) -> None:
        """A request or a commit that arrived, checked as node/unit_requests.py does."""
        if not self.working or self.state is None or self.job is None:
            return
        worker = self.world.by_peer[event.peer]
        known = self.state.peers.get(event.peer)
        if known is None or known.vanished_ms is not None:
            active = self.view.is_active(worker.wallet)
            covers = self.view.covers(worker.wallet, self.job)
            self.feed(PeerAppeared(event.peer, worker.wallet, active, covers))
        if isinstance(event, UnitRequested):
            self.feed(event)
        elif self._is_ours(event, worker.wallet):
            self.feed(event.commit)

    def _is_ours(self, offer: Offer, wallet: Wallet) -> bool:
        job, unit = self.job, offer.commit.unit
        assert job is not None
        if offer.lease_epoch != job.lease_epoch or job.lease_epoch != self.epoch:
            return False
        start = job.start_of(unit.round)
        if unit.round >= job.open_round and start not in (None, offer.parent):
            return False
        name = truth.unit_id(unit.round, unit.slot, unit.attempt)
        commit = offer.commit
        return commit.signature == truth.signature(
            wallet, name, offer.parent, offer.lease_epoch, commit.result_root, commit.commitment
        )

    # --- Commands ---

    def _carry_out(self, commands: Sequence[Command]) -> None:
        for command in commands:
            if not self.alive:
                return
            if isinstance(command, StandingCommand):
                if command not in self._running:
                    self._running.add(command)
                    self.loop.drive(self._keep_trying(command), self._same_lease())
                continue
            if isinstance(command, AcceptCommit):
                self._receipt(command)
            if isinstance(command, AssignUnit) and self.state is not None:
                check_covered(self.state, self.state.peers[command.peer].wallet)
            self.world.reply(self, command)

    def _same_lease(self) -> Callable[[], bool]:
        """Whether this process still leads what it leads now."""
        now = (self.life, self.epoch)
        return lambda: (self.life, self.epoch) == now

    async def _keep_trying(self, command: StandingCommand) -> None:
        """As in node/standing_commands.py: until it no longer stands."""
        pause_ms = RETRY_FIRST_MS
        try:
            await self.loop.sleep(self.loop.random.randrange(1, 200))
            while self.state is not None and stands(self.state, command):
                if self.job is not None:
                    await self._try(self.job, command)
                if self.state is not None and stands(self.state, command):
                    await self.loop.sleep(pause_ms)
                    pause_ms = min(pause_ms * 3 // 2, RETRY_MAX_MS)
        finally:
            self._running.discard(command)

    async def _try(self, job: JobView, command: StandingCommand) -> None:
        if isinstance(command, Combine):
            check_combine(self, command)
        if isinstance(command, CommitRound):
            command = self._falsified(command)
        misleads = isinstance(command, AnchorRound) and self.chance(self.traits.anchors_falsely)
        if isinstance(command, AnchorRound) and misleads:
            command = self._misled(command)
        try:
            event = await self.tasks.attempt(
                job, cast(Manifest, SimpleNamespace(result_bytes=0)), command
            )
        except NodeError as error:
            self.problem = str(error)
            return
        if event is not None:
            self.feed(event)
        elif misleads:
            # Nobody withdraws its own anchor: a successor has to.
            self.vanish(self.world.rules.lease_s * 1_000 + ABSENCE_MS)

    def _misled(self, command: AnchorRound) -> AnchorRound:
        """A coordinator that anchors what its round does not come to."""
        checkpoint = truth.false_anchor(command.checkpoint)
        self.world.checkpoints[truth.ref_of(checkpoint).root] = checkpoint
        self.note("false anchors")
        return AnchorRound(command.round, checkpoint, truth.ref_of(checkpoint))

    def _falsified(self, command: CommitRound) -> CommitRound:
        """A coordinator that says two things: what it receipted it claims for itself."""
        if not self.chance(self.traits.leaves_out):
            return command
        first, job = command.claims[0], self.job
        assert job is not None
        unit = UnitRef(command.round, first.slot, first.attempt)
        claim = self.world.claim_of(self, unit, first.result_root)
        self.world.falsified.add(unit)
        self.note("receipted units left out")
        return CommitRound(command.round, (claim, *command.claims[1:]))

    def _receipt(self, command: AcceptCommit) -> None:
        assert self.state is not None
        held = self.state.find(command.unit.round)
        filling = held.slots[command.unit.slot].filling if held is not None else None
        if filling is None or filling.blob is None:
            raise Violation(Law.PROMISE, f"a receipt for nothing: {command}")
        self.receipts[command.unit] = (filling.wallet, filling.commitment)

    async def _fetch(self, blob: BlobRef, peers: Sequence[str]) -> None:
        """A result from its worker, unless it is here."""
        await self.loop.sleep(self.loop.random.randrange(10, 400))
        if blob.root in self.blobs:
            return
        worker = self.world.by_peer[peers[0]]
        lost = self.loop.random.random() < self.world.weather().loss
        if lost or not self._connected(worker.peer):
            raise PeerUnreachable("it does not answer")
        if blob.root not in worker.blobs:
            raise NotServed("it has not got the blob", [worker.peer])
        self.blobs[blob.root] = worker.blobs[blob.root]

    def sign(self, _job: bytes, unit: UnitRef, root: bytes, blob: BlobRef) -> bytes:
        """What the tasks see as custody."""
        self.signed[unit, root] = blob
        return truth.holding(self.wallet, unit, root, blob)

    trials = SimpleNamespace(of=lambda *_: contextlib.nullcontext())

    # --- What the tasks see as the watch ---

    @property
    def ledger(self) -> object:
        return self.view

    async def folded(self, block: int) -> None:
        while self.view.head < block:
            await self.loop.sleep(400)
            self.sync()


def _slots(state: State) -> dict[int, tuple[Slot, ...]]:
    return {held.number: tuple(held.slots) for held in state.under_way()}


class _Chain:
    """What `Tasks` sees as the chain."""

    def __init__(self, host: Host) -> None:
        self._host = host
        rules = host.world.rules
        parameters = SimpleNamespace(get={Parameter.CHALLENGE_DEPOSIT_WEI: rules.deposit_wei}.get)
        self.sync = SimpleNamespace(**host.calls, token=host.calls["bank"], parameters=parameters)

    async def read(self, function: Callable[..., object], *arguments: object) -> object:
        await self._host.loop.sleep(20)
        return function(*arguments)

    async def send(self, call: Call) -> object:
        if not self._host.world.network.sees_chain(self._host.name):
            await self._host.loop.sleep(1_000)
            raise ChainUnreachable("No endpoint answers.")
        return await self._host.chain.send(self._host.wallet, call)


class _Holders:
    """What `Tasks` sees as node/holders.py: questions to peers, some of which do not answer."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def _asked(self, worker: Worker) -> bool:
        """Whether an answer comes."""
        await self._host.loop.sleep(self._host.loop.random.randrange(20, 800))
        lost = self._host.loop.random.random() < self._host.world.weather().loss
        return self._host._connected(worker.peer) and not lost

    async def ask_to_hold(self, _job: bytes, command: AskHolder) -> ResultHeld | HoldingRefused:
        unit, blob = command.unit, command.blob
        worker = self._host.world.by_wallet[command.wallet]
        refuses = worker.chance(worker.traits.withholds)
        if refuses or not isinstance(worker, Worker) or not await self._asked(worker):
            return HoldingRefused(unit, blob, command.wallet)
        worker.blobs[blob.root] = self._host.blobs[blob.root]
        worker.held[unit, command.result_root] = blob
        signature = truth.holding(command.wallet, unit, command.result_root, blob)
        return ResultHeld(unit, blob, Holding(command.wallet, signature))

    async def find(
        self,
        _job: bytes,
        unit: UnitRef,
        root: bytes,
        _bytes: int,
        check: Callable[[BlobRef], Awaitable[bool]],
        tellers: Sequence[str],
        *,
        blame: bool,
    ) -> BlobRef:
        own = self._host.signed.get((unit, root))
        if own is not None and await check(own):
            return own
        for worker in (self._host.world.by_peer[teller] for teller in tellers):
            blob = worker.held.get((unit, root)) if await self._asked(worker) else None
            if blob is not None and blob.root in worker.blobs:
                self._host.blobs[blob.root] = worker.blobs[blob.root]
                if await check(blob):
                    self._host.note("results found with their holders")
                    return blob
        raise PeerUnreachable("nobody who answers holds it")


class _Device:
    """What `Tasks` sees as the device: hashes instead of training."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.checkpoints = SimpleNamespace(trust=lambda *_: None, made=lambda *_: None)

    def _keep(self, data: bytes) -> BlobRef:
        ref = truth.ref_of(data)
        self._host.blobs[ref.root] = data
        return ref

    async def _work(self) -> None:
        await self._host.loop.sleep(self._host.loop.random.randrange(20, 400))

    async def check_result(self, _manifest: object, blob: BlobRef) -> bytes:
        await self._work()
        root = truth.result_root_of(self._host.blobs[blob.root])
        if root is None:
            raise PeerFault("no result")
        return root

    async def aggregate(self, _m: object, _blob: BlobRef, blobs: Sequence[BlobRef]) -> BlobRef:
        await self._work()
        if self._host.chance(self._host.world.weather().loss):
            raise ComputeError("the process died")
        return self._keep(b"".join(self._host.blobs[blob.root] for blob in blobs))

    async def outer(self, _m: object, blob: BlobRef, aggregate: BlobRef) -> Any:
        await self._work()
        data = self._host.blobs[aggregate.root]
        roots = [data[at + 6 : at + 38] for at in range(0, len(data), 38)]
        root = truth.combined(self._host.world.checkpoint_of(blob), roots)
        self._host.world.checkpoints[truth.ref_of(root).root] = root
        return SimpleNamespace(root=root, checkpoint=self._keep(root))

    async def evaluate(self, _m: object, _checkpoint: BlobRef) -> dict[str, float]:
        await self._work()
        return {"loss": 1.0}

    async def run_unless_found(
        self, job: JobView, manifest: object, unit: UnitRef, search: Callable[[], Awaitable[Any]]
    ) -> Any:
        """One after the other: only one coroutine of a task runs here."""
        try:
            return await search()
        except PeerUnreachable:
            return await self.run(job, manifest, unit, audit=True)

    async def run(self, job: JobView, _m: object, unit: UnitRef, *, audit: bool) -> Any:
        await self._work()
        start_ = job.start_of(unit.round) if unit.round else truth.GENESIS
        if start_ is None:
            raise PeerFault("the round is not open")
        root = truth.unit_root(start_, unit.round, unit.slot)
        return SimpleNamespace(result_root=root, result=self._keep(truth.blob_of(root)))
