"""Receipts: what a coordinator signed, kept until the chain shows that it kept its word.

A **receipt** says that a worker's commitment to a unit is in the coordinator's journal, so that the
first commit fills the slot. Where the same coordinator then puts another claim to that very unit on
chain, receipt and claims together prove it (`left_out`), to anyone who can read the chain. They do
not prove why: a worker that never delivers the result's blob is left out rightly. What a
predecessor receipted and did not commit is not held against its successor.
"""

import json
import logging
from dataclasses import dataclass

from node.errors import PeerFault
from node.journal import Journal
from node.ledger import JobView
from node.wallet import recover
from scheduler.terms import UnitRef

log = logging.getLogger(__name__)

RECEIPTS_MAX = 4096
"""Receipts that are kept at most; the chain settles them within a round."""


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt with everything that its text says, and the coordinator's EIP-191 signature."""

    job_id: bytes
    unit: UnitRef
    result_root: bytes
    commitment: bytes
    signature: bytes

    @property
    def text(self) -> str:
        """What is signed (docs/spec/protocol.md, section 5)."""
        return receipt_text(self.job_id, self.unit, self.result_root, self.commitment)

    @property
    def signer(self) -> str | None:
        """The wallet that signed it, None where the signature is none."""
        return recover(self.text, self.signature)


def receipt_text(job_id: bytes, unit: UnitRef, result_root: bytes, commitment: bytes) -> str:
    """The text of a receipt."""
    return (
        f"ainur receipt v0 {job_id.hex()} {unit.round} {unit.slot} {unit.attempt} "
        f"{result_root.hex()} {commitment.hex()}"
    )


def left_out(receipt: SignedReceipt, job: JobView) -> bool:
    """Whether the chain proves that the signer put another claim in this one's place.

    `job` is the receipt's job as the chain's events make it (node/ledger.py), while its round is
    open or the last final one: older claims are forgotten.
    """
    unit = job.units.get(receipt.unit)
    if unit is None or receipt.job_id != job.job_id or receipt.signer != unit.coordinator:
        return False
    return unit.commitment != receipt.commitment


class Receipts:
    """The receipts of this node, in its journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def take(self, receipt: SignedReceipt, coordinator: str) -> None:
        """Keep a receipt. PeerFault unless the coordinator's wallet signed it."""
        if receipt.signer != coordinator:
            raise PeerFault(f"the receipt of unit {receipt.unit} is not signed by {coordinator}")
        if len(self._journal.keys(_prefix(receipt.job_id))) < RECEIPTS_MAX:
            self._journal.set(_key(receipt.job_id, receipt.unit), _document(receipt))

    def examine(self, job: JobView) -> list[SignedReceipt]:
        """What the chain proves to be left out, once each; forgets what it shows to be honoured.

        The receipt of what was left out stays in the journal, as evidence.
        """
        found = []
        for key in self._journal.keys(_prefix(job.job_id)):
            receipt = _parse(job.job_id, self._journal.get(key) or b"")
            unit = job.units.get(receipt.unit)
            if unit is None and receipt.unit.round >= job.open_round:
                continue
            if left_out(receipt, job):
                log.warning("left out: %s, signed %s", receipt.text, receipt.signature.hex())
                self._journal.set(f"left_out/{key}", _document(receipt))
                found.append(receipt)
            self._journal.delete(key)
        return found


def _prefix(job_id: bytes) -> str:
    return f"receipt/{job_id.hex()}/"


def _key(job_id: bytes, unit: UnitRef) -> str:
    return f"{_prefix(job_id)}{unit.round}/{unit.slot}/{unit.attempt}"


def _document(receipt: SignedReceipt) -> bytes:
    unit = receipt.unit
    fields = [unit.round, unit.slot, unit.attempt]
    hashes = [receipt.result_root.hex(), receipt.commitment.hex(), receipt.signature.hex()]
    return json.dumps([*fields, *hashes]).encode()


def _parse(job_id: bytes, document: bytes) -> SignedReceipt:
    round, slot, attempt, *hashes = json.loads(document)
    return SignedReceipt(job_id, UnitRef(round, slot, attempt), *map(bytes.fromhex, hashes))
