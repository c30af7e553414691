"""What a bonded node owes the network: audits, openings of its own units, and seats on juries.

Each duty is found by looking at the ledger (node/owed.py), not by remembering events, so a node
that was away takes up where it stands. Every step is idempotent: the contract refuses a second one,
and what was sent is not sent again while the ledger has yet to show it. One task recomputes,
another sends what needs no computing, so that a long audit never delays an opening that has a
deadline. Units belong to jobs of strangers: what one of them makes impossible must not hold up
another.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import trio

from node import owed
from node.chain import AsyncChain, Reverted
from node.chain.handle import Transaction
from node.chain_watch import ChainWatch
from node.commitments import NO_INPUT, Commitments, Role, Roots
from node.custody import Custody
from node.errors import NodeError, PeerUnreachable
from node.ids import JobId, UnitId
from node.jobs import JobKeeper
from node.ledger import Ledger, UnitView
from node.recompute import Recompute

log = logging.getLogger(__name__)

LOOK_S = 1.0
RETRY_S = 2.0
AGAIN_S = 10.0
"""When a recomputation that failed, or whose commitment was sent, is looked at again."""

INPUT_TRY_S = 10.0
"""How long a unit's data is waited for at a time, so that other duties have their turn."""

UNITS_PER_CALL = 32


@dataclass(slots=True)
class DutyCounts:
    """What this node did since it started."""

    audits: int = 0
    verdicts: int = 0
    problem: str = ""


@dataclass(slots=True)
class _Sent:
    """What was sent, by what and for which unit: when it may be sent again, and the block it is in,
    which the ledger has to show first. What is over is forgotten.
    """

    ledger: Ledger
    at: dict[tuple[str, bytes], float] = field(default_factory=dict)
    mined: dict[tuple[str, bytes], int] = field(default_factory=dict)

    def fresh(self, what: str, units: Iterable[UnitView]) -> list[UnitView]:
        now = trio.current_time()
        return [
            unit
            for unit in units
            if self.at.get((what, unit.unit_id), 0.0) <= now
            and self.mined.get((what, unit.unit_id), 0) <= self.ledger.head
        ]

    def mark(self, what: str, units: Iterable[UnitView], pause_s: float) -> None:
        now = trio.current_time()
        self.at = {key: until for key, until in self.at.items() if until > now}
        self.at |= {(what, unit.unit_id): now + pause_s for unit in units}

    def note_mined(self, what: str, units: Iterable[UnitView], block: int) -> None:
        head = self.ledger.head
        self.mined = {key: mined for key, mined in self.mined.items() if mined > head}
        self.mined |= {(what, unit.unit_id): block for unit in units}


