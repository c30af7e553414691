"""A peer that pulls units: honest, slow, lying, malformed, withholding, repeating.

Traits act while faults last; then every worker is honest, connected and bonded.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from node.receipts import SignedReceipt, left_out
from scheduler.blob_ref import BlobRef
from scheduler.commands import AcceptCommit, AssignUnit, DeclineRequest, RefuseCommit, Reply
from scheduler.events import UnitCommitted, UnitRequested
from scheduler.terms import PeerId, UnitRef
from tests.simulation import truth
from tests.simulation.faults import Traits
from tests.simulation.peer import Peer

if TYPE_CHECKING:
    from tests.simulation.world import World

MEMORY_BYTES = 1_000
REPLY_TIMEOUT_MS = 2_000
PULL_AGAIN_MS = 600
OFFERS_MAX = 30


@dataclass(frozen=True)
class Offer:
    """A commit as it goes over the wire, with what it was computed and signed for."""

    commit: UnitCommitted
    parent: bytes
    lease_epoch: int

    @property
    def peer(self) -> PeerId:
        return self.commit.peer


@dataclass(frozen=True)
class Result:
    """What it computed and keeps, also through a crash, while its round is open."""

    commit: UnitCommitted
    parent: bytes

    @property
    def blob(self) -> BlobRef:
        return self.commit.blob


@dataclass(frozen=True)
class Receipt(SignedReceipt):
    """The signature's place is taken by the signer's name."""

    @property
    def signer(self) -> str:
        return self.signature.decode()


class Worker(Peer):
    def __init__(self, world: "World", name: str, traits: Traits) -> None:
        self.away = False
        self.receipts: list[Receipt] = []
        self.held: dict[tuple[UnitRef, bytes], BlobRef] = {}
        self.results: dict[UnitRef, Result] = {}
        super().__init__(world, name, traits)
        self.loop.every(PULL_AGAIN_MS, self._step)

    def _forget(self) -> None:
        super()._forget()
        self.holding: list[UnitRef] = []
        self.offers: dict[UnitRef, tuple[UnitCommitted, bytes, int]] = {}
        self.waiting_since_ms: int | None = None

    # --- Connection ---

    def _step(self) -> None:
        if not self.alive or self.away:
            return
        if self.chance(self.traits.vanishes) and self.note("peers vanished"):
            self.away = True
            self.loop.after(self.loop.random.randrange(100, 8_000), self._return)
        elif self.chance(self.traits.crashes):
            self.crash()
        elif self.job is not None and self.job.holder:
            self._examine()
            self._repeat_offers()
            self._pull()

    def _return(self) -> None:
        self.away = False

    def _tell(self, event: "UnitRequested | Offer") -> None:
        """To whom holds the lease, as far as this node knows."""
        host = self.world.by_wallet.get(self.job.holder) if self.job is not None else None
        if host is not None:
            self.world.network.send(self.name, host.name, lambda: host.hear(event))

    # --- Work ---

    def _pull(self) -> None:
        now_ms = self.loop.now_ms
        waits = self.waiting_since_ms
        if waits is not None and now_ms < waits + REPLY_TIMEOUT_MS:
            return
        if self.holding:
            return
        if not self.view.is_active(self.wallet):
            return
        self.waiting_since_ms = now_ms
        round = self.job.open_round if self.job is not None else 0
        ready = sorted(unit for unit in self.results if unit.round == round)
        self._tell(UnitRequested(self.peer, MEMORY_BYTES, tuple(ready)))

    def hear(self, host: "Peer", reply: Reply) -> None:
        if not self.alive or self.away:
            return
        match reply:
            case AssignUnit():
                self.waiting_since_ms = None
                self._assigned(reply)
            case DeclineRequest():
                wait_ms = min(reply.retry_after_ms, 5_000)
                self.waiting_since_ms = self.loop.now_ms + wait_ms - REPLY_TIMEOUT_MS
            case AcceptCommit():
                offered = self.offers.pop(reply.unit, None)
                if offered is not None:
                    self._receipted(host, offered[0])
            case RefuseCommit():
                self.offers.pop(reply.unit, None)

    def _assigned(self, command: AssignUnit) -> None:
        if command.unit in self.holding:
            return
        self.holding.append(command.unit)
        life, at_hand = self.life, self.results.get(command.unit)
        if at_hand is not None and at_hand.blob.root in self.blobs:
            self.note("results that were at hand")
            self.loop.after(50, self._while_alive(lambda: self._deliver(at_hand)))
            return
        unit_ms = self.traits.unit_ms if self.world.faulty else 800
        delay_ms = self.loop.random.randrange(unit_ms // 2, unit_ms * 2)
        self.loop.after(delay_ms, lambda: self._computed(command.unit, life))

    def _computed(self, unit: UnitRef, life: int) -> None:
        if life != self.life or not self.alive:
            return
        self.holding = [held for held in self.holding if held != unit]
        self.sync()
        job = self.job
        if job is None or unit.round != job.head_round:
            return
        parent = job.parent(unit.round)
        root = truth.unit_root(parent if unit.round else truth.GENESIS, unit.round, unit.slot)
        if self.chance(self.traits.lies) and self.note("lies computed"):
            # Another lie each time: two roots for one unit, if it is asked twice.
            root = truth.wrong(root, self.loop.random.randrange(255))
        data = truth.blob_of(root)
        if self.chance(self.traits.malforms) and self.note("malformed results"):
            data += b"?"
        blob = truth.ref_of(data)
        if not (self.chance(self.traits.withholds) and self.note("withheld results")):
            self.blobs[blob.root] = data
            self.held[unit, root] = blob
        name = truth.unit_id(unit.round, unit.slot, unit.attempt)
        roots = truth.roots_of(root)
        promise = self.commitments.commit("worker", name, roots, truth.JOB, unit.round)
        word = truth.holding(self.wallet, unit, root, blob)
        event = UnitCommitted(self.peer, unit, root, promise, b"", blob, word)
        self.results[unit] = Result(event, parent)
        self._deliver(self.results[unit])
        if self.chance(self.traits.repeats) and self.note("second roots for a unit"):
            other = UnitCommitted(self.peer, unit, truth.wrong(root, 3), promise, b"", blob, word)
            self._offer(other, parent)
            self._offer(event, parent)

    def _deliver(self, result: "Result") -> None:
        event = result.commit
        self.holding = [held for held in self.holding if held != event.unit]
        self.offers[event.unit] = (event, result.parent, 0)
        self._offer(event, result.parent)

    def _offer(self, event: UnitCommitted, parent: bytes) -> None:
        """The commit under the present lease."""
        job, unit = self.job, event.unit
        if job is None:
            return
        name = truth.unit_id(unit.round, unit.slot, unit.attempt)
        signature = truth.signature(
            self.wallet, name, parent, job.lease_epoch, event.result_root, event.commitment
        )
        signed = replace(event, signature=signature)
        self._tell(Offer(signed, parent, job.lease_epoch))

    def _repeat_offers(self) -> None:
        """Commit again until there is an answer, as the wire demands, or give up."""
        for unit, (event, parent, tries) in sorted(self.offers.items()):
            self.offers[unit] = (event, parent, tries + 1)
            if tries % 5 == 4:
                self._offer(event, parent)
            if tries > OFFERS_MAX:
                del self.offers[unit]

    # --- Receipts ---

    def _receipted(self, host: "Peer", event: UnitCommitted) -> None:
        self.receipts.append(
            Receipt(
                truth.JOB, event.unit, event.result_root, event.commitment, host.wallet.encode()
            )
        )

    def _examine(self) -> None:
        """What the chain proves about receipts, by the real judgement."""
        job = self.job
        assert job is not None
        for receipt in tuple(self.receipts):
            unit = job.units.get(receipt.unit)
            if unit is None and receipt.unit.round >= job.open_round:
                continue
            if left_out(receipt, job):
                self.world.proved.add(receipt.unit)
            self.receipts.remove(receipt)
