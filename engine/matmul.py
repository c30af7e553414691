"""DOT in OpenCL C: chains of fused multiply-adds over blocks of 256, block sums added in order.

On a processor a work-item owns some rows and one panel of columns. For every block of k it copies
the panel's part of the second operand into private memory, in whole vectors (which takes care of
edges and of any strides), then runs a register tile of rows by vectors over it. On a GPU a
work-group owns a square tile and passes both operands through local memory. Which operand is the
panel, the tile and the sharing change speed, never bits: every result has its own chain.
"""

from dataclasses import dataclass
from math import ceil

from engine.addressing import Address, Variable, affine
from engine.emit import Context, KernelSource, flat, share
from engine.schedule import dot_operand, dot_variables

BLOCK = 256
VECTOR = 8
ROWS_MAX = 128
GPU_TILE = 16

TILES = {(4, 3): 1.0, (6, 2): 0.9, (8, 1): 0.6}
"""(rows, vectors) of register tiles that fit 16 vector registers, and their relative speed."""

SCATTERED_STORE = 32
"""What it costs to store a result across rows, in steps of k."""

WORK_PER_ITEM = 1 << 17

PRELUDE = f"""\
typedef float{VECTOR} V;
static inline V fma_vector(float a, V b, V c) {{
  return (V)({", ".join(f"FMA(a, b.s{i}, c.s{i})" for i in range(VECTOR))});
}}
"""


@dataclass(frozen=True, slots=True)
class _Operand:
    """One operand: its pointer, and its address in terms of batch, its own index and k."""

    pointer: str
    address: Address
    index: Variable
    k: Variable

    def at(self, index: Variable, k: Variable) -> Address:
        """The address of an element of the current batch, with other variables put in."""
        known = {self.index: index, self.k: k}
        return affine(self.address.offset, [(known.get(v, v), c) for v, c in self.address.terms])

    def stride(self, variable: Variable) -> int:
        """How far apart neighbours along a variable are."""
        return self.address.coefficient(variable)


def dot(context: Context) -> KernelSource:
    """A batch of matrix products, and what is computed from them element by element."""
    left, right = _operand(context, 0), _operand(context, 1)
    if context.target.is_gpu:
        return _dot_by_group(context, left, right)
    straight = _best_tile(left.index.extent, right.index.extent)
    swapped = _best_tile(right.index.extent, left.index.extent)
    if swapped[0] * (1 + SCATTERED_STORE / left.k.extent) < straight[0]:
        return _dot_by_panel(context, right, left, swapped[1])
    return _dot_by_panel(context, left, right, straight[1])


def _operand(context: Context, side: int) -> _Operand:
    assert context.kernel.seed is not None
    node, address = dot_operand(context.program, context.kernel.seed, side)
    _, first, second = dot_variables(context.program, context.kernel.seed, side)
    index, k = (first, second) if side == 0 else (second, first)
    return _Operand(context.parameters.read(node), address, index, k)


def _best_tile(rows: int, columns: int) -> tuple[float, tuple[int, int]]:
    """(relative time, tile): the tile that wastes least on edges, weighed by its speed."""
    times = []
    for (height, vectors), speed in TILES.items():
        used = min(height, rows)
        width = vectors * VECTOR
        padded = ceil(rows / used) * used * ceil(columns / width) * width
        times.append((padded * height / used / speed, (used, vectors)))
    return min(times)


