"""The commands that stand: what the state wants done, computed from the state alone.

`standing` is the definition: everything, from the facts. A coordinator issues a command when it
begins to stand, and `begun` finds those by looking only at the slots that an event touched and, if
the facts that they follow from changed, at the commands of the round as a whole. The tests hold one
against the other after every event. After a restart everything that stands is carried out again, so
that no command can be forgotten.
"""

from collections.abc import Iterator

from scheduler.commands import (
    AskHolder,
    AwaitChallengeWindow,
    CaptureDraw,
    Combine,
    CommitRound,
    ExpireUnit,
    FetchResult,
    FinalizeRound,
    FinishJob,
    PublishRound,
    RecoverResult,
    ResolveDispute,
    StandingCommand,
)
from scheduler.round import Round
from scheduler.rows import Slot, SlotStatus
from scheduler.state import State

OfSlot = FetchResult | RecoverResult | AskHolder | CaptureDraw | ExpireUnit | ResolveDispute


def standing(state: State) -> tuple[StandingCommand, ...]:
    """Everything that should be under way, each command once, in a fixed order."""
    if state.outcome is not None:
        return of_round(state)
    of_slots = [command for slot in state.slots for command in _of_slot(state.open, slot)]
    return tuple(dict.fromkeys([*of_round(state), *of_slots]))


def stands(state: State, command: StandingCommand) -> bool:
    """Whether a command is still to be carried out; for many, cheaper than `standing`."""
    if state.outcome is not None or not isinstance(command, OfSlot):
        return command in state.during.standing
    if isinstance(command, CaptureDraw):
        return command.round == state.round and state.open.index.committed[command.batch] > 0
    unit = command.unit
    if unit.round != state.round:
        return False
    return command in _of_slot(state.open, state.slots[unit.slot])


def begun(state: State) -> tuple[StandingCommand, ...]:
    """What stands now and did not before the event; closes the event's account."""
    during, touched = state.during, state.open.index.touched
    commands: list[StandingCommand] = []
    if _flags(state) != during.flags or _touches_round(state, touched):
        before = during.standing
        during.standing, during.flags = of_round(state), _flags(state)
        commands += (command for command in during.standing if command not in before)
    for index in sorted(touched) if state.outcome is None else ():
        stood = tuple(_of_slot(state.open, touched[index]))
        now = _of_slot(state.open, state.slots[index])
        commands += (command for command in now if command not in stood)
    touched.clear()
    return tuple(dict.fromkeys(commands))


def _flags(state: State) -> tuple[object, ...]:
    """The facts of the round as a whole that its commands follow from."""
    held = state.open
    return (
        state.outcome,
        held.number,
        bool(state.paused_until_ms),
        held.all_done(),
        held.all_ready(),
        held.generation,
        held.combined,
        held.window_over,
    )


def _touches_round(state: State, touched: dict[int, Slot]) -> bool:
    """Whether a touched slot is one that a command of the whole round lists."""
    if touched and state.open.all_done():
        return True
    submitted = SlotStatus.SUBMITTED
    return any(submitted in (old.status, state.slots[i].status) for i, old in touched.items())


def of_round(state: State) -> tuple[StandingCommand, ...]:
    """What stands of the round as a whole."""
    if state.outcome is not None:
        return (FinishJob(state.outcome),)
    return (PublishRound(state.round), *_commit(state.open), *_checkpoint(state))


def _commit(held: Round) -> Iterator[StandingCommand]:
    if held.index.count[SlotStatus.SUBMITTED]:
        submitted = (slot for slot in held.slots if slot.status is SlotStatus.SUBMITTED)
        yield CommitRound(held.number, tuple(slot.claim for slot in submitted))


def _checkpoint(state: State) -> Iterator[StandingCommand]:
    held = state.open
    if state.paused_until_ms or not held.all_done():
        return
    if held.combined is None and held.all_ready():
        results = tuple(slot.result for slot in held.slots)
        yield Combine(held.number, held.generation, held.checkpoint, held.blob, results)
    if not held.window_over:
        yield AwaitChallengeWindow(held.number, max(slot.due_ms for slot in held.slots))
    elif held.combined is not None:
        yield FinalizeRound(held.number, held.combined.checkpoint, held.combined.blob)


def _of_slot(held: Round, slot: Slot) -> Iterator[OfSlot]:
    filling, unit = slot.filling, held.unit(slot)
    if filling is not None and not filling.stored:
        if filling.blob is not None and filling.peer is not None:
            yield FetchResult(unit, filling.blob, filling.peer, filling.result_root)
        else:
            yield RecoverResult(unit, filling.wallet, filling.result_root)
    if filling is not None and filling.blob is not None:
        for ask in slot.asks:
            yield AskHolder(unit, filling.blob, filling.result_root, ask.wallet)
    if slot.status is SlotStatus.COMMITTED and slot.batch is not None:
        yield CaptureDraw(held.number, slot.batch)
    if slot.status is SlotStatus.DRAWN and slot.overdue:
        yield ExpireUnit(unit)
    if slot.status is SlotStatus.DISPUTED:
        yield ResolveDispute(unit)
