"""A coordination of one job of two rounds, and what a worker says to it."""

from typing import cast

from node.chain import AsyncChain
from node.chain import events as e
from node.chain.events import Place
from node.chain.types import JobTerms
from node.chain_watch import ChainWatch
from node.claim_signature import ClaimDomain, Statement
from node.coordination import Coordination
from node.coordination_tasks import Tasks
from node.custody import Custody, holding_text
from node.ids import JobId, commitment, unit_id
from node.journal import Journal
from node.messages import CommitUnit, JobProgress, PullUnit, Receipt, UnitAssigned, UnitKey
from node.pause_order import make_order
from node.trials import Trials
from node.unit_requests import WalletOf
from node.wallet import Signer
from scheduler import events as facts
from scheduler import terms
from scheduler.blob_ref import BlobRef
from scheduler.manifest import Manifest, ProgramRefs
from scheduler.terms import UnitRef

JOB = JobId(b"j" * 32)
BLOB = BlobRef(root="cd" * 32, size=7)
DOMAIN = ClaimDomain(1, "0x" + "11" * 20)
WORKER, COORDINATOR, SUBMITTER = Signer.random(), Signer.random(), Signer.random()
MANIFEST = Manifest(
    name="tiny", rounds=2, slots=2, steps=1, trace_every=1, batch_rows=1, rows=2,
    unit_timeout_s=60, deadline_s=600, price_wei_per_gflop=1,
    programs=ProgramRefs(step=BLOB, result=BLOB, aggregate=BLOB, outer=BLOB, evaluate=BLOB),
    state=BLOB, train=BLOB, test=BLOB, unit_flops=1, aggregate_flops=1,
    outer_flops=1, evaluate_flops=1, peak_bytes=100, result_bytes=7, aggregate_bytes=7,
    checkpoint_bytes=7,
)  # fmt: skip


def watch() -> ChainWatch:
    """A ledger with one funded job whose lease is ours; it is never run."""
    watching = ChainWatch(cast(AsyncChain, None), 0, 1.0)
    terms = JobTerms(b"m" * 32, 100, b"b" * 32, rounds=2, slots=2, unit_wei=10, deadline=10**6)
    ledger = watching.ledger
    ledger.apply(e.JobFunded(Place(1, 0, b""), JOB, "0x" + "1" * 40, terms, 5, terms.unit_wei, 66))
    ledger.apply(e.LeaseTaken(Place(1, 1, b""), JOB, COORDINATOR.address, 10**6, 1))
    ledger.apply(e.ActiveChanged(Place(1, 2, b""), WORKER.address, True))
    ledger.head_time_s = 100
    return watching


def coordination(
    journal: Journal,
    watching: ChainWatch | None = None,
    manifest: Manifest = MANIFEST,
    tasks: Tasks | None = None,
    wallet_of: WalletOf = {"worker": WORKER.address}.get,
    connected: tuple[str, ...] = ("worker",),
) -> Coordination:
    """A coordination that is not run: nothing but answers happens."""
    watching = watching or watch()
    return Coordination(
        watching.ledger.jobs[JOB],
        manifest,
        COORDINATOR,
        "coordinator",
        watching,
        journal,
        DOMAIN,
        cast(Tasks, tasks),
        Custody(COORDINATOR, watching, {}, journal, no_fetch, {}.get, cast(Trials, None)),
        b"i" * 32,
        wallet_of,
        lambda: connected,
        terms.Policy(),
    )


def commit(
    assigned: UnitAssigned,
    signer: Signer = WORKER,
    parent: bytes = bytes(32),
    lease_epoch: int = 1,
) -> CommitUnit:
    unit = assigned.unit
    name = unit_id(JOB, unit.round, unit.slot, unit.attempt)
    made = commitment(name, signer.address, b"o" * 32, b"s" * 32)
    statement = Statement(name, parent, lease_epoch, b"r" * 32, made)
    return CommitUnit(
        job_id=JOB.hex(),
        unit=unit,
        parent=statement.parent.hex(),
        lease_epoch=statement.lease_epoch,
        result_root=statement.result_root.hex(),
        blob=BLOB,
        commitment=made.hex(),
        signature=DOMAIN.sign(signer, statement).hex(),
        holding=holding(unit, signer),
    )


def holding(unit: UnitKey, signer: Signer) -> str:
    """The worker's word that it holds the result."""
    key = UnitRef(unit.round, unit.slot, unit.attempt)
    return signer.sign_text(holding_text(JOB, key, b"r" * 32, BLOB)).hex()


async def no_fetch(*_: object) -> None:
    raise AssertionError("nothing is fetched here")


def pull(of: Coordination, peer: str = "worker", memory_bytes: int = 1000) -> object:
    return of.answer(peer, PullUnit(job_id=JOB.hex(), memory_bytes=memory_bytes))


def paused(journal: Journal) -> Coordination:
    """A job that its submitter paused."""
    of = coordination(journal)
    pause(of)
    return of


def pause(of: Coordination) -> None:
    """The submitter's order to pause the job, which the coordinator takes."""
    of.job.submitter = SUBMITTER.address
    assert isinstance(of.answer("anyone", make_order(SUBMITTER, JOB, True, 1)), JobProgress)


def patient(wait_ms: int) -> PullUnit:
    return PullUnit(job_id=JOB.hex(), memory_bytes=1000, wait_ms=wait_ms)


def combined(journal: Journal) -> Coordination:
    """Both units of the first round took 3 and 5 s, are stored, passed and combined."""
    watching = watch()
    of = coordination(journal, watching)
    claims = []
    for seconds in (3, 5):
        assigned = cast(UnitAssigned, pull(of))
        watching.ledger.head_time_s += seconds
        made = commit(assigned)
        assert isinstance(of.answer("worker", made), Receipt)
        slot = made.unit.slot
        of.feed(facts.ResultStored(UnitRef(0, slot, 0), BLOB))
        roots = bytes.fromhex(made.result_root), bytes.fromhex(made.commitment)
        signature = bytes.fromhex(made.signature)
        claims.append(terms.Claim(slot, 0, terms.Wallet(WORKER.address), *roots, signature))
    of.feed(facts.RoundCommittedOnChain(terms.Position(2, 0), 0, 0, tuple(claims)))
    for slot in (0, 1):
        of.feed(facts.UnitPassed(terms.Position(2, slot + 1), UnitRef(0, slot, 0), 10**6))
    metrics = (("accuracy", 0.5), ("loss", float("nan")))
    of.feed(facts.CombineFinished(0, 0, b"p" * 32, BLOB, BLOB, metrics))
    return of
