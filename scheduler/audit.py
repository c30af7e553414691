"""The arithmetic of audits: how often a unit is drawn, what is caught, what a bond must cover.

`audit_rate` and `is_drawn` are the ledger's formulas (contracts/libraries/Lottery.sol), so that
anyone can predict and recheck a draw; the chain decides. Results are exact fractions.
"""

from collections.abc import Iterable
from fractions import Fraction

BPS = 10_000
TICKET_BYTES = 32


def audit_rate(clean_units: int, probation_units: int, floor_bps: int) -> Fraction:
    """The probability that a unit is drawn; `clean_units`: its worker's units since a fault.

    One during probation, then max(1/n, floor).
    """
    _check(clean_units, probation_units, floor_bps)
    if clean_units < probation_units or clean_units <= 1:
        return Fraction(1)
    return max(Fraction(1, clean_units), Fraction(floor_bps, BPS))


def is_drawn(ticket: bytes, clean_units: int, probation_units: int, floor_bps: int) -> bool:
    """Whether a unit is audited; `ticket` is keccak256(abi.encode(seed, unit id))."""
    _check(clean_units, probation_units, floor_bps)
    if len(ticket) != TICKET_BYTES:
        raise ValueError(f"a ticket has {TICKET_BYTES} bytes, not {len(ticket)}")
    if clean_units < probation_units or clean_units <= 1:
        return True
    number = int.from_bytes(ticket, "big")
    if floor_bps * clean_units <= BPS:
        return number % clean_units == 0
    return number % BPS < floor_bps


def _check(clean_units: int, probation_units: int, floor_bps: int) -> None:
    if clean_units < 0 or probation_units < 0 or not 0 <= floor_bps <= BPS:
        raise ValueError(
            f"clean units {clean_units} and probation {probation_units} must not be negative, "
            f"the floor {floor_bps} is in 0..{BPS}"
        )


def lock_wei(unit_wei: int, factor_bps: int, floor_bps: int) -> int:
    """What a unit locks of its worker's bond and a fault of it costs: the ledger's formula."""
    return unit_wei * factor_bps // floor_bps


def detection_probability(rates: Iterable[Fraction]) -> Fraction:
    """The probability that at least one of several lies is drawn, one rate per lie."""
    missed = Fraction(1)
    for rate in rates:
        missed *= 1 - rate
    return 1 - missed


def bond_wei_min(
    unit_cost_wei: int,
    gain_wei: int,
    rate: Fraction,
    auditor_share: Fraction,
    returned_share: Fraction,
    reward_wei: int = 0,
) -> int:
    """The least bond for which a lie loses money: (c + B) / (p (1 - f)(1 - phi)) - R, rounded up.

    c the cost of computing a unit, B what a lie gains besides, p the audit rate, f the share of
    auditors that the liar controls, phi the share of a slash that returns to it, R what it would
    lose in rewards anyway. ValueError where no bond suffices.
    """
    caught = rate * (1 - auditor_share) * (1 - returned_share)
    if caught <= 0:
        raise ValueError("a lie that is never caught or never punished cannot be deterred")
    need = Fraction(unit_cost_wei + gain_wei) / caught - reward_wei
    return max(0, -(-need.numerator // need.denominator))
