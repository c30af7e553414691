"""Holdings between real hosts: asked for, signed, told, and found again; hostile ones bounded."""

import contextlib
import random
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from engine.commitment import BLOB_CHUNK_BYTES, blob_chunk_hashes
from node import rpc
from node.blobs import BlobStore
from node.chain import events as e
from node.chain.events import Place
from node.chain.types import Claim, JobTerms
from node.chain_watch import ChainWatch
from node.custody import HELD_PER_SLOT, Custody, holding_text
from node.errors import PeerUnreachable
from node.holders import Holders
from node.ids import JobId, unit_id
from node.journal import Journal
from node.ledger import UnitState
from node.messages import CUSTODY_PROTOCOL, AskCustody, HoldResult, Refused, RoundCustody, UnitKey
from node.peers import PeerBook
from node.round_memory import RoundMemory
from node.transfer import fetch, serve_blobs
from node.transport import Transport
from node.trials import Trials
from node.wallet import Signer, recover
from scheduler.blob_ref import BlobRef
from scheduler.commands import AskHolder
from scheduler.events import HoldingRefused, ResultHeld
from scheduler.terms import ROUNDS_AHEAD_MAX, UnitRef, Wallet

pytestmark = pytest.mark.trio

JOB = JobId(b"j" * 32)
SLOTS, RESULT = 2, b"result!"
BLOB = BlobRef.of(RESULT)
UNIT, ROOT = UnitRef(0, 1, 0), b"r" * 32


class Watch:
    """A chain with one funded job, coordinated by a given wallet."""

    def __init__(self, coordinator: str) -> None:
        self.ledger = ChainWatch(cast(Any, None), 0, 1.0).ledger
        terms = JobTerms(b"m" * 32, 100, b"b" * 32, 2, SLOTS, unit_wei=10, deadline=10**6)
        self.ledger.apply(
            e.JobFunded(Place(1, 0, b""), JOB, "0x" + "1" * 40, terms, 5, terms.unit_wei, 66)
        )
        self.ledger.apply(e.LeaseTaken(Place(1, 1, b""), JOB, coordinator, 10**6, 1))

    async def changed(self, timeout_s: float) -> None:
        await trio.sleep(timeout_s)


class Node:
    """A host with a store, a journal and its custody; it knows the wallets of those it met."""

    def __init__(self, folder: Path, transport: Transport, journal: Journal) -> None:
        self.transport, self.journal = transport, journal
        self.signer, self.store = Signer.random(), BlobStore(folder, quota_bytes=1 << 20)
        self.met: dict[str, Node] = {}
        self.punished: list[str] = []
        self.without_bond: set[str] = set()
        self.manifest = SimpleNamespace(result_bytes=len(RESULT))
        serve_blobs(transport, self.store, lambda _peer, _ref: True)

    def start(self, coordinator: str) -> None:
        self.custody = Custody(
            self.signer,
            cast(ChainWatch, Watch(coordinator)),
            cast(Any, {JOB: self.manifest}),
            self.journal,
            self.fetch,
            lambda peer_id: self.met[peer_id].signer.address if peer_id in self.met else None,
            Trials(self.store, RoundMemory(self.journal)),
        )
        self.transport.serve(CUSTODY_PROTOCOL, rpc.serve(self.custody.answer, lambda *_: None))
        book = SimpleNamespace(addresses_of=self._addresses, by_wallet=self._by_wallet)
        self.holders = Holders(
            self.transport,
            cast(PeerBook, book),
            self.fetch,
            lambda peer_id, _points, _reason: self.punished.append(peer_id),
            self.custody.trials,
            lambda wallet: wallet not in self.without_bond,
            random.Random(1),
            self.custody.held,
        )

    def meet(self, *others: "Node") -> None:
        self.met |= {other.transport.peer_id: other for other in others}

    async def fetch(self, ref: BlobRef, sources: Any, chunks: Any = None) -> None:
        addresses = self._addresses
        await fetch(self.transport, self.store, ref, sources, addresses_of=addresses, deadline_s=10)

    def _addresses(self, peer_id: str) -> list[str]:
        return list(self.met[peer_id].transport.addresses) if peer_id in self.met else []

    def _by_wallet(self, wallet: str) -> list[Any]:
        found = [peer_id for peer_id, n in self.met.items() if n.signer.address == wallet]
        return [SimpleNamespace(hello=SimpleNamespace(peer_id=peer_id)) for peer_id in found]

    async def find(self, *tellers: "Node", result: bytes = RESULT, blame: bool = True) -> BlobRef:
        async def is_result(blob: BlobRef) -> bool:
            return self.store.read(blob) == result

        ids = [teller.transport.peer_id for teller in tellers]
        size = len(RESULT)
        return await self.holders.find(JOB, UNIT, ROOT, size, is_result, ids, blame=blame)

    async def ask(self, other: "Node", message: Any) -> Any:
        addresses = list(other.transport.addresses)
        peer_id = other.transport.peer_id
        async with await self.transport.open(peer_id, CUSTODY_PROTOCOL, addresses) as channel:
            return await rpc.ask_any(channel, message, 10.0)


