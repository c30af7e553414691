"""Named tensors as safetensors bytes, in one canonical form.

The format is public and read by every framework: u64 header length, a JSON header, the data. The
bytes that `encode` gives are a function of the tensors alone: no metadata, the largest dtype first,
then by name, the header padded with spaces to a multiple of 8. The safetensors library writes the
same today, but does not promise to; it is what reads, because it refuses malformed bytes.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from math import prod
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize

from engine.dtypes import DType, from_numpy
from engine.errors import StateError, UsageError
from engine.program import TensorType
from engine.tensor import Tensor

Array: TypeAlias = NDArray[np.generic]

_CODES = {  # in the order of their tensors
    DType.FLOAT32: "F32", DType.UINT32: "U32", DType.INT32: "I32", DType.BFLOAT16: "BF16",
    DType.FLOAT16: "F16", DType.INT8: "I8", DType.UINT8: "U8", DType.BOOL: "BOOL",
}  # fmt: skip
DTYPES = {code: dtype for dtype, code in _CODES.items()}
_WIDE = {"F64": "<f8", "I64": "<i8", "F16": "<f2"}
_NOTHING: Mapping[str, str] = {}


def encode(state: Mapping[str, Array]) -> bytes:
    """The canonical safetensors bytes of named arrays."""
    types = types_of(state)
    data = (np.asarray(state[name], order="C").tobytes() for name in _ordered(types))
    return b"".join([header(types), *data])


def types_of(state: Mapping[str, Array]) -> dict[str, TensorType]:
    """The types of named arrays; UsageError for a dtype that the engine does not have."""
    types: dict[str, TensorType] = {}
    for name, array in state.items():
        try:
            types[name] = TensorType(from_numpy(array.dtype), tuple(array.shape))
        except KeyError:
            known = ", ".join(dtype.name.lower() for dtype in _CODES)
            message = f"tensor {name!r} has dtype {array.dtype}; cast it to one of {known}"
            raise UsageError(message) from None
    return types


def encoded_bytes(types: Mapping[str, TensorType]) -> int:
    """The length of `encode` for tensors of these types."""
    return len(header(types)) + sum(map(_data_bytes, types.values()))


def decode(data: bytes, more: Mapping[str, str] = _NOTHING) -> dict[str, Array]:
    """Named arrays from safetensors bytes, canonical or not.

    Raises StateError for malformed bytes, for a dtype that the engine does not have and for a BOOL
    that is neither 0 nor 1. `more` names numpy's types for other codes.
    """
    try:
        parts = deserialize(data)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise StateError(f"not safetensors: {error}") from error
    return {n: _array(n, p["dtype"], p["shape"], p["data"], more) for n, p in parts}


def safe_save(state: Mapping[str, Tensor], path: str | Path) -> None:
    """Write named tensors to a file."""
    Path(path).write_bytes(encode({name: tensor.numpy() for name, tensor in state.items()}))


def safe_load(path: str | Path) -> dict[str, Tensor]:
    """Read named tensors from a file; 64-bit numbers become 32-bit ones, if integers fit."""
    return {n: Tensor(array) for n, array in decode(Path(path).read_bytes(), _WIDE).items()}


save_file, load_file = safe_save, safe_load


def named_tensors(model: object, prefix: str = "") -> Iterator[tuple[str, Tensor, bool]]:
    """(name, tensor, whether it is a buffer) in the order of definition, names joined by dots.

    Tensors are looked for in attributes, lists, tuples and mappings. What a layer calls a buffer
    (`register_buffer`) is not trained.
    """
    for name, part in parts(model):
        if isinstance(part, Tensor):
            yield f"{prefix}{name}", part, name in getattr(model, "buffer_names", ())
        else:
            yield from named_tensors(part, f"{prefix}{name}.")


def parts(model: object) -> Iterable[tuple[object, object]]:
    """(name, part) of a list, a tuple, a mapping, or an object with attributes."""
    if isinstance(model, (list, tuple)):
        return enumerate(model)
    if isinstance(model, Mapping):
        return model.items()
    has_parts = hasattr(model, "__dict__") and not isinstance(model, (type, ModuleType))
    return vars(model).items() if has_parts else ()


def get_state_dict(model: object, prefix: str = "") -> dict[str, Tensor]:
    """All tensors of a model by name."""
    return {name: tensor for name, tensor, _ in named_tensors(model, prefix)}


def get_parameters(model: object) -> list[Tensor]:
    """The tensors of a model that are trained, each once."""
    return list(dict.fromkeys(t for _, t, is_buffer in named_tensors(model) if not is_buffer))


def load_state_dict(model: object, state: Mapping[str, Tensor], strict: bool = True) -> None:
    """Take over the elements of tensors with the same names; dtypes and shapes must fit.

    Unless `strict`, names may be missing or unknown.
    """
    own = get_state_dict(model)
    require_fit(own, state, strict)
    for name in own.keys() & state.keys():
        own[name].assign(state[name])


def require_fit(
    own: Mapping[str, Tensor], given: Mapping[str, Tensor], strict: bool = True
) -> None:
    """Raise UsageError where names, dtypes or shapes differ."""
    if strict and own.keys() != given.keys():
        missing, unknown = sorted(own.keys() - given.keys()), sorted(given.keys() - own.keys())
        raise UsageError(f"the state does not fit: missing {missing}, unknown {unknown}")
    for name in own.keys() & given.keys():
        if (own[name].dtype, own[name].shape) != (given[name].dtype, given[name].shape):
            raise UsageError(f"{name} is {own[name]}, the state has {given[name]}")


def _array(
    name: str, code: str, shape: list[int], data: bytes, more: Mapping[str, str] = _NOTHING
) -> Array:
    if code in more:
        return np.frombuffer(data, more[code]).reshape(shape)
    if code not in DTYPES:
        raise StateError(f"tensor {name!r} has dtype {code}; cast it to {', '.join(DTYPES)}")
    array: Array = np.frombuffer(data, DTYPES[code].numpy).reshape(shape)
    if code == "BOOL" and bool((array.view(np.uint8) > 1).any()):
        raise StateError(f"tensor {name!r} holds a BOOL that is neither 0 nor 1")
    return array


def _ordered(types: Mapping[str, TensorType]) -> list[str]:
    order = list(_CODES)
    return sorted(types, key=lambda name: (order.index(types[name].dtype), name.encode()))


def _data_bytes(kind: TensorType) -> int:
    return prod(kind.shape) * kind.dtype.bytes


def header(types: Mapping[str, TensorType]) -> bytes:
    """How `encode` begins for tensors of these types: a u64 length, then so many bytes of JSON."""
    entries: dict[str, object] = {}
    end = 0
    for name in _ordered(types):
        kind, start = types[name], end
        end += _data_bytes(kind)
        offsets = {"data_offsets": [start, end]}
        entries[name] = {"dtype": _CODES[kind.dtype], "shape": list(kind.shape)} | offsets
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
