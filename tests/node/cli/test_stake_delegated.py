"""`ainur stake delegate`, `undelegate`, `commission` through the entry point, on a real chain."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from node.chain.types import Parameter
from node.chain_jobs import LedgerReader
from node.deployment import AIN
from node.devnet import Devnet
from node.home import Home
from node.wallet import find_wallet
from tests.conftest import Node

Ainur = Callable[..., Any]


@pytest.fixture
def home(devnet: Devnet, tmp_path: Path) -> Home:
    """A holder with tokens and no bond."""
    return devnet.home(tmp_path / "holder", tokens_wei=1_000 * AIN)


@pytest.fixture
def stake(ainur: Ainur, home: Home) -> Ainur:
    def call(*arguments: object) -> Any:
        return ainur("stake", *arguments, "--home", home.path)

    return call


@pytest.fixture
def operator(make_node: Callable[..., Node]) -> Node:
    """A node that takes delegated bonds at 5%."""
    node = make_node(bond_wei=200 * AIN)
    node.chain.send(node.chain.vault.set_commission(node.address, 500))
    return node


def account(home: Home) -> str:
    return find_wallet(home.wallets, "default").address


def test_delegated_bond_from_delegate_to_withdraw(
    ainur: Ainur, stake: Ainur, devnet: Devnet, home: Home, operator: Node
) -> None:
    """A delegated bond's whole life; it votes for its holder and covers the node's units."""
    done = stake("delegate", operator.address, "150")
    assert done.code == 0, done.err
    assert f"150 AIN of {account(home)} are at {operator.address} now" in done.err
    assert "keeps 5% of what they earn" in done.err
    mine = stake("show", "--json").json
    assert (mine["delegates_to"], mine["delegates_wei"]) == (operator.address, 150 * AIN)
    assert (mine["delegates_leaving_wei"], mine["delegates_available_at"]) == (0, None)
    theirs = stake("show", "--account", operator.address, "--json").json
    assert (theirs["takes_delegated"], theirs["commission_bps"]) == (True, 500)
    assert (theirs["delegated_wei"], theirs["delegates_to"]) == (150 * AIN, None)
    assert (theirs["free_wei"], theirs["index_ray"]) == (350 * AIN, 10**27)
    ledger = LedgerReader(operator.chain).update()
    assert ledger.tally(operator.address).free_wei == 350 * AIN, "a coordinator counts the same"
    power = ainur("gov", "power", "--json", "--home", home.path).json
    assert power["votes_wei"] == power["bonded_wei"] == 150 * AIN
    balance = ainur("wallet", "balance", "--json", "--home", home.path).json
    assert (balance["delegated_wei"], balance["bond_wei"]) == (150 * AIN, 0)

    asked = stake("undelegate", "50")
    assert (asked.code, "ainur stake undelegate --withdraw" in asked.err) == (0, True), asked.err
    early = stake("undelegate", "--withdraw")
    assert (early.code, "50 AIN can be withdrawn from" in early.err) == (2, True)
    assert LedgerReader(operator.chain).update().tally(operator.address).free_wei == 300 * AIN
    assert operator.chain.vault.free_of(operator.address) == 300 * AIN
    assert stake("undelegate", "--cancel").code == 0
    assert stake("undelegate", "--all").code == 0
    lines = stake("show").out.splitlines()
    assert f"has delegated\t150 AIN to {operator.address}" in lines
    assert "of these leaving\t150 AIN" in lines
    devnet.travel(operator.chain.parameters.get(Parameter.UNBOND_DELAY_S))
    paid = stake("undelegate", "--withdraw")
    assert (paid.code, f"withdrew 150 AIN to {account(home)}" in paid.err) == (0, True), paid.err
    assert stake("show", "--json").json["delegates_to"] is None
    nothing = stake("undelegate", "--all")
    assert (nothing.code, "has delegated no bond" in nothing.err) == (2, True)


def test_anybody_ends_the_exit_of_a_holder_whose_delay_is_over(
    ainur: Ainur, stake: Ainur, devnet: Devnet, home: Home, operator: Node, tmp_path: Path
) -> None:
    """The tokens are the holder's, whoever sends it; not before, and not for who asked nothing."""
    owner = devnet.home(tmp_path / "owner")
    holder = account(home)

    def end(*arguments: object) -> Any:
        return ainur("stake", "undelegate", *arguments, "--of", holder, "--home", owner.path)

    stranger = end("--withdraw")
    assert (stranger.code, f"{holder} has delegated no bond" in stranger.err) == (2, True)
    assert stake("delegate", operator.address, "150").code == 0
    idle = end("--withdraw")
    assert (idle.code, f"{holder} withdraws nothing" in idle.err) == (2, True)
    assert stake("undelegate", "50").code == 0
    early = end("--withdraw")
    assert (early.code, "50 AIN can be withdrawn from" in early.err) == (2, True)
    for wrong in ("--cancel", "--all"):
        refused = end(wrong)
        assert (refused.code, "--of HOLDER is for --withdraw" in refused.err) == (2, True)
    devnet.travel(operator.chain.parameters.get(Parameter.UNBOND_DELAY_S))
    held = operator.chain.token.balance_of(holder)
    shown = end("--withdraw", "--dry-run")
    assert f"BondVault.withdrawDelegatedOf(holder = {holder})" in shown.out
    assert end("--withdraw", "--unsigned", tmp_path / "exit.json").code == 0
    assert operator.chain.token.balance_of(holder) == held
    done = end("--withdraw", "--json")
    assert (done.code, len(done.json["transactions"])) == (0, 1), done.err
    assert f"50 AIN left {operator.address} and are {holder}'s again" in done.err
    assert operator.chain.token.balance_of(holder) == held + 50 * AIN
    assert stake("show", "--json").json["delegates_wei"] == 100 * AIN


