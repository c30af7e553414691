"""The daemon: one process that is a node.

Builds the parts and runs them side by side:

    chain_watch   what the chain says              ledger
    discovery     finds peers                      peers, transport
    jobs          holds programs and data          blobs, transfer
    leases        coordinates jobs                 coordination
    contributor   computes units                   compute (a process of its own)
    duties        audits, opens, votes             recompute, commitments
    first_bond    audits as a newcomer             recompute, newcomer_audits
    openings      opens units to newcomers         commitments
    custody       holds results for others         holders
    alarms        tells of false checkpoints       checkpoints
    last_rounds   keeps what jobs were for         checkpoints
    cleaner       removes what nobody needs        blobs, round_memory
    api           tells the command line           status

The parts know each other only through what they are given here. A signal drains: no new work, the
unit under way is finished, then everything is closed. What was acknowledged is in the journal or on
the chain, so kill -9 at any time costs only the unit under way.
"""

import json
import logging
import os
import random
import signal
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict

import trio

from node import rpc
from node.alarms import Alarms
from node.api import serve_api
from node.blobs import BlobStore
from node.chain import AsyncChain, Chain
from node.chain_watch import ChainWatch
from node.checkpoints import Checkpoints
from node.claim_signature import ClaimDomain
from node.cleaning import Cleaner
from node.clock import unix_ms, unix_s
from node.commitments import Commitments
from node.compute import Compute
from node.config import Config
from node.contributor import Contributor
from node.coordination import Coordination
from node.coordination_tasks import Tasks
from node.coordinators import Coordinators
from node.custody import Custody
from node.discovery import Discovery, Pace
from node.duties import Duties
from node.event_cache import EventCache, network_key
from node.files import make_private_folder
from node.first_bond import FirstBond
from node.holders import Holders
from node.home import Home
from node.identity import load_seed
from node.jobs import JobKeeper
from node.journal import Journal
from node.last_rounds import LastRounds
from node.leases import Leases
from node.ledger import JobView
from node.messages import (
    ALARM_PROTOCOL,
    CUSTODY_PROTOCOL,
    OFFER_PROTOCOL,
    OPENING_PROTOCOL,
    AlarmHeard,
    AskCustody,
    AskOpening,
    Message,
    RaiseAlarm,
    UnitOpening,
)
from node.network_file import NetworkFile
from node.newcomer_audits import NewcomerAudits
from node.openings import Openings, ask_worker
from node.own_hello import OwnHello
from node.own_results import OwnResults
from node.pause_order import Orders
from node.peers import Hello, NetworkName, PeerBook, make_hello, next_sequence
from node.receipts import Receipts
from node.recompute import Recompute
from node.round_memory import RoundMemory
from node.status import EndpointStatus, JobStatus, NodeStatus, TrafficStatus
from node.transfer import fetch, serve_blobs
from node.transport import Transport
from node.trials import Trials
from node.wallet import Signer, recover
from scheduler.blob_ref import BlobRef
from scheduler.terms import Policy

log = logging.getLogger(__name__)

WORKER_MODULE_VARIABLE = "AINUR_WORKER_MODULE"
DEFAULT_MEMORY_BYTES = 4 << 30
DRAIN_S = 30.0
FETCH_S = 600.0
DAY_S = 86_400
SPEED = "speed"
"""Where the journal keeps how fast the last units were: what a restarted node tells of itself."""
DISCOVERY_PACE = Pace(tick_s=1.0, refresh_hungry_s=3.0)


