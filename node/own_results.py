"""The results that this node computed for open rounds, so that none is computed twice here.

A unit has one result, whoever asks for it and however often. So a worker that was killed before its
commit got a receipt, or whose coordinator lost the lease with the receipt in its journal, has the
result at hand: it says so when it asks for work, and commits to it at once when it gets the unit.
What an audit recomputes is never taken from here.

In the journal until the round is final; the blob is looked for before it is promised.
"""

import json
from dataclasses import dataclass

from node.blobs import BlobStore
from node.journal import Journal
from scheduler.blob_ref import BlobRef
from scheduler.terms import UnitRef

_PREFIX = "own/"


@dataclass(frozen=True, slots=True)
class OwnResult:
    """A computed unit: the checkpoint that it started from, its roots and its blob."""

    unit: UnitRef
    parent: bytes
    result_root: bytes
    trace_root: bytes
    blob: BlobRef


class OwnResults:
    """What this node computed for pay, by job and unit."""

    def __init__(self, journal: Journal, store: BlobStore) -> None:
        self._journal, self._store = journal, store

    def keep(self, job_id: bytes, result: OwnResult) -> None:
        """Keep a result durably: its blob is in the store already."""
        document = {
            "parent": result.parent.hex(),
            "result": result.result_root.hex(),
            "trace": result.trace_root.hex(),
            "blob": [result.blob.root, result.blob.size],
        }
        self._journal.set(_key(job_id, result.unit), json.dumps(document).encode())

    def find(self, job_id: bytes, unit: UnitRef) -> OwnResult | None:
        """The result of a unit; None where it was not computed here or its blob is gone."""
        data = self._journal.get(_key(job_id, unit))
        if data is None:
            return None
        document = json.loads(data)
        root, size = document["blob"]
        blob = BlobRef(root=root, size=size)
        if not self._store.has(blob):
            return None
        parent, result, trace = (bytes.fromhex(document[k]) for k in ("parent", "result", "trace"))
        return OwnResult(unit, parent, result, trace, blob)

    def units(self, job_id: bytes, round: int) -> list[UnitRef]:
        """The units of a round whose results are at hand, in order."""
        prefix = f"{_PREFIX}{job_id.hex()}/{round}/"
        units = [UnitRef(round, *map(int, k.split("/")[3:])) for k in self._journal.keys(prefix)]
        return sorted(unit for unit in units if self.find(job_id, unit) is not None)

    def forget_before(self, job_id: bytes, round: int) -> None:
        """Forget the results of earlier rounds: they are final."""
        for key in self._journal.keys(f"{_PREFIX}{job_id.hex()}/"):
            if int(key.split("/")[2]) < round:
                self._journal.delete(key)


def _key(job_id: bytes, unit: UnitRef) -> str:
    return f"{_PREFIX}{job_id.hex()}/{unit.round}/{unit.slot}/{unit.attempt}"
