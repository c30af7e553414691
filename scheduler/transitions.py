"""The moves of a slot, in one table.

    OPEN -> RECEIPTED -> STORED -> FILLED -> SUBMITTED -> COMMITTED -+-> PASSED ---+
     ^         |           |                                  |      |             |
     |         | refused,  | no holders in time               v      |             v
     +---------+ overdue --+                                DRAWN ---+--------> DISPUTED
     |                                                        |      |             |
     |                                                        |      +-> VERIFIED <+
     +------------------ attempt + 1 -------------------- fault, void -------------+

A pair of event and status that is not in the table is illegal for events of the chain. Reports of
this node on something that was replaced meanwhile are ignored instead (scheduler/local.py), and
what peers say out of turn is refused (scheduler/assignment.py).
"""

from collections.abc import Mapping
from typing import Final

from scheduler.errors import IllegalEvent
from scheduler.events import (
    AuditAdvanced,
    CommitRefused,
    Event,
    HoldingRefused,
    ResultHeld,
    ResultRefused,
    ResultStored,
    RoundCommittedOnChain,
    UnitCommitted,
    UnitDisputed,
    UnitDrawn,
    UnitFaulted,
    UnitPassed,
    UnitVerified,
    UnitVoided,
)
from scheduler.rows import Slot, SlotStatus

OPEN, RECEIPTED, STORED, FILLED, SUBMITTED, COMMITTED, DRAWN, DISPUTED, PASSED, VERIFIED = (
    SlotStatus
)

SLOT_MOVES: Final[Mapping[type[Event], Mapping[SlotStatus, SlotStatus]]] = {
    UnitCommitted: {OPEN: RECEIPTED},
    ResultStored: {
        RECEIPTED: STORED,
        # A result that an earlier coordinator put on the chain, recovered.
        COMMITTED: COMMITTED,
        DRAWN: DRAWN,
        DISPUTED: DISPUTED,
        PASSED: PASSED,
        VERIFIED: VERIFIED,
    },
    ResultRefused: {
        RECEIPTED: OPEN,
        # One source of such a result failed; the claim stands and others are asked.
        COMMITTED: COMMITTED,
        DRAWN: DRAWN,
        DISPUTED: DISPUTED,
        PASSED: PASSED,
        VERIFIED: VERIFIED,
    },
    # Enough holdings fill the slot at once (scheduler/custody.py).
    ResultHeld: {STORED: STORED},
    HoldingRefused: {STORED: STORED},
    CommitRefused: {SUBMITTED: FILLED},
    # The last four belong to a claim of an earlier coordinator: the chain is right.
    RoundCommittedOnChain: {
        SUBMITTED: COMMITTED,
        FILLED: COMMITTED,
        STORED: COMMITTED,
        RECEIPTED: COMMITTED,
        OPEN: COMMITTED,
    },
    UnitDrawn: {COMMITTED: DRAWN, DRAWN: DRAWN},
    AuditAdvanced: {DRAWN: DRAWN, DISPUTED: DISPUTED},
    UnitPassed: {COMMITTED: PASSED, DRAWN: PASSED},
    UnitVerified: {DRAWN: VERIFIED, DISPUTED: VERIFIED},
    UnitDisputed: {
        DRAWN: DISPUTED,
        PASSED: DISPUTED,
        VERIFIED: DISPUTED,
    },
    UnitFaulted: {DRAWN: OPEN, DISPUTED: OPEN},
    UnitVoided: {DISPUTED: OPEN},
}


def move(slot: Slot, event: Event) -> SlotStatus:
    """The slot's status after the event; IllegalEvent where the table has none."""
    moves = SLOT_MOVES[type(event)]
    if slot.status not in moves:
        legal = ", ".join(moves)
        raise IllegalEvent(
            f"{type(event).__name__} for slot {slot.index}, which is {slot.status}; "
            f"legal when {legal}"
        )
    return moves[slot.status]
