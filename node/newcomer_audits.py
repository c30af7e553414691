"""A newcomer's blind audits, in the journal from before they are committed until they are revealed.

What is kept is all that a reveal needs: the chain has a hash of the claim only, and the ledger
forgets the units of final rounds. The salt is derived from the node's key (node/commitments.py).
So kill -9 at any moment loses nothing that was committed, and nothing is computed twice.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from node.chain.types import ClaimedUnit, Opening
from node.ids import JobId, UnitId, unit_id
from node.journal import Journal

_PREFIX = "newcomer/"


@dataclass(frozen=True, slots=True)
class NewcomerAudit:
    """One audit: the claim, where it stands, what was found. Deadline in Unix seconds.

    `opening` is the worker's, once it has told it.
    """

    job_id: JobId
    round: int
    batch: int
    claim: ClaimedUnit
    proof: tuple[bytes, ...]
    commit_deadline_s: int
    unit_root: bytes
    is_committed: bool = False
    opening: Opening | None = None

    @property
    def unit_id(self) -> UnitId:
        """The unit that it is of."""
        return unit_id(self.job_id, self.round, self.claim.slot, self.claim.attempt)

    def committed(self) -> "NewcomerAudit":
        """The same, once the chain has the commitment."""
        return replace(self, is_committed=True)

    def opened(self, opening: Opening) -> "NewcomerAudit":
        """The same, with what opens the worker's commitment."""
        return replace(self, opening=opening)


class NewcomerAudits:
    """The audits of this node that are neither revealed nor given up."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def keep(self, audit: NewcomerAudit) -> None:
        """Write an audit down, durably, in place of what is there of its unit."""
        self._journal.set(_key(audit.unit_id), json.dumps(_document(audit)).encode())

    def forget(self, audit: NewcomerAudit) -> None:
        """It is over, one way or another."""
        self._journal.delete(_key(audit.unit_id))

    def has(self, unit: UnitId) -> bool:
        """Whether an audit of the unit is under way."""
        return self._journal.get(_key(unit)) is not None

    def all(self) -> list[NewcomerAudit]:
        """Every one, those first whose time to commit ends first."""
        return sorted(self._read(), key=lambda audit: (audit.commit_deadline_s, audit.unit_id))

    def _read(self) -> Iterator[NewcomerAudit]:
        for key in self._journal.keys(_PREFIX):
            data = self._journal.get(key)
            if data is not None:
                yield _audit(json.loads(data))


def _key(unit: UnitId) -> str:
    return f"{_PREFIX}{unit.hex()}"


def _document(audit: NewcomerAudit) -> dict[str, object]:
    claim, opening = audit.claim, audit.opening
    return {
        "job_id": audit.job_id.hex(),
        "round": audit.round,
        "batch": audit.batch,
        "claim": [
            claim.slot,
            claim.attempt,
            claim.worker,
            claim.result_root.hex(),
            claim.commitment.hex(),
        ],
        "proof": [each.hex() for each in audit.proof],
        "commit_deadline_s": audit.commit_deadline_s,
        "unit_root": audit.unit_root.hex(),
        "is_committed": audit.is_committed,
        "opening": opening and [opening.trace_root.hex(), opening.salt.hex()],
    }


def _audit(document: dict[str, Any]) -> NewcomerAudit:
    slot, attempt, worker, result_root, commitment = document["claim"]
    opening = document["opening"]
    return NewcomerAudit(
        JobId(bytes.fromhex(document["job_id"])),
        document["round"],
        document["batch"],
        ClaimedUnit(slot, attempt, worker, bytes.fromhex(result_root), bytes.fromhex(commitment)),
        tuple(map(bytes.fromhex, document["proof"])),
        document["commit_deadline_s"],
        bytes.fromhex(document["unit_root"]),
        document["is_committed"],
        Opening(*map(bytes.fromhex, opening)) if opening else None,
    )
