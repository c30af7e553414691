"""The element types of tensors.

Arithmetic happens in FLOAT32, INT32, UINT32 and BOOL. The others are storage only: they can be an
input, an output, moved and cast, nothing else. Every element is little-endian. numpy has no
bfloat16; here it is a structured type whose one field holds the bits.
"""

from enum import IntEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from engine.errors import NoSuchDType


class DType(IntEnum):
    """An element type; its value is the code in a Program's canonical bytes."""

    FLOAT32 = 1
    INT32 = 2
    UINT32 = 3
    BOOL = 4
    UINT8 = 5
    INT8 = 6
    FLOAT16 = 7  # IEEE binary16
    BFLOAT16 = 8  # the upper half of a binary32

    def __str__(self) -> str:
        return self.name

    @property
    def numpy(self) -> "np.dtype[np.generic]":
        """The numpy type that holds such elements."""
        return _HELD[self][0]

    @property
    def bytes(self) -> int:
        """Bytes per element."""
        return _HELD[self][0].itemsize

    @property
    def opencl(self) -> str:
        """The OpenCL C type that holds such elements."""
        return _HELD[self][1]

    @property
    def is_storage(self) -> bool:
        """Whether the type can only be stored, moved and cast."""
        return self >= DType.UINT8


_HELD: dict[DType, tuple["np.dtype[np.generic]", str]] = {
    DType.FLOAT32: (np.dtype("<f4"), "float"),
    DType.INT32: (np.dtype("<i4"), "int"),
    DType.UINT32: (np.dtype("<u4"), "uint"),
    DType.BOOL: (np.dtype("?"), "uchar"),
    DType.UINT8: (np.dtype("u1"), "uchar"),
    DType.INT8: (np.dtype("i1"), "char"),
    DType.FLOAT16: (np.dtype("<f2"), "ushort"),
    DType.BFLOAT16: (np.dtype([("bfloat16", "<u2")]), "ushort"),
}


AnyType: TypeAlias = DType | DTypeLike
CANONICAL_NAN = {DType.FLOAT32: 0x7FC00000, DType.FLOAT16: 0x7E00, DType.BFLOAT16: 0x7FC0}
"""The one bit pattern of a NaN that is stored or whose bits are looked at, per type."""


def is_other_nan(bits: int, dtype: DType) -> bool:
    """Whether a bit pattern is a NaN, but not the canonical one."""
    nan = CANONICAL_NAN.get(dtype, 0)
    infinity = nan & nan << 1  # the exponent's bits
    return dtype in CANONICAL_NAN and bits != nan and bits % (1 << 8 * dtype.bytes - 1) > infinity


def from_numpy(dtype: DTypeLike) -> DType:
    """The DType of a numpy type, or KeyError where there is none."""
    return _FROM_NUMPY[np.dtype(dtype)]


def dtype_of(kind: AnyType) -> DType:
    """The dtype of its numpy or Python name; 64 bits become 32."""
    if isinstance(kind, DType):
        return kind
    try:
        found = np.dtype(kind)
    except TypeError:
        names = ", ".join(dtype.name.lower() for dtype in DType)
        raise NoSuchDType(f"there is no dtype {kind!r}; there are {names}") from None
    try:
        return from_numpy(found if found in _FROM_NUMPY else _WIDEST.get(found.kind, found))
    except KeyError:
        raise NoSuchDType(f"numpy dtype {found} has no counterpart here") from None


_FROM_NUMPY = {dtype.numpy: dtype for dtype in DType}
_WIDEST = {"f": "float32", "i": "int32", "u": "int32"}
