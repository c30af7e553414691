"""What an account owes the network now, by the ledger alone: pure, and the same after a restart.

Each function lists units in the order in which the chain had them. `now_s` is the chain's time.
"""

from hashlib import sha256

from node.ledger import Ledger, UnitState, UnitView

RELEASE_AFTER_S = 60
"""How long a round's end, which frees the locks of its units at no cost, is waited for."""

RELEASE_STEP_S = 30
"""How much longer each further worker of a batch waits: the first one's call frees for all."""

CAPTURE_AFTER_BLOCKS = 30
CAPTURE_SPREAD_BLOCKS = 64
"""How long its coordinator has for a batch's draw before others capture it, each at a time of its
own. The chain forgets the block's hash after 256: later than that another block is set, and the
whole batch is drawn.
"""


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


def releases(ledger: Ledger, account: str, now_s: int) -> list[UnitView]:
    """Its own units that can be faulted no more and that still lock a part of its bond.

    At once if they were dissolved, for nobody else sees to it, or if the bond covers nothing else.
    """
    dissolved = [unit for unit in ledger.dissolved.values() if unit.worker == account]
    return dissolved + [
        unit
        for unit in ledger.units.values()
        if unit.worker == account
        and unit.state in (UnitState.PASSED, UnitState.VERIFIED)
        and not unit.is_released
        and now_s > unit.deadline_s + _patience_s(ledger, unit)
        and unit.key.round >= ledger.jobs[unit.job_id].open_round
    ]


def deposits(ledger: Ledger, account: str) -> list[UnitView]:
    """Units that it challenged and that were dissolved: nobody else fetches its deposit."""
    return [unit for unit in ledger.deposits.values() if unit.challenger == account]


def _patience_s(ledger: Ledger, unit: UnitView) -> int:
    """With deadline 0, which a verdict leaves, the patience is over too: the wait was long."""
    if not ledger.covers(unit.worker, ledger.jobs[unit.job_id]):
        return 0
    workers = list(dict.fromkeys(claim.worker for claim in unit.batch.claims))
    return RELEASE_AFTER_S + RELEASE_STEP_S * workers.index(unit.worker)


def captures(ledger: Ledger, account: str) -> list[UnitView]:
    """Units whose draw nobody has captured in the time that it has for it: any node may."""
    place = int.from_bytes(sha256(account.encode()).digest()[:8]) % CAPTURE_SPREAD_BLOCKS
    latest = ledger.head - CAPTURE_AFTER_BLOCKS - place
    return [
        unit
        for unit in ledger.units.values()
        if unit.state is UnitState.COMMITTED
        and not unit.batch.is_captured
        and unit.batch.draw_block < latest
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
