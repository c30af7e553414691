"""Random valid Programs and inputs full of special values, from a seeded generator."""

from collections.abc import Sequence
from math import prod
from random import Random

import numpy as np

from engine.addressing import strides
from engine.dtypes import CANONICAL_NAN, DType, is_other_nan
from engine.ops import FOLDS, Op
from engine.program import Node, Program

F32, I32, U32, BOOL = DType.FLOAT32, DType.INT32, DType.UINT32, DType.BOOL
NUMBERS = (F32, I32, U32)

SPECIAL_BITS = np.array(
    [
        0x00000000, 0x80000000, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC12345, 0x7F800001,
        0x00000001, 0x80000001, 0x7F7FFFFF, 0xFF7FFFFF, 0x00800000, 0x007FFFFF, 0x3F800000,
        0xBF800000, 0x3F800001, 0x4F000000, 0xCF000000, 0x4F800000, 0x42FF0000, 0x437F0000,
        0xC3000000, 0xFFFFFFFF, 0x7FFFFFFF, 31, 32, 33,
    ],
    np.uint32,
)  # fmt: skip
"""Zeros, infinities, NaNs (also not canonical ones), subnormals, ends of ranges, shift counts."""

LENGTHS = (1, 1, 2, 3, 4, 5, 7, 8, 16, 31, 32, 33, 40, 65, 130)
ELEMENTS_MAX = 3000

ELEMENTWISE = (
    Op.ADD, Op.MUL, Op.FMA, Op.DIV, Op.SQRT, Op.LT, Op.EQ, Op.SELECT, Op.CAST, Op.CAST,
    Op.AND, Op.OR, Op.XOR, Op.SHL, Op.SHR,
)  # fmt: skip
OTHERS = (
    Op.VIEW, Op.VIEW, Op.VIEW, Op.PAD, Op.SUM, Op.SUM, Op.MAX, Op.DOT, Op.DOT, Op.GATHER,
    Op.SCATTER, Op.IOTA,
)  # fmt: skip


def random_bits(random: Random, count: int) -> np.ndarray:
    """A third special, a third of any bits, a third ordinary floats."""
    draw = np.random.default_rng(random.getrandbits(32))
    sources = [
        draw.choice(SPECIAL_BITS, count),
        draw.integers(0, 2**32, count, dtype=np.uint32),
        draw.standard_normal(count).astype(np.float32).view(np.uint32),
    ]
    return np.choose(draw.integers(0, 3, count), sources).astype(np.uint32)


def random_array(random: Random, dtype: DType, shape: tuple[int, ...]) -> np.ndarray:
    """Elements of a dtype from `random_bits`."""
    bits = random_bits(random, prod(shape))
    if dtype is BOOL:
        return (bits % 2 == 1).reshape(shape)
    if dtype.is_storage:
        return bits.astype(f"u{dtype.bytes}").view(dtype.numpy).reshape(shape)
    return bits.view(dtype.numpy).reshape(shape)


def random_inputs(program: Program, random: Random) -> dict[str, np.ndarray]:
    """Inputs for a program; those that address rows are mostly in range."""
    addresses = {n.inputs[1] for n in program.nodes if n.op is Op.GATHER}
    addresses |= {n.inputs[0] for n in program.nodes if n.op is Op.SCATTER}
    inputs = {}
    for name, index in program.inputs:
        node = program.nodes[index]
        if index in addresses:
            rows = [random.randint(-2, 9) for _ in range(node.size)]
            inputs[name] = np.array(rows, np.int32).reshape(node.shape)
        else:
            inputs[name] = random_array(random, node.dtype, node.shape)
    return inputs