def test_commission_is_set_lowered_and_closed_by_the_owner(
    ainur: Ainur, devnet: Devnet, home: Home, operator: Node, tmp_path: Path
) -> None:
    """It rises only while nothing is delegated; a node that is closed keeps what it has."""
    # Less than a node needs to be active: later tests draw auditors from those that are.
    node = devnet.home(tmp_path / "node", bond_wei=90 * AIN)

    def own(*arguments: object) -> Any:
        return ainur("stake", "commission", *arguments, "--home", node.path)

    opened = own("7.5%")
    assert (opened.code, "keeps 7.5% of what" in opened.err) == (0, True), opened.err
    assert f"ainur stake delegate {account(node)} AMOUNT" in opened.err
    assert own("10").code == 0
    delegated = ainur("stake", "delegate", account(node), "10", "--home", home.path)
    assert delegated.code == 0, delegated.err
    raised = own("10.01")
    assert (raised.code, "cannot rise until they have left" in raised.err) == (2, True)
    assert own("2").code == 0
    assert own("--close").code == 0
    lines = ainur("stake", "show", "--home", node.path).out.splitlines()
    for line in ("takes delegated bonds\tno", "commission\t2%", "delegated to it\t10 AIN"):
        assert line in lines
    again = ainur("stake", "delegate", account(node), "10", "--home", home.path)
    assert (again.code, "takes no delegated bonds" in again.err) == (2, True)
    for wrong in ((), ("5", "--close"), ("5.001",), ("five",)):
        assert own(*wrong).code == 2
    foreign = own("1", "--operator", operator.address)
    assert (foreign.code, f"belongs to {operator.address}" in foreign.err) == (2, True)
    too_much = ainur("stake", "commission", "50.01", "--home", home.path)
    assert (too_much.code, "BadCommission" in too_much.err) == (9, True), too_much.err


