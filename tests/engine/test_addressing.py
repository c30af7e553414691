"""Composed addresses lead to the same elements as the movement ops themselves."""

from math import prod
from random import Random

import numpy as np
import pytest

from engine.addressing import (
    Address,
    Variable,
    affine,
    coordinates,
    is_reshape,
    merge_axes,
    refine,
    split,
    strides,
    through_view,
)
from engine.ops import Op
from engine.reference import view
from tests.engine.random_programs import F32, Table

ROW, COLUMN = Variable("i", 4), Variable("j", 6)


class Evaluator:
    """Values for variables; derives what an address cannot say."""

    def __init__(self, **values: int) -> None:
        self.values = values
        self.derived = 0

    def derive(self, operator: str, address: Address, divisor: int) -> Variable:
        name = f"d{self.derived}"
        self.derived += 1
        at = self(address)
        self.values[name] = at // divisor if operator == "/" else at % divisor
        return Variable(name, address.high // divisor + 1 if operator == "/" else divisor)

    def __call__(self, address: Address) -> int:
        return address.offset + sum(c * self.values[v.name] for v, c in address.terms)


@pytest.mark.parametrize(
    ("address", "divisor", "derived"),
    [
        (affine(0, [(ROW, 6), (COLUMN, 1)]), 6, 0),
        (affine(5, [(ROW, 6), (COLUMN, -1)]), 6, 0),
        (affine(0, [(ROW, 1), (COLUMN, 4)]), 6, 2),
        (affine(3, [(ROW, 1)]), 100, 0),
        (affine(0, [(ROW, 13), (COLUMN, 1)]), 6, 2),
        (affine(0, [(ROW, 7)]), 6, 0),
    ],
)
def test_split_divides_without_variables_where_it_can(address, divisor, derived):
    """Quotient and remainder are right for every value of the variables."""
    for i in range(4):
        for j in range(6):
            evaluate = Evaluator(i=i, j=j)
            quotient, rest = split(address, divisor, evaluate.derive)
            assert divmod(evaluate(address), divisor) == (evaluate(quotient), evaluate(rest))
            assert evaluate.derived == derived
            assert quotient.low <= evaluate(quotient) <= quotient.high


def test_split_derives_from_what_crosses_the_divisor_alone():
    """(6 i + j) / 12 is i / 2: the quotient of a row does not depend on the column."""
    seen = []

    def derive(operator: str, address: Address, divisor: int) -> Variable:
        seen.append((operator, address, divisor))
        return Variable(f"d{len(seen)}", 2)

    _, rest = split(affine(0, [(ROW, 6), (COLUMN, 1)]), 12, derive)
    row = affine(0, [(ROW, 1)])
    assert seen == [("/", row, 2), ("%", row, 2)]
    assert rest.coefficient(COLUMN) == 1


@pytest.mark.parametrize("seed", range(40))
def test_chains_of_views_compose(seed):
    """The address through several VIEWs finds the element that applying them one by one finds."""
    random = Random(seed)
    table = Table(random)
    table.input(F32, table.shape())
    for _ in range(4):
        table.view()
    values = [np.arange(table.nodes[0].size)]
    for node in table.nodes[1:]:
        assert node.op is Op.VIEW
        values.append(view(node, values[node.inputs[0]]).reshape(-1))
    last = table.nodes[-1]
    axes = [Variable(f"x{i}", n) for i, n in enumerate(last.shape)]
    flat = affine(0, zip(axes, strides(last.shape), strict=True))
    for at in random.sample(range(last.size), min(last.size, 20)):
        position = np.unravel_index(at, last.shape) if last.shape else ()
        evaluate = Evaluator(**{a.name: int(p) for a, p in zip(axes, position, strict=True)})
        address, node = flat, last
        while node.op is Op.VIEW:
            address = through_view(address, node.shape, node.attributes, evaluate.derive)
            node = table.nodes[node.inputs[0]]
        assert evaluate(address) == values[-1][at]


def test_a_transpose_of_a_transpose_is_affine_again():
    """No quotient is computed for what cancels."""
    evaluate = Evaluator(x0=2, x1=3)
    x = [Variable("x0", 4), Variable("x1", 6)]
    address = affine(0, zip(x, strides((4, 6)), strict=True))
    address = through_view(address, (4, 6), (0, 1, 4), evaluate.derive)
    address = through_view(address, (6, 4), (0, 1, 6), evaluate.derive)
    assert address == affine(0, [(x[0], 6), (x[1], 1)])


def test_coordinates_are_those_of_the_shape():
    """Row-major."""
    evaluate = Evaluator(i=3, j=5)
    where = coordinates(affine(0, [(ROW, 6), (COLUMN, 1)]), (2, 2, 6), evaluate.derive)
    assert [evaluate(c) for c in where] == [1, 1, 5]


def test_merge_axes_joins_what_every_form_strides_through():
    """Axes of length 1 disappear; a broadcast axis keeps its neighbours apart."""
    assert merge_axes((2, 1, 3, 4), [(12, 9, 4, 1)]) == ([24], [[1]])
    assert merge_axes((2, 3, 4), [(12, 4, 1), (4, 0, 1)]) == ([2, 3, 4], [[12, 4, 1], [4, 0, 1]])
    assert merge_axes((2, 3, 4), [(12, 4, 1), (0, 4, 1)]) == ([2, 12], [[12, 1], [0, 1]])
    assert merge_axes((), []) == ([], [])


def test_refine_finds_a_common_shape():
    """Of which all are reshapes by joining axes; else the first."""
    assert refine([(6, 4), (2, 12), (24,)]) == [2, 3, 4]
    assert refine([(4, 6), (6, 4)]) == [4, 6]
    assert refine([(1, 1)]) == []
    for shapes in ([(8, 3), (2, 12)], [(5,), (1, 5, 1)]):
        assert prod(refine(shapes)) == prod(shapes[0])


def test_is_reshape_only_where_nothing_moves():
    """Same size, no offset, row-major strides; strides of axes of length 1 do not matter."""
    assert is_reshape((2, 3), (0, 3, 1), 6)
    assert is_reshape((2, 1, 3), (0, 3, 77, 1), 6)
    assert not is_reshape((3, 2), (0, 1, 3), 6)
    assert not is_reshape((2, 3), (0, 3, 1), 12)
