"""Jobs in another token than AIN, from the vote to the claim, through the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from node import doctor
from node.chain import Chain
from node.chain.events import RoundCounted
from node.chain.types import Parameter
from node.deployment import AIN
from node.devnet import Devnet
from node.home import Home
from node.wallet import Signer, find_wallet
from tests.conftest import PLAIN_RATE
from tests.erc20 import call, deploy_token, mint, set_rate

Ainur = Callable[..., Any]
UNIT = 4_000_000
FEE = 2 * UNIT // 100


@pytest.fixture
def home(devnet: Devnet, tmp_path: Path) -> Home:
    return devnet.home(tmp_path / "node", tokens_wei=1_000 * AIN)


@pytest.fixture
def treasury(devnet: Devnet, tmp_path: Path) -> Home:
    return devnet.treasury_home(tmp_path / "treasury")


@pytest.fixture
def paid(
    plain: str, devnet: Devnet, make_node: Any, fund_job: Any, finish_round: Any
) -> tuple[Any, bytes]:
    """A worker whom a job of one round of two units has paid in PLAIN, and the job."""
    submitter, coordinator, worker = make_node(bond_wei=0), make_node(), make_node()
    mint(devnet, plain, submitter.address, 100 * UNIT)
    job_id = fund_job(submitter, slots=2, unit_wei=UNIT, unit_flops=10**9, token=plain)
    finish_round(job_id, coordinator, worker, round=0, slots=2)
    return worker, job_id


def test_accepted_tokens_are_listed_with_what_a_whole_one_counts_as(
    ainur: Ainur, home: Home, plain: str
) -> None:
    """Below the parameters; in JSON beside them."""
    shown = ainur("params", "--home", home.path)
    assert f"PLAIN\t{plain}\t2.5 AIN\t-" in shown.out.splitlines()
    (found,) = [
        each
        for each in ainur("params", "--json", "--home", home.path).json["acceptedTokens"]
        if each["address"] == plain
    ]
    assert found == {
        "address": plain, "symbol": "PLAIN", "decimals": 6, "rate": PLAIN_RATE,
        "ain_per_token": "2.5",
    }  # fmt: skip


def test_proposals_name_token_and_rate(
    ainur: Ainur, devnet: Devnet, home: Home, treasury: Home, plain: str
) -> None:
    """For a whole token, by its decimals; what the contract would refuse is refused before."""

    def propose(what: str, *arguments: object) -> Any:
        options = ("--description", "more money", "--home", treasury.path)
        return ainur("gov", "propose", what, *arguments, *options)

    assert ainur("gov", "delegate", "--home", treasury.path).code == 0
    devnet.travel(1)
    other = deploy_token(devnet)
    words = f"accept jobs in PLAIN ({other}): for locks a PLAIN counts as 0.25 AIN"
    planned = propose("accept-token", other, "--rate", "0.25", "--dry-run")
    assert (planned.code, words in planned.err) == (0, True), planned.err
    proposal = propose("accept-token", other, "--rate", "0.25").out.strip()
    assert ainur("gov", "show", proposal, "--json", "--home", home.path).json["actions"] == [words]
    ending = propose("refuse-token", "PLAIN").out.strip()
    told = ainur("gov", "show", ending, "--home", home.path).out
    assert f"accept no new jobs in PLAIN ({plain}); those that were funded go on" in told
    too_much = propose("accept-token", other, "--rate", "1000001")
    assert (too_much.code, "may count as 0.0" in too_much.err) == (2, True)
    nobody = propose("accept-token", Signer.random().address, "--rate", "0.000001")
    assert (nobody.code, "NoContract" in nobody.err) == (2, True), nobody.err
    for what in ("accept-token", "refuse-token"):
        rate = ("--rate", "1") if what == "accept-token" else ()
        own = propose(what, devnet.network.contracts.token, *rate)
        assert (own.code, "AIN is accepted, of itself" in own.err) == (2, True)
    assert propose("refuse-token", other).code == 2


def test_rewards_are_shown_explained_and_claimed_by_token(
    ainur: Ainur, home: Home, paid: tuple[Any, bytes], plain: str
) -> None:
    """Each with its own units; a claim of one leaves the others, --all leaves nothing."""
    worker, job_id = paid
    options = ("--account", worker.address, "--home", home.path)

    def rewards(verb: str, *arguments: object) -> Any:
        return ainur("rewards", verb, *arguments, *options)

    shown = rewards("show", "--json").json
    assert (shown["earned_wei"], shown["emissions"]) == (0, [])
    balance = {"address": plain, "symbol": "PLAIN", "decimals": 6}
    assert shown["tokens"] == [balance | {"earned": 2 * UNIT, "claimed": 0, "claimable": 2 * UNIT}]
    table = rewards("show")
    assert f"0x{job_id.hex()[:16]}\t1\t8 PLAIN\tcredited" in table.out.splitlines()
    assert f"claimable 8 PLAIN: `ainur rewards claim --token {plain}`" in table.err
    explained = rewards("explain", job_id.hex())
    assert "2 units of 4 PLAIN and 0 audits of 2 PLAIN make 8 PLAIN" in explained.err
    assert "its fee of 0.08 PLAIN went to the treasury" in explained.err
    (figures,) = rewards("explain", "--json").json["rewards"]
    assert (figures["fee_wei"], figures["amount_wei"], figures["token"]) == (FEE, 2 * UNIT, balance)

    nothing = rewards("claim")
    assert "has nothing to claim" in nothing.err
    assert "8 PLAIN can be claimed too, by --all" in nothing.err
    planned = rewards("claim", "--token", "PLAIN", "--dry-run")
    assert f"RewardDistributor.claim(token = {plain}, account = {worker.address})" in planned.out
    assert worker.chain.erc20(plain).balance_of(worker.address) == 0
    claimed = rewards("claim", "--all", "--json").json
    assert (claimed["claimed_wei"], claimed["tokens"]) == (0, [balance | {"claimed": 2 * UNIT}])
    assert worker.chain.erc20(plain).balance_of(worker.address) == 2 * UNIT
    again = rewards("claim", "--token", plain)
    assert (again.code, "has nothing to claim" in again.err) == (0, True)
    assert "claimed 8 PLAIN; claimable 0 PLAIN" in rewards("show").err


def test_claims_that_do_not_fit_are_refused(
    ainur: Ainur, home: Home, paid: tuple[Any, bytes], plain: str
) -> None:
    """Bonds are of AIN; a token that was never earned has no balance."""
    worker, _ = paid
    options = ("--account", worker.address, "--home", home.path)
    for arguments in (("--all", "--to-bond"), ("--token", plain, "--to-bond"),
                      ("--all", "--token", plain), ("--token", "DOGE")):  # fmt: skip
        refused = ainur("rewards", "claim", *arguments, *options)
        assert refused.code == 2, refused.err
    assert f"It has earned in: AIN, PLAIN ({plain})" in refused.err


def test_a_token_that_is_stopped_holds_up_no_other(
    ainur: Ainur,
    devnet: Devnet,
    home: Home,
    plain: str,
    make_node: Any,
    fund_job: Any,
    finish_round: Any,
) -> None:
    """All others are claimed, then the refusal is told; nothing of it is lost."""
    submitter, coordinator, worker = make_node(bond_wei=0), make_node(), make_node()
    stopped = deploy_token(devnet, "StoppedToken")
    set_rate(devnet, stopped, PLAIN_RATE)
    for token in (stopped, plain):
        mint(devnet, token, submitter.address, 100 * UNIT)
        job_id = fund_job(submitter, slots=1, unit_wei=UNIT, token=token)
        finish_round(job_id, coordinator, worker, round=0, slots=1)
    chain = worker.chain
    call(devnet, stopped, "stop(address,bool)", ("address", "bool"), (worker.address, True))
    options = ("--account", worker.address, "--home", home.path)
    refused = ainur("rewards", "claim", "--all", *options)
    assert (refused.code, "claimed 4 PLAIN for" in refused.err) == (9, True), refused.err
    assert chain.erc20(plain).balance_of(worker.address) == UNIT
    assert chain.rewards.credit_of(stopped, worker.address) == UNIT
    call(devnet, stopped, "stop(address,bool)", ("address", "bool"), (worker.address, False))
    assert ainur("rewards", "claim", "--token", stopped, *options).code == 0
    assert chain.erc20(stopped).balance_of(worker.address) == UNIT
    set_rate(devnet, stopped, 0)


def test_doctor_knows_tokens_that_no_job_can_be_paid_in(devnet: Devnet, plain: str) -> None:
    """A mistake in the settings, or a vote that came later."""
    other = Signer.random().address
    with devnet.chain() as chain:
        good, bad = doctor._tokens(chain, [plain]), doctor._tokens(chain, [plain, other])
    assert (good.level, good.found) == ("ok", f"PLAIN ({plain})")
    assert (bad.level, other in bad.found, plain in bad.found) == ("warn", True, False)


def test_the_fee_is_the_treasurys_and_nothing_is_burned_or_minted(
    ainur: Ainur, home: Home, paid: tuple[Any, bytes], plain: str, devnet: Devnet
) -> None:
    """Shown with what it holds, claimed by anybody; the round counts for no emission."""
    _, job_id = paid
    with devnet.chain() as chain:
        timelock = chain.network.contracts.timelock
        assert not _counted(chain, job_id)
        before = chain.rewards.credit_of(plain, timelock)
        held = chain.erc20(plain).balance_of(timelock)
        (found,) = [
            each
            for each in ainur("treasury", "--json", "--home", home.path).json["tokens"]
            if each["address"] == plain
        ]
        assert before >= FEE
        assert (found["held"], found["credit"]) == (held, before)
        supply = chain.token.total_supply()
        claim = ("rewards", "claim", "--account", timelock, "--token", plain)
        assert " ".join(claim) in ainur("treasury", "--home", home.path).err
        assert ainur(*claim, "--home", home.path).code == 0
        assert chain.erc20(plain).balance_of(timelock) == held + before
        assert chain.token.total_supply() == supply


def test_tokens_are_sent_and_granted_by_name(
    ainur: Ainur, devnet: Devnet, home: Home, treasury: Home, plain: str
) -> None:
    """In whole units, exactly; no more than there is."""
    other, address = Signer.random().address, find_wallet(home.wallets, "default").address
    mint(devnet, plain, address, 3_000_000)

    def send(*arguments: object) -> Any:
        return ainur("wallet", "send", other, *arguments, "--home", home.path)

    poor = send("3.000001", "--token", "PLAIN")
    assert (poor.code, "holds 3 PLAIN, less than 3.000001 PLAIN" in poor.err) == (5, True)
    assert send("1.0000001", "--token", "PLAIN").code == 2
    assert "Any other goes by its address." in send("1", "--token", "DOGE").err
    assert send("1", "--token", plain, "--gas").code == 2
    assert send("1.5", "--token", plain).code == 0
    with devnet.chain() as chain:
        assert chain.erc20(plain).balance_of(other) == 1_500_000
        timelock = chain.network.contracts.timelock
        held = chain.erc20(plain).balance_of(timelock)
    balance = ainur("wallet", "balance", "--home", home.path).out
    assert f"in PLAIN ({plain})\t1.5 PLAIN" in balance.splitlines()

    def grant(amount: str) -> Any:
        options = ("--token", "PLAIN", "--description", other, "--home", treasury.path)
        return ainur("gov", "propose", "grant", other, amount, *options)

    mint(devnet, plain, timelock, 500_000)
    assert grant(str(held // 10**6 + 1)).code == 5
    assert ainur("gov", "delegate", "--home", treasury.path).code == 0
    devnet.travel(1)
    proposal = grant("0.5").out.strip()
    told = ainur("gov", "show", proposal, "--json", "--home", home.path).json
    assert told["actions"] == [f"grant 0.5 PLAIN of {plain} to {other}"]
    grants = ainur("treasury", "--json", "--home", home.path).json["grants"]
    (found,) = [each for each in grants if each["proposal"] == proposal]
    assert (found["amount_wei"], found["token"]["address"]) == (500_000, plain)


def test_what_is_held_of_a_token_that_was_refused_is_shown(
    ainur: Ainur, devnet: Devnet, home: Home
) -> None:
    """The DAO takes it off its list; wallet and treasury have it all the same."""
    refused = deploy_token(devnet)
    set_rate(devnet, refused, PLAIN_RATE)
    set_rate(devnet, refused, 0)
    with devnet.chain() as chain:
        timelock = chain.network.contracts.timelock
    for account in (find_wallet(home.wallets, "default").address, timelock):
        mint(devnet, refused, account, 1_250_000)
    assert refused not in ainur("params", "--home", home.path).out
    balance = ainur("wallet", "balance", "--home", home.path).out
    assert f"in PLAIN ({refused})\t1.25 PLAIN" in balance.splitlines()
    listed = ainur("treasury", "--json", "--home", home.path).json["tokens"]
    assert [each["held"] for each in listed if each["address"] == refused] == [1_250_000]


def _counted(chain: Chain, job_id: bytes) -> list[Any]:
    start, head = chain.network.deployment_block, chain.head().number
    counted = chain.events(start, head, (RoundCounted,))
    return [e for e in counted if isinstance(e, RoundCounted) and e.job_id == job_id]


def test_a_jobs_money_is_shown_in_its_token(
    ainur: Ainur, home: Home, paid: tuple[Any, bytes], plain: str
) -> None:
    """In the list, in its own view and in JSON; what it locks is AIN."""
    worker, job_id = paid
    listed = ainur("job", "list", "--home", home.path).out
    (row,) = [line for line in listed.splitlines() if line.startswith(f"0x{job_id.hex()[:16]}")]
    assert "\t4 PLAIN per GFLOP\t" in row
    shown = ainur("job", "show", job_id.hex(), "--home", home.path).out
    assert f"paid in\tPLAIN ({plain})" in shown.splitlines()
    assert "paid\t8 PLAIN" in shown.splitlines()
    assert "fees\t0.08 PLAIN, to the treasury" in shown.splitlines()
    (document,) = [
        each
        for each in ainur("job", "list", "--json", "--home", home.path).json
        if each["job_id"] == f"0x{job_id.hex()}"
    ]
    assert document["token"]["address"] == plain
    assert (document["unit_wei"], document["unit_value_wei"]) == (UNIT, 10 * AIN)
    locks = worker.chain.ledger.lock_wei_of(document["unit_value_wei"])
    rates = worker.chain.parameters.all()
    factor, floor = rates[Parameter.LOCK_FACTOR_BPS], rates[Parameter.AUDIT_FLOOR_BPS]
    assert locks == 10 * AIN * factor // floor


@pytest.fixture
def job_file(tiny_file: Path) -> Path:
    """The tiny job, priced in whole tokens and naming none."""
    text = tiny_file.read_text()
    text = text.replace("price_wei_per_gflop = 1_000_000_000_000", 'price_per_gflop = "100"')
    tiny_file.write_text(text.replace("budget_wei = 10_000_000", 'budget = "1"'))
    return tiny_file


def test_a_quote_is_in_the_token_and_its_lock_in_ain(
    ainur: Ainur, home: Home, plain: str, job_file: Path
) -> None:
    """By the option, or by the job file; without a network only AIN is known."""
    options = ("--json", "--home", home.path)
    quoted = ainur("job", "quote", job_file, "--token", "PLAIN", *options).json
    assert quoted["token"] == {"address": plain, "symbol": "PLAIN", "decimals": 6}
    assert quoted["unit_wei"] == -(-quoted["unit_flops"] * 100_000_000 // 10**9)
    assert quoted["unit_value_wei"] == quoted["unit_wei"] * 25 * 10**11
    job_file.write_text(job_file.read_text().replace("[budget]", f'[budget]\ntoken = "{plain}"'))
    assert ainur("job", "quote", job_file, *options).json["unit_wei"] == quoted["unit_wei"]
    table = ainur("job", "quote", job_file, "--home", home.path).out
    assert "budget\t1 PLAIN" in table.splitlines()
    assert f"paid in\tPLAIN ({plain}): by nodes whose accepted_tokens name it" in table
    alone = ainur("job", "quote", job_file, "--home", home.path / "none")
    assert (alone.code, "Only a network knows" in alone.err) == (2, True)
    in_ain = ainur("job", "quote", job_file, "--token", "AIN", *options).json
    assert (in_ain["token"]["address"], in_ain["unit_wei"]) == (
        None, quoted["unit_flops"] * 100 * 10**9,
    )  # fmt: skip


def test_what_is_missing_for_a_job_in_a_token_is_told_before_it_is_sent(
    ainur: Ainur, devnet: Devnet, home: Home, plain: str, job_file: Path
) -> None:
    """Unknown tokens, a price in another's units, an empty wallet; then what would be sent."""

    def submit(*arguments: object) -> Any:
        return ainur("job", "submit", job_file, *arguments, "--home", home.path)

    unknown = submit("--token", "DOGE")
    assert (unknown.code, f"PLAIN ({plain})" in unknown.err) == (2, True)
    poor = submit("--token", "PLAIN", "--dry-run")
    assert (poor.code, "holds 0 PLAIN, the job needs" in poor.err) == (5, True), poor.err
    address = find_wallet(home.wallets, "default").address
    mint(devnet, plain, address, 10**6)
    planned = submit("--token", plain, "--dry-run")
    assert planned.code == 0, planned.err
    escrow = devnet.network.contracts.escrow
    _, approve, fund = planned.out.splitlines()
    assert f"contract {plain}, not of this network: approve(spender = {escrow}" in approve
    assert "JobEscrow.fund(terms = [" in fund
    assert plain in fund
    unsigned = home.path / "fund.json"
    assert submit("--token", plain, "--unsigned", unsigned).code == 0
    assert plain in ainur("tx", "show", unsigned, "--home", home.path).out
    text = job_file.read_text().replace('price_per_gflop = "100"', "price_wei_per_gflop = 1")
    job_file.write_text(text)
    other = submit("--token", plain)
    assert (other.code, "counts in smallest units of AIN" in other.err) == (2, True)
    job_file.write_text(text.replace("[budget]", '[budget]\ntoken = "PLAIN"'))
    assert submit("--token", plain, "--dry-run").code == 0
