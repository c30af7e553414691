"""The time of day, as this process takes it: the only module that asks the machine for it.

A machine's clock may be wrong by hours, and may be put right while we run. So it is read once, at
the start, and grows from there by what really passed: within one process time never jumps.

No money and no bits hang on it. Deadlines, windows and leases are the chain's time
(node/chain_watch.py), patience is measured by trio's clock. What is left: when a peer was last
seen, how long a ban lasts, the sequence of our hello (node/peers.py), and the serial of an order to
pause a job or go on: after one that was given by a clock that is ahead, further orders have no
effect until that time has come.
"""

import time

_read_s, _read_at = time.time(), time.monotonic()


def unix_s() -> float:
    """Seconds since the Unix epoch, as the machine said at the start, grown by what passed."""
    return _read_s + (time.monotonic() - _read_at)


def unix_ms() -> int:
    """The same in whole milliseconds."""
    return int(unix_s() * 1000)
