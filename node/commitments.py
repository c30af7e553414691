"""What this node committed to and must be able to open later, also after kill -9.

Salts are not stored but derived from the node's key and the unit, so no crash can lose one. The
roots that a unit's computation gave are in the journal until its round is cleaned up: opening a
unit needs its trace root.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Literal

from engine.commitment import unit_root
from node.ids import INPUT_UNAVAILABLE, UnitId, commitment
from node.journal import Journal

Role = Literal["worker", "auditor", "juror", "newcomer"]
"""Each role has salts of its own: an auditor that becomes a juror has shown its first one."""

_PREFIX, _UNITS = "roots/", "rooted/"


@dataclass(frozen=True, slots=True)
class Roots:
    """What a computed unit is opened with; `NO_INPUT` where there was nothing to compute with."""

    result_root: bytes
    trace_root: bytes

    @property
    def unit_root(self) -> bytes:
        """The root that is committed to."""
        if self == NO_INPUT:
            return INPUT_UNAVAILABLE
        return unit_root(self.result_root, self.trace_root)


NO_INPUT = Roots(b"", b"")
"""What an auditor or juror reveals where the job's data is not to be had."""


class Commitments:
    """The commitments of one account, whose secret is `key_seed` (32 bytes)."""

    def __init__(self, journal: Journal, account: str, key_seed: bytes) -> None:
        self._journal = journal
        self._account = account
        self._secret = hmac.digest(key_seed, b"ainur salt v0", hashlib.sha256)

    def salt(self, role: Role, unit: UnitId) -> bytes:
        """The 32 bytes that hide this account's commitment to the unit in this role."""
        return hmac.digest(self._secret, role.encode() + unit, hashlib.sha256)

    def commit(self, role: Role, unit: UnitId, roots: Roots, job_id: bytes, round: int) -> bytes:
        """Keep the roots durably and return the commitment to them; `round`: the unit's."""
        document = {"result": roots.result_root.hex(), "trace": roots.trace_root.hex()}
        with self._journal.transaction():
            self._journal.set(f"{_of_round(job_id, round)}{unit.hex()}", b"")
            self._journal.set(_key(role, unit), json.dumps(document).encode())
        return commitment(unit, self._account, roots.unit_root, self.salt(role, unit))

    def roots(self, role: Role, unit: UnitId) -> Roots | None:
        """The roots that this account committed to in this role, or None if it did not.

        An audit never takes over what the account once computed as a worker: that was offered for
        pay, and a fault of the device in it would be repeated.
        """
        data = self._journal.get(_key(role, unit))
        if data is None:
            return None
        document = json.loads(data)
        return Roots(bytes.fromhex(document["result"]), bytes.fromhex(document["trace"]))

    def any(self, job_id: bytes) -> bool:
        """Whether roots of a job's units are kept."""
        return bool(self._journal.keys(f"{_UNITS}{job_id.hex()}/"))

    def forget(self, job_id: bytes, round: int | None = None) -> None:
        """Drop the roots of a round that is final for long, or of all rounds of a job."""
        prefix = f"{_UNITS}{job_id.hex()}/" if round is None else _of_round(job_id, round)
        with self._journal.transaction():
            for note in self._journal.keys(prefix):
                unit = UnitId(bytes.fromhex(note.rpartition("/")[2]))
                for role in ("worker", "auditor"):
                    self._journal.delete(_key(role, unit))
                self._journal.delete(note)


def _of_round(job_id: bytes, round: int) -> str:
    return f"{_UNITS}{job_id.hex()}/{round}/"


def _key(role: Role, unit: UnitId) -> str:
    """Auditor, juror and newcomer recompute alike, so they share their roots."""
    return f"{_PREFIX}{'own' if role == 'worker' else 'recomputed'}/{unit.hex()}"
