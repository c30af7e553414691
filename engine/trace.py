"""Tracing: from a Python function on tensors to a Program.

The function is called once, with symbolic tensors. What it computes becomes the Program; what it
decides in Python (loops, sizes, which layers) is fixed at that moment. It cannot look at elements,
because there are none yet, and it cannot capture data, because a Program carries none: both raise
TraceError instead of giving a Program that would not do what the function does.
"""

from collections.abc import Callable, Mapping

from engine import graph
from engine.errors import TraceError
from engine.lower import lower
from engine.program import Program, TensorType
from engine.tensor import Tensor


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
    results = function({name: Tensor.of(value) for name, value in symbols.items()})
    return lower(_outputs(results), symbols)


def _outputs(results: object) -> dict[str, graph.Value]:
    if not isinstance(results, Mapping) or not results:
        raise TraceError(f"a traced function must return named tensors, not {results!r}")
    for name, tensor in results.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise TraceError(f"the output {name!r} must be a Tensor, not {type(tensor).__name__}")
    return {name: tensor.value for name, tensor in results.items()}
