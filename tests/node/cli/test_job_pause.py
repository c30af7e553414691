"""node/cli/job_pause.py: an order counts also where an earlier one had a later serial."""

import pytest

from node.cli.job_pause import TRIES_MAX, tell_peers
from node.errors import BadInput, NodeError, PeerUnreachable
from node.messages import JobProgress, OrderPause
from node.pause_order import StaleOrder, make_order
from node.wallet import Signer

pytestmark = pytest.mark.trio

JOB, SUBMITTER = b"j" * 32, Signer.random()
NOW = 1_000


class Peers:
    """Peers by name; `last`: the order that each knows."""

    def __init__(self, **last: OrderPause) -> None:
        self.last, self.taken = last, list[tuple[str, int]]()

    async def give(self, peer_id: str, order: OrderPause) -> JobProgress | None:
        if peer_id == "gone":
            raise PeerUnreachable("no answer")
        known = self.last.get(peer_id)
        if known is not None and order.serial <= known.serial:
            raise StaleOrder(order.serial, known)
        self.taken.append((peer_id, order.serial))
        return JobProgress(job_id=JOB.hex(), document='{"waiting": "for that"}')

    async def tell(self, *names: str) -> str:
        return await tell_peers(self.give, names, SUBMITTER, JOB, True, NOW)


async def test_order_has_a_serial_above_every_one_that_is_proved() -> None:
    """A clock was hours ahead once: every peer is told again, with one serial."""
    late = make_order(SUBMITTER, JOB, False, NOW + 7), make_order(SUBMITTER, JOB, False, NOW + 50)
    peers = Peers(b=late[0], c=late[1])
    assert await peers.tell("a", "b", "gone", "c") == "for that"
    assert peers.taken == [("a", NOW), *((name, NOW + 51) for name in "abc")]


@pytest.mark.parametrize(
    "claimed",
    [
        make_order(Signer.random(), JOB, False, 2**62),
        make_order(SUBMITTER, b"k" * 32, False, 2**62),
        make_order(SUBMITTER, JOB, False, 1).model_copy(update={"serial": 2**62}),
    ],
    ids=["of another", "of another job", "forged"],
)
async def test_serial_that_is_not_proved_is_not_followed(claimed: OrderPause) -> None:
    """Or a peer could use up the serials of somebody else's job."""
    peers = Peers(liar=claimed)
    assert await peers.tell("liar", "a") == "for that"
    assert peers.taken == [("a", NOW)]
    with pytest.raises(NodeError, match="No peer took"):
        await peers.tell("liar", "gone")


async def test_peers_that_always_know_a_later_order_are_not_followed_for_ever() -> None:
    """The key is in use elsewhere, or they collect: the error says up to which serial."""
    asked = []

    async def give(_peer_id: str, order: OrderPause) -> None:
        asked.append(order.serial)
        raise StaleOrder(order.serial, make_order(SUBMITTER, JOB, False, order.serial + 1))

    with pytest.raises(NodeError, match=f"number {NOW + 2 * TRIES_MAX - 1}"):
        await tell_peers(give, ["a"], SUBMITTER, JOB, True, NOW)
    assert asked == [NOW, NOW + 2, NOW + 4]


async def test_stale_order_names_the_last_serial() -> None:
    """And the one to take."""
    error = StaleOrder(5, make_order(SUBMITTER, JOB, True, 6))
    assert isinstance(error, BadInput)
    assert "serial 5, which is not above the last one, 6." in str(error)
    assert "serial 7" in error.remedy
