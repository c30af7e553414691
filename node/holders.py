"""Asking others: to hold a result, and who holds one.

A coordinator asks peers of a wallet to hold what it has. Whoever needs a result that its own
sources have not got asks peers who holds it, believes signatures of bonded wallets alone, and tries
all who signed. A wallet none of whose peers has got what it signed is counted against, once for
each result; not while a search waits for holders to come back, for a wallet may have other machines
that are being started. Nobody who tells steers a search: tellers are drawn by lot, what they name
has a result's size, the whole has a time limit, and what turns out to be something else is removed
(node/trials.py).
"""

import logging
import math
import random
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import trio

from node import rpc
from node.custody import holding_text
from node.errors import NodeError, PeerFault, PeerUnreachable
from node.jobs import Fetch
from node.messages import (
    CUSTODY_PROTOCOL,
    AskCustody,
    HeldResult,
    HoldResult,
    Message,
    ResultSigned,
    RoundCustody,
    UnitKey,
)
from node.peers import PeerBook
from node.transfer import NotServed
from node.transport import Transport
from node.trials import Trials
from node.wallet import recover
from scheduler.blob_ref import BlobRef
from scheduler.commands import AskHolder
from scheduler.events import HoldingRefused, ResultHeld
from scheduler.terms import TRANSFER_BYTES_PER_S, Holding, UnitRef, Wallet

log = logging.getLogger(__name__)

M = TypeVar("M", bound=Message)

TELLERS_MAX = 8
"""Peers that are asked who holds a result, one after the other."""
ANSWER_S = 5.0
HOLD_S = 35.0
"""Somewhat longer than a peer takes to catch up and fetch at most, beyond the blob's travel."""
FIND_S = 60.0
"""How long a result is searched for, beyond the time that it travels; then it is computed anew."""
BROKEN_WORD_POINTS = 10
"""For a holder that does not serve what it signed: its disk may be to blame, so no lie's 50."""
SHARED_S, SHARED_MAX = 5.0, 32
"""How long one answer about a round serves all searches, and how many answers are kept."""
ASKED_AT_ONCE, FETCHED_AT_ONCE = 8, 16
"""Questions and transfers under way: a peer takes 48 streams, and others need some of them."""
BLAMED_MAX = 4096
"""How many broken words are remembered, the latest, so that none counts twice."""


@dataclass(slots=True)
class _Shared:
    """What a teller says of a round; None before it came, and where whoever asked gave up."""

    came: trio.Event = field(default_factory=trio.Event)
    results: tuple[HeldResult, ...] | None = None
    until: float = math.inf


