"""node/client.py: how a submitter hands a job over."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from node.client import Client
from node.errors import PeerUnreachable
from node.messages import JobHeld, OfferJob
from scheduler.blob_ref import BlobRef

JOB = b"j" * 32
PEERS = [f"peer-{number}" for number in range(9)]


class Peers:
    """Peers that hold what they are offered, but for some that refuse and some that are silent."""

    def __init__(self, refusing: set[str], silent: set[str]) -> None:
        self.refusing, self.silent = refusing, silent
        self.asked: list[str] = []
        self.at_once = self.most_at_once = 0

    async def ask(self, peer_id: str, _protocol: str, _request: OfferJob) -> JobHeld:
        self.asked.append(peer_id)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await trio.sleep(1.0 if peer_id not in self.silent else 1e6)
            if peer_id in self.refusing:
                raise PeerUnreachable("not now")
            return JobHeld(job_id=JOB.hex(), wallet="0x" + "1" * 40)
        finally:
            self.at_once -= 1


async def offer(peers: Peers) -> tuple[int, list[str]]:
    """Three holders are wanted of nine peers: how many there are, and who refused."""
    refused: list[str] = []
    client = cast(Any, SimpleNamespace(_ask=peers.ask))
    count = await Client.offer(
        client,
        JOB,
        BlobRef.of(b""),
        PEERS,
        3,
        lambda *_: None,
        lambda peer, _: refused.append(peer),
    )
    return count, refused


@pytest.mark.trio
async def test_no_more_peers_are_asked_than_needed(autojump_clock: object) -> None:
    """Each fetches all data from the submitter; four at a time for three holders."""
    peers = Peers(set(), set())
    assert await offer(peers) == (3, [])
    assert peers.most_at_once == 4


@pytest.mark.trio
async def test_refusals_and_silence_are_made_up_for(autojump_clock: object) -> None:
    """The next peers are asked; one that says nothing holds up nobody."""
    peers = Peers(set(PEERS[:4]), {PEERS[5]})
    count, refused = await offer(peers)
    assert count == 3
    assert set(refused) <= set(PEERS[:4])
    assert peers.most_at_once == 4


@pytest.mark.trio
async def test_everybody_is_asked_before_it_is_given_up(autojump_clock: object) -> None:
    """Two of nine hold it: that is told, not waited for."""
    peers = Peers(set(PEERS[2:]), set())
    count, refused = await offer(peers)
    assert (count, set(refused)) == (2, set(PEERS[2:]))
    assert sorted(peers.asked) == PEERS
