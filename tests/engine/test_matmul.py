"""Products: every tile, share and kind of device gives the bits of the specification."""

from dataclasses import replace

import numpy as np
import pytest

from engine import opencl
from engine.dtypes import DType
from engine.emit import Target
from engine.kernels import generate
from engine.matmul import BLOCK, BLOCKS_MIN
from engine.ops import Op
from engine.program import Node, Program
from engine.reduction import in_blocks
from engine.reference import ReferenceBackend
from engine.schedule import schedule
from engine.tuning import TILES
from engine.validate import validate

F32 = DType.FLOAT32
TARGETS = [
    *(Target(False, units, tile) for tile in TILES if tile[2] == 8 for units in (1, 40)),
    *(Target(True, 40, group_side=side) for side in (4, 16)),
]


class Table:
    """Nodes, the inputs among them, and the outputs."""

    def __init__(self):
        self.nodes: list[Node] = []
        self.inputs: list[int] = []
        self.outputs: list[int] = []

    def add(self, op, shape, read=(), attributes=()):
        self.nodes.append(Node(op, F32, tuple(shape), tuple(read), tuple(attributes)))
        return len(self.nodes) - 1

    def given(self, *shape):
        self.inputs.append(self.add(Op.INPUT, shape))
        return self.inputs[-1]

    def operand(self, batch, rows, columns, *, is_transposed):
        """(batch, rows, columns), transposed in memory or not."""
        if not is_transposed:
            return self.given(batch, rows, columns)
        return self.add(
            Op.VIEW,
            (batch, rows, columns),
            [self.given(batch, columns, rows)],
            (0, rows * columns, 1, rows),
        )

    def product(self, batch, m, k, n, a_transposed=False, b_transposed=False):
        """A DOT, and what a layer does with it."""
        a = self.operand(batch, m, k, is_transposed=a_transposed)
        b = self.operand(batch, k, n, is_transposed=b_transposed)
        dot = self.add(Op.DOT, (batch, m, n), (a, b))
        bias = self.add(Op.VIEW, (batch, m, n), [self.given(n)], (0, 0, 0, 1))
        self.outputs += [dot, self.add(Op.ADD, (batch, m, n), (dot, bias))]

    def convolution(self, images, channels, side, size, results):
        """Windows of an image as the second operand: no affine address."""
        x = self.given(images, channels, side, side)
        places = side - size + 1
        steps = (channels * side * side, side * side, side, 1, side, 1)
        shape = (images, channels, size, size, places, places)
        windows = self.add(Op.VIEW, shape, [x], (0, *steps))
        length, count = channels * size * size, places * places
        merged = (images, length, count)
        panel = self.add(Op.VIEW, merged, [windows], (0, length * count, count, 1))
        weight = self.operand(images, results, length, is_transposed=False)
        self.outputs.append(self.add(Op.DOT, (images, results, count), (weight, panel)))

    def program(self):
        named = tuple((f"i{at:02}", i) for at, i in enumerate(self.inputs))
        outputs = tuple((f"o{at:02}", i) for at, i in enumerate(self.outputs))
        return Program(tuple(self.nodes), named, outputs)


@pytest.fixture(scope="module")
def case():
    """(program, inputs, expected bits): tails of tiles, blocks and chunks; special values."""
    table = Table()
    table.product(1, 70, BLOCK + 3, 65)
    table.product(3, 13, 33, 21, b_transposed=True)
    table.product(2, 9, 2 * BLOCK, 37, a_transposed=True)
    table.product(1, 1, BLOCK, 1)
    table.product(1, 270, 5, 3)
    table.product(1, 3, 5, 300, a_transposed=True, b_transposed=True)
    table.product(1, 20, BLOCKS_MIN * BLOCK + 7, 18, a_transposed=True)
    table.convolution(2, 3, 9, 3, 8)
    table.convolution(1, 30, 12, 3, 7)
    program = table.program()
    validate(program)
    random = np.random.default_rng(5)
    inputs = {}
    for name, index in program.inputs:
        array = random.standard_normal(program.nodes[index].shape).astype(np.float32)
        flat = array.reshape(-1)
        flat[random.integers(0, flat.size, flat.size // 50)] = -0.0
        flat[random.integers(0, flat.size, flat.size // 50)] = 1e-42
        if name == "i03":
            flat[:3] = np.inf, np.nan, -np.inf
        inputs[name] = array
    expected = ReferenceBackend().load(program)(inputs)
    return program, inputs, {name: b.numpy().tobytes() for name, b in expected.items()}


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_every_candidate_has_the_bits_of_the_reference(case, target):
    """Tiles, numbers of work-items, group sizes; a GPU's kernels run here too, with barriers."""
    program, inputs, expected = case
    info = opencl.list_devices()[0]
    admitted = opencl.open_device(info.index)
    backend = admitted.retargeted(target)
    actual = backend.load(program)(inputs)
    assert {name: b.numpy().tobytes() for name, b in actual.items()} == expected


def test_long_products_with_few_results_share_their_blocks():
    """Among work-items, or a 64 x 64 result would have one to four of them."""
    table = Table()
    table.product(1, 64, 8192, 64)
    blocked = in_blocks(table.program())
    shapes = [n.shape for n in blocked.nodes if n.op is Op.DOT]
    assert shapes == [(8192 // BLOCK, 64, 64)]


def test_views_are_read_where_they_are():
    """Neither a transpose nor a convolution's windows are stored before their product."""
    table = Table()
    table.convolution(2, 3, 9, 3, 8)
    table.product(1, 20, 30, 40, a_transposed=True, b_transposed=True)
    program = table.program()
    plan = schedule(program)
    assert len(plan.kernels) == 2
    assert not any(program.nodes[i].op is Op.VIEW for i in plan.realised)


def test_work_is_shared_by_the_number_of_units():
    """A large product has work-items for forty units, a small one is one."""
    table = Table()
    table.product(1, 512, 256, 512)
    table.product(1, 8, 8, 8)
    program = table.program()
    few, many = (
        [np.prod(k.global_size) for k in generate(program, schedule(program), target)]
        for target in (Target(False, 2), replace(Target(False, 2), compute_units=40))
    )
    assert few[0] >= 4
    assert many[0] >= 40
    assert few[1] == many[1] == 1
