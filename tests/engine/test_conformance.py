"""Hundreds of small cases against what PyTorch answered (see benchmarks/conformance.py)."""

import ast
import importlib.util
import json
from math import inf
from pathlib import Path

import numpy as np
import pytest

from engine import Tensor, nn
from engine import functional as F
from engine.backend import open_backend, set_default_backend

HERE = Path(__file__).parent
CASES = json.loads((HERE / "conformance.json").read_text())
spec = importlib.util.spec_from_file_location("conformance_inputs", HERE / "conformance_inputs.py")
inputs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(inputs)
FUNCTIONS = (
    "maximum minimum lerp where var_mean std_mean searchsorted outer cross cdist kron tensordot "
    "einsum meshgrid cat stack pad one_hot bincount unique full eye arange linspace hstack vstack "
    "dstack column_stack broadcast_tensors concatenate atleast_1d atleast_2d atleast_3d isin msort"
)
NAMES = {name: getattr(Tensor, name) for name in FUNCTIONS.split()} | {
    "tensor": Tensor, "inf": inf, "F": F, "nn": nn, "zeros_of": Tensor.zeros,
    "ones_of": Tensor.ones, "written": inputs.written, "changed": inputs.changed,
}  # fmt: skip
KINDS = {"u": "i"}


@pytest.fixture(autouse=True)
def reference():
    """The reference is the fastest for so small cases."""
    set_default_backend(open_backend("reference"))
    yield
    set_default_backend(None)


def check(result, recorded):
    """Kind of dtype, shape and elements."""
    kind, shape, numbers = recorded
    actual = result.numpy() if isinstance(result, Tensor) else np.asarray(result)
    assert (KINDS.get(actual.dtype.kind, actual.dtype.kind), list(actual.shape)) == (kind, shape)
    expected = np.array([float(number) for number in numbers]).reshape(shape)
    np.testing.assert_allclose(actual.astype(np.float64), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("case", "outputs", "gradients"), CASES, ids=[case for case, *_ in CASES])
def test_case_gives_what_torch_gives(case, outputs, gradients):
    """Results and the gradients of their weighted sum."""
    used = {node.id for node in ast.walk(ast.parse(case)) if isinstance(node, ast.Name)}
    tensors = {name: Tensor(array) for name, array in inputs.INPUTS.items() if name in used}
    for name in gradients:
        tensors[name].requires_grad_()
    results = inputs.flat(eval(case, NAMES | tensors))
    assert len(results) == len(outputs)
    for result, recorded in zip(results, outputs, strict=True):
        check(result, recorded)
    if gradients:
        losses = [
            (result * Tensor(inputs.seed_of(result.shape, at))).sum()
            for at, result in enumerate(results)
            if isinstance(result, Tensor) and result.value.is_float
        ]
        sum(losses[1:], losses[0]).backward()
        for name, recorded in gradients.items():
            check(tensors[name].grad, recorded)
