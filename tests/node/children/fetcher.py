"""Fetches a blob into a store, printing how many bytes are here whenever that grows.

Usage: fetcher.py STORE ROOT SIZE ADDRESS. Made to be killed half way.
"""

import secrets
import sys
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).parents[3]))

from node.blobs import BlobStore
from node.transfer import fetch
from node.transport import Transport
from scheduler.blob_ref import BlobRef


async def main(store: str, root: str, size: str, address: str) -> None:
    async with Transport(secrets.token_bytes(32)) as transport:
        await fetch(
            transport,
            BlobStore(store),
            BlobRef(root=root, size=int(size)),
            [address.rpartition("/")[2]],
            addresses_of=lambda _peer: [address],
            progress=lambda here, _all: print(here, flush=True),
        )


trio.run(main, *sys.argv[1:])
