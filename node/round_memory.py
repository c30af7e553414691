"""What a node keeps of finished rounds: what made each checkpoint, and which was found wrong.

Both outlive a restart. Whoever asks is told what made a round, so that knowing it does not hang on
the coordinator. A checkpoint that was found wrong stays wrong; it matters for as long as the chain
has it.
"""

import json
from dataclasses import dataclass

from node import messages
from node.journal import Journal
from node.messages import AskRound, Message, Refused, RoundResults
from scheduler.blob_ref import BlobRef


@dataclass(frozen=True, slots=True)
class Refutation:
    """The checkpoint after a round does not follow from its results."""

    round: int
    checkpoint: bytes
    reason: str


class RoundMemory:
    """The rounds of all jobs, in the journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def keep(self, job_id: bytes, made_by: RoundResults) -> None:
        """Keep what made the checkpoint after a round, for whoever asks."""
        self._journal.set(_round_key(job_id, made_by.round), messages.encode(made_by))

    def note(self, job_id: bytes, round: int, ref: BlobRef) -> None:
        """Keep that a blob is made or fetched for a round, so that it can be removed one day.

        Before it is fetched; as soon as it is known where it is made here.
        """
        key = _blob_key(job_id, round, ref)
        if self._journal.get(key) is None:
            self._journal.set(key, b"")

    def rounds(self, job_id: bytes) -> list[int]:
        """The rounds of a job of which some blob is noted, in order."""
        keys = self._journal.keys(f"made/{job_id.hex()}/")
        return sorted({int(key.split("/", 3)[2]) for key in keys})

    def blobs(self, job_id: bytes, round: int) -> set[BlobRef]:
        """Every blob that was noted for a round."""
        found = set[BlobRef]()
        for key in self._journal.keys(f"{_made_key(job_id, round)}/"):
            root, size = key.rsplit("/", 1)[1].split("-")
            found.add(BlobRef(root=root, size=int(size)))
        return found

    def forget_blob(self, job_id: bytes, round: int, ref: BlobRef) -> None:
        """Forget that a blob was noted for a round; what made its checkpoint is still told."""
        self._journal.delete(_blob_key(job_id, round, ref))

    def forget(self, job_id: bytes) -> None:
        """Forget everything about a job."""
        name = job_id.hex()
        for prefix in (f"made/{name}/", f"results/{name}/", f"kept/{name}", f"refuted/{name}"):
            for key in self._journal.keys(prefix):
                self._journal.delete(key)

    def recall(self, job_id: bytes, round: int) -> RoundResults | None:
        """What made the checkpoint after a round; None where this node does not know."""
        data = self._journal.get(_round_key(job_id, round))
        return None if data is None else messages.expect(messages.decode(data), RoundResults)

    def answer(self, message: AskRound) -> Message:
        """The same, as an answer to whoever asks."""
        known = self.recall(bytes.fromhex(message.job_id), message.round)
        return known or Refused(reason=f"the results of round {message.round} are not known here")

    def refute(self, job_id: bytes, wrong: Refutation) -> None:
        """Keep that the checkpoint after a round is wrong; of several the first round counts."""
        before = self.refuted(job_id)
        if before is None or wrong.round < before.round:
            document = [wrong.round, wrong.checkpoint.hex(), wrong.reason]
            self._journal.set(_refuted_key(job_id), json.dumps(document).encode())

    def forget_refuted(self, job_id: bytes) -> None:
        """A checkpoint that was found wrong was withdrawn since."""
        self._journal.delete(_refuted_key(job_id))

    def refuted(self, job_id: bytes) -> Refutation | None:
        """The first round whose checkpoint was found wrong, and why; None if none was."""
        data = self._journal.get(_refuted_key(job_id))
        if data is None:
            return None
        round, checkpoint, reason = json.loads(data)
        return Refutation(int(round), bytes.fromhex(checkpoint), str(reason))


def _round_key(job_id: bytes, round: int) -> str:
    return f"results/{job_id.hex()}/{round}"


def _made_key(job_id: bytes, round: int) -> str:
    return f"made/{job_id.hex()}/{round}"


def _blob_key(job_id: bytes, round: int, ref: BlobRef) -> str:
    return f"{_made_key(job_id, round)}/{ref.root}-{ref.size}"


def _refuted_key(job_id: bytes) -> str:
    return f"refuted/{job_id.hex()}"
