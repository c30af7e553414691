"""node/lock_file.py: one process at a time."""

import os
from pathlib import Path

import pytest

from node.lock_file import LockTaken, take_lock


def test_a_lock_is_taken_once_and_names_its_holder(tmp_path: Path) -> None:
    """Free again once it is closed; the file may stay."""
    with take_lock(tmp_path / "lock"):
        with pytest.raises(LockTaken) as refused:
            take_lock(tmp_path / "lock")
        assert refused.value.holder == str(os.getpid())
    take_lock(tmp_path / "lock").close()


def test_children_do_not_inherit_it(tmp_path: Path) -> None:
    """A devnet killed by force leaves daemons; the next one still gets the folder."""
    with take_lock(tmp_path / "lock") as lock:
        assert not os.get_inheritable(lock.fileno())
