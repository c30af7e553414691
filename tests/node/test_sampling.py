"""Elements sampled on the side are those that the reference computes as a whole."""

from random import Random

import numpy as np
import pytest

from engine.dtypes import DType
from engine.ops import Op
from engine.program import Node, Program
from engine.reference import evaluate
from engine.validate import validate
from node.sampling import STORED, TooDear, elements, expose, stored
from tests.engine.random_functions import random_step
from tests.engine.random_programs import random_inputs, random_program

F32 = DType.FLOAT32


@pytest.mark.parametrize("seed", range(40))
def test_sampled_elements_are_the_references(seed):
    """Every stored node of a random Program, from the values of its operands alone."""
    random = Random(seed)
    program = random_step(random, 3) if seed % 4 == 0 else random_program(random, 12)
    nodes = stored(program)
    wanted = set(nodes).union(*nodes.values())
    shown = expose(program, wanted)
    inputs = random_inputs(program, random)
    values = evaluate(shown, inputs)
    values |= {index: evaluate_input(program, inputs, index) for _, index in program.inputs}
    for index, operands in nodes.items():
        known = {i: values[i] for i in operands}
        count = min(program.nodes[index].size, 20)
        at = np.array(random.sample(range(program.nodes[index].size), count), np.int64)
        got = elements(program, known, index, at)
        assert got.tobytes() == values[index].reshape(-1)[at].tobytes(), program.nodes[index].op


def evaluate_input(program, inputs, index):
    """An INPUT as every op sees it."""
    name = next(name for name, i in program.inputs if i == index)
    kind = program.input_types[name]
    alone = Program((Node(Op.INPUT, *kind),), ((name, 0),), ((name, 0),))
    return evaluate(alone, {name: inputs[name]})[0]


def test_every_output_and_fold_is_stored():
    """With what it is computed from: not through another stored node."""
    program = random_step(Random(3), 4)
    nodes = stored(program)
    outputs = {index for _, index in program.outputs}
    folds = {i for i, n in enumerate(program.nodes) if n.op in STORED}
    inputs = {index for _, index in program.inputs}
    assert set(nodes) == (outputs | folds) - inputs
    assert all(operands <= folds | outputs | inputs for operands in nodes.values())


def chain(count):
    """x + a view of x, again and again."""
    nodes = [Node(Op.INPUT, F32, (4,))]
    for _ in range(count):
        at = len(nodes) - 1
        nodes.append(Node(Op.VIEW, F32, (4,), (at,), (3, -1)))
        nodes.append(Node(Op.ADD, F32, (4,), (at, at + 1)))
    return Program(tuple(nodes), (("x", 0),), (("y", len(nodes) - 1),))


def test_what_is_too_dear_is_not_computed():
    """A chain of views takes exponential work, a long chain deep recursion: both are left alone."""
    program = chain(60)
    validate(program)
    with pytest.raises(TooDear):
        elements(program, {0: np.zeros(4, np.float32)}, 120, np.array([1]))
    assert stored(chain(10)) == {20: frozenset({0})}
    assert stored(chain(5000)) == {}
    wide = [Node(Op.INPUT, F32, ()) for _ in range(50)]
    for i in range(49):
        wide.append(Node(Op.ADD, F32, (), (i, len(wide) - 1 if i else 49)))
    names = tuple((f"x{i:02}", i) for i in range(50))
    assert stored(Program(tuple(wide), names, (("y", len(wide) - 1),))) == {}
