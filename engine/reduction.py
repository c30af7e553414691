"""SUM and MAX in OpenCL C: blocks, in each 32 interleaved lanes, then a tree over the lanes.

`in_blocks` turns a fold of a long axis into folds of blocks, so that a kernel sums no more than one
block; the blocks of one result are shared among work-items like results of their own.

Lanes start from the identity (-0 for a float sum: -0 + x is x for every x), which returns the bits
of lanes that start with their first element and of a tree that skips missing lanes. A processor
takes the lanes of one result as a vector, or neighbouring results where that is how memory lies; a
GPU gives every lane a work-item.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, prod

from engine.addressing import Address, Variable, affine, strides
from engine.dtypes import DType
from engine.emit import Context, KernelSource, axes, flat, merged, share, unflatten
from engine.expressions import REGISTER, Body, Parameters
from engine.matmul import split as split_product
from engine.ops import Op
from engine.program import Node, Program

SUM_BLOCK = 4096
SUM_LANES = 32
RESULTS_ENOUGH = 256
"""From here on a MAX, whose order does not show, has results enough to share among work-items."""

COLUMNS = 64
"""Neighbouring results that a processor folds together."""


def in_blocks(program: Program) -> Program:
    """The same bits in a Program whose sums have at most SUM_BLOCK elements; `split_product`."""
    nodes: list[Node] = []
    moved: list[int] = []
    for node in program.nodes:
        inputs = tuple(moved[i] for i in node.inputs)
        if node.op is Op.DOT:
            moved.append(split_product(nodes, node, inputs))
            continue
        if node.op is Op.SUM or (node.op is Op.MAX and node.size < RESULTS_ENOUGH):
            inputs = (_block_results(nodes, node, inputs[0]),)
        moved.append(_append(nodes, replace(node, inputs=inputs)))
    named, given = (
        tuple((name, moved[i]) for name, i in table) for table in (program.outputs, program.inputs)
    )
    return Program(tuple(nodes), given, named)


def _append(nodes: list[Node], node: Node) -> int:
    nodes.append(node)
    return len(nodes) - 1


def _block_results(nodes: list[Node], fold: Node, source: int) -> int:
    """A node like `source` but with the results of blocks as its last axis, at most a block long.

    Blocks stand before rows, so that what is folded together in memory stays the last but one axis.
    The shorter last block is folded on its own and put beside the others bit by bit: PAD and OR.
    """
    rows, dtype = fold.size, fold.dtype
    bits = DType.UINT32 if dtype is DType.FLOAT32 else dtype
    while (n := nodes[source].shape[-1]) > SUM_BLOCK:
        count, rest = divmod(n, SUM_BLOCK)
        parts = [(count, 0, SUM_BLOCK)] + [(1, count * SUM_BLOCK, rest)] * bool(rest)
        folded = []
        for blocks, offset, length in parts:
            formula = (offset, SUM_BLOCK, n, 1)
            view = _append(nodes, Node(Op.VIEW, dtype, (blocks, rows, length), (source,), formula))
            folded.append(_append(nodes, Node(fold.op, dtype, (blocks, rows, 1), (view,))))
        joined = folded[0]
        if rest:
            whole = (count + 1, rows, 1)
            for at, widths in enumerate(((0, 1), (count, 0))):
                if bits is not dtype:
                    cast = Node(Op.CAST, bits, nodes[folded[at]].shape, (folded[at],), (1,))
                    folded[at] = _append(nodes, cast)
                pad = Node(Op.PAD, bits, whole, (folded[at],), (*widths, 0, 0, 0, 0))
                folded[at] = _append(nodes, pad)
            joined = _append(nodes, Node(Op.OR, bits, whole, tuple(folded)))
            if bits is not dtype:
                joined = _append(nodes, Node(Op.CAST, dtype, whole, (joined,), (1,)))
        shape = (*fold.shape[:-1], nodes[joined].shape[0])
        steps = (0, *strides(fold.shape[:-1]), rows)
        source = _append(nodes, Node(Op.VIEW, dtype, shape, (joined,), steps))
    return source


@dataclass(frozen=True, slots=True)
class _Fold:
    """How SUM or MAX of one type combines."""

    c_type: str
    identity: str
    take: str  # an element as it enters the fold
    combine: str
    give: str  # the result as it leaves

    def adding(self, target: str, element: str) -> str:
        """target = target (+) element, both already taken."""
        return f"{target} = {self.combine.format(a=target, b=element)};"


def _fold_of(op: Op, dtype: DType) -> _Fold:
    if op is Op.SUM:
        if dtype is DType.FLOAT32:
            return _Fold("float", "-0.0f", "{}", "{a} + {b}", "{}")
        return _Fold("uint", "0u", "(uint){}", "{a} + {b}", f"({REGISTER[dtype]}){{}}")
    larger = "{a} > {b} ? {a} : {b}"
    if dtype is DType.FLOAT32:
        return _Fold("int", "(int)0x80000000", "order_of({})", larger, "float_of({})")
    if dtype is DType.INT32:
        return _Fold("int", "(int)0x80000000", "{}", larger, "{}")
    return _Fold("uint", "0u", "{}", larger, "{}")


def fold(context: Context) -> KernelSource:
    """SUM or MAX over the last axis, and what is computed from it element by element."""
    seed = context.kernel.seed
    assert seed is not None
    node = context.program.nodes[seed]
    source = node.inputs[0]
    length = context.program.nodes[source].shape[-1]
    k = Variable("k", length)
    shape = context.result_shape()
    trial = _element(context, source, axes(shape), k)[0].addresses
    trial |= context.stores(flat(axes(shape)), "seed").addresses
    results = axes(merged(shape, trial))
    addresses = _element(context, source, results, k)[0].addresses
    context.parameters = Parameters(context.program)
    kind = _fold_of(node.op, node.dtype)
    if context.target.is_gpu:
        return _fold_by_group(context, kind, source, results, k)
    if _results_lie_closer(addresses, results[-1], k):
        return _fold_columns(context, kind, source, results, k)
    return _fold_rows(context, kind, source, results, k)


def _element(
    context: Context, source: int, results: Sequence[Variable], k: Variable
) -> tuple[Body, str]:
    """(statements, name) of one element that is folded; `k` along the last axis."""
    body = context.body()
    outer = flat(results)
    address = affine(0, [(v, c * k.extent) for v, c in outer.terms] + [(k, 1)])
    return body, body.value(source, address)


def _results_lie_closer(addresses: set[Address], inner: Variable, k: Variable) -> bool:
    """Whether neighbours in memory belong to neighbouring results rather than to one result."""
    along_k = sum(a.coefficient(k) == 1 for a in addresses)
    along_results = sum(a.coefficient(inner) == 1 and a.coefficient(k) != 0 for a in addresses)
    return inner.extent >= 8 and along_results > along_k


def _lanes(length: int) -> int:
    """The lanes that hold anything, rounded up to a power of two."""
    return min(SUM_LANES, 1 << (length - 1).bit_length())


def _fold_rows(
    context: Context, kind: _Fold, source: int, results: Sequence[Variable], k: Variable
) -> KernelSource:
    """One result after the other; the lanes are the vector."""
    count, lanes = context.kernel.size, _lanes(k.extent)
    body, name = _element(context, source, results, k)
    work = count * k.extent * (len(body.lines) + 1)
    shares, items = share("row", count, min(count, context.items(work)), 0)
    whole = k.extent // SUM_LANES * SUM_LANES
    step = [*body.lines, kind.adding("lane[l]", kind.take.format(name)), "}"]
    lines = [
        *shares,
        "for (I row = row_from; row < row_to; row++) {",
        *unflatten("row", results),
        f"{kind.c_type} lane[{lanes}];",
        f"for (int l = 0; l < {lanes}; l++) lane[l] = {kind.identity};",
    ]
    if whole:
        lines += [
            f"for (I block = 0; block < {whole}; block += {SUM_LANES})",
            f"for (int l = 0; l < {SUM_LANES}; l++) {{ const I k = block + l;",
            *step,
        ]
    if k.extent > whole:
        lines += [
            f"for (int l = 0; l < {k.extent - whole}; l++) {{ const I k = {whole} + l;",
            *step,
        ]
    lines += _tree(kind, lanes, "lane[l]", "lane[l + gap]")
    lines += [f"const {REGISTER[_dtype(context)]} total = {kind.give.format('lane[0]')};"]
    lines += [*context.stores(flat(results), "total").lines, "}"]
    return context.source(lines, (items,), (1,))


def _tree(kind: _Fold, lanes: int, low: str, high: str) -> list[str]:
    if lanes == 1:
        return []
    return [
        f"for (int gap = {lanes // 2}; gap > 0; gap >>= 1)",
        f"for (int l = 0; l < gap; l++) {kind.adding(low, high)}",
    ]


def _fold_columns(
    context: Context, kind: _Fold, source: int, results: Sequence[Variable], k: Variable
) -> KernelSource:
    """Neighbouring results together; they are the vector, each with all its lanes."""
    *outer, inner = results
    lanes = _lanes(k.extent)
    body, name = _element(context, source, results, k)
    blocks = ceil(inner.extent / COLUMNS)
    tasks = Variable("task", prod(v.extent for v in outer) * blocks)
    work = context.kernel.size * k.extent * (len(body.lines) + 1)
    shares, items = share("task", tasks.extent, min(tasks.extent, context.items(work)), 0)
    wide = f"for (int c = 0; c < width; c++) {{ const I {inner.name} = first + c;"
    lines = [
        *shares,
        "for (I task = task_from; task < task_to; task++) {",
        *unflatten(f"(task / {blocks})", outer),
        f"const I first = task % {blocks} * {COLUMNS};",
        f"const I left = {inner.extent} - first;",
        f"const int width = left < {COLUMNS} ? left : {COLUMNS};",
        f"{kind.c_type} lane[{lanes * COLUMNS}];",
        f"for (int l = 0; l < {lanes * COLUMNS}; l++) lane[l] = {kind.identity};",
        f"for (I k = 0; k < {k.extent}; k++) {{",
        f"{kind.c_type} *at = lane + (k & {SUM_LANES - 1}) * {COLUMNS};",
        wide,
        *body.lines,
        kind.adding("at[c]", kind.take.format(name)),
        "} }",
        *_tree(kind, lanes, "", "")[:1],
    ]
    if lanes > 1:
        add = kind.adding("lane[l]", f"lane[l + gap * {COLUMNS}]")
        lines += [f"for (int l = 0; l < gap * {COLUMNS}; l++) {add}"]
    lines += [wide, f"const {REGISTER[_dtype(context)]} total = {kind.give.format('lane[c]')};"]
    lines += [*context.stores(flat(results), "total").lines, "} }"]
    return context.source(lines, (items,), (1,))


def _fold_by_group(
    context: Context, kind: _Fold, source: int, results: Sequence[Variable], k: Variable
) -> KernelSource:
    """A work-group per result, a work-item per lane."""
    body, name = _element(context, source, results, k)
    lines = [
        f"local {kind.c_type} lane[{SUM_LANES}];",
        "const int l = get_local_id(0);",
        *unflatten("(I)get_group_id(0)", results),
        f"{kind.c_type} sum = {kind.identity};",
        f"for (I k = l; k < {k.extent}; k += {SUM_LANES}) {{",
        *body.lines,
        kind.adding("sum", kind.take.format(name)),
        "}",
        "lane[l] = sum;",
        "barrier(CLK_LOCAL_MEM_FENCE);",
        f"for (int gap = {SUM_LANES // 2}; gap > 0; gap >>= 1) {{",
        f"if (l < gap) {kind.adding('lane[l]', 'lane[l + gap]')}",
        "barrier(CLK_LOCAL_MEM_FENCE);",
        "}",
        "if (l == 0) {",
        f"const {REGISTER[_dtype(context)]} total = {kind.give.format('lane[0]')};",
        *context.stores(flat(results), "total").lines,
        "}",
    ]
    return context.source(lines, (context.kernel.size * SUM_LANES,), (SUM_LANES,))


def _dtype(context: Context) -> DType:
    assert context.kernel.seed is not None
    return context.program.nodes[context.kernel.seed].dtype
