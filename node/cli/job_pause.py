"""`ainur job pause` and `resume`: tell the job's peers, with the submitter's signature."""

import contextlib
import json
from typing import TYPE_CHECKING

import trio

from node.cli.job_watch import _client
from node.clock import unix_ms
from node.errors import BadInput, NodeError, PeerFault, PeerUnreachable
from node.network_file import NetworkFile
from node.pause_order import make_order

if TYPE_CHECKING:
    from node.ledger import JobView
    from node.wallet import Signer


def order_pause(network: NetworkFile, view: "JobView", signer: "Signer", paused: bool) -> str:
    """Give the order to every peer that answers; what the job waits for now.

    Its coordinator obeys at once, the others keep the order for when they coordinate the job.
    """
    if view.submitter != signer.address:
        raise BadInput(f"The job belongs to {view.submitter}, not to {signer.address}.")
    order = make_order(signer, view.job_id, paused, unix_ms())

    async def tell() -> str:
        async with _client(network) as client:
            waiting, kept = "", 0
            for peer_id in await client.find_peers(64, 5.0):
                with contextlib.suppress(PeerUnreachable, PeerFault):
                    answer = await client.order_pause(peer_id, order)
                    kept += 1
                    if answer is not None:
                        waiting = str(json.loads(answer.document)["waiting"])
        if not kept:
            raise NodeError("No peer took the order.", "Try again when peers are online.")
        return waiting or f"{kept} peers know it, the coordinator is not among them"

    return trio.run(tell)
