"""safetensors bytes: canonical, readable by the library, hostile bytes refused."""

import json

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from engine import DType, StateError, Tensor, TensorType, UsageError, state

EXAMPLE = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a.weight": np.array([True, False, True]),
    "c": np.array(-7, np.int32),
    "z": np.array([255], np.uint8),
    "y": np.array([[-128]], np.int8),
    "A": np.array([2**32 - 1], np.uint32),
}


def assert_same(actual, expected):
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        assert actual[name].dtype == array.dtype
        np.testing.assert_array_equal(actual[name], array)


def types(example):
    return {name: TensorType(DType(Tensor(a).dtype), a.shape) for name, a in example.items()}


def test_round_trip():
    """decode is the inverse of encode."""
    assert_same(state.decode(state.encode(EXAMPLE)), EXAMPLE)
    assert state.decode(state.encode({})) == {}


def test_bytes_are_the_librarys():
    """Our canonical form is what the safetensors library writes, and it reads ours."""
    assert state.encode(EXAMPLE) == safetensors.numpy.save(EXAMPLE)
    assert_same(safetensors.numpy.load(state.encode(EXAMPLE)), EXAMPLE)


def test_order_of_the_mapping_does_not_matter():
    """Equal states have equal bytes; a transposed array is written by its elements."""
    reverse = dict(reversed(EXAMPLE.items()))
    assert state.encode(reverse) == state.encode(EXAMPLE)
    strided = EXAMPLE | {"b": np.asfortranarray(EXAMPLE["b"])}
    assert state.encode(strided) == state.encode(EXAMPLE)


@given(
    st.dictionaries(
        st.text("abc.0", min_size=1, max_size=4),
        arrays.arrays(
            st.sampled_from([np.float32, np.int32, np.uint32, np.bool_, np.uint8, np.int8]),
            arrays.array_shapes(min_dims=0, max_dims=3, max_side=3),
        ),
        max_size=5,
    )
)
@settings(max_examples=60, deadline=None)
def test_length_is_known_from_the_types(tensors):
    """encoded_bytes gives the length of encode without the elements."""
    data = state.encode(tensors)
    kinds = {n: TensorType(Tensor(a).dtype, a.shape) for n, a in tensors.items()}
    assert len(data) == state.encoded_bytes(kinds)
    assert state.encode(state.decode(data)) == data


def foreign(dtype, shape, data):
    """A safetensors file written by hand."""
    header = {"x": {"dtype": dtype, "shape": shape, "data_offsets": [0, len(data)]}}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not safetensors"),
        (b"\xff" * 8 + b"{}", "not safetensors"),
        (state.encode(EXAMPLE)[:-1], "not safetensors"),
        (state.encode(EXAMPLE) + b"x", "not safetensors"),
        (foreign("F32", [2**40], b"1234"), "not safetensors"),
        (foreign("F64", [1], bytes(8)), "'x' has dtype F64"),
        (foreign("F8_E4M3", [1], bytes(1)), "'x' has dtype F8_E4M3"),
        (foreign("BOOL", [2], b"\x01\x02"), "neither 0 nor 1"),
    ],
)
def test_hostile_bytes_are_refused(data, message):
    """Damage, dtypes of others and false truth values raise StateError."""
    with pytest.raises(StateError, match=message):
        state.decode(data)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(state.encode(EXAMPLE)) - 1), st.integers(1, 255))
def test_mutated_bytes_never_crash(at, change):
    """A changed byte gives StateError or other tensors."""
    data = bytearray(state.encode(EXAMPLE))
    data[at] ^= change
    try:
        state.decode(bytes(data))
    except StateError:
        return


def test_unknown_dtypes_are_refused():
    """A float64 array is not silently narrowed."""
    with pytest.raises(UsageError, match="'x' has dtype float64"):
        state.encode({"x": np.zeros(2)})


def test_files(tmp_path):
    """save_file and load_file keep tensors."""
    tensors = {"w": Tensor([[1.5, 2.5]]), "n": Tensor(3)}
    state.save_file(tensors, tmp_path / "model.safetensors")
    loaded = state.load_file(tmp_path / "model.safetensors")
    assert_same(
        {n: t.numpy() for n, t in loaded.items()}, {n: t.numpy() for n, t in tensors.items()}
    )


def test_wide_numbers_of_other_frameworks_become_ours(tmp_path):
    """F64, F16 and I64 are read by safe_load alone; an integer that does not fit is refused."""
    arrays = {"a": np.array([1.5, np.pi]), "h": np.float16([0.1]), "n": np.array([7], np.int64)}
    path = tmp_path / "wide.safetensors"
    path.write_bytes(safetensors.numpy.save(arrays))
    loaded = state.safe_load(path)
    assert loaded["n"].dtype is DType.INT32
    np.testing.assert_array_equal(loaded["a"].numpy(), arrays["a"].astype(np.float32))
    np.testing.assert_array_equal(loaded["h"].numpy(), arrays["h"].astype(np.float32))
    path.write_bytes(safetensors.numpy.save({"n": np.array([2**31])}))
    with pytest.raises(UsageError, match="INT32"):
        state.safe_load(path)


class Plain:
    """An object that is no Module, as tinygrad's models are."""

    def __init__(self):
        self.weight = Tensor([1.0, 2.0])
        self.layers = [{"bias": Tensor([3.0])}, Plain]
        self.module = np


def test_state_of_any_object():
    """Attributes, lists and mappings are walked, classes and modules are not."""
    model = Plain()
    assert list(state.get_state_dict(model)) == ["weight", "layers.0.bias"]
    assert [t.numel() for t in state.get_parameters([model, model.weight])] == [2, 1]
    new = {"weight": Tensor([5.0, 6.0]), "other": Tensor(1)}
    with pytest.raises(UsageError, match=r"missing \['layers.0.bias'\], unknown \['other'\]"):
        state.load_state_dict(model, new)
    state.load_state_dict(model, new, strict=False)
    assert model.weight.numpy().tolist() == [5.0, 6.0]
    with pytest.raises(UsageError, match="weight is"):
        state.load_state_dict(model, {"weight": Tensor(1.0)}, strict=False)
