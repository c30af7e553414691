"""A compute worker that lies once, and audits of that lie that wait until they are allowed.

Of all nodes that share the folder ONE_LIE, whichever is first to begin a unit of round `LIES_IN`
lies, once. Audits of that unit, and the jury's recomputations, wait until the folder has `JUDGE`:
so a test decides how many rounds run ahead of them.
"""

import os
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


class OneLie(Worker):
    """Honest but for one unit."""

    def unit(
        self, kind: str, loaded: LoadedJob, checkpoint: State, round: int, slot: int
    ) -> UnitOutput:
        """The unit, falsified where it is the one; an audit of it when it may be judged."""
        folder = Path(os.environ[FOLDER_VARIABLE])
        lie = folder / LIE
        if kind == "unit":
            lies = round == LIES_IN and _first(lie, slot)
            output = super().unit(kind, loaded, checkpoint, round, slot)
            return falsify(output) if lies else output
        while round == LIES_IN and lie.read_text() == str(slot) and not (folder / JUDGE).exists():
            time.sleep(LOOK_S)
        return super().unit(kind, loaded, checkpoint, round, slot)


def _first(lie: Path, slot: int) -> bool:
    """Whether nobody was here before; says which slot it is."""
    try:
        with lie.open("x") as file:
            file.write(str(slot))
    except FileExistsError:
        return False
    return True


if __name__ == "__main__":
    main(OneLie)
