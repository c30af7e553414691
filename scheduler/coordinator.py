"""One job's coordinator: a state machine without clock, chance or I/O.

    state, commands = start(CoordinationStarted(terms, round, checkpoint, blob), now_ms)
    done = handle(state, event, now_ms, seed)       # done.changed, done.commands

`handle` updates the state in place, whole or not at all. How a node drives it:

1. `handle` the event. IllegalEvent changes nothing: report it as a bug of the node.
2. If `done.changed`, append `codec.encode(Entry(now_ms, seed, event))` to the journal, durably. If
   not, the event had no effect and need not be journaled (most ticks and declined requests).
   Where the append fails, the state is ahead of the journal: `replay` it and go on from there.
3. Carry out `done.commands`. Receipts leave only now: what was promised is durable.

Pure means replayable here: the same records lead to the same digest. After a restart: `replay` the
records, `handle` `NodeRestarted`, feed the chain's events from `state.chain_at` on (repetitions are
ignored), then carry out `pending(state)`. A torn last record is dropped: none of its commands was
carried out. Events journaled *before* they are handled replay to the same state too; illegal ones
are counted and skipped as they were the first time.

A new coordinator starts at the oldest round that is not final, with the checkpoint before it, and
feeds the job's chain events from the first on; rounds that its predecessor anchored begin again
with them, its claims are adopted and their results recovered.

`now_ms` may step back (a clock was corrected): the machine never does. `seed` is any integer from 0
to 2^64 - 1, drawn by the node; it spreads the retries of declined peers and nothing else.

An event costs what it changes and a binary search, whatever the number of peers; closing a batch or
a round costs a step for each of its slots. docs/results/scheduler.md has the figures.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from scheduler import assignment, chain_events, local, standing
from scheduler.codec import Entry, decode, encode_state
from scheduler.commands import Command, StandingCommand
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
from scheduler.legality import check
from scheduler.round import fresh
from scheduler.settle import settle
from scheduler.state import State


@dataclass(frozen=True, slots=True)
class Handled:
    """What an event did: whether the state changed, and what the node is to do."""

    changed: bool
    commands: tuple[Command, ...]


def start(event: CoordinationStarted, now_ms: int) -> tuple[State, tuple[Command, ...]]:
    """A coordination of a job from its oldest round on; ValueError for a round the job has not."""
    if not 0 <= event.round < event.terms.rounds:
        raise ValueError(f"round {event.round} of a job with {event.terms.rounds} rounds")
    attempts = (0,) * event.terms.slots
    held = fresh(event.round, event.checkpoint, event.blob, attempts, now_ms)
    state = State(event.terms, held, now_ms)
    return state, standing.begun(state)


def handle(state: State, event: Event, now_ms: int, seed: int = 0) -> Handled:
    """Take in an event; what changed, and the commands that it calls for.

    Raises IllegalEvent, with the state as it was, for an event that cannot follow.
    """
    if state.outcome is not None:
        if isinstance(event, UnitRequested | UnitCommitted):
            return Handled(False, assignment.answer_after_the_end(event))
        return Handled(False, ())
    if isinstance(event, ChainEvent) and event.at <= state.chain_at:
        return Handled(False, ())
    check(state, event)
    now_ms = max(now_ms, state.clock_ms)
    state.during.changed = False
    if not isinstance(event, NodeRestarted):
        settle(state, now_ms)
    replies = _apply(state, event, now_ms, seed)
    settle(state, now_ms)
    if not state.during.changed:
        return Handled(False, replies)
    state.note(clock_ms=now_ms)
    return Handled(True, (*replies, *standing.begun(state)))


def _apply(state: State, event: Event, now_ms: int, seed: int) -> tuple[Command, ...]:
    if isinstance(event, PeerEvent):
        return assignment.apply(state, event, now_ms, seed)
    if isinstance(event, NodeEvent):
        local.apply(state, event, now_ms)
    elif isinstance(event, ChainEvent):
        chain_events.apply(state, event, now_ms)
        state.note(chain_at=event.at)
    return ()


def pending(state: State) -> tuple[StandingCommand, ...]:
    """What should be under way now, for a node that restarted or lost track. Idempotent."""
    return standing.standing(state)


def stands(state: State, command: StandingCommand) -> bool:
    """Whether a command is among `pending(state)`, without computing the others."""
    return standing.stands(state, command)


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
            handle(state, entry.event, entry.now_ms, entry.seed)
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
