"""One round under way: its slots, and the answers about them that no event may have to search for.

`put` is the only way to change a slot. It keeps, by slot, the row that the event began with (the
difference decides which commands begin to stand) and the indexes: which slots are free, which could
be repeated, when time next acts on one, who holds what. They follow from the rows alone; decoding
or copying a round rebuilds them.

All that belongs to one round is here and nowhere else: several may be under way at once.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from scheduler.blob_ref import BlobRef
from scheduler.ordered import Ordered
from scheduler.rows import DONE, LOCAL, ON_CHAIN, WAITING, Combined, Slot, SlotStatus
from scheduler.terms import UnitRef, Wallet


@dataclass(slots=True)
class Round:
    """A round of a job, from the checkpoint that it starts from. Owned by its state.

    `batches`: on the chain so far.
    """

    number: int
    checkpoint: bytes
    blob: BlobRef
    slots: list[Slot]
    batches: int = 0
    combined: Combined | None = None
    window_over: bool = False
    index: "SlotIndex" = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        self.index = SlotIndex(self.slots)

    @property
    def generation(self) -> int:
        """Names the set of results to combine: the sum of the slots' attempts."""
        return self.index.attempts

    def put(self, slot: Slot) -> Slot | None:
        """Set a slot's row; the row before, or None where nothing changed."""
        old = self.slots[slot.index]
        if old == slot:
            return None
        self.slots[slot.index] = slot
        self.index.touched.setdefault(slot.index, old)
        self.index.replace(old, slot)
        return old

    def unit(self, slot: Slot) -> UnitRef:
        """The unit that the slot waits for or holds."""
        return UnitRef(self.number, slot.index, slot.attempt)

    def is_free(self, unit: UnitRef) -> bool:
        """Whether the round waits for this very unit: its slot is open at this attempt."""
        if unit.round != self.number or not 0 <= unit.slot < len(self.slots):
            return False
        slot = self.slots[unit.slot]
        return slot.status is SlotStatus.OPEN and self.unit(slot) == unit

    def all_done(self) -> bool:
        """Whether every unit is settled on the chain."""
        return self.index.done == len(self.slots) > 0

    def all_ready(self) -> bool:
        """Whether every unit is settled and its result is here."""
        return self.index.ready == len(self.slots) > 0

    def all_here(self) -> bool:
        """Whether every slot has a claim on the chain and its result is here."""
        return self.index.here == len(self.slots) > 0

    def untouched(self) -> bool:
        """Whether nobody has begun a unit of this round."""
        return self.batches == 0 and len(self.index.free) == len(self.slots)


class SlotIndex:
    """What follows from a round's slots, kept up to date row by row.

    - `free`: open and computed by nobody, lowest slot first
    - `computed`: open and computed by one or more, by the start of the first
    - `stored`: results that wait for holders, by the end of that wait
    - `filled`: those that wait for the batch, by the end of their patience
    - `due`: what time acts on next: overdue assignments, fetches, holders, audits
    - `count`: slots by status; `done` and `ready` of them; `here`: on the chain, with the result
      here; `committed`: by batch
    - `attempts`: their sum
    - `held`, `claimed`: by wallet, the slots that it computes, that wait with its claim
    - `staked`: by wallet, how many slots need its bond and are not on the chain: both of these, and
      those that are being sent there
    """

    __slots__ = (
        "attempts",
        "claimed",
        "committed",
        "computed",
        "count",
        "done",
        "due",
        "filled",
        "free",
        "held",
        "here",
        "ready",
        "staked",
        "stored",
        "touched",
    )

    def __init__(self, slots: Iterable[Slot]) -> None:
        self.touched: dict[int, Slot] = {}
        self.free: Ordered[int] = Ordered()
        self.computed: Ordered[int] = Ordered()
        self.stored: Ordered[int] = Ordered()
        self.filled: Ordered[int] = Ordered()
        self.due: Ordered[int] = Ordered()
        self.count = dict.fromkeys(SlotStatus, 0)
        self.committed: Counter[int] = Counter()
        self.done = self.ready = self.here = self.attempts = 0
        self.held: dict[Wallet, set[int]] = {}
        self.claimed: dict[Wallet, set[int]] = {}
        self.staked: Counter[Wallet] = Counter()
        for slot in slots:
            self._tally(slot, 1)
            self._rank(slot)

    def replace(self, old: Slot, new: Slot) -> None:
        """A slot's row changed."""
        self._tally(old, -1)
        self._tally(new, 1)
        self._rank(new)

    def _rank(self, slot: Slot) -> None:
        is_open, assignments = slot.status is SlotStatus.OPEN, slot.assignments
        self.free.put(slot.index, 0 if is_open and not assignments else None)
        self.computed.put(slot.index, assignments[0].assigned_ms if assignments else None)
        for status, order in ((SlotStatus.STORED, self.stored), (SlotStatus.FILLED, self.filled)):
            order.put(slot.index, slot.due_ms if slot.status is status else None)
        self.due.put(slot.index, due_ms(slot))

    def _tally(self, slot: Slot, by: int) -> None:
        self.count[slot.status] += by
        self.attempts += by * slot.attempt
        self.done += by * (slot.status in DONE)
        self.ready += by * slot.ready
        self.here += by * (slot.status in ON_CHAIN and slot.here)
        if slot.status is SlotStatus.COMMITTED and slot.batch is not None:
            self.committed[slot.batch] += by
        for assignment in slot.assignments:
            self.staked[assignment.wallet] += by
            _list(self.held, assignment.wallet, slot.index, by > 0)
        if slot.status in LOCAL and slot.filling is not None:
            self.staked[slot.filling.wallet] += by
        if slot.status in WAITING and slot.filling is not None:
            _list(self.claimed, slot.filling.wallet, slot.index, by > 0)


def fresh(
    number: int, checkpoint: bytes, blob: BlobRef, attempts: Sequence[int], now_ms: int
) -> Round:
    """A round that nobody has begun; `attempts`: the next of each slot."""
    slots = [Slot(index, attempt, since_ms=now_ms) for index, attempt in enumerate(attempts)]
    return Round(number, checkpoint, blob, slots)


def due_ms(slot: Slot) -> int | None:
    """When time alone changes the slot next; None: never."""
    own_ms = _own_due_ms(slot)
    if not slot.return_ms:
        return own_ms
    return slot.return_ms if own_ms is None else min(slot.return_ms, own_ms)


def _own_due_ms(slot: Slot) -> int | None:
    if slot.assignments:
        return min(assignment.until_ms for assignment in slot.assignments)
    if slot.status is SlotStatus.STORED:
        return min([slot.due_ms, *(ask.until_ms for ask in slot.asks)])
    waits = slot.status is SlotStatus.DRAWN and not slot.overdue
    return slot.due_ms if waits or slot.status is SlotStatus.RECEIPTED else None


def wallets_of(slot: Slot) -> set[Wallet]:
    """Everybody whom the slot's row names."""
    named = {assignment.wallet for assignment in (*slot.assignments, *slot.lapsed)}
    return named | {slot.filling.wallet} if slot.filling is not None else named


def _list(table: dict[Wallet, set[int]], wallet: Wallet, index: int, present: bool) -> None:
    if present:
        table.setdefault(wallet, set()).add(index)
        return
    table[wallet].discard(index)
    if not table[wallet]:
        del table[wallet]
