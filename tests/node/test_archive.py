"""What peers keep of a job is believed as far as the chain proves it, whoever tells it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from engine import state as tensors
from engine.backend import open_backend
from engine.commitment import state_root
from node.archive import Claims, ask_rounds, fetch_checkpoint, fetch_job, fetch_results
from node.blobs import BlobStore
from node.bundle import Bundle
from node.chain import events as e
from node.client import Client
from node.errors import PeerFault, PeerUnreachable
from node.execution import build, combine, run_unit
from node.ledger import JobView
from node.messages import AcceptedResult, AskRound, Message, Refused, RoundResults, decode, encode
from node.submission import terms_of
from node.unit_history import UnitHistory
from scheduler.blob_ref import BlobRef
from tests.node.test_ledger import JOB, SUBMITTER, WORKER, Chain

BLOB = BlobRef(root="ab" * 32, size=9)


@dataclass
class Peers:
    """A client whose peers answer what the test says; blobs come from one shelf."""

    store: BlobStore
    told: Mapping[str, Mapping[int, Message] | None]
    shelf: dict[BlobRef, bytes] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)

    @property
    def transport(self) -> "Peers":
        return self

    book = transport

    def connected(self) -> list[str]:
        return list(self.told)

    def addresses_of(self, _peer_id: str) -> list[str]:
        return []

    async def open(self, peer_id: str, _protocol: str, _addresses: list[str]) -> Any:
        answers = self.told[peer_id]
        if answers is None:
            raise PeerUnreachable("gone")
        return self._channel(peer_id, answers)

    @asynccontextmanager
    async def _channel(
        self, peer_id: str, answers: Mapping[int, Message]
    ) -> AsyncIterator["Answers"]:
        yield Answers(self, peer_id, answers)

    async def fetch(self, ref: BlobRef, _sources: list[str]) -> bytes:
        if ref not in self.shelf:
            raise PeerUnreachable(f"nobody has {ref.root}")
        self.store.put(self.shelf[ref])
        return self.shelf[ref]

    def keep(self, data: bytes) -> BlobRef:
        self.shelf[BlobRef.of(data)] = data
        return BlobRef.of(data)


@dataclass
class Answers:
    """A channel to one peer."""

    peers: Peers
    peer_id: str
    answers: Mapping[int, Message]
    question: int = -1

    async def send(self, payload: bytes) -> None:
        message = decode(payload)
        assert isinstance(message, AskRound)
        self.question = message.round
        self.peers.asked.append((self.peer_id, message.round))

    async def receive(self) -> bytes:
        return encode(self.answers.get(self.question, Refused(reason="not known here")))


def client(peers: Peers) -> Client:
    return cast(Client, peers)


@pytest.fixture
def job(tiny: Bundle) -> JobView:
    chain = Chain()
    terms = replace(terms_of(tiny.manifest, 0), slots=3)
    chain.happen(e.JobFunded, JOB, SUBMITTER, terms, 5, terms.unit_wei, 66)
    return chain.ledger.jobs[JOB]


def claims(*roots: bytes, round: int = 0) -> Claims:
    return {
        (round, s): UnitHistory(b"u", round, s, 0, WORKER, WORKER, root, 1)
        for s, root in enumerate(roots)
    }


def told(round: int, *roots: bytes, blob: BlobRef = BLOB) -> RoundResults:
    results = (AcceptedResult(slot=s, result_root=r.hex(), blob=blob) for s, r in enumerate(roots))
    return RoundResults(round=round, aggregate=BLOB, results=tuple(results))


A, B, C = (bytes([n]) * 32 for n in (1, 2, 3))


@pytest.mark.trio
async def test_each_round_comes_from_the_first_peer_that_tells_the_truth(
    job: JobView, tmp_path: Path
) -> None:
    """One is gone, one knows nothing, one lies in every way there is, one knows half."""
    liar = {0: told(0, A, B, A), 1: told(0, A, B, C)}
    peers = Peers(
        BlobStore(tmp_path),
        {
            "gone": None,
            "new": {},
            "liar": liar,
            "short": {0: told(0, A, B)},
            "half": {0: told(0, A, B, C)},
            "whole": {0: told(0, A, B, C), 1: told(1, C, B, A)},
        },
    )
    found = await ask_rounds(
        client(peers), job, {**claims(A, B, C), **claims(C, B, A, round=1)}, [0, 1]
    )
    assert found == {0: told(0, A, B, C), 1: told(1, C, B, A)}
    assert peers.asked[-1] == ("whole", 1)


@pytest.mark.trio
async def test_what_nobody_knows_is_left_out(job: JobView, tmp_path: Path) -> None:
    """And a round without accepted units on chain cannot be told at all."""
    peers = Peers(BlobStore(tmp_path), {"one": {0: told(0, A, B, C), 1: told(1, A, B, C)}})
    assert list(await ask_rounds(client(peers), job, claims(A, B, C), [0, 1])) == [0]


@pytest.mark.trio
async def test_a_job_and_its_rounds_come_back_as_they_were(
    job: JobView, tiny: Bundle, tmp_path: Path
) -> None:
    """Programs, data, results, checkpoint: decoded and equal; anything else is a peer's fault."""
    loaded = build(open_backend("reference"), tiny.job)
    states = [run_unit(loaded, tiny.job.state, 0, slot).result for slot in range(3)]
    after = combine(loaded, tiny.job.state, states)
    peers = Peers(BlobStore(tmp_path), {"one": {}})
    for blob in (*tiny.blobs, tiny.manifest.to_bytes()):
        peers.keep(blob)
    assert (await fetch_job(client(peers), job)).manifest == tiny.manifest

    refs = [peers.keep(tensors.encode(state)) for state in states]
    roots = [state_root(state) for state in states]
    made_by = told(0, *roots)
    pairs = zip(made_by.results, refs, strict=True)
    results = tuple(result.model_copy(update={"blob": ref}) for result, ref in pairs)
    fetched = await fetch_results(
        client(peers), tiny.job, made_by.model_copy(update={"results": results})
    )
    assert [state_root(state) for state in fetched] == roots
    swapped = made_by.model_copy(
        update={"results": tuple(r.model_copy(update={"blob": refs[0]}) for r in results)}
    )
    with pytest.raises(PeerFault, match="slot 1 in round 1 is not the claimed one"):
        await fetch_results(client(peers), tiny.job, swapped)
    with pytest.raises(PeerFault, match="has 9 bytes"):
        await fetch_results(client(peers), tiny.job, made_by)

    anchored = peers.keep(tensors.encode(after))
    check = e.RoundFinalized(
        e.Place(9, 0, b""), JOB, 0, state_root(after), bytes.fromhex(anchored.root),
        anchored.size, 0,
    )  # fmt: skip
    ledger_of(job, check)
    assert tensors.decode(await fetch_checkpoint(client(peers), job, 0)).keys() == after.keys()
    false = e.RoundFinalized(
        e.Place(9, 1, b""), JOB, 1, A, bytes.fromhex(anchored.root), anchored.size, 0
    )
    ledger_of(job, false)
    with pytest.raises(PeerFault, match="anchored a wrong blob"):
        await fetch_checkpoint(client(peers), job, 1)


def ledger_of(job: JobView, event: e.RoundFinalized) -> None:
    """Fold one more event into a view."""
    chain = Chain()
    chain.ledger.jobs[JOB] = job
    chain.ledger.apply(event)


@pytest.mark.trio
async def test_a_manifest_that_was_not_funded_is_refused(
    job: JobView, tiny: Bundle, tmp_path: Path
) -> None:
    """Its blob is what the chain names, its digest is not."""
    other = tiny.manifest.model_copy(update={"name": "other"}).to_bytes()
    peers = Peers(BlobStore(tmp_path), {"one": {}})
    job.manifest = peers.keep(other)
    with pytest.raises(PeerFault, match="not the one that was funded"):
        await fetch_job(client(peers), job)
