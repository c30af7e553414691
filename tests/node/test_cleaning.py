"""node/cleaning.py: what nobody needs goes, in any order of kills; what may be needed stays."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import trio

from node.blobs import BlobStore
from node.chain import AsyncChain
from node.chain import events as e
from node.chain.events import Place
from node.chain.types import Claim, JobTerms
from node.chain_watch import ChainWatch
from node.cleaning import Cleaner
from node.commitments import NO_INPUT, Commitments, Roots
from node.compute import Compute
from node.custody import Custody
from node.ids import JobId, unit_id
from node.jobs import Fetch, JobKeeper
from node.journal import Journal
from node.messages import AcceptedResult, RoundCustody, RoundResults
from node.round_memory import RoundMemory
from node.trials import Trials
from node.wallet import Signer
from scheduler.blob_ref import BlobRef
from scheduler.manifest import Manifest, ProgramRefs
from scheduler.terms import UnitRef

DAY_S = 86_400
KEEP_S = 7 * DAY_S
ROUNDS, SLOTS, SIZE = 5, 2, 5_000
SUBMITTER, WORKER = "0x" + "1" * 40, "0x" + "2" * 40
SIGNER, ROOTS = Signer.random(), Roots(b"r" * 32, b"t" * 32)
OLD, NEW = JobId(b"o" * 32), JobId(b"n" * 32)


class Node:
    """A store with two jobs that share their Programs, and who cleans it."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self.store = BlobStore(folder / "store", 100 * SIZE)
        self.journal, self.memory = journal, RoundMemory(journal)
        self.busy: list[BlobRef] = []
        self.watch = ChainWatch(cast(AsyncChain, None), 0, 1.0)
        self.watch.ledger.head_time_s = 1_000
        self.programs = self.put("programs")
        self.manifests: dict[JobId, Manifest] = {}
        self.own: dict[tuple[JobId, int], list[BlobRef]] = {}
        self.restart()

    def restart(self) -> None:
        """What a process that was killed comes back with: journal, store and chain."""
        no = (cast(Compute, None), cast(Fetch, None))
        self.jobs = JobKeeper(self.watch, self.store, self.journal, *no, WORKER)
        self.jobs.recover()
        self.commitments = Commitments(self.journal, WORKER, b"k" * 32)
        trials = Trials(self.store, self.memory)
        self.custody = Custody(
            SIGNER, self.watch, self.jobs.held, self.journal, *no[1:], lambda _: None, trials
        )
        self.cleaner = Cleaner(
            self.watch,
            self.jobs,
            self.store,
            self.journal,
            self.memory,
            self.commitments,
            self.custody,
            lambda: self.busy,
            KEEP_S,
        )

    def records(self, job_id: JobId, round: int) -> dict[str, int]:
        """How many records of each kind there are of who holds and opens what of a round."""
        kinds = ("custody", "holding", "rooted")
        keys = {kind: f"{kind}/{job_id.hex()}/{round}" for kind in kinds}
        return {kind: len(self.journal.keys(key)) for kind, key in keys.items()}

    def put(self, name: str) -> BlobRef:
        return self.store.put(name.encode().ljust(SIZE, b"."))

    def hold(self, job_id: JobId, block: int, deadline_s: int = 10**9) -> None:
        """A funded job, held here."""
        mine = [self.put(f"{part} of {job_id.hex()}") for part in ("state", "train", "test")]
        programs = ProgramRefs(
            step=self.programs, result=self.programs, aggregate=self.programs,
            outer=self.programs, evaluate=self.programs,
        )  # fmt: skip
        manifest = Manifest(
            name="tiny", rounds=ROUNDS, slots=SLOTS, steps=1, trace_every=1, batch_rows=1, rows=2,
            unit_timeout_s=60, deadline_s=600, price_wei_per_gflop=1, programs=programs,
            state=mine[0], train=mine[1], test=mine[2], unit_flops=1, aggregate_flops=1,
            outer_flops=1, evaluate_flops=1, peak_bytes=100, result_bytes=SIZE,
            aggregate_bytes=SIZE, checkpoint_bytes=SIZE,
        )  # fmt: skip
        self.manifests[job_id] = manifest
        ref = self.store.put(manifest.to_bytes())
        terms = JobTerms(
            manifest.digest(), ref.size, bytes.fromhex(ref.root), rounds=ROUNDS, slots=SLOTS,
            unit_wei=10, deadline=deadline_s,
        )  # fmt: skip
        self.watch.ledger.apply(
            e.JobFunded(Place(block, 0, b""), job_id, SUBMITTER, terms, 5, terms.unit_wei, 66)
        )
        self.journal.set(f"held/{job_id.hex()}", manifest.to_bytes())
        self.restart()

    def finish_round(self, job_id: JobId, round: int) -> None:
        """A round is final: results, one more that lost, aggregate and checkpoint are here."""
        of = f"of round {round} of {job_id.hex()}"
        results = [self.put(f"result {slot} {of}") for slot in range(SLOTS)]
        aggregate, after = self.put(f"aggregate {of}"), self.put(f"checkpoint {of}")
        lost = self.put(f"lost result {of}")
        for ref in (*results, aggregate, lost):
            self.memory.note(job_id, round, ref)
        told = tuple(
            AcceptedResult(slot=slot, result_root="ab" * 32, blob=blob)
            for slot, blob in enumerate(results)
        )
        self.memory.keep(job_id, RoundResults(round=round, aggregate=aggregate, results=told))
        for slot, blob in enumerate(results):
            unit = UnitRef(round, slot, 0)
            self.custody.sign(job_id, unit, b"r" * 32, blob)
            name = unit_id(job_id, round, slot, 0)
            self.commitments.commit("worker", name, ROOTS, job_id, round)
        self.custody.keep(job_id, RoundCustody(round=round, results=()))
        self.own[job_id, round] = [*results, aggregate, after, lost]
        place = Place(100 + round, 0, b"")
        final = (job_id, round, b"c" * 32, bytes.fromhex(after.root), after.size, 20)
        self.watch.ledger.apply(e.RoundFinalized(place, *final))

    def blobs(self, job_id: JobId) -> list[BlobRef]:
        """Everything that belongs to a job alone."""
        manifest = self.manifests[job_id]
        made = [ref for (job, _), refs in self.own.items() if job == job_id for ref in refs]
        return [manifest.state, manifest.train, manifest.test, manifest.ref(), *made]

    def here(self, refs: list[BlobRef]) -> int:
        return sum(self.store.has(ref) for ref in refs)

    def clean(self, after_s: int = 0) -> None:
        self.watch.ledger.head_time_s += after_s
        self.cleaner.used_bytes = self.store.used_bytes()
        trio.run(self.cleaner.clean)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with Journal(tmp_path / "journal") as journal:
        made = Node(tmp_path, journal)
        made.hold(OLD, 1)
        made.hold(NEW, 2)
        for round in range(ROUNDS):
            made.finish_round(OLD, round)
        made.watch.ledger.apply(e.JobCompleted(Place(150, 0, b""), OLD))
        for round in range(ROUNDS - 1):
            made.finish_round(NEW, round)
        yield made


