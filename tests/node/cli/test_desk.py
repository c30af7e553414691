"""Transactions that are shown, written to files, signed without a network and sent by anybody."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import requests

from node.chain.types import Parameter
from node.cli.desk import cost
from node.cli.main import cli
from node.deployment import AIN
from node.devnet import PASSWORD, Devnet
from node.home import Home
from node.network_file import load_network, save_network
from node.wallet import Signer, find_wallet, store_wallet

Ainur = Callable[..., Any]
CLI = Path(__file__).parents[3] / "node" / "cli"


@pytest.fixture
def home(devnet: Devnet, tmp_path: Path) -> Home:
    return devnet.home(tmp_path / "node", tokens_wei=1_000 * AIN)


@pytest.fixture
def treasury(devnet: Devnet, tmp_path: Path) -> Home:
    return devnet.treasury_home(tmp_path / "treasury")


def account(home: Home) -> str:
    return find_wallet(home.wallets, "default").address


def test_a_transaction_tells_its_cost_before_it_is_sent(ainur: Ainur, home: Home) -> None:
    """Gas, likely and greatest cost; with --json the transactions and what they did cost."""
    sent = ainur("stake", "add", "40", "--json", "--home", home.path)
    assert sent.code == 0
    lines = sent.err.splitlines()
    assert lines[0].startswith("ComputeToken.approve: gas ")
    assert lines[1].startswith("BondVault.bond: gas ")
    assert "of native currency, at most 0.0" in lines[1]
    approve, bond = sent.json["transactions"]
    assert 0 < approve["gas"] < bond["gas"]
    assert bond["cost_wei"] > bond["gas"] * 10**9


def test_dry_run_shows_everything_and_sends_nothing(ainur: Ainur, home: Home) -> None:
    """Decoded, with an estimate where there can be one; no password is asked for."""
    (home.path / "password").unlink()
    shown = ainur("stake", "add", "150", "--dry-run", "--home", home.path)
    assert (shown.code, "nothing was sent" in shown.err) == (0, True), shown.err
    header, approve, bond = (line.split("\t") for line in shown.out.splitlines())
    assert header == ["nonce", "does", "gas", "cost", "at most"]
    vault = load_network(home.network).contracts.vault
    assert approve[1] == f"ComputeToken.approve(spender = {vault}, value = 150 AIN)"
    assert bond[1].startswith("BondVault.bond(amount = 150 AIN, peerId = 0x")
    assert (int(bond[0]), bond[2]) == (int(approve[0]) + 1, "unknown yet, at most 1000000")
    as_json = ainur("stake", "add", "150", "--dry-run", "--json", "--home", home.path).json
    assert as_json["transactions"][0]["estimate"] == int(approve[2])
    assert as_json["transactions"][1]["estimate"] is None
    assert ainur("stake", "show", "--json", "--home", home.path).json["bond_wei"] == 0


def test_dry_run_meets_the_same_refusals(ainur: Ainur, home: Home) -> None:
    """What the contract or a check would refuse is refused now."""
    refused = ainur("stake", "remove", "--cancel", "--dry-run", "--home", home.path)
    assert (refused.code, "NothingPending" in refused.err) == (9, True)
    poor = ainur("wallet", "send", account(home), "5000", "--dry-run", "--home", home.path)
    assert poor.code == 5
    both = ("--dry-run", "--unsigned", home.path / "x")
    assert ainur("gov", "delegate", *both, "--home", home.path).code == 2
    other = Signer.random().address
    assert ainur("gov", "delegate", "--from", other, "--home", home.path).code == 2


def test_signed_offline_and_sent_by_somebody_else(
    ainur: Ainur, devnet: Devnet, home: Home, treasury: Home, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The online machine has no key, the one with the key no network, the sender neither."""
    cold, key = Signer.random(), tmp_path / "cold.json"
    # Less than a node needs to be active: later tests draw auditors from those that are.
    devnet.fund(cold.address, 90 * AIN)
    made = store_wallet(tmp_path / "cold", "cold", cold, PASSWORD, devnet=True)
    key.write_bytes(made.path.read_bytes())
    password = tmp_path / "password"
    password.write_text(f"{PASSWORD}\n")
    unsigned, signed = tmp_path / "bond.json", tmp_path / "bond.json.signed"

    options = ("--unsigned", unsigned, "--from", cold.address)
    written = ainur("stake", "add", "50", *options, "--home", home.path)
    assert (written.code, f"ainur tx sign {unsigned}" in written.err) == (0, True), written.err
    again = ainur("stake", "add", "50", *options, "--home", home.path)
    assert (again.code, "is not overwritten" in again.err) == (2, True)

    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("signing asked the network")

    with monkeypatch.context() as offline:
        offline.setattr(requests.Session, "request", no_network)
        empty = tmp_path / "no home"
        sign = ("tx", "sign", unsigned, "--key", key, "--password-file", password)
        done = ainur(*sign, "--home", empty)
        assert done.code == 0, done.err
        # Without a network file the address has no name, and the call is decoded all the same.
        vault = devnet.network.contracts.vault
        assert f"contract {vault}, not of this network: bond(amount = {50 * AIN}" in done.out
        assert (
            "BondVault.bond(amount = 50 AIN" in ainur("tx", "show", signed, "--home", home.path).out
        )
    wrong = ainur("tx", "sign", unsigned, "--out", tmp_path / "w", "--home", home.path)
    assert (wrong.code, "the key is that of" in wrong.err) == (2, True)

    sent = ainur("tx", "send", signed, "--json", "--home", treasury.path)
    assert sent.code == 0, sent.err
    assert len(sent.json["transactions"]) == 2
    assert "BondVault.bond(amount = 50 AIN" in sent.err
    with devnet.chain() as chain:
        assert chain.vault.bond_of(cold.address) == 50 * AIN
    # Whoever is not sure whether it was sent sends it again.
    assert ainur("tx", "send", signed, "--json", "--home", treasury.path).json == sent.json


