"""Reverse-mode gradients: one rule per kind of graph value.

`gradient` walks from a scalar loss back to its targets and builds the gradients as more graph. A
rule gets the gradient of the loss by a value, and the value; it returns the gradient by each input,
None where none flows. Only FLOAT32 carries gradients.
"""

from collections.abc import Sequence
from math import prod
from typing import TypeAlias

from engine import elementwise as e
from engine import graph, movement
from engine.errors import UsageError
from engine.graph import Kind, Rule, Value
from engine.ops import Op

Gradients: TypeAlias = "Sequence[Value | None]"


def gradient(loss: Value, targets: Sequence[Value], seed: Value | None = None) -> list[Value]:
    """The gradient of `loss` by each target; zeros for a target that it does not depend on.

    A loss that is not a scalar needs a `seed` of its shape: the gradient of something by it.
    """
    if not loss.is_float:
        raise UsageError(f"the gradient of {loss.dtype.name} is not defined; cast it to FLOAT32")
    if seed is None and loss.size != 1:
        raise UsageError(f"the gradient needs a scalar loss, not {loss.shape}; sum() or mean() it")
    seed = graph.const(1, loss.dtype, loss.shape) if seed is None else seed
    if seed.shape != loss.shape or not seed.is_float:
        raise UsageError(f"the seed is {seed.dtype.name} {seed.shape}, the loss {loss.shape}")
    found = _backward(loss, seed, set(targets))
    return [
        found[target] if target in found else graph.const(0, target.dtype, target.shape)
        for target in targets
    ]


def _backward(loss: Value, seed: Value, targets: set[Value]) -> dict[Value, Value]:
    """The gradients of everything between `loss` and the targets."""
    order = list(graph.topological([loss], differentiable_inputs))
    on_path: set[Value] = set()
    for value in order:
        if value in targets or any(i in on_path for i in differentiable_inputs(value)):
            on_path.add(value)
    found: dict[Value, Value] = {loss: seed}
    for value in reversed(order):
        inputs = differentiable_inputs(value)
        if value not in found or not any(i in on_path for i in inputs):
            continue
        rule = value.rule if value.rule is not None else RULES[value.kind]
        parts = rule(found[value], value)
        for target, part in zip(_primals(value), parts, strict=True):
            if part is not None and target in on_path:
                found[target] = e.add(found[target], part) if target in found else part
    return found


def _primals(value: Value) -> tuple[Value, ...]:
    """What the rule of a value returns gradients for."""
    return value.inputs[1:] if value.kind is Kind.CUSTOM else value.inputs


def differentiable_inputs(value: Value) -> tuple[Value, ...]:
    """The inputs that a gradient can flow to."""
    if value.kind not in RULES and value.kind is not Kind.CUSTOM:
        return ()
    return tuple(i for i in _primals(value) if i.is_float)


def _mul(g: Value, out: Value) -> Gradients:
    a, b = out.inputs
    return e.mul(g, b), e.mul(g, a)


def _fma(g: Value, out: Value) -> Gradients:
    a, b, _ = out.inputs
    return e.mul(g, b), e.mul(g, a), g


def _div(g: Value, out: Value) -> Gradients:
    """a/b: g/b, and -a g/b^2 written as -(g/b) (a/b), which overflows later."""
    by_a = e.div(g, out.inputs[1])
    return by_a, e.neg(e.mul(by_a, out))


def _sqrt(g: Value, out: Value) -> Gradients:
    return (e.div(e.mul(g, 0.5), out),)


def _select(g: Value, out: Value) -> Gradients:
    condition = out.inputs[0]
    return None, e.select(condition, g, 0.0), e.select(condition, 0.0, g)


def _reshape(g: Value, out: Value) -> Gradients:
    return (graph.reshape(g, out.inputs[0].shape),)


def _permute(g: Value, out: Value) -> Gradients:
    inverse = sorted(range(len(out.attributes)), key=lambda axis: out.attributes[axis])
    return (graph.permute(g, inverse),)


def _expand(g: Value, out: Value) -> Gradients:
    """A repeated element gets the sum over its repetitions, folded as one axis."""
    return (sum_to(g, out.inputs[0].shape),)


def sum_to(value: Value, shape: graph.Shape) -> Value:
    """`value` summed over the axes where `shape` has length 1; the rank stays."""
    rank = len(shape)
    folded = [a for a in range(rank) if shape[a] == 1 and value.shape[a] != 1]
    if not folded:
        return value
    kept = [a for a in range(rank) if a not in folded]
    rows, count = [value.shape[a] for a in kept], prod(value.shape[a] for a in folded)
    flat = graph.reshape(graph.permute(value, kept + folded), (*rows, count))
    return graph.reshape(graph.fold(Op.SUM, flat), shape)


def _pad(g: Value, out: Value) -> Gradients:
    inner = out.inputs[0].shape
    return (graph.slice_(g, out.attributes[::2], (1,) * len(inner), inner),)


def _slice(g: Value, out: Value) -> Gradients:
    starts, steps = out.attributes[::2], out.attributes[1::2]
    return (movement.place(g, starts, steps, out.inputs[0].shape),)


def _sum(g: Value, out: Value) -> Gradients:
    return (graph.expand(g, out.inputs[0].shape),)


def _max(g: Value, out: Value) -> Gradients:
    """Elements that tie for the maximum share the gradient equally."""
    source = out.inputs[0]
    is_max = e.equals_or_nan(source, graph.expand(out, source.shape))
    count = graph.fold(Op.SUM, e.to_float(is_max))
    share = graph.expand(e.div(g, count), source.shape)
    return (e.select(is_max, share, 0.0),)


def _dot(g: Value, out: Value) -> Gradients:
    a, b = out.inputs
    swap = (0, 2, 1)
    return graph.dot(g, graph.permute(b, swap)), graph.dot(graph.permute(a, swap), g)


def _gather(g: Value, out: Value) -> Gradients:
    table, index = out.inputs
    return graph.scatter(index, g, table.shape[0]), None


def _scatter(g: Value, out: Value) -> Gradients:
    return None, graph.gather(g, out.inputs[0])


RULES: dict[Op | Kind, Rule] = {
    Op.ADD: lambda g, out: (g, g),
    Op.MUL: _mul,
    Op.FMA: _fma,
    Op.DIV: _div,
    Op.SQRT: _sqrt,
    Op.SELECT: _select,
    Kind.RESHAPE: _reshape,
    Kind.PERMUTE: _permute,
    Kind.EXPAND: _expand,
    Kind.SLICE: _slice,
    Op.PAD: _pad,
    Op.SUM: _sum,
    Op.MAX: _max,
    Op.DOT: _dot,
    Op.GATHER: _gather,
    Op.SCATTER: _scatter,
}
"""Ops that are missing give BOOL or integers, or take their value's bits: no gradient flows."""
