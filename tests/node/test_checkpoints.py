"""Following a job from checkpoint to checkpoint among peers that lie, and finding a false one."""

import contextlib
import hashlib
from collections.abc import Sequence, Set
from pathlib import Path
from random import Random
from typing import cast

import pytest
import trio
import trio.testing

from node.blobs import BlobStore
from node.chain import events as e
from node.chain.events import Place
from node.chain.types import Claim, JobTerms, PassReason
from node.checkpoints import LOST_S, RECHECK_ALWAYS_BYTES, Checkpoints, IsResult, recheck_share
from node.compute import Combination, Compute
from node.compute_messages import OuterDone, UnitDone
from node.errors import PeerFault, PeerUnreachable
from node.final_rounds import Finalized, FinalRounds
from node.ids import JobId, unit_id
from node.journal import Journal
from node.ledger import JobView, Ledger
from node.messages import AcceptedResult, AskRound, RoundResults
from node.round_memory import Refutation, RoundMemory
from scheduler.blob_ref import BlobRef
from scheduler.manifest import Manifest, ProgramRefs
from scheduler.terms import UnitRef

pytestmark = pytest.mark.trio

JOB = JobId(b"j" * 32)
SLOTS, SIZE = 4, 7
WORKERS = tuple("0x" + str(digit) * 40 for digit in range(2, 2 + SLOTS))
COORDINATOR = "0x" + "1" * 40


def root_of(*parts: object) -> bytes:
    """What honest arithmetic gives."""
    return hashlib.sha256(repr(parts).encode()).digest()


def blob_of(root: bytes, size: int = SIZE) -> BlobRef:
    """The blob whose content has this root."""
    return BlobRef(root=root.hex(), size=size)


START_ROOT = root_of("start")
START = blob_of(START_ROOT)
RESULTS = [root_of("result", slot) for slot in range(SLOTS)]
HONEST = blob_of(root_of("aggregate", [root.hex() for root in RESULTS]))
FALSE = blob_of(root_of("false aggregate"))


def after(aggregate: BlobRef) -> bytes:
    """The checkpoint that follows START by an aggregate."""
    return root_of("outer", START.root, aggregate.root)


def manifest(result_bytes: int = SIZE) -> Manifest:
    """A job of four slots; with large results the coin decides on rechecks."""
    return Manifest(
        name="tiny", rounds=3, slots=SLOTS, steps=1, trace_every=1, batch_rows=1, rows=2,
        unit_timeout_s=60, deadline_s=600, price_wei_per_gflop=1,
        programs=ProgramRefs(step=START, result=START, aggregate=START, outer=START,
                             evaluate=START),
        state=START, train=START, test=START, unit_flops=1, aggregate_flops=1, outer_flops=1,
        evaluate_flops=1, peak_bytes=100, result_bytes=result_bytes, aggregate_bytes=SIZE,
        checkpoint_bytes=SIZE,
    )  # fmt: skip


def job(checkpoint: bytes, blob: BlobRef | None = None, workers: int = SLOTS) -> JobView:
    """A job whose first round is final with this checkpoint; its claims are those of RESULTS."""
    ledger = Ledger()
    terms = JobTerms(b"m" * 32, 100, b"b" * 32, rounds=3, slots=SLOTS, unit_wei=10, deadline=10**6)
    blob = blob or blob_of(checkpoint)
    claims = [
        Claim(slot, 0, WORKERS[slot % workers], RESULTS[slot], b"c" * 32, b"s" * 65)
        for slot in range(SLOTS)
    ]
    ledger.apply(e.JobFunded(Place(1, 0, b""), JOB, COORDINATOR, terms, 5, terms.unit_wei, 66))
    ledger.apply(e.RoundCommitted(Place(1, 1, b""), JOB, 0, 0, b"r" * 32, 9, claims))
    for slot in range(SLOTS):
        ledger.apply(
            e.UnitPassed(
                Place(1, 2 + slot, b""), unit_id(JOB, 0, slot, 0), JOB, PassReason.NOT_DRAWN, 9
            )
        )
    final = (JOB, 0, checkpoint, bytes.fromhex(blob.root), blob.size, 20)
    ledger.apply(e.RoundFinalized(Place(1, 9, b""), *final))
    return ledger.jobs[JOB]


