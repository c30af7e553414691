"""Kernels are few, in order, and complete."""

from random import Random

import pytest

from engine import DType, TensorType, trace
from engine import functional as F
from engine.ops import Op
from engine.program import Node, Program
from engine.schedule import KERNEL_BUFFERS_MAX, KERNEL_NODES_MAX, Schedule, schedule
from tests.engine.random_programs import random_program

F32 = DType.FLOAT32


def reads_of(
    program: Program, plan: Schedule, stores: tuple[int, ...], seed: int | None
) -> set[int]:
    """The buffers that a kernel needs from others."""
    found: set[int] = set()
    stack = [
        i for s in (*stores, *([seed] if seed is not None else [])) for i in program.nodes[s].inputs
    ]
    seen: set[int] = set()
    while stack:
        index = stack.pop()
        if index in seen or index == seed or index in stores:
            continue
        seen.add(index)
        if index in plan.realised:
            found.add(index)
        else:
            stack += program.nodes[index].inputs
    return found


@pytest.mark.parametrize("seed", range(60))
def test_every_read_is_written_before(seed):
    """Every output and every buffer that is read is stored once, by an earlier kernel."""
    program = random_program(Random(seed), steps=25)
    plan = schedule(program)
    written = {i for i, n in enumerate(program.nodes) if n.op is Op.INPUT}
    for kernel in plan.kernels:
        assert kernel.stores
        assert all(program.nodes[i].size == kernel.size for i in kernel.stores)
        assert reads_of(program, plan, kernel.stores, kernel.seed) <= written
        assert not written & set(kernel.stores)
        written |= set(kernel.stores)
    assert {i for _, i in program.outputs} <= written
    assert written == plan.realised


def table(*nodes: Node, outputs: tuple[int, ...]) -> Program:
    """A program whose inputs are its INPUT nodes."""
    inputs = [i for i, n in enumerate(nodes) if n.op is Op.INPUT]
    return Program(
        tuple(nodes),
        tuple((f"i{at:05}", i) for at, i in enumerate(inputs)),
        tuple((f"o{at:05}", i) for at, i in enumerate(outputs)),
    )


def test_a_chain_is_one_kernel():
    """Without a buffer in between."""
    shape = (1000,)
    nodes = [Node(Op.INPUT, F32, shape)]
    nodes += [Node(Op.MUL, F32, shape, (i, i)) for i in range(20)]
    plan = schedule(table(*nodes, outputs=(20,)))
    assert [k.stores for k in plan.kernels] == [(20,)]


def test_updates_of_one_size_are_one_kernel():
    """Independent outputs over the same number of elements share a launch."""
    shape = (1000,)
    nodes = [Node(Op.INPUT, F32, shape), *(Node(Op.ADD, F32, shape, (0, 0)) for _ in range(5))]
    plan = schedule(table(*nodes, outputs=(1, 2, 3, 4, 5)))
    assert [len(k.stores) for k in plan.kernels] == [5]


def test_dear_work_is_not_repeated_for_every_column():
    """A quotient per row gets a buffer; a copy of an input does not."""
    column, square = (300, 1), (300, 300)
    nodes = [
        Node(Op.INPUT, F32, column),
        Node(Op.DIV, F32, column, (0, 0)),
        Node(Op.VIEW, F32, square, (1,), (0, 1, 0)),
        Node(Op.SQRT, F32, square, (2,)),
        Node(Op.ADD, F32, square, (3, 3)),
    ]
    assert schedule(table(*nodes, outputs=(4,))).realised == {0, 1, 4}
    nodes[1] = Node(Op.ADD, F32, column, (0, 0))
    assert schedule(table(*nodes, outputs=(4,))).realised == {0, 4}


