"""Training data by rows: a step needs its window, not the data set.

Canonical safetensors bytes (engine/state.py) say in their header where every tensor lies, so the
bytes of a row are arithmetic, and with them the chunks of a blob that a unit touches. `read_layout`
believes only a header that is canonical, whole in the first chunk and in agreement with the blob's
size. `StoredRows` reads from a store that may hold just some of the chunks, each verified.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine import state as tensors
from engine.commitment import BLOB_CHUNK_BYTES
from engine.dtypes import DType
from engine.program import TensorType
from node import bounded_json
from node.errors import PeerFault
from scheduler.blob_ref import BlobRef
from scheduler.errors import ManifestError
from scheduler.manifest import Manifest
from scheduler.windows import unit_rows

State = Mapping[str, NDArray[np.generic]]

LENGTH_BYTES = 8
CHUNKS_KEPT = 64
"""Verified chunks that stay in memory, 16 MiB: the windows of a unit follow each other."""


class Rows(Protocol):
    """Named tensors with a common first axis, of which ranges are read."""

    @property
    def types(self) -> Mapping[str, TensorType]:
        """The dtype and whole shape of every tensor."""
        ...

    def read(self, start: int, stop: int) -> State:
        """The rows [start, stop) of every tensor."""
        ...


class ChunkStore(Protocol):
    """What node.blobs.BlobStore offers here."""

    def chunk(self, ref: BlobRef, index: int) -> bytes:
        """One verified chunk of a blob."""
        ...


@dataclass(frozen=True, slots=True)
class WholeRows:
    """Rows of arrays in memory."""

    state: State

    @property
    def types(self) -> Mapping[str, TensorType]:
        """The dtype and whole shape of every tensor."""
        return tensors.types_of(self.state)

    def read(self, start: int, stop: int) -> State:
        """The rows [start, stop) of every tensor."""
        return {name: array[start:stop] for name, array in self.state.items()}


@dataclass(frozen=True, slots=True)
class Layout:
    """Which tensors a blob holds, and at which byte of it each starts."""

    types: Mapping[str, TensorType]
    starts: Mapping[str, int]

    def span(self, name: str, start: int, stop: int) -> tuple[int, int]:
        """The bytes [first, end) of the rows [start, stop) of a tensor."""
        kind = self.types[name]
        row_bytes = prod(kind.shape[1:]) * kind.dtype.bytes
        return self.starts[name] + start * row_bytes, self.starts[name] + stop * row_bytes

    def chunks(self, ranges: Iterable[tuple[int, int]]) -> frozenset[int]:
        """The chunks of the blob that hold these ranges of rows, and the header's."""
        spans = [self.span(name, *rows) for rows in ranges for name in self.types]
        return frozenset({0}.union(*(_chunks_of(*span) for span in spans)))


def unit_chunks(layout: Layout, manifest: Manifest, round: int, slot: int) -> frozenset[int]:
    """The chunks of the training data that a unit reads; ValueError outside the job."""
    return layout.chunks(unit_rows(manifest, round, slot))


def read_layout(ref: BlobRef, first_chunk: bytes) -> Layout:
    """The layout of a blob, from its first chunk alone.

    ManifestError unless this begins with the canonical header of a blob of just this size.
    """
    length = int.from_bytes(first_chunk[:LENGTH_BYTES], "little")
    if length > len(first_chunk) - LENGTH_BYTES:
        raise ManifestError(f"a header of {length} bytes does not fit into the first chunk")
    text = first_chunk[LENGTH_BYTES : LENGTH_BYTES + length]
    try:
        entries = bounded_json.loads(text)
        types = {name: _type_of(entry) for name, entry in entries.items()}
        starts = {
            name: LENGTH_BYTES + length + int(entry["data_offsets"][0])
            for name, entry in entries.items()
        }
        canonical = tensors.header(types)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise ManifestError(f"not the header of safetensors: {error!r}"[:200]) from error
    if canonical != first_chunk[: LENGTH_BYTES + length]:
        raise ManifestError("a header that is not canonical; `ainur job submit` makes it so")
    if tensors.encoded_bytes(types) != ref.size:
        raise ManifestError(
            f"{ref.size} bytes, its header describes {tensors.encoded_bytes(types)}"
        )
    return Layout(types, starts)


class StoredRows:
    """Rows of a blob in a store. Not for several threads."""

    def __init__(self, store: ChunkStore, ref: BlobRef) -> None:
        """Read the layout: what is wrong with it is a ManifestError."""
        self._store, self._ref = store, ref
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._layout = read_layout(ref, self._chunk(0))

    @property
    def types(self) -> Mapping[str, TensorType]:
        """The dtype and whole shape of every tensor."""
        return self._layout.types

    def read(self, start: int, stop: int) -> State:
        """The rows [start, stop) of every tensor, verified.

        Whatever the store raises where a chunk is missing; PeerFault for a BOOL that is none.
        """
        return {
            name: self._read(name, kind, start, stop) for name, kind in self._layout.types.items()
        }

    def _read(self, name: str, kind: TensorType, start: int, stop: int) -> NDArray[np.generic]:
        data = b"".join(self._parts(*self._layout.span(name, start, stop)))
        array = np.frombuffer(data, kind.dtype.numpy).reshape(stop - start, *kind.shape[1:])
        if kind.dtype is DType.BOOL and bool((array.view(np.uint8) > 1).any()):
            raise PeerFault(f"rows {start} to {stop} of {name!r} hold a BOOL that is not 0 or 1")
        return array

    def _parts(self, first: int, end: int) -> Iterator[bytes]:
        for index in _chunks_of(first, end):
            base = index * BLOB_CHUNK_BYTES
            yield self._chunk(index)[max(0, first - base) : end - base]

    def _chunk(self, index: int) -> bytes:
        data = self._kept.pop(index, None) or self._store.chunk(self._ref, index)
        self._kept[index] = data
        if len(self._kept) > CHUNKS_KEPT:
            self._kept.popitem(last=False)
        return data


def _chunks_of(first: int, end: int) -> range:
    """The chunks that hold the bytes [first, end)."""
    return (
        range(first // BLOB_CHUNK_BYTES, -(-end // BLOB_CHUNK_BYTES)) if end > first else range(0)
    )


def _type_of(entry: Mapping[str, object]) -> TensorType:
    shape = entry["shape"]
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"a shape of {shape!r}")
    return TensorType(tensors.DTYPES[str(entry["dtype"])], tuple(shape))