class Device:
    """Arithmetic by hashes; a blob's root is the root of its content, but for those of `lies`."""

    def __init__(self, lies: dict[BlobRef, bytes]) -> None:
        self.units, self.steps, self.lies = 0, 0, lies
        self.windows: list[tuple[int, int]] = []

    def _root(self, blob: BlobRef) -> bytes:
        return self.lies.get(blob, bytes.fromhex(blob.root))

    async def check_checkpoint(self, _manifest: BlobRef, blob: BlobRef) -> bytes:
        return self._root(blob)

    async def check_result(self, _manifest: BlobRef, blob: BlobRef) -> bytes:
        return self._root(blob)

    async def run_unit(self, *arguments: object, audit: bool, timeout_s: float) -> UnitDone:
        self.units += 1
        root = RESULTS[cast(int, arguments[3])]
        return UnitDone(
            result=blob_of(root), result_root=root, trace_root=root, metrics={}, seconds=1, flops=1
        )

    async def combine(
        self,
        manifest: object,
        before: BlobRef,
        results: Sequence[BlobRef],
        roots: Sequence[bytes],
    ) -> Combination:
        if [self._root(blob) for blob in results] != list(roots):
            raise PeerFault("a result blob is not the claimed one")
        aggregate = blob_of(root_of("aggregate", [root.hex() for root in roots]))
        return Combination(aggregate, await self.outer(manifest, before, aggregate))

    async def outer(self, _manifest: object, before: BlobRef, aggregate: BlobRef) -> OuterDone:
        self.steps += 1
        if aggregate in self.lies:
            raise PeerFault("the aggregate is malformed: 'delta' is missing")
        root = root_of("outer", before.root, aggregate.root)
        return OuterDone(checkpoint=blob_of(root), root=root, seconds=1)


class Store:
    """What was fetched is here."""

    def __init__(self) -> None:
        self.fetched = [START]

    def has(self, ref: BlobRef) -> bool:
        return ref in self.fetched


class Notes(dict[str, bytes]):
    """A journal's values in memory."""

    set = dict.__setitem__
    delete = dict.__delitem__

    def noted(self, round: int) -> Set[str]:
        """The roots of the blobs that were noted for a round."""
        prefix = f"made/{JOB.hex()}/{round}/"
        return {key.removeprefix(prefix)[:64] for key in self if key.startswith(prefix)}


class Coin(Random):
    """Falls as it was told."""

    value = 0.99

    def random(self) -> float:
        return self.value


class Node:
    """One node among `tellers`, peers that answer `ask_round`, and blobs of which some are lost."""

    def __init__(
        self,
        tellers: dict[str, RoundResults | Exception],
        lies: dict[BlobRef, bytes] | None = None,
        lost: Sequence[BlobRef] = (),
        held: Sequence[BlobRef] = (),
    ) -> None:
        self.device, self.store, self.coin = Device(lies or {}), Store(), Coin()
        self.notes = Notes()
        self.memory = RoundMemory(cast(Journal, self.notes))
        self.alarms: list[int] = []
        self.asked: list[str] = []
        self.findable: set[int] = set()

        async def fetch(ref: BlobRef, _sources: object) -> None:
            if ref in lost:
                raise PeerUnreachable("nobody has it")
            self.store.fetched.append(ref)

        async def fetch_windows(_job: JobView, round: int, slot: int, _sources: object) -> None:
            self.device.windows.append((round, slot))

        async def fetch_held(
            _job: bytes, _unit: UnitRef, _root: bytes, blob: BlobRef, teller: str
        ) -> None:
            if blob not in held:
                raise PeerUnreachable("nobody holds it")
            self.asked.append(f"holders by {teller}")
            self.store.fetched.append(blob)

        async def ask(peer_id: str, _message: AskRound) -> RoundResults:
            self.asked.append(peer_id)
            answer = tellers[peer_id]
            if isinstance(answer, Exception):
                raise answer
            return answer

        async def find_result(
            _job: bytes, unit: UnitRef, root: bytes, size: int, check: IsResult
        ) -> BlobRef:
            self.asked.append(f"slot {unit.slot}")
            blob = blob_of(root, size)
            if unit.slot not in self.findable or not await check(blob):
                raise PeerUnreachable("nobody has it")
            return blob

        self.checkpoints = Checkpoints(
            cast(Compute, self.device),
            cast(BlobStore, self.store),
            fetch,
            fetch_windows,
            lambda _job: list(tellers),
            ask,
            fetch_held,
            find_result,
            self.memory,
            self.coin,
            lambda _job, round: self.alarms.append(round),
        )


