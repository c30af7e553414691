"""What this node as a worker tells newcomers: the openings of its own units that the draw spared.

Nothing else makes them public, and they must not be public while somebody may have to find the
unit's root blindly. So nothing is told before the unit's round is final, by this node's own view of
the chain, and then only what the contract says may be opened (`FirstBonds.isOpenable`): somebody
has committed to it, nobody may any more, and this very attempt counts for ever.

A question costs at most one look at the chain, and looks are rationed: one peer has one in
PEER_EVERY_S, all peers together one in LOOK_EVERY_S. What was openable stays so, and is told again
without a look.
"""

from typing import TypeVar

import trio

from node import rpc
from node.chain import AsyncChain
from node.chain_watch import ChainWatch
from node.commitments import Commitments
from node.errors import NodeError, PeerFault, PeerUnreachable
from node.identity import peer_id_text
from node.ids import JobId, unit_id
from node.ledger import Ledger
from node.messages import (
    OPENING_PROTOCOL,
    AskOpening,
    Message,
    Refused,
    UnitKey,
    UnitOpening,
)
from node.peers import PeerBook
from node.transport import Transport

K = TypeVar("K")
V = TypeVar("V")

PEER_EVERY_S, LOOK_EVERY_S = 1.0, 0.2
REMEMBERED_MAX = 1024
"""Peers whose last look, and units whose openness, are remembered; the latest ones."""

PEERS_MAX = 3
"""Peers of a worker that are asked for an opening, one after the other."""
ANSWER_S = 10.0

NOT_OURS = "this node has no such unit"
NOT_FINAL = "the unit's round is not final"
NOT_OPENABLE = "nobody committed to the unit, somebody still may, or it does not count"
TOO_OFTEN = "too many questions about openings; ask again in a moment"


class Openings:
    """The answers of one node."""

    def __init__(self, watch: ChainWatch, chain: AsyncChain, commitments: Commitments) -> None:
        self._watch, self._chain, self._commitments = watch, chain, commitments
        self._openable: dict[bytes, None] = {}
        self._looked: dict[str, float] = {}
        self._next_look = 0.0

    async def answer(self, peer_id: str, message: Message) -> Message:
        """Serve the opening protocol."""
        if not isinstance(message, AskOpening):
            raise PeerFault(f"ask_opening was due, {type(message).__name__} came")
        job_id, key = JobId(bytes.fromhex(message.job_id)), message.unit
        unit = unit_id(job_id, key.round, key.slot, key.attempt)
        roots = self._commitments.roots("worker", unit)
        if roots is None:
            return Refused(reason=NOT_OURS)
        job = self._watch.ledger.jobs.get(job_id)
        if job is None or key.round >= job.open_round:
            return Refused(reason=NOT_FINAL)
        if unit not in self._openable:
            refusal = await self._look(peer_id, job_id, key)
            if refusal:
                return Refused(reason=refusal)
            _remember(self._openable, unit, None)
        salt = self._commitments.salt("worker", unit)
        return UnitOpening(trace_root=roots.trace_root.hex(), salt=salt.hex())

    async def _look(self, peer_id: str, job_id: JobId, key: UnitKey) -> str:
        """Why the unit is not to be opened; empty if it is."""
        now = trio.current_time()
        if now < self._next_look or now < self._looked.get(peer_id, -PEER_EVERY_S) + PEER_EVERY_S:
            return TOO_OFTEN
        self._next_look = now + LOOK_EVERY_S
        _remember(self._looked, peer_id, now)
        asked = (job_id, key.round, key.slot, key.attempt)
        is_openable = await self._chain.read(self._chain.sync.first_bonds.is_openable, *asked)
        return "" if is_openable else NOT_OPENABLE


async def ask_worker(
    transport: Transport, book: PeerBook, ledger: Ledger, worker: str, question: AskOpening
) -> UnitOpening:
    """The answer of a worker's node; PeerUnreachable or PeerFault where no peer of it gives one.

    The peer that the worker registered is asked first, then those that speak for its wallet.
    """
    tally = ledger.accounts.get(worker)
    registered = [peer_id_text(tally.peer_id)] if tally is not None and tally.peer_id else []
    known = [peer.hello.peer_id for peer in book.by_wallet(worker)]
    failure: NodeError = PeerUnreachable(f"no peer of worker {worker} is known")
    for peer_id in list(dict.fromkeys(registered + known))[:PEERS_MAX]:
        if peer_id == transport.peer_id:
            continue
        try:
            addresses = book.addresses_of(peer_id)
            async with await transport.open(peer_id, OPENING_PROTOCOL, addresses) as channel:
                return await rpc.ask(channel, question, UnitOpening, ANSWER_S)
        except NodeError as error:
            failure = error
    raise failure


def _remember(memory: dict[K, V], key: K, value: V) -> None:
    memory.pop(key, None)
    memory[key] = value
    while len(memory) > REMEMBERED_MAX:
        del memory[next(iter(memory))]
