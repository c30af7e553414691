"""Curves of characters: the scale, every value somewhere, and no number where there is none."""

import math

import pytest

from node.cli.chart import chart


def test_a_falling_curve_falls() -> None:
    """The largest value fills its column, the smallest shows an eighth; labels are the scale."""
    assert chart([3.0, 2.0, 1.0], width=3, height=2) == ["3 ┤█▁", "1 ┤██▁"]


def test_few_values_are_drawn_wider_and_many_are_averaged() -> None:
    """Never wider than asked for."""
    assert chart([1.0, 2.0], width=8, height=2)[1] == "1 ┤▁▁▁▁████"
    lines = chart([float(i // 10) for i in range(100)], width=10, height=4)
    assert lines[-1] == "0 ┤▁▄████████"
    assert lines[0].startswith("9 ┤")


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_diverged_value_is_a_cross(bad: float) -> None:
    """And the scale is that of the others."""
    assert chart([2.0, bad, 1.0], width=3, height=2) == ["2 ┤█", "1 ┤█x▁"]
    assert chart([bad], width=1, height=2) == ["nan ┤", "nan ┤x"]


def test_equal_values_and_none() -> None:
    """A flat line; nothing for nothing."""
    assert chart([5.0, 5.0], width=2, height=2) == ["5 ┤██", "5 ┤██"]
    assert chart([]) == []