def told(aggregate: BlobRef = HONEST, size: int = SIZE, **changes: object) -> RoundResults:
    """What a peer says made the first round."""
    results = tuple(
        AcceptedResult(slot=slot, result_root=root.hex(), blob=blob_of(root, size))
        for slot, root in enumerate(RESULTS)
    )
    return RoundResults(round=0, aggregate=aggregate, results=results).model_copy(update=changes)


LARGE = RECHECK_ALWAYS_BYTES


async def test_a_node_with_the_round_state_steps_by_the_aggregate() -> None:
    """Neither checkpoint nor results travel, and others may ask it what made the round."""
    node = Node({"coordinator": told(size=LARGE)})
    right = job(after(HONEST))
    assert await node.checkpoints.get(right, manifest(LARGE), 1) == blob_of(after(HONEST))
    await node.checkpoints.check(right, manifest(LARGE), 0)
    assert node.store.fetched == [START, HONEST]
    assert node.memory.answer(AskRound(job_id=JOB.hex(), round=0)) == told(size=LARGE)


def not_final(job: JobView) -> JobView:
    job.finalized = FinalRounds()
    return job


async def test_what_an_open_round_comes_to_is_ready_when_it_is_final() -> None:
    """Nothing is asked or fetched any more, and who made the round is known."""
    node = Node({"coordinator": told(size=LARGE)})
    await node.checkpoints.prepare(not_final(job(after(HONEST))), manifest(LARGE), 0)
    node.asked.clear()
    assert await node.checkpoints.get(job(after(HONEST)), manifest(LARGE), 1) == blob_of(
        after(HONEST)
    )
    assert node.asked == []
    assert node.device.steps == 1
    assert node.memory.answer(AskRound(job_id=JOB.hex(), round=0)) == told(size=LARGE)


async def test_what_was_told_too_early_counts_only_if_it_is_anchored() -> None:
    """A coordinator that tells one aggregate and anchors another is followed, and rechecked."""
    tellers: dict[str, RoundResults | Exception] = {"coordinator": told(FALSE, size=LARGE)}
    node = Node(tellers)
    await node.checkpoints.prepare(not_final(job(after(HONEST))), manifest(LARGE), 0)
    tellers["coordinator"] = told(size=LARGE)
    assert await node.checkpoints.get(job(after(HONEST)), manifest(LARGE), 1) == blob_of(
        after(HONEST)
    )
    assert node.memory.answer(AskRound(job_id=JOB.hex(), round=0)) == told(size=LARGE)


async def test_what_led_astray_is_noted_and_can_be_removed_one_day() -> None:
    """A false aggregate and what was made of it, besides what led to the checkpoint."""
    node = Node({"liar": told(FALSE, size=LARGE), "coordinator": told(size=LARGE)})
    await node.checkpoints.get(job(after(HONEST)), manifest(LARGE), 1)
    made = {after(FALSE).hex(), after(HONEST).hex()}
    assert node.notes.noted(0) == {FALSE.root, HONEST.root} | made


async def test_what_a_recheck_fetched_and_made_is_noted() -> None:
    """Results, aggregate and checkpoint; also what was fetched before something failed."""
    node = Node({"coordinator": told()}, lost=[blob_of(RESULTS[-1])])
    node.store.fetched.append(blob_of(after(HONEST)))
    with pytest.raises(PeerUnreachable):
        await node.checkpoints.recheck(job(after(HONEST)), manifest(), 0)
    assert node.notes.noted(0) >= {root.hex() for root in RESULTS[:-1]}
    node = Node({"coordinator": told()})
    await node.checkpoints.recheck(job(after(HONEST)), manifest(), 0)
    made = {HONEST.root, after(HONEST).hex()}
    assert node.notes.noted(0) == {root.hex() for root in RESULTS} | made


