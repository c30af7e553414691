"""What a node does, each service given what it needs of the others:

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

They know each other only through what they are given here.
"""

import random

import trio

from node import rpc
from node.alarms import Alarms
from node.checkpoints import Checkpoints
from node.claim_signature import ClaimDomain
from node.cleaning import Cleaner
from node.commitments import Commitments
from node.contributor import Contributor
from node.coordination import Coordination
from node.coordination_tasks import Tasks
from node.coordinators import Coordinators
from node.custody import Custody
from node.duties import Duties
from node.first_bond import FirstBond
from node.ground import Ground
from node.holders import Holders
from node.jobs import JobKeeper
from node.last_rounds import LastRounds
from node.leases import Leases
from node.ledger import JobView
from node.messages import (
    ALARM_PROTOCOL,
    CUSTODY_PROTOCOL,
    OFFER_PROTOCOL,
    OPENING_PROTOCOL,
    AskCustody,
    Message,
)
from node.newcomer_audits import NewcomerAudits
from node.openings import Openings
from node.outreach import Outreach
from node.own_results import OwnResults
from node.pause_order import Orders
from node.receipts import Receipts
from node.recompute import Recompute
from node.round_memory import RoundMemory
from node.transfer import serve_blobs
from node.trials import Trials
from scheduler.terms import Policy

DAY_S = 86_400


