"""Random tensors: one stream per seed, keys in traces, distributions in bounds."""

import numpy as np
import pytest

from engine import DType, Tensor, TensorType, TraceError, UsageError, trace
from engine import functional as F


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


def test_a_key_may_be_a_seed_and_is_split():
    """A seed's key gives the same numbers each time; the split keys differ, also by tensors."""
    first = Tensor.rand(4, key=5).tolist()
    assert first == Tensor.rand(4, key=5).tolist() != Tensor.rand(4, key=6).tolist()
    keys = [Tensor.split_key(5, n) for n in (1, 2)]
    assert Tensor.rand(4, key=keys[0]).tolist() != Tensor.rand(4, key=keys[1]).tolist() != first
    assert Tensor.split_key(5, Tensor(2)).tolist() == keys[1].tolist()
    with pytest.raises(UsageError, match="split by one integer"):
        Tensor.split_key(5, Tensor([1, 2]))
    assert Tensor.zeros(3).randn_like(key=1, requires_grad=True).requires_grad


@pytest.mark.parametrize("name", ["rand", "randn", "randint", "scaled_uniform", "kaiming_normal"])
def test_sizes_are_checked_and_may_be_0(name):
    """No dimension is negative."""
    draw = getattr(Tensor, name)
    assert draw(2, 0, 3).shape == (2, 0, 3)
    assert draw(2, 3, dtype="int8").dtype is DType.INT8
    with pytest.raises(UsageError, match="-1"):
        draw(0, -1)


def test_choices_follow_their_probabilities():
    """Frequencies within 5 deviations; without replacement each place once, and never weight 0."""
    ones = Tensor.full((4000,), 0.3).bernoulli(key=1).numpy()
    assert abs(ones.mean() - 0.3) < 5 * (0.21 / 4000) ** 0.5
    drawn = Tensor([1.0, 0.0, 3.0]).multinomial(4000, replacement=True, key=2).numpy()
    assert abs((drawn == 2).mean() - 0.75) < 5 * (0.1875 / 4000) ** 0.5
    assert set(drawn) == {0, 2}
    assert sorted(Tensor([1.0, 0.0, 3.0]).multinomial(2, key=3).tolist()) == [0, 2]
    assert Tensor.ones(2, 5).multinomial(3, key=4).shape == (2, 3)
    with pytest.raises(UsageError, match="without replacement"):
        Tensor.ones(2).multinomial(3)


def test_attention_drops_weights():
    """Half of them are gone, the rest doubled."""
    x, value = Tensor.zeros(1, 4, 2), Tensor.eye(64)[:4].unsqueeze(0)
    drop = F.scaled_dot_product_attention
    found = drop(x, x, value, dropout_p=0.5, dropout_key=3).numpy()[0, :, :4]
    assert set(found.reshape(-1)) == {0.0, 0.5}