async def test_a_result_that_no_source_has_comes_from_who_signed_for_it() -> None:
    """The teller knows who holds it; nothing is computed anew."""
    lost = [blob_of(root, LARGE) for root in RESULTS]
    node = Node({"coordinator": told(size=LARGE)}, lost=lost, held=lost)
    await node.checkpoints.get(job(after(HONEST)), manifest(LARGE), 1)
    await node.checkpoints.recheck(job(after(HONEST)), manifest(LARGE), 0)
    assert node.asked.count("holders by coordinator") == SLOTS
    assert node.device.units == 0


async def test_the_coin_is_tossed_once() -> None:
    """A node that was spared is not asked again; another has made the round itself."""
    right, share = job(after(HONEST)), recheck_share(manifest(LARGE), SLOTS)
    assert share == 0.5
    for coin, rechecks in ((share, 0), (share - 0.01, 1)):
        node = Node({"coordinator": told(size=LARGE)})
        node.coin.value = coin
        await node.checkpoints.get(right, manifest(LARGE), 1)
        await node.checkpoints.check(right, manifest(LARGE), 0)
        fetched = {blob_of(root, LARGE) for root in RESULTS} & set(node.store.fetched)
        assert (node.checkpoints.rechecks, len(fetched)) == (rechecks, rechecks * SLOTS)
        node.coin.value = 0.0
        await node.checkpoints.check(right, manifest(LARGE), 0)
        assert node.checkpoints.rechecks == rechecks


