"""Einstein sums against numpy's, and what no formula may say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Tensor, UsageError
from engine.backend import open_backend, set_default_backend

SIZES = {"a": 2, "b": 3, "c": 4, "d": 1}


@pytest.fixture(autouse=True, scope="module")
def reference():
    """The reference is the fastest for so small cases."""
    set_default_backend(open_backend("reference"))
    yield
    set_default_backend(None)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("abcd", max_size=3), min_size=1, max_size=3), st.data(), st.booleans())
def test_any_formula_equals_numpy(operands, data, is_float):
    """Repeated, summed and permuted letters, in exact integers of either dtype."""
    letters = sorted(set("".join(operands)))
    out = "".join(data.draw(st.permutations(letters)))[: data.draw(st.integers(0, len(letters)))]
    arrays = [
        (np.arange(np.prod([SIZES[c] for c in letters], dtype=int)) % 5 - 2)
        .reshape([SIZES[c] for c in letters])
        .astype(np.float32 if is_float else np.int32)
        for letters in operands
    ]
    formula = f"{','.join(operands)}->{out}"
    found = Tensor.einsum(formula, *map(Tensor, arrays))
    expected = np.einsum(formula, *arrays)
    assert (found.shape, found.dtype.numpy) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("ij,jk->ik", "names 2 operands, not 1"),
        ("ijk->i", "does not fit"),
        ("ij->k", "letters of its operands"),
        ("ij->ii", "none twice"),
    ],
)
def test_wrong_formulas_are_refused(formula, message):
    """The message has the formula."""
    with pytest.raises(UsageError, match=message):
        Tensor.einsum(formula, Tensor.ones(2, 3))
