"""A relay that makes distance: `python -m benchmarks.links.relay DELAY_MS FROM=TO...`.

Takes TCP connections at every FROM (HOST:PORT), makes one to its TO, and hands on what comes in
either direction DELAY_MS later, in order. It reads no further ahead than PIECES_MAX pieces, so that
a sender is slowed down by who receives and not by this process's memory.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import trio

PIECE_BYTES = 64 * 1024
PIECES_MAX = 128
"""On the way in each direction: 8 MiB, many times what 100 Mbit/s carry in the delay."""

Broken = (trio.BrokenResourceError, trio.ClosedResourceError)


@dataclass(frozen=True, slots=True)
class Route:
    """Where to listen, and where to connect to."""

    host: str
    port: int
    to_host: str
    to_port: int

    @classmethod
    def parse(cls, text: str) -> "Route":
        """HOST:PORT=HOST:PORT. ValueError for anything else."""
        (host, port), (to_host, to_port) = (end.rsplit(":", 1) for end in text.split("=", 1))
        return cls(host, int(port), to_host, int(to_port))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}={self.to_host}:{self.to_port}"


async def carry(source: trio.SocketStream, target: trio.SocketStream, delay_s: float) -> None:
    """Hand on what comes from one side until it ends, then end the other."""
    send, receive = trio.open_memory_channel[tuple[float, bytes]](PIECES_MAX)

    async def read() -> None:
        async with send:
            try:
                while data := await source.receive_some(PIECE_BYTES):
                    await send.send((trio.current_time() + delay_s, bytes(data)))
            except Broken:
                return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        try:
            async with receive:
                async for due, data in receive:
                    await trio.sleep_until(due)
                    await target.send_all(data)
            await target.send_eof()
        except Broken:
            nursery.cancel_scope.cancel()


async def join(client: trio.SocketStream, route: Route, delay_s: float) -> None:
    """One connection, both directions; whoever cannot be reached is told by a closed connection."""
    try:
        server = await trio.open_tcp_stream(route.to_host, route.to_port)
    except OSError:
        return
    async with client, server, trio.open_nursery() as nursery:
        nursery.start_soon(carry, client, server, delay_s)
        nursery.start_soon(carry, server, client, delay_s)


async def relay(
    routes: Sequence[Route], delay_s: float, ready: Callable[[], None] = lambda: None
) -> None:
    """Serve all routes for ever; `ready` is called when all are listened on."""
    async with trio.open_nursery() as nursery:
        for route in routes:
            handler = partial(join, route=route, delay_s=delay_s)
            listeners = await trio.open_tcp_listeners(route.port, host=route.host)
            nursery.start_soon(trio.serve_listeners, handler, listeners)
        ready()


if __name__ == "__main__":
    trio.run(
        relay,
        [Route.parse(text) for text in sys.argv[2:]],
        float(sys.argv[1]) / 1000,
        lambda: print("ready", flush=True),
    )
