"""A peer in a process of its own: echoes on /echo/0, counts bytes on /sink/0, serves blobs.

Usage: peer.py STORE. Prints its address, then serves until killed.
"""

import secrets
import sys
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).parents[3]))

from node.blobs import BlobStore
from node.channel import Channel
from node.transfer import serve_blobs
from node.transport import Transport


async def echo(channel: Channel) -> None:
    while True:
        await channel.send(await channel.receive())


async def babble(channel: Channel) -> None:
    while True:
        await channel.send(b"x" * 100_000)


async def main(store: str) -> None:
    async with Transport(secrets.token_bytes(32)) as transport:
        transport.serve("/echo/0", echo)
        transport.serve("/babble/0", babble)
        serve_blobs(transport, BlobStore(store), lambda _peer, _ref: True)
        print(transport.addresses[0], flush=True)
        await trio.sleep_forever()


trio.run(main, sys.argv[1])
