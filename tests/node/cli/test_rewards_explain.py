"""`ainur rewards explain`: what emission gave, told with every figure that it follows from."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node import emission_account
from node.chain import Chain
from node.deployment import AIN
from node.devnet import Devnet

Ainur = Callable[..., Any]


@pytest.fixture
def explain(
    ainur: Ainur, devnet: Devnet, tmp_path: Path, make_node: Any, fund_job: Any, finish_round: Any
) -> Any:
    """The command for a worker of one round whose epoch is over, and another on its account."""
    home = devnet.home(tmp_path / "home")
    submitter, coordinator, worker = make_node(bond_wei=0), make_node(), make_node()
    job_id = fund_job(submitter, slots=2, unit_wei=AIN, unit_flops=10**9)
    finish_round(job_id, coordinator, worker, round=0, slots=2)
    devnet.travel(worker.chain.token.schedule().plan.epoch_s)

    def call(*options: object, verb: str = "explain", job: str = job_id.hex()) -> Any:
        whose = ("--account", worker.address, "--home", home.path)
        return ainur("rewards", verb, *((job,) if verb == "explain" else ()), *options, *whose)

    return call


def test_emission_is_explained_to_the_wei(explain: Any) -> None:
    """The figures follow from each other, and the last is what `rewards show` has."""
    told = explain("--emission", "--json")
    assert told.code == 0, told.err
    (found,) = told.json["emissions"]
    assert set(told.json) == {"account", "emissions"}
    shown = explain("--json", verb="show").json["emissions"]
    (minted,) = [e for e in shown if e["epoch"] == found["epoch"]]
    assert (found["amount_wei"], found["final"]) == (minted["amount_wei"], True)
    (counted,) = found["rounds"]
    assert counted["fee_wei"] == AIN // 50
    assert counted["part_flops"] == found["flops"] == minted["flops"]
    whole = min(found["by_flops_wei"], found["cap_wei"])
    assert found["treasury_wei"] == -(-whole // 10)
    assert found["amount_wei"] == whole - found["treasury_wei"]
    both = explain("--json").json
    assert (both["emissions"], len(both["rewards"])) == ([found], 1)


def test_people_get_a_formula_a_line(explain: Any) -> None:
    """Work first, unit by unit; then what emission adds."""
    told = explain()
    assert len(told.out.splitlines()) == 3
    _, head, counted, by_flops, cap, treasury, own = told.err.splitlines()
    assert head.startswith("emission of epoch ")
    assert counted.startswith("  round 1 of 0x")
    assert "2000000000 FLOPs stated, of which the fee of 0.02 AIN, burned, covers 5" in counted
    assert counted.endswith(
        "(0.4 AIN a GFLOP); for 2 AIN of the round's 2 AIN by work 50000000 of them"
    )
    assert "of the epoch's" in by_flops
    assert "cap: 100% of what was burned for them: 0.02 AIN; the epoch gives the lesser" in cap
    assert treasury == "  treasury: 10% of it, rounded up: 0.002 AIN"
    assert own == "  this account: 0.018 AIN, to be claimed"


def test_an_epoch_that_is_not_over_is_refused_with_the_time(
    explain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it gives can still fall: a figure would be a promise."""
    real = emission_account.explain_emission

    def running(chain: Chain, account: str, wanted: Any) -> Any:
        return [replace(each, is_final=False) for each in real(chain, account, wanted)]

    monkeypatch.setattr(emission_account, "explain_emission", running)
    refused = explain("--emission")
    assert (refused.code, refused.out) == (2, "")
    assert "is not over: what it gives depends on the rounds to come" in refused.err
    assert "Ask again from 20" in refused.err
    loose = explain()
    assert loose.code == 0
    assert "at most 0.018 AIN" in loose.err


def test_another_figure_on_the_chain_is_exit_code_12(
    explain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said with both values, after all that was found is shown."""
    monkeypatch.setattr(emission_account.CountedRound, "flops", property(lambda _each: 7))
    wrong = explain("--emission")
    assert wrong.code == 12
    assert "is another on the chain: the epoch's FLOPs: recomputed 7" in wrong.err
    assert "covers 7 (0.4 AIN a GFLOP)" in wrong.err
