"""OpenCL C for a schedule's kernels.

For a processor a kernel is a loop that one work-item runs over its share of the elements, so that
the compiler vectorises an ordinary loop; for a GPU a work-item is one element, or one lane of a
fold. Both evaluate the same expressions in the order that docs/spec/arithmetic.md fixes.
"""

from collections.abc import Sequence
from math import ceil, prod

from engine.addressing import Variable, affine
from engine.dtypes import DType
from engine.emit import (
    Context,
    KernelSource,
    Target,
    axes,
    flat,
    share,
    unflatten,
    without_divisions,
)
from engine.expressions import Parameters
from engine.matmul import dot
from engine.ops import Op
from engine.program import Program
from engine.reduction import fold
from engine.schedule import Schedule

GPU_GROUP = 64
SCATTER_COLUMNS = 64
LOOP_MIN = 4
"""Shorter inner loops are joined with the next: dividing costs less than not being vectorised."""


def generate(program: Program, schedule: Schedule, target: Target) -> list[KernelSource]:
    """The kernels of a scheduled program, in order."""
    return [_generate(Context(program, schedule, k, target)) for k in schedule.kernels]


def _generate(context: Context) -> KernelSource:
    seed = context.kernel.seed
    if seed is None:
        return elementwise(context)
    op = context.program.nodes[seed].op
    if op is Op.DOT:
        return dot(context)
    return scatter(context) if op is Op.SCATTER else fold(context)


def elementwise(context: Context) -> KernelSource:
    """A kernel without a fold."""
    shape = without_divisions(context.result_shape(), lambda v: context.stores(flat(v)))
    context.parameters = Parameters(context.program)
    variables = axes(shape)
    body = context.stores(flat(variables)).lines
    if context.target.is_gpu:
        return _one_item_each(context, variables, body)
    work = context.kernel.size * len(body)
    near = next((n for n in range(1, len(shape)) if prod(shape[-n:]) >= LOOP_MIN), len(shape))
    outer, columns = variables[:-near], prod(shape[-near:])
    rows = prod(v.extent for v in outer)
    name = "column" if near > 1 else variables[-1].name
    row_share, row_items = share("row", rows, min(rows, context.items(work)), 0)
    column_share, column_items = share(
        name, columns, ceil(context.items(work) / row_items), 1, GPU_GROUP
    )
    body = [*unflatten(name, variables[-near:]), *body] if near > 1 else body
    bounds = (f"{name}_from", f"{name}_to") if column_items > 1 else ("0", str(columns))
    inside = _loop(name, *bounds, body)
    if outer:
        *outer, middle = outer
        repeats = middle.extent if rows // middle.extent >= row_items else 1
        if repeats > 1:  # a loop of its own, because dividing costs more than a short inner loop
            inside = _loop(middle.name, "0", str(repeats), inside)
            row_share, row_items = share("row", rows // repeats, row_items, 0)
        else:
            outer.append(middle)
        inside = [
            *row_share,
            *_loop("row", "row_from", "row_to", [*unflatten("row", outer), *inside]),
        ]
    inside = [*column_share, *inside] if column_items > 1 else inside
    return context.source(inside, (row_items, column_items), (1, 1))


def _loop(name: str, start: str, end: str, body: Sequence[str]) -> list[str]:
    return [f"for (I {name} = {start}; {name} < {end}; {name}++) {{", *body, "}"]


def _one_item_each(
    context: Context, variables: Sequence[Variable], body: Sequence[str]
) -> KernelSource:
    size = prod(v.extent for v in variables)
    lines = [
        "const I flat = get_global_id(0);",
        f"if (flat >= {size}) return;",
        *unflatten("flat", variables),
        *body,
    ]
    return context.source(lines, (ceil(size / GPU_GROUP) * GPU_GROUP,), (GPU_GROUP,))


def scatter(context: Context) -> KernelSource:
    """Rows added in order; a work-item owns some columns of the result, so nothing races."""
    seed = context.kernel.seed
    assert seed is not None
    node = context.program.nodes[seed]
    index, rows = node.inputs
    count, width = node.shape
    r, column = Variable("r", context.program.nodes[index].shape[0]), Variable("x0", width)
    of_index, of_row = context.body("i"), context.body("v")
    at = of_index.value(index, affine(0, [(r, 1)]))
    row = of_row.value(rows, flat([r, column]))
    pointer = context.parameters.write(seed)
    context.parameters.magnitude = max(context.parameters.magnitude, node.size)
    columns = 1 if context.target.is_gpu else SCATTER_COLUMNS
    shares, items = share("x0", width, ceil(width / columns), 0)
    element = f"{pointer}[(I){at} * {width} + x0]"
    added = f"{element} + {row}"
    if node.dtype is DType.INT32:
        added = f"(int)((uint){element} + (uint){row})"
    if node.dtype is DType.FLOAT32:
        added = f"canonical({added})"
    each_column = "for (I x0 = x0_from; x0 < x0_to; x0++)"
    lines = [
        *shares,
        f"for (I row = 0; row < {count}; row++) {each_column} {pointer}[row * {width} + x0] = 0;",
        f"for (I r = 0; r < {r.extent}; r++) {{",
        *of_index.lines,
        f"if ({at} < 0 || {at} >= {count}) continue;",
        f"{each_column} {{",
        *of_row.lines,
        f"{element} = {added};",
        "} }",
    ]
    return context.source(lines, (items,), (1,))
