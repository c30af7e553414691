"""benchmarks/links: what makes distance, and how a round's time is divided."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import trio

from benchmarks.links.measure import (
    Computed,
    Seen,
    processor_wait,
    read_computed,
    round_times,
)
from benchmarks.links.relay import Route, relay
from node.chain import events as on_chain
from node.ledger import JobView

JOB, PLACE = b"j" * 32, on_chain.Place(1, 0, b"")


@pytest.mark.trio
async def test_relay_hands_everything_on_in_order_and_late() -> None:
    """There and back takes twice the delay; an end passes through."""
    delay_s = 0.05

    async def echo(stream: trio.SocketStream) -> None:
        async with stream:
            while data := await stream.receive_some(1 << 16):
                await stream.send_all(data)

    server = await trio.open_tcp_listeners(0, host="127.0.0.1")
    entry = await trio.open_tcp_listeners(0, host="127.0.0.1")
    to_port, port = (end[0].socket.getsockname()[1] for end in (server, entry))
    await entry[0].aclose()
    ready = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, echo, server)
        route = Route.parse(f"127.0.0.1:{port}=127.0.0.1:{to_port}")
        nursery.start_soon(relay, [route], delay_s, ready.set)
        await ready.wait()
        sent = bytes(range(256)) * 4096
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            started = trio.current_time()
            nursery.start_soon(_send, stream, sent)
            got = b""
            while data := await stream.receive_some(1 << 16):
                got += data
        assert got == sent
        assert trio.current_time() - started >= 2 * delay_s
        nursery.cancel_scope.cancel()


async def _send(stream: trio.SocketStream, data: bytes) -> None:
    await stream.send_all(data)
    await stream.send_eof()


def test_round_is_divided_into_computing_and_the_rest() -> None:
    """What a worker computed before the round does not count for it, nor a copy for nothing."""
    seen = Seen(ends={0: 100.0, 1: 170.0}, commits={1: 166.0})
    workers = {
        "a": [Computed("unit", 0, 0, 20.0, 80.0), Computed("unit", 1, 0, 102.0, 162.0)],
        "b": [Computed("audit", 0, 0, 90.0, 104.0), Computed("unit", 1, 1, 104.0, 164.0)],
        "c": [Computed("unit", 1, 1, 163.0, 169.0)],
    }
    times = round_times(1, seen, workers)
    assert times.seconds == 70
    assert times.computing == (60.0, 64.0, 0.0)
    assert times.utilisation == pytest.approx(124 / 3 / 70)
    assert (times.begun_s, times.commit_s, times.closing_s) == (3.0, 2.0, 6.0)


def test_round_ends_with_its_first_checkpoint_that_was_not_withdrawn() -> None:
    """Anchored or final, whichever was first seen; of a withdrawn anchor nothing is left."""
    job, seen = SimpleNamespace(log=[]), Seen()
    anchor, final = ((JOB, n, b"c" * 32, b"b" * 32, 9) for n in (0, 1))
    for now, event in (
        (1.0, on_chain.RoundAnchored(PLACE, *anchor)),
        (2.0, on_chain.RoundAnchored(PLACE, *final)),
        (3.0, on_chain.AnchorsWithdrawn(PLACE, JOB, 1, 2)),
        (4.0, on_chain.RoundFinalized(PLACE, *anchor, 0)),
        (5.0, on_chain.RoundFinalized(PLACE, *final, 0)),
    ):
        job.log.append(event)
        seen.look(cast(JobView, job), now)
    assert seen.ends == {0: 1.0, 1: 5.0}


def test_only_what_was_finished_is_read(tmp_path: Path) -> None:
    """A unit that was cut off has a start and no end."""
    path = tmp_path / "units.jsonl"
    place = {"kind": "unit", "round": 0, "slot": 1}
    lines = [
        {"at": 1.0, "event": "start", **place},
        {"at": 2.0, "event": "start", **place},
        {"at": 5.0, "event": "end", **place},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert list(read_computed(path)) == [Computed("unit", 0, 1, 2.0, 5.0)]
    assert list(read_computed(tmp_path / "absent")) == []


def test_waiting_for_a_processor_is_told_as_a_share(tmp_path: Path) -> None:
    """Over all threads of all processes, as the kernel counts them."""
    for process, thread, counted in ((1, 1, "30 10 5"), (1, 2, "10 20 5"), (2, 2, "10 120 1")):
        folder = tmp_path / str(process) / "task" / str(thread)
        folder.mkdir(parents=True)
        (folder / "schedstat").write_text(counted)
    assert processor_wait([1, 2], tmp_path) == 0.75
    assert processor_wait([], tmp_path) == 0.0
    assert 0.0 <= processor_wait([os.getpid()]) <= 1.0
