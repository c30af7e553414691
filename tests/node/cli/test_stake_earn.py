"""`ainur stake earn`: a wallet without tokens registers; who needs none of it is told so."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from node.deployment import AIN
from node.devnet import POT_WEI, Devnet
from node.wallet import find_wallet

Ainur = Callable[..., Any]


def test_earn_registers_once_and_show_tells_how_far(
    ainur: Ainur, devnet: Devnet, tmp_path: Path
) -> None:
    """It needs gas and no token; a second time changes nothing."""
    home = devnet.home(tmp_path / "newcomer", tokens_wei=0)

    def stake(*arguments: object) -> Any:
        return ainur("stake", *arguments, "--home", home.path)

    before = stake("show", "--json").json["first_bond"]
    assert (before["registered_until"], before["chance"], before["audits"]) == (None, 0.0, 0)
    assert (before["missing_wei"], before["pot_wei"]) == (100 * AIN, POT_WEI)
    assert "first bond\tnot registered; `ainur stake earn`" in stake("show").out
    planned = stake("earn", "--dry-run", "--json").json["transactions"]
    assert [each["does"] for each in planned] == ["FirstBonds.register()"]
    done = stake("earn")
    assert (done.code, "registered until" in done.err) == (0, True), done.err
    after = stake("show", "--json").json["first_bond"]
    assert after["registered_until"]
    assert after["registered"] >= 1
    assert 0 < after["chance"] <= 1
    assert after["left_today_wei"] == 1_000 * AIN
    shown = stake("show").out.splitlines()
    assert "first bond\t0 AIN by 0 audits, 100 AIN missing" in shown
    again = stake("earn")
    assert (again.code, "already" in again.err) == (0, True)


def test_earn_with_a_bond_is_refused(ainur: Ainur, devnet: Devnet, tmp_path: Path) -> None:
    """Whoever can bond needs no first bond."""
    home = devnet.home(tmp_path / "node", bond_wei=AIN, tokens_wei=AIN)
    refused = ainur("stake", "earn", "--home", home.path)
    assert refused.code == 2
    assert f"{find_wallet(home.wallets, 'default').address} has a bond of 1 AIN" in refused.err