def test_files_from_elsewhere_are_checked(
    ainur: Ainur, devnet: Devnet, home: Home, tmp_path: Path
) -> None:
    """Other chains, gaps, nonsense and unsigned files are refused with the reason."""
    unsigned, signed = tmp_path / "d.json", tmp_path / "d.json.signed"
    assert ainur("delegate", "--unsigned", unsigned, "--home", home.path).code == 0
    assert ainur("tx", "sign", unsigned, "--home", home.path).code == 0
    document = json.loads(signed.read_text())

    def send(**changes: Any) -> Any:
        path = tmp_path / "changed"
        path.write_text(json.dumps({**document, **changes}))
        return ainur("tx", "send", path, "--home", home.path)

    assert "this network is on 31337" in send(chain_id=1).err
    later = [{**document["transactions"][0], "nonce": 7}]
    assert "The first transaction has nonce 7, the next of" in send(transactions=later).err
    huge = [{**document["transactions"][0], "gas": 10**9}]
    assert "transactions.0.gas" in send(transactions=huge).err
    assert "holds no signed transactions" in ainur("tx", "send", unsigned, "--home", home.path).err
    unsigned.write_text("[" * 100_000)
    assert ainur("tx", "sign", unsigned, "--home", home.path).code == 2


def test_every_command_that_sends_goes_through_the_desk() -> None:
    """No command sends by itself, and each has the options of the desk."""
    senders = [p.name for p in CLI.glob("*.py") if "chain.send(" in p.read_text()]
    assert senders == ["desk.py"]
    context = click.Context(cli)

    def all_of(group: click.Group, path: str) -> dict[str, click.Command]:
        found = {}
        for name in group.list_commands(context):
            each = group.get_command(context, name)
            if isinstance(each, click.Group):
                found |= all_of(each, f"{path} {name}")
            elif each is not None:
                found[f"{path} {name}".strip()] = each
        return found

    options = {
        name: {parameter.name for parameter in each.params}
        for name, each in all_of(cli, "").items()
    }
    signing = {name for name, names in options.items() if "wallet" in names}
    keep = {"init", "node start", "tx sign", "job pause", "job resume", "deploy"}
    assert {name for name, names in options.items() if "dry_run" in names} == signing - keep
    assert len(signing - keep) == 27