def test_a_job_over_for_long_enough_leaves_nothing(node: Node) -> None:
    """To the day; what a running job shares with it stays, and so does all of that job."""
    before = node.store.used_bytes()
    for name in ("holding", "finding", "custody", "own", "receipt"):
        node.journal.set(f"{name}/{OLD.hex()}/0/0/0", b"")
    roots = len(node.journal.keys("roots/"))
    node.clean()
    node.clean(KEEP_S - 1)
    assert node.store.used_bytes() == before
    assert OLD in node.jobs.held
    node.clean(1)
    assert node.here(node.blobs(OLD)) == 0
    assert node.here(node.blobs(NEW)) == len(node.blobs(NEW))
    assert node.store.has(node.programs)
    assert (set(node.jobs.held), node.memory.rounds(OLD)) == ({NEW}, [])
    assert node.cleaner.freed_bytes == before - node.store.used_bytes()
    assert not [key for key in node.journal.keys("") if OLD.hex() in key]
    assert len(node.journal.keys("roots/")) == roots - SLOTS * ROUNDS
    freed = node.cleaner.freed_bytes
    node.clean(KEEP_S)
    assert node.cleaner.freed_bytes == freed


def test_a_day_counts_also_if_the_node_was_off(node: Node) -> None:
    """When a job ended is kept; a job that ended long before the node saw it waits as long."""
    node.clean()
    node.restart()
    node.clean(KEEP_S)
    assert node.here(node.blobs(OLD)) == 0


