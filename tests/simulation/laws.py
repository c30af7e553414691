"""What must hold, whatever happens; each law is broken by a planted bug in test_planted_bugs.py."""

from enum import StrEnum


class Law(StrEnum):
    """The invariants by name."""

    SLOT_ONCE = "no slot is counted twice"
    SLOT_KEPT = "no slot is lost"
    WINDOW = "no unit is paid before its window closes"
    SETTLED = "no unit is paid with an audit or a dispute open"
    MONEY = "money is conserved"
    CHECKPOINT = "the checkpoint is the fault-free one unless a lie escaped"
    CAUGHT = "a lie that an honest auditor saw or that was challenged does not stay"
    REPLAY = "a journal replays to the state that its node holds"
    CLOSES = "every round closes once faults stop"
    LOCKED = "each open unit has a part of its worker's bond of its own, and no other has any"
    PAID = "every honest unit is paid"
    PROMISE = "a receipted claim leaves its slot only for a reason"
    DRAWS = "units are drawn as often as the formula says"


class Violation(AssertionError):
    """A law was broken."""

    def __init__(self, law: Law, detail: str) -> None:
        super().__init__(f"{law}: {detail}")
        self.law = law


def require(condition: object, law: Law, detail: str) -> None:
    """Raise unless the condition holds."""
    if not condition:
        raise Violation(law, detail)
