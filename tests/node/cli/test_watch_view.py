"""What `job watch` shows of a look at a job."""

import json
import math

import pytest

from node.cli.watch_view import View, lines_of
from node.tokens import AIN, Token

LOOK: dict[str, object] = {
    "job_id": "ab" * 32, "state": "funded", "round": 2, "rounds": 6, "anchored": 0,
    "slots": {"open": 1, "drawn": 3}, "round_slots": 4,
    "metrics": {"loss": 0.25}, "not_finite": [], "peers": 3, "failures": 0, "coordinator": None,
    "token": AIN.document(),
    "deposited_wei": 10 * 10**18, "paid_wei": 2 * 10**18, "fees_wei": 10**17, "refunded_wei": 0,
    "slashed_wei": 0, "waiting": "round 3 of 6: slot 0 waits for its audit", "units": 8,
    "audited": 5, "faults": 0, "voids": 0, "retries": 0, "eta_s": 83.2,
}  # fmt: skip


def test_a_look_has_round_loss_time_money_peers_and_reason() -> None:
    """In two or three lines."""
    assert lines_of(LOOK) == [
        "funded: round 2/6, 1 open 3 drawn, loss 0.2500, about 0:01:23 left",
        "spent 2.1 AIN of 10 AIN, 3 peers, 8 units, 5 audited",
        "round 3 of 6: slot 0 waits for its audit",
    ]


def test_money_is_told_in_the_jobs_token() -> None:
    """By its decimals."""
    usdx = Token("0x" + "5" * 40, "USDX", 6)
    money = {"token": usdx.document(), "deposited_wei": 10**7, "paid_wei": 1, "fees_wei": 2}
    assert lines_of(LOOK | money)[1].startswith("spent 0.000003 USDX of 10 USDX, 3 peers")


def test_rounds_that_run_ahead_are_counted() -> None:
    """They are computed on and not final."""
    first, *_ = lines_of(LOOK | {"anchored": 2})
    assert first.startswith("funded: round 2/6, 2 more anchored, 1 open 3 drawn")


def test_retries_faults_and_a_diverged_loss_are_said() -> None:
    """Each only when there are any; a job that diverged names what saves money."""
    text = "\n".join(
        lines_of(LOOK | {"retries": 2, "faults": 1, "failures": 3, "not_finite": ["loss"]})
    )
    assert "2 tried again, 3 failed in a row, 1 faults" in text
    assert "loss is not a finite number any more" in text
    assert "ainur job cancel" in text


@pytest.mark.parametrize(("counted", "told"), [(4.0, ""), (3.0, "1 of the"), (0.0, "none of the")])
def test_units_that_counted_for_nothing_are_said(counted: float, told: str) -> None:
    """A loss that is NaN leaves the evaluation finite: the weights stay as they were."""
    look = LOOK | {"metrics": {"loss": 0.25, "counted": counted}}
    lines = [line for line in lines_of(look) if "not finite numbers" in line]
    assert [line.startswith(told) for line in lines] == ([True] if told else [])
    assert all("last round's 4 units" in line for line in lines)
    assert not [line for line in lines_of(look | {"round": 0}) if "not finite" in line]


def test_a_finished_job_waits_for_nothing() -> None:
    """No peers, no time left."""
    lines = lines_of(LOOK | {"state": "completed", "round": 6})
    assert lines == [
        "completed: round 6/6, 1 open 3 drawn, loss 0.2500",
        "spent 2.1 AIN of 10 AIN, 8 units, 5 audited",
    ]


def test_a_pipe_gets_a_line_a_change_and_the_curve_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On stderr; the curve has the rounds before this run, too."""
    with View(as_json=False) as view:
        view.show(LOOK, {0: {"loss": 1.0}, 1: {"loss": 0.25}})
        view.show(LOOK, {})
        view.show(LOOK | {"round": 3}, {2: {"loss": math.nan}})
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert [line.split(",")[0] for line in lines[:2]] == ["funded: round 2/6", "funded: round 3/6"]
    assert lines[2] == "loss after rounds 1 to 3"
    assert lines[-1].endswith("xxxxxx")


def test_json_has_each_round_once_and_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    """NaN is null; a look that shows nothing new prints nothing, whatever time is left."""
    with View(as_json=True) as view:
        view.show(LOOK, {0: {"loss": 1.0}, 1: {"loss": math.nan}})
        view.show(LOOK | {"eta_s": 82.0}, {})
        view.show(LOOK | {"round": 3}, {2: {"loss": 0.5}})
    captured = capsys.readouterr()
    assert captured.err == ""
    first, second = (
        json.loads(line, parse_constant=lambda name: pytest.fail(name))
        for line in captured.out.splitlines()
    )
    assert first["new_rounds"] == [{"round": 1, "loss": 1.0}, {"round": 2, "loss": None}]
    assert second["new_rounds"] == [{"round": 3, "loss": 0.5}]
