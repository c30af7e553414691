"""OpenCL C for a schedule's kernels.

For a processor a kernel is a loop that one work-item runs over its share of the elements, so that
the compiler vectorises an ordinary loop; for a GPU a work-item is one element, or one lane of a
fold. Both evaluate the same expressions in the order that docs/spec/arithmetic.md fixes.

A fold's lanes start from the identity (-0 for a float sum: -0 + x is x for every x), which returns
the bits of lanes that start with their first element and of a tree that skips missing lanes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, prod

from engine.addressing import Address, Variable, affine, merge_axes, refine, strides
from engine.dtypes import DType
from engine.expressions import INDEX_32_BIT_MAX, REGISTER, Body, Parameters
from engine.ops import Op
from engine.program import Program
from engine.schedule import Kernel, Schedule

SUM_LANES = 32
GPU_GROUP = 64
COLUMNS = 64
"""Neighbouring results that a processor folds together where that is how memory lies."""

WORK_PER_ITEM = 1 << 15
"""Scalar operations worth a work-item of their own on a processor."""


@dataclass(frozen=True, slots=True)
class Target:
    """What the code is for."""

    is_gpu: bool
    compute_units: int


@dataclass(frozen=True, slots=True)
class KernelSource:
    """A kernel: its text with `NAME` for its name, the nodes whose buffers it takes, its launch."""

    text: str
    buffers: tuple[int, ...]
    global_size: tuple[int, ...]
    local_size: tuple[int, ...]


class Context:
    """What the generators of one kernel share."""

    def __init__(
        self, program: Program, schedule: Schedule, kernel: Kernel, target: Target
    ) -> None:
        self.program = program
        self.kernel = kernel
        self.target = target
        self.parameters = Parameters(program)
        self._loaded = schedule.realised - set(kernel.stores)

    def body(self, prefix: str = "v") -> Body:
        """A new scope in which everything with a buffer outside this kernel is loaded."""
        return Body(self.parameters, self._loaded, prefix)

    def stores(self, address: Address, seed: str = "", prefix: str = "s") -> Body:
        """The statements that store this kernel's results at a flat address."""
        body = self.body(prefix)
        if self.kernel.seed is not None:
            body.bind(self.kernel.seed, address, seed)
        for index in self.kernel.stores:
            body.store(index, address)
        return body

    def result_shape(self) -> list[int]:
        """The results' common shape with as many axes as any node at the same elements has."""
        seen: set[int] = set()
        shapes = []
        stack = list(self.kernel.stores)
        while stack:
            index = stack.pop()
            node = self.program.nodes[index]
            if index in seen or node.size != self.kernel.size:
                continue
            seen.add(index)
            shapes.append(node.shape)
            if index not in self._loaded and index != self.kernel.seed:
                stack += node.inputs
        return refine(shapes) or [1]

    def items(self, work: int) -> int:
        """How many work-items a processor should share some scalar operations among."""
        most = 8 * self.target.compute_units
        return max(1, min(most, work // WORK_PER_ITEM))

    def source(
        self, lines: Sequence[str], global_size: tuple[int, ...], local_size: tuple[int, ...]
    ) -> KernelSource:
        """The finished kernel."""
        largest = max(self.parameters.magnitude, *(2 * n for n in global_size))
        index = "int" if largest <= INDEX_32_BIT_MAX else "long"
        sizes = ", ".join(str(n) for n in (*local_size, 1, 1)[:3])
        text = "\n".join(
            [
                f"kernel __attribute__((reqd_work_group_size({sizes})))",
                f"void NAME({self.parameters.signature()}) {{",
                f"typedef {index} I;",
                *lines,
                "}\n",
            ]
        )
        return KernelSource(text, self.parameters.buffers, global_size, local_size)


def generate(program: Program, schedule: Schedule, target: Target) -> list[KernelSource]:
    """The kernels of a scheduled program, in order."""
    return [_generate(Context(program, schedule, k, target)) for k in schedule.kernels]


def _generate(context: Context) -> KernelSource:
    from engine import matmul

    seed = context.kernel.seed
    if seed is None:
        return elementwise(context)
    op = context.program.nodes[seed].op
    if op is Op.DOT:
        return matmul.dot(context)
    if op is Op.SCATTER:
        return scatter(context)
    return fold(context)


def axes(shape: Sequence[int], prefix: str = "x") -> list[Variable]:
    """One variable per axis."""
    return [Variable(f"{prefix}{i}", n) for i, n in enumerate(shape)]


def flat(variables: Sequence[Variable]) -> Address:
    """The row-major address of an element."""
    return affine(0, zip(variables, strides([v.extent for v in variables]), strict=True))


def unflatten(name: str, variables: Sequence[Variable]) -> list[str]:
    """Statements that set the variables from a flat index in `name`."""
    lines = []
    for i, (variable, stride) in enumerate(
        zip(variables, strides([v.extent for v in variables]), strict=True)
    ):
        text = f"{name} / {stride}" if stride > 1 else name
        text = f"{text} % {variable.extent}" if i else text
        lines.append(f"const I {variable.name} = {text};")
    return lines


def merged(shape: Sequence[int], addresses: Iterable[Address]) -> list[int]:
    """`shape` with neighbouring axes joined where every address strides through both as one."""
    variables = axes(shape)
    forms = {tuple(a.coefficient(v) for v in variables) for a in addresses}
    return merge_axes(shape, list(forms))[0] or [1]


def share(
    name: str, size: int, items: int, dimension: int, multiple: int = 1
) -> tuple[list[str], int]:
    """(statements that set name_from and name_to for this work-item, how many items there are)."""
    chunk = ceil(ceil(size / items) / multiple) * multiple
    lines = [
        f"const I {name}_from = (I)get_global_id({dimension}) * {chunk};",
        f"const I {name}_to = {name}_from + {chunk} < {size} ? {name}_from + {chunk} : {size};",
    ]
    return lines, ceil(size / chunk)


# Maps


def elementwise(context: Context) -> KernelSource:
    """A kernel without a fold."""
    shape = context.result_shape()
    trial = context.stores(flat(axes(shape)))
    shape = merged(shape, trial.addresses)
    context.parameters = Parameters(context.program)
    variables = axes(shape)
    body = context.stores(flat(variables)).lines
    if context.target.is_gpu:
        return _one_item_each(context, variables, body)
    work = context.kernel.size * len(body)
    *outer, inner = variables
    name = inner.name
    rows = prod(v.extent for v in outer)
    row_share, row_items = share("row", rows, min(rows, context.items(work)), 0)
    column_share, column_items = share(
        inner.name, inner.extent, ceil(context.items(work) / row_items), 1, GPU_GROUP
    )
    inside = [
        f"for (I {name} = {name}_from; {name} < {name}_to; {name}++) {{",
        *body,
        "}",
    ]
    if outer:
        lines = [*row_share, "for (I row = row_from; row < row_to; row++) {"]
        inside = [*lines, *unflatten("row", outer), *inside, "}"]
    return context.source([*column_share, *inside], (row_items, column_items), (1, 1))


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


# Folds


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


# SCATTER


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
    columns = 1 if context.target.is_gpu else COLUMNS
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