def test_params_with_bounds_units_and_what_a_vote_could_set(ainur: Ainur, home: Home) -> None:
    """All of them, and of one what the contract would accept now."""
    table = ainur("params", "--home", home.path).out.splitlines()
    assert [line.split("\t")[0] for line in table[1 : 1 + len(Parameter)]] == [
        parameter.label for parameter in Parameter
    ]
    assert "protocolFeeBps\t100 (1%)\t0 (0%)\t2000 (20%)\t1/10,000\ton top of what" in "".join(
        table
    )
    every = ainur("params", "--json", "--home", home.path).json
    assert isinstance(every.pop("acceptedTokens"), list)
    assert set(every) == {parameter.label for parameter in Parameter}
    assert all(each["meaning"] and each["unit"] for each in every.values())

    def one(name: str) -> Any:
        return ainur("params", name, "--json", "--home", home.path).json

    # exposureS() of the devnet, of which the delay must not fall short: 4(30+2*15)+2+30+15.
    delay = one("unbondDelayS")
    assert (delay["min"], delay["votable_min"], delay["votable_max"]) == (1, 287, 90 * 86_400)
    window = one("challengeWindowS")
    assert window["votable_max"] == window["value"] + delay["value"] - 287
    free = one("committeeSize")
    assert (free["votable_min"], free["votable_max"]) == (free["min"], free["max"])
    assert "a vote could set\t287 to" in ainur("params", "unbondDelayS", "--home", home.path).out
    assert ainur("params", "nothing", "--home", home.path).code == 2


