"""`ainur` with a wrong clock: python -m benchmarks.churn.node COMMAND...

CHURN_CLOCK_S is added to what the process takes for the time of day. node/clock.py alone asks for
it, once, and asks `time.time` (tests/architecture), so patching that before it is imported is a
machine with a wrong clock.
"""

import os
import time

SHIFT_VARIABLE = "CHURN_CLOCK_S"


def shift_clock(shift_s: float) -> None:
    """Let `time.time` and `time.time_ns` be wrong by so many seconds from now on."""
    right, right_ns = time.time, time.time_ns
    time.time = lambda: right() + shift_s
    time.time_ns = lambda: right_ns() + int(shift_s * 1e9)


if __name__ == "__main__":
    shift_clock(float(os.environ.get(SHIFT_VARIABLE, "0")))
    from node.cli.main import main

    main()
