"""The shell around the state machine: receipts after records, restarts, honest answers."""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from unittest.mock import AsyncMock, Mock

import pytest
import trio
import trio.testing

from node.blobs import StoreFull
from node.chain import AsyncChain
from node.chain import events as e
from node.chain.events import Place
from node.chain.types import JobTerms
from node.chain_watch import ChainWatch
from node.claim_signature import ClaimDomain, Statement
from node.coordination import GATHER_MS, GATHERING, Coordination
from node.coordination_tasks import Tasks
from node.coordinators import Coordinators
from node.custody import Custody, holding_text
from node.errors import PeerFault
from node.ids import JobId, commitment, unit_id
from node.journal import Journal, JournalError
from node.ledger import JobState
from node.messages import (
    AcceptedResult,
    AskRound,
    CommitUnit,
    JobHeld,
    JobProgress,
    OrderKept,
    OrderStale,
    PullUnit,
    Receipt,
    Refused,
    RoundResults,
    UnitAssigned,
    UnitDeclined,
    UnitKey,
)
from node.pause_order import Orders, make_order
from node.round_memory import RoundMemory
from node.trials import Trials
from node.wallet import Signer, recover
from scheduler import coordinator, terms
from scheduler import events as facts
from scheduler.blob_ref import BlobRef
from scheduler.codec import Entry, decode, encode
from scheduler.commands import DeclineReason, FetchResult, RecoverResult
from scheduler.events import UnitCommitted
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


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal") as opened:
        yield opened


def watch() -> ChainWatch:
    """A ledger with one funded job whose lease is ours; it is never run."""
    watching = ChainWatch(cast(AsyncChain, None), 0, 1.0)
    terms = JobTerms(b"m" * 32, 100, b"b" * 32, rounds=2, slots=2, unit_wei=10, deadline=10**6)
    ledger = watching.ledger
    ledger.apply(e.JobFunded(Place(1, 0, b""), JOB, "0x" + "1" * 40, terms, 5, 66))
    ledger.apply(e.LeaseTaken(Place(1, 1, b""), JOB, COORDINATOR.address, 10**6, 1))
    ledger.apply(e.ActiveChanged(Place(1, 2, b""), WORKER.address, True))
    ledger.head_time_s = 100
    return watching