def test_what_is_under_way_stays(node: Node) -> None:
    """A blob that a coordination names, and all of a job with a unit in dispute."""
    node.clean()
    node.busy = [node.blobs(OLD)[0]]
    node.clean(KEEP_S)
    assert node.here(node.blobs(OLD)) == 1
    name = unit_id(NEW, ROUNDS - 1, 0, 0)
    claim = Claim(0, 0, WORKER, b"r" * 32, b"c" * 32, b"s" * 65)
    ledger = node.watch.ledger
    ledger.apply(e.RoundCommitted(Place(200, 0, b""), NEW, ROUNDS - 1, 0, b"w" * 32, 201, (claim,)))
    ledger.apply(
        e.UnitDrawn(Place(202, 0, b""), name, SUBMITTER, NEW, ROUNDS - 1, 0, 0, WORKER, 300)
    )
    ledger.apply(e.JobCancelled(Place(203, 0, b""), NEW))
    ledger.apply(e.JobSettled(Place(204, 0, b""), NEW))
    node.clean()
    node.clean(KEEP_S)
    assert node.here(node.blobs(NEW)) == len(node.blobs(NEW))


def test_what_an_auditor_said_of_a_job_that_never_came_goes_with_it(node: Node) -> None:
    """Once nothing is owed for it any more, and not before; also if it was said after the end."""
    lost, ledger = JobId(b"l" * 32), node.watch.ledger
    terms = JobTerms(b"m" * 32, 100, b"b" * 32, rounds=1, slots=1, unit_wei=10, deadline=10**9)
    name, claim = unit_id(lost, 0, 0, 0), Claim(0, 0, SUBMITTER, b"r" * 32, b"c" * 32, b"s" * 65)
    for block, event in enumerate(
        (
            (e.JobFunded, lost, SUBMITTER, terms, 5, terms.unit_wei, 66),
            (e.RoundCommitted, lost, 0, 0, b"w" * 32, 201, (claim,)),
            (e.UnitDrawn, name, WORKER, lost, 0, 0, 0, SUBMITTER, 300),
            (e.JobCancelled, lost),
            (e.JobSettled, lost),
        )
    ):
        ledger.apply(event[0](Place(200 + block, 0, b""), *event[1:]))
    node.clean()
    node.commitments.commit("auditor", name, NO_INPUT, lost, 0)
    node.clean(KEEP_S)
    node.clean(KEEP_S)
    assert node.commitments.roots("auditor", name) == NO_INPUT
    ledger.apply(e.UnitVoided(Place(300, 0, b""), name, lost))
    node.clean()
    assert node.commitments.roots("auditor", name) is None
    assert not [key for key in node.journal.keys("") if lost.hex() in key or name.hex() in key]


