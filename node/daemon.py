"""The daemon: one process that is a node.

Opens what the node stands on (node/ground.py), reaches its peers (node/outreach.py) and runs the
services (node/services.py) and the local API side by side. A signal drains: no new work, the unit
under way is finished, then everything is closed. What was acknowledged is in the journal or on the
chain, so kill -9 at any time costs only the unit under way.
"""

import logging
import signal
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

import trio

from node.api import serve_api
from node.config import Config
from node.ground import Ground, open_ground
from node.home import Home
from node.network_file import NetworkFile
from node.outreach import Outreach
from node.own_status import OwnStatus
from node.services import Services
from node.status import NodeStatus
from node.wallet import Signer

log = logging.getLogger(__name__)

DRAIN_S = 30.0


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

    def stop(self) -> None:
        """Ask the daemon to drain and end."""
        self._stop.set()

    async def run(self, ready: Callable[[NodeStatus], None]) -> None:
        """Run until stopped; `ready` is called once when the node takes part."""
        async with AsyncExitStack() as stack:
            ground = await open_ground(stack, self._home, self._config, self._network, self._signer)
            outreach = Outreach(ground)
            services = Services(ground, outreach)
            own = OwnStatus(self._version, self._started_at, ground, services, self._stop.is_set)
            nursery = await stack.enter_async_context(trio.open_nursery())
            await self._start(nursery, ground, outreach, services)
            await self._show(nursery, own)
            ready(own.status())
            await self._stop.wait()
            await self._drain(services)
            nursery.cancel_scope.cancel()

    async def _start(
        self, nursery: trio.Nursery, ground: Ground, outreach: Outreach, services: Services
    ) -> None:
        nursery.start_soon(ground.watch.run)
        await ground.watch.caught_up.wait()
        services.recover()
        services.serve()
        nursery.start_soon(outreach.discovery.run)
        services.start(nursery)

    async def _show(self, nursery: trio.Nursery, own: OwnStatus) -> None:
        """Serve the local API and hear signals."""
        serving = trio.Event()
        nursery.start_soon(
            serve_api,
            self._home.api,
            self._config.api_port,
            own.status,
            own.job_document,
            self.stop,
            serving,
        )
        nursery.start_soon(self._watch_signals)
        await serving.wait()

    async def _watch_signals(self) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as received:
            async for number in received:
                if self._stop.is_set():
                    log.warning("signal %d again: not waiting for the unit under way", number)
                    self._patience.cancel()
                log.info("signal %d: draining", number)
                self.stop()

    async def _drain(self, services: Services) -> None:
        services.leases.drain()
        services.contributor.drain()
        if "work" not in self._config.roles:
            return
        with trio.move_on_after(DRAIN_S) as patience:
            self._patience = patience
            await services.contributor.drained.wait()
