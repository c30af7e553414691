"""The state of one job's coordination, owned by whoever drives it and updated in place.

Tables are dicts that nothing iterates during an event: what an event needs to find is in an index
that `put_slot`, `put_peer` and `put_worker` keep (`SlotIndex`, `CrowdIndex`), so that an event
costs the same with ten peers as with ten thousand, but for a binary search. Wherever order shows
(the digest, a list for people) rows are sorted by their key. Facts are equal when states are equal;
indexes are not facts: scheduler/invariants.py rebuilds and compares them.
"""

from collections import Counter
from dataclasses import dataclass, field

from scheduler.commands import Outcome, StandingCommand
from scheduler.ordered import Ordered
from scheduler.round import Round, wallets_of
from scheduler.rows import Peer, Slot, Totals, Unavailable, Worker
from scheduler.terms import WORKERS_MAX, JobTerms, Metrics, PeerId, Position, Wallet

BEFORE_THE_CHAIN = Position(-1, -1)
NOTHING_YET = Totals()
UNAVAILABLE_MAX = 64
"""Unavailable results that are remembered, the last ones; `Totals` counts all."""


@dataclass(slots=True)
class State:
    """One job's coordination. `open.number == terms.rounds` after the last round was finalized.

    `open` is the one round that takes claims: it is handed out, receipted, committed. `anchored`
    are those before it that are not final, oldest first: every slot of theirs has a claim on the
    chain, and the next round starts from the checkpoint that was anchored. `dissolved`: for rounds
    after the open one that were begun before, the next attempt of each slot.

    `paused_until_ms`: the chain or the combination refused, no new try before. `on_hold`: the
    submitter ordered a pause; `order_serial`: of its last order.
    """

    terms: JobTerms
    open: Round
    clock_ms: int
    chain_at: Position = BEFORE_THE_CHAIN
    setbacks: int = 0
    paused_until_ms: int = 0
    on_hold: bool = False
    order_serial: int = -1
    cancelled: bool = False
    outcome: Outcome | None = None
    peers: dict[PeerId, Peer] = field(default_factory=dict)
    workers: dict[Wallet, Worker] = field(default_factory=dict)
    samples_ms: tuple[int, ...] = ()
    metrics: Metrics = ()
    totals: Totals = NOTHING_YET
    unavailable: tuple[Unavailable, ...] = ()
    anchored: list[Round] = field(default_factory=list)
    dissolved: dict[int, tuple[int, ...]] = field(default_factory=dict)
    crowd: "CrowdIndex" = field(init=False, compare=False, repr=False)
    during: "During" = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        self.during = During()
        self.crowd = CrowdIndex(self)

    @property
    def round(self) -> int:
        """The number of the open round."""
        return self.open.number

    @property
    def slots(self) -> list[Slot]:
        """The slots of the open round, for reading."""
        return self.open.slots

    @property
    def oldest(self) -> Round:
        """The next round to become final."""
        return self.anchored[0] if self.anchored else self.open

    def under_way(self) -> tuple[Round, ...]:
        """All rounds that are not final, oldest first."""
        return (*self.anchored, self.open)

    def find(self, number: int) -> Round | None:
        """The round of this number, if it is under way."""
        at = number - self.oldest.number
        rounds = self.under_way()
        return rounds[at] if 0 <= at < len(rounds) else None

    # --- Changes. Nothing else may assign to a state.

    def put_slot(self, slot: Slot, held: Round | None = None) -> None:
        """Set the row of a slot of the open round, or of another that is under way."""
        old = (held or self.open).put(slot)
        if old is None:
            return
        self.during.changed = True
        named = (slot.status, slot.assignments, slot.lapsed, slot.filling)
        if (old.status, old.assignments, old.lapsed, old.filling) != named:
            before, after = wallets_of(old), wallets_of(slot)
            for wallet in before ^ after:
                self.crowd.mentions[wallet] += 1 if wallet in after else -1
            for wallet in before | after:
                self.crowd.rank(self, wallet)

    def put_peer(self, row: Peer) -> None:
        """Set or add the row of a peer."""
        old = self.peers.get(row.peer)
        if old == row:
            return
        self.peers[row.peer] = row
        self.during.changed = True
        self.crowd.replace(self, old, row)

    def drop_peer(self, row: Peer) -> None:
        """Forget a peer."""
        del self.peers[row.peer]
        self.during.changed = True
        self.crowd.replace(self, row, None)

    def put_worker(self, row: Worker) -> None:
        """Set or add the row of a wallet. A full table forgets one that takes no part."""
        old = self.workers.get(row.wallet)
        if old == row:
            return
        absent = self.crowd.absent.first()
        if old is None and len(self.workers) >= WORKERS_MAX and absent is not None:
            del self.workers[absent]
            self.crowd.rank(self, absent)
        self.workers[row.wallet] = row
        self.during.changed = True
        self.crowd.rank(self, row.wallet)

    def note(self, **facts: object) -> None:
        """Set facts of the job."""
        self._set(self, facts)

    def note_round(self, held: Round, **facts: object) -> None:
        """Set facts of a round that is under way."""
        self._set(held, facts)

    def _set(self, owner: object, facts: dict[str, object]) -> None:
        for name, value in facts.items():
            if getattr(owner, name) != value:
                setattr(owner, name, value)
                self.during.changed = True

    def put_rounds(self, *rounds: Round) -> None:
        """Have these rounds under way, oldest first, and no others."""
        before = self.under_way()
        *self.anchored, self.open = rounds
        self.during.changed = True
        kept = {id(held) for held in rounds}
        gone = [wallet for held in before if id(held) not in kept for wallet in _named(held)]
        self.crowd.mentions.subtract(gone)
        for wallet in sorted(set(gone)):
            self.crowd.rank(self, wallet)

    def put_dissolved(self, number: int, attempts: tuple[int, ...] | None) -> None:
        """Remember the next attempts of a round that may begin again; None: forget them."""
        if attempts is None:
            self.dissolved.pop(number, None)
        else:
            self.dissolved[number] = attempts
        self.during.changed = True


