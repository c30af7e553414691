"""`ainur job pause` and `resume`: tell the job's coordinator, with the submitter's signature."""

import json
from typing import TYPE_CHECKING

import trio

from node.cli.job_watch import _client
from node.clock import unix_ms
from node.errors import BadInput, NodeError
from node.network_file import NetworkFile
from node.pause_order import make_order

if TYPE_CHECKING:
    from node.ledger import JobView
    from node.wallet import Signer


def order_pause(network: NetworkFile, view: "JobView", signer: "Signer", paused: bool) -> str:
    """Give the order to the job's coordinator; what the job waits for now."""
    if view.submitter != signer.address:
        raise BadInput(f"The job belongs to {view.submitter}, not to {signer.address}.")
    if not view.holder:
        raise NodeError("No node coordinates this job now.", "Try again when one has its lease.")
    order = make_order(signer, view.job_id, paused, unix_ms())

    async def tell() -> str:
        async with _client(network) as client:
            await client.find_peers(64, 5.0)
            for peer in client.book.by_wallet(view.holder):
                answer = await client.order_pause(peer.hello.peer_id, order)
                return str(json.loads(answer.document)["waiting"])
        raise NodeError(f"The coordinator {view.holder} is not among the known peers.")

    return trio.run(tell)
