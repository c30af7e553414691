"""The arithmetic of audits: how often a unit is drawn, what is caught, what a bond must cover.

`audit_rate_bps` and `is_drawn` are the ledger's formulas, so that anyone can predict and recheck a
draw; the chain decides. Rates are integers in basis points, exact results are fractions.
"""

from collections.abc import Iterable
from fractions import Fraction

BPS = 10_000


def audit_rate_bps(clean_units: int, probation_units: int, floor_bps: int) -> int:
    """The probability that a unit is drawn; `clean_units`: its worker's units since a fault.

    One during probation, then max(1/n, floor). Rounds down, as the chain's division does.
    """
    if clean_units < 0 or probation_units < 0 or not 0 <= floor_bps <= BPS:
        raise ValueError(
            f"clean units {clean_units} and probation {probation_units} must not be negative, "
            f"the floor {floor_bps} is in basis points"
        )
    if clean_units < max(1, probation_units):
        return BPS
    return max(BPS // clean_units, floor_bps)


def is_drawn(draw: bytes, rate_bps: int) -> bool:
    """Whether a unit with this 32-byte draw (hash of seed and unit id) is audited."""
    if len(draw) != 32:
        raise ValueError(f"a draw has 32 bytes, not {len(draw)}")
    return int.from_bytes(draw, "big") % BPS < rate_bps


def detection_probability(rates_bps: Iterable[int]) -> Fraction:
    """The probability that at least one of several lies is drawn, one rate per lie."""
    missed = Fraction(1)
    for rate in rates_bps:
        missed *= Fraction(BPS - rate, BPS)
    return 1 - missed


def bond_wei_min(
    unit_cost_wei: int,
    gain_wei: int,
    rate_bps: int,
    auditor_share: Fraction,
    returned_share: Fraction,
    reward_wei: int = 0,
) -> int:
    """The least bond for which a lie loses money: (c + B) / (p (1 - f)(1 - phi)) - R, rounded up.

    c the cost of computing a unit, B what a lie gains besides, p the audit rate, f the share of
    auditors that the liar controls, phi the share of a slash that returns to it, R what it would
    lose in rewards anyway. ValueError where no bond suffices.
    """
    caught = Fraction(rate_bps, BPS) * (1 - auditor_share) * (1 - returned_share)
    if caught <= 0:
        raise ValueError("a lie that is never caught or never punished cannot be deterred")
    need = Fraction(unit_cost_wei + gain_wei) / caught - reward_wei
    return max(0, -(-need.numerator // need.denominator))
