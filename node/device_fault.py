"""The mark on a device that returned wrong bits (node/self_check.py): it takes no unit any more.

The daemon writes it, `ainur doctor` removes it once the device passes again. It names the device,
so that another one, or another driver, is not held guilty.
"""

import json
from pathlib import Path


def write_fault(path: Path, device: str, message: str) -> None:
    """Mark a device."""
    path.write_text(json.dumps({"device": device, "message": message}), "utf-8")


def read_fault(path: Path, device: str) -> str:
    """What the device did, or "" if it is not marked. A mark that cannot be read holds for all."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return ""
    try:
        mark = json.loads(content)
        return str(mark["message"]) if mark["device"] == device else ""
    except (ValueError, KeyError, TypeError):
        return f"{path} cannot be read."


def clear_fault(path: Path) -> None:
    """Take the mark away."""
    path.unlink(missing_ok=True)
