"""Tracing: from a Python function on tensors to a Program.

The function is called once, with symbolic tensors. What it computes becomes the Program; what it
decides in Python (loops, sizes, which layers) is fixed at that moment. Where the Program would not
do what the function does, TraceError says why:

    it looks at elements                     there are none yet
    it changes a tensor (assign, backward)   a run of the Program would not: return the new one
    it captures data                         a Program carries none: pass it in
    it gives another Program when called     it depends on more than its arguments
    it is called with ever new shapes        each needs a Program of its own

`trace` makes a Program to keep. `jit` makes a function that traces itself when it is called and
then runs the Program on the default backend, with the bits of the function.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeAlias, TypeVar

from engine import graph, realize
from engine.errors import TraceError
from engine.gradient import differentiable_inputs
from engine.lower import lower
from engine.program import Program, TensorType
from engine.tensor import Tensor

PROGRAMS_MAX = 8
"""Kinds of arguments for which one jitted function keeps a Program."""

_P = ParamSpec("_P")
_R = TypeVar("_R")
Names: TypeAlias = dict[graph.Value, str]


def trace(
    function: Callable[[dict[str, Tensor]], Mapping[str, Tensor]], inputs: Mapping[str, TensorType]
) -> Program:
    """The Program that does what `function` does.

    `function` gets a symbolic Tensor for each name in `inputs` and returns named tensors. The
    Program has exactly these inputs, also those that the function does not use. The same function
    gives the same Program, byte for byte, in every process.
    """
    symbols = {
        name: graph.input_value(name, kind.dtype, kind.shape)
        for name, kind in sorted(inputs.items())
    }
    given = {name: Tensor.of(value) for name, value in symbols.items()}  # not to be changed inside
    with realize.tracing():
        results = function(given)
    return lower(_outputs(results), symbols)


def _outputs(results: object) -> dict[str, graph.Value]:
    if not isinstance(results, Mapping) or not results:
        raise TraceError(f"a traced function must return named tensors, not {results!r}")
    for name, tensor in results.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise TraceError(f"the output {name!r} must be a Tensor, not {type(tensor).__name__}")
    return {name: tensor.value for name, tensor in results.items()}


def jit(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """`function`, run as a Program, with the same bits.

    Arguments and results are Tensors, in dicts, lists and tuples as one likes. Numbers, strings and
    None may be among the arguments; each new one, like each new shape, is traced anew, PROGRAMS_MAX
    times at most. Results are new leaves: no gradient flows back through the call. The function's
    Python runs at the first two calls with one kind of arguments, which must agree, then no more.
    """
    known: dict[str, tuple[Program, Any]] = {}
    confirmed: set[str] = set()

    @wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if realize.is_tracing():  # part of a larger trace
            return function(*args, **kwargs)
        names: Names = {}  # one tensor given twice is one input
        kind = repr(_mapped((args, kwargs), lambda leaf: _described(leaf, names)))
        made_from = [i for value in names for i in differentiable_inputs(value)]
        if any(value in names for value in graph.topological(made_from, differentiable_inputs)):
            raise TraceError(
                "an argument was computed from another one, so a gradient inside of the jitted "
                "function would miss that; detach() it, or compute it inside"
            )
        if kind not in confirmed:
            if kind not in known and len(known) == PROGRAMS_MAX:
                raise TraceError(
                    f"{function!r} was called with over {PROGRAMS_MAX} kinds of arguments, "
                    f"now {kind}; pass numbers that change as Tensors and pad to a few shapes"
                )
            made = _traced(function, (args, kwargs), names)
            if known.setdefault(kind, made) != made:
                raise TraceError(
                    f"{function!r} gave another Program at its second call; it depends on more than"
                    " its arguments (a counter, chance, an attribute); pass that as a Tensor"
                )
            if known[kind] is not made:
                confirmed.add(kind)
        program, results = known[kind]
        outputs = realize.run(program, {name: value for value, name in names.items()})
        result: _R = _mapped(results, lambda name: name and Tensor.of(outputs[name]))
        return result

    return call


def _traced(function: Callable[..., object], arguments: Any, names: Names) -> tuple[Program, Any]:
    """The Program of a call, and its results with names in place of the Tensors."""
    results: list[Any] = []

    def call(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        args, kwargs = _mapped(
            arguments, lambda leaf: inputs[names[leaf.value]] if isinstance(leaf, Tensor) else leaf
        )
        outputs: Names = {}
        results.append(_mapped(function(*args, **kwargs), lambda leaf: _named(leaf, outputs)))
        return {name: Tensor.of(value) for value, name in outputs.items()}

    types = {name: TensorType(value.dtype, value.shape) for value, name in names.items()}
    return trace(call, types), results[0]


def _described(leaf: object, names: Names) -> object:
    """What a Program depends on in one argument; a Tensor is named."""
    if isinstance(leaf, Tensor):
        return _named(leaf, names), leaf.dtype.name, leaf.shape
    if leaf is None or isinstance(leaf, (bool, int, float, str)):
        return leaf
    raise TraceError(
        f"a jitted function takes Tensors, numbers and strings, not {type(leaf).__name__}: "
        "wrap an array in Tensor, pass a model's state_dict() and use functional_call"
    )


def _named(leaf: object, names: Names) -> str | None:
    if isinstance(leaf, Tensor):
        return names.setdefault(leaf.value, f"t{len(names):06}")
    if leaf is None:
        return None
    raise TraceError(f"a jitted function must return Tensors, not {leaf!r}: wrap it in one")


def _mapped(part: Any, change: Callable[[Any], object]) -> Any:
    """Dicts, lists and tuples with their leaves changed."""
    if isinstance(part, Mapping):
        return {key: _mapped(below, change) for key, below in part.items()}
    if type(part) in (list, tuple):
        return type(part)(_mapped(below, change) for below in part)
    return change(part)
