"""A node of the network: its view of the chain, what it must not forget, its duties, its crashes.

The view is the real fold (node/ledger.py) over blocks that are buried deep enough; what is owed is
read off it by the real functions (node/owed.py); commitments are the real ones. Coordinators and
workers are such nodes, and each of them may be drawn as auditor and juror.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, cast

from node import owed
from node.claims import accusation
from node.commitments import Commitments, Role, Roots
from node.ids import UnitId
from node.journal import Journal
from node.ledger import JobView, Ledger, UnitState, UnitView
from scheduler.terms import PeerId, Wallet
from tests.simulation import truth
from tests.simulation.chain import Call, Prepare
from tests.simulation.faults import Traits

if TYPE_CHECKING:
    from tests.simulation.world import World

LOOK_MS, LOOK_AGAIN_MS = 700, 2_500
RETRY_MS = 4_000
DONE = (UnitState.PASSED, UnitState.VERIFIED)


class Memory:
    """What the real journal keeps under keys: it survives a crash."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    def set(self, key: str, value: bytes) -> None:
        self.values[key] = value

    def get(self, key: str) -> bytes | None:
        return self.values.get(key)

    def transaction(self) -> AbstractContextManager[None]:
        return nullcontext()


class Peer:
    def __init__(self, world: "World", name: str, traits: Traits) -> None:
        self.world, self.loop, self.chain = world, world.loop, world.chain
        self.name, self.traits = name, traits
        number = len(world.peers) + 1
        self.wallet, self.peer = Wallet(f"0x{number:040x}"), PeerId(f"peer-{name}")
        self.alive, self.life = True, 0
        self.blobs: dict[str, bytes] = {}
        seed = number.to_bytes(32)
        self.commitments = Commitments(cast(Journal, Memory()), self.wallet, seed)
        self.calls = {name: Prepare(name) for name in ("ledger", "committee", "vault", "bank")}
        self._forget()
        self.loop.every(LOOK_MS, self._look)
        self.loop.every(10_000, self._mind_bond)

    # --- Life ---

    def chance(self, probability: float) -> bool:
        return self.world.faulty and self.loop.random.random() < probability

    def note(self, fault: str) -> bool:
        """Count what went wrong."""
        self.world.faults[fault] += 1
        return True

    def crash(self) -> None:
        """Lose everything but blobs and journal."""
        self.note("crashes")
        self.vanish(self.loop.random.randrange(500, self.world.outage_ms))

    def vanish(self, absent_ms: int) -> None:
        """The same, for so long."""
        self.alive = False
        self.life += 1
        self.loop.after(absent_ms, self._rise)

    def _rise(self) -> None:
        self.alive = True
        self._forget()
        self.sync()
        self.restarted()

    def _while_alive(self, action: Callable[[], None]) -> Callable[[], None]:
        """The action, unless this process has died meanwhile."""
        life = self.life
        return lambda: action() if self.life == life else None

    def restarted(self) -> None:
        """What else happens after a crash."""

    def _forget(self) -> None:
        self.view = Ledger()
        self._folded = 0
        self._news, self._look_at_ms = False, 0
        self._sent: dict[tuple[str, UnitId], int] = {}
        self._judged: set[UnitId] = set()

    # --- The chain ---

    @property
    def job(self) -> JobView | None:
        return self.view.jobs.get(truth.JOB)

    def chain_time_s(self) -> int:
        return self.loop.now_ms // 1000

    def sync(self) -> None:
        """Fold the blocks that count by now, as node/chain_watch.py does."""
        if not self.alive or not self.world.network.sees_chain(self.name):
            return
        while self._folded < len(self.chain.blocks) - self.world.scenario.confirmations:
            block = self.chain.blocks[self._folded]
            for event in block.events:
                self.view.apply(event)
            self._news |= bool(block.events)
            self.view.head = block.number
            self._folded += 1

    def send(self, contract: str, function: str, *arguments: object) -> None:
        """Send a call whose outcome the view will show."""
        if self.world.network.sees_chain(self.name):
            self.chain.submit(self.wallet, Call(contract, function, arguments))

    def _mind_bond(self) -> None:
        """A slashed node bonds again, if not at once; some take their bond away meanwhile."""
        entry = self.chain.state.vault.accounts.get(self.wallet)
        if not self.alive or entry is None:
            return
        free, due = entry.bond - entry.pending, self.world.rules.bond_wei
        if free < due and not self.chance(0.5):
            self.send("vault", "bond", due)
        elif self.chance(self.traits.withdraws) and self.note("stakes withdrawn"):
            self.send("vault", "request_unbond", free)
        if entry.pending and self.chain_time_s() >= entry.available_s:
            self.send("vault", "withdraw")

    # --- Duties ---

    def _look(self) -> None:
        if not self.alive:
            return None
        if self.chance(self.world.weather().kill):
            return self.crash()
        self.sync()
        if not self.view.units or not (self._news or self.loop.now_ms >= self._look_at_ms):
            return None
        self._news, self._look_at_ms = False, self.loop.now_ms + LOOK_AGAIN_MS
        now_s = self.chain_time_s()
        for unit in owed.audits(self.view, self.wallet, now_s):
            if self._fresh("audit", unit) and not self._silent(self.traits.audits_silent, "audit"):
                self._compute(lambda unit=unit: self._audit(unit))
        for unit in owed.votes(self.view, self.wallet, now_s):
            if self._fresh("vote", unit) and not self._silent(self.traits.votes_silent, "vote"):
                self._compute(lambda unit=unit: self._vote(unit))
        for unit in owed.openings(self.view, self.wallet):
            self._open(unit)
        for unit in owed.reveals(self.view, self.wallet):
            if self._fresh("reveal", unit):
                self._show("auditor", unit)
        for unit in owed.vote_reveals(self.view, self.wallet, now_s):
            if self._fresh("reveal vote", unit):
                self._show("juror", unit)
        for unit in owed.captures(self.view, self.wallet):
            if self._fresh("capture", unit):
                batch = unit.batch
                place = (truth.JOB, batch.round, batch.index)
                self.send("ledger", "capture_draw", *place, batch.claims)
        for unit in owed.releases(self.view, self.wallet, now_s):
            if self._fresh("release", unit):
                batch = unit.batch
                place = (truth.JOB, batch.round, batch.dissolutions, batch.index)
                self.send("ledger", "release_locks", *place, batch.claims)
        self._judge()
        return None

    def _fresh(self, what: str, unit: UnitView, pause_ms: int = RETRY_MS) -> bool:
        """Whether to do it now, and not again for a while."""
        if self._sent.get((what, unit.unit_id), 0) > self.loop.now_ms:
            return False
        self._sent[what, unit.unit_id] = self.loop.now_ms + pause_ms
        return True

    def _silent(self, probability: float, what: str) -> bool:
        return self.chance(probability) and self.note(f"silent: {what}")

    def _compute(self, then: Callable[[], None]) -> None:
        life = self.life
        delay_ms = self.loop.random.randrange(100, 1_500)
        self.loop.after(delay_ms, lambda: then() if life == self.life and self.alive else None)

    def right_roots(self, unit: UnitView) -> Roots | None:
        """What recomputing the unit gives; None without its checkpoint."""
        job = self.job
        start = job.start_of(unit.key.round) if job is not None else None
        if start is None:
            return None
        start = start if unit.key.round else truth.GENESIS
        return truth.roots_of(truth.unit_root(start, unit.key.round, unit.key.slot))

    def _promise(self, role: Role, unit: UnitView, roots: Roots) -> bytes:
        """The commitment to the roots, or to those that it has committed to before."""
        kept = self.commitments.roots(role, unit.unit_id)
        place = (unit.job_id, unit.key.round)
        return self.commitments.commit(role, unit.unit_id, kept or roots, *place)

    def _audit(self, unit: UnitView) -> None:
        roots = self.right_roots(unit)
        if roots is None:
            return
        accomplice = self.world.by_wallet[unit.worker]
        if self.traits.colludes and accomplice.traits.colludes and self.world.faulty:
            if unit.result_root != roots.result_root:
                self.note("colluding audits")
            roots = accomplice.commitments.roots("worker", unit.unit_id) or roots
        elif self.chance(self.traits.audits_wrong) and self.note("wrong audits"):
            roots = truth.roots_of(truth.wrong(roots.result_root, 7))
        promise = self._promise("auditor", unit, roots)
        self.send("ledger", "commit_audits", [unit.unit_id], [promise])

    def _vote(self, unit: UnitView) -> None:
        roots = self.right_roots(unit)
        if roots is not None:
            self.send("committee", "commit_vote", unit.unit_id, self._promise("juror", unit, roots))

    def _open(self, unit: UnitView) -> None:
        roots = self.commitments.roots("worker", unit.unit_id)
        if roots is None or not self._fresh("open", unit):
            return
        if self.chance(self.traits.opens_late) and self.note("late openings"):
            self._sent["open", unit.unit_id] = self.loop.now_ms + 15_000
            return
        salt = self.commitments.salt("worker", unit.unit_id)
        self.send("ledger", "open_units", [unit.unit_id], [roots.trace_root], [salt])

    def _show(self, role: Role, unit: UnitView) -> None:
        roots = self.commitments.roots(role, unit.unit_id)
        if roots is None:
            return
        salt = self.commitments.salt(role, unit.unit_id)
        if role == "auditor":
            self.send("ledger", "reveal_audits", [unit.unit_id], [roots.unit_root], [salt])
        else:
            self.send("committee", "reveal_vote", unit.unit_id, roots.unit_root, salt)

    def _judge(self) -> None:
        """Challenge wrong units that it looks at, and by chance right ones."""
        if not (self.traits.watches or self.traits.accuses) or self.job is None:
            return
        rounds = range(self.job.open_round, self.job.head_round + 1)
        for unit in [u for round in rounds for u in self.job.accepted(round).values()]:
            if unit.unit_id in self._judged or unit.worker == self.wallet:
                continue
            self._judged.add(unit.unit_id)
            right = self.right_roots(unit)
            wrong = right is not None and unit.result_root != right.result_root
            odds = self.traits.watches if wrong else self.traits.accuses
            if (wrong or self.world.faulty) and self.loop.random.random() < odds:
                self.note("challenges" if wrong else "false challenges")
                self.send("ledger", "challenge", *accusation(unit))
