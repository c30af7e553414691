"""`ainur stake`, `gov`, `rewards` and `wallet balance` through the entry point, on a real chain."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from node.chain.types import Parameter
from node.deployment import AIN
from node.devnet import PASSWORD, Devnet
from node.home import Home
from node.identity import load_seed, peer_id_from_key
from node.network_file import load_network, save_network
from node.wallet import find_wallet, store_wallet, unlock

Ainur = Callable[..., Any]


@pytest.fixture
def home(devnet: Devnet, tmp_path: Path) -> Home:
    return devnet.home(tmp_path / "node", tokens_wei=1_000 * AIN)


@pytest.fixture
def treasury(devnet: Devnet, tmp_path: Path) -> Home:
    return devnet.treasury_home(tmp_path / "treasury")


def account(home: Home) -> str:
    return find_wallet(home.wallets, "default").address


def test_stake_from_add_to_withdraw(ainur: Ainur, devnet: Devnet, home: Home) -> None:
    """A bond's whole life: too little, enough, asked back, kept, asked back, paid out."""
    few = ainur("stake", "add", "40", "--home", home.path)
    assert (few.code, few.out) == (0, "")
    assert "not active yet: a node needs 100 AIN" in few.err
    more = ainur("stake", "add", "160AIN", "--home", home.path)
    assert "bonded 160 AIN; the bond of" in more.err
    assert "is now 200 AIN" in more.err
    shown = ainur("stake", "show", "--json", "--home", home.path).json
    assert shown["bond_wei"] == 200 * AIN
    assert shown["active"] is True
    assert (shown["locked_wei"], shown["free_wei"]) == (0, 200 * AIN)
    assert shown["peer_id"] == peer_id_from_key(load_seed(home.peer_key))
    assert shown["available_at"] is None

    asked = ainur("stake", "remove", "150", "--home", home.path)
    assert asked.code == 0
    assert "no longer active" in asked.err
    kept = ainur("stake", "remove", "--cancel", "--home", home.path)
    assert kept.code == 0
    ainur("stake", "remove", "--all", "--home", home.path)
    early = ainur("stake", "remove", "--withdraw", "--home", home.path)
    assert early.code == 2
    assert "200 AIN can be withdrawn from" in early.err
    with devnet.chain() as chain:
        devnet.travel(chain.parameters.get(Parameter.UNBOND_DELAY_S))
    paid = ainur("stake", "remove", "--withdraw", "--home", home.path)
    assert paid.code == 0
    assert "withdrew 200 AIN" in paid.err
    table = ainur("stake", "show", "--home", home.path).out.splitlines()
    assert "bond\t0 AIN" in table
    assert "active\tno" in table


