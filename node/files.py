"""Whole files or none: atomic, durable writes.

A reader never sees half a file and a crash never leaves one: data goes to a temporary neighbour,
is flushed to the disk and then takes the name in one step. Secrets are never readable by others,
not even for a moment, because the temporary file is created with its final mode.
"""

import contextlib
import os
import secrets
from pathlib import Path

from node.errors import BadInput

PRIVATE = 0o600
PUBLIC = 0o644


def write_atomic(path: Path, data: bytes, *, mode: int = PUBLIC) -> None:
    """Replace `path` by `data`, durably, with permission bits `mode`. The folder must exist."""
    temporary = _write_temporary(path, data, mode)
    try:
        os.replace(temporary, path)
    except BaseException:
        _forget(temporary)
        raise
    sync_folder(path.parent)


def write_new(path: Path, data: bytes, *, mode: int = PUBLIC) -> None:
    """Create `path` with `data`, durably. FileExistsError, changing nothing, if it exists."""
    temporary = _write_temporary(path, data, mode)
    try:
        # A hard link is the one portable operation that takes a name only if it is free.
        os.link(temporary, path)
    finally:
        _forget(temporary)
    sync_folder(path.parent)


def read_text(path: Path, what: str, *, remedy: str = "") -> str:
    """Return the UTF-8 text of `path`; BadInput names `what` was wanted and why it could not be
    read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadInput(f"There is no {what} at {path}.", remedy) from None
    except UnicodeDecodeError:
        raise BadInput(f"The {what} {path} is not UTF-8 text.", remedy) from None
    except OSError as error:
        raise BadInput(f"The {what} {path} cannot be read: {error.strerror}.", remedy) from None


def make_private_folder(path: Path) -> None:
    """Create `path` and its parents where missing; a folder created here is its owner's alone."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def _write_temporary(path: Path, data: bytes, mode: int) -> Path:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        _forget(temporary)
        raise
    return temporary


def _forget(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def sync_folder(folder: Path) -> None:
    """Make what was renamed in a folder durable: else a power cut may undo it, though never mix
    old and new bytes.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
