"""Reverse-mode gradients: one rule per kind of graph value.

`gradient` walks from a scalar loss back to its targets and builds the gradients as more graph. A
rule gets the gradient of the loss by a value, and the value; it returns the gradient by each input,
None where none flows. Only FLOAT32 carries gradients.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from engine import elementwise as e
from engine import folds, graph, movement
from engine.errors import UsageError
from engine.graph import Kind, Value
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
    return [found.get(t) or graph.const(0, t.dtype, t.shape) for t in targets]


def _backward(loss: Value, seed: Value, targets: set[Value]) -> dict[Value, Value]:
    """The gradients of everything between `loss` and the targets."""
    order = list(graph.topological([loss], differentiable_inputs))
    on_path: set[Value] = set()
    for value in order:
        if value in targets or not on_path.isdisjoint(differentiable_inputs(value)):
            on_path.add(value)
    found: dict[Value, Value] = {loss: seed}
    for value in reversed(order):
        if value not in found or on_path.isdisjoint(differentiable_inputs(value)):
            continue
        g = found[value]
        parts = value.rule(g, value) if value.rule else RULES[value.kind](g, value, *value.inputs)
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


def sum_to(value: Value, shape: graph.Shape) -> Value:
    """`value` summed over the axes where `shape` has length 1, as one axis; the rank stays."""
    folded = [a for a, (n, m) in enumerate(zip(shape, value.shape, strict=True)) if n != m]
    return folds.fold(Op.SUM, value, folded, True) if folded else value


def _permute(g: Value, out: Value, _: Value) -> Gradients:
    inverse = sorted(range(len(out.attributes)), key=lambda axis: out.attributes[axis])
    return (graph.permute(g, inverse),)


def _max(g: Value, out: Value, a: Value) -> Gradients:
    """Elements that tie for the maximum share the gradient equally."""
    is_max = e.equals_or_nan(a, graph.expand(out, a.shape))
    share = e.div(g, graph.fold(Op.SUM, e.to_float(is_max)))
    return (e.select(is_max, graph.expand(share, a.shape), 0.0),)


def _pad(g: Value, out: Value, a: Value) -> Gradients:
    pairs = zip(out.attributes[::2], a.shape, strict=True)
    return (graph.slice_(g, [range(low, low + n) for low, n in pairs]),)


def _swap(matrices: Value) -> Value:
    return graph.permute(matrices, (0, 2, 1))


RULES: dict[Op | Kind, Callable[..., Gradients]] = {
    Op.ADD: lambda g, out, a, b: (g, g),
    Op.MUL: lambda g, out, a, b: (e.mul(g, b), e.mul(g, a)),
    Op.FMA: lambda g, out, a, b, c: (e.mul(g, b), e.mul(g, a), g),
    # By b it is -a g / b^2, written as -(g / b) (a / b), which overflows later.
    Op.DIV: lambda g, out, a, b: (e.div(g, b), e.neg(e.mul(e.div(g, b), out))),
    Op.SQRT: lambda g, out, a: (e.div(e.mul(g, 0.5), out),),
    Op.SELECT: lambda g, out, c, a, b: (None, e.select(c, g, 0.0), e.select(c, 0.0, g)),
    Kind.RESHAPE: lambda g, out, a: (graph.reshape(g, a.shape),),
    Kind.PERMUTE: _permute,
    Kind.EXPAND: lambda g, out, a: (sum_to(g, a.shape),),
    Kind.SLICE: lambda g, out, a: (movement.place(g, graph.ranges(out), a.shape),),
    Op.PAD: _pad,
    Op.SUM: lambda g, out, a: (graph.expand(g, a.shape),),
    Op.MAX: _max,
    Op.DOT: lambda g, out, a, b: (graph.dot(g, _swap(b)), graph.dot(_swap(a), g)),
    Op.GATHER: lambda g, out, table, i: (graph.scatter(i, g, table.shape[0]), None),
    Op.SCATTER: lambda g, out, i, rows: (None, graph.gather(g, i)),
}
"""(the gradient of the loss by a value, the value, its inputs) -> the gradient by each input.

Ops that are missing give BOOL or integers, or take their value's bits: no gradient flows."""