def test_a_grant_from_proposal_to_payment(
    ainur: Ainur, devnet: Devnet, home: Home, treasury: Home
) -> None:
    """The treasury pays what a vote decides; `gov show` says what is next, for whom."""
    with devnet.chain(devnet.treasury) as chain:
        vault = chain.network.contracts.timelock
        before = chain.token.balance_of(vault)
        delay, period = chain.governor.voting_delay_s(), chain.governor.voting_period_s()
    to = Signer.random().address

    def gov(*arguments: object, home: Home = treasury) -> Any:
        return ainur("gov", *arguments, "--home", home.path)

    propose = ("propose", "grant", to, "25", "--description", "tools")
    empty = gov("propose", "grant", to, before // AIN + 1, "--description", "x")
    assert (empty.code, "The treasury" in empty.err) == (5, True)
    ainur("wallet", "send", vault, "40", "--home", treasury.path)
    ainur("delegate", "--home", treasury.path)
    devnet.travel(1)
    proposal = gov(*propose).out.strip()

    def shown(home: Home = treasury) -> Any:
        return gov("show", proposal, "--json", home=home).json

    pending = shown()
    assert pending["actions"] == [f"grant 25 AIN to {to}"]
    assert (pending["quorum_wei"], pending["weight_wei"]) == (None, None)
    assert "then `ainur gov vote" in pending["next_action"]
    assert "or this account has no vote" in shown(home)["next_action"]
    devnet.travel(delay + 1)
    active = shown()
    assert active["weight_wei"] > active["quorum_wei"] > 0
    assert 0 < active["seconds_left"] <= period
    powerless = shown(home)
    assert powerless["weight_wei"] == 0
    assert "`ainur gov delegate`, or a bond, gives it a vote" in powerless["next_action"]
    assert gov("vote", proposal, "for").code == 0
    voted = gov("show", proposal).out
    assert "quorum\t[####################] 100% of" in voted
    assert "AIN, voted" in voted
    assert "next\tyou have voted" in voted
    devnet.travel(period + 1)
    assert "`ainur gov queue" in shown()["next_action"]
    gov("queue", proposal)
    assert "wait" in shown()["next_action"]
    devnet.travel(60)
    assert "anyone: `ainur gov execute" in shown()["next_action"]
    assert gov("execute", proposal, home=home).code == 0

    paid = ainur("treasury", "--json", "--home", home.path).json
    assert (paid["account"], paid["token_wei"]) == (vault, before + 15 * AIN)
    (grant,) = [each for each in paid["grants"] if each["proposal"] == proposal]
    assert (grant["state"], grant["to"], grant["amount_wei"]) == ("executed", to, 25 * AIN)
    listed = ainur("treasury", "--home", home.path)
    assert f"{proposal[:18]}\texecuted\t{to}\t25 AIN\ttools" in listed.out.splitlines()


def test_each_wei_of_a_reward_is_explained(
    ainur: Ainur, home: Home, make_node: Any, fund_job: Any, finish_round: Any
) -> None:
    """From events alone, unit by unit; the sum is the leaf that can be claimed."""
    submitter, coordinator, worker = make_node(bond_wei=0), make_node(), make_node()
    job_id = fund_job(submitter, rounds=2, slots=3, unit_wei=7)
    for round in (0, 1):
        finish_round(job_id, coordinator, worker, round=round, slots=3)
    options = ("--account", worker.address, "--home", home.path)
    explained = ainur("rewards", "explain", job_id.hex(), "--json", *options)
    assert explained.code == 0, explained.err
    rewards = explained.json["rewards"]
    assert [each["round"] for each in rewards] == [1, 2]
    leaves = ainur("rewards", "show", "--json", *options).json["rewards"]
    ours = [leaf["amount_wei"] for leaf in leaves if leaf["job_id"] == f"0x{job_id.hex()}"]
    assert [each["amount_wei"] for each in rewards] == ours == [21, 21]
    for each in rewards:
        assert [unit["slot"] for unit in each["units"]] == [0, 1, 2]
        assert {unit["amount_wei"] for unit in each["units"]} == {7}
        assert {unit["as"] for unit in each["units"]} == {"worker"}
    second = ainur("rewards", "explain", job_id.hex(), "--round", 2, *options)
    assert len(second.out.splitlines()) == 4
    assert "3 units of 0.000000000000000007 AIN and 0 audits of" in second.err
    nobody = ainur("rewards", "explain", "--home", home.path)
    assert (nobody.code, "no rewards yet" in nobody.err) == (0, True)


def test_a_reward_that_its_units_did_not_earn_is_an_error(
    ainur: Ainur, home: Home, make_node: Any, fund_job: Any, finish_round: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """One wei of difference is exit code 12."""
    submitter, coordinator, worker = make_node(bond_wei=0), make_node(), make_node()
    job_id = fund_job(submitter, slots=2, unit_wei=7)
    finish_round(job_id, coordinator, worker, round=0, slots=2)
    monkeypatch.setattr("node.rewards.Explained.amount", property(lambda each: 13))
    options = ("--account", worker.address, "--home", home.path)
    explained = ainur("rewards", "explain", job_id.hex(), *options)
    assert (explained.code, "the chain has 14" in explained.err) == (12, True)


def test_an_unconfigured_home_still_prepares_for_others(
    ainur: Ainur, devnet: Devnet, tmp_path: Path
) -> None:
    """A network file and an account are all that --dry-run needs."""
    home = Home.find(tmp_path / "bare")
    home.path.mkdir()
    save_network(home.network, devnet.network)
    shown = ainur("delegate", "--dry-run", "--from", account_of(devnet), "--home", home.path)
    assert shown.code == 0, shown.err
    assert "ComputeToken.delegate(delegatee = " in shown.out


def account_of(devnet: Devnet) -> str:
    return devnet.treasury.address


def test_costs_are_told_to_four_digits_and_never_too_low() -> None:
    """A price of gas has nine and more digits that nobody reads."""
    assert cost(56_540_150_936_181) == "0.00005655"
    assert cost(10**18) == "1"
    assert (cost(0), cost(7)) == ("0", "0.000000000000000007")
