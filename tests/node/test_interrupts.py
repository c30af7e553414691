"""node/interrupts.py: interruptions are late, never lost."""

import signal
import subprocess
import sys
import threading

import pytest

from node.interrupts import postponed_interrupts


def test_interruption_is_postponed_not_lost() -> None:
    """The block ends; then the interruption arrives, once, and the old handler is back."""
    before = signal.getsignal(signal.SIGINT)
    steps = []
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        with postponed_interrupts():
            signal.raise_signal(signal.SIGINT)
            steps.append("inside")
            signal.raise_signal(signal.SIGINT)
        steps.append("after")
    assert steps == ["inside"]
    assert signal.getsignal(signal.SIGINT) is before


def test_failure_inside_is_raised_and_handlers_return() -> None:
    """An error of the block is what the caller sees."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ValueError, match="mine"), postponed_interrupts():
        raise ValueError("mine")
    assert signal.getsignal(signal.SIGTERM) is before


def test_child_started_meanwhile_listens() -> None:
    """Postponing here makes no child deaf."""
    code = "import signal; print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
    with postponed_interrupts():
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"True\n"


def test_other_threads_just_run() -> None:
    """Only the main thread owns the signals; elsewhere nothing is changed and nothing fails."""
    ran = []

    def work() -> None:
        with postponed_interrupts():
            ran.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ran == [True]
