"""Custody: what this node signed that it holds, and who else signed for the same result.

A **holding** is a wallet's EIP-191 signature of the text below: it says that the wallet holds the
blob of a unit's result. A worker signs when it commits, a coordinator when it has fetched and
checked the blob, an auditor or juror when it has computed the claimed result too, any other peer
when the coordinator of a job asks it to (`HoldResult`) and it has fetched the blob. It vouches for
the bytes, not for what they should have been. What was signed is in the journal first; its blob
stays in the store until node/cleaning.py makes room.

What an auditor or juror signs says what it found, so it is a **finding**: nobody is told of it
before the unit is settled, or a juror that computes nothing could vote as the others will.

Nobody can fill this node by asking: only the holder of a job's lease may, for the open round of a
job that is held here, one blob of a result's exact size at a time for each of `ASKS_AT_ONCE`, and
`HELD_PER_SLOT` for each slot of a round. A blob that does not come whole and in time is removed
(node/trials.py), so what fills the store has been sent in full.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping

import trio

from node import messages
from node.chain_watch import ChainWatch
from node.errors import NodeError, PeerFault
from node.jobs import Fetch
from node.journal import Journal
from node.ledger import UNSETTLED, JobView
from node.messages import (
    HELD_MAX,
    AskCustody,
    HeldResult,
    HoldResult,
    Message,
    Refused,
    ResultSigned,
    RoundCustody,
    SignedHolding,
    UnitKey,
)
from node.round_memory import RoundMemory
from node.trials import Trials
from node.wallet import Signer, recover
from scheduler.blob_ref import BlobRef
from scheduler.manifest import Manifest
from scheduler.state import UNAVAILABLE_MAX
from scheduler.terms import (
    ASKS_AT_ONCE,
    HOLDERS_MAX,
    ROUNDS_AHEAD_MAX,
    TRANSFER_BYTES_PER_S,
    UnitRef,
)

FETCH_S = 25.0
"""How long a result that this node is asked to hold may take to arrive, beyond the time that it
travels from a slow peer."""
CATCH_UP_S = 5.0
HELD_PER_SLOT = 4
"""Results of one slot that are held for a coordinator: other attempts and replaced claims."""

_HOLDING, _FINDING = "holding", "finding"


def holding_text(job_id: bytes, unit: UnitRef, result_root: bytes, blob: BlobRef) -> str:
    """The text of a holding (docs/spec/protocol.md, section 5)."""
    return (
        f"ainur holding v0 {job_id.hex()} {unit.round} {unit.slot} {unit.attempt} "
        f"{result_root.hex()} {blob.root} {blob.size}"
    )


class Custody:
    """The holdings of one node. `held`: the jobs that it holds, by id."""

    def __init__(
        self,
        signer: Signer,
        watch: ChainWatch,
        held: Mapping[bytes, Manifest],
        journal: Journal,
        fetch: Fetch,
        wallet_of: Callable[[str], str | None],
        trials: Trials,
    ) -> None:
        self.trials = trials
        self._signer, self._watch, self._held = signer, watch, held
        self._journal, self._fetch, self._wallet_of = journal, fetch, wallet_of
        self._asks = 0

    @property
    def wallet(self) -> str:
        """Who signs."""
        return self._signer.address

    def sign(self, job_id: bytes, unit: UnitRef, result_root: bytes, blob: BlobRef) -> bytes:
        """This node's word that it holds a result, durable before it is given: the blob stays."""
        signature = self._sign(_HOLDING, job_id, unit, result_root, blob)
        self._journal.delete(_key(_FINDING, job_id, unit, result_root))
        return signature

    def found(self, job_id: bytes, unit: UnitRef, result_root: bytes, blob: BlobRef) -> None:
        """The same of a result that an audit or a jury's recomputation gave: told later."""
        if self._journal.get(_key(_HOLDING, job_id, unit, result_root)) is None:
            self._sign(_FINDING, job_id, unit, result_root, blob)

    def _sign(
        self, kind: str, job_id: bytes, unit: UnitRef, result_root: bytes, blob: BlobRef
    ) -> bytes:
        signature = self._signer.sign_text(holding_text(job_id, unit, result_root, blob))
        result = HeldResult(
            unit=_unit_key(unit),
            result_root=result_root.hex(),
            blob=blob,
            holdings=(SignedHolding(wallet=self.wallet, signature=signature.hex()),),
        )
        self._forget(job_id, unit.round)
        # One day it is in the way: node/cleaning.py.
        RoundMemory(self._journal).note(job_id, unit.round, blob)
        self.trials.keep(blob)
        self._journal.set(_key(kind, job_id, unit, result_root), messages.encode(result))
        return signature

    def held(self, job_id: bytes, unit: UnitRef, result_root: bytes) -> BlobRef | None:
        """The blob of a result that this node signed to hold, if it has it."""
        keys = (_key(kind, job_id, unit, result_root) for kind in (_HOLDING, _FINDING))
        blobs = (result.blob for result in self._results(keys))
        return next((blob for blob in blobs if self.trials.has(blob)), None)

    def keep(self, job_id: bytes, round: RoundCustody) -> None:
        """Keep who holds what of a round that this node coordinated, for whoever asks."""
        self._journal.set(_round_key(job_id, round.round), messages.encode(round))

    def of_round(self, job_id: bytes, round: int) -> RoundCustody:
        """Who holds the results of a round, as far as this node knows and may tell."""
        data = self._journal.get(_round_key(job_id, round))
        if data is not None:
            known = messages.decode(data)
            assert isinstance(known, RoundCustody)
            return known
        held = self._results(self._journal.keys(_prefix(_HOLDING, job_id, round)))
        found = self._results(self._journal.keys(_prefix(_FINDING, job_id, round)))
        told = (each for each in found if not self._is_secret(job_id, _unit(each.unit)))
        results = tuple(itertools.islice(itertools.chain(held, told), HELD_MAX))
        return RoundCustody(round=round, results=results)

    def _results(self, keys: Iterable[str]) -> Iterator[HeldResult]:
        for key in keys:
            data = self._journal.get(key)
            if data is not None:
                yield HeldResult.model_validate_json(data)

    def _is_secret(self, job_id: bytes, unit: UnitRef) -> bool:
        """Whether somebody may still have to say what the unit's result is."""
        job = self._watch.ledger.jobs.get(job_id)
        view = job.units.get(unit) if job is not None else None
        return view is not None and view.state in UNSETTLED

    async def answer(self, peer_id: str, message: Message) -> Message:
        """Serve the custody protocol."""
        match message:
            case AskCustody():
                return self.of_round(bytes.fromhex(message.job_id), message.round)
            case HoldResult():
                return await self._hold(peer_id, message)
            case _:
                raise PeerFault(f"{type(message).__name__} is no question of custody")

    async def _hold(self, peer_id: str, message: HoldResult) -> Message:
        """Fetch a result for a coordinator and sign that it is here."""
        job_id, unit = bytes.fromhex(message.job_id), _unit(message.unit)
        job = self._watch.ledger.jobs.get(job_id)
        if job is None or job_id not in self._held:
            return Refused(reason="this node does not hold the job")
        with trio.move_on_after(CATCH_UP_S):
            while job.head_round < unit.round:
                await self._watch.changed(CATCH_UP_S)
        reason = self._why_not(job, peer_id, unit, message)
        if reason:
            return Refused(reason=reason)
        root = bytes.fromhex(message.result_root)
        limit_s = FETCH_S + message.blob.size / TRANSFER_BYTES_PER_S
        self._asks += 1
        try:
            with self.trials.of(job_id, unit.round, message.blob):
                with trio.fail_after(limit_s):
                    await self._fetch(message.blob, [peer_id])
                return ResultSigned(signature=self.sign(job_id, unit, root, message.blob).hex())
        except trio.TooSlowError:
            return Refused(reason=f"the result did not arrive within {limit_s:.0f} s")
        except NodeError as error:
            return Refused(reason=str(error)[:400])
        finally:
            self._asks -= 1

    def _why_not(self, job: JobView, peer_id: str, unit: UnitRef, message: HoldResult) -> str:
        """Why this node does not hold what it is asked to; empty if it does."""
        wallet, due = self._wallet_of(peer_id), self._held[job.job_id].result_bytes
        if not job.holder or wallet != job.holder:
            return f"only the holder of the job's lease asks for that: {job.holder}"
        if unit.round != job.head_round or unit.slot >= job.slots:
            return f"unit {unit} is not of the open round {job.head_round} of {job.slots} slots"
        if message.blob.size != due:
            return f"a result has {due} bytes, not {message.blob.size}"
        held = self._journal.keys(_prefix(_HOLDING, job.job_id, unit.round))
        if len(held) >= HELD_PER_SLOT * job.slots:
            return f"this node holds {HELD_PER_SLOT} results for each slot of the round already"
        if self._asks >= ASKS_AT_ONCE:
            return f"this node fetches {self._asks} results for others already"
        return ""

    def forget_round(self, job_id: bytes, round: int) -> None:
        """Forget who holds what of a round whose results were removed."""
        self._journal.delete(_round_key(job_id, round))
        for kind in (_HOLDING, _FINDING):
            for key in self._journal.keys(_prefix(kind, job_id, round)):
                self._journal.delete(key)

    def _forget(self, job_id: bytes, round: int) -> None:
        """Older rounds are final: nobody asks this node for more than the last one of them."""
        for kind in (_HOLDING, _FINDING):
            for key in self._journal.keys(f"{kind}/{job_id.hex()}/"):
                if int(key.split("/")[2]) < round - ROUNDS_AHEAD_MAX - 1:
                    self._journal.delete(key)


