"""The rules of a Program: every illegal neighbour of a legal table is refused, and why."""

from dataclasses import replace

import pytest

from engine import DType, Limits, Program, ProgramError, validate
from engine.ops import Op
from engine.program import Node

F32, I32, U32, BOOL, U8 = DType.FLOAT32, DType.INT32, DType.UINT32, DType.BOOL, DType.UINT8


def program(*nodes):
    """A Program of these nodes: all INPUTs named, the last node the output."""
    inputs = tuple((f"i{at:02}", at) for at, node in enumerate(nodes) if node.op is Op.INPUT)
    return Program(tuple(nodes), inputs, (("out", len(nodes) - 1),))


def given(dtype, *shape):
    return Node(Op.INPUT, dtype, shape)


def of(op, dtype, shape, inputs, *attributes):
    return Node(op, dtype, shape, inputs, attributes)


LEGAL = [
    program(
        given(F32, 2), Node(Op.CONST, F32, (2,), (), (0x7FC00000,)), of(Op.ADD, F32, (2,), (0, 1))
    ),
    program(given(I32, 2), of(Op.MUL, I32, (2,), (0, 0))),
    program(given(F32), of(Op.FMA, F32, (), (0, 0, 0))),
    program(given(U32, 2), of(Op.DIV, U32, (2,), (0, 0))),
    program(given(F32, 2), of(Op.SQRT, F32, (2,), (0,))),
    program(given(I32, 2), of(Op.LT, BOOL, (2,), (0, 0))),
    program(given(BOOL, 2), given(I32, 2), of(Op.SELECT, I32, (2,), (0, 1, 1))),
    program(given(U8, 2), of(Op.CAST, F32, (2,), (0,), 0)),
    program(given(F32, 2), of(Op.CAST, U32, (2,), (0,), 1)),
    program(given(BOOL, 2), of(Op.XOR, BOOL, (2,), (0, 0))),
    program(given(I32, 2), of(Op.SHR, I32, (2,), (0, 0))),
    program(given(F32, 2, 3), of(Op.VIEW, F32, (3, 2), (0,), 5, -1, -3)),
    program(given(U8, 2, 3), of(Op.PAD, U8, (5, 3), (0,), 1, 2, 0, 0)),
    program(given(F32, 2, 3), of(Op.SUM, F32, (2, 1), (0,))),
    program(given(I32, 3), of(Op.MAX, I32, (1,), (0,))),
    program(given(F32, 2, 3, 4), given(F32, 2, 4, 5), of(Op.DOT, F32, (2, 3, 5), (0, 1))),
    program(given(U8, 7, 2), given(I32, 3), of(Op.GATHER, U8, (3, 2), (0, 1))),
    program(given(I32, 3), given(F32, 3, 2), of(Op.SCATTER, F32, (9, 2), (0, 1), 9)),
    program(Node(Op.IOTA, I32, (4,))),
    program(given(F32, 2), Node(Op.CONST, U8, (), (), (255,))),  # an unused INPUT may stay
]


def at(index, **changes):
    """Change a field of a node of a legal Program, counted from its end."""
    return lambda p: replace(
        p,
        nodes=tuple(
            replace(node, **changes) if i == len(p.nodes) + index else node
            for i, node in enumerate(p.nodes)
        ),
    )


