"""DOT in OpenCL C: chains of fused multiply-adds over blocks of 256, block sums added in order.

On a processor a work-item owns some rows and some columns. For every block of k it packs its part
of one operand, the panel, into strips of whole vectors, then runs a register tile down its part of
the other. That one is read in place where neighbours along k are neighbours in memory, else it is
packed too. Packing goes through the same expressions as any load, so views of any kind (transposes,
windows) are read where they are.

On a GPU a work-group owns a tile of results, each work-item some of them in registers, and both
operands pass through local memory. Tiles and shares change speed, never bits: every result has its
own chain.
"""

from dataclasses import dataclass, replace
from math import ceil

from engine.addressing import Address, Variable, affine, through_view
from engine.emit import Context, KernelSource, flat, share
from engine.ops import Op
from engine.program import Node

BLOCK = 256
CHUNK_MAX = 384
"""Rows or columns that a work-item owns at most: blocks of both operands stay in its cache."""

CHUNK_MIN = 32
"""Rows or columns below which packing the other operand for them costs too much."""

ITEMS_PER_UNIT = 4
WORK_PER_ITEM = 1 << 18
"""Multiply-adds that are worth a work-item of their own on a processor."""

FEW_RESULTS, BLOCKS_MIN, BLOCKS_MAX = 1 << 14, 4, 512
"""Products with so few results and so many blocks of k share the blocks among work-items too."""

PACK_REUSE = 8
"""Strips for which packing scattered elements pays."""

RUN = 8
"""Elements that are copied as one vector where they turn out to be neighbours."""

SWAP_GAIN = 1.25
PREFETCH_ROWS = 16
GPU_EACH = 4
"""Rows and columns of results per work-item on a GPU."""

PRELUDE = """\
#define UNROLL _Pragma("unroll")
#define PREFETCH(p)
#ifdef __has_builtin
#if __has_builtin(__builtin_prefetch)
#undef PREFETCH
#define PREFETCH(p) __builtin_prefetch((const void *)(ulong)(p), 1, 3)
#endif
#endif
""" + "".join(
    f"static inline float{n} fma_vector{n}(float a, float{n} b, float{n} c) {{\n"
    f"  return (float{n})({', '.join(f'FMA(a, b.s{i:x}, c.s{i:x})' for i in range(n))});\n}}\n"
    for n in (8, 16)
)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an operand lies: a pointer and an address in terms of variables.

    Every variable is known by what it depends on besides the batch: "batch" (nothing), "index", "k"
    or "both"; so is every statement that makes one.
    """

    pointer: str
    address: Address
    kinds: dict[str, str]
    derived: tuple[tuple[str, str], ...]

    def lines(self, kind: str) -> list[str]:
        """The statements of this kind."""
        return [line for line, of in self.derived if of == kind]

    def only(self, *kinds: str) -> bool:
        """Whether no other statements are needed."""
        return all(of in kinds for _, of in self.derived)

    def part(self, is_index: bool) -> str:
        """The sum of the address's terms that depend on the index, or of all others."""
        terms = [
            (v, c) for v, c in self.address.terms if (self.kinds[v.name] == "index") == is_index
        ]
        return affine(0 if is_index else self.address.offset, terms).text()


