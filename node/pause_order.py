"""A submitter's order to pause its job, or to go on: off the chain, signed by its wallet.

The chain knows no pause, so the order binds only coordinators that know it, and the deadline does
not wait. Every peer that is told keeps the latest one, for when it comes to coordinate the job
itself. Its authority is the signature (EIP-191) of the wallet that funded the job over

    ainur order v0 pause JOB_ID SERIAL        (or resume)

The job id names chain, escrow and submitter. Serials grow, so that nobody can give an old order
again. The commands take the time in milliseconds; where a clock was ahead once, that is not above
the last one. Such an order is refused with the last one, whose signature proves its serial.
"""

from node import messages
from node.errors import BadInput
from node.journal import Journal
from node.messages import OrderPause
from node.wallet import Signer, recover
from scheduler.events import PauseOrdered


def _text(job_id: str, paused: bool, serial: int) -> str:
    return f"ainur order v0 {'pause' if paused else 'resume'} {job_id} {serial}"


def make_order(signer: Signer, job_id: bytes, paused: bool, serial: int) -> OrderPause:
    """The order, signed."""
    text = _text(job_id.hex(), paused, serial)
    signature = signer.sign_text(text).hex()
    return OrderPause(job_id=job_id.hex(), paused=paused, serial=serial, signature=signature)


def read_order(order: OrderPause, submitter: str) -> PauseOrdered | None:
    """The order as the state machine takes it; None unless the submitter signed it."""
    text = _text(order.job_id, order.paused, order.serial)
    if recover(text, bytes.fromhex(order.signature)) != submitter:
        return None
    return PauseOrdered(order.paused, order.serial)


class StaleOrder(BadInput):
    """An order whose serial is not above that of the last one, `last`."""

    def __init__(self, serial: int, last: OrderPause) -> None:
        super().__init__(
            f"The order has serial {serial}, which is not above the last one, {last.serial}.",
            f"Give it serial {last.serial + 1}.",
        )
        self.last = last


class Orders:
    """The latest order for each job that this node was told, in its journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def take(self, order: OrderPause, submitter: str) -> PauseOrdered | None:
        """Keep an order; None unless the submitter signed it.

        The last order once more is taken again. StaleOrder for another that is not above it.
        """
        read = read_order(order, submitter)
        if read is None:
            return None
        known = self._latest(order.job_id)
        if known is None or known.serial < order.serial:
            self._journal.set(_key(order.job_id), messages.encode(order))
        elif (known.serial, known.paused) != (order.serial, order.paused):
            raise StaleOrder(order.serial, known)
        return read

    def of(self, job_id: bytes, submitter: str) -> PauseOrdered | None:
        """The latest order for a job, None where there was none."""
        known = self._latest(job_id.hex())
        return None if known is None else read_order(known, submitter)

    def _latest(self, job_id: str) -> OrderPause | None:
        data = self._journal.get(_key(job_id))
        return None if data is None else messages.expect(messages.decode(data), OrderPause)


def _key(job_id: str) -> str:
    return f"order/{job_id}"
