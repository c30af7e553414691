"""Jobs as a command reads them: one fold over the chain's events, no daemon needed."""

from node.chain import Chain
from node.errors import BadInput
from node.ledger import JobView, Ledger

JOB_ID_DIGITS = 64
PREFIX_DIGITS_MIN = 6


class LedgerReader:
    """A ledger that a blocking caller keeps up to date by calling `update`.

    Its jobs keep every event of theirs: it is for commands, not for what runs for years.
    """

    def __init__(self, chain: Chain) -> None:
        self.ledger = Ledger(whole_logs=True)
        self._chain = chain
        self._next_block = chain.network.deployment_block

    def update(self) -> Ledger:
        """Fold what the chain has had since the last call."""
        head = self._chain.head()
        if head.number >= self._next_block:
            for event in self._chain.events(self._next_block, head.number):
                self.ledger.apply(event)
            self._next_block = head.number + 1
        self.ledger.head, self.ledger.head_time_s = head.number, head.timestamp
        return self.ledger


def find_job(ledger: Ledger, text: str) -> JobView:
    """The job whose id begins with these hexadecimal digits; BadInput unless there is one."""
    wanted = text.lower().removeprefix("0x")
    if not PREFIX_DIGITS_MIN <= len(wanted) <= JOB_ID_DIGITS or set(wanted) - set(
        "0123456789abcdef"
    ):
        raise BadInput(
            f"{text!r} is not a job id.",
            f"Give at least {PREFIX_DIGITS_MIN} hexadecimal digits; `ainur job list` shows them.",
        )
    found = [job for job in ledger.jobs.values() if job.job_id.hex().startswith(wanted)]
    if len(found) != 1:
        many = f"{len(found)} jobs begin" if found else "No job begins"
        raise BadInput(f"{many} with {wanted}.", "`ainur job list` shows all of them.")
    return found[0]


def state_of(job: JobView, now_s: int) -> str:
    """Where a job stands, its deadline considered."""
    if not job.is_over and now_s >= job.deadline_s:
        return "expired"
    return str(job.state)