@contextlib.asynccontextmanager
async def nodes(folder: Path, count: int) -> AsyncIterator[list[Node]]:
    """Hosts that know each other; the first one coordinates."""
    async with contextlib.AsyncExitStack() as stack:
        made = []
        for index in range(count):
            transport = await stack.enter_async_context(Transport(secrets.token_bytes(32)))
            journal = stack.enter_context(Journal(folder / f"journal-{index}"))
            made.append(Node(folder / f"store-{index}", transport, journal))
        for node in made:
            node.meet(*(other for other in made if other is not node))
            node.start(made[0].signer.address)
        yield made


def hold(blob: BlobRef = BLOB, unit: UnitRef = UNIT, job_id: bytes = JOB) -> HoldResult:
    key = UnitKey(round=unit.round, slot=unit.slot, attempt=unit.attempt)
    return HoldResult(job_id=job_id.hex(), unit=key, result_root=ROOT.hex(), blob=blob)


async def test_a_peer_that_is_asked_fetches_signs_and_serves(tmp_path: Path) -> None:
    """From then on the result is found without the coordinator, by signatures alone."""
    async with nodes(tmp_path, 3) as (coordinator, keeper, seeker):
        coordinator.store.put(RESULT)
        command = AskHolder(UNIT, BLOB, ROOT, Wallet(keeper.signer.address))
        await coordinator.ask(keeper, AskCustody(job_id=JOB.hex(), round=0))
        answer = await coordinator.holders.ask_to_hold(JOB, command)
        assert isinstance(answer, ResultHeld)
        assert answer.holding.wallet == keeper.signer.address
        text = holding_text(JOB, UNIT, ROOT, BLOB)
        assert recover(text, answer.holding.signature) == keeper.signer.address
        assert keeper.store.has(BLOB)
        coordinator.store.remove(BLOB)
        assert await seeker.find(coordinator, keeper) == BLOB
        assert seeker.store.read(BLOB) == RESULT


async def test_a_holder_that_lost_what_it_signed_is_counted_against(tmp_path: Path) -> None:
    """The seeker goes on without it. Once, however often it looks; not while it only waits."""
    async with nodes(tmp_path, 2) as (seeker, holder):
        holder.custody.sign(JOB, UNIT, ROOT, BLOB)
        for blame, times in [(False, 0), (True, 1), (True, 1)]:
            with pytest.raises(PeerUnreachable, match="nobody who answers holds"):
                await seeker.find(holder, blame=blame)
            assert seeker.punished == [holder.transport.peer_id] * times


async def test_searches_share_what_a_teller_says_of_a_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer is the whole round, and its streams are few."""
    async with nodes(tmp_path, 2) as (seeker, teller):
        of_round, asked = teller.custody.of_round, list[int]()

        def count(job_id: bytes, round: int) -> RoundCustody:
            asked.append(round)
            return of_round(job_id, round)

        async def search() -> None:
            with pytest.raises(PeerUnreachable):
                await seeker.find(teller)

        monkeypatch.setattr(teller.custody, "of_round", count)
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(search)
        await search()
        assert asked == [0]
        monkeypatch.setattr("node.holders.SHARED_S", 0.0)
        seeker.holders._shared.clear()
        await search()
        await search()
        assert asked == [0, 0, 0]


async def test_a_wallet_whose_other_machine_is_away_keeps_its_word(tmp_path: Path) -> None:
    """The one that is being started has what was signed; the other one cannot know."""
    async with nodes(tmp_path, 3) as (seeker, here, away):
        gone = SimpleNamespace(signer=here.signer, transport=SimpleNamespace(addresses=[]))
        seeker.met[away.transport.peer_id] = cast(Node, gone)
        here.custody.sign(JOB, UNIT, ROOT, BLOB)
        with pytest.raises(PeerUnreachable, match="nobody who answers holds"):
            await seeker.find(here)
        assert seeker.punished == []


async def test_a_holding_that_another_signed_is_not_believed(tmp_path: Path) -> None:
    """Nobody puts another's name to a blob."""
    async with nodes(tmp_path, 2) as (seeker, liar):
        liar.custody.sign(JOB, UNIT, ROOT, BLOB)
        told = liar.custody.of_round(JOB, 0)
        forged = told.results[0].holdings[0].model_copy(update={"wallet": seeker.signer.address})
        result = told.results[0].model_copy(update={"holdings": (forged,)})
        liar.custody.keep(JOB, told.model_copy(update={"results": (result,)}))
        liar.store.put(RESULT)
        with pytest.raises(PeerUnreachable):
            await seeker.find(liar)


