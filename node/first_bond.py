"""Earning a first bond: what a node without one does, once its account is registered.

`ainur stake earn` registers; from then on the chain says what is to be done. Of every batch whose
draw is captured the contract is asked whether this account has a place (docs/spec/contracts.md,
"First bonds"). Where it has, the unit is computed blind, committed to, and revealed once the round
is final and the worker has told its opening. What was begun is in the journal
(node/newcomer_audits.py). When what was earned is a bond it is paid out; bonding it is its owner's
to do.

Before a unit is computed its commitment is tried: what would be refused costs no computing. A node
with a bond asks nothing and only finishes what it began.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from engine.commitment import unit_root
from node.chain import AsyncChain, Reverted
from node.chain.describe import decimal
from node.chain.handle import Transaction
from node.chain.types import ZERO_ADDRESS, ClaimedUnit, Newcomer, Opening, Parameter
from node.chain_watch import ChainWatch
from node.commitments import Commitments, Roots
from node.errors import NodeError, PeerFault
from node.ids import JobId, UnitId, commitment, unit_id
from node.jobs import JobKeeper
from node.ledger import BatchView, JobView
from node.merkle import claim_leaf, merkle_proof
from node.messages import AskOpening, UnitKey, UnitOpening
from node.newcomer_audits import NewcomerAudit, NewcomerAudits
from node.recompute import Recompute
from scheduler.terms import UnitRef

log = logging.getLogger(__name__)

LOOK_S, RETRY_S = 1.0, 2.0
REFRESH_S = 10.0
"""How old what the contract said of this account may be; our own transactions renew it."""
AGAIN_FIRST_S, AGAIN_MAX_S = 1.0, 60.0
"""When what failed, or is not due yet, is tried again: ever more rarely."""
REVEAL_S = 7 * 86_400
"""FirstBonds' REVEAL_S: when what was set apart for an audit goes back to the pot."""
PLACES_MAX = 64
"""Places that wait for the device; later ones are let go."""

FULL = ("DayCapReached", "PotTooSmall")
"""Refusals of a commitment that may end while there is time."""
TAKEN = ("AlreadyCommitted", "")
"""Refusals after which it is on chain, or may be: the reveal will tell."""

AskWorker = Callable[[str, AskOpening], Awaitable[UnitOpening]]
"""Ask the node of a worker's account; PeerUnreachable or PeerFault where it does not answer."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A place that this account has, and until when it may commit, Unix seconds."""

    job: JobView
    batch: BatchView
    claim: ClaimedUnit
    commit_deadline_s: int

    @property
    def unit(self) -> UnitRef:
        return UnitRef(self.batch.round, self.claim.slot, self.claim.attempt)

    @property
    def unit_id(self) -> UnitId:
        return unit_id(JobId(self.job.job_id), *self._key)

    @property
    def _key(self) -> tuple[int, int, int]:
        return self.batch.round, self.claim.slot, self.claim.attempt


