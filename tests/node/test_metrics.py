"""Metrics as rows and as a picture: every step of every slot, and what diverged is told as null."""

import json
import sys

import numpy as np
import pytest

from node.errors import BadInput
from node.metrics import RoundMetrics, jsonl, picture, rows_of


def result(*losses: float) -> dict[str, np.ndarray]:
    return {"metric.loss": np.array(losses, np.float32), "delta": np.zeros(9, np.float32)}


ROUNDS = [
    RoundMetrics(0, [result(2.0, 1.5), result(2.5, float("nan"))], {"loss": 1.25, "accuracy": 0.5}),
    RoundMetrics(1, [], {"loss": float("inf")}, recomputed=True),
]


def test_rows_are_slots_steps_and_evaluations_in_order() -> None:
    """Rounds and steps from 1, slots from 0; null where there is no finite number."""
    rows = [json.loads(line) for line in jsonl(rows_of(ROUNDS)).splitlines()]
    assert rows == [
        {"round": 1, "slot": 0, "step": 1, "loss": 2.0},
        {"round": 1, "slot": 0, "step": 2, "loss": 1.5},
        {"round": 1, "slot": 1, "step": 1, "loss": 2.5},
        {"round": 1, "slot": 1, "step": 2, "loss": None},
        {"round": 1, "evaluation": "told", "accuracy": 0.5, "loss": 1.25},
        {"round": 2, "evaluation": "recomputed", "loss": None},
    ]


def test_the_picture_is_a_png() -> None:
    """With the training curve alone, the evaluation alone, and both."""
    for rounds in (ROUNDS, ROUNDS[1:], [RoundMetrics(0, ROUNDS[0].results, {})]):
        assert picture(rounds, 2, "tiny").startswith(b"\x89PNG\r\n")
    with pytest.raises(BadInput, match="nothing to draw"):
        picture([RoundMetrics(0, [], {})], 2, "tiny")


def test_a_picture_without_matplotlib_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra, not a dependency."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(BadInput, match="not installed") as caught:
        picture(ROUNDS, 2, "tiny")
    assert "pip install 'ainur[plot]'" in caught.value.remedy