@pytest.mark.parametrize("lie", ["another size", "no bond", "nothing", "another result"])
async def test_a_stranger_s_word_does_not_steer_a_search(tmp_path: Path, lie: str) -> None:
    """Whatever it holds and signed is not the result: nothing of it stays."""
    async with nodes(tmp_path, 3) as (seeker, liar, holder):
        data = {"another size": b"larger than a result", "another result": b"resulT!"}
        named = liar.store.put(data.get(lie, RESULT))
        liar.custody.sign(JOB, UNIT, ROOT, named)
        if lie == "nothing":
            liar.store.remove(named)
        if lie == "no bond":
            seeker.without_bond.add(liar.signer.address)
        with pytest.raises(PeerUnreachable):
            await seeker.find(liar)
        assert seeker.store.used_bytes() == 0
        holder.custody.sign(JOB, UNIT, ROOT, holder.store.put(RESULT))
        assert await seeker.find(liar, holder) == BLOB
        assert set(seeker.punished) == ({liar.transport.peer_id} if lie == "nothing" else set())


async def test_whoever_serves_slowly_does_not_hold_up_a_successor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search has one time limit, whatever is told; slow is not broken."""
    async with nodes(tmp_path, 2) as (seeker, slow):
        slow.custody.sign(JOB, UNIT, ROOT, BLOB)
        monkeypatch.setattr("node.holders.FIND_S", 0.3)

        async def for_ever(*_: object) -> None:
            await trio.sleep_forever()

        monkeypatch.setattr(seeker.holders, "_fetch", for_ever)
        with trio.fail_after(5), pytest.raises(PeerUnreachable):
            await seeker.find(slow)
        assert seeker.punished == []


async def test_a_holder_is_not_blamed_for_the_seeker_s_full_disk(tmp_path: Path) -> None:
    """It serves what it signed."""
    async with nodes(tmp_path, 2) as (seeker, holder):
        holder.custody.sign(JOB, UNIT, ROOT, holder.store.put(RESULT))
        (tmp_path / "store-0" / "quota").write_text("1")
        with pytest.raises(PeerUnreachable):
            await seeker.find(holder)
        assert seeker.punished == []


async def test_only_the_coordinator_has_results_held_and_only_within_bounds(tmp_path: Path) -> None:
    """A stranger, a wrong size, a wrong round, too many: each is refused with its reason."""
    async with nodes(tmp_path, 3) as (coordinator, keeper, stranger):
        coordinator.store.put(RESULT)
        stranger.store.put(RESULT)
        cases = [
            (stranger, hold(), "only the holder of the job's lease"),
            (coordinator, hold(job_id=b"k" * 32), "does not hold the job"),
            (coordinator, hold(BlobRef(root=BLOB.root, size=8)), "a result has 7 bytes, not 8"),
            (coordinator, hold(unit=UnitRef(0, SLOTS, 0)), "is not of the open round 0 of 2 slots"),
        ]
        for asker, message, reason in cases:
            answer = await asker.ask(keeper, message)
            assert isinstance(answer, Refused)
            assert reason in answer.reason
        for attempt in range(HELD_PER_SLOT * SLOTS):
            keeper.custody.sign(JOB, UnitRef(0, 0, attempt), ROOT, BLOB)
        full = await coordinator.ask(keeper, hold())
        assert isinstance(full, Refused)
        assert "holds 4 results for each slot" in full.reason
        assert not keeper.store.has(BLOB)


async def test_a_coordinator_that_serves_hashes_and_no_chunks_fills_nobody(tmp_path: Path) -> None:
    """What did not come whole is removed; what was here before stays, in part or whole."""
    async with nodes(tmp_path, 2) as (coordinator, keeper):
        big = b"x" * (2 * BLOB_CHUNK_BYTES)
        ref, hashes = BlobRef.of(big), blob_chunk_hashes(memoryview(big))
        keeper.manifest.result_bytes = len(big)
        coordinator.store.begin(ref, hashes).close()
        assert isinstance(await coordinator.ask(keeper, hold(ref)), Refused)
        assert keeper.store.used_bytes() == 0
        assert keeper.journal.keys("made/") == []
        with keeper.store.begin(ref, hashes) as partial:
            partial.write_chunk(0, big[:BLOB_CHUNK_BYTES])
        assert isinstance(await coordinator.ask(keeper, hold(ref)), Refused)
        assert keeper.store.chunk(ref, 0) == big[:BLOB_CHUNK_BYTES]


async def test_a_peer_that_cannot_have_the_blob_does_not_sign(tmp_path: Path) -> None:
    """The coordinator has lost it itself: nobody vouches for what is not there."""
    async with nodes(tmp_path, 2) as (coordinator, keeper):
        await coordinator.ask(keeper, AskCustody(job_id=JOB.hex(), round=0))
        command = AskHolder(UNIT, BLOB, ROOT, Wallet(keeper.signer.address))
        answer = await coordinator.holders.ask_to_hold(JOB, command)
        assert answer == HoldingRefused(UNIT, BLOB, Wallet(keeper.signer.address))
        assert keeper.custody.of_round(JOB, 0) == RoundCustody(round=0, results=())


async def test_result_that_this_node_signed_for_is_asked_of_nobody(tmp_path: Path) -> None:
    """It was the worker, or the auditor, or coordinated before; what is not here counts nothing."""
    async with nodes(tmp_path, 1) as (node,):
        node.custody.sign(JOB, UNIT, ROOT, BLOB)
        with pytest.raises(PeerUnreachable):
            await node.find()
        node.store.put(RESULT)
        assert await node.find() == BLOB
        with pytest.raises(PeerUnreachable):
            await node.find(result=b"another")


async def test_holdings_of_final_rounds_are_forgotten(tmp_path: Path) -> None:
    """All but the last one's, which is rechecked, however far rounds run ahead."""
    async with nodes(tmp_path, 1) as (node,):
        rounds = range(ROUNDS_AHEAD_MAX + 3)
        for round in rounds:
            node.custody.sign(JOB, UnitRef(round, 0, 0), ROOT, BLOB)
        known = [len(node.custody.of_round(JOB, round).results) for round in rounds]
        assert known == [0, *(1 for _ in rounds[1:])]