def _named(held: Round) -> list[Wallet]:
    return [wallet for slot in held.slots for wallet in wallets_of(slot)]


@dataclass(slots=True)
class During:
    """What one event leaves for its end: whether it changed a fact, and what stood before it.

    `standing`: the commands of the round as a whole that stand, made when `flags` were the facts
    that they follow from.
    """

    changed: bool = False
    flags: tuple[object, ...] = ()
    standing: tuple[StandingCommand, ...] = ()


class CrowdIndex:
    """What follows from peers, wallets and what they hold, kept up to date row by row.

    - `idle`: wallets that are here, fit, have asked with enough memory and hold nothing, whose bond
      covers a unit, by speed
    - `short`: those whose bond does not
    - `able`: these and those that hold something, by how many results they were asked to keep; not
      those that are not asked for a while
    - `resting`: the latter, by when that ends
    - `vanished`: peers that are away, by when they left
    - `quarantined`: wallets, by when it ends
    - `absent`: wallets that nothing names, those with the least to remember first
    - `mentions`: how many slots and peers name a wallet; `here`: how many of its peers could work
    """

    __slots__ = (
        "able",
        "absent",
        "here",
        "idle",
        "mentions",
        "quarantined",
        "resting",
        "short",
        "vanished",
    )

    def __init__(self, state: State) -> None:
        self.idle: Ordered[Wallet] = Ordered()
        self.able: Ordered[Wallet] = Ordered()
        self.short: Ordered[Wallet] = Ordered()
        self.vanished: Ordered[PeerId] = Ordered()
        self.quarantined: Ordered[Wallet] = Ordered()
        self.resting: Ordered[Wallet] = Ordered()
        self.absent: Ordered[Wallet] = Ordered()
        self.mentions: Counter[Wallet] = Counter()
        self.here: Counter[Wallet] = Counter()
        for held in state.under_way():
            self.mentions.update(_named(held))
        for peer in state.peers.values():
            self._tally(state, peer, 1)
        for wallet in state.workers:
            self.rank(state, wallet)

    def replace(self, state: State, old: Peer | None, new: Peer | None) -> None:
        """A peer's row changed."""
        for row, by in ((old, -1), (new, 1)):
            if row is not None:
                self._tally(state, row, by)
        for row in (old, new):
            if row is not None:
                self.rank(state, row.wallet)

    def _tally(self, state: State, peer: Peer, by: int) -> None:
        self.mentions[peer.wallet] += by
        self.here[peer.wallet] += by * could_work(state, peer)
        self.vanished.put(peer.peer, peer.vanished_ms if by > 0 else None)

    def rank(self, state: State, wallet: Wallet) -> None:
        """Sort a wallet in again."""
        row = state.workers.get(wallet)
        for table in (self.mentions, self.here):
            if not table[wallet]:
                del table[wallet]
        if row is None:
            for name in ("idle", "able", "short", "quarantined", "resting", "absent"):
                getattr(self, name).put(wallet, None)
            return
        able = row.fit and wallet in self.here
        waits = able and wallet not in state.open.index.held
        is_covered = covers_another(state, row)
        self.idle.put(wallet, row.unit_ms if waits and is_covered else None)
        self.short.put(wallet, 0 if waits and not is_covered else None)
        self.able.put(wallet, row.kept if able and not row.ask_after_ms else None)
        self.quarantined.put(wallet, row.quarantined_until_ms or None)
        self.resting.put(wallet, row.ask_after_ms or None)
        forgettable = wallet not in self.mentions
        self.absent.put(wallet, row.faults << 32 | row.failures if forgettable else None)


def covers_another(state: State, worker: Worker) -> bool:
    """Whether the wallet's free bond answers for one more unit of the open round."""
    return state.open.index.staked[worker.wallet] < worker.covers


def could_work(state: State, peer: Peer) -> bool:
    """Connected, and it asked with enough memory."""
    enough = peer.memory_bytes is not None and peer.memory_bytes >= state.terms.memory_bytes
    return enough and peer.vanished_ms is None