ILLEGAL = [
    (0, at(-1, inputs=(0,)), "1 inputs, not 2"),
    (0, at(-1, inputs=(0, 2)), "reads node 2, which does not come before"),
    (0, at(-1, inputs=(0, -1)), "reads node -1"),
    (0, at(-1, attributes=(1,)), "takes 0 attributes, has"),
    (0, at(-1, shape=(3,)), r"gives FLOAT32 \(2,\), not FLOAT32 \(3,\)"),
    (0, at(-1, dtype=I32), r"gives FLOAT32 \(2,\), not INT32 \(2,\)"),
    (0, at(-2, dtype=I32), "mixes FLOAT32, INT32"),
    (0, at(-2, shape=(3,)), r"reads shapes \[\(2,\), \(3,\)\]"),
    (0, at(-2, attributes=(0x7FC00001,)), "not the canonical NaN"),
    (0, at(-2, attributes=(-1,)), "not a bit pattern"),
    (0, at(-2, attributes=(2**32,)), "not a bit pattern"),
    (0, at(-2, attributes=()), "takes 1 attributes"),
    (0, at(-3, attributes=(1,)), "takes 0 attributes"),
    (0, at(-3, shape=(0,)), "dimension below 1"),
    (0, at(-3, shape=(-2,)), "dimension below 1"),
    (0, at(-3, shape=(2**31,)), "elements"),
    (0, at(-3, shape=(2**60,) * 8), "elements"),
    (0, at(-3, shape=(1,) * 13), "rank: 13"),
    (0, at(-3, attributes=(0,) * 33), "attributes: 33"),
    (2, at(-1, dtype=I32), "gives FLOAT32"),
    (3, at(-1, dtype=F32), "gives UINT32"),
    (4, lambda p: program(given(I32, 2), of(Op.SQRT, I32, (2,), (0,))), "not defined for INT32"),
    (5, at(-1, dtype=I32), "gives BOOL"),
    (5, lambda p: program(given(BOOL, 2), of(Op.EQ, BOOL, (2,), (0, 0))), "not defined for BOOL"),
    (5, at(-1, shape=(3,)), r"gives BOOL \(2,\), not BOOL \(3,\)"),
    (6, at(-1, inputs=(1, 1, 1)), "the condition is INT32"),
    (6, at(-3, shape=(3,)), "reads shapes"),
    (6, at(-2, dtype=F32), "gives FLOAT32"),
    (6, lambda p: program(given(BOOL, 2), given(U8, 2), of(Op.SELECT, U8, (2,), (0, 1, 1))),
     "not defined for UINT8"),
    (7, at(-1, attributes=(2,)), "mode is 0 or 1"),
    (7, at(-1, attributes=()), "takes 1 attributes"),
    (7, at(-1, shape=(3,)), r"gives FLOAT32 \(2,\)"),
    (7, at(-1, attributes=(1,)), "not defined for UINT8"),
    (8, at(-1, dtype=BOOL), "not defined for BOOL"),
    (9, lambda p: program(given(F32, 2), of(Op.AND, F32, (2,), (0, 0))), "not defined for FLOAT32"),
    (10, lambda p: program(given(BOOL), of(Op.SHL, BOOL, (), (0, 0))), "not defined for BOOL"),
    (1, lambda p: program(given(U8), of(Op.ADD, U8, (), (0, 0))), "not defined for UINT8"),
    (11, at(-1, attributes=(6, -1, -3)), "reads 1 to 6 of an input of 6"),
    (11, at(-1, attributes=(4, -1, -3)), "reads -1 to 4"),
    (11, at(-1, attributes=(5, -1)), "takes 3 attributes"),
    (11, at(-1, attributes=(2**61, -(2**60), -(2**60))), "of an input of 6"),
    (11, at(-1, dtype=I32), "gives FLOAT32"),
    (12, at(-1, attributes=(1, 2, 0, -1)), "negative padding"),
    (12, at(-1, attributes=(1, 2)), "takes 4 attributes"),
    (12, at(-1, shape=(6, 3)), r"gives UINT8 \(5, 3\), not UINT8 \(6, 3\)"),
    (13, at(-1, shape=(2, 3)), r"gives FLOAT32 \(2, 1\)"),
    (13, lambda p: program(given(F32), of(Op.SUM, F32, (), (0,))), "needs an axis"),
    (14, lambda p: program(given(BOOL, 3), of(Op.MAX, BOOL, (1,), (0,))), "not defined for BOOL"),
    (15, at(-1, inputs=(1, 0)), "cannot multiply"),
    (15, at(-1, shape=(2, 5, 3)), "gives"),
    (15, lambda p: program(given(I32, 1, 1, 1), of(Op.DOT, I32, (1, 1, 1), (0, 0))), "not defined"),
    (15, lambda p: program(given(F32, 1, 1), of(Op.DOT, F32, (1, 1), (0, 0))), "two batches"),
    (16, at(-2, dtype=U32), "the index is UINT32"),
    (16, at(-1, dtype=I32), "gives UINT8"),
    (17, at(-1, dtype=I32), "gives FLOAT32"),
    (17, at(-3, dtype=F32), "the index is FLOAT32"),
    (17, at(-2, shape=(3, 2, 1)), "cannot scatter rows"),
    (16, at(-1, shape=(7, 2)), "gives"),
    (16, at(-3, shape=(14,)), "not two dimensions"),
    (17, at(-1, attributes=(8,)), "gives"),
    (17, at(-1, attributes=()), "takes 1 attributes"),
    (17, at(-2, shape=(4, 2)), "cannot scatter rows"),
    (17, lambda p: program(given(I32, 3), given(BOOL, 3, 2),
                           of(Op.SCATTER, BOOL, (9, 2), (0, 1), 9)), "not defined for BOOL"),
    (18, at(-1, dtype=F32), r"gives INT32 \(4,\)"),
    (18, at(-1, shape=(2, 2)), r"gives INT32 \(4,\)"),
    (19, at(-1, attributes=(256,)), "not a bit pattern"),
]  # fmt: skip