class Daemon:
    """One node. `run` returns when it was asked to stop and has drained."""

    def __init__(
        self, home: Home, config: Config, network: NetworkFile, signer: Signer, version: str
    ) -> None:
        self._home, self._config, self._network = home, config, network
        self._signer, self._version = signer, version
        self._started_at = time.monotonic()
        self._stop = trio.Event()
        self._patience = trio.CancelScope()
        self._seed = load_seed(home.peer_key)

    def stop(self) -> None:
        """Ask the daemon to drain and end."""
        self._stop.set()

    async def run(self, ready: Callable[[NodeStatus], None]) -> None:
        """Run until stopped; `ready` is called once when the node takes part."""
        async with AsyncExitStack() as stack:
            await self._build(stack)
            nursery = await stack.enter_async_context(trio.open_nursery())
            await self._start(nursery)
            ready(self.status())
            await self._stop.wait()
            await self._drain()
            nursery.cancel_scope.cancel()

    # --- Building

    async def _build(self, stack: AsyncExitStack) -> None:
        home, config, network = self._home, self._config, self._network
        for folder in (home.logs, home.store):
            make_private_folder(folder)
        self._journal = stack.enter_context(Journal(home.journal))
        self._store = BlobStore(home.store, config.storage_bytes_max)
        chain = stack.enter_context(
            Chain(
                network,
                self._signer,
                poll_s=config.chain_poll_s / 2,
                gas_price_max_wei=config.gas_price_max_wei,
            )
        )
        self._chain = AsyncChain(chain)
        # An endpoint that is wrong is told at once; one that goes away later is waited for.
        await self._chain.head()
        self._watch = ChainWatch(
            self._chain,
            network.deployment_block,
            config.chain_poll_s,
            network.confirmations,
            stack.enter_context(EventCache(home.events, network_key(network))),
        )
        self._memory_bytes = config.memory_bytes_max or DEFAULT_MEMORY_BYTES
        self._compute = await stack.enter_async_context(
            Compute(
                home.store,
                device=config.device,
                memory_bytes=self._memory_bytes,
                worker_module=os.environ.get(WORKER_MODULE_VARIABLE, "node.worker"),
                log=home.logs / "worker.log",
                fault=home.device_fault,
            )
        )
        self._transport = await stack.enter_async_context(
            Transport(
                self._seed,
                (f"{config.listen_host}:{config.listen_port}",),
                config.announce,
            )
        )
        self._build_peers()
        self._build_services()

    def _build_peers(self) -> None:
        contracts = self._network.contracts
        name = NetworkName(self._network.chain_id, contracts.vault)
        self._book = PeerBook(self._transport.peer_id, name, recover, unix_s, self._journal)

        def hello(addresses: Sequence[str], mflops: int) -> Hello:
            return make_hello(
                name,
                self._seed,
                self._signer.sign_text,
                wallet=self._signer.address,
                addresses=addresses,
                sequence=next_sequence(self._journal, unix_ms()),
                roles=self._config.roles,
                versions=self._network.spec.model_dump(),
                memory_bytes=self._memory_bytes,
                mflops=mflops,
            )

        self._discovery = Discovery(
            self._transport,
            self._book,
            OwnHello(hello, lambda: self._transport.addresses, self._mflops, time.monotonic),
            self._network.bootstrap,
            chance=random.Random(),
            pace=DISCOVERY_PACE,
        )

    def _build_services(self) -> None:
        contracts, wallet = self._network.contracts, self._signer.address
        self._domain = ClaimDomain(self._network.chain_id, contracts.ledger)
        commitments = Commitments(self._journal, wallet, self._seed)
        self._rounds = RoundMemory(self._journal)
        self._own = OwnResults(self._journal, self._store)
        self._jobs = JobKeeper(
            self._watch, self._store, self._journal, self._compute, self._fetch, wallet
        )
        trials = Trials(self._store, self._rounds)
        self._custody = Custody(
            self._signer,
            self._watch,
            self._jobs.held,
            self._journal,
            self._fetch,
            self._wallet_of,
            trials,
        )
        self._holders = Holders(
            self._transport,
            self._book,
            self._fetch,
            self._punish,
            trials,
            lambda wallet: self._watch.ledger.is_active(wallet),
            random.SystemRandom(),
            self._custody.held,
        )
        self._leases = Leases(wallet, self._watch, self._chain, self._jobs, self._begin)
        self._coordinators = Coordinators(
            self._transport,
            self._watch,
            self._book,
            self._leases.active,
            self._rounds,
            self._discovery.ask_again,
            Orders(self._journal),
        )
        self._checkpoints = Checkpoints(
            self._compute,
            self._store,
            self._fetch,
            self._jobs.fetch_windows,
            self._coordinators.sources,
            self._coordinators.ask_round,
            self._holders.fetch_held,
            self._holders.find,
            self._rounds,
            random.SystemRandom(),
            lambda job, round: self._alarms.spread(job, round),
        )
        self._alarms = Alarms(
            self._watch,
            self._jobs.held,
            self._checkpoints,
            self._transport.connected,
            self._raise_alarm,
            self._punish,
        )
        self._last_rounds = LastRounds(
            wallet,
            self._watch,
            self._jobs,
            self._checkpoints,
            self._compute,
            self._store,
            self._journal,
            self._rounds,
        )
        self._recompute = Recompute(self._compute, self._checkpoints)
        self._tasks = Tasks(
            self._watch,
            self._chain,
            self._compute,
            self._recompute,
            self._fetch,
            self._custody,
            self._holders,
            self._transport.connected,
            self._transport.peer_id,
        )
        self._cleaner = Cleaner(
            self._watch,
            self._jobs,
            self._store,
            self._journal,
            self._rounds,
            commitments,
            self._custody,
            lambda: (ref for own in self._leases.active.values() for ref in own.blobs()),
            self._config.keep_days * DAY_S,
        )
        self._duties = Duties(
            wallet,
            self._watch,
            self._chain,
            self._jobs,
            self._recompute,
            commitments,
            self._custody,
            self._config.input_patience_s,
        )
        self._openings = Openings(self._watch, self._chain, commitments)
        self._first_bond = FirstBond(
            wallet,
            self._watch,
            self._chain,
            self._jobs,
            self._recompute,
            commitments,
            NewcomerAudits(self._journal),
            self._ask_worker,
        )
        self._contributor = Contributor(
            self._signer,
            self._watch,
            self._jobs,
            self._duties,
            self._memory_bytes,
            commitments,
            self._domain,
            self._coordinators.ask,
            Receipts(self._journal),
            self._custody,
            self._own,
            self._config.preferred_jobs,
        )

    async def _start(self, nursery: trio.Nursery) -> None:
        nursery.start_soon(self._watch.run)
        await self._watch.caught_up.wait()
        self._jobs.recover()
        serve_blobs(self._transport, self._store, lambda _peer_id, _ref: True)
        for protocol, handle in (
            (OFFER_PROTOCOL, self._jobs.answer_offer),
            (ALARM_PROTOCOL, self._alarms.answer),
            (CUSTODY_PROTOCOL, self._answer_custody),
            (OPENING_PROTOCOL, self._openings.answer),
        ):
            self._transport.serve(protocol, rpc.serve(handle, self._count_fault))
        self._coordinators.serve(self._count_fault)
        nursery.start_soon(self._discovery.run)
        nursery.start_soon(self._alarms.run)
        nursery.start_soon(self._last_rounds.run)
        nursery.start_soon(self._cleaner.run)
        nursery.start_soon(self._jobs.run, self._transport.connected)
        if "coordinate" in self._config.roles:
            nursery.start_soon(self._leases.run)
        nursery.start_soon(self._duties.run, "audit" in self._config.roles)
        if "audit" in self._config.roles:
            nursery.start_soon(self._first_bond.run)
        if "work" in self._config.roles:
            nursery.start_soon(self._contributor.run)
        serving = trio.Event()
        nursery.start_soon(
            serve_api,
            self._home.api,
            self._config.api_port,
            self.status,
            self.job_document,
            self.stop,
            serving,
        )
        nursery.start_soon(self._watch_signals)
        await serving.wait()

    async def _answer_custody(self, peer_id: str, message: Message) -> Message:
        """As the coordinator of the round that is open, else from what this node remembers."""
        if isinstance(message, AskCustody):
            own = self._leases.active.get(bytes.fromhex(message.job_id))
            if own is not None and own.state.round == message.round:
                return own.custody()
        return await self._custody.answer(peer_id, message)

    async def _begin(self, job: JobView) -> Coordination:
        manifest = self._jobs.held[job.job_id]
        root = await self._compute.check_checkpoint(job.manifest, manifest.state)
        return Coordination(
            job,
            manifest,
            self._signer,
            self._transport.peer_id,
            self._watch,
            self._journal,
            self._domain,
            self._tasks,
            self._custody,
            root,
            self._wallet_of,
            self._transport.connected,
            Policy(holders_min=self._config.result_holders),
        )

    # --- Running

    async def _watch_signals(self) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as received:
            async for number in received:
                if self._stop.is_set():
                    log.warning("signal %d again: not waiting for the unit under way", number)
                    self._patience.cancel()
                log.info("signal %d: draining", number)
                self.stop()

    async def _drain(self) -> None:
        self._leases.drain()
        self._contributor.drain()
        if "work" not in self._config.roles:
            return
        with trio.move_on_after(DRAIN_S) as patience:
            self._patience = patience
            await self._contributor.drained.wait()

    async def _fetch(
        self, ref: BlobRef, sources: Sequence[str], chunks: Collection[int] | None = None
    ) -> None:
        await fetch(
            self._transport,
            self._store,
            ref,
            sources,
            chunks=chunks,
            addresses_of=self._book.addresses_of,
            punish=self._punish,
            deadline_s=FETCH_S,
        )

    async def _raise_alarm(self, peer_id: str, alarm: RaiseAlarm) -> None:
        addresses = self._book.addresses_of(peer_id)
        async with await self._transport.open(peer_id, ALARM_PROTOCOL, addresses) as channel:
            await rpc.ask(channel, alarm, AlarmHeard)

    async def _ask_worker(self, worker: str, question: AskOpening) -> UnitOpening:
        return await ask_worker(self._transport, self._book, self._watch.ledger, worker, question)

    def _punish(self, peer_id: str, points: float, reason: str) -> None:
        self._book.punish(peer_id, points, reason)

    def _mflops(self) -> int:
        """10^6 operations a second over the last units, those of earlier days included; 0: none."""
        measured = round(self._compute.gflops * 1000)
        kept = int(self._journal.get(SPEED) or 0)
        if measured and measured != kept:
            self._journal.set(SPEED, str(measured).encode())
        return measured or kept

    def _wallet_of(self, peer_id: str) -> str | None:
        peer = self._book.get(peer_id)
        return peer.hello.wallet if peer is not None and peer.met else None

    def _count_fault(self, peer_id: str, reason: str) -> None:
        self._transport.on_fault(peer_id, reason)

    # --- What people see

    def job_document(self, job_id: str) -> dict[str, object] | None:
        """The progress of a job that this node coordinates, as a document."""
        try:
            coordination = self._leases.active.get(bytes.fromhex(job_id))
        except ValueError:
            return None
        if coordination is None:
            return None
        return dict(json.loads(coordination.progress().document))

    def status(self) -> NodeStatus:
        """The node as it is now."""
        ledger = self._watch.ledger
        tally = ledger.tally(self._signer.address)
        counts = self._contributor.counts
        return NodeStatus(
            version=self._version,
            peer_id=self._transport.peer_id,
            wallet=self._signer.address,
            pid=os.getpid(),
            uptime_s=round(time.monotonic() - self._started_at, 1),
            device=self._compute.device,
            addresses=tuple(self._transport.addresses),
            peers=len(self._transport.connected()),
            bond_wei=tally.bond_wei,
            locked_wei=tally.locked_wei,
            free_wei=tally.free_wei,
            active=tally.active,
            chain_block=ledger.head,
            chain_undone=self._watch.undone,
            endpoints=tuple(
                EndpointStatus(**asdict(endpoint)) for endpoint in self._chain.sync.endpoints()
            ),
            units_computed=counts.units,
            audits_computed=self._duties.counts.audits,
            units_lost=counts.lost,
            rounds_rechecked=self._checkpoints.rechecks,
            flops=self._compute.flops,
            compute_s=round(self._compute.seconds, 3),
            gflops_per_s=round(self._compute.gflops, 3),
            earned_wei=tally.earned_wei,
            claimed_wei=tally.claimed_wei,
            storage_bytes=self._cleaner.used_bytes,
            storage_bytes_max=self._config.storage_bytes_max,
            cleaned_bytes=self._cleaner.freed_bytes,
            draining=self._stop.is_set(),
            activity=self._watch.problem
            or self._duties.counts.problem
            or self._first_bond.activity
            or counts.activity,
            jobs=tuple(self._job_status(job) for job in ledger.jobs.values()),
            traffic=tuple(
                TrafficStatus(protocol=name, sent_bytes=count.sent, received_bytes=count.received)
                for name, count in sorted(self._transport.traffic.items())
            ),
        )

    def _job_status(self, job: JobView) -> JobStatus:
        held = self._jobs.held.get(job.job_id)
        coordination = self._leases.active.get(job.job_id)
        refuted = self._checkpoints.refuted(job)
        if refuted is not None:
            waiting = f"stopped: {refuted.reason}"
        elif coordination is not None:
            waiting = coordination.waiting()
        elif held is None and not job.is_over:
            waiting = self._jobs.problems.get(job.job_id, "its program and data are being fetched")
        else:
            waiting = ""
        return JobStatus(
            job_id=job.job_id.hex(),
            name=held.name if held else "",
            state=str(job.state),
            role="coordinator" if coordination else ("worker" if held else "none"),
            rounds_done=job.open_round,
            rounds_anchored=len(job.anchors),
            rounds=job.rounds,
            slots=job.slots,
            waiting_for=waiting,
        )
