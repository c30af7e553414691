"""node/clock.py: the machine is asked once; from then on time only passes."""

import importlib

import pytest

from node import clock


def test_clock_does_not_jump_with_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back by hours in the middle, it goes on by what passed; a new start believes it."""
    machine, passed = [50_000.0], [7.0]
    with monkeypatch.context() as patched:
        patched.setattr(clock.time, "time", lambda: machine[0])
        patched.setattr(clock.time, "monotonic", lambda: passed[0])
        importlib.reload(clock)
        machine[0], passed[0] = 50_000.0 - 5 * 3600, 9.5
        assert (clock.unix_s(), clock.unix_ms()) == (50_002.5, 50_002_500)
        importlib.reload(clock)
        assert clock.unix_s() == 32_000.0
    importlib.reload(clock)
