"""The verdict on a job whose data nobody serves, on a real chain: by the node's own commitments."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from node.chain.types import Claim, ClaimedUnit, JobStatus, UnitStatus
from node.chain_jobs import LedgerReader
from node.claim_signature import ClaimDomain, Statement
from node.commitments import NO_INPUT, Commitments, Roots
from node.deployment import AIN
from node.devnet import Devnet
from node.ids import INPUT_UNAVAILABLE, JobId, UnitId, unit_id
from node.journal import Journal
from node.ledger import JobState
from node.rewards import Reward, charges_owed, rewards_of
from node.unit_history import history_of
from tests.conftest import PLAIN_RATE
from tests.erc20 import call, deploy_token, mint, set_rate

ROOTS = Roots(b"r" * 32, b"t" * 32)


class Player:
    """A bonded account, and what it committed to as a daemon would."""

    def __init__(self, node: Any, journal: Journal) -> None:
        self.node, self.chain = node, node.chain
        self.made = Commitments(journal, node.address, bytes(32))


@pytest.fixture
def players(make_node: Callable[..., Any], tmp_path: Path) -> Iterator[dict[str, Player]]:
    """Enough of them for a worker, a coordinator, an auditor and a jury, by account."""
    with ExitStack() as stack:
        nodes = [make_node() for _ in range(6)]
        journals = [stack.enter_context(Journal(tmp_path / node.address)) for node in nodes]
        made = map(Player, nodes, journals)
        yield {player.node.address: player for player in made}


def committed(devnet: Devnet, job_id: JobId, coordinator: Player, worker: Player) -> UnitId:
    """A unit on the chain, whose auditor is drawn."""
    chain, unit = coordinator.chain, unit_id(job_id, 0, 0, 0)
    chain.send(chain.ledger.take_lease(job_id))
    lineage = chain.ledger.lineage(job_id, 0)
    commitment = worker.made.commit("worker", unit, ROOTS, job_id, 0)
    domain = ClaimDomain(devnet.network.chain_id, chain.ledger.address)
    statement = Statement(unit, lineage.parent, lineage.lease_epoch, ROOTS.result_root, commitment)
    claim = (0, 0, worker.node.address, ROOTS.result_root, commitment)
    signature = domain.sign(worker.node.signer, statement)
    chain.send(chain.ledger.commit_round(job_id, 0, [Claim(*claim, signature)]))
    devnet.travel(1)
    chain.send(chain.ledger.capture_draw(job_id, 0, 0, [ClaimedUnit(*claim)]))
    return unit


def judged(devnet: Devnet, job_id: JobId, players: dict[str, Player]) -> Player:
    """Have a committee say that nobody serves a job's data; the worker."""
    coordinator, worker, *_ = players.values()
    unit = committed(devnet, job_id, coordinator, worker)
    chain = coordinator.chain
    auditor = players[chain.ledger.unit(unit).auditor]
    commitment = auditor.made.commit("auditor", unit, NO_INPUT, job_id, 0)
    auditor.chain.send(auditor.chain.ledger.commit_audits([unit], [commitment]))
    salt = worker.made.salt("worker", unit)
    worker.chain.send(worker.chain.ledger.open_units([unit], [ROOTS.trace_root], [salt]))
    salt = auditor.made.salt("auditor", unit)
    auditor.chain.send(auditor.chain.ledger.reveal_audits([unit], [INPUT_UNAVAILABLE], [salt]))
    assert chain.ledger.unit(unit).status is UnitStatus.DISPUTED
    devnet.travel(1)
    devnet.travel(1)
    coordinator.chain.send(coordinator.chain.committee.draw(unit))
    jurors = [players[account] for account in chain.committee.dispute(unit).jurors]
    for juror in jurors:
        juror.chain.send(
            juror.chain.committee.commit_vote(
                unit, juror.made.commit("juror", unit, NO_INPUT, job_id, 0)
            )
        )
    for juror in jurors:
        salt = juror.made.salt("juror", unit)
        juror.chain.send(juror.chain.committee.reveal_vote(unit, INPUT_UNAVAILABLE, salt))
    coordinator.chain.send(coordinator.chain.committee.resolve(unit))
    return worker


def test_a_committee_that_cannot_get_the_data_charges_the_submitter(
    devnet: Devnet, make_node: Callable[..., Any], fund_job: Any, players: dict[str, Player]
) -> None:
    """Nobody is slashed, the deposit pays, and the node's books agree with the contracts'."""
    submitter = make_node(bond_wei=0)
    job_id = fund_job(submitter, rounds=50, slots=2)
    worker = judged(devnet, job_id, players)
    chain = submitter.chain
    job = chain.escrow.job(job_id)
    held = chain.escrow.held_of(job_id)
    assert job.status is JobStatus.INPUT_UNAVAILABLE
    assert job.charged == job.data_wei > 0
    assert job.deposited == job.paid + job.fees + job.refunded + job.charged + held
    assert chain.rewards.credit_of(chain.token.address, worker.node.address) == AIN
    assert rewards_of(chain, worker.node.address) == [
        Reward(job_id, None, AIN, chain.token.address)
    ]
    assert all(chain.vault.bond_of(account) == 500 * AIN for account in players)
    view = LedgerReader(chain).update().jobs[job_id]
    assert (view.state, view.charged_wei) == (JobState.INPUT_UNAVAILABLE, job.charged)
    (told,) = history_of(view).units
    assert (told.verdict, told.slashed, told.audit_root) == (
        "input unavailable",
        {},
        INPUT_UNAVAILABLE,
    )


def test_what_a_stopped_token_owes_is_told_and_paid_when_it_moves(
    ainur: Any,
    devnet: Devnet,
    make_node: Callable[..., Any],
    fund_job: Any,
    players: dict[str, Player],
    tmp_path: Path,
) -> None:
    """The verdict stands at once; anybody has its charge paid later, once."""
    submitter, home = make_node(bond_wei=0), devnet.home(tmp_path / "anyone")
    token, unit_wei = deploy_token(devnet, "StoppedToken"), 4_000_000
    set_rate(devnet, token, PLAIN_RATE)
    mint(devnet, token, submitter.address, 10**12)
    job_id = fund_job(submitter, rounds=50, slots=2, unit_wei=unit_wei, token=token)
    chain = submitter.chain
    stop = partial(call, devnet, token, "stop(address,bool)", ("address", "bool"))
    stop((chain.rewards.address, True))
    worker = judged(devnet, job_id, players).node.address
    assert chain.escrow.job(job_id).status is JobStatus.INPUT_UNAVAILABLE
    assert rewards_of(chain, worker) == []
    (owed,) = charges_owed(chain)
    assert (owed.job_id, owed.amounts[0]) == (job_id, unit_wei)
    show = ("rewards", "show", "--account", worker, "--home", home.path)
    assert f"owed 4 PLAIN for job 0x{job_id.hex()[:16]}" in ainur(*show).err
    pay = ("rewards", "pay-charge", f"0x{job_id.hex()}", "--home", home.path)
    assert ainur(*pay).code == 9  # it still does not move
    stop((chain.rewards.address, False))
    assert ainur(*pay).code == 0
    assert rewards_of(chain, worker) == [Reward(job_id, None, unit_wei, token)]
    assert chain.rewards.credit_of(token, worker) == unit_wei
    assert (charges_owed(chain), "owed" in ainur(*show).err) == ([], False)
    again = ainur(*pay)
    assert (again.code, "Nothing is owed" in again.err) == (2, True)
