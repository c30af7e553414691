"""The compute worker of the links run: a unit takes as long as is said, and writes down when.

What a unit computes is real, so that audits and checkpoints are; it is over in a moment, and the
rest of LINKS_UNIT_S is waited for, as if a model that two cores cannot train had been trained. An
audit takes LINKS_AUDIT_S in the same way.
"""

import os
import time
from pathlib import Path

from benchmarks.churn.worker import note
from node.bundle import State
from node.execution import LoadedJob, UnitOutput
from node.worker import Worker, main

UNITS_VARIABLE, UNIT_VARIABLE, AUDIT_VARIABLE = "LINKS_UNITS", "LINKS_UNIT_S", "LINKS_AUDIT_S"


class WaitingWorker(Worker):
    """Answers like the honest worker, later."""

    def unit(
        self, kind: str, loaded: LoadedJob, checkpoint: State, round: int, slot: int
    ) -> UnitOutput:
        """The unit, between two lines, and not before its time."""
        path = Path(os.environ[UNITS_VARIABLE])
        lasts_s = float(os.environ[UNIT_VARIABLE if kind == "unit" else AUDIT_VARIABLE])
        started = time.monotonic()
        note(path, event="start", kind=kind, round=round, slot=slot)
        output = super().unit(kind, loaded, checkpoint, round, slot)
        time.sleep(max(0.0, started + lasts_s - time.monotonic()))
        note(path, event="end", kind=kind, round=round, slot=slot)
        return output


if __name__ == "__main__":
    main(WaitingWorker)
