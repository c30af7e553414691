"""Custody: a slot is filled once enough bonded wallets have signed that they hold its result.

The worker's word comes with its commit, this node's when it has fetched and checked the blob; so
two holders cost no transfer beyond that one. Where more are due, or worker and coordinator are one
wallet, peers that could work on the job are asked, those that were asked least first, no more at a
time than are missing, and nobody for more than ASKS_AT_ONCE results at a time. One that refuses or
is late, for which our own slow line may be to blame, works on, but is not asked for a while, nor
counted among those that are here: `holders_min` are due, or as many as there are. One that signs
something else is in quarantine. A result that finds no holders in time is *unavailable*, which its
worker does not answer for: its slot is open again.

The claims of an earlier coordinator have holders that this node may not reach now: they were killed
and come back. So such a result is looked for, and the unit is computed anew only when the round
needs the result and they have had `holders_return_ms`, but so early that half of the time for a
challenge is left, because what nobody gives may be a lie.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from itertools import islice

from scheduler.events import HoldingRefused, ResultHeld
from scheduler.round import Round
from scheduler.rows import (
    DONE,
    Filling,
    HolderAsk,
    Slot,
    SlotStatus,
    Unavailable,
    UnavailableCause,
)
from scheduler.standings import emptied, failed, worker_or_new
from scheduler.state import UNAVAILABLE_MAX, State
from scheduler.terms import ASKS_AT_ONCE, HOLDERS_MAX, Holding, UnitRef, Wallet


def settle(state: State, now_ms: int) -> None:
    """Fill the slots whose results have their holders; ask more for the others."""
    stored = state.open.index.stored
    for at in sorted(stored):
        if _missing(state, state.slots[at]) <= 0:
            _fill(state, state.slots[at], now_ms)
    busy = Counter(ask.wallet for at in stored for ask in state.slots[at].asks)
    for at in sorted(stored):
        _ask(state, state.slots[at], busy, now_ms)


def _missing(state: State, slot: Slot) -> int:
    """How many holders more are due."""
    assert slot.filling is not None
    holders, able = slot.filling.holders, state.crowd.able
    # Whoever was asked has its time to answer, also while it is away.
    away = sum(ask.wallet not in able for ask in slot.asks if ask.wallet not in holders)
    others = len(able) - sum(wallet in able for wallet in holders) + away
    return min(state.terms.policy.holders_min, len(holders) + others) - len(holders)


def _fill(state: State, slot: Slot, now_ms: int) -> None:
    terms = state.terms
    due_ms = now_ms + terms.policy.straggler_timeouts * terms.unit_timeout_ms
    state.put_slot(replace(slot, status=SlotStatus.FILLED, due_ms=due_ms, asks=()))


def _ask(state: State, slot: Slot, busy: Counter[Wallet], now_ms: int) -> None:
    """Ask as many as are missing; `busy`: how many results each wallet is asked for already."""
    assert slot.filling is not None
    known = slot.filling.holders | {ask.wallet for ask in slot.asks}
    found = (w for w in state.crowd.able if w not in known and busy[w] < ASKS_AT_ONCE)
    chosen = list(islice(found, max(0, _missing(state, slot) - len(slot.asks))))
    until_ms = now_ms + state.terms.policy.holding_timeout_ms + state.terms.transfer_ms
    for wallet in chosen:
        row = worker_or_new(state, wallet)
        state.put_worker(replace(row, kept=row.kept + 1))
    busy.update(chosen)
    asks = tuple(HolderAsk(wallet, until_ms) for wallet in chosen)
    state.put_slot(replace(slot, asks=(*slot.asks, *asks)))


def signed(filling: Filling, holding: Holding | None) -> Filling:
    """With one more wallet's word, unless it has given it already or there are enough."""
    if holding is None or holding.wallet in filling.holders:
        return filling
    return replace(filling, holdings=(*filling.holdings, holding)[:HOLDERS_MAX])


