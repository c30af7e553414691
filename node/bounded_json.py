"""JSON from strangers, parsed only where it is nested no deeper than any honest document.

The parser of the standard library recurses. libp2p raises the interpreter's limit so far that the
stack ends first, and some ten thousand brackets would end the process.
"""

import json
from typing import Any

DEPTH_MAX = 64
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))


def loads(text: str | bytes) -> Any:
    """The document; ValueError if it is not JSON or nested more than DEPTH_MAX deep."""
    require_shallow(text.encode() if isinstance(text, str) else text)
    return json.loads(text)


def require_shallow(data: bytes) -> None:
    """ValueError if brackets are nested deeper than DEPTH_MAX; those in texts count too."""
    depth = 0
    for byte in data.translate(None, _OTHERS):
        depth += 1 if byte in b"[{" else -1
        if depth > DEPTH_MAX:
            raise ValueError(f"it is nested more than {DEPTH_MAX} deep")
