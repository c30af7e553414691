"""A submitter's order to pause its job, or to go on: off the chain, signed by its wallet.

The chain knows no pause, so the order binds only the coordinator that was told, and the deadline
does not wait. Its authority is the signature (EIP-191) of the wallet that funded the job over

    ainur order v0 pause JOB_ID SERIAL        (or resume)

The job id names chain, escrow and submitter. Serials grow, so that nobody can give an old order
again; the commands take the time in milliseconds.
"""

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