def test_stake_of_a_hot_key_belongs_to_a_cold_one(
    ainur: Ainur, devnet: Devnet, home: Home, tmp_path: Path
) -> None:
    """A node offers its bond; the cold key accepts, bonds, removes, votes; the node cannot."""
    cold = devnet.home(tmp_path / "cold", tokens_wei=1_000 * AIN)
    hot_key, cold_key = account(home), account(cold)

    def stake(*arguments: object, home: Home = home) -> Any:
        return ainur("stake", *arguments, "--home", home.path)

    early = stake("accept", hot_key, home=cold)
    assert (early.code, "is not offered to" in early.err) == (2, True)
    squatted = stake("add", "200", "--operator", hot_key, home=cold)
    assert (squatted.code, f"belongs to {hot_key}, not to" in squatted.err) == (2, True)
    offered = stake("owner", cold_key)
    assert (offered.code, f"ainur stake accept {hot_key}" in offered.err) == (0, True), offered.err
    waiting = stake("show", "--json").json
    assert (waiting["owner"], waiting["offered_to"]) == (hot_key, cold_key)
    assert waiting["peer_id"] == peer_id_from_key(load_seed(home.peer_key))
    accepted = stake("accept", hot_key, home=cold)
    assert (accepted.code, f"owns the bond of {hot_key}" in accepted.err) == (0, True)
    bonded = stake("add", "200", "--operator", hot_key, home=cold)
    assert (bonded.code, f"the bond of {hot_key} is now 200 AIN" in bonded.err) == (0, True)

    shown = stake("show", "--json").json
    assert (shown["active"], shown["bond_wei"], shown["owner"]) == (True, 200 * AIN, cold_key)
    assert f"owner\t{cold_key}" in stake("show").out.splitlines()
    votes = [ainur("gov", "power", "--json", "--home", h.path).json for h in (home, cold)]
    assert [each["votes_wei"] for each in votes] == [0, 200 * AIN]
    for wanted in (("remove", "--all"), ("remove", "--withdraw"), ("owner", hot_key)):
        refused = stake(*wanted)
        assert (refused.code, f"belongs to {cold_key}" in refused.err) == (2, True)
    assert f"it belongs to {cold_key}" in stake("add", "5").err

    asked = stake("remove", "--all", "--operator", hot_key, home=cold)
    assert f"ainur stake remove --withdraw --operator {hot_key}" in asked.err
    assert stake("remove", "--cancel", "--operator", hot_key, home=cold).code == 0
    assert stake("remove", "--all", "--operator", hot_key, home=cold).code == 0
    with devnet.chain() as chain:
        devnet.travel(chain.parameters.get(Parameter.UNBOND_DELAY_S))
    paid = stake("remove", "--withdraw", "--operator", hot_key, home=cold)
    assert (paid.code, f"withdrew 205 AIN to {cold_key}" in paid.err) == (0, True), paid.err


def test_stake_mistakes_are_explained(ainur: Ainur, home: Home) -> None:
    """Too much, nothing, contradictions: no transaction, a reason, a remedy."""
    too_much = ainur("stake", "add", "1000.1", "--home", home.path)
    assert too_much.code == 5
    assert "holds 1,000 AIN, less than the 1,000.1 AIN" in too_much.err
    assert ainur("stake", "add", "0", "--home", home.path).code == 2
    assert ainur("stake", "remove", "1", "--all", "--home", home.path).code == 2
    assert ainur("stake", "remove", "--home", home.path).code == 2
    nothing = ainur("stake", "remove", "1", "--home", home.path)
    assert (nothing.code, "0 AIN is bonded" in nothing.err) == (5, True)
    none_pending = ainur("stake", "remove", "--withdraw", "--home", home.path)
    assert (none_pending.code, "Nothing is being withdrawn" in none_pending.err) == (2, True)
    refused = ainur("stake", "remove", "--cancel", "--home", home.path)
    assert (refused.code, "NothingPending" in refused.err) == (9, True)


def test_a_bond_that_moves_to_another_node_says_so(
    ainur: Ainur, devnet: Devnet, home: Home, tmp_path: Path
) -> None:
    """--from another node's account, in this home: the bond would be for this home's node."""
    other = devnet.home(tmp_path / "other", bond_wei=100 * 10**18)
    account = find_wallet(other.wallets, "default").address
    options = ("--dry-run", "--from", account)
    moved = ainur("stake", "add", "5", *options, "--home", home.path)
    assert (moved.code, f"{account} has its bond for the node 12D3" in moved.err) == (0, True)
    same = ainur("stake", "add", "5", *options, "--home", other.path)
    assert (same.code, "has its bond for" in same.err) == (0, False)
    # Draws of other tests find it no more.
    assert ainur("stake", "remove", "--all", "--home", other.path).code == 0


def test_wrong_password_is_exit_6(ainur: Ainur, home: Home, tmp_path: Path) -> None:
    """Nothing is sent."""
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong\n")
    outcome = ainur("stake", "add", "1", "--home", home.path, "--password-file", wrong)
    assert (outcome.code, outcome.out) == (6, "")
    assert "does not open" in outcome.err