def held(state: State, event: ResultHeld) -> None:
    """A peer holds the result; nothing to do where that, or its word, no longer matters."""
    worker = state.workers.get(event.holding.wallet)
    if worker is None or not worker.active:
        return
    slot = _asking(state, event.unit)
    if slot is None or slot.filling is None or slot.filling.blob != event.blob:
        return
    asks = tuple(ask for ask in slot.asks if ask.wallet != event.holding.wallet)
    filling = signed(slot.filling, event.holding)
    state.put_slot(replace(slot, filling=filling, asks=asks))


def refused(state: State, event: HoldingRefused, now_ms: int) -> None:
    """A peer that was asked does not hold the result."""
    slot = _asking(state, event.unit)
    if slot is None or slot.filling is None or slot.filling.blob != event.blob:
        return
    if any(ask.wallet == event.wallet for ask in slot.asks):
        _drop_asks(state, slot, {event.wallet}, now_ms)
        if event.lied:
            failed(state, event.wallet, now_ms, grave=True)


def overdue(state: State, slot: Slot, now_ms: int) -> None:
    """Somebody who was asked is late, or the result finds no holders."""
    if now_ms < slot.due_ms:
        _drop_asks(state, slot, {a.wallet for a in slot.asks if a.until_ms <= now_ms}, now_ms)
        return
    unavailable(state, state.open, slot, UnavailableCause.HOLDERS, now_ms)
    state.put_slot(emptied(slot, now_ms))


def _drop_asks(state: State, slot: Slot, wallets: Collection[Wallet], now_ms: int) -> None:
    kept = tuple(ask for ask in slot.asks if ask.wallet not in wallets)
    state.put_slot(replace(slot, asks=kept))
    after_ms = now_ms + state.terms.policy.ask_again_ms
    for wallet in sorted(wallets):
        state.put_worker(replace(worker_or_new(state, wallet), ask_after_ms=after_ms))


def returning_ms(state: State, now_ms: int) -> int:
    """Until when holders of a result that an earlier coordinator has claimed may come back."""
    return now_ms + state.terms.policy.holders_return_ms + state.terms.transfer_ms


def hurried_ms(slot: Slot, until_ms: int, now_ms: int) -> int:
    """The same for a unit that can be challenged until `until_ms`."""
    if slot.return_ms and until_ms > now_ms:
        return min(slot.return_ms, now_ms + (until_ms - now_ms) // 2)
    return slot.return_ms


def resumed_ms(slot: Slot, pause_ms: int, now_ms: int) -> int:
    """The same after a pause of this node's, which does not count; a challenge has no more time."""
    moved = replace(slot, return_ms=slot.return_ms + pause_ms)
    return hurried_ms(moved, slot.due_ms, now_ms) if slot.status in DONE else moved.return_ms


def is_needed(state: State, slot: Slot) -> bool:
    """Whether the round waits for the slot's result: before its audit is over only where rounds run
    ahead, and the unit may yet turn out to be at fault."""
    return slot.status in DONE or state.terms.rounds_ahead > 0


def not_returned(state: State, held: Round, slot: Slot, now_ms: int) -> None:
    """The time for the holders to come back is over; there is more while nothing needs them."""
    return_ms = 0 if is_needed(state, slot) else returning_ms(state, now_ms)
    state.put_slot(replace(slot, return_ms=return_ms), held)


def unavailable(
    state: State, held: Round, slot: Slot, cause: UnavailableCause, now_ms: int
) -> None:
    """Note the verdict *result unavailable* on the slot's unit."""
    assert slot.filling is not None
    noted = Unavailable(held.unit(slot), slot.filling.wallet, cause, now_ms)
    totals = replace(state.totals, unavailable=state.totals.unavailable + 1)
    state.note(unavailable=(*state.unavailable, noted)[-UNAVAILABLE_MAX:], totals=totals)


def _asking(state: State, unit: UnitRef) -> Slot | None:
    """The slot of a unit of the open round that still waits for holders."""
    if unit.round != state.round or unit.attempt != state.slots[unit.slot].attempt:
        return None
    slot = state.slots[unit.slot]
    return slot if slot.status is SlotStatus.STORED else None
