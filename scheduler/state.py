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

    # --- Changes. Nothing else may assign to a state.

    def put_slot(self, slot: Slot) -> None:
        """Set the row of a slot of the open round."""
        old = self.open.put(slot)
        if old is None:
            return
        self.during.changed = True
        named = (slot.assignments, slot.lapsed, slot.filling)
        if (old.assignments, old.lapsed, old.filling) != named:
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
        """Set facts of the job or, where the round has them, of the open round."""
        for name, value in facts.items():
            owner = self.open if name in _OF_ROUND else self
            if getattr(owner, name) != value:
                setattr(owner, name, value)
                self.during.changed = True

    def begin(self, following: Round) -> None:
        """Close the open round; this one follows."""
        named = [wallet for slot in self.open.slots for wallet in wallets_of(slot)]
        self.open = following
        self.during.changed = True
        self.crowd.mentions.subtract(named)
        for wallet in sorted(set(named)):
            self.crowd.rank(self, wallet)


_OF_ROUND = frozenset({"batches", "generation", "combined", "window_over"})


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

    - `idle`: wallets that are here, fit, have asked with enough memory and hold nothing, by speed
    - `able`: these and those that hold something, by how many results they were asked to keep
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
        "vanished",
    )

    def __init__(self, state: State) -> None:
        self.idle: Ordered[Wallet] = Ordered()
        self.able: Ordered[Wallet] = Ordered()
        self.vanished: Ordered[PeerId] = Ordered()
        self.quarantined: Ordered[Wallet] = Ordered()
        self.absent: Ordered[Wallet] = Ordered()
        self.mentions: Counter[Wallet] = Counter()
        self.here: Counter[Wallet] = Counter()
        for slot in state.open.slots:
            self.mentions.update(wallets_of(slot))
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
            for order in (self.idle, self.able, self.quarantined, self.absent):
                order.put(wallet, None)
            return
        able = row.fit and wallet in self.here
        waits = able and wallet not in state.open.index.held
        self.idle.put(wallet, row.unit_ms if waits else None)
        self.able.put(wallet, row.kept if able else None)
        self.quarantined.put(wallet, row.quarantined_until_ms or None)
        forgettable = wallet not in self.mentions
        self.absent.put(wallet, row.faults << 32 | row.failures if forgettable else None)


def could_work(state: State, peer: Peer) -> bool:
    """Connected, and it asked with enough memory."""
    enough = peer.memory_bytes is not None and peer.memory_bytes >= state.terms.memory_bytes
    return enough and peer.vanished_ms is None
