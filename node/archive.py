"""What peers keep of a job, as a command gets it: its blobs, and what made each finished round.

Everything is asked of whoever is connected and believed only as far as the chain proves it: blobs
by their roots, results by the claims of their round, checkpoints by what is anchored. Sizes are
checked before anything is fetched. A round's evaluation is the one thing that no hash proves:
whoever wants to be sure evaluates the checkpoint (node/execution.py).
"""

import contextlib
from collections.abc import Iterable, Mapping

import trio

from engine import state as tensors
from engine.commitment import state_root
from engine.errors import EngineError
from node import rpc
from node.bundle import Job, State, decode_state, load_job
from node.client import Client
from node.custody import merged
from node.errors import PeerFault, PeerUnreachable
from node.ledger import JobView
from node.messages import (
    CUSTODY_PROTOCOL,
    JOB_PROTOCOL,
    AskCustody,
    AskRound,
    RoundCustody,
    RoundResults,
)
from node.unit_history import UnitHistory, history_of
from scheduler.blob_ref import BlobRef
from scheduler.errors import ManifestError
from scheduler.manifest import Manifest

ANSWER_S = 10.0
PEERS_ASKED = 64
LOOK_S = 8.0
FETCHES_AT_ONCE = 8

Claims = Mapping[tuple[int, int], UnitHistory]
"""The unit that counts for each (round, slot), both counted from 0."""


def claims_of(job: JobView) -> Claims:
    """The accepted unit of every slot."""
    return {(u.round, u.slot): u for u in history_of(job).units if u.accepted}


async def fetch_manifest(client: Client, job: JobView) -> Manifest:
    """The manifest that was funded; PeerUnreachable where nobody has it."""
    data = await client.fetch(job.manifest, client.transport.connected())
    try:
        manifest = Manifest.parse(data)
    except ManifestError as error:
        raise PeerFault(f"The job's manifest is malformed: {error}.") from None
    if (manifest.digest(), manifest.rounds, manifest.slots) != (
        job.manifest_digest,
        job.rounds,
        job.slots,
    ):
        raise PeerFault("The job's manifest is not the one that was funded.")
    return manifest


async def fetch_job(client: Client, job: JobView) -> Job:
    """Programs and data, decoded and checked as a peer checks them; their blobs stay in the store.

    PeerUnreachable where nobody has a blob, PeerFault where the job is malformed.
    """
    manifest = await fetch_manifest(client, job)
    await _fetch_all(client, manifest.blobs())
    return await trio.to_thread.run_sync(load_job, client.store, job.manifest)


async def fetch_checkpoint(client: Client, job: JobView, round: int) -> bytes:
    """The file of the checkpoint after `round`, whose root is the anchored one.

    PeerUnreachable where nobody has it; PeerFault where the anchored blob is not the checkpoint.
    """
    anchored = job.finalized[round]
    data = await client.fetch(anchored.blob, client.transport.connected())
    try:
        root = await trio.to_thread.run_sync(lambda: state_root(tensors.decode(data)))
    except EngineError as error:
        raise PeerFault(f"The blob of the checkpoint after round {round + 1}: {error}.") from None
    if root != anchored.checkpoint:
        raise PeerFault(
            f"The blob of the checkpoint after round {round + 1} has digest {root.hex()}, the "
            f"chain says {anchored.checkpoint.hex()}: its coordinator anchored a wrong blob."
        )
    return data


async def fetch_results(client: Client, job: Job, made_by: RoundResults) -> list[State]:
    """A round's results in slot order, each with the root that `ask_rounds` held to its claim."""
    for result in made_by.results:
        if result.blob.size != job.manifest.result_bytes:
            raise PeerFault(f"A result of round {made_by.round + 1} has {result.blob.size} bytes.")
    await _fetch_all(client, [result.blob for result in made_by.results])
    states = []
    for result in made_by.results:
        what = f"result of slot {result.slot} in round {made_by.round + 1}"
        state = decode_state(what, client.store.read(result.blob), job.contract.result)
        if state_root(state) != bytes.fromhex(result.result_root):
            raise PeerFault(f"The {what} is not the claimed one.")
        states.append(state)
    return states


async def _fetch_all(client: Client, refs: Iterable[BlobRef]) -> None:
    """Fetch blobs a few at a time, since most of the time is waiting."""
    problems: list[PeerUnreachable] = []
    limit = trio.CapacityLimiter(FETCHES_AT_ONCE)

    async def fetch_one(ref: BlobRef) -> None:
        async with limit:
            try:
                await client.fetch(ref, client.transport.connected())
            except PeerUnreachable as error:
                problems.append(error)

    async with trio.open_nursery() as nursery:
        for ref in dict.fromkeys(refs):
            nursery.start_soon(fetch_one, ref)
    if problems:
        raise problems[0]


async def ask_rounds(
    client: Client, job: JobView, claims: Claims, rounds: Iterable[int]
) -> dict[int, RoundResults]:
    """What made the checkpoints after these rounds, as far as any connected peer knows."""
    wanted, found = list(rounds), dict[int, RoundResults]()
    for peer_id in client.transport.connected():
        missing = [round for round in wanted if round not in found]
        if not missing:
            break
        with contextlib.suppress(PeerUnreachable, PeerFault):
            addresses = client.book.addresses_of(peer_id)
            async with await client.transport.open(peer_id, JOB_PROTOCOL, addresses) as channel:
                for round in missing:
                    question = AskRound(job_id=job.job_id.hex(), round=round)
                    answer = await rpc.ask_any(channel, question, ANSWER_S)
                    if isinstance(answer, RoundResults) and _fits(answer, round, job.slots, claims):
                        found[round] = answer
    return found


def _fits(answer: RoundResults, round: int, slots: int, claims: Claims) -> bool:
    """Whether an answer is about the round asked for and names the results that were claimed."""
    if answer.round != round or [r.slot for r in answer.results] != list(range(slots)):
        return False
    units = (claims.get((round, result.slot)) for result in answer.results)
    return all(
        unit is not None and unit.result_root.hex() == result.result_root
        for unit, result in zip(units, answer.results, strict=True)
    )


async def ask_custody(
    client: Client, job: JobView, rounds: Iterable[int]
) -> dict[int, RoundCustody]:
    """Who signed that it holds the results of these rounds, as far as connected peers know.

    What several tell is put together; only signatures that are right are.
    """
    told: dict[int, RoundCustody] = {}
    for peer_id in client.transport.connected():
        with contextlib.suppress(PeerUnreachable, PeerFault):
            addresses = client.book.addresses_of(peer_id)
            async with await client.transport.open(peer_id, CUSTODY_PROTOCOL, addresses) as channel:
                for round in rounds:
                    question = AskCustody(job_id=job.job_id.hex(), round=round)
                    answer = await rpc.ask(channel, question, RoundCustody, ANSWER_S)
                    told[round] = merged(job.job_id, told.get(round), answer)
    return told


async def look_for_peers(client: Client) -> None:
    """Connect to whoever can be found; PeerUnreachable where nobody answers."""
    await client.find_peers(PEERS_ASKED, LOOK_S)
