"""Whole computations, forward and gradient, have the same bits on OpenCL and on the reference."""

import numpy as np
import pytest

from engine import DType, Tensor, TensorType, gradient, trace
from engine import functional as F
from engine.backend import open_backend

RNG = np.random.default_rng(23)
SHAPES = {"a": (5, 7), "b": (5, 7), "positive": (5, 7), "cube": (3, 5, 7), "weight": (7, 9)}


def activations(i):
    """Every elementwise op and function."""
    a, b, p = i["a"], i["b"], i["positive"]
    return {
        "arithmetic": (a + b * a - b / p) ** 3 + p**-0.5,
        "exponential": a.exp() + p.log() + a.tanh() * b.sigmoid() + a.erf(),
        "chosen": (a < b).where(a.maximum(0.1), b.abs()) + F.relu(a) + b.minimum(p) + a.sign(),
        "activations": F.gelu(a) + F.gelu(b, "tanh") + F.silu(p),
    }


def folds(i):
    """Sums, maxima, products, losses, rows by index."""
    a, cube, weight = i["a"], i["cube"], i["weight"]
    rows, target = i["rows"], i["target"]
    return {
        "sums": cube.sum((0, 2)) + a.mean(1) + cube.var(0).sum(1),
        "maxima": cube.amax(1) + a.amax(0) - cube.amin(1),
        "products": F.layer_norm(cube @ weight),
        "batches": cube @ cube.transpose(),
        "loss": F.cross_entropy(a @ weight, target) + F.mse_loss(a, i["b"]),
        "rows": a[rows] * 2.0,
        "softmax": F.softmax(a, 0) + F.log_softmax(a) + F.logsumexp(a, keepdim=True),
    }


def movement(i):
    """Views of views, padding, joining."""
    a, cube = i["a"], i["cube"]
    return {
        "moved": cube.permute(2, 0, 1).flip(1)[1:, :, ::2].reshape(6, -1),
        "joined": Tensor.cat([a, i["b"][:2], a.flip(0)]).pad(((1, 2), (0, 1))),
        "expanded": (a.unsqueeze(1).expand(5, 4, 7) * cube[0].unsqueeze(1)).transpose(0, 2),
        "strided": Tensor.stack([a[::2, ::-3], a[1:4, 1:6:2]], 1).flatten(1),
    }


def integers(i):
    """INT32 and UINT32 arithmetic; no gradient."""
    n, rows = i["target"], i["rows"]
    bits = i["a"].bitcast(DType.UINT32)
    return {
        "hashed": (bits * 2654435761 ^ bits >> 13) << 3,
        "divided": n // 3 - n % 4 + n.max(),
        "classes": n.one_hot(9).sum(0) + rows.argmax(),
        "found": i["a"].argmax(1),
    }


def with_gradients(function):
    """The outputs of `function`, and the gradients of their sum of squares by every float input."""

    def step(i):
        outputs = function(i)
        floats = [t for t in outputs.values() if t.dtype is DType.FLOAT32]
        loss = sum((t.square().mean() for t in floats), Tensor.zeros())
        found = gradient(loss, *(i[name] for name in SHAPES))
        return outputs | {f"by.{name}": g for name, g in zip(SHAPES, found, strict=True)}

    return step


@pytest.mark.parametrize("function", [activations, folds, movement, integers])
def test_opencl_gives_the_bits_of_the_reference(function):
    """Every output and every gradient is equal byte for byte."""
    types = {name: TensorType(DType.FLOAT32, shape) for name, shape in SHAPES.items()}
    types |= {name: TensorType(DType.INT32, (5,)) for name in ("rows", "target")}
    program = trace(with_gradients(function), types)
    inputs = {n: RNG.standard_normal(s).astype(np.float32) for n, s in SHAPES.items()}
    inputs["positive"] = np.abs(inputs["positive"]) + np.float32(0.1)
    inputs["rows"] = np.array([4, 0, 4, 9, -1], np.int32)
    inputs["target"] = np.array([8, 0, 3, 3, 1], np.int32)
    expected = open_backend("reference").load(program)(inputs)
    actual = open_backend("").load(program)(inputs)
    for name, buffer in expected.items():
        assert actual[name].numpy().tobytes() == buffer.numpy().tobytes(), name
