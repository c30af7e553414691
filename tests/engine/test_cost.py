"""Costs worked out by hand."""

import pytest

from engine import Cost, DType, Program, TensorType, cost, trace
from engine.ops import Op
from engine.program import Node

F32, I32 = DType.FLOAT32, DType.INT32
X = Node(Op.INPUT, F32, (4, 6))  # 96 bytes


def test_flops_are_counted_per_op():
    """1 per element of whatever type, 2 for FMA, inputs for folds, 2 m n k for products."""

    def flops(function, **shapes):
        return cost(trace(lambda i: {"y": function(**i)}, types(shapes))).flops

    def types(shapes):
        return {
            name: TensorType(I32 if name == "i" else F32, shape) for name, shape in shapes.items()
        }

    assert flops(lambda x: x + x, x=(4, 6)) == 24
    assert flops(lambda x: x.fma(x, x), x=(4, 6)) == 48
    assert flops(lambda x: x < 1.0, x=(4, 6)) == 24
    assert flops(lambda x: x.sum(1, keepdim=True), x=(4, 6)) == 24
    assert flops(lambda x: x.amax(1, keepdim=True), x=(4, 6)) == 24
    # The product of two matrices is a view of a batch of one: as an output, it is copied.
    assert flops(lambda x, y: x @ y, x=(4, 6), y=(6, 5)) == 2 * 4 * 5 * 6 + 4 * 5
    assert flops(lambda x, y: x @ y, x=(3, 4, 6), y=(3, 6, 5)) == 2 * 3 * 4 * 5 * 6
    assert flops(lambda i: i * i + i, i=(4, 6)) == 48
    assert flops(lambda x: x.T.flip(0).int(), x=(4, 6)) == 24
    assert flops(lambda x, i: x[i], x=(4, 6), i=(9,)) >= 9 * 6


def test_nothing_that_runs_is_free():
    """Movement costs nothing as an address, but a chain of it or a copy of it does."""
    nodes = [X, *(Node(Op.PAD, F32, (4, 6), (i,), (0, 0, 0, 0)) for i in range(9))]
    assert cost(Program(tuple(nodes), (("x", 0),), (("y", 9),))).flops == 9 * 24 + 24
    views = [X, *(Node(Op.VIEW, F32, (4, 6), (i,), (0, 6, 1)) for i in range(9))]
    assert cost(Program(tuple(views), (("x", 0),), (("y", 9),))).flops == 8 * 24 + 24


def test_scatter_counts_its_additions():
    """One addition per element of the rows, and the result's zeros: they may be many more."""
    nodes = (
        Node(Op.INPUT, I32, (3,)),
        Node(Op.INPUT, F32, (3, 2)),
        Node(Op.SCATTER, F32, (9, 2), (0, 1), (9,)),
    )
    assert cost(Program(nodes, (("i", 0), ("x", 1)), (("y", 2),))) == Cost(
        flops=6 + 18, bytes_moved=12 + 24 + 72, peak_bytes=12 + 24 + 72
    )


def test_memory_is_freed_after_the_last_use():
    """A chain of elementwise ops holds two temporaries at a time."""
    nodes = [X]
    for _ in range(10):
        nodes.append(Node(Op.ADD, F32, (4, 6), (len(nodes) - 1,) * 2))
    program = Program(tuple(nodes), (("x", 0),), (("y", 10),))
    # Input and output throughout, and while node 2 is computed: nodes 1 and 2.
    assert cost(program) == Cost(flops=240, bytes_moved=10 * 2 * 96, peak_bytes=4 * 96)


def test_views_are_not_stored_but_keep_their_source():
    """A temporary lives until the last reader of a view of it."""
    nodes = (
        X,
        Node(Op.ADD, F32, (4, 6), (0, 0)),
        Node(Op.VIEW, F32, (4, 6, 10), (1,), (0, 6, 1, 0)),
        Node(Op.SUM, F32, (4, 6, 1), (2,)),
    )
    program = Program(nodes, (("x", 0),), (("y", 3),))
    assert cost(program).peak_bytes == 3 * 96
    # However often a view repeats them, 96 bytes in and 96 out, twice.
    assert cost(program).bytes_moved == 4 * 96


def test_an_output_that_is_a_view_is_stored():
    """It is read from its source and written once; an output that is an input is free."""
    nodes = (X, Node(Op.VIEW, F32, (6, 4), (0,), (0, 1, 6)))
    assert cost(Program(nodes, (("x", 0),), (("x", 0), ("y", 1)))) == Cost(
        flops=24, bytes_moved=2 * 96, peak_bytes=2 * 96
    )


def test_constants_take_no_memory():
    """CONST and IOTA are not stored unless they are outputs."""
    nodes = (
        X,
        Node(Op.CONST, F32, (4, 6), (), (0,)),
        Node(Op.MUL, F32, (4, 6), (0, 1)),
        Node(Op.IOTA, I32, (5,)),
    )
    program = Program(nodes, (("x", 0),), (("i", 3), ("y", 2)))
    assert cost(program) == Cost(flops=24 + 5, bytes_moved=2 * 96 + 20, peak_bytes=2 * 96 + 20)


def test_gather_reads_rows_not_tables():
    """What moves is what is picked."""
    nodes = (
        Node(Op.INPUT, F32, (1000, 2)),
        Node(Op.INPUT, I32, (3,)),
        Node(Op.GATHER, F32, (3, 2), (0, 1)),
    )
    program = Program(nodes, (("i", 1), ("x", 0)), (("y", 2),))
    assert cost(program).bytes_moved == 24 + 24 + 12


@pytest.mark.parametrize("size", [1, 7, 1024])
def test_cost_is_linear_in_the_batch(size):
    """Twice the rows, twice the work, for a layer without parameters to store."""
    program = trace(lambda i: {"y": (i["x"] * 2.0).exp()}, {"x": TensorType(F32, (size,))})
    one = trace(lambda i: {"y": (i["x"] * 2.0).exp()}, {"x": TensorType(F32, (1,))})
    assert cost(program).flops == size * cost(one).flops
