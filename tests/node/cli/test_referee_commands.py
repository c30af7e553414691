"""`ainur gov referee`, `propose referee`, `keep-referee`: the seat from a vote to a veto."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from node.chain.rpc import Rpc
from node.chain.types import ZERO_ADDRESS
from node.deployment_record import Place, Site
from node.devnet import CHAIN_ID, Devnet
from node.wallet import Signer

Ainur = Callable[..., Any]
DAY_S = 86_400


def another_committee(devnet: Devnet) -> str:
    """A committee that could take the seat."""
    deployer, at = Signer.random(), devnet.network.contracts
    devnet.give_gas(deployer.address)
    rpc = Rpc([devnet.endpoint], CHAIN_ID)
    try:
        site = Site(Place(rpc, deployer, CHAIN_ID, 0.02, None), "", lambda _line: None)
        made = site.create("AuditCommittee", at.parameters, at.vault, at.ledger, at.seat)
    finally:
        rpc.close()
    return made.address


def test_a_successor_is_voted_for_announced_and_withdrawn(
    ainur: Ainur, devnet: Devnet, tmp_path: Path
) -> None:
    """The vote only begins its wait; doctor warns meanwhile; the guardian alone ends it at once."""
    treasury, stranger = devnet.treasury_home(tmp_path / "dao"), devnet.home(tmp_path / "stranger")
    now_in_it, successor = devnet.network.contracts.committee, another_committee(devnet)

    def gov(*arguments: object, home: Path = treasury.path) -> Any:
        return ainur("gov", *arguments, "--home", home)

    def seat() -> Any:
        return gov("referee", "--json").json

    def warned() -> Any:
        found = ainur("doctor", "--home", stranger.path, "--json").json
        return next(f for f in found if f["check"] == "referee")

    assert seat() == {
        "referee": now_in_it,
        "known": True,
        "successor": None,
        "seated_at": None,
        "notice_s": 146 * DAY_S,
    }
    assert warned()["level"] == "ok"
    gov("delegate")
    devnet.travel(1)
    why = ("--description", "a new one")
    for useless in (now_in_it, ZERO_ADDRESS):
        refused = gov("propose", "referee", useless, *why)
        assert (refused.code, "cannot be announced" in refused.err) == (2, True), refused.err
    nobody = gov("propose", "keep-referee", *why)
    assert (nobody.code, "no successor waits" in nobody.err) == (2, True)
    proposal = gov("propose", "referee", successor, *why).out.strip()
    with devnet.chain() as chain:
        delay, period = chain.governor.voting_delay_s(), chain.governor.voting_period_s()
    devnet.travel(delay + 1)
    gov("vote", proposal, "for")
    devnet.travel(period + 1)
    gov("queue", proposal)
    devnet.travel(60)
    done = gov("execute", proposal)
    assert (done.code, f"announce {successor} as the next referee" in done.err) == (0, True)

    found = seat()
    assert (found["referee"], found["successor"]) == (now_in_it, successor)
    with devnet.chain() as chain:
        assert chain.head().timestamp <= found["seated_at"] - 146 * DAY_S + 60
    assert "ainur stake remove" in gov("referee").err
    assert warned()["level"] == "warn"
    assert f"{successor} takes the seat in 14" in warned()["found"]
    second = gov("propose", "referee", another_committee(devnet), *why)
    assert (second.code, f"{successor} waits already" in second.err) == (2, True)
    thief = gov("keep-referee", home=stranger.path)
    assert (thief.code, "is no guardian" in thief.err) == (2, True)
    kept = gov("keep-referee")
    assert (kept.code, kept.err.endswith("withdrawn; the referee stays\n")) == (0, True), kept.err
    assert seat()["successor"] is None
    again = gov("keep-referee")
    assert (again.code, "No successor waits" in again.err) == (2, True)