@pytest.mark.parametrize("ends", ["in vain", "cancelled"])
async def test_the_coin_is_not_tossed_again_after_a_recheck_that_came_to_nothing(
    ends: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A coordinator would name results that nobody has, or wait for a unit that fails."""
    lost = [blob_of(root, LARGE) for root in RESULTS]
    node, false = Node({"coordinator": told(FALSE, size=LARGE)}, lost=lost), job(after(FALSE))
    await node.checkpoints.get(false, manifest(LARGE), 1)
    node.coin.value = 0.0

    async def never(*_: object) -> None:
        await trio.sleep_forever()

    with trio.CancelScope() as unit, contextlib.suppress(PeerUnreachable):
        if ends == "cancelled":
            monkeypatch.setattr(node.checkpoints, "_ask_round", never)
            unit.cancel()
        await node.checkpoints.check(false, manifest(LARGE), 0)
    assert unit.cancelled_caught == (ends == "cancelled")
    assert node.checkpoints.can_recheck(false, 0)
    monkeypatch.undo()
    node.coin.value = 0.99
    lost.clear()
    with pytest.raises(PeerFault, match="does not follow from its results"):
        await node.checkpoints.check(false, manifest(LARGE), 0)


async def test_two_of_a_rounds_workers_recheck_on_average() -> None:
    """Every one of few workers, and everybody where the results are small."""
    assert [recheck_share(manifest(LARGE), n) for n in (0, 1, 2, 8)] == [1.0, 1.0, 1.0, 0.25]
    assert recheck_share(manifest(LARGE // SLOTS), 8) == 1.0
    assert recheck_share(manifest(LARGE // SLOTS + 1), 8) == 0.25


async def test_a_false_aggregate_is_caught_and_stays_caught() -> None:
    """The coordinator told and anchored it alike: only its results give it away."""
    node, false = Node({"coordinator": told(FALSE)}), job(after(FALSE))
    assert await node.checkpoints.get(false, manifest(), 1) == blob_of(after(FALSE))
    for _ in range(3):
        with pytest.raises(PeerFault, match="does not follow from its results"):
            await node.checkpoints.check(false, manifest(), 0)
    # Each further question costs nothing, the peers are told once, later rounds are refused too.
    assert (node.checkpoints.rechecks, node.alarms) == (1, [0])
    with pytest.raises(PeerFault, match="does not follow"):
        await node.checkpoints.check(false, manifest(), 5)
    assert not node.checkpoints.can_recheck(false, 0)


async def test_a_false_checkpoint_beside_an_honest_aggregate_is_caught() -> None:
    """Stepping does not lead there, which is reason enough to recheck whatever the coin says."""
    false = root_of("false checkpoint")
    tellers = {"coordinator": told(size=LARGE)}
    node = Node(tellers)
    assert await node.checkpoints.get(job(false), manifest(LARGE), 1) == blob_of(false)
    with pytest.raises(PeerFault, match="does not follow from its results"):
        await node.checkpoints.check(job(false), manifest(LARGE), 0)


BAD_ANSWERS = {
    "no answer": PeerUnreachable("silent"),
    "a refusal": PeerFault("refused"),
    "another round": told(round=1),
    "too few results": told(results=told().results[:1]),
    "results out of order": told(results=told().results[::-1]),
    "another result": told(
        results=(
            told().results[0].model_copy(update={"result_root": "ab" * 32}),
            *told().results[1:],
        )
    ),
    "a result of another size": told(size=SIZE + 1),
    "an aggregate of another size": told(blob_of(root_of(1), SIZE + 1)),
    "an aggregate that nobody has": told(blob_of(root_of("lost"))),
    "an aggregate of wrong shapes": told(blob_of(root_of("malformed"))),
    "an aggregate that leads elsewhere": told(FALSE),
}


@pytest.mark.parametrize("bad", BAD_ANSWERS)
async def test_a_peer_that_answers_wrongly_blocks_nobody(bad: str) -> None:
    """The next peer is asked, both for the aggregate and for the results."""
    malformed, lost = blob_of(root_of("malformed")), blob_of(root_of("lost"))
    tellers = {"liar": BAD_ANSWERS[bad], "honest": told()}
    node = Node(tellers, lies={malformed: b"x" * 32}, lost=[lost])
    right = job(after(HONEST))
    assert await node.checkpoints.get(right, manifest(), 1) == blob_of(after(HONEST))
    assert node.asked == ["liar", "honest"]
    assert blob_of(after(HONEST)) not in node.store.fetched
    assert {ref.size for ref in node.store.fetched} == {SIZE}
    await node.checkpoints.check(right, manifest(), 0)
    assert node.checkpoints.rechecks == 1


async def test_a_result_blob_with_other_content_is_not_believed() -> None:
    """Its teller is passed over; the honest one's blob makes the round."""
    other = blob_of(root_of("other content"))
    first = told().results[0].model_copy(update={"blob": other})
    tellers = {"liar": told(results=(first, *told().results[1:])), "honest": told()}
    node = Node(tellers)
    await node.checkpoints.get(job(after(HONEST)), manifest(), 1)
    await node.checkpoints.check(job(after(HONEST)), manifest(), 0)
    assert other in node.store.fetched


async def test_a_node_without_the_round_state_fetches_the_checkpoint() -> None:
    """A joiner asks nobody for aggregates that it cannot use."""
    node = Node({"coordinator": told()})
    node.store.fetched = []
    right = job(after(HONEST))
    right.finalized.append(right.finalized[0])
    assert await node.checkpoints.get(right, manifest(), 2) == blob_of(after(HONEST))
    assert node.asked == []


@pytest.mark.parametrize("wrong", ["content", "size"])
async def test_a_wrong_blob_of_a_right_checkpoint_is_computed_anew(
    wrong: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Otherwise one coordinator could end a job for good."""
    blob = blob_of(root_of("wrong"), SIZE + (wrong == "size"))
    node = Node({"coordinator": PeerUnreachable("silent")}, lies={blob: b"w" * 32})
    right = job(after(HONEST), blob)
    with pytest.raises(PeerFault):
        await node.checkpoints.get(right, manifest(), 1)
    await trio.sleep(LOST_S)
    assert await node.checkpoints.get(right, manifest(), 1) == blob_of(after(HONEST))
    assert node.device.units == SLOTS
    assert node.device.windows == [(0, slot) for slot in range(SLOTS)]


async def test_only_what_nobody_holds_of_a_lost_round_is_computed_anew(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Its coordinator is gone, its workers and auditors are not."""
    lost = blob_of(after(HONEST))
    node = Node({"coordinator": PeerUnreachable("gone")}, lost=[lost])
    node.findable = {0, 3}
    with pytest.raises(PeerUnreachable):
        await node.checkpoints.get(job(after(HONEST)), manifest(), 1)
    await trio.sleep(LOST_S)
    assert await node.checkpoints.get(job(after(HONEST)), manifest(), 1) == lost
    assert node.device.windows == [(0, 1), (0, 2)]


async def test_a_checkpoint_that_a_whole_round_refutes_is_refuted_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Nobody tells anything: the round computed anew says the same, and costs no second time."""
    false = root_of("false checkpoint")
    node = Node({"coordinator": PeerUnreachable("silent")}, lost=[blob_of(false)])
    with pytest.raises(PeerUnreachable):
        await node.checkpoints.get(job(false), manifest(), 1)
    await trio.sleep(LOST_S)
    for _ in range(3):
        with pytest.raises(PeerFault, match="does not follow"):
            await node.checkpoints.get(job(false), manifest(), 1)
    assert (node.device.units, node.alarms) == (SLOTS, [0])
    refuted = node.memory.refuted(JOB)
    assert refuted is not None
    assert refuted.round == 0


def anchor(job: JobView, checkpoint: bytes) -> JobView:
    """The same job, whose first round is anchored with this checkpoint and not final."""
    job.finalized = FinalRounds()
    job.anchors[0] = Finalized(checkpoint, blob_of(checkpoint))
    return job


async def test_a_refutation_lapses_with_the_anchor_that_it_is_about() -> None:
    """The right one in its place is followed, though the reason named it; the false one never."""
    node, running = Node({"coordinator": told(FALSE)}), anchor(job(after(FALSE)), after(FALSE))
    with pytest.raises(PeerFault, match="does not follow") as caught:
        await node.checkpoints.check(running, manifest(), 0)
    assert after(HONEST).hex() in str(caught.value)
    assert node.checkpoints.refuted(running) is not None
    assert not node.checkpoints.can_recheck(running, 0)
    running.anchors.clear()
    assert node.checkpoints.refuted(running) is None
    node.checkpoints.check_not_refuted(running, 0)
    anchor(running, after(HONEST))
    assert node.checkpoints.can_recheck(running, 0)
    await node.checkpoints.check(running, manifest(), 0)
    assert await node.checkpoints.get(running, manifest(), 1) == blob_of(after(HONEST))
    with pytest.raises(PeerFault, match="does not follow"):
        node.checkpoints.check_not_refuted(anchor(running, after(FALSE)), 0)


async def test_a_lapsed_refutation_makes_room_for_another() -> None:
    """Of one anchor after the other, each false, each is refuted."""
    other = blob_of(root_of("another false aggregate"))
    node, running = Node({"coordinator": told(FALSE)}), anchor(job(after(FALSE)), after(FALSE))
    for false in (FALSE, other):
        anchor(running, after(false))
        with pytest.raises(PeerFault, match=after(false).hex()):
            await node.checkpoints.recheck(running, manifest(), 0)
    assert node.alarms == [0, 0]


async def test_what_was_found_wrong_outlives_a_restart(tmp_path: Path) -> None:
    """A node does not forget it with its process, and the first round that is wrong counts."""
    with Journal(tmp_path / "journal") as journal:
        memory = RoundMemory(journal)
        for round, reason in ((4, "later"), (2, "first"), (3, "between")):
            memory.refute(JOB, Refutation(round, START_ROOT, reason))
    with Journal(tmp_path / "journal") as journal:
        assert RoundMemory(journal).refuted(JOB) == Refutation(2, START_ROOT, "first")
        assert RoundMemory(journal).refuted(b"k" * 32) is None


async def test_what_made_a_round_of_other_claims_is_asked_anew() -> None:
    """This node coordinated once; the claims that it combined are not those on the chain."""
    node = Node({"coordinator": told()})
    claimed, other = job(after(HONEST)), told().results[0].model_copy(update={"slot": 1})
    node.memory.keep(JOB, told(results=(told().results[0], other)))
    assert await node.checkpoints.learn(claimed, manifest(), 0) == told()
    assert node.memory.recall(JOB, 0) == told()
    assert await node.checkpoints.learn(claimed, manifest(), 0) == told()
    assert node.asked == ["coordinator"]
