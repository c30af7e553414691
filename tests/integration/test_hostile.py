"""Peers that break the protocol over real libp2p: refused, counted, and nothing else happens."""

import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import trio

from engine import state as tensors
from engine.backend import open_backend
from node import messages, rpc
from node.blobs import BlobStore
from node.bundle import assemble
from node.chain import events as on_chain
from node.claim_signature import ClaimDomain, Statement
from node.custody import holding_text
from node.discovery import PROTOCOL as PEERS_PROTOCOL
from node.discovery import Discovery
from node.errors import ChannelClosed, PeerUnreachable
from node.execution import build, run_unit
from node.home import Home
from node.identity import load_seed
from node.ids import JobId, unit_id
from node.ledger import JobState
from node.messages import (
    JOB_PROTOCOL,
    OFFER_PROTOCOL,
    WORK_PROTOCOL,
    CommitUnit,
    Message,
    PullUnit,
    Receipt,
    Refused,
    UnitAssigned,
    UnitDeclined,
    UnitKey,
)
from node.peers import NetworkName, PeerBook, make_hello
from node.transfer import PROTOCOL as BLOB_PROTOCOL
from node.transfer import serve_blobs
from node.transport import Channel, Transport
from node.wallet import Signer, recover
from scheduler.blob_ref import BlobRef
from scheduler.commands import DeclineReason, RefuseReason
from scheduler.terms import UnitRef

FAULTS_UNTIL_BAN = 5
ANSWER_S = 120.0


