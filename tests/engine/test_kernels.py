"""The text of kernels: no library calls, the right index type, loops that can be vectorised."""

import re

import pytest

from engine.dtypes import DType
from engine.emit import Target
from engine.kernels import generate
from engine.ops import Op
from engine.program import Node, Program
from engine.schedule import schedule
from engine.vectors import load, program_of

F32 = DType.FLOAT32
CPU, GPU = Target(False, 2), Target(True, 40)


def kernels(*nodes: Node, target=CPU):
    """The kernels of a program whose last node is the output."""
    inputs = [i for i, n in enumerate(nodes) if n.op is Op.INPUT]
    named = tuple((f"i{at}", i) for at, i in enumerate(inputs))
    program = Program(tuple(nodes), named, (("out", len(nodes) - 1),))
    return generate(program, schedule(program), target)


@pytest.mark.parametrize("target", [CPU, GPU])
def test_only_known_functions_are_called(target):
    """Nothing from a driver's mathematics library, over every op."""
    program = program_of(load())
    text = "".join(k.text for k in generate(program, schedule(program), target))
    called = set(re.findall(r"\b([a-z]\w*)\(", text)) - {"for", "if", "return"}
    ours = {"canonical", "order_of", "float_of", "float_to_int", "float_to_uint", "float_within"}
    ours |= {"int_within", "uint_up_to", "int_div", "uint_div", "fma_vector8", "PREFETCH"}
    ours |= {f"{kind}_to_float" for kind in ("half", "bfloat")}
    ours |= {f"float_to_{kind}" for kind in ("half", "bfloat")}
    language = {"as_float", "as_int", "as_uint", "barrier", "reqd_work_group_size"}
    language |= {"get_global_id", "get_local_id", "get_group_id", "__attribute__"}
    assert called <= ours | language


def test_large_addresses_are_computed_in_64_bits():
    """Also those that only pass through a large value."""
    small = kernels(Node(Op.INPUT, F32, (64,)), Node(Op.SQRT, F32, (64,), (0,)))
    large = kernels(Node(Op.INPUT, F32, (2**30 + 64,)), Node(Op.SQRT, F32, (2**30 + 64,), (0,)))
    assert "typedef int I;" in small[0].text
    assert "typedef long I;" in large[0].text


def test_an_elementwise_kernel_is_one_flat_loop():
    """Axes that every operand strides through are joined."""
    shape = (4, 5, 6)
    (kernel,) = kernels(Node(Op.INPUT, F32, shape), Node(Op.SQRT, F32, shape, (0,)))
    assert kernel.text.count("for (") == 1
    assert "/" not in kernel.text


def test_a_broadcast_row_is_a_nested_loop_without_division_inside():
    """The inner loop has unit strides."""
    nodes = [
        Node(Op.INPUT, F32, (40, 50)),
        Node(Op.INPUT, F32, (50,)),
        Node(Op.VIEW, F32, (40, 50), (1,), (0, 0, 1)),
        Node(Op.ADD, F32, (40, 50), (0, 2)),
    ]
    (kernel,) = kernels(*nodes)
    inner = kernel.text.split("for (I x1")[1]
    assert "/" not in inner
    assert "%" not in inner


def test_parts_put_beside_each_other_are_copied_without_division_inside():
    """Axes are cut where a padding begins and where a view counts in rows: 3 times 4 times 32."""
    nodes = [Node(Op.INPUT, F32, (2, 4, 64, 32)), Node(Op.INPUT, F32, (2, 4, 64, 32))]
    for at, widths in ((0, (0, 256)), (1, (128, 128))):
        heads = Node(Op.VIEW, F32, (2, 64, 4, 32), (at,), (0, 8192, 32, 2048, 1))
        flat = Node(Op.VIEW, F32, (2, 64, 128), (len(nodes),), (0, 8192, 128, 1))
        padding = (0, 0, 0, 0, *widths)
        nodes += [heads, flat, Node(Op.PAD, F32, (2, 64, 384), (len(nodes) + 1,), padding)]
    (kernel,) = kernels(*nodes, Node(Op.ADD, F32, (2, 64, 384), (4, 7)))
    inner = kernel.text.split("for (I x")[-1]
    assert "/" not in inner
    assert "%" not in inner
    assert " ? a0[" in inner  # nothing is loaded from outside


def test_short_inner_axes_are_one_loop_with_the_next():
    """Three neighbours alone would not be vectorised."""
    nodes = [
        Node(Op.INPUT, F32, (40, 50, 3)),
        Node(Op.INPUT, F32, (40, 50)),
        Node(Op.VIEW, F32, (40, 50, 3), (1,), (0, 50, 1, 0)),
        Node(Op.ADD, F32, (40, 50, 3), (0, 2)),
    ]
    (kernel,) = kernels(*nodes)
    assert f"column < {40 * 50 * 3}" in kernel.text
    assert "(U)column" in kernel.text


def test_equal_kernels_have_equal_text():
    """So that they are compiled once: layers of one size share their kernels."""
    shape = (1, 10, 10)
    nodes = [Node(Op.INPUT, F32, shape), Node(Op.INPUT, F32, shape)]
    for _ in range(3):
        x = len(nodes) - 1
        nodes.append(Node(Op.DOT, F32, shape, (x, 0)))
        nodes.append(Node(Op.SQRT, F32, shape, (x + 1,)))
    texts = [k.text for k in kernels(*nodes)]
    assert len(texts) == 3
    assert len(set(texts)) == 1


def test_work_is_shared_among_items_only_where_there_is_enough():
    """A small kernel is one item; a large one at least two."""
    small = kernels(Node(Op.INPUT, F32, (64,)), Node(Op.SQRT, F32, (64,), (0,)))
    large = kernels(Node(Op.INPUT, F32, (10**6,)), Node(Op.SQRT, F32, (10**6,), (0,)))
    assert small[0].global_size == (1, 1)
    assert large[0].global_size[1] >= 2
