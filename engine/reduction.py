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
from engine.expressions import Body, Parameters
from engine.matmul import split as split_product
from engine.ops import Op
from engine.program import Node, Program
from engine.scalars import FOLD_TEXT, REGISTER, FoldText

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


def fold(context: Context) -> KernelSource:
    """SUM or MAX over the last axis, and what is computed from it element by element."""
    seed = context.kernel.seed
    assert seed is not None
    node = context.program.nodes[seed]
    k = Variable("k", context.program.nodes[node.inputs[0]].shape[-1])
    shape = context.result_shape()
    trial = _Fold(context, node, axes(shape), k)
    addresses = trial.element()[0].addresses | trial.stores().addresses
    folding = _Fold(context, node, axes(merged(shape, addresses)), k)
    addresses = folding.element()[0].addresses
    context.parameters = Parameters(context.program)
    if context.target.is_gpu:
        return _by_group(folding)
    if _results_lie_closer(addresses, folding.results[-1], k):
        return _by_columns(folding)
    return _by_rows(folding)


@dataclass(frozen=True, slots=True)
class _Fold:
    """What is folded: the index variables of the results, and `k` along the axis that goes."""

    context: Context
    node: Node
    results: Sequence[Variable]
    k: Variable

    @property
    def text(self) -> FoldText:
        """How elements are combined."""
        return FOLD_TEXT[self.node.op, self.node.dtype]

    @property
    def lanes(self) -> int:
        """The lanes that hold anything, rounded up to a power of two."""
        return min(SUM_LANES, 1 << (self.k.extent - 1).bit_length())

    def element(self) -> tuple[Body, str]:
        """(statements, name) of one element."""
        body = self.context.body()
        outer = flat(self.results)
        address = affine(0, [(v, c * self.k.extent) for v, c in outer.terms] + [(self.k, 1)])
        return body, body.value(self.node.inputs[0], address)

    def add(self, target: str) -> list[str]:
        """Statements that take one element into `target`."""
        body, name = self.element()
        return [*body.lines, self.text.adding(target, self.text.take.format(name))]

    def share(self, name: str, count: int) -> tuple[list[str], int]:
        """A work-item's part of `count` results or groups of them."""
        work = self.context.kernel.size * self.k.extent * len(self.add(""))
        return share(name, count, min(count, self.context.items(work)), 0)

    def stores(self) -> Body:
        """The statements that store the results computed from `total`."""
        return self.context.stores(flat(self.results), "total")

    def finish(self, lane: str) -> list[str]:
        """Statements that make a result of the last lane and store what is computed from it."""
        total = self.text.give.format(lane)
        return [f"const {REGISTER[self.node.dtype]} total = {total};", *self.stores().lines]

    def tree(self, width: int = 1) -> list[str]:
        """Lanes added in halves; lane l of `width` neighbouring results is at lane + l * width."""
        if self.lanes == 1:
            return []
        times = f" * {width}" if width > 1 else ""
        add = self.text.adding("lane[l]", f"lane[l + gap{times}]")
        return [
            f"for (int gap = {self.lanes // 2}; gap > 0; gap >>= 1)",
            f"for (int l = 0; l < gap{times}; l++) {add}",
        ]


def _results_lie_closer(addresses: set[Address], inner: Variable, k: Variable) -> bool:
    """Whether neighbours in memory belong to neighbouring results rather than to one result."""
    along_k = sum(a.coefficient(k) == 1 for a in addresses)
    along_results = sum(a.coefficient(inner) == 1 and a.coefficient(k) != 0 for a in addresses)
    return inner.extent >= 8 and along_results > along_k


def _by_rows(fold: _Fold) -> KernelSource:
    """One result after the other; the lanes are the vector."""
    length, text = fold.k.extent, fold.text
    shares, items = fold.share("row", fold.context.kernel.size)
    whole = length // SUM_LANES * SUM_LANES
    step = [*fold.add("lane[l]"), "}"]
    lines = [
        *shares,
        "for (I row = row_from; row < row_to; row++) {",
        *unflatten("row", fold.results),
        f"{text.c_type} lane[{fold.lanes}];",
        f"for (int l = 0; l < {fold.lanes}; l++) lane[l] = {text.identity};",
    ]
    if whole:
        lines += [
            f"for (I block = 0; block < {whole}; block += {SUM_LANES})",
            f"for (int l = 0; l < {SUM_LANES}; l++) {{ const I k = block + l;",
            *step,
        ]
    if length > whole:
        lines += [
            f"for (int l = 0; l < {length - whole}; l++) {{ const I k = {whole} + l;",
            *step,
        ]
    lines += [*fold.tree(), *fold.finish("lane[0]"), "}"]
    return fold.context.source(lines, (items,), (1,))


def _by_columns(fold: _Fold) -> KernelSource:
    """Neighbouring results together; they are the vector, each with all its lanes."""
    *outer, inner = fold.results
    blocks, held = ceil(inner.extent / COLUMNS), fold.lanes * COLUMNS
    shares, items = fold.share("task", prod(v.extent for v in outer) * blocks)
    wide = f"for (int c = 0; c < width; c++) {{ const I {inner.name} = first + c;"
    lines = [
        *shares,
        "for (I task = task_from; task < task_to; task++) {",
        *unflatten(f"(task / {blocks})", outer),
        f"const I first = task % {blocks} * {COLUMNS};",
        f"const I left = {inner.extent} - first;",
        f"const int width = left < {COLUMNS} ? left : {COLUMNS};",
        f"{fold.text.c_type} lane[{held}];",
        f"for (int l = 0; l < {held}; l++) lane[l] = {fold.text.identity};",
        f"for (I k = 0; k < {fold.k.extent}; k++) {{",
        f"{fold.text.c_type} *at = lane + (k & {SUM_LANES - 1}) * {COLUMNS};",
        wide,
        *fold.add("at[c]"),
        "} }",
        *fold.tree(COLUMNS),
        wide,
        *fold.finish("lane[c]"),
        "} }",
    ]
    return fold.context.source(lines, (items,), (1,))


def _by_group(fold: _Fold) -> KernelSource:
    """A work-group per result, a work-item per lane."""
    text = fold.text
    lines = [
        f"local {text.c_type} lane[{SUM_LANES}];",
        "const int l = get_local_id(0);",
        *unflatten("(I)get_group_id(0)", fold.results),
        f"{text.c_type} sum = {text.identity};",
        f"for (I k = l; k < {fold.k.extent}; k += {SUM_LANES}) {{",
        *fold.add("sum"),
        "}",
        "lane[l] = sum;",
        "barrier(CLK_LOCAL_MEM_FENCE);",
        f"for (int gap = {SUM_LANES // 2}; gap > 0; gap >>= 1) {{",
        f"if (l < gap) {text.adding('lane[l]', 'lane[l + gap]')}",
        "barrier(CLK_LOCAL_MEM_FENCE);",
        "}",
        "if (l == 0) {",
        *fold.finish("lane[0]"),
        "}",
    ]
    return fold.context.source(lines, (fold.context.kernel.size * SUM_LANES,), (SUM_LANES,))
