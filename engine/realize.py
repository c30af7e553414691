"""Realising: running the graph of tensors on the default backend.

The graph is lowered to a Program whose inputs are the data it rests on. Programs that were loaded
lately are kept, so that a training loop, which builds the same graph again each step, compiles
once. What was computed or uploaded is kept beside its value for as long as the value lives.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import TypeAlias
from weakref import WeakKeyDictionary

import numpy as np

from engine.backend import Backend, Buffer, Loaded, default_backend
from engine.errors import TraceError
from engine.graph import Array, Kind, Value, data, topological
from engine.lower import lower, lowered_inputs
from engine.ops import Op
from engine.program import Program

LOADED_MAX = 64

_Key: TypeAlias = tuple[int, Program]
_loaded: OrderedDict[_Key, tuple[Backend, Loaded]] = OrderedDict()  # the backend keeps its id alive
_held: WeakKeyDictionary[Value, tuple[Backend, Buffer]] = WeakKeyDictionary()


def realize(values: Sequence[Value]) -> list[Value]:
    """A DATA value with the elements of each value; what is missing is computed in one run.

    Raises TraceError where a value depends on a symbolic input of `trace`.
    """
    missing = [v for v in dict.fromkeys(values) if v.kind is not Kind.DATA and v not in _held]
    if missing:
        _run(missing)
    return [v if v.kind is Kind.DATA else _as_data(v) for v in values]


def elements(value: Value) -> Array:
    """A copy of the elements of a value."""
    (realized,) = realize([value])
    assert realized.data is not None
    stored = realized.data
    return stored.copy() if isinstance(stored, np.ndarray) else stored.numpy()


def _as_data(value: Value) -> Value:
    backend, buffer = _held[value]
    result = data(buffer, value.dtype)
    _held[result] = (backend, buffer)
    return result


def _run(values: list[Value]) -> None:
    names = {f"d{i:06}": leaf for i, leaf in enumerate(_leaves(values))}
    outputs = {f"o{i:06}": value for i, value in enumerate(values)}
    backend = default_backend()
    loaded = _load(backend, lower(outputs, names))
    results = loaded({name: _on(backend, leaf) for name, leaf in names.items()})
    for name, value in outputs.items():
        _held[value] = (backend, results[name])


def _leaves(values: list[Value]) -> list[Value]:
    """What `values` are computed from: data, and what was computed before."""

    def inputs_of(value: Value) -> Sequence[Value]:
        return () if value in _held else lowered_inputs(value)

    order = list(topological(values, inputs_of))
    for value in order:
        if value.kind is Op.INPUT:
            raise TraceError(
                f"a tensor that depends on the symbolic input {value.name!r} has no elements yet; "
                "a traced function must not look at them (numpy, item, bool)"
            )
    return [value for value in order if value.kind is Kind.DATA or value in _held]


def _load(backend: Backend, program: Program) -> Loaded:
    key = (id(backend), program)
    if key not in _loaded:
        _loaded[key] = (backend, backend.load(program))
        if len(_loaded) > LOADED_MAX:
            _loaded.popitem(last=False)
    _loaded.move_to_end(key)
    return _loaded[key][1]


def _on(backend: Backend, leaf: Value) -> Buffer:
    """The elements of a leaf on `backend`, uploaded once."""
    held = _held.get(leaf)
    if held is None or held[0] is not backend:
        held = (backend, backend.upload(elements(leaf)))
        _held[leaf] = held
    return held[1]
