"""Fixtures that several packages' tests share: a real local chain and the command line."""

import json
import secrets
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from node.chain import Chain
from node.chain.events import JobFunded
from node.chain.types import ZERO_ADDRESS, Claim, ClaimedUnit, JobTerms
from node.claim_signature import ClaimDomain, Statement
from node.cli.main import run
from node.deployment import AIN
from node.devnet import Devnet
from node.identity import peer_id_bytes
from node.ids import JobId, unit_id
from node.wallet import Signer
from tests.erc20 import deploy_token, set_rate

ROOT = Path(__file__).parents[1]
PLAIN_RATE = 25 * 10**29

# A busy machine fails no test: only a test that says so itself is about time.
settings.register_profile("ainur", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ainur")


@pytest.fixture(scope="session")
def devnet() -> Iterator[Devnet]:
    """One real EVM node with all contracts for the whole run. Tests use accounts of their own."""
    if not (ROOT / "node_modules" / "hardhat").is_dir():
        npm = ROOT / ".venv" / "bin" / "npm"
        subprocess.run([npm, "install", "--ignore-scripts", "--no-audit"], cwd=ROOT, check=True)
    with Devnet() as running:
        yield running


@pytest.fixture(scope="session")
def plain(devnet: Devnet) -> str:
    """The address of a token with six decimals that the DAO has accepted: one counts as 2.5 AIN."""
    address = deploy_token(devnet)
    set_rate(devnet, address, PLAIN_RATE)
    return address


@dataclass(frozen=True)
class Outcome:
    """What one command line did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def ainur(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Outcome]:
    """Run `ainur` with arguments through its entry point, away from the tester's own settings."""
    for name in ("AINUR_HOME", "AINUR_PASSWORD", "AINUR_DEVICE", "AINUR_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@dataclass(frozen=True)
class Node:
    """A bonded account on the devnet, without a daemon."""

    signer: Signer
    chain: Chain

    @property
    def address(self) -> str:
        return self.signer.address


@pytest.fixture
def make_node(devnet: Devnet) -> Iterator[Callable[..., Node]]:
    """Make funded accounts with a chain client each; bonded unless `bond_wei` is 0."""
    made: list[Node] = []

    def make(*, bond_wei: int = 500 * AIN) -> Node:
        signer = Signer.random()
        devnet.fund(signer.address)
        if bond_wei:
            devnet.bond(signer, bond_wei, peer_id_bytes(secrets.token_bytes(32)))
        made.append(Node(signer, devnet.chain(signer)))
        return made[-1]

    yield make
    for node in made:
        # Leave the list of active nodes as it was found: draws of later tests depend on it.
        if node.chain.vault.is_active(node.address):
            node.chain.send(node.chain.vault.request_unbond(node.chain.vault.bond_of(node.address)))
        node.chain.close()


@pytest.fixture
def fund_job(devnet: Devnet) -> Callable[..., JobId]:
    """Fund a job whose manifest nobody needs; returns its id."""

    def fund(
        submitter: Node,
        *,
        rounds: int = 1,
        slots: int = 2,
        unit_wei: int = AIN,
        unit_flops: int = 0,
        token: str = ZERO_ADDRESS,
    ) -> JobId:
        chain = submitter.chain
        terms = JobTerms(
            manifest_digest=secrets.token_bytes(32),
            manifest_size=100,
            manifest_root=secrets.token_bytes(32),
            rounds=rounds,
            slots=slots,
            unit_wei=unit_wei,
            deadline=chain.head().timestamp + 100_000,
            unit_flops=unit_flops,
            token=token,
        )
        money = chain.token if token == ZERO_ADDRESS else chain.erc20(token)
        chain.send(money.approve(chain.escrow.address, chain.escrow.quote(terms)))
        receipt = chain.send(chain.escrow.fund(terms))
        (funded,) = [event for event in receipt.events if isinstance(event, JobFunded)]
        assert funded.terms == terms
        return funded.job_id

    return fund


@pytest.fixture
def finish_round(devnet: Devnet) -> Callable[..., None]:
    """Take a round from lease to finalisation with nobody there to audit it."""

    def finish(job_id: JobId, coordinator: Node, worker: Node, *, round: int, slots: int) -> None:
        chain = coordinator.chain
        domain = ClaimDomain(devnet.network.chain_id, chain.ledger.address)
        chain.send(chain.ledger.take_lease(job_id))
        lineage = chain.ledger.lineage(job_id, round)
        claims = []
        for slot in range(slots):
            unit = unit_id(job_id, round, slot, 0)
            root, secret = secrets.token_bytes(32), secrets.token_bytes(32)
            statement = Statement(unit, lineage.parent, lineage.lease_epoch, root, secret)
            signature = domain.sign(worker.signer, statement)
            claims.append(Claim(slot, 0, worker.address, root, secret, signature))
        chain.send(chain.ledger.commit_round(job_id, round, claims))
        shown = list(map(ClaimedUnit.of, claims))
        devnet.travel(1)
        chain.send(chain.ledger.capture_draw(job_id, round, 0, shown))
        devnet.travel(10)
        checkpoint, blob = secrets.token_bytes(32), secrets.token_bytes(32)
        chain.send(chain.ledger.finalize_round(job_id, round, checkpoint, blob, 1, [shown]))

    return finish
