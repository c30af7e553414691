"""Long folds on a device: blocks, the shorter last one, blocks of blocks, the layouts in memory."""

import numpy as np
import pytest

from engine import reduction
from engine.addressing import strides
from engine.backend import open_backend
from engine.dtypes import DType
from engine.ops import Op
from engine.program import Node, Program
from engine.reduction import in_blocks
from engine.reference import ReferenceBackend
from engine.validate import validate

F32, I32, U32 = DType.FLOAT32, DType.INT32, DType.UINT32
RNG = np.random.default_rng(5)


def fold_program(op: Op, dtype: DType, shape: tuple[int, ...], permuted: bool) -> Program:
    """The fold of an input, or of one whose folded axis comes first in memory."""
    rows, last = shape[:-1], shape[-1]
    nodes = [Node(Op.INPUT, dtype, (last, *rows) if permuted else shape)]
    if permuted:
        *steps, width = (*strides(rows), int(np.prod(rows)))
        nodes.append(Node(Op.VIEW, dtype, shape, (0,), (0, *steps, width)))
    nodes.append(Node(op, dtype, (*rows, 1), (len(nodes) - 1,)))
    nodes.append(Node(Op.ADD, dtype, (*rows, 1), (len(nodes) - 1, len(nodes) - 1)))
    return Program(tuple(nodes), (("x", 0),), (("y", len(nodes) - 1),))


def elements(dtype: DType, shape: tuple[int, ...]) -> np.ndarray:
    """Floats of very different sizes, or any integers."""
    if dtype is not F32:
        return RNG.integers(0, 2**32, shape, dtype=np.uint32).view(dtype.numpy)
    scale = 2.0 ** RNG.integers(-14, 14, shape)
    result = (RNG.standard_normal(shape) * scale).astype(np.float32)
    result.reshape(-1, shape[-1])[0] = -0.0  # whose sum is -0 in every block, the shorter one too
    return result


def check(program: Program) -> None:
    """The device and the program in blocks return the reference's bits."""
    node = program.nodes[0]
    x = {"x": elements(node.dtype, node.shape)}
    expected = ReferenceBackend().load(program)(x)["y"].numpy()
    blocked = in_blocks(program)
    validate(blocked)
    assert ReferenceBackend().load(blocked)(x)["y"].numpy().tobytes() == expected.tobytes()
    assert open_backend("").load(program)(x)["y"].numpy().tobytes() == expected.tobytes()


@pytest.mark.parametrize("permuted", [False, True])
@pytest.mark.parametrize(
    ("op", "dtype", "shape"),
    [
        (Op.SUM, F32, (4096,)),
        (Op.SUM, F32, (4097,)),
        (Op.SUM, F32, (3, 2, 8192)),
        (Op.SUM, F32, (2, 9, 12289)),
        (Op.SUM, I32, (2, 5000)),
        (Op.SUM, U32, (10000,)),
        (Op.MAX, F32, (2, 5000)),
        (Op.MAX, I32, (9000,)),
        (Op.MAX, U32, (300, 4097)),
    ],
)
def test_a_long_fold_gives_the_bits_of_the_reference(op, dtype, shape, permuted):
    """Whole blocks, a shorter last block, several rows, both layouts."""
    check(fold_program(op, dtype, shape, permuted))


def test_blocks_of_blocks_follow_the_same_rule(monkeypatch):
    """With blocks of 8 three levels are folded."""
    monkeypatch.setattr(reduction, "SUM_BLOCK", 8)
    program = in_blocks(fold_program(Op.SUM, I32, (3, 700), False))
    folds = [program.nodes[n.inputs[0]].shape[-1] for n in program.nodes if n.op is Op.SUM]
    assert folds == [8, 4, 8, 8, 3, 2]
    x = elements(I32, (3, 700))
    result = ReferenceBackend().load(program)({"x": x})["y"].numpy()
    assert result.ravel().tolist() == (2 * x.sum(1, dtype=np.int32)).tolist()


def test_a_short_fold_is_left_alone():
    """The Program stays as it is."""
    program = fold_program(Op.SUM, F32, (3, 4096), True)
    assert in_blocks(program) == program
