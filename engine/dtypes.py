"""The element types of tensors.

Arithmetic happens in FLOAT32, INT32, UINT32 and BOOL. UINT8 and INT8 are storage only: they can be
an input, an output, moved and cast, nothing else. Every element is little-endian.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import DTypeLike


class DType(IntEnum):
    """An element type; its value is the code in a Program's canonical bytes."""

    FLOAT32 = 1
    INT32 = 2
    UINT32 = 3
    BOOL = 4
    UINT8 = 5
    INT8 = 6

    @property
    def numpy(self) -> "np.dtype[np.generic]":
        """The numpy type that holds such elements."""
        return _NUMPY[self]

    @property
    def bytes(self) -> int:
        """Bytes per element."""
        return _NUMPY[self].itemsize

    @property
    def opencl(self) -> str:
        """The OpenCL C type that holds such elements."""
        return _OPENCL[self]

    @property
    def is_storage(self) -> bool:
        """Whether the type can only be stored, moved and cast."""
        return self in (DType.UINT8, DType.INT8)


_NUMPY: dict[DType, "np.dtype[np.generic]"] = {
    DType.FLOAT32: np.dtype("<f4"),
    DType.INT32: np.dtype("<i4"),
    DType.UINT32: np.dtype("<u4"),
    DType.BOOL: np.dtype("?"),
    DType.UINT8: np.dtype("u1"),
    DType.INT8: np.dtype("i1"),
}
_OPENCL = {
    DType.FLOAT32: "float",
    DType.INT32: "int",
    DType.UINT32: "uint",
    DType.BOOL: "uchar",
    DType.UINT8: "uchar",
    DType.INT8: "char",
}


def from_numpy(dtype: DTypeLike) -> DType:
    """The DType of a numpy type, or KeyError where there is none."""
    return _FROM_NUMPY[np.dtype(dtype)]


_FROM_NUMPY = {value: key for key, value in _NUMPY.items()}
