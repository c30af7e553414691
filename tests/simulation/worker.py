"""A simulated peer that pulls units: honest, slow, lying, malformed, withholding, repeating.

Traits act while faults last; then every worker is honest, connected and bonded.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scheduler.commands import AcceptCommit, AssignUnit, DeclineRequest, RefuseCommit, Reply
from scheduler.events import PeerAppeared, PeerVanished, UnitCommitted, UnitRequested
from scheduler.terms import PeerId, UnitRef, Wallet
from tests.simulation import truth

if TYPE_CHECKING:
    from tests.simulation.world import World

MEMORY_BYTES = 1_000
REPLY_TIMEOUT_MS = 2_000
PULL_AGAIN_MS = 300
COMMITS_MAX = 5


@dataclass(frozen=True)
class Traits:
    """How often a worker does what, and how long a unit takes it."""

    unit_ms: int = 800
    lies: float = 0.0
    malforms: float = 0.0
    withholds: float = 0.0
    vanishes: float = 0.0
    crashes: float = 0.0
    repeats: float = 0.0
    prefetches: bool = False


class Worker:
    def __init__(self, world: "World", name: str, traits: Traits) -> None:
        self.world, self.loop = world, world.loop
        self.peer, self.wallet = PeerId(f"peer-{name}"), Wallet(f"0x{name}")
        self.traits = traits
        self.connected_to: tuple[Wallet, int] | None = None
        self.blobs: dict[str, bytes] = {}
        self.holding: list[UnitRef] = []
        self.commits: dict[UnitRef, tuple[UnitCommitted, int]] = {}
        self.away = False
        self.life = 0
        self.waiting_since_ms: int | None = None
        self.loop.every(PULL_AGAIN_MS, self._step)

    def chance(self, probability: float) -> bool:
        return self.world.faulty and self.loop.random.random() < probability

    # --- Connection ---

    def _step(self) -> None:
        if self.away or not self._connected():
            return
        if self.chance(self.traits.vanishes):
            self._leave()
        elif self.chance(self.traits.crashes):
            self.life += 1
            self.holding.clear()
            self._leave()
        else:
            self._repeat_commits()
            self._pull()

    def _connected(self) -> bool:
        host = self.world.coordinator()
        if host is None:
            self.connected_to = None
            return False
        if self.connected_to != (host.wallet, host.epoch):
            self.connected_to = (host.wallet, host.epoch)
            self.waiting_since_ms = None
            active = self.world.ledger.active(self.wallet)
            host.feed(PeerAppeared(self.peer, self.wallet, active))
        return True

    def _leave(self) -> None:
        self.away = True
        self.connected_to = None
        host = self.world.coordinator()
        if host is not None:
            host.feed(PeerVanished(self.peer))
        self.loop.after(self.loop.random.randrange(100, 8_000), self._return)

    def _return(self) -> None:
        self.away = False

    # --- Work ---

    def _pull(self) -> None:
        now_ms = self.loop.now_ms
        waits = self.waiting_since_ms
        if waits is not None and now_ms < waits + REPLY_TIMEOUT_MS:
            return
        if len(self.holding) >= 1 + self.traits.prefetches:
            return
        self.waiting_since_ms = now_ms
        # One that lost its memory lists nothing and is given its unit again.
        self.world.tell(UnitRequested(self.peer, MEMORY_BYTES, tuple(sorted(self.holding))))

    def hear(self, reply: Reply) -> None:
        if self.away:
            return
        match reply:
            case AssignUnit():
                self.waiting_since_ms = None
                self._assigned(reply)
            case DeclineRequest():
                wait_ms = min(reply.retry_after_ms, 5_000)
                self.waiting_since_ms = self.loop.now_ms + wait_ms - REPLY_TIMEOUT_MS
            case AcceptCommit() | RefuseCommit():
                self.commits.pop(reply.unit, None)

    def _assigned(self, command: AssignUnit) -> None:
        if command.unit in self.holding:
            return
        self.holding.append(command.unit)
        life = self.life
        unit_ms = self.traits.unit_ms if self.world.faulty else 800
        delay_ms = self.loop.random.randrange(unit_ms // 2, unit_ms * 2)
        checkpoint = self.world.ledger.checkpoints[-1]
        self.loop.after(delay_ms, lambda: self._computed(command.unit, checkpoint, life))

    def _computed(self, unit: UnitRef, checkpoint: bytes, life: int) -> None:
        if life != self.life:
            return
        self.holding = [held for held in self.holding if held != unit]
        root = truth.unit_root(checkpoint, unit.round, unit.slot)
        if self.chance(self.traits.lies):
            root = bytes([root[0] ^ 1]) + root[1:]
        data = truth.blob_of(root)
        if self.chance(self.traits.malforms):
            data += b"?"
        blob = truth.ref_of(data)
        if not self.chance(self.traits.withholds):
            self.blobs[blob.root] = data
        event = UnitCommitted(self.peer, unit, root, self.wallet.encode(), b"signed", blob, b"held")
        self.commits[unit] = (event, 0)
        self.world.tell(event)
        if self.chance(self.traits.repeats):
            other = UnitCommitted(self.peer, unit, root[::-1], b"other", b"signed", blob, b"held")
            self.world.tell(other)
            self.world.tell(event)

    def _repeat_commits(self) -> None:
        """Commit again until there is an answer, as the wire demands, or give up."""
        for unit, (event, tries) in sorted(self.commits.items()):
            self.commits[unit] = (event, tries + 1)
            if tries % 5 == 4:
                self.world.tell(event)
            if tries > 5 * COMMITS_MAX:
                del self.commits[unit]
