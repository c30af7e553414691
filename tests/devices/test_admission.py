"""The golden vectors refuse every plausible way in which a device could compute something else.

Each mutant is the reference with one function replaced by what hardware or a compiler is known to
do: flushed subnormals, reciprocals, two roundings, other orders, unguarded edge cases.
"""

import re

import numpy as np
import pytest

from engine import arithmetic, opencl, reference
from engine.backend import list_devices, open_backend
from engine.dtypes import DType
from engine.errors import DeviceError
from engine.reference import ReferenceBackend
from engine.vectors import check_device

ADD, MUL, FMA, DIV, SQRT = (
    getattr(arithmetic, name) for name in ("add", "mul", "fma", "div", "sqrt")
)
SHL, SHR, CONVERT, MAXIMUM = (
    getattr(arithmetic, name) for name in ("shl", "shr", "convert", "maximum")
)
SUM, DOT, SCATTER = (getattr(reference, n) for n in ("sum_last_axis", "dot", "scatter"))
TINY = np.float32(2.0**-126)


def quiet(function):
    """Without numpy's warnings."""

    def call(*arguments):
        with np.errstate(all="ignore"):
            return function(*arguments)

    return call


def flushed(a):
    """Subnormals as zeros of their sign."""
    if a.dtype != np.float32:
        return a
    return np.where(np.abs(a) < TINY, np.copysign(np.float32(0), a), a)


def for_floats(function, otherwise):
    """`function` for float32, else what is right."""
    return quiet(lambda a, *more: (function if a.dtype == np.float32 else otherwise)(a, *more))


def towards_zero(a, b):
    """a + b rounded towards zero."""
    wide = a.astype(np.float64) + b.astype(np.float64)
    near = wide.astype(np.float32)
    return np.where(np.abs(near) > np.abs(wide), np.nextafter(near, np.float32(0)), near)


def in_order(a):
    """A sum from the first element to the last."""
    total = a[..., :1].copy()
    for i in range(1, a.shape[-1]):
        total = ADD(total, a[..., i : i + 1])
    return total


def from_zero(a):
    """A sum that starts from +0."""
    return ADD(np.zeros_like(SUM(a)), SUM(a))


def without_blocks(a, b):
    """DOT as one chain over the whole of k."""
    block: np.ndarray = np.zeros((a.shape[0], a.shape[1], b.shape[2]), np.float32)
    for k in range(a.shape[2]):
        block = FMA(a[:, :, k, None].astype(np.float64), b[:, None, k, :].astype(np.float64), block)
    return block


def saturating(a, to):
    """Integers clipped where they should wrap; floats where they should be NaN = 0."""
    if a.dtype == np.float32 and to is DType.INT32:
        return np.where(np.isnan(a), -(2**31), CONVERT(a, to)).astype(np.int32)
    return CONVERT(a, to)


MUTANTS = {
    "sums flushed to zero": (arithmetic, "add", for_floats(lambda a, b: flushed(ADD(a, b)), ADD)),
    "products flushed": (arithmetic, "mul", for_floats(lambda a, b: flushed(MUL(a, b)), MUL)),
    "operands flushed": (
        arithmetic, "mul", for_floats(lambda a, b: MUL(flushed(a), flushed(b)), MUL),
    ),
    "fma flushed": (arithmetic, "fma", quiet(lambda a, b, c: flushed(FMA(a, b, c)))),
    "quotients flushed": (arithmetic, "div", for_floats(lambda a, b: flushed(DIV(a, b)), DIV)),
    "roots of subnormals flushed": (arithmetic, "sqrt", quiet(lambda a: SQRT(flushed(a)))),
    "sums towards zero": (arithmetic, "add", for_floats(towards_zero, ADD)),
    "fma rounded twice": (
        arithmetic, "fma", quiet(lambda a, b, c: (a * b).astype(np.float32) + c),
    ),
    "fma by way of binary64": (
        arithmetic, "fma", quiet(lambda a, b, c: (a.astype("f8") * b + c).astype(np.float32)),
    ),
    "division by reciprocal": (
        arithmetic, "div", for_floats(lambda a, b: a * (np.float32(1) / b), DIV),
    ),
    "root by reciprocal": (arithmetic, "sqrt", quiet(lambda a: a * (np.float32(1) / SQRT(a)))),
    "NaN kept as it is": (arithmetic, "canonical", lambda a: a),
    "shift counts modulo 32": (
        arithmetic, "shl", lambda a, b: SHL(a, (b.astype(np.int64) & 31).astype(b.dtype)),
    ),
    "right shift counts modulo 32": (
        arithmetic, "shr", lambda a, b: SHR(a, (b.astype(np.int64) & 31).astype(b.dtype)),
    ),
    "x / 0 all ones": (
        arithmetic, "div",
        lambda a, b: DIV(a, b) if a.dtype == np.float32
        else np.where(b == 0, np.array(-1).astype(a.dtype), DIV(a, b)),
    ),
    "NaN to INT_MIN": (arithmetic, "convert", saturating),
    "max ignores the sign of zero": (arithmetic, "maximum", for_floats(np.fmax, MAXIMUM)),
    "sum in order": (reference, "sum_last_axis", in_order),
    "sum from +0": (reference, "sum_last_axis", from_zero),
    "sum with half the lanes": (reference, "SUM_LANES", 16),
    "dot without blocks": (reference, "dot", without_blocks),
    "dot in smaller blocks": (reference, "DOT_BLOCK", 128),
    "scatter in another order": (
        reference, "scatter", lambda index, rows, n: SCATTER(index[::-1], rows[::-1], n),
    ),
}  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS)
def test_no_wrong_arithmetic_is_admitted(monkeypatch, mutant):
    """At least one vector differs."""
    module, name, function = MUTANTS[mutant]
    monkeypatch.setattr(module, name, function)
    failures = check_device(ReferenceBackend())
    assert failures
    assert all("expected 0x" in failure for failure in failures)


@pytest.mark.skipif(not list_devices(), reason="no OpenCL device")
def test_a_device_that_fails_is_not_opened(monkeypatch):
    """By no way of compiling; the message has the op, its inputs and both bit patterns."""
    monkeypatch.setattr(opencl, "_opened", {})
    wrong = "ADD FLOAT32(0x1, 0x1): expected 0x2, got 0x0"
    monkeypatch.setattr(opencl, "check_device", lambda _: [wrong])
    with pytest.raises(DeviceError, match=re.escape(wrong)) as info:
        open_backend("0")
    assert "cannot take part" in str(info.value)
    assert opencl._opened == {}
