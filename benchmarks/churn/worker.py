"""The compute worker of the churn runs: the honest one, which also writes down when it computes.

Every unit leaves a line at its start and at its end in the file that CHURN_UNITS names, so that
what a kill -9 cost is known too. CHURN_SLOWNESS = 10 makes a peer of a tenth of the speed: after
each unit it waits nine times as long as the unit took.
"""

import json
import os
import time
from pathlib import Path

from node.bundle import State
from node.execution import LoadedJob, UnitOutput
from node.worker import Worker, main

UNITS_VARIABLE, SLOWNESS_VARIABLE = "CHURN_UNITS", "CHURN_SLOWNESS"


def note(path: Path, **fields: object) -> None:
    """Append one line with the machine's monotonic time to a record; whole or, if killed, absent.

    One small append is one write, and the kernel does not cut it.
    """
    line = json.dumps({"at": time.monotonic(), **fields}) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


class MeteredWorker(Worker):
    """Answers like the honest worker."""

    def unit(
        self, kind: str, loaded: LoadedJob, checkpoint: State, round: int, slot: int
    ) -> UnitOutput:
        """The unit, between two lines."""
        path = Path(os.environ[UNITS_VARIABLE])
        started = time.monotonic()
        note(path, event="start", kind=kind, round=round, slot=slot)
        output = super().unit(kind, loaded, checkpoint, round, slot)
        slowness = float(os.environ.get(SLOWNESS_VARIABLE, "1"))
        time.sleep((slowness - 1) * (time.monotonic() - started))
        note(path, event="end", kind=kind, round=round, slot=slot)
        return output


if __name__ == "__main__":
    note(Path(os.environ[UNITS_VARIABLE]), event="worker")
    main(MeteredWorker)