class FirstBond:
    """The audits of the account `wallet` until it has earned a bond. `run` is the task.

    `activity` says how far it is, for people; empty where this account earns nothing here.
    """

    def __init__(
        self,
        wallet: str,
        watch: ChainWatch,
        chain: AsyncChain,
        jobs: JobKeeper,
        recompute: Recompute,
        commitments: Commitments,
        audits: NewcomerAudits,
        ask: AskWorker,
    ) -> None:
        self.activity = ""
        self._wallet, self._watch, self._chain = wallet, watch, chain
        self._jobs, self._recompute, self._commitments = jobs, recompute, commitments
        self._audits, self._ask = audits, ask
        self._state, self._until_s = Newcomer(0, 0, False, 0), 0
        self._fresh_until = 0.0
        self._seen: set[tuple[bytes, int, int, int]] = set()
        self._places: list[_Place] = []
        self._again: dict[UnitId, tuple[float, float]] = {}

    async def run(self) -> None:
        """Earn, for ever."""
        while True:
            try:
                await self._step()
            except NodeError as error:
                log.warning("earning a first bond is delayed: %s", error)
                await trio.sleep(RETRY_S)
            await self._watch.changed(LOOK_S)

    async def _step(self) -> None:
        active = self._watch.ledger.is_active(self._wallet)
        pending = self._audits.all()
        self._trim(pending)
        if active and not pending:
            self.activity = ""
            return
        await self._refresh()
        for audit in pending:
            await self._go_on(audit)
        self.activity = "" if active else self._told()
        if active or self._state.has_left:
            return
        if 0 < self._least_wei <= self._state.retained_wei:
            await self._pay_out()
        elif self._until_s:
            await self._look_for_places()
            await self._audit_next()

    # --- What the contract says of this account

    @property
    def _least_wei(self) -> int:
        return self._watch.ledger.parameters.get(Parameter.MIN_BOND_WEI, 0)

    async def _refresh(self) -> None:
        if trio.current_time() < self._fresh_until:
            return
        bonds = self._chain.sync.first_bonds
        self._state = await self._chain.read(bonds.newcomer_of, self._wallet)
        self._until_s = await self._chain.read(bonds.registered_until, self._wallet)
        self._fresh_until = trio.current_time() + REFRESH_S

    def _told(self) -> str:
        state, least = self._state, decimal(self._least_wei)
        if state.has_left:
            return f"the first bond is earned: bond it now with `ainur stake add {least}`"
        far = f"{decimal(state.retained_wei)} of {least} AIN by {state.audits} audits"
        if self._until_s:
            return f"earning a first bond: {far}; {len(self._audits.all())} under way"
        if state.audits:
            return f"the registration has lapsed ({far}): `ainur stake earn` renews it"
        return ""

    async def _pay_out(self) -> None:
        await self._send(self._chain.sync.first_bonds.pay_out())
        log.info("the first bond is earned and paid out: bond it with `ainur stake add`")

    # --- Places

    async def _look_for_places(self) -> None:
        """Ask, once for every batch whose draw is captured, whether this account has a place."""
        found = {
            (job.job_id, batch.round, batch.dissolutions, batch.index): (job, batch)
            for job in self._watch.ledger.jobs.values()
            for batch in job.batches.values()
            # Nothing is paid to newcomers for jobs in other tokens.
            if batch.is_captured and job.token == ZERO_ADDRESS
        }
        self._seen &= found.keys()
        for key, (job, batch) in found.items():
            if key in self._seen:
                continue
            asked = (JobId(job.job_id), batch.round, batch.index, self._wallet)
            place = await self._chain.read(self._chain.sync.first_bonds.place_of, *asked)
            self._seen.add(key)
            claim = next((each for each in batch.claims if each.slot == place.slot), None)
            if place.has_place and claim is not None and len(self._places) < PLACES_MAX:
                self._places.append(_Place(job, batch, claim, place.commit_deadline))

    async def _audit_next(self) -> None:
        """Compute and commit to the unit whose time ends first, of those whose job is here."""
        now_s = self._watch.chain_time_s()
        self._places = [
            place
            for place in self._places
            if place.commit_deadline_s > now_s and not self._audits.has(place.unit_id)
        ]
        self._places.sort(key=lambda place: place.commit_deadline_s)
        ready = (p for p in self._places if p.job.job_id in self._jobs.held)
        place = next((p for p in ready if self._is_due(p.unit_id)), None)
        if place is None:
            return
        try:
            if await self._would_be_taken(place):
                audit = await self._compute(place)
                self._audits.keep(audit)
                await self._commit(audit)
            else:
                self._places.remove(place)
        except NodeError as error:
            self._put_off(place.unit_id)
            log.info("the audit of unit %s waits: %s", place.unit, error)

    async def _would_be_taken(self, place: _Place) -> bool:
        """Whether a commitment would be taken; Reverted where it may be later."""
        call = self._commit_call(self._audit_of(place, bytes(32)), b"\1" * 32)
        try:
            await self._chain.read(self._chain.sync.simulate, call, self._wallet)
        except Reverted as error:
            if error.name in FULL:
                raise
            log.info("unit %s cannot be audited: %s", place.unit, error)
            return False
        return True

    async def _compute(self, place: _Place) -> NewcomerAudit:
        """NodeError unless it is done in time."""
        manifest = self._jobs.held[place.job.job_id]
        left_s = place.commit_deadline_s - self._watch.chain_time_s()
        with trio.move_on_after(max(0, left_s)):
            done = await self._recompute.run(place.job, manifest, place.unit, audit=True)
            return self._audit_of(place, unit_root(done.result_root, done.trace_root))
        raise NodeError(f"unit {place.unit} was not computed before its deadline")

    def _audit_of(self, place: _Place, root: bytes) -> NewcomerAudit:
        job_id, batch = JobId(place.job.job_id), place.batch
        leaves = [claim_leaf(job_id, batch.round, each) for each in batch.claims]
        return NewcomerAudit(
            job_id=job_id,
            round=batch.round,
            batch=batch.index,
            claim=place.claim,
            proof=merkle_proof(leaves, batch.claims.index(place.claim)),
            commit_deadline_s=place.commit_deadline_s,
            unit_root=root,
        )

    # --- Audits under way

    async def _go_on(self, audit: NewcomerAudit) -> None:
        """The next step of an audit, if it is due; what fails is tried again later."""
        if not self._is_due(audit.unit_id):
            return
        now_s = self._watch.chain_time_s()
        try:
            if not audit.is_committed and now_s <= audit.commit_deadline_s:
                await self._commit(audit)
            elif now_s > audit.commit_deadline_s + REVEAL_S:
                log.warning("unit %s was not opened in time: unpaid", audit.unit_id.hex()[:12])
                self._audits.forget(audit)
            elif not audit.is_committed and not self._state.promised_wei:
                self._audits.forget(audit)
            elif now_s > audit.commit_deadline_s:
                await self._reveal(audit)
        except NodeError as error:
            self._put_off(audit.unit_id)
            log.info("the audit of unit %s waits: %s", audit.unit_id.hex()[:12], error)

    async def _commit(self, audit: NewcomerAudit) -> None:
        salt = self._commitments.salt("newcomer", audit.unit_id)
        sealed = commitment(audit.unit_id, self._wallet, audit.unit_root, salt)
        try:
            await self._send(self._commit_call(audit, sealed))
        except Reverted as error:
            if error.name in FULL:
                raise
            if error.name not in TAKEN:
                log.info("the chain refused an audit: %s", error)
                self._audits.forget(audit)
                return
        self._audits.keep(audit.committed())

    def _commit_call(self, audit: NewcomerAudit, sealed: bytes) -> Transaction:
        return self._chain.sync.first_bonds.commit(
            audit.job_id, audit.round, audit.batch, audit.claim, audit.proof, sealed
        )

    async def _reveal(self, audit: NewcomerAudit) -> None:
        """Show what was found; NodeError while that is not due, or the worker is silent."""
        opening = audit.opening
        if opening is None:
            opening = await self._opening_of(audit)
            self._audits.keep(audit.opened(opening))
        salt = self._commitments.salt("newcomer", audit.unit_id)
        call = self._chain.sync.first_bonds.reveal(
            audit.job_id, audit.round, audit.claim, opening, audit.unit_root, salt
        )
        try:
            await self._send(call)
        except Reverted as error:
            if error.name == "NotOpenable":
                raise
            log.warning("an audit is given up: %s", error)
        else:
            agrees = Roots(audit.claim.result_root, opening.trace_root).unit_root == audit.unit_root
            found = "agrees with" if agrees else "differs from"
            log.info("the audit of unit %s %s its worker", audit.unit_id.hex()[:12], found)
        self._audits.forget(audit)

    async def _opening_of(self, audit: NewcomerAudit) -> Opening:
        """What the worker tells, if it opens what it committed to; PeerFault if it does not."""
        claim = audit.claim
        key = UnitKey(round=audit.round, slot=claim.slot, attempt=claim.attempt)
        asked = (audit.job_id, audit.round, claim.slot, claim.attempt)
        if not await self._chain.read(self._chain.sync.first_bonds.is_openable, *asked):
            raise NodeError("its round is not final, or was without it")
        told = await self._ask(claim.worker, AskOpening(job_id=audit.job_id.hex(), unit=key))
        opening = Opening(bytes.fromhex(told.trace_root), bytes.fromhex(told.salt))
        root = unit_root(claim.result_root, opening.trace_root)
        if commitment(audit.unit_id, claim.worker, root, opening.salt) != claim.commitment:
            raise PeerFault(f"worker {claim.worker} told an opening of another commitment")
        return opening

    # --- Helpers

    async def _send(self, call: Transaction) -> None:
        self._fresh_until = 0.0
        await self._chain.send(call)

    def _trim(self, pending: list[NewcomerAudit]) -> None:
        """Forget when to try again what is over."""
        units = {audit.unit_id for audit in pending} | {place.unit_id for place in self._places}
        self._again = {unit: when for unit, when in self._again.items() if unit in units}

    def _is_due(self, unit: UnitId) -> bool:
        return self._again.get(unit, (0.0, 0.0))[0] <= trio.current_time()

    def _put_off(self, unit: UnitId) -> None:
        pause_s = min(2 * self._again.get(unit, (0.0, AGAIN_FIRST_S / 2))[1], AGAIN_MAX_S)
        self._again[unit] = (trio.current_time() + pause_s, pause_s)
