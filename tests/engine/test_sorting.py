"""Sorts and running folds against numpy, for any floats and integers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engine import Tensor
from engine.backend import open_backend, set_default_backend

FEW = st.sampled_from([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 3.5])
FLOATS = arrays(np.float32, st.tuples(st.integers(1, 3), st.integers(1, 9)), elements=FEW)
INTS = arrays(
    np.int32, (2, 6), elements=st.sampled_from([0, 1, -1, 7, 2**31 - 1, -(2**31), -(2**31) + 1])
)


@pytest.fixture(autouse=True, scope="module")
def reference():
    """The reference is the fastest for so small cases."""
    set_default_backend(open_backend("reference"))
    yield
    set_default_backend(None)


@settings(max_examples=60, deadline=None)
@given(FLOATS | INTS)
def test_sort_is_stable_with_nan_last(array):
    """numpy's stable order, and the elements themselves."""
    place = np.argsort(array, axis=1, kind="stable")
    values, indices = Tensor(array).sort(1)
    np.testing.assert_array_equal(indices.numpy(), place)
    np.testing.assert_array_equal(values.numpy(), np.take_along_axis(array, place, 1))


@settings(max_examples=30, deadline=None)
@given(INTS)
def test_descending_sort_keeps_the_order_of_equals(array):
    """The order is reversed, not the result."""
    place = np.argsort(-array.astype(np.int64), axis=0, kind="stable")
    np.testing.assert_array_equal(Tensor(array).argsort(0, descending=True).numpy(), place)


def test_unsigned_integers_sort_by_value():
    """The top bit is no sign."""
    array = np.array([2**32 - 1, 0, 2**31, 5], np.uint32)
    np.testing.assert_array_equal(Tensor(array).sort().values.numpy(), np.sort(array))


@settings(max_examples=40, deadline=None)
@given(FLOATS)
def test_running_maximum_is_numpys(array):
    """Every prefix has its maximum, NaN from the first one on, and an index that has it."""
    values, indices = Tensor(array).cummax(1)
    with np.errstate(invalid="ignore"):
        expected = np.maximum.accumulate(array, axis=1)
    np.testing.assert_array_equal(values.numpy(), expected)
    np.testing.assert_array_equal(np.take_along_axis(array, indices.numpy(), 1), expected)


@pytest.mark.parametrize("count", [1, 2, 3, 8, 13, 64])
def test_running_sums_of_every_length(count):
    """Steps of powers of two reach every length."""
    array = np.arange(1, count + 1, dtype=np.int32)
    np.testing.assert_array_equal(Tensor(array).cumsum(0).numpy(), np.cumsum(array))
    few = (array % 7 == 1) + 1
    assert Tensor(few).prod().item() == np.prod(few)