def merged(job_id: bytes, known: RoundCustody | None, told: RoundCustody) -> RoundCustody:
    """What two peers tell of a round, put together; of holdings those that are truly signed."""
    if known is None:
        known = RoundCustody(round=told.round, results=())
    results = {_name(result): result for result in known.results}
    for result in told.results[:HELD_MAX]:
        signed = _signed(job_id, result)
        before = results.get(_name(result))
        both = {h.wallet: h for h in (*(before.holdings if before else ()), *signed)}
        holdings = tuple(both.values())[:HOLDERS_MAX]
        if holdings and (before or len(results) < HELD_MAX):
            results[_name(result)] = result.model_copy(update={"holdings": holdings})
    missing = tuple(dict.fromkeys((*known.unavailable, *told.unavailable)))
    return RoundCustody(
        round=known.round, results=tuple(results.values()), unavailable=missing[:UNAVAILABLE_MAX]
    )


def _name(result: HeldResult) -> tuple[UnitKey, str, BlobRef]:
    return result.unit, result.result_root, result.blob


def _signed(job_id: bytes, result: HeldResult) -> list[SignedHolding]:
    text = holding_text(job_id, _unit(result.unit), bytes.fromhex(result.result_root), result.blob)
    return [h for h in result.holdings if recover(text, bytes.fromhex(h.signature)) == h.wallet]


def _prefix(kind: str, job_id: bytes, round: int) -> str:
    return f"{kind}/{job_id.hex()}/{round}/"


def _key(kind: str, job_id: bytes, unit: UnitRef, result_root: bytes) -> str:
    return f"{_prefix(kind, job_id, unit.round)}{unit.slot}/{unit.attempt}/{result_root.hex()}"


def _round_key(job_id: bytes, round: int) -> str:
    return f"custody/{job_id.hex()}/{round}"


def _unit(key: UnitKey) -> UnitRef:
    return UnitRef(key.round, key.slot, key.attempt)


def _unit_key(unit: UnitRef) -> UnitKey:
    return UnitKey(round=unit.round, slot=unit.slot, attempt=unit.attempt)
