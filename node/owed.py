"""What an account owes the network now, by the ledger alone: pure, and the same after a restart.

Each function lists units in the order in which the chain had them. `now_s` is the chain's time.
"""

from node.ledger import Ledger, UnitState, UnitView


def audits(ledger: Ledger, account: str, now_s: int) -> list[UnitView]:
    """Units that it was drawn to recompute and may still commit to."""
    return [
        unit
        for unit in ledger.units.values()
        if unit.state is UnitState.DRAWN and unit.auditor == account and now_s <= unit.deadline_s
    ]


def openings(ledger: Ledger, account: str) -> list[UnitView]:
    """Its own units of which an audit is committed or a dispute is on: not opened, they cost it
    its bond.
    """
    asked = (UnitState.AUDIT_COMMITTED, UnitState.DISPUTED)
    return [
        unit
        for unit in ledger.units.values()
        if unit.worker == account and unit.state in asked and not unit.unit_root
    ]


def reveals(ledger: Ledger, account: str) -> list[UnitView]:
    """Units that it audits and whose workers have opened them."""
    return [
        unit
        for unit in ledger.units.values()
        if unit.state is UnitState.AUDIT_COMMITTED and unit.auditor == account and unit.unit_root
    ]


def votes(ledger: Ledger, account: str, now_s: int) -> list[UnitView]:
    """Disputed units on whose jury it has a seat and not voted yet."""
    return [
        unit
        for unit in ledger.units.values()
        if unit.state is UnitState.DISPUTED
        and account in unit.jurors
        and account not in unit.votes_committed
        and now_s <= unit.vote_commit_deadline_s
    ]


def vote_reveals(ledger: Ledger, account: str, now_s: int) -> list[UnitView]:
    """Its votes to show: every juror has committed, or the time for it is over."""
    return [
        unit
        for unit in ledger.units.values()
        if unit.state is UnitState.DISPUTED
        and account in unit.votes_committed
        and account not in unit.votes_revealed
        and (len(unit.votes_committed) == len(unit.jurors) or now_s > unit.vote_commit_deadline_s)
    ]