def joined(parts: Sequence[Program]) -> Program:
    """Programs beside each other in one, because every build costs time; names `p000.name`."""
    nodes, inputs, outputs = [], [], []
    for number, part in enumerate(parts):
        base = len(nodes)
        for n in part.nodes:
            read = tuple(base + i for i in n.inputs)
            nodes.append(Node(n.op, n.dtype, n.shape, read, n.attributes))
        inputs += [(f"p{number:03}.{name}", base + i) for name, i in part.inputs]
        outputs += [(f"p{number:03}.{name}", base + i) for name, i in part.outputs]
    return Program(tuple(nodes), tuple(inputs), tuple(outputs))


def random_program(random: Random, steps: int, size: int = 0) -> Program:
    """A program of a few inputs and about `steps` random nodes with what they need.

    With a `size` most shapes and all results but folds' have that many elements and folds are rare,
    so that a scheduler puts many such programs into one kernel.
    """
    table = Table(random, size)
    ops = ELEMENTWISE + OTHERS
    if size:
        ops = ELEMENTWISE + ELEMENTWISE + OTHERS[:4] + OTHERS[-1:] + (random.choice(OTHERS),)
    for _ in range(random.randint(1, 3)):
        table.input(random.choice((F32, F32, F32, *DType)), table.shape())
    for _ in range(steps):
        op = random.choice(ops)
        (table.elementwise if op in ELEMENTWISE else table.other)(op)
    return table.finish()


