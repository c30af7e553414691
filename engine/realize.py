"""Realising: running the graph of tensors on the default backend.

The graph is lowered to a Program whose inputs are the data it rests on. Programs that were loaded
lately are kept, so that a training loop, which builds the same graph again each step, compiles
once. What was computed or uploaded is kept beside its value for as long as the value lives.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeAlias
from weakref import WeakKeyDictionary, ref

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
_deferred: list[ref[Value]] = []
_tracing: list[object] = []


@contextmanager
def tracing() -> Iterator[None]:
    """While a traced function is called."""
    _tracing.append(object())
    try:
        yield
    finally:
        _tracing.pop()


def is_tracing() -> bool:
    """Whether a traced function is being called."""
    return bool(_tracing)


def current_trace() -> object | None:
    """What stands for the traced function that is being called."""
    return _tracing[-1] if _tracing else None


def refuse_in_trace() -> None:
    """Raise TraceError for what a Program would not do when it runs."""
    if is_tracing():
        raise TraceError(
            "a traced function must not look at elements nor change tensors (numpy, item, bool, "
            "assign, backward): its Python runs once, its Program often; pass in what it reads, "
            "return what it changes, use gradient(loss, ...)"
        )


def realize(values: Sequence[Value]) -> list[Value]:
    """A DATA value with the elements of each value; what is missing is computed in one run.

    Raises TraceError inside a traced function, and for what depends on its inputs.
    """
    refuse_in_trace()
    if any(_is_missing(v) for v in values):
        late = [value for deferred in _deferred if (value := deferred())]
        _deferred.clear()
        _run([v for v in dict.fromkeys((*values, *late)) if _is_missing(v)])
    return [v if v.kind is Kind.DATA or not v.size else _data(*_held[v]) for v in values]


def _is_missing(value: Value) -> bool:
    return value.kind is not Kind.DATA and value not in _held and value.size > 0


def defer(values: Sequence[Value]) -> None:
    """Compute these in the next run, too, whatever it is for: they share its inputs."""
    _deferred.extend(ref(value) for value in values)


def elements(value: Value) -> Array:
    """A copy of the elements of a value."""
    (realized,) = realize([value])
    if not value.size:
        return np.zeros(value.shape, value.dtype.numpy)
    assert realized.data is not None
    stored = realized.data
    return stored.copy() if isinstance(stored, np.ndarray) else stored.numpy()


def run(program: Program, inputs: Mapping[str, Value]) -> dict[str, Value]:
    """Run a Program on the default backend with the elements of values; its outputs as DATA."""
    realize(list(inputs.values()))
    backend = default_backend()
    results = _load(backend, program)({name: _on(backend, leaf) for name, leaf in inputs.items()})
    return {name: _data(backend, buffer) for name, buffer in results.items()}


def _data(backend: Backend, buffer: Buffer) -> Value:
    result = data(buffer, buffer.dtype)
    _held[result] = (backend, buffer)
    return result


def _run(values: list[Value]) -> None:
    names = {f"d{i:06}": leaf for i, leaf in enumerate(_leaves(values))}
    outputs = {f"o{i:06}": value for i, value in enumerate(values)}
    for name, result in run(lower(outputs, names), names).items():
        _held[outputs[name]] = _held[result]


def _leaves(values: Sequence[Value]) -> list[Value]:
    """What `values` are computed from: data, and what was computed before."""

    def inputs_of(value: Value) -> Sequence[Value]:
        return () if value in _held else lowered_inputs(value)

    order = list(topological(values, inputs_of))
    for value in order:
        if value.kind is Op.INPUT:
            why = f"what depends on the symbolic input {value.name!r} has no elements"
            raise TraceError(f"{why}: return it from the traced function, and run the Program")
    return [value for value in order if value.kind is Kind.DATA or value in _held]


def _load(backend: Backend, program: Program) -> Loaded:
    key = (id(backend), program)
    if key not in _loaded:
        _loaded[key] = backend, backend.load(program)
    _loaded.move_to_end(key)
    if len(_loaded) > LOADED_MAX:
        _loaded.popitem(last=False)
    return _loaded[key][1]


def _on(backend: Backend, leaf: Value) -> Buffer:
    """The elements of a leaf on `backend`, uploaded once."""
    if leaf not in _held or _held[leaf][0] is not backend:
        _held[leaf] = backend, backend.upload(elements(leaf))
    return _held[leaf][1]