@dataclass(frozen=True, slots=True)
class _Operand:
    """One operand of the seed: its node and its index variables in the order of its axes."""

    context: Context
    node: int
    batch: Variable
    index: Variable
    k: Variable
    is_left: bool

    def load(self) -> tuple[list[str], str]:
        """(statements, the variable that then holds the element at batch, index, k)."""
        body = self.context.body("v")
        value = body.value(self.node, self._flat())
        return body.lines, value

    def place(self) -> _Place | None:
        """Where the elements are in a buffer, if views are all that is in between."""
        parameters, node, address = self.context.parameters, self.node, self._flat()
        kinds = {self.batch.name: "batch", self.index.name: "index", self.k.name: "k"}
        known: dict[tuple[str, Address, int], Variable] = {}
        derived: list[tuple[str, str]] = []

        def derive(operator: str, of: Address, divisor: int) -> Variable:
            if (operator, of, divisor) not in known:
                name = f"{'l' if self.is_left else 'r'}{len(known)}"
                extent = of.high // divisor + 1 if operator == "/" else divisor
                known[operator, of, divisor] = Variable(name, extent)
                depends = {kinds[v.name] for v, _ in of.terms} - {"batch"} or {"batch"}
                kinds[name] = depends.pop() if len(depends) == 1 else "both"
                text = f"const I {name} = ({parameters.address(of)}) {operator} {divisor};"
                derived.append((text, kinds[name]))
            return known[operator, of, divisor]

        while not self.context.is_loaded(node):
            made = self.context.program.nodes[node]
            if made.op is not Op.VIEW:
                return None
            address = through_view(address, made.shape, made.attributes, derive)
            node = made.inputs[0]
        parameters.address(address)
        return _Place(parameters.read(node), address, kinds, tuple(derived))

    def at(self, address: Address, index: str, k: str) -> str:
        """An address as C with other variables put in."""
        named = {self.index: index, self.k: k}
        terms = [(Variable(named.get(v, v.name), v.extent), c) for v, c in address.terms]
        return self.context.parameters.address(affine(address.offset, terms))

    def result(self, other: "_Operand") -> Address:
        """The address of the product's element."""
        axes = (self.index, other.index) if self.is_left else (other.index, self.index)
        return flat([self.batch, *axes])

    def _flat(self) -> Address:
        axes = (self.index, self.k) if self.is_left else (self.k, self.index)
        return flat([self.batch, *axes])


def split(nodes: list[Node], node: Node, inputs: tuple[int, ...]) -> int:
    """Append a DOT; a long one with few results as one DOT of its blocks and sums in order."""
    (batch, m, length), (_, _, n) = (nodes[i].shape for i in inputs)
    count, rest = divmod(length, BLOCK)
    parts = [(count, 0, BLOCK)] + [(1, count * BLOCK, rest)] * bool(rest)
    if batch > 1 or m * n > FEW_RESULTS or not BLOCKS_MIN <= count <= BLOCKS_MAX:
        nodes.append(replace(node, inputs=inputs))
        return len(nodes) - 1
    total = -1
    for blocks, k, depth in parts:
        views = [
            ((m, depth), (k, BLOCK, length, 1)),
            ((depth, n), (k * n, BLOCK * n, n, 1)),
        ]
        for source, (shape, formula) in zip(inputs, views, strict=True):
            nodes.append(Node(Op.VIEW, node.dtype, (blocks, *shape), (source,), formula))
        product = len(nodes)
        nodes.append(Node(Op.DOT, node.dtype, (blocks, m, n), (product - 2, product - 1)))
        for i in range(blocks):
            nodes.append(Node(Op.VIEW, node.dtype, (1, m, n), (product,), (i * m * n, 0, n, 1)))
            if total >= 0:
                nodes.append(Node(Op.ADD, node.dtype, (1, m, n), (total, len(nodes) - 1)))
            total = len(nodes) - 1
    return total


def group_side(items_max: int, local_bytes: int) -> int:
    """The side of the largest square of work-items that a device takes, at most 16."""
    side = 16
    while side > 1 and (side**2 > items_max or 8 * side * (GPU_EACH * side + 1) > local_bytes):
        side //= 2
    return side


def dot(context: Context) -> KernelSource:
    """A batch of matrix products, and what is computed from them element by element."""
    assert context.kernel.seed is not None
    nodes = context.program.nodes
    left, right = nodes[context.kernel.seed].inputs
    batch, row, k = map(Variable, ("batch", "row", "k"), nodes[left].shape)
    column = Variable("column", nodes[right].shape[2])
    rows = _Operand(context, left, batch, row, k, True)
    columns = _Operand(context, right, batch, column, k, False)
    if context.target.is_gpu:
        return _dot_by_group(context, rows, columns)
    if _waste(context, row, column) > SWAP_GAIN * _waste(context, column, row):
        return _dot_by_item(context, columns, rows)
    return _dot_by_item(context, rows, columns)


