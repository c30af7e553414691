"""Follows a chain with a cache, two blocks at a time, and tells how far it is: to be killed.

python follower.py NETWORK_FILE CACHE
"""

import sys
from pathlib import Path

import trio

from node.chain import AsyncChain, Chain, client
from node.chain_watch import ChainWatch
from node.event_cache import EventCache, network_key
from node.network_file import load_network


async def main() -> None:
    client.LOG_BLOCKS_MAX = 2
    network = load_network(Path(sys.argv[1]))
    with Chain(network) as chain, EventCache(Path(sys.argv[2]), network_key(network)) as cache:
        watch = ChainWatch(AsyncChain(chain), network.deployment_block, 0.01, cache=cache)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch.run)
            while True:
                await watch.changed(0.01)
                print(watch.ledger.head, flush=True)


trio.run(main)