class Table:
    """A growing table of nodes."""

    def __init__(self, random: Random, size: int = 0) -> None:
        self.random = random
        self.size = size
        self.nodes: list[Node] = []
        self.inputs: list[tuple[str, int]] = []

    def add(self, op, dtype, shape, inputs=(), attributes=()) -> int:
        """Append a node; its index."""
        self.nodes.append(Node(op, dtype, tuple(shape), tuple(inputs), tuple(attributes)))
        return len(self.nodes) - 1

    def input(self, dtype, shape) -> int:
        """Append an INPUT."""
        index = self.add(Op.INPUT, dtype, shape)
        self.inputs.append((f"in{len(self.inputs):03}", index))
        return index

    def finish(self) -> Program:
        """Every node that nobody reads is an output, and some others."""
        used = {i for node in self.nodes for i in node.inputs}
        outputs = []
        for i in range(len(self.nodes)):
            if self.size:
                outputs += self.output_of_size(i, i in used)
            elif i not in used or self.random.random() < 0.15:
                outputs.append(i)
        named = tuple((f"out{at:03}", i) for at, i in enumerate(outputs))
        return Program(tuple(self.nodes), tuple(self.inputs), named)

    def output_of_size(self, i: int, is_used: bool) -> list[int]:
        """The output that shows a node, if it has the size or nobody else does."""
        node = self.nodes[i]
        if is_used or node.op is Op.INPUT:
            shown = node.size == self.size and self.random.random() < 0.15
            return [i] if shown or i + 1 == len(self.inputs) else []
        if node.size == self.size or node.op in FOLDS or node.op is Op.SCATTER:
            return [i]
        return [self.strided_view(i, self.factors(self.size))]

    def shape(self) -> tuple[int, ...]:
        """Any shape that is not too large."""
        if self.size and self.random.random() < 0.85:
            return tuple(self.factors(self.size))
        while True:
            shape = tuple(self.random.choice(LENGTHS) for _ in range(self.random.randint(0, 4)))
            if prod(shape) <= ELEMENTS_MAX:
                return shape

    def pick(self, dtypes=tuple(DType), rank=None, size_max=4 * ELEMENTS_MAX) -> int | None:
        """One of the latest nodes that fit."""
        fitting = [
            i
            for i, n in enumerate(self.nodes)
            if n.dtype in dtypes and n.size <= size_max and rank in (None, len(n.shape))
        ]
        return self.random.choice(fitting[-8:]) if fitting else None

    def like(self, dtype, shape) -> int:
        """A node of this dtype and shape: one that exists, a constant, a cast, a view, an input."""
        same_shape = [i for i, n in enumerate(self.nodes) if n.shape == tuple(shape)]
        same = [i for i in same_shape if self.nodes[i].dtype is dtype]
        draw = self.random.random()
        if same and draw < 0.6:
            return self.random.choice(same)
        if draw < 0.75:
            return self.constant(dtype, shape)
        if same_shape and draw < 0.9:
            return self.add(Op.CAST, dtype, shape, (self.random.choice(same_shape),), (0,))
        sources = [i for i, n in enumerate(self.nodes) if n.dtype is dtype and n.size > 1]
        if sources:
            return self.strided_view(self.random.choice(sources), shape)
        return self.input(dtype, shape)

    def constant(self, dtype, shape) -> int:
        """A CONST of special or random bits."""
        bits = int(random_bits(self.random, 1)[0]) % (2 if dtype is BOOL else 256**dtype.bytes)
        if is_other_nan(bits, dtype):
            bits = CANONICAL_NAN[dtype]
        return self.add(Op.CONST, dtype, shape, (), (bits,))

    def elementwise(self, op: Op) -> None:
        """Append an elementwise node."""
        allowed = {Op.FMA: (F32,), Op.SQRT: (F32,), Op.CAST: tuple(DType), Op.SHL: (I32, U32)}
        allowed |= {Op.SHR: (I32, U32), Op.SELECT: (*NUMBERS, BOOL)}
        allowed |= dict.fromkeys((Op.AND, Op.OR, Op.XOR), (I32, U32, BOOL))
        i = self.pick(allowed.get(op, NUMBERS))
        if i is None:
            return
        dtype, shape = self.nodes[i].dtype, self.nodes[i].shape
        if op is Op.CAST:
            to = self.random.choice(list(DType))
            mode = int(dtype in NUMBERS and to in NUMBERS and self.random.random() < 0.4)
            self.add(op, to, shape, (i,), (mode,))
        elif op is Op.SQRT:
            self.add(op, dtype, shape, (i,))
        elif op is Op.FMA:
            self.add(op, dtype, shape, (i, self.like(dtype, shape), self.like(dtype, shape)))
        elif op is Op.SELECT:
            self.add(op, dtype, shape, (self.like(BOOL, shape), i, self.like(dtype, shape)))
        else:
            pair = self.random.sample([i, self.like(dtype, shape)], 2)
            self.add(op, BOOL if op in (Op.LT, Op.EQ) else dtype, shape, pair)

    def other(self, op: Op) -> None:
        """Append a node that moves, folds or addresses."""
        {
            Op.VIEW: self.view,
            Op.PAD: self.pad,
            Op.SUM: lambda: self.fold(Op.SUM),
            Op.MAX: lambda: self.fold(Op.MAX),
            Op.DOT: self.dot,
            Op.GATHER: self.gather,
            Op.SCATTER: self.scatter,
            Op.IOTA: lambda: self.add(Op.IOTA, I32, (self.random.choice(LENGTHS),)),
        }[op]()

    def view(self) -> None:
        """Append a reshape, a permutation, an expansion, flips and slices, or any strides."""
        i = self.pick()
        node = self.nodes[i]
        steps = strides(node.shape)
        kind = self.random.randrange(5)
        if kind == 0:
            shape = self.factors(node.size)
            self.add(Op.VIEW, node.dtype, shape, (i,), (0, *strides(shape)))
        elif kind == 1:
            axes = self.random.sample(range(len(steps)), len(steps))
            shape, moved = [node.shape[a] for a in axes], [steps[a] for a in axes]
            self.add(Op.VIEW, node.dtype, shape, (i,), (0, *moved))
        elif kind == 2 and node.size * 3 <= ELEMENTS_MAX:
            at = self.random.choice((0, len(steps)))
            shape = (*node.shape[:at], 3, *node.shape[at:])
            self.add(Op.VIEW, node.dtype, shape, (i,), (0, *steps[:at], 0, *steps[at:]))
        elif kind == 3:
            self.flip_or_slice(i)
        else:
            self.strided_view(i, self.shape())

    def factors(self, size: int) -> list[int]:
        """A shape of this size."""
        shape: list[int] = []
        while size > 1 and len(shape) < 4:
            divisors = [d for d in range(2, min(size, 70) + 1) if size % d == 0] or [size]
            shape.append(self.random.choice(divisors))
            size //= shape[-1]
        return [*shape, size] if size > 1 else shape

    def flip_or_slice(self, i: int) -> None:
        """Append a VIEW that turns some axes round and cuts the start off others."""
        node = self.nodes[i]
        offset, shape, moved = 0, [], []
        for n, step in zip(node.shape, strides(node.shape), strict=True):
            flipped = self.random.random() < 0.5
            first = n - 1 if flipped else self.random.randrange(n)
            offset += first * step
            shape.append(n if flipped else n - first)
            moved.append(-step if flipped else step)
        self.add(Op.VIEW, node.dtype, shape, (i,), (offset, *moved))

    def strided_view(self, i: int, shape) -> int:
        """Append a VIEW with any legal offset and strides."""
        node = self.nodes[i]
        low, high, steps = 0, node.size - 1, []
        for n in shape:
            most = (high - low) // (n - 1) if n > 1 else 3
            step = self.random.choice((0, min(1, most), most, self.random.randint(0, most)))
            high -= step * (n - 1)
            steps.append(step)
        offset = self.random.randint(low, high)
        for axis, n in enumerate(shape):
            if self.random.random() < 0.3:
                offset += steps[axis] * (n - 1)
                steps[axis] = -steps[axis]
        return self.add(Op.VIEW, node.dtype, shape, (i,), (offset, *steps))

    def pad(self) -> None:
        """Append a PAD."""
        i = self.pick(size_max=ELEMENTS_MAX // 2)
        if i is None:
            return
        node = self.nodes[i]
        widths = [
            (self.random.choice((0, 0, 1, 3)), self.random.choice((0, 0, 2))) for _ in node.shape
        ]
        shape = [low + n + high for n, (low, high) in zip(node.shape, widths, strict=True)]
        if prod(shape) <= 2 * ELEMENTS_MAX:
            self.add(Op.PAD, node.dtype, shape, (i,), [w for pair in widths for w in pair])

    def fold(self, op: Op) -> None:
        """Append a SUM or MAX."""
        i = self.pick(NUMBERS)
        if i is not None and self.nodes[i].shape:
            node = self.nodes[i]
            self.add(op, node.dtype, (*node.shape[:-1], 1), (i,))

    def dot(self) -> None:
        """Append a DOT of a node or a view of it with whatever fits."""
        i = self.pick((F32,))
        if i is None:
            return
        choose = self.random.choice
        shape = (choose((1, 1, 2)), choose((1, 2, 5, 8, 33)), choose((1, 3, 17, 64, 256, 257, 520)))
        a = i if len(self.nodes[i].shape) == 3 else self.strided_view(i, shape)
        batch, m, k = self.nodes[a].shape
        n = choose((1, 2, 7, 16, 24, 25, 50))
        if batch * m * k * n <= 200_000:
            self.add(Op.DOT, F32, (batch, m, n), (a, self.like(F32, (batch, k, n))))

    def gather(self) -> None:
        """Append a GATHER."""
        i = self.pick(rank=2)
        if i is not None:
            index = self.input(I32, (self.random.choice((1, 3, 20)),))
            node = self.nodes[i]
            rows = self.nodes[index].shape[0]
            self.add(Op.GATHER, node.dtype, (rows, node.shape[1]), (i, index))

    def scatter(self) -> None:
        """Append a SCATTER."""
        i = self.pick(NUMBERS, rank=2)
        if i is not None:
            node = self.nodes[i]
            index = self.input(I32, (node.shape[0],))
            count = self.random.choice((1, 4, 9))
            self.add(Op.SCATTER, node.dtype, (count, node.shape[1]), (index, i), (count,))