@pytest.mark.parametrize("legal", LEGAL, ids=lambda p: p.nodes[-1].op.name)
def test_legal_tables_are_accepted(legal):
    """One legal use of every op."""
    validate(legal)


def test_every_op_has_a_legal_case():
    """The list above leaves no op out."""
    seen = {node.op for legal in LEGAL for node in legal.nodes}
    assert set(Op) - seen == {Op.EQ, Op.AND, Op.OR, Op.SHL}  # share their rule with a neighbour


@pytest.mark.parametrize(("index", "change", "message"), ILLEGAL)
def test_illegal_neighbours_are_refused(index, change, message):
    """One step away from a legal table, the message names the node and the fault."""
    illegal = change(LEGAL[index])
    assert illegal != LEGAL[index]
    with pytest.raises(ProgramError, match=message):
        validate(illegal)


X = given(F32, 2)
ADD = of(Op.ADD, F32, (2,), (0, 0))


@pytest.mark.parametrize(
    ("illegal", "message"),
    [
        (Program((), (), ()), "no output"),
        (Program((X,), (("x", 0),), ()), "no output"),
        (Program((X,), (), (("x", 0),)), r"named inputs are nodes \[\]"),
        (Program((X, ADD), (("x", 1),), (("y", 1),)), "named inputs"),
        (Program((X,), (("a", 0), ("b", 0)), (("y", 0),)), "named inputs"),
        (Program((X, X), (("b", 0), ("a", 1)), (("y", 0),)), "not sorted and unique"),
        (Program((X, X), (("a", 0), ("a", 1)), (("y", 0),)), "not sorted and unique"),
        (Program((X,), (("a", 0),), (("z", 0), ("y", 0))), "not sorted and unique"),
        (Program((X,), (("a", 0),), (("y", 1),)), "is node 1, there are 1"),
        (Program((X,), (("a", -1),), (("y", 0),)), "is node -1"),
        (Program((X, ADD), (("a", 0),), (("y", 0),)), r"node 1 \(ADD\) serves no output"),
        (Program((X,), (("", 0),), (("y", 0),)), "input name ''"),
        (Program((X,), (("a..b", 0),), (("y", 0),)), "input name"),
        (Program((X,), (("a/b", 0),), (("y", 0),)), "input name"),
        (Program((X,), (("a\n", 0),), (("y", 0),)), "input name"),
        (Program((X,), (("a" * 129, 0),), (("y", 0),)), "name bytes: 129"),
        (Program((X,), (("a", 0),), (("y", 0),), arithmetic_version=9), "arithmetic version 9"),
    ],
)
def test_names_order_and_use(illegal, message):
    """Named inputs are the INPUT nodes, names are sorted, every other node serves an output."""
    with pytest.raises(ProgramError, match=message):
        validate(illegal)


def test_limits():
    """Each limit is a limit."""
    legal = LEGAL[0]
    for limits in (Limits(nodes=2), Limits(rank=0), Limits(elements=1), Limits(attributes=0)):
        with pytest.raises(ProgramError):
            validate(legal, limits)
    with pytest.raises(ProgramError, match="names: 2"):
        validate(LEGAL[6], Limits(names=1))
    with pytest.raises(ProgramError, match="name bytes: 3"):
        validate(legal, Limits(name_bytes=2))


def test_a_claimed_size_costs_nothing():
    """Checking a Program of huge tensors takes no memory for them."""
    huge = program(
        given(F32, 46340, 46340),
        of(Op.VIEW, F32, (46340, 46340), (0,), 0, 1, 46340),
        of(Op.SUM, F32, (46340, 1), (1,)),
    )
    validate(huge)
