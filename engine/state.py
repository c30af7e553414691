"""Named tensors as safetensors bytes, in one canonical form.

The format is public and read by every framework: u64 header length, a JSON header, the data. The
bytes that `encode` gives are a function of the tensors alone: no metadata, the largest dtype first,
then by name, the header padded with spaces to a multiple of 8. The safetensors library writes the
same today, but does not promise to; it is what reads, because it refuses malformed bytes.
"""

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize

from engine.dtypes import DType, from_numpy
from engine.errors import StateError, UsageError
from engine.program import TensorType
from engine.tensor import Tensor

Array: TypeAlias = NDArray[np.generic]

_CODES = {
    DType.FLOAT32: "F32",
    DType.UINT32: "U32",
    DType.INT32: "I32",
    DType.INT8: "I8",
    DType.UINT8: "U8",
    DType.BOOL: "BOOL",
}
_DTYPES = {code: dtype for dtype, code in _CODES.items()}
_ORDER = {dtype: place for place, dtype in enumerate(_CODES)}


def encode(state: Mapping[str, Array]) -> bytes:
    """The canonical safetensors bytes of named arrays."""
    types = types_of(state)
    data = (np.asarray(state[name], order="C").tobytes() for name, _ in _ordered(types))
    return b"".join([_header(types), *data])


def types_of(state: Mapping[str, Array]) -> dict[str, TensorType]:
    """The types of named arrays; UsageError for a dtype that the engine does not have."""
    return {name: _type_of(name, array) for name, array in state.items()}


def encoded_bytes(types: Mapping[str, TensorType]) -> int:
    """The length of `encode` for tensors of these types."""
    return len(_header(types)) + sum(_data_bytes(kind) for kind in types.values())


def decode(data: bytes) -> dict[str, Array]:
    """Named arrays from safetensors bytes, canonical or not.

    Raises StateError for malformed bytes, for a dtype that the engine does not have and for a BOOL
    that is neither 0 nor 1.
    """
    try:
        parts = deserialize(data)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise StateError(f"not safetensors: {error}") from error
    return {name: _array(name, part["dtype"], part["shape"], part["data"]) for name, part in parts}


def save_file(state: Mapping[str, Tensor], path: str | Path) -> None:
    """Write named tensors to a file."""
    Path(path).write_bytes(encode({name: tensor.numpy() for name, tensor in state.items()}))


def load_file(path: str | Path) -> dict[str, Tensor]:
    """Read named tensors from a file."""
    return {name: Tensor(array) for name, array in decode(Path(path).read_bytes()).items()}


def _array(name: str, code: str, shape: list[int], data: bytes) -> Array:
    if code not in _DTYPES:
        raise StateError(f"tensor {name!r} has dtype {code}; cast it to {', '.join(_DTYPES)}")
    array: Array = np.frombuffer(data, _DTYPES[code].numpy).reshape(shape)
    if code == "BOOL" and bool((array.view(np.uint8) > 1).any()):
        raise StateError(f"tensor {name!r} holds a BOOL that is neither 0 nor 1")
    return array


def _type_of(name: str, array: Array) -> TensorType:
    try:
        return TensorType(from_numpy(array.dtype), tuple(array.shape))
    except KeyError:
        raise UsageError(
            f"tensor {name!r} has dtype {array.dtype}; cast it to one of "
            + ", ".join(dtype.name.lower() for dtype in _CODES)
        ) from None


def _ordered(types: Mapping[str, TensorType]) -> list[tuple[str, TensorType]]:
    return sorted(types.items(), key=lambda item: (_ORDER[item[1].dtype], item[0].encode()))


def _data_bytes(kind: TensorType) -> int:
    return prod(kind.shape) * kind.dtype.bytes


def _header(types: Mapping[str, TensorType]) -> bytes:
    entries: dict[str, object] = {}
    start = 0
    for name, kind in _ordered(types):
        end = start + _data_bytes(kind)
        entries[name] = {
            "dtype": _CODES[kind.dtype],
            "shape": list(kind.shape),
            "data_offsets": [start, end],
        }
        start = end
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