def coordination(journal: Journal, watching: ChainWatch | None = None) -> Coordination:
    """A coordination that is not run: nothing but answers happens."""
    watching = watching or watch()
    return Coordination(
        watching.ledger.jobs[JOB],
        MANIFEST,
        COORDINATOR,
        "coordinator",
        watching,
        journal,
        DOMAIN,
        cast(Tasks, None),
        Custody(COORDINATOR, watching, {}, journal, no_fetch, {}.get, cast(Trials, None)),
        b"i" * 32,
        {"worker": WORKER.address}.get,
        lambda: ("worker",),
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


def test_a_known_peer_gets_a_unit_and_a_receipt(journal: Journal) -> None:
    """The receipt is the coordinator's signature over exactly what was committed."""
    of = coordination(journal)
    assigned = pull(of)
    assert isinstance(assigned, UnitAssigned)
    assert assigned.checkpoint_root == (b"i" * 32).hex()
    made = commit(assigned)
    receipt = of.answer("worker", made)
    assert isinstance(receipt, Receipt)
    text = (
        f"ainur receipt v0 {JOB.hex()} {made.unit.round} {made.unit.slot} {made.unit.attempt} "
        f"{made.result_root} {made.commitment}"
    )
    assert recover(text, bytes.fromhex(receipt.signature)) == COORDINATOR.address


def test_a_round_waits_for_as_many_peers_as_the_manifest_says(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The submitter's least number reaches the machine, and whoever looks is told of it."""
    monkeypatch.setattr(
        sys.modules[__name__], "MANIFEST", MANIFEST.model_copy(update={"peers_min": 2})
    )
    of = coordination(journal)
    declined = pull(of)
    assert isinstance(declined, UnitDeclined)
    assert "before more peers are ready" in declined.reason
    assert "begins with 2 peers that are ready, 1 are" in of.waiting()
    other = Signer.random()
    of._wallet_of = {"worker": WORKER.address, "other": other.address}.get
    of._watch.ledger.apply(e.ActiveChanged(Place(1, 3, b""), other.address, True))
    pull(of, "other")
    assert isinstance(pull(of), UnitAssigned)


def test_a_successor_first_takes_what_others_have_at_hand(journal: Journal) -> None:
    """For some seconds; a restart of it, or the first coordinator, waits for nothing."""
    watching = watch()
    taken = e.LeaseTaken(Place(1, 3, b""), JOB, COORDINATOR.address, 10**6, 2)
    watching.ledger.apply(taken)
    of = coordination(journal, watching)
    declined = pull(of)
    assert isinstance(declined, UnitDeclined)
    assert (declined.reason, declined.retry_after_ms) == (GATHERING, GATHER_MS // 5)
    unit = UnitKey(round=0, slot=1, attempt=0)
    at_hand = PullUnit(job_id=JOB.hex(), memory_bytes=1000, ready=(unit,))
    assigned = of.answer("worker", at_hand)
    assert isinstance(assigned, UnitAssigned)
    assert assigned.unit == unit
    assert isinstance(of.answer("worker", commit(assigned, lease_epoch=2)), Receipt)
    # It is not on the chain yet, so its worker still says that it has it: no reason for another.
    assert of.answer("worker", at_hand) == declined
    assert isinstance(pull(coordination(journal, watching)), UnitAssigned)
    watching.ledger.head_time_s += GATHER_MS // 1000
    assert isinstance(pull(of), UnitAssigned)


def test_what_has_a_receipt_is_in_the_journal(journal: Journal) -> None:
    """A second coordination over the same journal knows the commit and repeats the receipt."""
    watching = watch()
    of = coordination(journal, watching)
    made = commit(cast(UnitAssigned, pull(of)))
    assert isinstance(of.answer("worker", made), Receipt)
    records = [decode(record.body).event for record in journal.read(f"coordination/{JOB.hex()}/1")]
    assert any(isinstance(event, UnitCommitted) for event in records)
    after = coordination(journal, watching)
    assert after.state.slots[made.unit.slot].filling is not None
    assert isinstance(after.answer("worker", made), Receipt)


def test_a_commit_that_cannot_be_journaled_is_not_taken(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state goes back to what is durable: no receipt, and the same commit counts later."""
    of = coordination(journal)
    made = commit(cast(UnitAssigned, pull(of)))
    before = coordinator.digest(of.state)
    with monkeypatch.context() as full_disk:
        full_disk.setattr(journal, "append", Mock(side_effect=JournalError("no space left")))
        with pytest.raises(JournalError):
            of.answer("worker", made)
    assert coordinator.digest(of.state) == before
    assert isinstance(of.answer("worker", made), Receipt)


@pytest.mark.trio
async def test_a_full_disk_here_gives_the_worker_more_time(journal: Journal) -> None:
    """Its result finds no room: that is told, and is not held against it."""
    of = coordination(journal)
    of.answer("worker", commit(cast(UnitAssigned, pull(of))))
    (command,) = (c for c in coordinator.pending(of.state) if isinstance(c, FetchResult))
    due_ms = of.state.slots[0].due_ms
    of._watch.ledger.head_time_s += 10
    of._tasks = Mock(attempt=Mock(side_effect=StoreFull("there is no room")))
    with trio.move_on_after(0.1):
        await of._keep_trying(command)
    assert of.state.slots[0].due_ms == due_ms + 10_000
    assert of.problem == "there is no room"


def test_a_claim_signed_by_another_is_a_fault(journal: Journal) -> None:
    """Nobody is bound without consent, and nothing is remembered of the attempt."""
    of = coordination(journal)
    assigned = cast(UnitAssigned, pull(of))
    with pytest.raises(PeerFault, match="not signed by"):
        of.answer("worker", commit(assigned, Signer.random()))
    assert of.state.slots[assigned.unit.slot].filling is None


def test_a_commitment_of_zeros_is_a_fault(journal: Journal) -> None:
    """The contract would refuse the whole round for it, again and again."""
    coordinating = coordination(journal)
    assigned = pull(coordinating)
    assert isinstance(assigned, UnitAssigned)
    unit, zeros = assigned.unit, bytes(32)
    name = unit_id(JOB, unit.round, unit.slot, unit.attempt)
    signature = DOMAIN.sign(WORKER, Statement(name, zeros, 1, b"r" * 32, zeros))
    claim = commit(assigned).model_copy(
        update={"commitment": zeros.hex(), "signature": signature.hex()}
    )
    with pytest.raises(PeerFault, match="zeros"):
        coordinating.answer("worker", claim)


@pytest.mark.parametrize("lineage", [{"parent": b"q" * 32}, {"lease_epoch": 2}])
def test_a_claim_of_another_lineage_gets_no_receipt(
    journal: Journal, lineage: dict[str, Any]
) -> None:
    """The chain would refuse it; its worker is told so and is not at fault."""
    of = coordination(journal)
    assigned = cast(UnitAssigned, pull(of))
    answer = of.answer("worker", commit(assigned, **lineage))
    assert isinstance(answer, Refused)
    assert "claim" in answer.reason
    assert isinstance(of.answer("worker", commit(assigned)), Receipt)


def test_the_submitter_pauses_and_resumes_its_job(journal: Journal) -> None:
    """Nobody else does, no order counts twice, and a restart remembers it."""
    watching, submitter = watch(), Signer.random()
    of = coordination(journal, watching)
    of.job.submitter = submitter.address
    foreign = make_order(Signer.random(), JOB, True, 1)
    assert isinstance(of.answer("anyone", foreign), Refused)
    pause, resume = make_order(submitter, JOB, True, 1), make_order(submitter, JOB, False, 2)
    forged = pause.model_copy(update={"serial": 9})
    assert isinstance(of.answer("anyone", forged), Refused)
    answer = of.answer("anyone", pause)
    assert isinstance(answer, JobProgress)
    assert "the submitter paused the job" in answer.document
    after = coordination(journal, watching)
    assert isinstance(pull(after), UnitDeclined)
    after.answer("anyone", resume)
    assert after.answer("anyone", pause) == OrderStale(last=resume)
    assert isinstance(after.answer("anyone", resume), JobProgress)
    assert isinstance(pull(after), UnitAssigned)


def test_a_pause_binds_whoever_coordinates_later(journal: Journal) -> None:
    """A peer that was told keeps the latest order that the submitter signed."""
    watching, submitter = watch(), Signer.random()
    job = watching.ledger.jobs[JOB]
    job.submitter = submitter.address
    orders = Orders(journal)
    peer = Coordinators(*[cast(Any, None)] * 6, orders)
    peer._watch, peer._own = watching, {}

    def tell(paused: bool, serial: int, signer: Signer = submitter) -> object:
        return peer._keep_order(make_order(signer, JOB, paused, serial))

    assert isinstance(tell(True, 1, Signer.random()), Refused)
    assert orders.of(JOB, submitter.address) is None
    assert tell(False, 3) == tell(True, 5) == OrderKept(job_id=JOB.hex())
    last = OrderStale(last=make_order(submitter, JOB, True, 5))
    assert tell(False, 4) == tell(False, 5) == last
    of = coordination(journal, watching)
    assert isinstance(pull(of), UnitDeclined)
    of.answer("anyone", make_order(submitter, JOB, False, 6))
    assert isinstance(pull(of), UnitAssigned)
    job.state = JobState.CANCELLED
    assert isinstance(tell(True, 9), Refused)


def test_a_later_lease_begins_anew(journal: Journal) -> None:
    """Between this node's two leases another held it: no claim signed for the first counts now."""
    watching = watch()
    of = coordination(journal, watching)
    of.answer("worker", commit(cast(UnitAssigned, pull(of))))
    job = watching.ledger.jobs[JOB]
    watching.ledger.apply(e.LeaseTaken(Place(2, 1, b""), JOB, COORDINATOR.address, 10**6, 3))
    assert job.lease_epoch == 3
    again = coordination(journal, watching)
    assert again.state.slots[0].filling is None
    assert journal.streams() == [f"coordination/{JOB.hex()}/3"]


def test_a_stranger_gets_nothing(journal: Journal) -> None:
    """A peer whose wallet is unknown is told to say hello."""
    of = coordination(journal)
    assert isinstance(pull(of, "stranger"), Refused)
    assigned = cast(UnitAssigned, pull(of))
    assert isinstance(of.answer("stranger", commit(assigned)), Refused)


def test_a_wallet_without_a_bond_gets_no_work(journal: Journal) -> None:
    """The answer says why."""
    watching = watch()
    watching.ledger.apply(e.ActiveChanged(Place(1, 3, b""), WORKER.address, False))
    answer = pull(coordination(journal, watching))
    assert isinstance(answer, UnitDeclined)
    assert "bond" in answer.reason


def test_too_little_memory_is_declined_with_the_reason(journal: Journal) -> None:
    """The manifest's peak is what a worker must have."""
    answer = pull(coordination(journal), memory_bytes=99)
    assert isinstance(answer, UnitDeclined)
    assert "memory" in answer.reason


def test_a_message_out_of_place_is_a_fault(journal: Journal) -> None:
    """Only requests to a coordinator are answered."""
    with pytest.raises(PeerFault, match="JobHeld"):
        coordination(journal).answer("worker", JobHeld(job_id=JOB.hex(), wallet=WORKER.address))


def test_the_results_of_a_round_are_told_if_they_are_known(journal: Journal) -> None:
    """Peers check a checkpoint against them."""
    of = coordination(journal)
    ask = AskRound(job_id=JOB.hex(), round=0)
    assert isinstance(of.answer("worker", ask), Refused)
    result = AcceptedResult(slot=0, result_root="ab" * 32, blob=BLOB)
    made_by = RoundResults(round=0, aggregate=BLOB, results=(result,))
    RoundMemory(journal).keep(JOB, made_by)
    assert of.answer("worker", ask) == made_by


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
        of._feed(facts.ResultStored(UnitRef(0, slot, 0), BLOB))
        roots = bytes.fromhex(made.result_root), bytes.fromhex(made.commitment)
        signature = bytes.fromhex(made.signature)
        claims.append(terms.Claim(slot, 0, terms.Wallet(WORKER.address), *roots, signature))
    of._feed(facts.RoundCommittedOnChain(terms.Position(2, 0), 0, 0, tuple(claims)))
    for slot in (0, 1):
        of._feed(facts.UnitPassed(terms.Position(2, slot + 1), UnitRef(0, slot, 0), 10**6))
    metrics = (("accuracy", 0.5), ("loss", float("nan")))
    of._feed(facts.CombineFinished(0, 0, b"p" * 32, BLOB, BLOB, metrics))
    return of


def test_a_combined_round_is_remembered_with_its_metrics_and_times(journal: Journal) -> None:
    """So that whoever follows the round knows its evaluation, a diverged one too."""
    of = combined(journal)
    told = of.answer("worker", AskRound(job_id=JOB.hex(), round=0))
    assert isinstance(told, RoundResults)
    assert [result.took_ms for result in told.results] == [3_000, 5_000]
    assert told.metrics["accuracy"] == 0.5
    assert math.isnan(told.metrics["loss"])


def test_progress_is_a_document_with_a_reason(journal: Journal) -> None:
    """Whoever asks learns how far the job is and what it waits for."""
    of = coordination(journal)
    document = json.loads(of.progress().document)
    assert (document["round"], document["rounds"]) == (0, 2)
    assert document["waiting"] == of.waiting() != ""


def test_a_journal_behind_the_chain_is_begun_anew(journal: Journal) -> None:
    """Another node went on: the coordination starts at the open round's anchored checkpoint."""
    watching = watch()
    coordination(journal, watching)
    blob_root = b"q" * 32
    watching.ledger.apply(e.RoundFinalized(Place(2, 0, b""), JOB, 0, b"p" * 32, blob_root, 9, 1))
    of = coordination(journal, watching)
    assert (of.state.round, of.state.open.checkpoint) == (1, b"p" * 32)
    assert of.state.open.blob == BlobRef(root=blob_root.hex(), size=9)


def test_restarts_are_journaled_so_that_replays_agree(journal: Journal) -> None:
    """Two restarts lead to the state that one leads to, and to the one that is live."""
    watching = watch()
    of = coordination(journal, watching)
    made = commit(cast(UnitAssigned, pull(of)))
    of.answer("worker", made)
    watching.ledger.head_time_s += 50
    live = coordination(journal, watching)
    watching.ledger.head_time_s += 50
    records = [record.body for record in journal.read(f"coordination/{JOB.hex()}/1")]
    assert coordinator.digest(coordinator.replay(records).state) == coordinator.digest(live.state)
    again = coordination(journal, watching)
    assert again.state.slots[made.unit.slot].filling is not None
    assert isinstance(again.answer("worker", made), Receipt)


def test_a_torn_last_record_is_removed(journal: Journal) -> None:
    """What follows is appended after whole records only."""
    watching = watch()
    of = coordination(journal, watching)
    of.answer("worker", commit(cast(UnitAssigned, pull(of))))
    stream = f"coordination/{JOB.hex()}/1"
    whole = [record.body for record in journal.read(stream)]
    journal.append(stream, whole[-1][:-5])
    resumed = coordination(journal, watching)
    resumed.answer("worker", PullUnit(job_id=JOB.hex(), memory_bytes=1000))
    records = [record.body for record in journal.read(stream)]
    assert records[: len(whole)] == whole
    assert not coordinator.replay(records).torn


def paused(journal: Journal) -> Coordination:
    """A job that its submitter paused."""
    of = coordination(journal)
    of.job.submitter = SUBMITTER.address
    assert isinstance(of.answer("anyone", make_order(SUBMITTER, JOB, True, 1)), JobProgress)
    return of


def patient(wait_ms: int) -> PullUnit:
    return PullUnit(job_id=JOB.hex(), memory_bytes=1000, wait_ms=wait_ms)


@pytest.mark.trio
async def test_answer_is_held_back_as_long_as_the_worker_waits(
    journal: Journal, autojump_clock: trio.testing.MockClock
) -> None:
    """Not at all without `wait_ms`; where nothing comes the refusal has its reason."""
    of = paused(journal)
    for wait_ms in (0, 7_000):
        started = trio.current_time()
        answer = await of.answer_in_time("worker", patient(wait_ms))
        assert isinstance(answer, UnitDeclined)
        assert answer.reason == DeclineReason.PAUSED
        assert trio.current_time() - started == pytest.approx(wait_ms / 1000)


@pytest.mark.trio
async def test_who_waits_gets_the_unit_at_once(
    journal: Journal, autojump_clock: trio.testing.MockClock
) -> None:
    """The order to go on, the end of a unit: what opens work ends the wait."""
    of = paused(journal)
    answers: list[object] = []

    async def ask() -> None:
        answers.append(await of.answer_in_time("worker", patient(20_000)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.sleep(10)
        started = trio.current_time()
        of.answer("anyone", make_order(SUBMITTER, JOB, False, 2))
    assert isinstance(answers[0], UnitAssigned)
    assert trio.current_time() == started


@pytest.mark.trio
async def test_one_request_of_a_peer_waits_at_a_time(
    journal: Journal, autojump_clock: trio.testing.MockClock
) -> None:
    """A later one ends the wait of the earlier, which is refused; that of another peer waits on."""
    of = paused(journal)
    of._wallet_of = {"worker": WORKER.address, "other": Signer.random().address}.get
    of._connected = lambda: ("worker", "other")
    ended: list[tuple[str, float]] = []

    async def ask(name: str, peer: str) -> None:
        assert isinstance(await of.answer_in_time(peer, patient(20_000)), UnitDeclined)
        ended.append((name, trio.current_time()))

    async with trio.open_nursery() as nursery:
        of._watch.ledger.apply(e.ActiveChanged(Place(1, 3, b""), str(of._wallet_of("other")), True))
        for name, peer in (("first", "worker"), ("other", "other"), ("second", "worker")):
            nursery.start_soon(ask, name, peer)
            await trio.sleep(1)
    assert sorted(ended) == [("first", 2.0), ("other", 21.0), ("second", 22.0)]
    assert not of._waits


def test_no_request_that_is_declined_writes_a_record_each_time(journal: Journal) -> None:
    """Whatever memory it offers: each record costs the coordinator a sync of its disk."""
    of = paused(journal)
    for memory_bytes in (1, 1000):
        pull(of, memory_bytes=memory_bytes)
    before = len(list(journal.read(f"coordination/{JOB.hex()}/1")))
    for memory_bytes in (2, 1000, 999, 1001) * 3:
        pull(of, memory_bytes=memory_bytes)
    assert len(list(journal.read(f"coordination/{JOB.hex()}/1"))) == before


@pytest.mark.trio
async def test_refusal_that_stays_is_not_held_back(
    journal: Journal, autojump_clock: trio.testing.MockClock
) -> None:
    """Too little memory is no matter of time."""
    of = coordination(journal)
    small = PullUnit(job_id=JOB.hex(), memory_bytes=1, wait_ms=20_000)
    answer = await of.answer_in_time("worker", small)
    assert isinstance(answer, UnitDeclined)
    assert trio.current_time() == 0


@pytest.mark.trio
async def test_who_waits_hears_once_that_the_round_is_combined(
    journal: Journal, autojump_clock: trio.testing.MockClock
) -> None:
    """It then waits for the next round as for any unit."""
    of = combined(journal)
    news = await of.answer_in_time("worker", patient(20_000))
    assert isinstance(news, UnitDeclined)
    assert (news.combined, trio.current_time()) == (0, 0.0)
    again = patient(20_000).model_copy(update={"combined": 0})
    assert isinstance(await of.answer_in_time("worker", again), UnitDeclined)
    assert trio.current_time() == pytest.approx(20)


@pytest.mark.trio
async def test_a_round_is_combined_early_while_its_claims_travel(journal: Journal) -> None:
    """Workers hear of it and are told what made it; it counts for nothing before the chain says."""
    of, aggregate, asked = coordination(journal), BlobRef(root="ef" * 32, size=7), list[object]()

    async def make(*round: object) -> BlobRef:
        asked.append(round[1:])
        return aggregate

    async def never(*_: object) -> None:
        await trio.sleep_forever()

    of._tasks = Mock(attempt=never, aggregate=make, make=never)
    ask = AskRound(job_id=JOB.hex(), round=0)
    async with trio.open_nursery() as of._nursery:
        for slot in (0, 1):
            assert isinstance(of.answer("worker", ask), Refused)
            of.answer("worker", commit(cast(UnitAssigned, pull(of))))
            of._feed(facts.ResultStored(UnitRef(0, slot, 0), BLOB))
        news = await of.answer_in_time("worker", patient(20_000))
        of._nursery.cancel_scope.cancel()
    assert asked == [(0, BLOB, [BLOB, BLOB])]
    assert isinstance(news, UnitDeclined)
    assert (news.combined, of.state.open.combined) == (0, None)
    told = of.answer("worker", ask)
    assert isinstance(told, RoundResults)
    assert told.aggregate == aggregate
    assert [result.took_ms > 0 for result in told.results] == [True, True]
    assert RoundMemory(journal).recall(JOB, 0) is None


@pytest.mark.trio
async def test_what_was_foreseen_goes_with_the_claim_that_is_refused(journal: Journal) -> None:
    """Nobody is told of an aggregate of results that the round will not have."""
    of = coordination(journal)

    async def never(*_: object) -> None:
        await trio.sleep_forever()

    of._tasks = Mock(attempt=never, aggregate=AsyncMock(return_value=BLOB), make=never)
    ask = AskRound(job_id=JOB.hex(), round=0)
    async with trio.open_nursery() as of._nursery:
        for slot in (0, 1):
            of.answer("worker", commit(cast(UnitAssigned, pull(of))))
            of._feed(facts.ResultStored(UnitRef(0, slot, 0), BLOB))
        await trio.testing.wait_all_tasks_blocked()
        assert isinstance(of.answer("worker", ask), RoundResults)
        of._feed(facts.CommitRefused(0, "not bonded", (1,)))
        assert not of._is_combined()
        assert isinstance(of.answer("worker", ask), Refused)
        of._nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("head", "records"), [(3, 2), (10, 1)])
def test_a_journal_with_events_that_the_chain_undid_is_begun_anew(
    journal: Journal, head: int, records: int
) -> None:
    """Only what the ledger has read up to: an endpoint that lags has undone nothing."""
    watching = watch()
    coordination(journal, watching)
    stream = f"coordination/{JOB.hex()}/1"
    drawn = facts.UnitDrawn(terms.Position(5, 0), UnitRef(0, 0, 0), terms.Wallet("0x"), 10**6)
    journal.append(stream, encode(Entry(100_000, 0, drawn)))
    watching.ledger.head = head
    again = coordination(journal, watching)
    kept = [decode(record.body).event for record in journal.read(stream)]
    assert (drawn in kept) == (records == 2)
    assert again.state.outcome is None
    assert (again._gather_until_ms > 0) == (records == 1)


@pytest.mark.trio
@pytest.mark.parametrize("needed", [False, True])
async def test_result_that_nothing_needs_yet_is_looked_for_rarely(
    journal: Journal, autojump_clock: trio.testing.MockClock, needed: bool
) -> None:
    """Each look asks many peers, and an audit lasts."""
    of, looks = coordination(journal), list[float]()

    async def attempt(_job: object, _manifest: object, command: object) -> None:
        if isinstance(command, RecoverResult):
            looks.append(trio.current_time())

    of._tasks = Mock(attempt=attempt)
    async with trio.open_nursery() as of._nursery:
        claim = terms.Claim(0, 0, terms.Wallet(WORKER.address), b"r" * 32, b"c" * 32, b"s")
        of._feed(facts.RoundCommittedOnChain(terms.Position(2, 0), 0, 0, (claim,)))
        if needed:
            of._feed(facts.UnitPassed(terms.Position(2, 1), UnitRef(0, 0, 0), 10**6))
        await trio.sleep(100)
        of._nursery.cancel_scope.cancel()
    assert (len(looks) > 15) if needed else (2 <= len(looks) <= 4)
