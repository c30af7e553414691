"""Random tensors: one stream per seed, keys in traces, distributions in bounds."""

import numpy as np
import pytest

from engine import DType, Tensor, TensorType, TraceError, trace


def test_a_seed_restarts_the_stream():
    """The same numbers again, and others in each draw."""
    Tensor.manual_seed(7)
    first, second = Tensor.rand(5).tolist(), Tensor.rand(5).tolist()
    Tensor.manual_seed(7)
    assert Tensor.rand(5).tolist() == first != second
    Tensor.manual_seed(8)
    assert Tensor.rand(5).tolist() != first


def test_numbers_are_where_they_should_be():
    """Bounds, means and kinds."""
    Tensor.manual_seed(0)
    even, bell = Tensor.uniform(40, 50, low=-2, high=3).numpy(), Tensor.randn((40, 50)).numpy()
    assert -2 <= even.min() < -1.9 < 2.9 < even.max() < 3
    assert (abs(even.mean() - 0.5) < 0.1, abs(bell.mean()) < 0.1) == (True, True)
    assert abs(Tensor.normal(2000, mean=3.0, std=0.5).numpy().std() - 0.5) < 0.05
    dice = Tensor.randint(300, low=1, high=7)
    assert (dice.dtype, set(dice.tolist())) == (DType.INT32, {1, 2, 3, 4, 5, 6})
    assert set(Tensor.randint(-1, 2, (50,)).tolist()) == {-1, 0, 1}
    assert sorted(Tensor.randperm(9).tolist()) == list(range(9))
    assert np.abs(Tensor.glorot_uniform(8, 4).numpy()).max() <= np.sqrt(6 / 12)
    assert np.abs(Tensor.kaiming_uniform(8, 6, a=0.0).numpy()).max() <= 1
    assert Tensor.kaiming_normal(3, 4, requires_grad=True).requires_grad
    assert Tensor.zeros(2, 3).rand_like().shape == Tensor.scaled_uniform(2, 3).shape == (2, 3)


def test_a_trace_needs_a_key():
    """Numbers of the stream would be fixed in the Program."""
    inputs = {"key": TensorType(DType.UINT32, (2,))}
    with pytest.raises(TraceError, match="pass a key"):
        trace(lambda i: {"y": Tensor.rand(3)}, inputs)
    assert trace(lambda i: {"y": Tensor.rand(3, key=i["key"])}, inputs).output_types
