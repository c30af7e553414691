"""The share of lies that no audit sees, in whole simulated jobs, against the formula.

Every lie on chain was drawn with the probability of scheduler/audit.py for its worker's record at
that moment. The number of those that were not drawn is a sum of independent choices, so Wilson's
interval at 99.9% holds the mean of the formula but for one seed set in a thousand.
"""

from dataclasses import replace

import pytest

from benchmarks.audits import wilson
from tests.simulation import ledger
from tests.simulation.__main__ import Tally, tally
from tests.simulation.faults import Scenario, Traits
from tests.simulation.laws import Law, Violation, require
from tests.simulation.scenarios import HONEST, run

JOBS = 25
# Nobody is on probation, and a clean record is long: one unit in five is drawn.
JOB = Scenario(
    seed=0, rounds=2, slots=12, workers=(Traits(lies=0.8),) * 4 + (HONEST,) * 3,
    probation=0, clean_units=1_000, floor_bps=2_000, faults_ms=300_000,
)  # fmt: skip


def check_share(counted: Tally) -> None:
    """The formula's mean lies within the interval of what was seen."""
    low, high = wilson(counted.missed, counted.lies)
    expected = counted.expected / counted.lies
    seen = f"{counted.missed} of {counted.lies} lies were not drawn, {expected:.3f} expected"
    require(low <= expected <= high, Law.DRAWS, seen)


def jobs() -> Tally:
    total = Tally()
    for seed in range(JOBS):
        total.add(tally(run(replace(JOB, seed=seed))))
    return total


def test_share_of_undetected_lies_matches_the_formula() -> None:
    """Enough lies to tell a fifth from a tenth."""
    counted = jobs()
    assert counted.lies > 200
    assert counted.work["lies that escaped"] == counted.missed
    check_share(counted)


def test_audits_drawn_too_seldom_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A draw at a quarter of the floor is outside the interval."""

    def seldom(ticket: bytes, clean: int, probation: int, floor_bps: int) -> bool:
        return real(ticket, clean, probation, floor_bps // 4)

    real = ledger.is_drawn
    monkeypatch.setattr(ledger, "is_drawn", seldom)
    with pytest.raises(Violation) as broken:
        check_share(jobs())
    assert broken.value.law is Law.DRAWS