async def test_what_an_auditor_or_juror_found_is_told_once_the_unit_is_settled(
    tmp_path: Path,
) -> None:
    """Until then a juror that computes nothing would learn from it what the others will vote."""
    async with nodes(tmp_path, 2) as (lazy, juror):
        ledger, index = juror.custody._watch.ledger, iter(range(2, 9))

        def happen(kind: type[e.Event], *values: object) -> None:
            ledger.apply(kind(Place(1, next(index), b""), *values))

        async def is_told() -> bool:
            told = await lazy.ask(juror, AskCustody(job_id=JOB.hex(), round=0))
            assert isinstance(told, RoundCustody)
            return told.results != ()

        claim = Claim(1, 0, "0x" + "2" * 40, ROOT, b"c" * 32, b"s" * 65)
        unit = unit_id(JOB, 0, 1, 0)
        happen(e.RoundCommitted, JOB, 0, 0, b"x" * 32, 9, (claim,))
        happen(e.UnitDrawn, unit, juror.signer.address, JOB, 0, 1, 0, claim.worker, 10**6)
        juror.custody.found(JOB, UNIT, ROOT, juror.store.put(RESULT))
        assert juror.custody.held(JOB, UNIT, ROOT) == BLOB
        assert not await is_told()
        happen(e.AuditCommitted, unit, juror.signer.address, 10**6)
        assert not await is_told()
        happen(e.UnitDisputed, unit, JOB, lazy.signer.address)
        assert not await is_told()
        happen(e.UnitVerified, unit, JOB, 10**6)
        assert await is_told()


async def test_what_a_juror_was_asked_to_hold_is_told_at_once(tmp_path: Path) -> None:
    """It says nothing of what it found, in whichever order both come."""
    async with nodes(tmp_path, 1) as (node,):
        view = cast(Any, SimpleNamespace(state=UnitState.DISPUTED))
        node.custody._watch.ledger.jobs[JOB].units[UNIT] = view
        node.custody.found(JOB, UNIT, ROOT, BLOB)
        assert node.custody.of_round(JOB, 0).results == ()
        node.custody.sign(JOB, UNIT, ROOT, BLOB)
        node.custody.found(JOB, UNIT, ROOT, BLOB)
        assert len(node.custody.of_round(JOB, 0).results) == 1
        node.custody.forget_round(JOB, 0)
        assert [key for kind in ("holding", "finding") for key in node.journal.keys(kind)] == []
