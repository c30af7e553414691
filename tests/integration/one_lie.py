"""A compute worker that lies once, and audits of that lie that wait until they are allowed.

Of all nodes that share the folder ONE_LIE, whichever is first to finish a unit of round `LIES_IN`
lies, once. Audits of that unit, and the jury's recomputations, wait until the folder has `JUDGE`,
for `JUDGE_S` at most: so a test decides how many rounds run ahead of them.
"""

import os
import tempfile
import time
from pathlib import Path

from examples.cheating_worker import falsify
from node.bundle import State
from node.execution import LoadedJob, UnitOutput
from node.worker import Worker, main

FOLDER_VARIABLE = "ONE_LIE"
LIE, JUDGE = "lie", "judge"
LIES_IN = 1
LOOK_S = 0.05
JUDGE_S = 600.0
"""No test takes as long; a worker that its test left behind ends too."""


class OneLie(Worker):
    """Honest but for one unit."""

    def unit(
        self, kind: str, loaded: LoadedJob, checkpoint: State, round: int, slot: int
    ) -> UnitOutput:
        """The unit, falsified where it is the one; an audit of it when it may be judged."""
        folder = Path(os.environ[FOLDER_VARIABLE])
        if kind != "unit" and round == LIES_IN:
            wait_for_judge(folder, slot)
        output = super().unit(kind, loaded, checkpoint, round, slot)
        # Marked once it is there: a worker that dies before leaves the lie to another.
        lies = kind == "unit" and round == LIES_IN and is_first(folder, slot)
        return falsify(output) if lies else output


def is_first(folder: Path, slot: int) -> bool:
    """Whether nobody has lied yet; then this slot is the lie's, for whoever reads it at once."""
    with tempfile.NamedTemporaryFile("w", dir=folder) as file:
        file.write(str(slot))
        file.flush()
        try:
            os.link(file.name, folder / LIE)
        except FileExistsError:
            return False
    return True


def wait_for_judge(folder: Path, slot: int) -> None:
    """Return when a unit may be audited: at once, unless its slot is the lie's."""
    end = time.monotonic() + JUDGE_S
    while (folder / LIE).read_text() == str(slot) and not (folder / JUDGE).exists():
        if time.monotonic() > end:
            raise TimeoutError(f"{folder / JUDGE} was not made within {JUDGE_S:g} s")
        time.sleep(LOOK_S)


if __name__ == "__main__":
    main(OneLie)
