"""Attempts at commands: where a result is looked for, and what an absent worker is blamed for."""

import contextlib
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
import trio.testing

from node.compute import Compute
from node.coordination_tasks import Tasks
from node.custody import Custody
from node.errors import PeerFault, PeerUnreachable
from node.holders import Holders
from node.ledger import JobView
from node.recompute import Recompute
from node.transfer import NotServed
from scheduler.blob_ref import BlobRef
from scheduler.commands import FetchResult, RecoverResult
from scheduler.events import ResultFault, ResultRefused, ResultStored
from scheduler.manifest import Manifest
from scheduler.terms import Holding, PeerId, UnitRef, Wallet

pytestmark = pytest.mark.trio

UNIT, ROOT, BLOB = UnitRef(0, 0, 0), b"r" * 32, BlobRef.of(b"result")
WORDS = Holding(Wallet("us"), b"word")
JOB = cast(JobView, SimpleNamespace(job_id=b"j" * 32, manifest=BlobRef.of(b"manifest")))
MANIFEST = cast(Manifest, SimpleNamespace(result_bytes=BLOB.size))


@dataclass
class Node:
    """What a node has around its tasks. `others`: whether a peer that answers holds the result;
    `drags`: whether a search ends at all."""

    others: bool = False
    fault: Exception | None = None
    drags: bool = False
    blamed: bool | None = None
    done: list[str] = field(default_factory=list)

    def tasks(self) -> Tasks:
        custody = SimpleNamespace(
            sign=lambda *_: WORDS.signature,
            wallet=WORDS.wallet,
            trials=SimpleNamespace(of=lambda *_: contextlib.nullcontext()),
        )
        nothing = cast(Any, None)
        recompute = Recompute(nothing, nothing)
        cast(Any, recompute).run = self._run
        return Tasks(
            nothing,
            nothing,
            cast(Compute, SimpleNamespace(check_result=self._check)),
            recompute,
            self._fetch,
            cast(Custody, custody),
            cast(Holders, SimpleNamespace(find=self._find)),
            lambda: ["peer"],
            "us",
        )

    async def _check(self, _manifest: BlobRef, blob: BlobRef) -> bytes:
        return ROOT if blob == BLOB else bytes(32)

    async def _fetch(self, _ref: BlobRef, _sources: object, _chunks: object = None) -> None:
        if self.fault is not None:
            raise self.fault

    async def _find(self, *_: object, blame: bool) -> BlobRef:
        self.done.append("asked others")
        self.blamed = blame
        if self.drags:
            await trio.sleep_forever()
        if not self.others:
            raise PeerUnreachable("nobody who answers holds it")
        return BLOB

    async def _run(self, *_: object, audit: bool) -> SimpleNamespace:
        await trio.testing.wait_all_tasks_blocked()
        self.done.append("computed anew")
        return SimpleNamespace(result_root=ROOT, result=BLOB)


async def recover(node: Node, anew: bool) -> object:
    command = RecoverResult(UNIT, Wallet("worker"), ROOT, anew)
    return await node.tasks().attempt(JOB, MANIFEST, command)


async def test_unit_is_computed_anew_only_when_the_command_says_so() -> None:
    """Holders may come back: who has time asks again."""
    node = Node()
    assert await recover(node, anew=False) is None
    assert (node.done, node.blamed) == (["asked others"], False)
    assert await recover(node, anew=True) == ResultStored(UNIT, BLOB, WORDS, recomputed=True)
    assert (node.done[1:], node.blamed) == (["asked others", "computed anew"], True)


async def test_search_that_is_dragged_out_holds_up_no_computing() -> None:
    """Whoever lied and trickles would else use up the time for a challenge."""
    node = Node(drags=True)
    with trio.fail_after(5):
        assert await recover(node, anew=True) == ResultStored(UNIT, BLOB, WORDS, recomputed=True)


async def test_result_that_is_found_is_computed_no_further() -> None:
    """Its holder came back at last."""
    node = Node(others=True)
    assert await recover(node, anew=True) == ResultStored(UNIT, BLOB, WORDS)
    assert node.done == ["asked others"]


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (NotServed("not here", ["worker"]), ResultFault.UNAVAILABLE),
        (NotServed("another has not got it", ["other"]), ResultFault.SILENT),
        (PeerUnreachable("cut off"), ResultFault.SILENT),
        (PeerFault("no result"), ResultFault.MALFORMED),
    ],
    ids=["absent", "of another", "cut off", "wrong"],
)
async def test_worker_is_blamed_for_what_it_answered(error: Exception, fault: ResultFault) -> None:
    """One that was killed says nothing: it may come back with its result."""
    command = FetchResult(UNIT, BLOB, PeerId("worker"), ROOT)
    refused = await Node(fault=error).tasks().attempt(JOB, MANIFEST, command)
    assert refused == ResultRefused(UNIT, BLOB, PeerId("worker"), fault)
