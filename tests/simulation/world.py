"""One simulated job: a chain, two nodes that may coordinate, workers, a network with losses."""

from dataclasses import dataclass, field

from scheduler.blob_ref import BlobRef
from scheduler.commands import Outcome, Reply
from scheduler.events import UnitCommitted, UnitRequested
from scheduler.terms import JobTerms, PeerId, Policy, Wallet
from tests.simulation import truth
from tests.simulation.host import Host, ended_well
from tests.simulation.ledger import BOND_LIVES, Ledger, Odds
from tests.simulation.loop import Loop
from tests.simulation.worker import Traits, Worker

POLICY = Policy(
    unit_floor_ms=2_000,
    reconnect_grace_ms=2_000,
    fetch_timeout_ms=5_000,
    holding_timeout_ms=3_000,
    holders_timeout_ms=15_000,
    chain_retry_ms=500,
    chain_retry_max_ms=4_000,
    quarantine_ms=1_000,
    quarantine_max_ms=8_000,
)


@dataclass(frozen=True)
class Scenario:
    """The shape of one run; faults stop after `faults_ms`."""

    seed: int
    rounds: int = 2
    slots: int = 4
    workers: tuple[Traits, ...] = (Traits(), Traits(), Traits())
    faults_ms: int = 60_000
    limit_ms: int = 600_000
    loss: float = 0.0
    crash: float = 0.0
    outage_ms: int = 3_000
    hosts: int = 1
    odds: Odds = field(default_factory=Odds)
    cancel_ms: int | None = None
    thorough: bool = False


class World:
    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.loop = Loop(scenario.seed)
        self.thorough, self.outage_ms = scenario.thorough, scenario.outage_ms
        self.terms = JobTerms(b"j" * 32, scenario.rounds, scenario.slots, 8_000, 500, POLICY)
        self.ledger = Ledger(self.loop, scenario.rounds, scenario.slots, self._odds)
        self.outcome: Outcome | None = None
        self.hosts = [Host(self, Wallet(f"0xhost{i}")) for i in range(scenario.hosts)]
        self.workers = [
            Worker(self, f"{i:02}", traits) for i, traits in enumerate(scenario.workers)
        ]
        for participant in (*self.hosts, *self.workers):
            self.ledger.bonds[participant.wallet] = BOND_LIVES
        self.loop.every(10_000, self._bond_again)
        if scenario.cancel_ms is not None:
            self.loop.after(scenario.cancel_ms, self._cancel)

    @property
    def faulty(self) -> bool:
        return self.loop.elapsed_ms < self.scenario.faults_ms

    @property
    def over(self) -> bool:
        ended = self.ledger.cancelled and not self.ledger.batches.get(self.ledger.open_round)
        return ended or self.ledger.open_round >= self.scenario.rounds

    def run(self) -> None:
        self.loop.run(lambda: self.outcome is not None, self.scenario.limit_ms)

    def finished(self, host: Host, outcome: Outcome) -> None:
        if ended_well(outcome):
            self.outcome = outcome

    # --- Chance ---

    def _odds(self) -> Odds:
        odds = self.scenario.odds
        return odds if self.faulty else Odds(drawn=odds.drawn, watched=odds.watched)

    def lost(self) -> bool:
        return self.faulty and self.loop.random.random() < self.scenario.loss

    def crash_fate(self) -> str:
        if not self.faulty or self.loop.random.random() >= self.scenario.crash:
            return "alive"
        return self.loop.random.choice(("before", "torn", "after"))

    def _bond_again(self) -> None:
        """The slashed bond again; once faults stop everybody has, so that work can go on."""
        for worker in self.workers:
            if not self.faulty or self.loop.random.random() < 0.5:
                self.ledger.bonds[worker.wallet] = BOND_LIVES

    def _cancel(self) -> None:
        if self.ledger.open_round < self.scenario.rounds:
            self.ledger.cancel()

    # --- Network ---

    def coordinator(self) -> Host | None:
        """The node that workers find: it holds the lease and is up."""
        for host in self.hosts:
            if host.working and self.ledger.holder == host.wallet:
                return host
        return None

    def tell(self, event: UnitRequested | UnitCommitted) -> None:
        if self.lost():
            return
        worker = self._worker(event.peer)
        link = worker.connected_to
        self.loop.after(self.loop.random.randrange(5, 200), lambda: self._arrive(event, link))

    def _arrive(
        self, event: UnitRequested | UnitCommitted, link: tuple[Wallet, int] | None
    ) -> None:
        host = self.coordinator()
        if host is not None and link == (host.wallet, host.epoch):
            host.feed(event)

    def reply(self, reply: Reply) -> None:
        worker = self._worker(reply.peer)
        if not self.lost():
            self.loop.after(self.loop.random.randrange(5, 200), lambda: worker.hear(reply))

    def download(self, peer: PeerId, blob: BlobRef) -> bytes | None:
        worker = self._worker(peer)
        return None if worker.away or self.lost() else worker.blobs.get(blob.root)

    def keep(self, wallet: Wallet, data: bytes) -> bool | None:
        """Whether a worker took a copy of a result; None if there is no answer."""
        worker = next(worker for worker in self.workers if worker.wallet == wallet)
        if worker.away or self.lost():
            return None
        if worker.chance(worker.traits.withholds):
            return False
        worker.blobs[truth.ref_of(data).root] = data
        return True

    def download_any(self, wallet: Wallet, blob: BlobRef) -> bool:
        holders = [worker.blobs for worker in self.workers if worker.wallet == wallet]
        holders += [host.blobs for host in self.hosts]
        return any(blob.root in blobs for blobs in holders)

    def _worker(self, peer: PeerId) -> Worker:
        return next(worker for worker in self.workers if worker.peer == peer)