def _waste(context: Context, one: Variable, panel: Variable) -> float:
    """How much more than the results the tiles compute."""
    height, vectors, lanes = _tile(context, one, panel)
    padded = ceil(panel.extent / (vectors * lanes)) * vectors * lanes
    return ceil(one.extent / height) * context.target.tile[0] / one.extent * padded / panel.extent


def _tile(context: Context, one: Variable, panel: Variable) -> tuple[int, int, int]:
    """(rows, vectors, lanes): the device's tile, no larger than the result needs."""
    height, vectors, lanes = context.target.tile
    return min(height, one.extent), min(vectors, ceil(panel.extent / lanes)), lanes


def _parts(context: Context, left: _Operand, right: _Operand) -> tuple[int, int]:
    """Into how many parts the operands are cut."""
    m, n, batches = left.index.extent, right.index.extent, left.batch.extent
    down, across = ceil(m / CHUNK_MAX), ceil(n / CHUNK_MAX)
    wanted = ITEMS_PER_UNIT * context.target.compute_units
    while down * across * batches < wanted:
        tall, wide = m // (2 * down), n // (2 * across)
        work = m * n * left.k.extent // (2 * down * across)
        if max(tall, wide) < CHUNK_MIN or work < WORK_PER_ITEM:
            break
        down, across = (2 * down, across) if tall >= wide else (down, 2 * across)
    while down * across * batches % context.target.compute_units and n // across > 2 * CHUNK_MIN:
        across += 1  # as many for every unit
    return down, across


def _dot_by_item(context: Context, one: _Operand, panel: _Operand) -> KernelSource:
    """`panel` is read in vectors along its own index, `one` an element per index and k."""
    tile = height, vectors, lanes = _tile(context, one.index, panel.index)
    width, length, several = vectors * lanes, one.k.extent, one.k.extent > BLOCK
    tall, wide = one.index, panel.index
    down, across = _parts(context, one, panel)
    tall_share, tall_items = share("top", tall.extent, down, 0, height)
    wide_share, wide_items = share("left", wide.extent, across, 1, width)
    tall_chunk = ceil(ceil(tall.extent / down) / height) * height
    wide_chunk = ceil(ceil(wide.extent / across) / width) * width
    depth = min(BLOCK, length)
    pitch = (depth + 1) * width  # strips that do not fall on each other in the cache
    place, within = one.place(), panel.place()
    step = place.address.coefficient(one.k) if place else 0
    if place and (not place.only("batch") or (step != 1 and wide_chunk >= PACK_REUSE * width)):
        place = None
    sums = tall_chunk * wide_chunk // lanes if several else height * vectors
    at = f"(top - top_from) * {wide_chunk // lanes} + (left - left_from) / {lanes} * {height}"
    lines = [
        *tall_share,
        *wide_share,
        "const I batch = get_global_id(2);",
        *(line for p in (place, within) if p for line in p.lines("batch")),
        f"float{lanes} strips[{wide_chunk // width * pitch // lanes}], sums[{sums}];",
        *([] if place else [f"float packed[{tall_chunk * depth}];"]),
        f"for (I block = 0; block < {length}; block += {BLOCK}) {{",
        f"const int depth = {length} - block < {BLOCK} ? {length} - block : {BLOCK};"
        if length % BLOCK and several
        else f"const int depth = {depth};",
        *([] if place else _pack(one, "top", "packed", height, depth * height)),
        *_pack(panel, "left", "(float *)strips", width, pitch),
        f"for (I left = left_from; left < left_to; left += {width}) {{",
        f"const float{lanes} *strip = strips + (left - left_from) / {width} * {pitch // lanes};",
        f"for (I top = top_from; top < top_to; top += {height}) {{",
        f"float{lanes} *total = sums{' + ' + at if several else ''};",
        *(
            [f"for (int r = 0; r < {height}; r++) PREFETCH(o0 + (top + r) * {wide.extent} + left);"]
            if one.is_left
            else []
        ),
        *_run_tile(one, place, tile, depth),
        *(f"if (block + {BLOCK} >= {length})" for _ in range(several)),
        f"for (int r = 0; r < {height}{_unless(tall, height, ' && top + r < top_to')}; r++) {{",
        f"const I {tall.name} = top + r;",
        f"for (int c = 0; c < {width}{_unless(wide, width, ' && left + c < left_to')}; c++) {{",
        f"const I {wide.name} = left + c;",
        f"const float result = ((float *)total)[r * {width} + c];",
        *context.stores(one.result(panel), "result").lines,
        "} } } } }",
    ]
    return context.source(lines, (tall_items, wide_items, one.batch.extent), (1, 1, 1))


