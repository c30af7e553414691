"""The draw's formula and what it deters."""

import hashlib
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import audits
from scheduler.audit import (
    BPS,
    audit_rate,
    bond_wei_min,
    detection_probability,
    is_drawn,
    lock_wei,
)

FLOOR_BPS = 500
PROBATION = 10


@pytest.mark.parametrize(
    ("clean", "rate"),
    [
        (0, Fraction(1)),
        (9, Fraction(1)),
        (10, Fraction(1, 10)),
        (15, Fraction(1, 15)),
        (20, Fraction(1, 20)),
        (21, Fraction(1, 20)),
        (1000, Fraction(1, 20)),
    ],
)
def test_rate_falls_from_certainty_to_the_floor(clean: int, rate: Fraction) -> None:
    """One during probation, then 1/n, never below five percent."""
    assert audit_rate(clean, PROBATION, FLOOR_BPS) == rate


@pytest.mark.parametrize("clean", [0, 1])
def test_rate_without_probation_starts_at_one(clean: int) -> None:
    """1/0 is no rate."""
    assert audit_rate(clean, 0, 0) == 1


@given(st.integers(0, 10**6), st.integers(0, 100), st.integers(0, BPS))
def test_rate_never_leaves_its_bounds_nor_grows(clean: int, probation: int, floor: int) -> None:
    """More clean units never mean more audits."""
    rate = audit_rate(clean, probation, floor)
    assert Fraction(floor, BPS) <= rate <= 1
    assert audit_rate(clean + 1, probation, floor) <= rate


@given(st.integers(0, 50), st.integers(0, 20), st.integers(0, BPS))
def test_draw_happens_at_its_rate(clean: int, probation: int, floor: int) -> None:
    """Over one period of the remainder exactly the rate's share of tickets is drawn."""
    rate = audit_rate(clean, probation, floor)
    period = rate.denominator * (BPS // rate.denominator if BPS % rate.denominator == 0 else 1)
    drawn = sum(
        is_drawn(ticket.to_bytes(32, "big"), clean, probation, floor) for ticket in range(period)
    )
    assert Fraction(drawn, period) == rate


def test_draw_reads_the_ticket_as_the_contract_does() -> None:
    """Big-endian, remainder by n where 1/n is above the floor, by 10,000 below it."""
    ticket = hashlib.sha256(b"ticket").digest()
    number = int.from_bytes(ticket, "big")
    for clean in range(2, 40):
        expected = number % clean == 0 if clean <= 20 else number % BPS < FLOOR_BPS
        assert is_drawn(ticket, clean, 0, FLOOR_BPS) is expected


@pytest.mark.parametrize("bad", [(-1, 0, 0), (0, -1, 0), (0, 0, -1), (0, 0, BPS + 1)])
def test_numbers_out_of_range_are_refused(bad: tuple[int, int, int]) -> None:
    """With all three in the message."""
    with pytest.raises(ValueError, match="floor"):
        audit_rate(*bad)


def test_ticket_of_wrong_length_is_refused() -> None:
    """A truncated hash would be drawn at another rate."""
    with pytest.raises(ValueError, match="31"):
        is_drawn(bytes(31), 50, 0, 500)


def test_detection_of_several_lies() -> None:
    """1 - (19/20)^2 for two lies at the floor; one audited lie suffices."""
    assert detection_probability([Fraction(1, 20)] * 2) == Fraction(39, 400)
    assert detection_probability([Fraction(1, 20), Fraction(1)]) == 1
    assert detection_probability([]) == 0


def test_bond_of_the_design_is_about_fifty_units() -> None:
    """p = 5%, f = 1/3, phi = 0.4: (c + B) / 0.02, less what is lost anyway."""
    share, back = Fraction(1, 3), Fraction(2, 5)
    assert bond_wei_min(1, 0, Fraction(1, 20), share, back) == 50
    assert bond_wei_min(1, 0, Fraction(1, 20), share, back, reward_wei=1) == 49
    assert bond_wei_min(1, 0, Fraction(1), Fraction(0), Fraction(0), reward_wei=9) == 0


@pytest.mark.parametrize("share", [(1, 0), (0, 1)])
def test_no_bond_deters_a_lie_that_never_costs(share: tuple[int, int]) -> None:
    """All auditors or the whole slash belong to the liar."""
    with pytest.raises(ValueError, match="deterred"):
        bond_wei_min(1, 0, Fraction(1, 20), Fraction(share[0]), Fraction(share[1]))


@pytest.mark.parametrize(
    ("share", "units", "floor_bps"), [(Fraction(1), 10, 500), (Fraction(1, 10), 50, 2_000)]
)
def test_formula_lies_within_the_simulations_interval(
    share: Fraction, units: int, floor_bps: int
) -> None:
    """With real tickets; `python -m benchmarks.audits` has the whole table."""
    assert audits.compare(share, units, floor_bps, trials=400)["inside"]


def test_interval_is_wilsons() -> None:
    """Ten of a hundred, at z = 3.29; and nothing seen still leaves a doubt."""
    low, high = audits.wilson(10, 100)
    assert (round(low, 3), round(high, 3)) == (0.037, 0.241)
    assert audits.wilson(0, 100)[1] > 0.09


def test_lock_follows_price_and_floor() -> None:
    """77 prices at the public network's floor, half of it at twice the floor; rounded down."""
    assert lock_wei(10**18, 38_500, 500) == 77 * 10**18
    assert lock_wei(10**18, 38_500, 1_000) == 77 * 10**18 // 2
    assert lock_wei(3, 10_000, 9_999) == 3
