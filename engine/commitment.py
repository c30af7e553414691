"""Digests of tensors, states and blobs: sha256 Merkle trees.

One tree shape everywhere (RFC 6962, section 2.1: n leaves split at the largest power of two below
n), with domain-separated leaves and nodes and the leaf count bound into the root, so that no
prefix, suffix or inner node of one tree can pass for another. docs/spec/protocol.md, section 2,
is normative.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.dtypes import from_numpy

LEAF, NODE, ROOT, TENSOR, UNIT = b"\x00", b"\x01", b"\x02", b"\x03", b"\x04"

TENSOR_LEAF_BYTES = 128
BLOB_CHUNK_BYTES = 256 * 1024

EMPTY_TREE = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes | memoryview) -> bytes:
    """The hash of one leaf's data."""
    return hashlib.sha256(LEAF + data).digest()


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """The bound root over already hashed leaves; 32 bytes."""
    return hashlib.sha256(ROOT + len(leaves).to_bytes(8, "big") + _fold(leaves)).digest()


def merkle_root(items: Iterable[bytes]) -> bytes:
    """The bound root over the data of leaves."""
    return tree_root([leaf_hash(item) for item in items])


def tensor_root(tensor: NDArray[np.generic]) -> bytes:
    """The root of one tensor: its dtype, its shape and its elements in leaves of 128 bytes."""
    data = np.ascontiguousarray(tensor).reshape(-1).data.cast("B")
    step = TENSOR_LEAF_BYTES
    elements = tree_root([leaf_hash(data[i : i + step]) for i in range(0, len(data), step)])
    header = bytes([from_numpy(tensor.dtype), tensor.ndim])
    shape = b"".join(int(n).to_bytes(8, "big") for n in tensor.shape)
    return hashlib.sha256(TENSOR + header + shape + elements).digest()


def state_root(state: Mapping[str, NDArray[np.generic]]) -> bytes:
    """The root of a set of named tensors, in the order of their UTF-8 names."""
    named = sorted((name.encode(), tensor) for name, tensor in state.items())
    return merkle_root(
        len(name).to_bytes(2, "big") + name + tensor_root(tensor) for name, tensor in named
    )


def unit_root(result_root: bytes, trace_root: bytes) -> bytes:
    """What a worker commits to: a unit's outputs and its intermediate states."""
    return hashlib.sha256(UNIT + result_root + trace_root).digest()


def blob_chunk_hashes(data: bytes | memoryview) -> list[bytes]:
    """The leaf hashes of a blob's chunks; at least one, also for an empty blob."""
    view = memoryview(data)
    step = BLOB_CHUNK_BYTES
    return [leaf_hash(view[i : i + step]) for i in range(0, max(len(view), 1), step)]


def blob_root(data: bytes | memoryview) -> bytes:
    """The content address of a blob: the root over its 256 KiB chunks."""
    return tree_root(blob_chunk_hashes(data))


def _fold(hashes: Sequence[bytes]) -> bytes:
    """RFC 6962's tree: level by level, an odd last node moves up unchanged."""
    if not hashes:
        return EMPTY_TREE
    level = list(hashes)
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        above = [hashlib.sha256(NODE + left + right).digest() for left, right in pairs]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0]
