"""What calls cost is what the snapshot says: nobody makes one dearer, or cheaper, unseen."""

import json

import pytest

from benchmarks import gas
from benchmarks.gas import BEGIN, END, RENEW, REPORT
from benchmarks.gas_meter import BUDGETS, Row

REMEDY = f"if that is meant, renew the snapshot and the table: {RENEW}"


@pytest.fixture(scope="module")
def measured() -> list[Row]:
    """Every call, on a chain of its own: the first of a kind costs more than the next."""
    with gas.new_chain() as devnet:
        return gas.measure(devnet)


def test_gas_measured_is_the_snapshot(measured: list[Row]) -> None:
    """Within what addresses, signatures and lots take."""
    snapshot = gas.read_snapshot()
    assert [row.call for row in measured] == [row.call for row in snapshot], REMEDY
    differ = [
        f"{now.call}: {now.gas}, the snapshot says {then.gas}"
        for now, then in zip(measured, snapshot, strict=True)
        if not now.matches(then)
    ]
    assert differ == [], REMEDY


def test_every_budget_is_measured(measured: list[Row]) -> None:
    """No promise without a figure."""
    assert {row.call for row in measured if row.budget} == set(BUDGETS)


def test_report_has_the_snapshots_table() -> None:
    """What people read is what the test compares."""
    assert BEGIN + gas.table(gas.read_snapshot()) + END in REPORT.read_text("utf-8"), REMEDY


def test_a_row_matches_within_the_tolerance_only() -> None:
    """The comparison can fail: on another cost, on another call."""
    row = Row("bond, first", 100_000)
    assert row.matches(Row("bond, first", 100_200))
    assert not row.matches(Row("bond, first", 100_300))
    assert not row.matches(Row("bond, more", 100_000))
    assert json.loads(row.text) == {"call": "bond, first", "gas": 100_000, "budget": 110_000}