class Duties:
    """The duties of the account `wallet`."""

    def __init__(
        self,
        wallet: str,
        watch: ChainWatch,
        chain: AsyncChain,
        jobs: JobKeeper,
        recompute: Recompute,
        commitments: Commitments,
        custody: Custody,
        input_patience_s: float = 0.0,
    ) -> None:
        self.counts = DutyCounts()
        self._wallet, self._watch, self._chain = wallet, watch, chain
        self._jobs, self.recompute, self._commitments = jobs, recompute, commitments
        self._custody = custody
        self._sent = _Sent(watch.ledger)
        self._patience_s = input_patience_s
        self._missing_since_s: dict[bytes, int] = {}
        self._recomputes = False

    @property
    def busy(self) -> bool:
        """Whether a recomputation is owed now; our own work waits for it."""
        return self._recomputes and bool(self._owed_audits() or self._owed_votes())

    async def run(self, recomputes: bool = True) -> None:
        """Do what is owed, for ever; without `recomputes` only what our own units owe.

        A node that does not audit still has to open its units, or it is slashed.
        """
        self._recomputes = recomputes
        async with trio.open_nursery() as nursery:
            if recomputes:
                nursery.start_soon(self._loop, self._compute_step)
            nursery.start_soon(self._loop, self._send_step)

    async def _loop(self, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await step()
                self.counts.problem = ""
            except NodeError as error:
                self.counts.problem = str(error)
                log.warning("a duty is delayed: %s", error)
                await trio.sleep(RETRY_S)
            await self._watch.changed(LOOK_S)

    # --- Duties that need computing

    async def _compute_step(self) -> None:
        while audits := self._owed_audits():
            await self._audit(audits)
        while votes := self._owed_votes():
            await self._vote(votes[0])

    def _owed_audits(self) -> list[UnitView]:
        """Those of one job, the most urgent first: no other job delays their commitment."""
        audits = owed.audits(self._watch.ledger, self._wallet, self._watch.chain_time_s())
        fresh = sorted(self._sent.fresh("audit", self._held(audits)), key=lambda u: u.deadline_s)
        return [unit for unit in fresh if unit.job_id == fresh[0].job_id][:UNITS_PER_CALL]

    async def _audit(self, units: list[UnitView]) -> None:
        """Recompute blind, then commit to all roots in one transaction."""
        made: dict[bytes, bytes] = {}
        failure: NodeError | None = None
        for unit in units:
            try:
                made[unit.unit_id] = await self._commit("auditor", unit, unit.deadline_s)
            except NodeError as error:
                failure = error
        done = [unit for unit in units if unit.unit_id in made]
        self._sent.mark("audit", units, AGAIN_S)
        if done:
            self.counts.audits += await self._send_units(
                "audit",
                lambda part: self._chain.sync.ledger.commit_audits(
                    _ids(part), [made[unit.unit_id] for unit in part]
                ),
                done,
            )
        if failure is not None:
            raise failure

    def _owed_votes(self) -> list[UnitView]:
        votes = owed.votes(self._watch.ledger, self._wallet, self._watch.chain_time_s())
        return self._sent.fresh("vote", self._held(votes))

    async def _vote(self, unit: UnitView) -> None:
        try:
            commitment = await self._commit("juror", unit, unit.vote_commit_deadline_s)
        finally:
            self._sent.mark("vote", [unit], AGAIN_S)
        call = self._chain.sync.committee.commit_vote(UnitId(unit.unit_id), commitment)
        self.counts.verdicts += await self._send("vote", call, [unit])

    async def _commit(self, role: Role, unit: UnitView, deadline_s: int) -> bytes:
        """The commitment to the unit's roots, computed here unless they are known.

        Given up at the deadline: no stranger's job keeps the device for longer than it can matter.
        """
        unit_id = UnitId(unit.unit_id)
        roots = self._commitments.roots(role, unit_id)
        if role == "juror" and roots == NO_INPUT:
            # What this node as an auditor could not get it tries to get once more as a juror.
            roots = None
        if roots is None and not await self._has_input(unit, deadline_s):
            log.warning("unit %s: the data of job %s is unavailable", unit.key, unit.job_id.hex())
            roots = NO_INPUT
        if roots is None:
            job = self._watch.ledger.jobs[unit.job_id]
            manifest = self._jobs.held[unit.job_id]
            with trio.move_on_after(max(0, deadline_s - self._watch.chain_time_s())):
                done = await self.recompute.run(job, manifest, unit.key, audit=True)
                roots = Roots(done.result_root, done.trace_root)
                if done.result_root == unit.result_root:
                    # One more who has the result, for a coordinator that needs it.
                    self._custody.found(unit.job_id, unit.key, done.result_root, done.result)
        if roots is None:
            raise NodeError(f"unit {unit.key} was not recomputed before its deadline")
        return self._commitments.commit(role, unit_id, roots, unit.job_id, unit.key.round)

    async def _has_input(self, unit: UnitView, deadline_s: int) -> bool:
        """Whether the unit's data is here, fetched now if need be; False once patience is over.

        PeerUnreachable while it is missing and may still come. Patience is the setting, else half
        of what was left to the deadline when the data was first found missing; every peer that is
        connected and the coordinator are asked each time.
        """
        job = self._watch.ledger.jobs[unit.job_id]
        reason = "some of its files are with no peer that answers"
        if unit.job_id in self._jobs.held:
            try:
                with trio.fail_after(INPUT_TRY_S):
                    await self.recompute.fetch_input(job, unit.key)
                self._missing_since_s.pop(unit.unit_id, None)
                return True
            except (PeerUnreachable, trio.TooSlowError) as error:
                reason = str(error) or f"no peer sent it within {INPUT_TRY_S:g} s"
        now_s = self._watch.chain_time_s()
        known = self._watch.ledger.units
        self._missing_since_s = {k: s for k, s in self._missing_since_s.items() if k in known}
        since_s = self._missing_since_s.setdefault(unit.unit_id, now_s)
        if now_s - since_s >= (self._patience_s or (deadline_s - since_s) / 2):
            return False
        raise PeerUnreachable(f"the data of unit {unit.key} is missing: {reason}")

    # --- Duties that only need sending

    async def _send_step(self) -> None:
        await self._open()
        await self._reveal()
        await self._reveal_votes()
        await self._capture()
        await self._release()
        await self._fetch_deposits()

    async def _open(self) -> None:
        """Open our own units once an audit is committed or a dispute is on."""
        openings = owed.openings(self._watch.ledger, self._wallet)
        units = [u for u in self._sent.fresh("open", openings) if self._roots("worker", u)][
            :UNITS_PER_CALL
        ]
        if not units:
            return
        self._sent.mark("open", units, RETRY_S)
        await self._send_units(
            "open",
            lambda part: self._chain.sync.ledger.open_units(
                _ids(part),
                [self._known("worker", unit).trace_root for unit in part],
                [self._commitments.salt("worker", UnitId(unit.unit_id)) for unit in part],
            ),
            units,
        )

    async def _reveal(self) -> None:
        """Reveal our audits of units that their workers have opened."""
        reveals = owed.reveals(self._watch.ledger, self._wallet)
        units = [u for u in self._sent.fresh("reveal", reveals) if self._roots("auditor", u)][
            :UNITS_PER_CALL
        ]
        if not units:
            return
        self._sent.mark("reveal", units, RETRY_S)
        await self._send_units(
            "reveal",
            lambda part: self._chain.sync.ledger.reveal_audits(
                _ids(part),
                [self._known("auditor", unit).unit_root for unit in part],
                [self._commitments.salt("auditor", UnitId(unit.unit_id)) for unit in part],
            ),
            units,
        )

    async def _reveal_votes(self) -> None:
        """Reveal our votes once every juror has committed or the time for it is over."""
        now_s = self._watch.chain_time_s()
        reveals = owed.vote_reveals(self._watch.ledger, self._wallet, now_s)
        known = [unit for unit in reveals if self._roots("juror", unit)]
        for unit in self._sent.fresh("reveal vote", known):
            self._sent.mark("reveal vote", [unit], RETRY_S)
            unit_id = UnitId(unit.unit_id)
            salt = self._commitments.salt("juror", unit_id)
            root = self._known("juror", unit).unit_root
            call = self._chain.sync.committee.reveal_vote(unit_id, root, salt)
            await self._send("reveal vote", call, [unit])

    async def _capture(self) -> None:
        """Capture a draw that its coordinator leaves alone: one that is forgotten can be chosen."""
        units = self._sent.fresh("capture", owed.captures(self._watch.ledger, self._wallet))
        if units:
            batch = units[0].batch
            drawn = [unit for unit in units if unit.batch is batch]
            self._sent.mark("capture", drawn, AGAIN_S)
            place = (JobId(drawn[0].job_id), batch.round, batch.index)
            call = self._chain.sync.ledger.capture_draw(*place, batch.claims)
            await self._send("capture", call, drawn)

    async def _release(self) -> None:
        """Have back what was locked for our units that can be faulted no more."""
        now_s = self._watch.chain_time_s()
        releases = owed.releases(self._watch.ledger, self._wallet, now_s)
        units = self._sent.fresh("release", releases)
        if units:
            # One call gives back what it can of a batch.
            first = units[0].batch
            ours = [unit for unit in units if unit.batch is first]
            self._sent.mark("release", ours, AGAIN_S)
            job_id = JobId(ours[0].job_id)
            place = (job_id, first.round, first.dissolutions, first.index)
            call = self._chain.sync.ledger.release_locks(*place, first.claims)
            await self._send("release", call, ours)

    async def _fetch_deposits(self) -> None:
        """Have back what we deposited for challenges of units that were dissolved."""
        deposits = owed.deposits(self._watch.ledger, self._wallet)
        for unit in self._sent.fresh("deposit", deposits):
            self._sent.mark("deposit", [unit], AGAIN_S)
            call = self._chain.sync.ledger.return_deposit(UnitId(unit.unit_id))
            await self._send("deposit", call, [unit])

    # --- Helpers

    def _held(self, units: Iterable[UnitView]) -> list[UnitView]:
        able = self._jobs.held.keys() | self._jobs.out_of_reach
        return [unit for unit in units if unit.job_id in able]

    def _roots(self, role: Role, unit: UnitView) -> Roots | None:
        return self._commitments.roots(role, UnitId(unit.unit_id))

    def _known(self, role: Role, unit: UnitView) -> Roots:
        roots = self._roots(role, unit)
        assert roots is not None, "committed without roots"
        return roots

    async def _send_units(
        self, what: str, make: Callable[[list[UnitView]], Transaction], units: list[UnitView]
    ) -> int:
        """Send one call for all; if it is refused, one for each that the others do not spoil.

        How many units the chain took.
        """
        taken = await self._send(what, make(units), units)
        for unit in units if not taken and len(units) > 1 else ():
            taken += await self._send(what, make([unit]), [unit])
        return taken

    async def _send(self, what: str, call: Transaction, units: list[UnitView]) -> int:
        """How many units the chain took: all of the call or none."""
        try:
            receipt = await self._chain.send(call)
        except Reverted as error:
            # Somebody was faster, or a deadline passed: the ledger will show which.
            log.info("the chain refused a duty: %s", error)
            return 0
        self._sent.note_mined(what, units, receipt.block)
        return len(units)


def _ids(units: Iterable[UnitView]) -> list[UnitId]:
    return [UnitId(unit.unit_id) for unit in units]
