"""node/files.py: whole files or none."""

import os
import stat
from pathlib import Path

import pytest

from node.errors import BadInput
from node.files import make_private_folder, read_text, write_atomic, write_new


def test_write_atomic_replaces_content_and_mode(tmp_path: Path) -> None:
    """The new bytes stand under the old name, with the mode asked for, and nothing else is left."""
    path = tmp_path / "file"
    write_atomic(path, b"old")
    write_atomic(path, b"new", mode=0o600)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_write_atomic_failing_keeps_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure before the rename leaves the old bytes and no temporary file."""
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_write_new_refuses_existing_file(tmp_path: Path) -> None:
    """A key that exists is never overwritten, and the attempt leaves nothing behind."""
    path = tmp_path / "key"
    write_new(path, b"first", mode=0o600)
    with pytest.raises(FileExistsError):
        write_new(path, b"second", mode=0o600)
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_private_folder_is_owners_alone(tmp_path: Path) -> None:
    """A folder for keys cannot be entered by others."""
    make_private_folder(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


@pytest.mark.parametrize(("content", "reason"), [(None, "There is no"), (b"\xff", "not UTF-8")])
def test_read_text_explains_failure(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """Missing and undecodable files are the caller's input, named with their path."""
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=reason) as caught:
        read_text(path, "job file")
    assert str(path) in caught.value.message
