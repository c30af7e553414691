"""The commands that stand: what the state wants done, computed from the state alone.

`standing` is the definition: everything, from the facts. A coordinator issues a command when it
begins to stand, and `begun` finds those by looking only at the slots that an event touched and, if
the facts that they follow from changed, at the commands of the round as a whole. The tests hold one
against the other after every event. After a restart everything that stands is carried out again, so
that no command can be forgotten.
"""

from collections.abc import Iterator
from itertools import pairwise

from scheduler.commands import (
    AnchorRound,
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
    WithdrawAnchors,
)
from scheduler.round import Round
from scheduler.rows import ON_CHAIN, Slot, SlotStatus
from scheduler.state import State

OfSlot = FetchResult | RecoverResult | AskHolder | CaptureDraw | ExpireUnit | ResolveDispute


def standing(state: State) -> tuple[StandingCommand, ...]:
    """Everything that should be under way, each command once, in a fixed order."""
    if state.outcome is not None:
        return of_round(state)
    of_slots = [
        command
        for held in state.under_way()
        for slot in held.slots
        for command in _of_slot(held, slot)
    ]
    return tuple(dict.fromkeys([*of_round(state), *of_slots]))


def stands(state: State, command: StandingCommand) -> bool:
    """Whether a command is still to be carried out; for many, cheaper than `standing`."""
    if state.outcome is not None or not isinstance(command, OfSlot):
        return command in state.during.standing
    if isinstance(command, CaptureDraw):
        held = state.find(command.round)
        return held is not None and held.index.committed[command.batch] > 0
    held = state.find(command.unit.round)
    return held is not None and command in _of_slot(held, held.slots[command.unit.slot])


def begun(state: State) -> tuple[StandingCommand, ...]:
    """What stands now and did not before the event; closes the event's account."""
    during, rounds = state.during, state.under_way()
    commands: list[StandingCommand] = []
    if _flags(state) != during.flags or any(_touches_round(state, held) for held in rounds):
        before = during.standing
        during.standing, during.flags = of_round(state), _flags(state)
        commands += (command for command in during.standing if command not in before)
    for held in rounds:
        touched = held.index.touched
        for index in sorted(touched) if state.outcome is None else ():
            stood = tuple(_of_slot(held, touched[index]))
            now = _of_slot(held, held.slots[index])
            commands += (command for command in now if command not in stood)
        touched.clear()
    return tuple(dict.fromkeys(commands))


def _flags(state: State) -> tuple[object, ...]:
    """The facts of whole rounds that their commands follow from."""
    of_rounds = tuple(
        (
            held.number,
            held.checkpoint,
            held.all_done(),
            held.all_ready(),
            held.all_here(),
            held.index.count[SlotStatus.DISPUTED],
            held.generation,
            held.combined,
            held.window_over,
        )
        for held in state.under_way()
    )
    return (state.outcome, bool(state.paused_until_ms), state.cancelled, of_rounds)


def _touches_round(state: State, held: Round) -> bool:
    """Whether a touched slot is one that a command of the whole round lists."""
    touched = held.index.touched
    if touched and (held.all_done() or _may_combine(state, held)):
        return True
    submitted = SlotStatus.SUBMITTED
    return any(submitted in (old.status, held.slots[i].status) for i, old in touched.items())


def of_round(state: State) -> tuple[StandingCommand, ...]:
    """What stands of whole rounds."""
    if state.outcome is not None:
        return (FinishJob(state.outcome),)
    published, commit = PublishRound(state.round), _commit(state.open)
    if state.paused_until_ms:
        return (published, *commit)
    combine = [command for held in state.under_way() for command in _combine(state, held)]
    return (published, *commit, *combine, *_anchor(state), *_finalize(state))


def _commit(held: Round) -> Iterator[StandingCommand]:
    if held.index.count[SlotStatus.SUBMITTED]:
        submitted = (slot for slot in held.slots if slot.status is SlotStatus.SUBMITTED)
        yield CommitRound(held.number, tuple(slot.claim for slot in submitted))


def _may_combine(state: State, held: Round) -> bool:
    """Whether the round's results are combined now: once settled, or where rounds may run ahead
    once they are claimed.
    """
    whole = held.all_here() if state.terms.rounds_ahead else held.all_ready()
    return whole and held.combined is None


def _combine(state: State, held: Round) -> Iterator[StandingCommand]:
    if _may_combine(state, held):
        results = tuple(slot.result for slot in held.slots)
        yield Combine(held.number, held.generation, held.checkpoint, held.blob, results)


def _anchor(state: State) -> Iterator[StandingCommand]:
    held, terms = state.open, state.terms
    room = len(state.anchored) < terms.rounds_ahead and held.number + 1 < terms.rounds
    if not room or held.combined is None or state.cancelled:
        return
    # Whoever disputes a result may be right: what came after it would be for nothing.
    if held.all_here() and not any(h.index.count[SlotStatus.DISPUTED] for h in state.under_way()):
        yield AnchorRound(held.number, held.combined.checkpoint, held.combined.blob)


def _finalize(state: State) -> Iterator[StandingCommand]:
    for held, following in pairwise(state.under_way()):
        if held.combined is not None and held.combined.checkpoint != following.checkpoint:
            yield WithdrawAnchors(held.number)
            return
    held = state.oldest
    if not held.all_done():
        return
    if not held.window_over:
        yield AwaitChallengeWindow(held.number, max(slot.due_ms for slot in held.slots))
    elif held.combined is not None:
        yield FinalizeRound(held.number, held.combined.checkpoint, held.combined.blob)


def _of_slot(held: Round, slot: Slot) -> Iterator[OfSlot]:
    filling, unit = slot.filling, held.unit(slot)
    if filling is not None and not filling.stored:
        if filling.blob is not None and filling.peer is not None:
            yield FetchResult(unit, filling.blob, filling.peer, filling.result_root)
        if slot.status in ON_CHAIN:
            # Beside that: whoever offers a result may send another one, or never end. What is
            # disputed may be a lie, which would be computed again and again.
            anew = not slot.return_ms and slot.status is not SlotStatus.DISPUTED
            yield RecoverResult(unit, filling.wallet, filling.result_root, anew)
    if filling is not None and filling.blob is not None:
        for ask in slot.asks:
            yield AskHolder(unit, filling.blob, filling.result_root, ask.wallet)
    if slot.status is SlotStatus.COMMITTED and slot.batch is not None:
        yield CaptureDraw(held.number, slot.batch)
    if slot.status is SlotStatus.DRAWN and slot.overdue:
        yield ExpireUnit(unit)
    if slot.status is SlotStatus.DISPUTED:
        yield ResolveDispute(unit)
