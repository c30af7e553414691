"""Views stay in their buffers: what validation accepts reads nothing else, whatever the numbers."""

from itertools import count
from math import prod
from random import Random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

from engine.addressing import Variable, affine, strides, through_view
from engine.backend import list_devices, open_backend
from engine.dtypes import DType
from engine.errors import ProgramError
from engine.ops import Op
from engine.program import Node, Program
from engine.reference import view
from engine.validate import validate
from engine.views import contiguous
from tests.engine.random_programs import Table

I32 = DType.INT32
GUARD = 500
FORBIDDEN = -1


def view_program(size: int, shape: tuple[int, ...], offset: int, steps: tuple[int, ...]) -> Program:
    """One VIEW of one INPUT."""
    nodes = (Node(Op.INPUT, I32, (size,)), Node(Op.VIEW, I32, shape, (0,), (offset, *steps)))
    return Program(nodes, (("x", 0),), (("y", 1),))


@st.composite
def views(draw):
    """(size, shape, offset, strides): mostly near the edges of what is legal."""
    size = draw(st.integers(1, 40))
    shape = tuple(draw(st.lists(st.integers(1, 5), max_size=4)))
    steps = tuple(draw(st.integers(-12, 12)) for _ in shape)
    reach = [s * (n - 1) for s, n in zip(steps, shape, strict=True)]
    lowest = -sum(r for r in reach if r < 0)
    highest = size - 1 - sum(r for r in reach if r > 0)
    edge = draw(st.sampled_from((lowest, highest)))
    return size, shape, edge + draw(st.integers(-2, 2)), steps


@settings(max_examples=500, deadline=None)
@given(views())
@example((6, (2, 3), 5, (-3, -1)))
@example((1, (), 0, ()))
@example((1, (), 1, ()))
def test_a_view_is_accepted_if_and_only_if_it_stays_inside(case):
    """numpy's strided view over the same memory, between guards that must not be seen."""
    size, shape, offset, steps = case
    memory = np.full(size + 2 * GUARD, FORBIDDEN, np.int32)
    memory[GUARD : GUARD + size] = np.arange(size)
    assert 0 <= GUARD + offset < memory.size
    seen = as_strided(memory[GUARD + offset :], shape, [4 * s for s in steps])
    program = view_program(size, shape, offset, steps)
    if (seen == FORBIDDEN).any():
        with pytest.raises(ProgramError, match="of an input of"):
            validate(program)
        return
    validate(program)
    assert np.array_equal(view(program.nodes[1], np.arange(size, dtype=np.int32)), seen)


@settings(max_examples=300, deadline=None)
@given(st.integers(-(2**63), 2**63), st.lists(st.integers(-(2**63), 2**63), max_size=3))
def test_numbers_of_any_size_are_only_numbers(offset, steps):
    """Nothing wraps: an address is legal if Python's integers say so."""
    shape = (3,) * len(steps)
    low = offset + sum(2 * s for s in steps if s < 0)
    high = offset + sum(2 * s for s in steps if s > 0)
    program = view_program(7, shape, offset, tuple(steps))
    if low >= 0 and high < 7:
        validate(program)
    else:
        with pytest.raises(ProgramError):
            validate(program)


@pytest.mark.parametrize("seed", range(60))
def test_addresses_in_generated_code_stay_inside(seed):
    """The range that the generator knows for an address through several VIEWs lies in the buffer.

    Quotients and remainders that it has to derive are inside by what they divide; together they
    may seem to reach further than they do.
    """
    table = Table(Random(seed))
    table.input(I32, table.shape())
    for _ in range(4):
        table.view()
    validate(table.finish())
    names = (f"d{i}" for i in count())

    def derive(operator, address, divisor):
        assert address.low >= 0
        return Variable(next(names), address.high // divisor + 1 if operator == "/" else divisor)

    node = table.nodes[-1]
    axes = [Variable(f"x{i}", n) for i, n in enumerate(node.shape)]
    address = affine(0, zip(axes, strides(node.shape), strict=True))
    while node.op is Op.VIEW:
        address = through_view(address, node.shape, node.attributes, derive)
        node = table.nodes[node.inputs[0]]
    assert address.low >= 0
    assert address.magnitude >= address.high
    if all(variable in axes for variable, _ in address.terms):
        assert address.high < node.size


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_views_of_tensors_are_numpys(data):
    """Permuted, sliced, reshaped where that is affine: the View finds numpy's elements."""
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    array = np.arange(prod(shape)).reshape(shape)
    current, expected = contiguous(shape), array
    for _ in range(data.draw(st.integers(1, 4))):
        rank = expected.ndim
        kind = data.draw(st.sampled_from(("permute", "slice", "reshape")))
        if kind == "permute":
            axes = data.draw(st.permutations(range(rank)))
            current, expected = current.permute(axes), expected.transpose(axes)
        elif kind == "slice":
            starts = [data.draw(st.integers(0, n - 1)) for n in expected.shape]
            steps = [data.draw(st.sampled_from((-2, -1, 1, 2))) for _ in starts]
            index = tuple(slice(a, None, s) for a, s in zip(starts, steps, strict=True))
            expected = expected[index]
            current = current.slice(starts, steps, expected.shape)
        else:
            flat = (expected.size,)
            reshaped = current.reshape(flat)
            if reshaped is None:
                continue
            current, expected = reshaped, expected.reshape(flat)
    node = Node(Op.VIEW, I32, current.shape, (0,), current.attributes)
    assert np.array_equal(view(node, array), expected)


HUGE = 2**31 - 1


@pytest.mark.skipif(not list_devices(), reason="no OpenCL device")
def test_indices_of_the_largest_tensors_do_not_overflow():
    """Folds, padding and views of 2**31 - 1 elements that nobody stores, in 64-bit addresses."""
    nodes = (
        Node(Op.IOTA, I32, (HUGE,)),
        Node(Op.VIEW, I32, (3,), (0,), (HUGE - 1, 1 - 2**30)),
        Node(Op.VIEW, I32, (HUGE,), (0,), (HUGE - 1, -1)),
        Node(Op.VIEW, I32, (4,), (2,), (3, 2**29)),
        Node(Op.IOTA, I32, (5,)),
        Node(Op.PAD, I32, (HUGE,), (4,), (HUGE - 9, 4)),
        Node(Op.VIEW, I32, (8,), (5,), (HUGE - 1, -1)),
    )
    program = Program(nodes, (), (("far", 1), ("flipped", 3), ("padded", 6)))
    validate(program)
    outputs = open_backend().load(program)({})
    assert outputs["far"].numpy().tolist() == [HUGE - 1 - k * (2**30 - 1) for k in range(3)]
    assert outputs["flipped"].numpy().tolist() == [HUGE - 4 - k * 2**29 for k in range(4)]
    assert outputs["padded"].numpy().tolist() == [0, 0, 0, 0, 4, 3, 2, 1]