def _unless(index: Variable, size: int, text: str) -> str:
    """`text` where tiles of this size do not fill the axis."""
    return text if index.extent % size else ""


def _pack(operand: _Operand, start: str, array: str, width: int, pitch: int) -> list[str]:
    """Strips of `width`, element k of all first; past the end the last one, never stored.

    Whole rows of memory are read along, with what follows prefetched. Elsewhere, where an address
    is a sum of a part that depends on k and one that does not (windows), each is computed once.
    """
    load, value = operand.load()
    place, index = operand.place(), operand.index
    last = _unless(index, width, f" < {start}_to ? {start} + c : {start}_to - 1")
    strips = f"for (I {start} = {start}_from; {start} < {start}_to; {start} += {width}) {{"
    steps = "for (int d = 0; d < depth; d++) { const I k = block + d;"
    to = f"float *to = {array} + ({start} - {start}_from) / {width} * {pitch} + d * {width};"
    unrolled = f"UNROLL for (int c = 0; c < {width}; c++) {{"
    # Whole vectors are sooner compiled as a loop, and as fast or faster.
    elements = unrolled if width % RUN else unrolled.removeprefix("UNROLL ")
    column = f"const I {index.name} = {start} + c{last};"
    if place and place.only("batch") and place.address.coefficient(index) == 1:
        ahead = PREFETCH_ROWS * place.address.coefficient(operand.k)
        start_of_row = operand.at(place.address, start, "k")
        strips += f" PREFETCH({place.pointer} + ({start_of_row} + {ahead}));"
        return [
            steps,
            strips,
            to,
            elements,
            column,
            *load,
            f"to[c] = {value};",
            "} } }",
        ]
    if place and place.derived and place.only("batch", "index", "k"):
        lanes = RUN if width % RUN == 0 else width
        copy = f"for (int c = 0; c < {lanes}; c++) to[r + c] ="
        return [
            *(strips, f"I at[{width}]; int runs[{width // lanes}];", unrolled, column),
            *place.lines("index"),
            f"at[c] = {place.part(True)};",
            f"const int r = c / {lanes}, is_next = c > 0 && at[c] == at[c - 1] + 1;",
            *(
                f"runs[r] = c % {lanes} == 0 || (runs[r] && is_next); }}",
                steps,
                *place.lines("k"),
                to,
            ),
            f"global const float *from = {place.pointer} + ({place.part(False)});",
            f"UNROLL for (int r = 0; r < {width}; r += {lanes}) {{",
            f"if (runs[r / {lanes}]) {copy} from[at[r] + c]; else {copy} from[at[r + c]];",
            "} } }",
        ]
    return [strips, steps, to, elements, column, *load, f"to[c] = {value};", "} } }"]


def _run_tile(
    one: _Operand, place: _Place | None, tile: tuple[int, int, int], depth: int
) -> list[str]:
    """The register tile over one block of k, and its sums added to those of earlier blocks."""
    height, vectors, lanes = tile
    lines = []
    elements = [f"packed[(top - top_from) * {depth} + d * {height} + {i}]" for i in range(height)]
    if place:
        start = one.at(place.address, "at", "block")
        last = _unless(one.index, height, " < top_to ? at : top_to - 1")
        for i in range(height):
            lines += [f"global const float *p{i}; {{ I at = top + {i}; at = at{last};"]
            lines += [f"p{i} = {place.pointer} + ({start}); }}"]
        elements = [f"p{i}[d * {place.address.coefficient(one.k)}]" for i in range(height)]
    sums = [f"s{i}_{v}" for i in range(height) for v in range(vectors)]
    lines += [
        f"float{lanes} {', '.join(f'{s} = 0.0f' for s in sums)};",
        "for (long d = 0; d < depth; d++) {",
        *(f"const float{lanes} b{v} = strip[d * {vectors} + {v}];" for v in range(vectors)),
    ]
    for i, element in enumerate(elements):
        adds = " ".join(f"s{i}_{v} = fma_vector{lanes}(a, b{v}, s{i}_{v});" for v in range(vectors))
        lines.append(f"{{ const float a = {element}; {adds} }}")
    several = "block ? total[{0}] + {1} : {1}" if one.k.extent > BLOCK else "{1}"
    return [
        *lines,
        "}",
        *(f"total[{i}] = {several.format(i, s)};" for i, s in enumerate(sums)),
    ]


