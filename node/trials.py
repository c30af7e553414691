"""Blobs on trial: fetched because somebody asked for it or said what they are.

What this node does not vouch for in the end (node/custody.py signs) is removed again, whole or
partial, so that nobody fills the store with what never came or was something else. A blob that was
here before stays. It is noted before it is fetched: after kill -9 node/cleaning.py finds it.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from node.blobs import BlobStore
from node.round_memory import RoundMemory
from scheduler.blob_ref import BlobRef


@dataclass(slots=True)
class _Trial:
    kept: bool
    users: int = 0


class Trials:
    """The blobs on trial in one node."""

    def __init__(self, store: BlobStore, memory: RoundMemory) -> None:
        self._store, self._memory = store, memory
        self._open: dict[BlobRef, _Trial] = {}

    @contextlib.contextmanager
    def of(self, job_id: bytes, round: int, ref: BlobRef) -> Iterator[None]:
        """Fetch and check the blob inside. Of several who do so at once the last one removes it."""
        trial = self._open.get(ref) or _Trial(kept=self._store.has_some(ref))
        if not trial.kept:
            self._memory.note(job_id, round, ref)
        self._open[ref] = trial
        trial.users += 1
        try:
            yield
        finally:
            trial.users -= 1
            if not trial.users:
                del self._open[ref]
            if not trial.kept:
                if not trial.users:
                    self._store.discard(ref)
                self._memory.forget_blob(job_id, round, ref)

    def has(self, ref: BlobRef) -> bool:
        """Whether the blob is here, whole."""
        return self._store.has(ref)

    def keep(self, ref: BlobRef) -> None:
        """This node vouches for the blob: it stays."""
        if ref in self._open:
            self._open[ref].kept = True