def test_bias_and_activation_join_their_product():
    """A linear layer with ReLU is one kernel, and only its result is stored."""
    program = trace(
        lambda i: {"y": F.relu(i["x"] @ i["w"] + i["b"])},
        {k: TensorType(F32, s) for k, s in {"x": (32, 64), "w": (64, 48), "b": (48,)}.items()},
    )
    (kernel,) = schedule(program).kernels
    assert program.nodes[kernel.seed].op is Op.DOT
    assert len(kernel.stores) == 1


def test_a_path_around_a_kernel_prevents_joining():
    """a -> sum -> b: b reads a at its own element, but must wait for the sum."""
    shape = (500,)
    nodes = [
        Node(Op.INPUT, F32, shape),
        Node(Op.SQRT, F32, shape, (0,)),
        Node(Op.SUM, F32, (1,), (1,)),
        Node(Op.VIEW, F32, shape, (2,), (0, 0)),
        Node(Op.DIV, F32, shape, (1, 3)),
    ]
    plan = schedule(table(*nodes, outputs=(1, 4)))
    assert [k.stores for k in plan.kernels] == [(1,), (2,), (4,)]


def test_repeated_shifting_does_not_grow_exponentially():
    """x + shifted x, thirty times, would be 2**30 loads in one kernel."""
    shape = (100,)
    nodes = [Node(Op.INPUT, F32, shape)]
    for _ in range(30):
        x = len(nodes) - 1
        nodes.append(Node(Op.VIEW, F32, shape, (x,), (99, -1)))
        nodes.append(Node(Op.ADD, F32, shape, (x, x + 1)))
    plan = schedule(table(*nodes, outputs=(len(nodes) - 1,)))
    assert len(plan.kernels) >= 10


def test_kernels_are_bounded():
    """A long chain and a wide fan of outputs become several kernels."""
    shape = (100,)
    chain = [Node(Op.INPUT, F32, shape)]
    chain += [Node(Op.SQRT, F32, shape, (i,)) for i in range(3 * KERNEL_NODES_MAX)]
    assert 3 <= len(schedule(table(*chain, outputs=(len(chain) - 1,))).kernels) <= 5
    fan = [Node(Op.INPUT, F32, shape), *(Node(Op.SQRT, F32, shape, (0,)) for _ in range(200))]
    plan = schedule(table(*fan, outputs=tuple(range(1, 201))))
    assert all(len(k.stores) <= KERNEL_BUFFERS_MAX for k in plan.kernels)


def test_a_very_long_program_is_scheduled_without_joining():
    """Time stays proportional to the number of nodes."""
    shape = (10,)
    nodes = [Node(Op.INPUT, F32, shape)]
    nodes += [Node(Op.SUM, F32, (1,), (0,)) for _ in range(20_000)]
    plan = schedule(table(*nodes, outputs=tuple(range(1, 20_001))))
    assert len(plan.kernels) == 20_000


def test_a_value_used_often_in_one_kernel_is_not_stored():
    """However long the paths to it: once computed, it is at hand."""
    shape = (1000,)
    nodes = [Node(Op.INPUT, F32, shape), Node(Op.DIV, F32, shape, (0, 0))]
    nodes += [Node(Op.FMA, F32, shape, (1, i, 1)) for i in range(1, 9)]
    plan = schedule(table(*nodes, outputs=(9,)))
    assert plan.realised == {0, 9}


def test_a_long_tail_of_a_product_has_its_own_loop():
    """exp of a product, but not a bias and an activation."""
    types = {"x": TensorType(F32, (64, 64)), "w": TensorType(F32, (64, 64))}
    plan = schedule(trace(lambda i: {"y": (i["x"] @ i["w"]).erf()}, types))
    assert [kernel.seed is None for kernel in plan.kernels] == [False, True]


def test_a_view_is_read_where_it_is_however_often():
    """Nine products with one weight do not copy it."""

    def chain(i):
        x = i["x"]
        for _ in range(9):
            x = x @ i["w"].T
        return {"y": x}

    kind = TensorType(F32, (64, 64))
    assert len(schedule(trace(chain, {"x": kind, "w": kind})).kernels) == 9
