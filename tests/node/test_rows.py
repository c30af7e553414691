"""Rows of safetensors blobs: the arrays' own, from just the chunks that they lie in."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import state as tensors
from engine.commitment import BLOB_CHUNK_BYTES
from node.blobs import BlobMissing
from node.errors import PeerFault
from node.rows import Layout, StoredRows, WholeRows, read_layout
from scheduler.blob_ref import BlobRef
from scheduler.errors import ManifestError

ROWS = 4000
DATA = {
    "label": np.arange(ROWS, dtype=np.uint8),
    "pixels": np.random.default_rng(0).random((ROWS, 5, 7), np.float32),
    "flag": np.arange(ROWS) % 3 == 0,
    "weight": np.arange(ROWS, dtype=np.int32).reshape(ROWS, 1),
}
BLOB = tensors.encode(DATA)
REF = BlobRef.of(BLOB)


class Chunks:
    """A store that has some chunks of one blob and counts what is asked for."""

    def __init__(self, data: bytes, here: frozenset[int]) -> None:
        self._data, self._here = data, here
        self.asked: list[int] = []

    def chunk(self, ref: BlobRef, index: int) -> bytes:
        self.asked.append(index)
        if index not in self._here:
            raise BlobMissing(f"chunk {index}")
        return self._data[index * BLOB_CHUNK_BYTES : (index + 1) * BLOB_CHUNK_BYTES]


def layout() -> Layout:
    return read_layout(REF, BLOB[:BLOB_CHUNK_BYTES])


@given(st.integers(0, ROWS), st.integers(0, ROWS))
def test_rows_come_from_their_chunks_alone(first: int, last: int) -> None:
    """Whatever the range: the same arrays as in memory, and no chunk more than `chunks` names."""
    start, stop = sorted((first, last))
    needed = layout().chunks([(start, stop)])
    stored = StoredRows(Chunks(BLOB, needed), REF)
    whole = WholeRows(DATA).read(start, stop)
    read = stored.read(start, stop)
    assert read.keys() == whole.keys()
    for name, array in whole.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)
    assert stored.types == WholeRows(DATA).types


@pytest.mark.parametrize("missing", sorted(layout().chunks([(1000, 2000)]) - {0}))
def test_missing_chunk_is_told(missing: int) -> None:
    """No chunk is named in vain, and zeros never stand for what is not here."""
    needed = layout().chunks([(1000, 2000)])
    with pytest.raises(BlobMissing, match=f"chunk {missing}"):
        StoredRows(Chunks(BLOB, needed - {missing}), REF).read(1000, 2000)


def test_few_chunks_for_few_rows() -> None:
    """Of each tensor the chunks of these rows, however long the whole is."""
    assert REF.chunk_count == 3
    assert layout().chunks([(10, 20)]) == {0, 2}
    assert layout().chunks([(0, ROWS)]) == {0, 1, 2}


def test_chunks_stay_in_memory_for_the_next_step() -> None:
    """Windows that follow each other ask the store once."""
    store = Chunks(BLOB, frozenset(range(3)))
    stored = StoredRows(store, REF)
    for start in range(0, ROWS, 100):
        stored.read(start, start + 100)
    assert sorted(store.asked) == [0, 1, 2]


def changed(edit: Callable[[dict[str, Any]], object]) -> bytes:
    """The blob with its header edited, padded as before."""
    length = int.from_bytes(BLOB[:8], "little")
    header = json.loads(BLOB[8 : 8 + length])
    edit(header)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + BLOB[8 + length :]


def reordered(header: dict[str, Any]) -> None:
    header["label"] = header.pop("label")
    header["flag"] = header.pop("flag")
    header["pixels"] = header.pop("pixels")


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\xff" * 8,
        b"\x10" + bytes(7) + b"{",
        (2).to_bytes(8, "little") + b"[]",
        (8).to_bytes(8, "little") + b"{} " * 2 + b"  ",
        (50_000).to_bytes(8, "little") + b"[" * 50_000,
        changed(reordered),
        changed(lambda h: h.update(__metadata__={"a": "b"})),
        changed(lambda h: h["label"].update(dtype="F64")),
        changed(lambda h: h["label"].update(dtype=None)),
        changed(lambda h: h["label"].update(shape=[ROWS + 1])),
        changed(lambda h: h["label"].update(shape=[-1, -ROWS])),
        changed(lambda h: h["label"].update(shape=[float(ROWS)])),
        changed(lambda h: h["label"].update(shape=[True, ROWS])),
        changed(lambda h: h["label"].update(shape=None)),
        changed(lambda h: h["label"].update(shape=[2**62, 2**62])),
        changed(lambda h: h["label"].update(data_offsets=[0, ROWS])),
        changed(lambda h: h["label"].update(data_offsets=[])),
        changed(lambda h: h.update({"\ud800": h.pop("label")})),
        changed(lambda h: h.update(label=3)),
        BLOB + b"x",
        BLOB[:-1],
    ],
)
def test_hostile_header_is_refused(blob: bytes) -> None:
    """Anything but the canonical header of a blob of this size, before a row is believed."""
    ref = BlobRef.of(blob)
    with pytest.raises(ManifestError):
        read_layout(ref, blob[:BLOB_CHUNK_BYTES])


def test_bool_that_is_none_is_the_strangers_fault() -> None:
    """As where a whole file is decoded."""
    data = {"flag": np.array([0, 1, 2, 0], np.uint8).view(np.bool_), "x": np.arange(4)}
    blob = tensors.encode({"flag": data["flag"]})
    stored = StoredRows(Chunks(blob, frozenset({0})), BlobRef.of(blob))
    np.testing.assert_array_equal(stored.read(0, 2)["flag"], [False, True])
    with pytest.raises(PeerFault, match="BOOL"):
        stored.read(1, 3)
