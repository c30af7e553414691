"""One job's coordinator: a pure state machine.

    state, commands = start(CoordinationStarted(terms, round, checkpoint, blob), now_ms)
    new, commands = handle(state, event, now_ms, seed)

How a node drives it:

1. `handle` the event. IllegalEvent changes nothing: report it as a bug of the node.
2. If `new is not state`, append `codec.encode(Entry(now_ms, seed, event))` to the journal, durably.
   If it is, the event had no effect and need not be journaled (most ticks and declined requests).
3. Adopt `new`, then carry out the commands. Receipts leave only now: what was promised is durable.

After a restart: `replay` the records, `handle` `NodeRestarted`, feed the chain's events from
`state.chain_at` on (repetitions are ignored), then carry out `pending(state)`. A torn last record
is dropped: none of its commands was carried out. Events journaled *before* they are handled replay
to the same state too; illegal ones are counted and skipped as they were the first time.

A new coordinator starts at the chain's open round with the last anchored checkpoint and feeds the
round's chain events first; claims of its predecessor are adopted and their results recovered.

`now_ms` may step back (a clock was corrected): the machine never does. `seed` is any integer from 0
to 2^64 - 1, drawn by the node; it spreads the retries of declined peers and nothing else.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from scheduler import assignment, chain_events, local
from scheduler.codec import Entry, decode, encode_state
from scheduler.commands import Command
from scheduler.errors import IllegalEvent, JournalError
from scheduler.events import (
    ChainEvent,
    CoordinationStarted,
    Event,
    NodeEvent,
    NodeRestarted,
    PeerEvent,
    UnitCommitted,
    UnitRequested,
)
from scheduler.settle import settle
from scheduler.standing import standing
from scheduler.state import Slot, State


def start(event: CoordinationStarted, now_ms: int) -> tuple[State, tuple[Command, ...]]:
    """A coordination of a job from its open round on; ValueError for a round the job has not."""
    if not 0 <= event.round < event.terms.rounds:
        raise ValueError(f"round {event.round} of a job with {event.terms.rounds} rounds")
    slots = tuple(Slot(index) for index in range(event.terms.slots))
    state = State(event.terms, event.round, event.checkpoint, event.blob, slots, now_ms)
    return state, standing(state)


def handle(
    state: State, event: Event, now_ms: int, seed: int = 0
) -> tuple[State, tuple[Command, ...]]:
    """The state after the event and the commands that it calls for.

    Returns the same object when nothing changed. Raises IllegalEvent, with the state as it was, for
    an event that cannot follow.
    """
    now_ms = max(now_ms, state.clock_ms)
    if state.outcome is not None:
        if isinstance(event, UnitRequested | UnitCommitted):
            return state, assignment.answer_after_the_end(event)
        return state, ()
    if isinstance(event, ChainEvent) and event.at <= state.chain_at:
        return state, ()
    before = state if isinstance(event, NodeRestarted) else settle(state, now_ms)
    after, replies = _apply(before, event, now_ms, seed)
    after = settle(after, now_ms)
    if isinstance(event, ChainEvent):
        after = replace(after, chain_at=event.at)
    if after == state:
        return state, replies
    after = replace(after, clock_ms=now_ms)
    stood = set(standing(state))
    return after, (*replies, *(command for command in standing(after) if command not in stood))


def _apply(state: State, event: Event, now_ms: int, seed: int) -> assignment.Step:
    if isinstance(event, PeerEvent):
        return assignment.apply(state, event, now_ms, seed)
    if isinstance(event, NodeEvent):
        return local.apply(state, event, now_ms), ()
    if isinstance(event, ChainEvent):
        return chain_events.apply(state, event, now_ms), ()
    raise IllegalEvent("the coordination has started already")


def pending(state: State) -> tuple[Command, ...]:
    """What should be under way now, for a node that restarted or lost track. Idempotent."""
    return standing(state)


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a journal amounts to: its state, and the records that had no part in it."""

    state: State
    illegal: int
    torn: bool


def replay(records: Iterable[bytes]) -> Replayed:
    """The state that a journal leads to; JournalError where it is empty or damaged.

    Only the last record may be torn.
    """
    state: State | None = None
    illegal = 0
    damage: JournalError | None = None
    for record in records:
        if damage is not None:
            raise damage
        try:
            entry = decode(record)
        except JournalError as error:
            damage = error
            continue
        if state is None:
            state = _first(entry)
            continue
        try:
            state, _ = handle(state, entry.event, entry.now_ms, entry.seed)
        except IllegalEvent:
            illegal += 1
    if state is None:
        raise damage or JournalError("the journal of a coordination has no records")
    return Replayed(state, illegal, torn=damage is not None)


def _first(entry: Entry) -> State:
    if not isinstance(entry.event, CoordinationStarted):
        kind = type(entry.event).__name__
        raise JournalError(f"a journal starts with CoordinationStarted, not with {kind}")
    return start(entry.event, entry.now_ms)[0]


def digest(state: State) -> bytes:
    """sha256 of the state's canonical bytes: equal states, equal digests."""
    return hashlib.sha256(encode_state(state)).digest()
