"""Jobs that do not complete: what was not earned comes back, and one is told why."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from examples.digits.__main__ import Settings, write
from node.ledger import JobState
from tests.erc20 import deploy_token, mint, set_rate

IN_PLAIN = Settings(
    rounds=1, slots=2, steps=3, trace_every=2, price_wei_per_gflop=16_000_000, budget_wei=10**9
)


def test_cancelled_job_refunds_what_was_not_earned(
    network: Callable[[int], Any], small_job: Any
) -> None:
    """The started round is finished and paid; then nothing is held any more."""
    running = network(3)
    job_id = running.submit(small_job.file)
    # `job` compares deposited with paid + fees + refunded + held at every look.
    running.wait("claims of round 2 are on chain", lambda: (1, 0) in running.job(job_id).batches)
    outcome = running.ainur(running.submitter, "job", "cancel", job_id.hex())
    assert outcome.code == 0, outcome.err
    assert "came back at once" in outcome.err
    assert running.job(job_id).state is JobState.CANCELLED
    running.wait("the started round is final", lambda: running.job(job_id).open_round == 2)
    job = running.wait_for_end(job_id)
    running.check_payment(job)
    assert job.open_round == 2
    assert job.deposited_wei == job.paid_wei + job.fees_wei + job.refunded_wei
    # A third for the round that was not begun, and every audit that did not take place.
    assert job.refunded_wei >= job.deposited_wei // 3
    shown = running.ainur(running.submitter, "job", "show", job_id.hex(), "--json").json
    assert (shown["state"], shown["rounds_done"]) == ("cancelled", 2)
    watched = running.ainur(running.submitter, "job", "watch", job_id.hex())
    assert (watched.code, "without a result: cancelled" in watched.err) == (10, True)
    again = running.ainur(running.submitter, "job", "cancel", job_id.hex())
    assert (again.code, "is over: cancelled" in again.err) == (2, True)


def test_job_that_nobody_serves_says_so_and_is_refunded(
    network: Callable[[int], Any], small_job: Any
) -> None:
    """Its only peer holds it, but coordinates no jobs; a look tells, and all comes back."""
    running = network(0)
    (home,) = running.add(1)
    running.ainur(home, "config", "set", "roles", "work,audit")
    running.start()
    before_wei = running.chain.token.balance_of(running.address(running.submitter))
    job_id = running.submit(small_job.file)
    shown = running.ainur(running.submitter, "job", "show", job_id.hex())
    assert "no bonded node holds this job and its lease yet" in shown.out
    told = "waiting: no node holds the lease of any job"
    running.wait("the node says so too", lambda: running.status(home).activity == told)
    watched = running.ainur(
        running.submitter, "job", "watch", job_id.hex(), "--json", "--timeout", 0
    )
    assert (watched.code, watched.json["state"]) == (10, "funded")
    waiting = "no bonded node holds this job and its lease yet; 1 are online"
    assert watched.json["waiting"] == waiting
    outcome = running.ainur(running.submitter, "job", "cancel", job_id.hex())
    assert outcome.code == 0, outcome.err
    job = running.job(job_id)
    assert (job.refunded_wei, job.settled) == (job.deposited_wei, True)
    assert running.chain.token.balance_of(running.address(running.submitter)) == before_wei


def test_deadline_ends_a_job(network: Callable[[int], Any], small_job: Any) -> None:
    """No new round is begun; one that was begun in time is finished; the rest comes back."""
    # Alone, because for several the leap would also skip the time that audits may take.
    running = network(1)
    job_id = running.submit(small_job.file)
    running.wait("a round is final", lambda: running.job(job_id).open_round)
    job = running.job(job_id)
    running.devnet.travel(job.deadline_s - running.chain.head().timestamp + 1)
    shown = running.ainur(running.submitter, "job", "show", job_id.hex(), "--json").json
    assert shown["state"] == "expired"
    job = running.wait_for_end(job_id)
    assert job.state is JobState.EXPIRED
    assert 1 <= job.open_round < job.rounds
    assert job.deposited_wei == job.paid_wei + job.fees_wei + job.refunded_wei
    running.check_payment(job)


def test_job_in_a_token_pays_worker_treasury_and_submitter_to_the_unit(
    network: Callable[[int], Any], tmp_path: Path
) -> None:
    """Who does not accept the token audits, as it must, and works on none of it."""
    running = network(0)
    token = deploy_token(running.devnet)
    set_rate(running.devnet, token, 25 * 10**29)
    works, audits = running.add(2)
    running.ainur(works, "config", "set", "accepted_tokens", token)
    running.start()
    submitter, given = running.address(running.submitter), 10**9
    mint(running.devnet, token, submitter, given)
    file = write(tmp_path / "job", IN_PLAIN)
    file.write_text(file.read_text().replace("[budget]", f'[budget]\ntoken = "{token}"'))
    chain, timelock = running.chain, running.network.contracts.timelock
    money, supply = chain.erc20(token), chain.token.total_supply()

    job_id = running.submit(file)
    job = running.wait_for_end(job_id)
    assert (job.state, job.token, job.open_round) == (JobState.COMPLETED, token, 1)
    assert job.holder == running.address(works)
    running.check_payment(job)
    units = job.rounds * job.slots
    audited = (job.paid_wei - units * job.unit_wei) // job.audit_wei
    assert job.unit_value_wei == job.unit_wei * 25 * 10**11
    assert job.refunded_wei == job.deposited_wei - job.paid_wei - job.fees_wei > 0
    assert money.balance_of(submitter) == given - job.paid_wei - job.fees_wei
    assert chain.rewards.credit_of(token, timelock) == job.fees_wei > 0
    for home, earned in ((works, units * job.unit_wei), (audits, audited * job.audit_wei)):
        assert running.ainur(home, "rewards", "claim", "--all").code == 0
        assert money.balance_of(running.address(home)) == earned
    assert chain.token.total_supply() == supply, "nothing was burned or minted"
    status = running.status(audits)
    assert (status.units_computed, status.audits_computed > 0) == (0, audited > 0)
    (earned,) = running.status(works).tokens
    assert (earned.address, earned.earned) == (token, units * job.unit_wei)
    assert token in running.ainur(works, "node", "status").out
    told = (audits.logs / "node.log").read_text().count("accepted_tokens does not name")
    assert told == 1
