"""A minimal tensor engine whose computations are data, with defined bits.

    from engine import AdamW, Tensor, nn, trace
    from engine.functional import cross_entropy

`Tensor` computes lazily on the default backend. `trace` turns a function on tensors into a
`Program` with canonical bytes, a digest and an exact cost, which any backend executes with the same
bits; `jit` runs a function that way.
"""

from engine.cost import Cost, cost
from engine.dtypes import DType
from engine.errors import (
    DeviceError,
    EngineError,
    ProgramError,
    StateError,
    TraceError,
    UsageError,
)
from engine.optim import SGD, AdamW, Optimizer
from engine.program import Program, TensorType, decode, encode
from engine.tensor import Tensor, gradient
from engine.trace import jit, trace
from engine.validate import DEFAULT_LIMITS, Limits, validate

__all__ = [
    "DEFAULT_LIMITS",
    "SGD",
    "AdamW",
    "Cost",
    "DType",
    "DeviceError",
    "EngineError",
    "Limits",
    "Optimizer",
    "Program",
    "ProgramError",
    "StateError",
    "Tensor",
    "TensorType",
    "TraceError",
    "UsageError",
    "cost",
    "decode",
    "encode",
    "gradient",
    "jit",
    "trace",
    "validate",
]