def _dot_by_panel(
    context: Context, scalars: _Operand, panels: _Operand, tile: tuple[int, int]
) -> KernelSource:
    """`panels` is read in vectors along its own index, `scalars` one element per row and k."""
    height, vectors = tile
    width = vectors * VECTOR
    rows, columns, length = scalars.index.extent, panels.index.extent, scalars.k.extent
    batches = context.kernel.size // (rows * columns)
    strips = ceil(columns / width)
    wanted = min(8 * context.target.compute_units, context.kernel.size * length // WORK_PER_ITEM)
    items = max(ceil(rows / ROWS_MAX), min(wanted // (strips * batches), ceil(rows / 16)), 1)
    row_share, row_items = share("row", rows, items, 0, height)
    chunk = ceil(ceil(rows / items) / height) * height
    batch = Variable("batch", batches)
    row, column = scalars.index, panels.index
    result = flat([batch, row, column] if row.name == "row" else [batch, column, row])
    lines = [
        *row_share,
        f"const I first = (I)get_global_id(1) * {width};",
        f"const int width = {columns} - first < {width} ? {columns} - first : {width};",
        "const I batch = get_global_id(2);",
        f"V panel[{min(BLOCK, length) * vectors}], sums[{chunk * vectors}];",
        f"for (I block = 0; block < {length}; block += {BLOCK}) {{",
        f"const int depth = {length} - block < {BLOCK} ? {length} - block : {BLOCK};"
        if length % BLOCK
        else f"const int depth = {BLOCK};",
        *_copy_panel(context, panels, vectors),
        f"for (int done = 0; done < row_to - row_from; done += {height}) {{",
        *_tile(context, scalars, tile),
        "} }",
        "for (int r = 0; r < row_to - row_from; r++)",
        "for (int c = 0; c < width; c++) {",
        f"const I {row.name} = row_from + r, {column.name} = first + c;",
        f"const float total = ((float *)sums)[r * {width} + c];",
        *context.stores(result, "total").lines,
        "}",
    ]
    return context.source(lines, (row_items, strips, batches), (1, 1, 1))


def _copy_panel(context: Context, panels: _Operand, vectors: int) -> list[str]:
    """Fill `panel`; columns past the end repeat the last one and are never stored."""
    width = vectors * VECTOR
    k, column = panels.k, panels.index
    source = f"{panels.pointer}[{context.parameters.address(panels.address)}]"
    target = f"((float *)panel)[d * {width} + c]"
    loops = [
        f"for (int d = 0; d < depth; d++) {{ const I {k.name} = block + d;",
        f"for (int c = 0; c < {width}; c++) {{",
    ]
    if panels.stride(k) == 1 and panels.stride(column) != 1:
        loops = [
            f"for (int c = 0; c < {width}; c++)",
            f"for (int d = 0; d < depth; d++) {{ const I {k.name} = block + d; {{",
        ]
    whole = [*loops, f"const I {column.name} = first + c;", f"{target} = {source};", "} }"]
    if column.extent % width == 0:
        return whole
    last = f"const I {column.name} = first + (c < width ? c : width - 1);"
    edge = [*loops, last, f"{target} = {source};", "} }"]
    return [f"if (width == {width}) {{", *whole, "} else {", *edge, "}"]


def _tile(context: Context, scalars: _Operand, tile: tuple[int, int]) -> list[str]:
    """One register tile over one block of k; rows past the end repeat the last one."""
    height, vectors = tile
    index, k = Variable("at", scalars.index.extent), Variable("block", scalars.k.extent)
    start = context.parameters.address(scalars.at(index, k))
    lines = []
    for i in range(height):
        at = f"const I at = row_from + done + {i};"
        if scalars.index.extent % height:
            at = f"I at = row_from + done + {i}; at = at < row_to ? at : row_to - 1;"
        lines.append(f"I p{i}; {{ {at} p{i} = {start}; }}")
    sums = [f"s{i}_{v}" for i in range(height) for v in range(vectors)]
    lines.append("V " + ", ".join(f"{s} = 0.0f" for s in sums) + ";")
    lines.append("for (int d = 0; d < depth; d++) {")
    lines += [f"const V b{v} = panel[d * {vectors} + {v}];" for v in range(vectors)]
    for i in range(height):
        element = f"{scalars.pointer}[p{i} + d * (I){scalars.stride(scalars.k)}]"
        adds = " ".join(f"s{i}_{v} = fma_vector(a, b{v}, s{i}_{v});" for v in range(vectors))
        lines.append(f"{{ const float a = {element}; {adds} }}")
    lines.append("}")
    for i in range(height):
        for v in range(vectors):
            target = f"sums[(done + {i}) * {vectors} + {v}]"
            lines.append(f"{target} = block ? {target} + s{i}_{v} : s{i}_{v};")
    return lines


def _dot_by_group(context: Context, left: _Operand, right: _Operand) -> KernelSource:
    """A work-group per square tile, a work-item per result."""
    rows, columns, length = left.index.extent, right.index.extent, left.k.extent
    batches = context.kernel.size // (rows * columns)
    k = Variable("kk", length)
    a = context.parameters.address(left.at(left.index, k))
    b = context.parameters.address(right.at(right.index, k))
    n = GPU_TILE
    result = flat([Variable("batch", batches), left.index, right.index])
    lines = [
        f"local float a[{n}][{n + 1}], b[{n}][{n + 1}];",
        "const int x = get_local_id(0), y = get_local_id(1);",
        "const I column = get_global_id(0), row = get_global_id(1), batch = get_global_id(2);",
        "float total = -0.0f, sum = 0.0f;",
        f"for (I k = 0; k < {length}; k += {n}) {{",
        f"{{ const I kk = k + x; const int inside = row < {rows} && kk < {length};",
        f"a[y][x] = inside ? {left.pointer}[{a}] : 0.0f; }}",
        f"{{ const I kk = k + y; const int inside = column < {columns} && kk < {length};",
        f"b[y][x] = inside ? {right.pointer}[{b}] : 0.0f; }}",
        "barrier(CLK_LOCAL_MEM_FENCE);",
        f"const int depth = {length} - k < {n} ? {length} - k : {n};",
        "for (int d = 0; d < depth; d++) sum = FMA(a[y][d], b[d][x], sum);",
        "barrier(CLK_LOCAL_MEM_FENCE);",
        f"if ((k + {n}) % {BLOCK} == 0 || k + {n} >= {length})",
        "{ total = total + sum; sum = 0.0f; }",
        "}",
        f"if (row < {rows} && column < {columns}) {{",
        *context.stores(result, "total").lines,
        "}",
    ]
    size = (ceil(columns / n) * n, ceil(rows / n) * n, batches)
    return context.source(lines, size, (n, n, 1))