def test_killed_in_between_it_goes_on(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """After every number of removals: a new process removes the rest, and only that."""
    node.clean()
    node.watch.ledger.head_time_s += KEEP_S
    honest, total = BlobStore.remove, len(node.blobs(OLD))
    for kill_after in range(1, total, 5):
        left = [kill_after]

        def dying(store: BlobStore, ref: BlobRef, left: list[int] = left) -> int:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return honest(store, ref)

        with monkeypatch.context() as patched:
            patched.setattr(BlobStore, "remove", dying)
            with pytest.raises(KeyboardInterrupt):
                node.clean()
        node.restart()
        if node.here(node.blobs(OLD)) == 0:
            break
    node.clean()
    assert node.here(node.blobs(OLD)) == 0
    assert node.here(node.blobs(NEW)) == len(node.blobs(NEW))
    assert not [key for key in node.journal.keys("") if OLD.hex() in key]


def test_old_rounds_make_room_only_when_it_is_needed(node: Node) -> None:
    """The oldest first, never the last two final ones, never what a later round needs too."""
    node.store = BlobStore(node.store._path, node.store.used_bytes() * 100 // 80)
    node.restart()
    node.clean()
    assert node.cleaner.freed_bytes == 0
    node.store = BlobStore(node.store._path, node.store.used_bytes() * 100 // 90)
    shared = node.own[NEW, 0][0]
    node.memory.note(NEW, ROUNDS - 1, shared)
    node.restart()
    node.clean()
    assert node.store.used_bytes() <= node.store.quota_bytes * 60 // 100 + 2 * SIZE
    assert node.here(node.own[OLD, 0]) == 0
    assert node.here(node.own[NEW, 0]) == 1
    for job_id, final in ((OLD, ROUNDS), (NEW, ROUNDS - 1)):
        for round in (final - 2, final - 1):
            assert node.here(node.own[job_id, round]) == len(node.own[job_id, round])
        assert node.here([*node.manifests[job_id].blobs(), node.manifests[job_id].ref()]) == 5
    assert node.memory.recall(NEW, 0) is not None


def test_a_cleaned_round_leaves_no_records_of_its_units(node: Node) -> None:
    """Who held its results, and the roots that opened them: of the kept rounds they stay."""
    whole = {"custody": 1, "holding": SLOTS, "rooted": SLOTS}
    assert node.records(NEW, 0) == node.records(NEW, ROUNDS - 2) == whole
    roots = len(node.journal.keys("roots/"))
    node.store = BlobStore(node.store._path, SIZE)
    node.restart()
    node.clean()
    for round in range(ROUNDS - 3):
        assert set(node.records(NEW, round).values()) == {0}
    assert node.records(NEW, ROUNDS - 3) == node.records(NEW, ROUNDS - 2) == whole
    cleaned = SLOTS * (ROUNDS - 2 + ROUNDS - 3)
    assert len(node.journal.keys("roots/")) == roots - cleaned


def test_a_full_store_of_needed_blobs_is_left_alone(node: Node) -> None:
    """However small the quota is."""
    node.store = BlobStore(node.store._path, SIZE)
    node.restart()
    node.clean()
    for job_id, final in ((OLD, ROUNDS), (NEW, ROUNDS - 1)):
        kept = {ref for round in (final - 2, final - 1) for ref in node.own[job_id, round]}
        assert node.here(list(kept)) == len(kept)
        assert node.here(list(node.manifests[job_id].blobs())) == 4
        assert (
            node.here([ref for round in range(final - 2) for ref in node.own[job_id, round]]) == 0
        )


def test_a_pass_is_bounded(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one does not reach the next does; nothing is forgotten before its blobs are gone."""
    monkeypatch.setattr("node.cleaning.REMOVED_MAX", 10)
    node.clean()
    node.clean(KEEP_S)
    assert node.here(node.blobs(OLD)) == len(node.blobs(OLD)) - 10
    for _ in range(4):
        node.clean()
    assert node.here(node.blobs(OLD)) == 0
    assert OLD not in node.jobs.held


def test_a_job_that_is_just_arriving_keeps_what_it_found_here(node: Node) -> None:
    """Its data was here for the spent job; it is not in the journal before it is checked."""
    node.jobs.arriving[JobId(b"x" * 32)] = node.manifests[OLD]
    node.clean()
    node.clean(KEEP_S)
    assert node.here(list(node.manifests[OLD].blobs())) == len(node.manifests[OLD].blobs())
    assert node.here(node.own[OLD, 0]) == 0


def test_a_spent_job_that_is_offered_again_is_not_removed_meanwhile(node: Node) -> None:
    """Else it would be held without its data."""
    node.jobs.arriving[OLD] = node.manifests[OLD]
    node.clean()
    node.clean(KEEP_S)
    assert node.here(node.blobs(OLD)) == len(node.blobs(OLD))


def test_a_pass_that_stops_within_a_round_forgets_nothing_of_it(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next pass goes on with the same round: no blob is left that nobody knows."""
    monkeypatch.setattr("node.cleaning.REMOVED_MAX", 3)
    node.store = BlobStore(node.store._path, SIZE)
    node.restart()
    node.clean()
    assert node.here(node.own[OLD, 0]) == 2
    for _ in range(9):
        node.clean()
    for job_id, final in ((OLD, ROUNDS), (NEW, ROUNDS - 1)):
        for round in range(final - 2):
            assert node.here(node.own[job_id, round]) == 0


def test_the_daemon_goes_on_meanwhile(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files go in a thread, no record is decoded, and what was noted is read once a pass."""
    honest, read = BlobStore.remove, list[tuple[bytes, int]]()
    blobs = RoundMemory.blobs

    def elsewhere(store: BlobStore, ref: BlobRef) -> int:
        assert threading.current_thread() is not threading.main_thread()
        return honest(store, ref)

    def counted(memory: RoundMemory, job_id: bytes, round: int) -> set[BlobRef]:
        read.append((job_id, round))
        return blobs(memory, job_id, round)

    node.clean()
    monkeypatch.setattr(BlobStore, "remove", elsewhere)
    monkeypatch.setattr(RoundMemory, "recall", None)
    monkeypatch.setattr(RoundMemory, "blobs", counted)
    node.clean(KEEP_S)
    assert node.here(node.blobs(OLD)) == 0
    assert read.count((NEW, 0)) == read.count((OLD, 0)) == 1
    read.clear()
    node.store = BlobStore(node.store._path, node.store.used_bytes() * 100 // 90)
    node.restart()
    node.clean()
    assert node.here(node.own[NEW, 0]) == 0


def test_what_comes_into_use_within_a_pass_stays(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job begins to arrive, and a round is worked on, after the pass began."""
    honest, kept = BlobStore.remove, list[BlobRef]()

    def meanwhile(store: BlobStore, ref: BlobRef) -> int:
        if not kept:
            left = [each for each in node.blobs(OLD) if each != ref]
            kept.append(next(each for each in left if store.has(each)))
            node.busy = kept
        return honest(store, ref)

    node.clean()
    monkeypatch.setattr("node.cleaning.REMOVED_AT_ONCE", 1)
    monkeypatch.setattr(BlobStore, "remove", meanwhile)
    node.clean(KEEP_S)
    assert node.here(node.blobs(OLD)) == node.here(kept) == 1


def test_what_came_of_a_job_never_held_goes_once_it_is_over(node: Node) -> None:
    """Only what came for it: a stranger may name any blob."""
    lost = node.manifests[OLD]
    for ref in (lost.state, lost.test):
        node.store.remove(ref)
    node.journal.delete(f"held/{OLD.hex()}")
    node.restart()
    job = node.watch.ledger.jobs[OLD]
    node.jobs._begin(job, lost)
    node.put("state of " + OLD.hex())
    node.clean()
    node.clean(KEEP_S)
    assert not node.store.has(lost.state)
    assert node.store.has(lost.train)
    assert not [key for key in node.journal.keys("") if OLD.hex() in key]
