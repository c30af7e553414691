"""Tracing: a function on tensors becomes the same Program every time, or says why not."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine import DType, Tensor, TensorType, TraceError, trace
from engine.backend import open_backend
from engine.ops import Op

F32, I32 = DType.FLOAT32, DType.INT32
X = {"x": TensorType(F32, (3, 4))}


def ops(program):
    """The ops of a Program, in order, without its inputs."""
    return [node.op for node in program.nodes if node.op is not Op.INPUT]


def test_traced_program_does_what_the_function_does():
    """The Program's outputs are the function's, bit for bit, and so are its names."""

    def function(i):
        return {"b": (i["x"].T @ i["x"]).exp(), "a": i["x"].sum(0) + i["y"]}

    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    y = np.ones(4, np.float32)
    program = trace(function, {**X, "y": TensorType(F32, (4,))})
    assert program.input_types == {"x": (F32, (3, 4)), "y": (F32, (4,))}
    assert program.output_types == {"a": (F32, (4,)), "b": (F32, (4, 4))}
    outputs = open_backend("reference").load(program)({"x": x, "y": y})
    expected = function({"x": Tensor(x), "y": Tensor(y)})
    for name, tensor in expected.items():
        np.testing.assert_array_equal(outputs[name].numpy(), tensor.numpy())


def test_common_subexpressions_are_merged():
    """The same computation written twice is in the table once."""
    program = trace(lambda i: {"y": i["x"].exp() * 2.0, "z": i["x"].exp() * 2.0 + 7.0}, X)
    once = trace(lambda i: {"y": i["x"].exp() * 2.0}, X)
    assert len(program.nodes) == len(once.nodes) + 2  # the constant 7 and the addition
    assert len(set(program.nodes)) == len(program.nodes)


def test_dead_code_is_dropped():
    """What no output needs is not in the Program; an unused input is."""
    program = trace(lambda i: {"y": (i["x"] * 3.0, i["x"] + 1.0)[1]}, {**X, "z": X["x"]})
    assert ops(program) == [Op.CONST, Op.ADD]
    assert program.input_types.keys() == {"x", "z"}


def test_movement_is_merged_to_one_view():
    """A chain of affine movement is one VIEW; one that cancels out is none."""
    chain = trace(lambda i: {"y": i["x"].T.flip(0)[1:].unsqueeze(0).expand(2, 3, 3)}, X)
    assert ops(chain) == [Op.VIEW]
    assert chain.nodes[-1].attributes == (2, 0, -1, 4)
    nothing = trace(lambda i: {"y": i["x"].T.T.reshape(12).flip(0).flip(0).reshape(3, 4)}, X)
    assert nothing.outputs == (("y", 0),)


def test_reshape_that_is_not_affine_takes_two_views():
    """The transposed matrix is laid out before it is reshaped."""
    assert ops(trace(lambda i: {"y": i["x"].T.reshape(12)[::2]}, X)) == [Op.VIEW, Op.VIEW]
    assert ops(trace(lambda i: {"y": i["x"].T.reshape(2, 2, 3)}, X)) == [Op.VIEW]


def test_views_of_constants_are_constants():
    """Nothing is read where the elements are known."""
    program = trace(lambda i: {"y": i["x"] + Tensor.ones(4, 1).detach().T.expand(3, 4).flip(0)}, X)
    assert ops(program) == [Op.CONST, Op.ADD]


def test_neutral_operations_vanish():
    """x * 1, x / 1, x ** 1, i + 0, casts to the same dtype and sums of one element."""
    x = trace(lambda i: {"y": (1 * i["x"] / 1.0).float().unsqueeze(0).sum(0) ** 1}, X)
    assert ops(x) == []
    assert ops(trace(lambda i: {"y": i["x"] + 0.0}, X)) == [Op.CONST, Op.ADD]  # -0 + 0 is +0


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda i: {"y": i["x"] * i["x"].sum().item()}, "symbolic input 'x' has no elements"),
        (lambda i: {"y": i["x"] if i["x"].sum() > 0 else -i["x"]}, "symbolic input 'x'"),
        (lambda i: {"y": i["x"].numpy()}, "symbolic input 'x'"),
        (lambda i: {"y": i["x"] + Tensor([1.0, 2.0, 3.0, 4.0])}, r"FLOAT32 \(4,\) that holds data"),
        (lambda i: i["x"], "must return named tensors"),
        (lambda i: {}, "must return named tensors"),
        (lambda i: {"y": 1.0}, "output 'y' must be a Tensor, not float"),
        (lambda i: {1: i["x"]}, "output 1"),
        (lambda i: {"a b": i["x"]}, "output name 'a b'"),
        (lambda i: {"y": i["x"].reshape(*[1] * 7, 3, 4)}, "rank 9"),
        (lambda i: {"y": i["x"].expand(2**30, 3, 4)}, "elements"),
    ],
)
def test_what_cannot_be_traced_says_why(function, message):
    """A function that looks at elements or captures data raises TraceError."""
    with pytest.raises(TraceError, match=message):
        trace(function, X)


def test_a_symbol_of_another_trace_is_refused():
    """A tensor that leaked from one trace cannot enter another."""
    leaked = {}
    trace(lambda i: leaked.update(i) or {"y": i["x"]}, X)
    with pytest.raises(TraceError, match=r"'x' FLOAT32 .* another trace"):
        trace(lambda i: {"y": i["z"] + leaked["x"]}, {"z": X["x"]})


STEP = """
from engine import AdamW, DType, TensorType, gradient, trace
from engine.functional import cross_entropy, gelu
F = DType.FLOAT32
rule = AdamW(lr=1e-2)
names = ["w1", "w2", "bias"]
def step(i):
    p = {n: i[n] for n in names}
    loss = cross_entropy(gelu(i["x"] @ p["w1"]) @ p["w2"] + p["bias"], i["y"])
    g = dict(zip(names, gradient(loss, *p.values())))
    new, state = rule.step(p, g, {n: i["s." + n] for n in rule.init(p)})
    return {**new, **{"s." + n: t for n, t in state.items()}, "loss": loss}
types = {"x": TensorType(F, (8, 4)), "y": TensorType(DType.INT32, (8,)),
         "w1": TensorType(F, (4, 6)), "w2": TensorType(F, (6, 3)), "bias": TensorType(F, (3,))}
types |= {f"s.{k}.{n}": types[n] for k in "mv" for n in names}
types |= {"s.bias1": TensorType(F, ()), "s.bias2": TensorType(F, ())}
print(trace(step, types).digest.hex())
"""


def test_tracing_is_deterministic_across_processes():
    """The same function gives the same bytes whatever the hash seed."""
    root = Path(__file__).parents[2]
    digests = {
        subprocess.run(
            [sys.executable, "-c", STEP],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "12345")
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == 64
