"""One simulated job: a chain, nodes that may coordinate, workers, a network with faults."""

from collections import Counter

from scheduler.blob_ref import BlobRef
from scheduler.commands import Reply
from scheduler.terms import Claim, JobTerms, Policy, UnitRef
from tests.simulation import truth
from tests.simulation.chain import BLOCK_MS, Chain, Contracts, deploy
from tests.simulation.faults import CALM, Scenario, Weather
from tests.simulation.host import Host
from tests.simulation.loop import Loop
from tests.simulation.money import SUBMITTER, Rules
from tests.simulation.network import Network
from tests.simulation.peer import Peer
from tests.simulation.worker import Worker

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
AFTER_MS = 5_000


class World:
    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.rules = Rules(
            probation=scenario.probation,
            floor_bps=scenario.floor_bps,
            challenge_s=scenario.challenge_s,
            lock_prices=scenario.lock_prices,
        )
        self.faults: Counter[str] = Counter()
        self.loop = Loop(scenario.seed)
        self.thorough, self.outage_ms = scenario.thorough, scenario.weather.outage_ms
        self.terms = JobTerms(
            truth.JOB, scenario.rounds, scenario.slots, 8_000, 500, POLICY,
            rounds_ahead=scenario.rounds_ahead,
        )  # fmt: skip
        state = deploy(self.rules, scenario.rounds, scenario.slots, scenario.rounds_ahead)
        self.chain = Chain(self.loop, state, self.weather, self.faults)
        self.network = Network(self.loop, self.weather, self.faults)
        self.peers: list[Peer] = []
        self.hosts: list[Host] = []
        self.workers: list[Worker] = []
        self.by_peer: dict[str, Worker] = {}
        self.by_wallet: dict[str, Peer] = {}
        self.checkpoints = {truth.ref_of(truth.GENESIS).root: truth.GENESIS}
        self.falsified: set[UnitRef] = set()
        self.proved: set[UnitRef] = set()
        self._people(scenario)
        self.chain.start()
        self._over_at_ms: int | None = None
        self._look_at_ms = 0
        if scenario.cancel_ms is not None:
            self.loop.after(scenario.cancel_ms, self._cancel)

    def _people(self, scenario: Scenario) -> None:
        for at, traits in enumerate(scenario.hosts):
            host = Host(self, f"host-{at}", traits)
            self.hosts.append(host)
            self.peers.append(host)
        for at, traits in enumerate(scenario.workers):
            worker = Worker(self, f"{at:02}", traits)
            self.workers.append(worker)
            self.peers.append(worker)
            self.by_peer[worker.peer] = worker
        self.by_wallet = {peer.wallet: peer for peer in self.peers}
        self.network.names = [peer.name for peer in self.peers]
        state = self.chain.state
        for peer in self.peers:
            state.bank.mint(peer.wallet, 1_000_000)
            state.vault.bond(peer.wallet, self.rules.bond_wei)
            state.ledger.clean[peer.wallet] = scenario.clean_units

    # --- Faults ---

    @property
    def faulty(self) -> bool:
        return self.loop.elapsed_ms < self.scenario.faults_ms

    def weather(self) -> Weather:
        return self.scenario.weather if self.faulty else CALM

    def _cancel(self) -> None:
        self.chain.submit(SUBMITTER, _Cancel())  # type: ignore[arg-type]

    # --- The run ---

    def run(self) -> None:
        self.loop.run(self._done, self.scenario.limit_ms)

    @property
    def over(self) -> bool:
        """Whether the chain has nothing left to do for the job."""
        state = self.chain.state
        return not state.escrow.accepts_work(state.ledger.started)

    def _done(self) -> bool:
        """A moment after it is over for good: everybody has seen it."""
        if self.loop.now_ms < self._look_at_ms:
            return False
        self._look_at_ms = self.loop.now_ms + BLOCK_MS
        if not self.over or self.chain.fork is not None:
            self._over_at_ms = None
            return False
        if self._over_at_ms is None:
            self._over_at_ms = self.loop.now_ms
        return self.loop.now_ms >= self._over_at_ms + AFTER_MS

    # --- What the doubles ask ---

    def reply(self, host: Host, reply: Reply) -> None:
        worker = self.by_peer[reply.peer]
        self.network.send(host.name, worker.name, lambda: worker.hear(host, reply))

    def checkpoint_of(self, blob: BlobRef) -> bytes:
        return self.checkpoints[blob.root]

    def claim_of(self, host: Host, unit: UnitRef, result_root: bytes) -> Claim:
        """A claim to a unit in the host's own name."""
        job = host.job
        assert job is not None
        name = truth.unit_id(unit.round, unit.slot, unit.attempt)
        roots = truth.roots_of(result_root)
        promise = host.commitments.commit("worker", name, roots, truth.JOB, unit.round)
        signature = truth.signature(
            host.wallet, name, job.parent(unit.round), job.lease_epoch, result_root, promise
        )
        return Claim(unit.slot, unit.attempt, host.wallet, result_root, promise, signature)


class _Cancel:
    """The submitter's call, which the node's code does not make for it."""

    function = "cancel"

    def run(self, state: Contracts, sender: str) -> None:
        state.escrow.cancel(sender, state.ledger.started_rounds)