class Holders:
    """Questions of custody that this node asks."""

    def __init__(
        self,
        transport: Transport,
        book: PeerBook,
        fetch: Fetch,
        punish: Callable[[str, float, str], None],
        trials: Trials,
        is_bonded: Callable[[str], bool],
        chance: random.Random,
        own: Callable[[bytes, UnitRef, bytes], BlobRef | None],
    ) -> None:
        self._transport, self._book = transport, book
        self._fetch, self._punish = fetch, punish
        self._trials, self._is_bonded, self._chance = trials, is_bonded, chance
        self._own = own
        self._shared: dict[tuple[bytes, int, str], _Shared] = {}
        self._asking = trio.Semaphore(ASKED_AT_ONCE)
        self._fetching = trio.Semaphore(FETCHED_AT_ONCE)
        self._blamed: dict[tuple[bytes, UnitRef, str], None] = {}

    async def ask_to_hold(self, job_id: bytes, command: AskHolder) -> ResultHeld | HoldingRefused:
        """Have a wallet hold a result that is here; what came of it, for the coordinator."""
        unit, blob = command.unit, command.blob
        request = HoldResult(
            job_id=job_id.hex(),
            unit=UnitKey(round=unit.round, slot=unit.slot, attempt=unit.attempt),
            result_root=command.result_root.hex(),
            blob=blob,
        )
        text = holding_text(job_id, unit, command.result_root, blob)
        try:
            signature = await self._signature(command.wallet, request)
        except (PeerUnreachable, PeerFault) as error:
            log.info("wallet %s does not hold unit %s: %s", command.wallet, unit, error)
            return HoldingRefused(unit, blob, command.wallet)
        if recover(text, signature) != command.wallet:
            log.warning("the holding of unit %s is not signed by %s", unit, command.wallet)
            return HoldingRefused(unit, blob, command.wallet, lied=True)
        return ResultHeld(unit, blob, Holding(command.wallet, signature))

    async def _signature(self, wallet: Wallet, request: HoldResult) -> bytes:
        connected = set(self._transport.connected())
        for peer in self._book.by_wallet(wallet):
            if peer.hello.peer_id in connected:
                limit_s = HOLD_S + request.blob.size / TRANSFER_BYTES_PER_S
                answer = await self._ask(peer.hello.peer_id, request, ResultSigned, limit_s)
                return bytes.fromhex(answer.signature)
        raise PeerUnreachable("no peer of it is connected")

    async def find(
        self,
        job_id: bytes,
        unit: UnitRef,
        result_root: bytes,
        result_bytes: int,
        check: Callable[[BlobRef], Awaitable[bool]],
        tellers: Sequence[str] | None = None,
        *,
        blame: bool = False,
    ) -> BlobRef:
        """Bring a unit's result into the store from whoever signed that it holds it; which blob.

        This node may have signed itself. `check`: whether a blob is that result. `tellers`: by
        default all that are connected. `blame`: whether who breaks its word answers for it.
        PeerUnreachable if nobody who is told of has it.
        """
        own = self._own(job_id, unit, result_root)
        if own is not None and await check(own):
            return own
        tellers = self._transport.connected() if tellers is None else tellers
        wrong: set[BlobRef] = set()
        until = trio.current_time() + FIND_S + result_bytes / TRANSFER_BYTES_PER_S
        for teller in self._chance.sample(tellers, min(TELLERS_MAX, len(tellers))):
            for result in await self._told(job_id, unit, result_root, teller):
                blob = result.blob
                if blob in wrong or blob.size != result_bytes or trio.current_time() >= until:
                    continue
                with self._trials.of(job_id, unit.round, blob):
                    found = await self._fetch_from(job_id, unit, result, teller, until, blame=blame)
                    if found and await check(blob):
                        self._trials.keep(blob)
                        return blob
                if found:
                    wrong.add(blob)
        raise PeerUnreachable(f"nobody who answers holds the result of unit {unit}")

    async def fetch_held(
        self, job_id: bytes, unit: UnitRef, result_root: bytes, blob: BlobRef, teller: str
    ) -> None:
        """Bring this very blob here from its holders, as this peer tells them."""
        for result in await self._told(job_id, unit, result_root, teller):
            if result.blob != blob:
                continue
            if await self._fetch_from(job_id, unit, result, teller, blame=True):
                return
        raise PeerUnreachable(f"nobody who answers holds blob {blob.root}")

    async def _told(
        self, job_id: bytes, unit: UnitRef, result_root: bytes, teller: str
    ) -> list[HeldResult]:
        told = await self._told_of_round(job_id, unit.round, teller)
        key = (unit.slot, unit.attempt, result_root.hex())
        return [r for r in told if (r.unit.slot, r.unit.attempt, r.result_root) == key]

    async def _told_of_round(
        self, job_id: bytes, round: int, teller: str
    ) -> tuple[HeldResult, ...]:
        """One answer for all searches of the next SHARED_S, also where there is none."""
        key = job_id, round, teller
        while (shared := self._shared.get(key)) and trio.current_time() < shared.until:
            await shared.came.wait()
            if shared.results is not None:
                return shared.results
        shared = self._shared[key] = _Shared()
        try:
            shared.results = await self._ask_of_round(job_id, round, teller)
            return shared.results
        finally:
            # Who was cancelled leaves no answer: the next one asks again.
            shared.until = trio.current_time() + (SHARED_S if shared.results is not None else 0)
            shared.came.set()
            for old in [k for k, one in self._shared.items() if one.came.is_set()][:-SHARED_MAX]:
                del self._shared[old]

    async def _ask_of_round(self, job_id: bytes, round: int, teller: str) -> tuple[HeldResult, ...]:
        question = AskCustody(job_id=job_id.hex(), round=round)
        try:
            async with self._asking:
                return (await self._ask(teller, question, RoundCustody, ANSWER_S)).results
        except (PeerUnreachable, PeerFault) as error:
            log.info("peer %s does not tell who holds round %d: %s", teller, round, error)
            return ()

    async def _fetch_from(
        self,
        job_id: bytes,
        unit: UnitRef,
        result: HeldResult,
        teller: str,
        until: float = math.inf,
        *,
        blame: bool,
    ) -> bool:
        """Whether the holders, each of whom proves that it signed, served the blob."""
        text = holding_text(job_id, unit, bytes.fromhex(result.result_root), result.blob)
        signed = [
            h.wallet
            for h in result.holdings
            if self._is_bonded(h.wallet) and recover(text, bytes.fromhex(h.signature)) == h.wallet
        ]
        if not signed:
            return False
        peers = {w: [p.hello.peer_id for p in self._book.by_wallet(w)] for w in signed}
        holders = list(dict.fromkeys(peer for known in peers.values() for peer in known))
        try:
            with trio.move_on_at(until) as patience:
                async with self._fetching:
                    await self._fetch(result.blob, list(dict.fromkeys([*holders, teller])))
        except NodeError as error:
            log.info("no holder serves the result of unit %s: %s", unit, error)
            if blame and isinstance(error, NotServed):
                self._blame(job_id, unit, result.blob, peers.values(), error.absent)
            return False
        return not patience.cancelled_caught

    def _blame(
        self,
        job_id: bytes,
        unit: UnitRef,
        blob: BlobRef,
        wallets: Iterable[Sequence[str]],
        absent: Collection[str],
    ) -> None:
        """Count against those all of whose wallet's peers answered that they have not got it."""
        guilty = (peer for peers in wallets if set(peers) <= set(absent) for peer in peers)
        for peer_id in guilty:
            if (job_id, unit, peer_id) not in self._blamed:
                self._blamed[job_id, unit, peer_id] = None
                reason = f"signed that it holds blob {blob.root} and does not have it"
                self._punish(peer_id, BROKEN_WORD_POINTS, reason)
        while len(self._blamed) > BLAMED_MAX:
            del self._blamed[next(iter(self._blamed))]

    async def _ask(self, peer_id: str, request: Message, kind: type[M], timeout_s: float) -> M:
        addresses = self._book.addresses_of(peer_id)
        async with await self._transport.open(peer_id, CUSTODY_PROTOCOL, addresses) as channel:
            return await rpc.ask(channel, request, kind, timeout_s)
