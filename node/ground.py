"""What a node stands on: opened once, in this order, and closed with the daemon.

Journal, store and event cache are files of its home folder; the chain, the worker process and the
transport reach outside it. Nothing here knows what they are used for.
"""

import os
from contextlib import AsyncExitStack
from dataclasses import dataclass

from node.blobs import BlobStore
from node.chain import AsyncChain, Chain
from node.chain_watch import ChainWatch
from node.compute import Compute
from node.config import Config
from node.event_cache import EventCache, network_key
from node.files import make_private_folder
from node.home import Home
from node.identity import load_seed
from node.journal import Journal
from node.network_file import NetworkFile
from node.transport import Transport
from node.wallet import Signer

WORKER_MODULE_VARIABLE = "AINUR_WORKER_MODULE"
DEFAULT_MEMORY_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class Ground:
    """A node's own means. `seed` is that of its peer key; its device may use `memory_bytes`."""

    config: Config
    network: NetworkFile
    signer: Signer
    seed: bytes
    memory_bytes: int
    journal: Journal
    store: BlobStore
    chain: AsyncChain
    watch: ChainWatch
    compute: Compute
    transport: Transport


async def open_ground(
    stack: AsyncExitStack, home: Home, config: Config, network: NetworkFile, signer: Signer
) -> Ground:
    """Open everything; `stack` closes it. NodeError of whichever cannot be opened."""
    seed = load_seed(home.peer_key)
    for folder in (home.logs, home.store):
        make_private_folder(folder)
    memory_bytes = config.memory_bytes_max or DEFAULT_MEMORY_BYTES
    journal = stack.enter_context(Journal(home.journal))
    store = BlobStore(home.store, config.storage_bytes_max)
    chain = await _open_chain(stack, config, network, signer)
    watch = ChainWatch(
        chain,
        network.deployment_block,
        config.chain_poll_s,
        network.confirmations,
        stack.enter_context(EventCache(home.events, network_key(network))),
    )
    compute = await _open_compute(stack, home, config, memory_bytes)
    listen = (f"{config.listen_host}:{config.listen_port}",)
    transport = await stack.enter_async_context(Transport(seed, listen, config.announce))
    return Ground(
        config,
        network,
        signer,
        seed,
        memory_bytes,
        journal,
        store,
        chain,
        watch,
        compute,
        transport,
    )


async def _open_chain(
    stack: AsyncExitStack, config: Config, network: NetworkFile, signer: Signer
) -> AsyncChain:
    chain = AsyncChain(
        stack.enter_context(
            Chain(
                network,
                signer,
                poll_s=config.chain_poll_s / 2,
                gas_price_max_wei=config.gas_price_max_wei,
            )
        )
    )
    # An endpoint that is wrong is told at once; one that goes away later is waited for.
    await chain.head()
    return chain


async def _open_compute(
    stack: AsyncExitStack, home: Home, config: Config, memory_bytes: int
) -> Compute:
    return await stack.enter_async_context(
        Compute(
            home.store,
            device=config.device,
            memory_bytes=memory_bytes,
            worker_module=os.environ.get(WORKER_MODULE_VARIABLE, "node.worker"),
            log=home.logs / "worker.log",
            fault=home.device_fault,
        )
    )
