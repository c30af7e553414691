"""`ainur job pause` and `resume`: tell the job's peers, with the submitter's signature."""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import trio

from node import bounded_json
from node.cli.job_watch import _client
from node.clock import unix_ms
from node.errors import BadInput, NodeError, PeerFault, PeerUnreachable
from node.network_file import NetworkFile
from node.pause_order import StaleOrder, make_order, read_order

if TYPE_CHECKING:
    from node.ledger import JobView
    from node.messages import JobProgress, OrderPause
    from node.wallet import Signer

TRIES_MAX = 3
"""How often the serial is raised: whoever knows a later order tells it at the first try."""

Give = Callable[[str, "OrderPause"], Awaitable["JobProgress | None"]]
"""Give an order to a peer: `Client.order_pause`."""


def order_pause(network: NetworkFile, view: "JobView", signer: "Signer", paused: bool) -> str:
    """Give the order to every peer that answers; what the job waits for now.

    Its coordinator obeys at once, the others keep the order for when they coordinate the job.
    """
    if view.submitter != signer.address:
        raise BadInput(f"The job belongs to {view.submitter}, not to {signer.address}.")

    async def tell() -> str:
        async with _client(network) as client:
            peers = await client.find_peers(64, 5.0)
            return await tell_peers(
                client.order_pause, peers, signer, view.job_id, paused, unix_ms()
            )

    return trio.run(tell)


async def tell_peers(
    give: Give, peers: Sequence[str], signer: "Signer", job_id: bytes, paused: bool, serial: int
) -> str:
    """Give the order to these peers, with a serial above every earlier one that they prove.

    What the job waits for, or how many peers know the order. NodeError if none does.
    """
    for _ in range(TRIES_MAX):
        order = make_order(signer, job_id, paused, serial)
        waiting, kept, last = "", 0, serial - 1
        for peer_id in peers:
            with contextlib.suppress(PeerUnreachable, PeerFault):
                try:
                    answer = await give(peer_id, order)
                except StaleOrder as error:
                    if _is_own(error.last, order, signer.address):
                        last = max(last, error.last.serial)
                    continue
                kept += 1
                if answer is not None:
                    waiting = str(bounded_json.loads(answer.document)["waiting"])
        if last < serial:
            break
        serial = last + 1
    else:
        raise NodeError(f"Peers know later orders than number {last}.", "Try again.")
    if not kept:
        raise NodeError("No peer took the order.", "Try again when peers are online.")
    return waiting or f"{kept} peers know it, the coordinator is not among them"


def _is_own(last: "OrderPause", order: "OrderPause", submitter: str) -> bool:
    """Whether the submitter gave that order for this job: a peer's word alone counts nothing."""
    return last.job_id == order.job_id and read_order(last, submitter) is not None