def test_unreachable_chain_is_exit_4(
    ainur: Ainur, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line with the endpoint and what to do."""
    monkeypatch.setattr("node.chain.rpc.BACKOFF_S", 0.0)
    network = load_network(home.network)
    save_network(home.network, network.with_endpoints("http://127.0.0.1:9"))
    outcome = ainur("stake", "show", "--home", home.path)
    assert (outcome.code, outcome.out) == (4, "")
    (line,) = outcome.err.splitlines()
    assert "http://127.0.0.1:9: no connection" in line
    assert "rpc_endpoints" in line


def test_configured_endpoint_wins_over_network_file(
    ainur: Ainur, devnet: Devnet, home: Home
) -> None:
    """A person's own endpoint is used."""
    network = load_network(home.network)
    save_network(home.network, network.with_endpoints("http://127.0.0.1:9"))
    ainur("config", "set", "rpc_endpoints", devnet.endpoint, "--home", home.path)
    assert ainur("stake", "show", "--home", home.path).code == 0


def test_home_without_network_says_so(ainur: Ainur, home: Home) -> None:
    """`ainur init --network FILE` is the remedy."""
    home.network.unlink()
    outcome = ainur("stake", "show", "--home", home.path)
    assert (outcome.code, "ainur init --network FILE" in outcome.err) == (2, True)


def test_wallet_balance(ainur: Ainur, home: Home) -> None:
    """Gas money, tokens, bond, votes."""
    document = ainur("wallet", "balance", "--json", "--home", home.path).json
    assert document["token_wei"] == 1_000 * AIN
    assert document["native_wei"] == 100 * AIN
    assert (document["bond_wei"], document["votes_wei"]) == (0, 0)
    assert "tokens\t1,000 AIN" in ainur("wallet", "balance", "--home", home.path).out.splitlines()


def test_wallet_send_moves_tokens_and_gas(ainur: Ainur, home: Home, treasury: Home) -> None:
    """A home's first money comes from another home."""
    to, options = account(treasury), ("--home", home.path)
    with_tokens = ainur("wallet", "send", to, "2.5", *options)
    cost, said = with_tokens.err.splitlines()
    assert (with_tokens.code, said) == (0, f"sent 2.5 AIN to {to}")
    assert cost.startswith("ComputeToken.transfer: gas ")
    with_gas = ainur("wallet", "send", to, "3", "--gas", "--json", *options)
    assert (with_gas.code, with_gas.json["amount_wei"]) == (0, 3 * AIN)
    left = ainur("wallet", "balance", "--json", *options).json
    assert left["token_wei"] == 1_000 * AIN - 25 * 10**17
    assert 96 * AIN < left["native_wei"] < 97 * AIN

    too_much = ainur("wallet", "send", to, "5000", *options)
    assert (too_much.code, "holds 997.5 AIN, less than 5,000" in too_much.err) == (5, True)
    no_fee = ainur("wallet", "send", to, f"{left['native_wei']}wei", "--gas", *options)
    assert (no_fee.code, "cannot pay the gas" in no_fee.err) == (5, True)
    assert ainur("wallet", "send", to, "0", *options).code == 2
    mistyped = ainur("wallet", "send", to[:-1], "1", *options)
    assert (mistyped.code, "not an address" in mistyped.err) == (2, True)


def test_governance_from_delegation_to_execution(
    ainur: Ainur, devnet: Devnet, home: Home, treasury: Home
) -> None:
    """The treasury changes a parameter; every step out of order is explained."""

    def gov(*arguments: object, home: Home = treasury) -> Any:
        return ainur("gov", *arguments, "--home", home.path)

    with devnet.chain() as chain:
        before = chain.parameters.get(Parameter.PROBATION_UNITS)
        delay, period = chain.governor.voting_delay_s(), chain.governor.voting_period_s()
    wanted = before + 1
    propose = ("propose", "set", "probationUnits", wanted, "--description", f"Be strict: {wanted}")

    powerless = gov(*propose, home=home)
    assert powerless.code == 5
    assert "ainur gov delegate" in powerless.err
    assert "now votes with" in gov("delegate").err
    devnet.travel(1)
    proposed = gov(*propose)
    assert proposed.code == 0, proposed.err
    proposal = proposed.out.strip()
    assert proposal.startswith("0x")
    assert len(proposal) == 66
    again = gov(*propose)
    assert (again.code, f"proposed before: {proposal}" in again.err) == (2, True)

    early = gov("vote", proposal[:12], "for")
    assert (early.code, "is pending, not active. Voting begins in" in early.err) == (2, True)
    devnet.travel(delay + 1)
    stranger = gov("vote", proposal, "for", home=home)
    assert (stranger.code, "had no voting power" in stranger.err) == (5, True)
    voted = gov("vote", proposal[:12], "for", "--reason", "because")
    assert voted.code == 0
    assert "voted for with" in voted.err
    twice = gov("vote", proposal, "against")
    assert (twice.code, "has voted" in twice.err) == (2, True)
    unfinished = gov("queue", proposal)
    assert (unfinished.code, "is active, not succeeded. Voting ends in" in unfinished.err) == (
        2,
        True,
    )

    devnet.travel(period + 1)
    unqueued = gov("execute", proposal)
    assert (unqueued.code, "Queue it first" in unqueued.err) == (2, True)
    assert gov("queue", proposal).code == 0
    impatient = gov("execute", proposal)
    assert (impatient.code, "The timelock holds" in impatient.err) == (2, True)
    devnet.travel(60)
    executed = gov("execute", proposal, home=home)
    assert executed.code == 0, executed.err
    assert f"executed: set probationUnits to {wanted}" in executed.err

    shown = gov("show", proposal, "--json").json
    assert shown["state"] == "executed"
    assert shown["actions"] == [f"set probationUnits to {wanted}"]
    assert shown["for_wei"] > 0
    listed = gov("list", "--json").json
    (found,) = [p for p in listed if p["id"] == proposal]
    assert shown.items() >= found.items()
    assert f"{proposal[:18]}\texecuted\tset probationUnits to {wanted}" in gov("list").out
    assert "state\texecuted" in gov("show", proposal).out.splitlines()
    rules = gov("show", "--json").json
    assert rules["parameters"]["probationUnits"] == {"value": wanted, "min": 1, "max": 10_000}
    shown = gov("show")
    assert f"probationUnits\t{wanted}\t1\t10000" in shown.out.splitlines()
    assert "protocolFeeBps\t100 (1%)\t0 (0%)\t2000 (20%)" in shown.out.splitlines()
    assert "threshold 1,000 AIN" in shown.err.splitlines()


def test_governance_by_signed_ballot_and_its_veto(
    ainur: Ainur, devnet: Devnet, home: Home, treasury: Home, tmp_path: Path
) -> None:
    """A holder signs, somebody else pays; the guardian ends what the vote would have passed."""

    def gov(*arguments: object, home: Home = treasury) -> Any:
        return ainur("gov", *arguments, "--home", home.path)

    gov("delegate")
    devnet.travel(1)
    proposal = gov("propose", "set", "leaseS", "33", "--description", "ballots").out.strip()
    ballot = tmp_path / "ballot.json"
    early = gov("vote", proposal, "for", "--sign", ballot)
    assert (early.code, "is pending, not active" in early.err) == (2, True)
    with devnet.chain() as chain:
        devnet.travel(chain.governor.voting_delay_s() + 1)
    signed = gov("vote", proposal, "for", "--sign", ballot)
    assert (signed.code, f"ainur gov relay {ballot}" in signed.err) == (0, True), signed.err
    again = gov("vote", proposal, "for", "--sign", ballot)
    assert (again.code, "is not overwritten" in again.err) == (2, True)
    changed = tmp_path / "changed.json"
    changed.write_text(ballot.read_text().replace('"support": 1', '"support": 0'))
    forged = gov("relay", changed, home=home)
    assert (forged.code, "was not signed by" in forged.err) == (2, True)
    changed.write_text(ballot.read_text().replace('"nonce": 0', '"nonce": 7'))
    assert "has number 7, " in gov("relay", changed, home=home).err
    changed.write_text("{}")
    assert "is no ballot: chain_id" in gov("relay", changed, home=home).err

    counted = gov("relay", ballot, home=home)
    assert (counted.code, f"{account(treasury)} voted for with" in counted.err) == (0, True)
    assert gov("show", proposal, "--json").json["for_wei"] > 0
    twice = gov("relay", ballot, home=home)
    assert (twice.code, "has voted" in twice.err) == (2, True)

    stranger = gov("cancel", proposal, home=home)
    assert (stranger.code, "may not cancel" in stranger.err) == (2, True)
    assert gov("show", "--json").json["guardian"]["account"] == account(treasury)
    vetoed = gov("cancel", proposal)
    assert (vetoed.code, "cancelled: set leaseS to 33" in vetoed.err) == (0, True), vetoed.err
    over = gov("cancel", proposal)
    assert (over.code, "is canceled" in over.err) == (2, True)


def test_governance_refuses_nonsense_before_sending(ainur: Ainur, treasury: Home) -> None:
    """Unknown names, values out of bounds or in conflict, unknown proposals."""

    def propose(name: str, value: str) -> Any:
        options = ("--description", "x", "--home", treasury.path)
        return ainur("gov", "propose", "set", name, value, *options)

    unknown = propose("auditFlor", "1")
    assert (unknown.code, "auditFloorBps" in unknown.err) == (2, True)
    outside = propose("committeeSize", "99")
    assert (outside.code, "must be 3 to 15" in outside.err) == (2, True)
    conflict = propose("unbondDelayS", "1")
    assert (conflict.code, "UnbondDelayTooShort" in conflict.err) == (2, True)
    text = propose("leaseS", "soon")
    assert (text.code, "whole number" in text.err) == (2, True)
    percent = propose("auditFloorBps", "5%")
    assert (percent.code, "500 is 5%" in percent.err) == (2, True)
    tokens = propose("minBondWei", "150")
    assert (tokens.code, "Tokens end in AIN" in tokens.err) == (2, True)
    missing = ainur("gov", "show", "0x123456", "--home", treasury.path)
    assert (missing.code, "No proposal has the id" in missing.err) == (2, True)


def test_delegation_to_others_and_power(ainur: Ainur, home: Home, treasury: Home) -> None:
    """Votes move, tokens stay, bonded ones vote for their owner; a wrong address is refused."""
    other = account(treasury)
    assert ainur("gov", "delegate", other, "--home", home.path).code == 0
    power = ainur("gov", "power", "--json", "--home", home.path).json
    assert (power["token_wei"], power["votes_wei"]) == (1_000 * AIN, 0)
    assert power["delegate"] == other
    assert ainur("stake", "add", "40", "--home", home.path).code == 0
    bonded = ainur("gov", "power", "--json", "--home", home.path).json
    assert (bonded["bonded_wei"], bonded["votes_wei"]) == (40 * AIN, 40 * AIN)
    wrong = ainur("gov", "delegate", other[:-1], "--home", home.path)
    assert (wrong.code, "not an address" in wrong.err) == (2, True)


def test_rewards_show_and_claim(
    ainur: Ainur,
    home: Home,
    make_node: Callable[..., Any],
    fund_job: Callable[..., Any],
    finish_round: Callable[..., None],
    devnet: Devnet,
) -> None:
    """What a worker earned by work and by emission is shown, claimed once, shown as claimed."""
    submitter, coordinator, worker = make_node(bond_wei=0), make_node(), make_node()
    job_id = fund_job(submitter, slots=2, unit_wei=4 * AIN, unit_flops=10**9)
    finish_round(job_id, coordinator, worker, round=0, slots=2)
    devnet.travel(coordinator.chain.token.schedule().plan.epoch_s)
    store_wallet(home.wallets, "worker", worker.signer, PASSWORD, devnet=True)
    ainur("config", "set", "wallet", "worker", "--home", home.path)

    before = ainur("rewards", "show", "--json", "--home", home.path).json
    assert (before["earned_wei"], before["claimable_wei"], before["claimed_wei"]) == (
        8 * AIN, 8 * AIN, 0,
    )  # fmt: skip
    token = {"address": None, "symbol": "AIN", "decimals": 18}
    assert before["rewards"] == [
        {"job_id": f"0x{job_id.hex()}", "round": 0, "amount_wei": 8 * AIN, "token": token}
    ]
    assert before["tokens"] == []
    planned = ainur("rewards", "claim", "--dry-run", "--home", home.path)
    assert planned.code == 0, planned.err
    assert ainur("rewards", "show", "--json", "--home", home.path).json == before
    outcome = ainur("rewards", "claim", "--json", "--home", home.path)
    assert outcome.code == 0, outcome.err
    claimed = outcome.json
    # A hundredth was burned; a tenth of it is the treasury's.
    minted = before["emission_claimable_wei"]
    assert minted == claimed["emission_claimed_wei"] == 8 * AIN // 100 * 9 // 10
    assert claimed["claimed_wei"] == 8 * AIN + minted
    assert len(claimed["transactions"]) == 1
    again = ainur("rewards", "claim", "--home", home.path)
    assert (again.code, "nothing to claim" in again.err) == (0, True)
    # What the treasury has of it is credited, and anybody may have it paid.
    held = ainur("treasury", "--json", "--home", home.path).json
    assert held["credit_wei"] >= 8 * AIN // 100 // 10
    dao = held["account"]
    assert f"`ainur rewards claim --account {dao}`" in ainur("treasury", "--home", home.path).err
    assert ainur("rewards", "claim", "--account", dao, "--home", home.path).code == 0
    paid = ainur("treasury", "--json", "--home", home.path).json
    assert paid["token_wei"] == held["token_wei"] + held["credit_wei"]
    assert paid["credit_wei"] == 0
    after = ainur("rewards", "show", "--home", home.path)
    head, work, emission = after.out.splitlines()
    assert head == "for\tround\tearned\tstate"
    assert work == f"0x{job_id.hex()[:16]}\t1\t8 AIN\tcredited"
    assert emission.startswith("epoch ")
    assert emission.endswith("\temission\t0.072 AIN\tclaimed")
    assert "claimed 8.072 AIN, 0.072 AIN of it emission; claimable 0 AIN" in after.err


def test_rewards_claimed_into_the_bond_are_shared_with_who_delegated(
    ainur: Ainur,
    home: Home,
    make_node: Callable[..., Any],
    fund_job: Callable[..., Any],
    finish_round: Callable[..., None],
    devnet: Devnet,
) -> None:
    """Work and emission, a holder's part first; a stranger cannot decide it."""
    submitter, coordinator, worker = make_node(bond_wei=0), make_node(), make_node()
    holder = make_node(bond_wei=0)
    worker.chain.send(worker.chain.vault.set_commission(worker.address, 0))
    vault = holder.chain.vault
    holder.chain.send(holder.chain.token.approve(vault.address, 50 * AIN))
    holder.chain.send(vault.delegate_bond(worker.address, 50 * AIN, 0))
    job_id = fund_job(submitter, slots=2, unit_wei=4 * AIN, unit_flops=10**9)
    finish_round(job_id, coordinator, worker, round=0, slots=2)
    devnet.travel(coordinator.chain.token.schedule().plan.epoch_s)
    refused = ainur(
        "rewards", "claim", "--to-bond", "--account", worker.address, "--home", home.path
    )
    assert (refused.code, "belongs to" in refused.err) == (2, True)
    store_wallet(home.wallets, "worker", worker.signer, PASSWORD, devnet=True)
    ainur("config", "set", "wallet", "worker", "--home", home.path)
    own = vault.bond_of(worker.address)
    claimed = ainur("rewards", "claim", "--to-bond", "--home", home.path)
    assert claimed.code == 0, claimed.err
    assert "into the bond of" in claimed.err
    assert "went to who delegated to this account" in claimed.err
    paid = 8_072 * AIN // 1000
    part = paid * 50 * AIN // (own + 50 * AIN)
    assert vault.delegated_to(worker.address).amount == 50 * AIN + part
    assert vault.bond_of(worker.address) == own + paid - part


def test_rewards_of_a_newcomer(ainur: Ainur, home: Home) -> None:
    """No rewards: said on stderr, not an error; nothing is sent."""
    shown = ainur("rewards", "show", "--home", home.path)
    assert (shown.code, shown.out) == (0, "")
    assert "no rewards yet" in shown.err
    assert unlock(find_wallet(home.wallets, "default"), PASSWORD).address == account(home)


def test_job_show_traces_every_wei_to_a_unit(
    ainur: Ainur, home: Home, make_node: Any, fund_job: Any, finish_round: Any
) -> None:
    """Who computed, when, the verdict, what was paid: as JSON, as a table, and a round alone."""
    submitter, coordinator, worker = make_node(bond_wei=0), make_node(), make_node()
    job_id = fund_job(submitter, rounds=2, slots=3, unit_wei=AIN)
    for round in (0, 1):
        finish_round(job_id, coordinator, worker, round=round, slots=3)
    shown = ainur("job", "show", job_id.hex(), "--json", "--home", home.path).json
    assert (shown["state"], shown["unexplained_wei"]) == ("completed", {})
    places = [(unit["round"], unit["slot"], unit["attempt"]) for unit in shown["units"]]
    assert places == [(r, s, 0) for r in (1, 2) for s in (0, 1, 2)]
    assert sum(sum(unit["paid_wei"].values()) for unit in shown["units"]) == shown["paid_wei"]
    for unit in shown["units"]:
        assert (unit["worker"], unit["coordinator"]) == (worker.address, coordinator.address)
        assert unit["paid_wei"][worker.address] == AIN
        assert unit["decided_at"] >= unit["committed_at"] > 0
    second = ainur("job", "show", job_id.hex(), "--round", 2, "--home", home.path)
    rows = [line.split("\t") for line in second.out.splitlines()]
    start = next(i for i, row in enumerate(rows) if row[0] == "round")
    assert [row[:4] for row in rows[start + 1 :]] == [
        ["2", str(slot), "1", worker.address] for slot in (0, 1, 2)
    ]
    assert second.err == ""
    beyond = ainur("job", "show", job_id.hex(), "--round", 3, "--home", home.path)
    assert (beyond.code, "rounds 1 to 2" in beyond.err) == (2, True)


def test_quote_without_peers_says_so_and_gives_unit_seconds(ainur: Ainur, home: Home) -> None:
    """The figures are exact all the same."""
    folder = home.path.parent / "job"
    assert ainur("job", "init", folder).code == 0
    subprocess.run([sys.executable, folder / "build.py"], check=True, capture_output=True)
    quoted = ainur("job", "quote", folder / "job.toml", "--json", "--home", home.path).json
    assert quoted["forecast"] is None
    assert "names no bootstrap peer" in quoted["no_forecast"]
    assert quoted["unit_seconds_at_1_gflops"] == quoted["unit_flops"] / 1e9
    assert quoted["fee_wei"] > 0
    table = ainur("job", "quote", folder / "job.toml", "--home", home.path).out
    assert "nobody was reached: The network file names no bootstrap peer" in table
    assert "unit-seconds" in table