def _dot_by_group(context: Context, left: _Operand, right: _Operand) -> KernelSource:
    """A work-group per tile; a work-item owns the results `side` apart in it."""
    rows, columns, length = left.index.extent, right.index.extent, left.k.extent
    side = context.target.group_side
    tall, wide = (min(GPU_EACH, ceil(n / side)) for n in (rows, columns))
    owned = [(i, j) for i in range(tall) for j in range(wide)]
    lines = [
        f"local float a[{side}][{tall * side + 1}], b[{side}][{wide * side + 1}];",
        "const int x = get_local_id(0), y = get_local_id(1);",
        f"const I left = (I)get_group_id(0) * {wide * side};",
        f"const I top = (I)get_group_id(1) * {tall * side};",
        "const I batch = get_global_id(2);",
        f"float {', '.join(f's{i}_{j} = 0.0f, t{i}_{j} = -0.0f' for i, j in owned)};",
        f"for (I step = 0; step < {length}; step += {side}) {{",
        *_load_tile(left, "a", tall, side),
        *_load_tile(right, "b", wide, side),
        "barrier(CLK_LOCAL_MEM_FENCE);",
        f"const int depth = {length} - step < {side} ? {length} - step : {side};",
        "for (int d = 0; d < depth; d++) {",
        *(f"const float l{i} = a[d][y + {i * side}];" for i in range(tall)),
        *(f"const float r{j} = b[d][x + {j * side}];" for j in range(wide)),
        *(f"s{i}_{j} = FMA(l{i}, r{j}, s{i}_{j});" for i, j in owned),
        "}",
        "barrier(CLK_LOCAL_MEM_FENCE);",
        f"if ((step + {side}) % {BLOCK} == 0 || step + {side} >= {length}) {{",
        *(f"t{i}_{j} = t{i}_{j} + s{i}_{j}; s{i}_{j} = 0.0f;" for i, j in owned),
        "} }",
        f"const float totals[{len(owned)}] = {{{', '.join(f't{i}_{j}' for i, j in owned)}}};",
        f"for (int i = 0; i < {tall}; i++) for (int j = 0; j < {wide}; j++) {{",
        f"const I row = top + y + i * {side}, column = left + x + j * {side};",
        f"if (row < {rows} && column < {columns}) {{",
        f"const float result = totals[i * {wide} + j];",
        *context.stores(left.result(right), "result").lines,
        "} }",
    ]
    size = (
        ceil(columns / wide / side) * side,
        ceil(rows / tall / side) * side,
        left.batch.extent,
    )
    return context.source(lines, size, (side, side, 1))


def _load_tile(operand: _Operand, name: str, each: int, side: int) -> list[str]:
    """Fill local memory, neighbouring work-items from neighbouring addresses; ends are repeated."""
    load, value = operand.load()
    place, index = operand.place(), operand.index
    start, at, d = "top" if operand.is_left else "left", f"x + i * {side}", "y"
    if place and place.address.coefficient(operand.k) == 1:
        at, d = f"y + i * {side}", "x"
    return [
        f"for (int i = 0; i < {each}; i++) {{",
        f"I {index.name} = {start} + {at}, k = step + {d};",
        f"{index.name} = {index.name} < {index.extent} ? {index.name} : {index.extent - 1};",
        f"k = k < {operand.k.extent} ? k : {operand.k.extent - 1};",
        *load,
        f"{name}[{d}][{at}] = {value};",
        "}",
    ]