def frame(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + payload


def document(**fields: object) -> bytes:
    return frame(json.dumps(fields).encode())


def attacks(job_id: str) -> list[tuple[str, bytes]]:
    """What a malicious peer sends: the protocol, and the raw bytes on its stream."""
    unit = {"round": 0, "slot": 0, "attempt": 0}
    nothing = b""
    frames = [
        b"\xff" * 64,
        b"\0\0\0\0",
        (2**20 + 1).to_bytes(4, "big") + bytes(2**16),
        frame(secrets.token_bytes(5_000)),
        frame(b"[" * 200_000),
        document(type="unheard_of"),
        document(type="unit_declined", reason="you are the worker", retry_after_ms=0),
    ]
    wrong = [
        document(type="pull_unit", job_id=7, memory_bytes=1),
        document(type="pull_unit", job_id=job_id, memory_bytes=-1),
        document(type="pull_unit", job_id=job_id, memory_bytes=1, ready=[unit] * 65),
        document(type="pull_unit", job_id=job_id, memory_bytes=1, more=nothing.decode()),
        document(type="ask_round", job_id=job_id, round=2**32),
    ]
    sent = [(protocol, data) for protocol in (WORK_PROTOCOL, OFFER_PROTOCOL) for data in frames]
    sent += [(WORK_PROTOCOL, data) for data in wrong]
    sent += [(p, data) for p in (PEERS_PROTOCOL, BLOB_PROTOCOL) for data in frames[:4]]
    return [*sent, (JOB_PROTOCOL, frames[0]), (JOB_PROTOCOL, document(type="ask_job"))]


async def play_attacks(running: Any, target: Home, job_id: bytes, chance: Random) -> list[int]:
    """Send all of them, as one stranger after the other; the faults that each was allowed."""
    left = attacks(job_id.hex())
    chance.shuffle(left)
    allowed = []
    while left:
        async with Transport(secrets.token_bytes(32)) as stranger:
            allowed.append(0)
            while left:
                protocol, data = left[-1]
                try:
                    peer_id, addresses = whereabouts(running, target)
                    channel = await stranger.open(peer_id, protocol, addresses)
                except PeerUnreachable:
                    break
                await check_cut_off(channel, data)
                left.pop()
                allowed[-1] += 1
    return allowed


async def check_cut_off(channel: Channel, data: bytes) -> None:
    """The bytes get at most a refusal, and the stream ends."""
    async with channel:
        await channel._stream.write(data)
        with trio.fail_after(ANSWER_S):
            try:
                while True:
                    assert isinstance(messages.decode(await channel.receive()), Refused)
            except ChannelClosed:
                return


def whereabouts(running: Any, home: Home) -> tuple[str, list[str]]:
    status = running.status(home)
    return status.peer_id, list(status.addresses)


@asynccontextmanager
async def impostor(running: Any, home: Home, target: Home) -> AsyncIterator["Impostor"]:
    """A bonded node's keys in the hands of this test, introduced to the target."""
    seed, signer = load_seed(home.peer_key), running.signer(home)
    network = running.network
    name = NetworkName(network.chain_id, network.contracts.vault)
    peer_id, addresses = whereabouts(running, target)
    async with Transport(seed) as transport:
        hello = make_hello(
            name,
            seed,
            signer.sign_text,
            wallet=signer.address,
            addresses=transport.addresses,
            sequence=int(time.time() * 1000),
        )
        book = PeerBook(transport.peer_id, name, recover, time.time)
        discovery = Discovery(transport, book, lambda: hello, chance=Random(0))
        store = BlobStore(home.store)
        serve_blobs(transport, store, lambda _peer_id, _ref: True)
        await discovery.exchange(peer_id, addresses)
        domain = ClaimDomain(network.chain_id, network.contracts.ledger)
        yield Impostor(transport, signer, store, domain, peer_id, addresses)


class Impostor:
    """Asks for work like anybody, and answers as it likes."""

    def __init__(
        self,
        transport: Transport,
        signer: Signer,
        store: BlobStore,
        domain: ClaimDomain,
        peer_id: str,
        addresses: list[str],
    ) -> None:
        self._transport, self.signer, self.store = transport, signer, store
        self._domain, self._peer_id, self._addresses = domain, peer_id, addresses

    async def ask(self, message: Message) -> Message:
        channel = await self._transport.open(self._peer_id, WORK_PROTOCOL, self._addresses)
        async with channel:
            return await rpc.ask_any(channel, message, ANSWER_S)

    async def pull(self, job_id: bytes) -> UnitKey:
        answer = await self.ask(PullUnit(job_id=job_id.hex(), memory_bytes=2**40))
        assert isinstance(answer, UnitAssigned), answer
        return answer.unit

    async def commit(self, job_id: bytes, unit: UnitKey, blob: BlobRef, signer: Signer) -> Message:
        name = unit_id(JobId(job_id), unit.round, unit.slot, unit.attempt)
        root, commitment = secrets.token_bytes(32), secrets.token_bytes(32)
        statement = Statement(name, bytes(32), 1, root, commitment)
        message = CommitUnit(
            job_id=job_id.hex(),
            unit=unit,
            parent=bytes(32).hex(),
            lease_epoch=1,
            result_root=root.hex(),
            blob=blob,
            commitment=commitment.hex(),
            signature=self._domain.sign(signer, statement).hex(),
            holding=signer.sign_text(holding_text(job_id, unit_ref(unit), root, blob)).hex(),
        )
        return await self.ask(message)


def unit_ref(unit: UnitKey) -> UnitRef:
    return UnitRef(unit.round, unit.slot, unit.attempt)


async def play_impostors(
    running: Any, homes: list[Home], target: Home, job_id: bytes, results: list[bytes]
) -> None:
    """Each is assigned a unit and commits to what it does not deliver, until that is noticed."""
    for home, data in zip(homes, results, strict=True):
        async with impostor(running, home, target) as peer:
            unit = await peer.pull(job_id)
            blob = peer.store.put(data)
            forged = await peer.commit(job_id, unit, blob, Signer.random())
            assert isinstance(forged, Refused)
            assert "is not signed by" in forged.reason
            short = peer.store.put(b"short")
            refused = await peer.commit(job_id, unit, short, peer.signer)
            assert isinstance(refused, Refused)
            assert "a result of 5 bytes" in refused.reason
            other = unit.model_copy(update={"slot": unit.slot + 1})
            stolen = await peer.commit(job_id, other, blob, peer.signer)
            assert stolen == Refused(reason=str(RefuseReason.NOT_ASSIGNED))
            before = running.document(target, job_id)["refused_results"]
            assert isinstance(await peer.commit(job_id, unit, blob, peer.signer), Receipt)
            with trio.fail_after(ANSWER_S):
                # Another process has no event for us.
                while running.document(target, job_id)["refused_results"] == before:  # noqa: ASYNC110
                    await trio.sleep(0.1)
            answer = await peer.ask(PullUnit(job_id=job_id.hex(), memory_bytes=2**40))
            assert isinstance(answer, UnitDeclined)
            assert answer.reason == DeclineReason.QUARANTINED


def test_hostile_peers_are_cut_off_and_the_job_completes(
    network: Callable[[int], Any], small_job: Any
) -> None:
    """Garbage, wrong types, forged claims, results that are none or not the claimed ones."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    running = network(0)
    target, honest, *impostors = running.add(4)
    # It coordinates and audits, so that all units are there for the impostors to ask for.
    running.ainur(target, "config", "set", "roles", "coordinate,audit")
    running.start(target)
    pid = running.status(target).pid
    job_id = running.submit(small_job.file)
    running.wait("the job is coordinated", lambda: running.document(target, job_id))
    allowed = trio.run(play_attacks, running, target, job_id, Random(seed))
    running.say(f"strangers were banned after {allowed} faults")
    assert set(allowed[:-1]) == {FAULTS_UNTIL_BAN}
    job = assemble(small_job.file).job
    output = run_unit(build(open_backend(), job), job.state, 0, 0)
    well_formed = tensors.encode(output.result)
    garbage = Random(seed).randbytes(len(well_formed))
    trio.run(play_impostors, running, impostors, target, job_id, [garbage, well_formed])
    for home in impostors:
        running.retire(home)
    running.start(honest)
    ended = running.wait_for_end(job_id)
    assert ended.state is JobState.COMPLETED
    assert ended.finalized[ended.rounds - 1].checkpoint == small_job.digest
    running.check_payment(ended)
    # However long it waited for an honest worker, it kept the lease.
    assert sum(isinstance(event, on_chain.LeaseTaken) for event in ended.log) == 1
    assert running.ledger().tally(running.address(honest)).units == ended.rounds * ended.slots
    assert running.status(target).pid == pid
    assert "Traceback" not in (target.logs / "node.log").read_text()
