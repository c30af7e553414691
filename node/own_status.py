"""What a daemon says of itself: the status that people see, read from its parts at that moment."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict

from node.ground import Ground
from node.ledger import JobView
from node.services import Services
from node.status import EndpointStatus, JobStatus, NodeStatus, TokenStatus, TrafficStatus


class OwnStatus:
    """Reads one node. `draining` says whether it was asked to stop; `started_at` is monotonic."""

    def __init__(
        self,
        version: str,
        started_at: float,
        ground: Ground,
        services: Services,
        draining: Callable[[], bool],
    ) -> None:
        self._version, self._started_at, self._draining = version, started_at, draining
        self._ground, self._services = ground, services

    def job_document(self, job_id: str) -> dict[str, object] | None:
        """The progress of a job that this node coordinates, as a document."""
        try:
            coordination = self._services.leases.active.get(bytes.fromhex(job_id))
        except ValueError:
            return None
        if coordination is None:
            return None
        return dict(json.loads(coordination.progress().document))

    def status(self) -> NodeStatus:
        """The node as it is now."""
        ground, services, compute = self._ground, self._services, self._ground.compute
        ledger, counts = ground.watch.ledger, services.contributor.counts
        tally = ledger.tally(ground.signer.address)
        network_token = ground.network.contracts.token
        return NodeStatus(
            version=self._version,
            peer_id=ground.transport.peer_id,
            wallet=ground.signer.address,
            pid=os.getpid(),
            uptime_s=round(time.monotonic() - self._started_at, 1),
            device=compute.device,
            addresses=tuple(ground.transport.addresses),
            peers=len(ground.transport.connected()),
            bond_wei=tally.bond_wei,
            locked_wei=tally.locked_wei,
            free_wei=tally.free_wei,
            active=tally.active,
            chain_block=ledger.head,
            chain_undone=ground.watch.undone,
            endpoints=self._endpoints(),
            units_computed=counts.units,
            audits_computed=services.duties.counts.audits,
            units_lost=counts.lost,
            rounds_rechecked=services.checkpoints.rechecks,
            flops=compute.flops,
            compute_s=round(compute.seconds, 3),
            gflops_per_s=round(compute.gflops, 3),
            earned_wei=tally.earned[network_token],
            claimed_wei=tally.claimed[network_token],
            tokens=tuple(
                TokenStatus(address=token, earned=earned, claimed=tally.claimed[token])
                for token, earned in sorted(tally.earned.items())
                if token != network_token
            ),
            storage_bytes=services.cleaner.used_bytes,
            storage_bytes_max=ground.config.storage_bytes_max,
            cleaned_bytes=services.cleaner.freed_bytes,
            draining=self._draining(),
            activity=self._activity(),
            jobs=tuple(self._job(job) for job in ledger.jobs.values()),
            traffic=self._traffic(),
        )

    def _endpoints(self) -> tuple[EndpointStatus, ...]:
        endpoints = self._ground.chain.sync.endpoints()
        return tuple(EndpointStatus(**asdict(endpoint)) for endpoint in endpoints)

    def _activity(self) -> str:
        """What the node does, or the first reason why it does nothing."""
        services = self._services
        return (
            self._ground.watch.problem
            or services.duties.counts.problem
            or services.first_bond.activity
            or services.contributor.counts.activity
        )

    def _traffic(self) -> tuple[TrafficStatus, ...]:
        return tuple(
            TrafficStatus(protocol=name, sent_bytes=count.sent, received_bytes=count.received)
            for name, count in sorted(self._ground.transport.traffic.items())
        )

    def _job(self, job: JobView) -> JobStatus:
        held = self._services.jobs.held.get(job.job_id)
        return JobStatus(
            job_id=job.job_id.hex(),
            name=held.name if held else "",
            state=str(job.state),
            role=self._role(job),
            rounds_done=job.open_round,
            rounds_anchored=len(job.anchors),
            rounds=job.rounds,
            slots=job.slots,
            waiting_for=self._waiting_for(job),
        )

    def _role(self, job: JobView) -> str:
        services = self._services
        if job.job_id in services.leases.active:
            return "coordinator"
        if job.job_id not in services.jobs.held:
            return "none"
        return "auditor" if services.jobs.why_left(job) else "worker"

    def _waiting_for(self, job: JobView) -> str:
        """Why nothing happens in a job, empty where something does."""
        services = self._services
        coordination = services.leases.active.get(job.job_id)
        refuted = services.checkpoints.refuted(job)
        if refuted is not None:
            return f"stopped: {refuted.reason}"
        if coordination is not None:
            return coordination.waiting()
        if job.is_over:
            return ""
        if job.job_id not in services.jobs.held:
            return services.jobs.problems.get(job.job_id, "its program and data are being fetched")
        return services.jobs.why_left(job)
