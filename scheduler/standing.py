"""The commands that stand: what the state wants done, computed from the state alone.

A coordinator issues a command when it begins to stand; after a restart everything that stands is
carried out again. Because both read this one function, no command can be forgotten or left over.
"""

from collections.abc import Iterator

from scheduler.commands import (
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
from scheduler.state import (
    DONE,
    Slot,
    SlotStatus,
    State,
    claim_of,
    result_of,
    unit_of,
)


def standing(state: State) -> tuple[StandingCommand, ...]:
    """Everything that should be under way, each command once, in a fixed order."""
    if state.outcome is not None:
        return (FinishJob(state.outcome),)
    commands = [PublishRound(state.round), *_results(state), *_commit(state), *_audits(state)]
    commands += _checkpoint(state)
    return tuple(dict.fromkeys(commands))


def _results(state: State) -> Iterator[StandingCommand]:
    for slot in state.slots:
        if slot.filling is None or slot.filling.stored:
            continue
        unit, filling = unit_of(state, slot), slot.filling
        if filling.blob is not None and filling.peer is not None:
            yield FetchResult(unit, filling.blob, filling.peer, filling.result_root)
        else:
            yield RecoverResult(unit, filling.wallet, filling.result_root)


def _commit(state: State) -> Iterator[StandingCommand]:
    submitted = [slot for slot in state.slots if slot.status is SlotStatus.SUBMITTED]
    if submitted:
        yield CommitRound(state.round, tuple(claim_of(slot) for slot in submitted))


def _audits(state: State) -> Iterator[StandingCommand]:
    for slot in state.slots:
        yield from _audit(state, slot)


def _audit(state: State, slot: Slot) -> Iterator[StandingCommand]:
    if slot.status is SlotStatus.COMMITTED and slot.batch is not None:
        yield CaptureDraw(state.round, slot.batch)
    if slot.status is SlotStatus.DRAWN and slot.overdue:
        yield ExpireUnit(unit_of(state, slot))
    if slot.status is SlotStatus.DISPUTED:
        yield ResolveDispute(unit_of(state, slot))


def _checkpoint(state: State) -> Iterator[StandingCommand]:
    if state.paused_until_ms or any(slot.status not in DONE for slot in state.slots):
        return
    if state.combined is None and all(slot.ready for slot in state.slots):
        results = tuple(result_of(slot) for slot in state.slots)
        yield Combine(state.round, state.generation, state.checkpoint, state.blob, results)
    if not state.window_over:
        yield AwaitChallengeWindow(state.round, max(slot.due_ms for slot in state.slots))
    elif state.combined is not None:
        yield FinalizeRound(state.round, state.combined.checkpoint, state.combined.blob)
