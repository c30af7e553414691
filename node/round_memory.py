"""What a node keeps of finished rounds: what made each checkpoint, and which was found wrong.

Both outlive a restart. Whoever asks is told what made a round, so that knowing it does not hang on
the coordinator. A checkpoint that was found wrong stays wrong: the chain does not change.
"""

import json

from node import messages
from node.journal import Journal
from node.messages import AskRound, Message, Refused, RoundResults


class RoundMemory:
    """The rounds of all jobs, in the journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def keep(self, job_id: bytes, made_by: RoundResults) -> None:
        """Keep what made the checkpoint after a round, for whoever asks."""
        self._journal.set(_round_key(job_id, made_by.round), messages.encode(made_by))

    def answer(self, message: AskRound) -> Message:
        """What made the checkpoint after a round, if this node knows."""
        data = self._journal.get(_round_key(bytes.fromhex(message.job_id), message.round))
        if data is None:
            return Refused(reason=f"the results of round {message.round} are not known here")
        return messages.decode(data)

    def refute(self, job_id: bytes, round: int, reason: str) -> None:
        """Keep that the checkpoint after a round is wrong; of several the first round counts."""
        before = self.refuted(job_id)
        if before is None or round < before[0]:
            self._journal.set(_refuted_key(job_id), json.dumps([round, reason]).encode())

    def refuted(self, job_id: bytes) -> tuple[int, str] | None:
        """The first round whose checkpoint was found wrong, and why; None if none was."""
        data = self._journal.get(_refuted_key(job_id))
        if data is None:
            return None
        round, reason = json.loads(data)
        return int(round), str(reason)


def _round_key(job_id: bytes, round: int) -> str:
    return f"results/{job_id.hex()}/{round}"


def _refuted_key(job_id: bytes) -> str:
    return f"refuted/{job_id.hex()}"
