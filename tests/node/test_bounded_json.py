"""node/bounded_json.py: documents of strangers that would end the process."""

import pytest

from node import bounded_json
from node.bounded_json import DEPTH_MAX
from node.rows import read_layout
from scheduler.blob_ref import BlobRef
from scheduler.errors import ManifestError


def test_honest_documents_are_read() -> None:
    """Texts and bytes, up to the bound."""
    deepest = "[" * DEPTH_MAX + "]" * DEPTH_MAX
    assert bounded_json.loads('{"a": [1, {"b": "]}"}]}') == {"a": [1, {"b": "]}"}]}
    assert bounded_json.loads(deepest.encode()) is not None
    with pytest.raises(ValueError, match="more than 64 deep"):
        bounded_json.loads("[" + deepest + "]")


def test_brackets_without_end_are_an_error_like_any_other() -> None:
    """Where data of a job begins so, its job is refused and the node goes on."""
    header = b"[" * 100_000
    chunk = len(header).to_bytes(8, "little") + header
    with pytest.raises(ManifestError):
        read_layout(BlobRef(root="ab" * 32, size=len(chunk)), chunk)
