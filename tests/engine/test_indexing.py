"""Elements by data: numpy's results, defined values out of range, order among duplicates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Tensor, UsageError
from engine.backend import open_backend, set_default_backend

CUBE = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


@pytest.fixture(autouse=True, scope="module")
def reference():
    """The reference is the fastest for so small cases."""
    set_default_backend(open_backend("reference"))
    yield
    set_default_backend(None)


@st.composite
def keys(draw):
    """Slices with any step, integers, None, ... and index arrays that stand side by side."""
    shape = draw(st.sampled_from([(5,), (2,), (2, 3)]))
    key = []
    used = draw(st.integers(0, 3))
    first = draw(st.integers(0, used))
    for axis in range(used):
        n = CUBE.shape[axis]
        if first <= axis < first + draw(st.integers(0, 1)) + 1 and draw(st.booleans()):
            count = int(np.prod(shape))
            index = draw(st.lists(st.integers(-n, n - 1), min_size=count, max_size=count))
            key.append(np.array(index, np.int32).reshape(shape))
        else:
            bound = st.none() | st.integers(-5, 5)
            key.append(slice(draw(bound), draw(bound), draw(st.sampled_from([None, 1, 2, -1, -2]))))
    if draw(st.booleans()):
        key.insert(draw(st.integers(0, len(key))), None)
    arrays = [i for i, part in enumerate(key) if isinstance(part, np.ndarray)]
    if arrays and arrays[-1] - arrays[0] + 1 != len(arrays):
        key = [part for part in key if part is not None]
    return tuple(key)


def tensors(key):
    """The key with tensors for arrays."""
    return tuple(Tensor(part) if isinstance(part, np.ndarray) else part for part in key)


@settings(max_examples=80, deadline=None)
@given(keys())
def test_reading_equals_numpy(key):
    """Any mix of basic and advanced parts."""
    expected = CUBE[key]
    found = Tensor(CUBE)[tensors(key)]
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found.numpy(), expected)


@settings(max_examples=60, deadline=None)
@given(keys(), st.booleans())
def test_writing_equals_numpy(key, is_scalar):
    """The last of several values for one element stays, also with its bits."""
    expected, tensor = CUBE.copy(), Tensor(CUBE)
    value = np.float32(-0.0) if is_scalar else -1.0 - np.arange(CUBE[key].size, dtype=np.float32)
    value = np.asarray(value if is_scalar else value.reshape(CUBE[key].shape))
    expected[key] = value
    tensor[tensors(key)] = Tensor(value)
    np.testing.assert_array_equal(tensor.numpy().view(np.uint32), expected.view(np.uint32))


def test_out_of_range_reads_zeros_and_writes_nothing():
    """A Program cannot raise, so it has a value for every index."""
    x, index = Tensor([1.0, 2.0, 3.0]), Tensor([3, -4, 1])
    assert x[index].tolist() == [0.0, 0.0, 2.0]
    assert x.gather(0, Tensor([5, -1, 2])).tolist() == [0.0, 0.0, 3.0]
    assert Tensor(CUBE)[Tensor([1]), Tensor([3])].numpy().any() == np.False_
    assert x.scatter(0, Tensor([3, -1, 0]), 9.0).tolist() == [9.0, 2.0, 3.0]
    assert x.scatter_add(0, index, Tensor([9.0, 9.0, 9.0])).tolist() == [1.0, 11.0, 3.0]
    x[index] = 7.0
    assert x.tolist() == [1.0, 7.0, 3.0]


def test_duplicates_are_added_in_order_and_overwrite_in_order():
    """Sums of equal indices are those of a loop, bit for bit."""
    values = np.array([1e8, 1.0, -1e8, 3.0, 1e-3], np.float32)
    expected = np.float32(0)
    for value in values:
        expected = np.float32(expected + value)
    zero, index = Tensor([0.0]), Tensor([0, 0, 0, 0, 0])
    assert zero.scatter_add(0, index, Tensor(values)).item() == expected
    assert zero.scatter(0, index, Tensor(values)).item() == values[-1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: x[Tensor([0.5])], "must be INT32"),
        (lambda x: x[0, 0, Tensor([0]), 0], "too many"),
        (lambda x: x[Tensor([0, 1]), Tensor([0, 1, 2])], "do not broadcast"),
        (lambda x: x.gather(0, Tensor([0])), "as many axes"),
        (lambda x: x.__setitem__(0, Tensor([1.0, 2.0])), "broadcast"),
        (lambda x: x.select(0, 2), "out of bounds"),
        (lambda x: x[..., ...], "single ellipsis"),
        (lambda x: x[Tensor([True])], "a mask of .* at axis 0"),
        (lambda x: x[:, :, Tensor([True] * 3)], "a mask of .* at axis 2"),
        (lambda x: x.gather(0, Tensor.zeros(1, 4, 1, dtype="int32")), "apart from axis 0"),
        (lambda x: x.scatter(0, Tensor.zeros(2, 1, 1).int(), x[:1]), "exceeds what is written"),
        (lambda x: x.scatter(0, Tensor.zeros(1, 1, 1).int(), x.int()), "cast"),
        (lambda x: x.scatter_reduce(0, x[:1].int(), x, "typo"), "not 'typo'"),
        (lambda x: x.scatter(0, x[:1].int(), x, "typo"), "not 'typo'"),
        (lambda x: x.narrow(0, 1, 2), "outside"),
        (lambda x: x["a"], "not 'a'"),
    ],
)
def test_wrong_calls_say_what_was_wrong(call, message):
    """Misuse raises UsageError."""
    with pytest.raises(UsageError, match=message):
        call(Tensor(CUBE))