class Services:
    """The services of one node. `recover`, `serve` and `start` once, in this order."""

    def __init__(self, ground: Ground, outreach: Outreach) -> None:
        self._ground, self._outreach = ground, outreach
        self._wallet = ground.signer.address
        self._domain = ClaimDomain(ground.network.chain_id, ground.network.contracts.ledger)
        self._commitments = Commitments(ground.journal, self._wallet, ground.seed)
        self._rounds = RoundMemory(ground.journal)
        self._build_holding()
        self._build_coordinators()
        self._build_checkpoints()
        self._build_coordinating()
        self._build_auditing()
        self._build_contributor()
        self._build_cleaner()

    def _build_holding(self) -> None:
        ground, outreach = self._ground, self._outreach
        watch, journal, fetch = ground.watch, ground.journal, outreach.fetch
        trials = Trials(ground.store, self._rounds)
        self.jobs = JobKeeper(
            watch,
            ground.store,
            journal,
            ground.compute,
            fetch,
            self._wallet,
            ground.config.accepted_tokens,
        )
        held = self.jobs.held
        self._custody = Custody(
            ground.signer, watch, held, journal, fetch, outreach.wallet_of, trials
        )
        self._holders = Holders(
            ground.transport,
            outreach.book,
            fetch,
            outreach.punish,
            trials,
            lambda wallet: watch.ledger.is_active(wallet),
            random.SystemRandom(),
            self._custody.held,
        )

    def _build_coordinators(self) -> None:
        ground, outreach = self._ground, self._outreach
        watch, begin = ground.watch, self._begin_coordination
        self.leases = Leases(self._wallet, watch, ground.chain, self.jobs, begin)
        self._coordinators = Coordinators(
            ground.transport,
            watch,
            outreach.book,
            self.leases.active,
            self._rounds,
            outreach.discovery.ask_again,
            Orders(ground.journal),
        )

    def _build_checkpoints(self) -> None:
        ground, outreach = self._ground, self._outreach
        watch, compute, store = ground.watch, ground.compute, ground.store
        self.checkpoints = Checkpoints(
            compute,
            store,
            outreach.fetch,
            self.jobs.fetch_windows,
            self._coordinators.sources,
            self._coordinators.ask_round,
            self._holders.fetch_held,
            self._holders.find,
            self._rounds,
            random.SystemRandom(),
            lambda job, round: self._alarms.spread(job, round),
        )
        checkpoints, jobs = self.checkpoints, self.jobs
        connected, tell = ground.transport.connected, outreach.raise_alarm
        self._alarms = Alarms(watch, jobs.held, checkpoints, connected, tell, outreach.punish)
        self._last_rounds = LastRounds(
            self._wallet, watch, jobs, checkpoints, compute, store, ground.journal, self._rounds
        )

    def _build_coordinating(self) -> None:
        ground = self._ground
        self._recompute = Recompute(ground.compute, self.checkpoints)
        self._tasks = Tasks(
            ground.watch,
            ground.chain,
            ground.compute,
            self._recompute,
            self._outreach.fetch,
            self._custody,
            self._holders,
            ground.transport.connected,
            ground.transport.peer_id,
        )

    def _build_auditing(self) -> None:
        ground, commitments = self._ground, self._commitments
        watch, chain = ground.watch, ground.chain
        self.duties = Duties(
            self._wallet,
            watch,
            chain,
            self.jobs,
            self._recompute,
            commitments,
            self._custody,
            ground.config.input_patience_s,
        )
        self._openings = Openings(watch, chain, commitments)
        self.first_bond = FirstBond(
            self._wallet,
            watch,
            chain,
            self.jobs,
            self._recompute,
            commitments,
            NewcomerAudits(ground.journal),
            self._outreach.ask_worker,
        )

    def _build_contributor(self) -> None:
        ground = self._ground
        self.contributor = Contributor(
            ground.signer,
            ground.watch,
            self.jobs,
            self.duties,
            ground.memory_bytes,
            self._commitments,
            self._domain,
            self._coordinators.ask,
            Receipts(ground.journal),
            self._custody,
            OwnResults(ground.journal, ground.store),
            ground.config.preferred_jobs,
        )

    def _build_cleaner(self) -> None:
        ground = self._ground
        self.cleaner = Cleaner(
            ground.watch,
            self.jobs,
            ground.store,
            ground.journal,
            self._rounds,
            self._commitments,
            self._custody,
            lambda: (ref for own in self.leases.active.values() for ref in own.blobs()),
            ground.config.keep_days * DAY_S,
        )

    def recover(self) -> None:
        """Know again what this node held before it was stopped."""
        self.jobs.recover()

    def serve(self) -> None:
        """Answer peers."""
        transport, count_fault = self._ground.transport, self._outreach.count_fault
        serve_blobs(transport, self._ground.store, lambda _peer_id, _ref: True)
        for protocol, handle in (
            (OFFER_PROTOCOL, self.jobs.answer_offer),
            (ALARM_PROTOCOL, self._alarms.answer),
            (CUSTODY_PROTOCOL, self._answer_custody),
            (OPENING_PROTOCOL, self._openings.answer),
        ):
            transport.serve(protocol, rpc.serve(handle, count_fault))
        self._coordinators.serve(count_fault)

    def start(self, nursery: trio.Nursery) -> None:
        """Begin what the configured roles allow; the nursery's end is theirs."""
        roles = self._ground.config.roles
        nursery.start_soon(self._alarms.run)
        nursery.start_soon(self._last_rounds.run)
        nursery.start_soon(self.cleaner.run)
        nursery.start_soon(self.jobs.run, self._ground.transport.connected)
        if "coordinate" in roles:
            nursery.start_soon(self.leases.run)
        nursery.start_soon(self.duties.run, "audit" in roles)
        if "audit" in roles:
            nursery.start_soon(self.first_bond.run)
        if "work" in roles:
            nursery.start_soon(self.contributor.run)

    async def _answer_custody(self, peer_id: str, message: Message) -> Message:
        """As the coordinator of the round that is open, else from what this node remembers."""
        if isinstance(message, AskCustody):
            own = self.leases.active.get(bytes.fromhex(message.job_id))
            if own is not None and own.state.round == message.round:
                return own.custody()
        return await self._custody.answer(peer_id, message)

    async def _begin_coordination(self, job: JobView) -> Coordination:
        ground, manifest = self._ground, self.jobs.held[job.job_id]
        root = await ground.compute.check_checkpoint(job.manifest, manifest.state)
        return Coordination(
            job,
            manifest,
            ground.signer,
            ground.transport.peer_id,
            ground.watch,
            ground.journal,
            self._domain,
            self._tasks,
            self._custody,
            root,
            self._outreach.wallet_of,
            ground.transport.connected,
            Policy(holders_min=ground.config.result_holders),
        )