def test_mistakes_are_explained(stake: Ainur, operator: Node, make_node: Any) -> None:
    """Too much, nothing, elsewhere, dearer than agreed: no transaction, a reason, a remedy."""
    other = make_node(bond_wei=200 * AIN)
    closed = stake("delegate", other.address, "1")
    assert (closed.code, "ainur stake commission PERCENT" in closed.err) == (2, True)
    other.chain.send(other.chain.vault.set_commission(other.address, 0))
    beyond = stake("delegate", operator.address, "200.1")
    assert (beyond.code, "takes 200 AIN more" in beyond.err) == (2, True)
    poor = stake("delegate", operator.address, "1000.1")
    assert (poor.code, "holds 1,000 AIN" in poor.err) == (5, True)
    assert stake("delegate", operator.address, "0").code == 2
    dear = stake("delegate", operator.address, "1", "--commission-max", "4.99")
    assert (dear.code, "CommissionAbove" in dear.err) == (9, True), dear.err
    assert stake("delegate", operator.address, "10").code == 0
    elsewhere = stake("delegate", other.address, "1")
    assert (elsewhere.code, "a wallet delegates to one node" in elsewhere.err) == (2, True)
    much = stake("undelegate", "10.1")
    assert (much.code, "10 AIN are delegated and not leaving" in much.err) == (5, True)
    none = stake("undelegate", "--withdraw")
    assert (none.code, "Nothing is being withdrawn" in none.err) == (2, True)
    assert stake("undelegate").code == stake("undelegate", "1", "--all").code == 2


def test_dry_run_says_what_would_be_sent(stake: Ainur, operator: Node) -> None:
    """Decoded; asking for everything reads so."""
    shown = stake("delegate", operator.address, "10", "--dry-run")
    assert (shown.code, "nothing was sent" in shown.err) == (0, True), shown.err
    assert f"BondVault.delegateBond(account = {operator.address}, amount = 10 AIN" in shown.out
    assert stake("show", "--json").json["delegates_to"] is None
    assert stake("delegate", operator.address, "10").code == 0
    everything = stake("undelegate", "--all", "--dry-run")
    assert "BondVault.requestUndelegate(amount = all)" in everything.out


def test_delegators_have_their_part_of_what_a_node_earns(
    ainur: Ainur,
    stake: Ainur,
    devnet: Devnet,
    home: Home,
    make_node: Callable[..., Node],
    fund_job: Callable[..., Any],
    finish_round: Callable[..., None],
) -> None:
    """Of a claim by anybody, of one to the bond, and of what is due when they ask back."""
    submitter, coordinator, worker = (
        make_node(bond_wei=0),
        make_node(),
        make_node(bond_wei=600 * AIN),
    )
    worker.chain.send(worker.chain.vault.set_commission(worker.address, 1_000))
    assert stake("delegate", worker.address, "200").code == 0
    job_id = fund_job(submitter, rounds=3, slots=4, unit_wei=2 * AIN)

    finish_round(job_id, coordinator, worker, round=0, slots=4)
    claim = ("rewards", "claim", "--account", worker.address, "--home", home.path)
    assert "1.8 AIN of it went to who delegated" in ainur(*claim).err
    assert stake("show", "--json").json["delegates_wei"] == 2018 * AIN // 10

    finish_round(job_id, coordinator, worker, round=1, slots=4)
    refused = ainur(*claim, "--to-bond")
    assert (refused.code, f"belongs to {worker.address}" in refused.err) == (2, True), refused.err
    worker.chain.send(worker.chain.rewards.claim_to_bond(worker.address))
    part = worker.chain.vault.delegated_to(worker.address).amount - 2018 * AIN // 10
    assert worker.chain.vault.bond_of(worker.address) == 608 * AIN - part

    finish_round(job_id, coordinator, worker, round=2, slots=4)
    before = stake("show", "--json").json["delegates_wei"]
    assert stake("undelegate", "--all").code == 0
    assert stake("show", "--json").json["delegates_wei"] > before + AIN, "shared before it leaves"
    devnet.travel(worker.chain.parameters.get(Parameter.UNBOND_DELAY_S))
    held = worker.chain.token.balance_of(account(home))
    due = stake("show", "--json").json["delegates_wei"]
    assert stake("undelegate", "--withdraw").code == 0
    assert worker.chain.token.balance_of(account(home)) == held + due
    assert worker.chain.vault.delegated_to(worker.address).amount == 0
