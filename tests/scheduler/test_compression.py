"""The codecs of what travels: their bounds on any block, their bits on every backend."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Tensor
from engine.backend import open_backend
from engine.dtypes import DType
from engine.program import TensorType
from engine.trace import trace
from scheduler import compression

COUNT = 150
"""Two whole blocks and a part of one."""

floats = st.floats(-(2.0**127), 2.0**127, width=32)
anything = st.floats(width=32)
vectors = st.lists(st.one_of(floats, st.sampled_from([0.0, -0.0, 1e-45, -3e-39])), max_size=COUNT)
wild = st.lists(anything, max_size=COUNT)


def filled(start):
    """The elements, and zeros up to COUNT."""
    array = np.zeros(COUNT, np.float32)
    array[: len(start)] = start
    return array


def traced(bits, backend="reference"):
    """encode and decode in one run: codes, scales and what they mean."""

    def both(inputs):
        coded = compression.encode_delta(inputs["x"], bits)
        back = compression.decode_delta(coded, bits, COUNT)
        return coded | {"back": back}

    return load(both, {"x": TensorType(DType.FLOAT32, (COUNT,))}, backend)


def load(function, types, backend="reference"):
    """A function as one of arrays."""
    run = open_backend(backend).load(trace(function, types))
    return lambda **given: {name: buffer.numpy() for name, buffer in run(given).items()}


def moments(backend="reference"):
    """encode and decode second moments."""

    def both(inputs):
        codes = compression.encode_moment(inputs["v"])
        return {"codes": codes, "back": compression.decode_moment(codes)}

    return load(both, {"v": TensorType(DType.FLOAT32, (COUNT,))}, backend)


TRACED = {bits: traced(bits) for bits in (4, 8)}
MOMENTS = moments()


@pytest.mark.parametrize("bits", [4, 8])
@given(start=vectors)
def test_delta_is_within_half_a_scale(bits, start):
    """Every element up to 2**127 of every block, also of the last one, or within 2**-100."""
    x = filled(start)
    out = TRACED[bits](x=x)
    scale = np.repeat(out["scale"].astype(np.float64), compression.BLOCK)[:COUNT]
    error = np.abs(out["back"].astype(np.float64) - x)
    assert (error <= np.maximum(0.5 * scale * (1 + 2**-20), 2.0**-100)).all()
    blocks = np.pad(x, (0, -COUNT % compression.BLOCK)).reshape(-1, compression.BLOCK)
    largest = np.abs(blocks).max(1)
    expected = np.where(largest < 2.0**-100, 0, largest / np.float32(2 ** (bits - 1) - 1))
    np.testing.assert_array_equal(out["scale"], expected)


@pytest.mark.parametrize("bits", [4, 8])
def test_delta_of_zeros_is_zeros(bits):
    """No scale, no quotient by it."""
    out = TRACED[bits](x=np.zeros(COUNT, np.float32))
    assert not out["scale"].any()
    assert not out["back"].any()


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_block_that_is_not_numbers_decodes_to_none(bits, wrong):
    """So that the aggregate sees it; the blocks beside it are as they were."""
    x = np.linspace(-1, 1, COUNT, dtype=np.float32)
    x[70] = wrong
    back = TRACED[bits](x=x)["back"]
    assert np.isnan(back[64:128]).all()
    assert np.isfinite(back[:64]).all()
    assert np.isfinite(back[128:]).all()


def test_four_bits_are_packed_with_the_earlier_element_below():
    """Element 0 in the lower half of byte 0, and 8 stands for zero."""
    x = np.zeros(COUNT, np.float32)
    x[:4] = 7, -7, 3, 0.5
    out = TRACED[4](x=x)
    assert out["delta"].shape == (3, 32)
    assert out["delta"].dtype == np.uint8
    assert [hex(byte) for byte in out["delta"][0, :3]] == ["0x1f", "0x8b", "0x88"]
    np.testing.assert_array_equal(out["scale"], [1, 0, 0])


def test_ties_go_to_the_even_step():
    """0.5 is 0, 1.5 and 2.5 are 2."""
    x = np.zeros(COUNT, np.float32)
    x[:5] = 7, 0.5, 1.5, 2.5, -1.5
    np.testing.assert_array_equal(TRACED[4](x=x)["back"][:5], [7, 0, 2, 2, -2])


@given(codes=st.binary(min_size=96, max_size=96), scale=st.lists(anything, min_size=3, max_size=3))
def test_any_bytes_decode_to_something_of_the_right_shape(codes, scale):
    """A stranger's half byte 0 is -8, which no encoder writes; nothing is out of range."""
    delta = np.frombuffer(codes, np.uint8).reshape(3, 32)
    scales = np.array(scale, np.float32)
    with np.errstate(all="ignore"):
        low, high = (delta & 15).astype(np.int32), (delta >> 4).astype(np.int32)
        steps = np.stack([low, high], axis=2).reshape(3, 64) - 8
        expected = (steps.astype(np.float32) * scales[:, None]).reshape(-1)[:COUNT]
    np.testing.assert_array_equal(DECODE(delta=delta, scale=scales)["back"], expected)


def _decode(inputs):
    return {"back": compression.decode_delta(inputs, 4, COUNT)}


DECODE = load(
    _decode,
    {"delta": TensorType(DType.UINT8, (3, 32)), "scale": TensorType(DType.FLOAT32, (3,))},
)


@given(start=st.lists(st.floats(2.0**-48, 49152, width=32), max_size=COUNT))
def test_moment_is_within_a_ninth(start):
    """In the whole range, and zero stays zero."""
    v = filled(start)
    back = MOMENTS(v=v)["back"].astype(np.float64)
    assert (np.abs(back - v) <= v / 9 * (1 + 2**-20)).all()


@given(start=wild)
def test_moment_of_anything_is_between_its_ends(start):
    """Small ones become the smallest, never zero; large ones and NaN the largest."""
    v = filled(start)
    out = MOMENTS(v=v)
    positive = (v > 0) | np.isnan(v)
    np.testing.assert_array_equal(out["codes"] > 0, positive)
    assert (out["back"][positive] >= 2.0**-48).all()
    assert (out["back"] <= 49152).all()
    assert (out["codes"][np.isnan(v) | (v > 49152)] == 255).all()


def test_every_code_of_a_moment_is_its_own():
    """Encoding what a code means gives the code."""
    types = {"codes": TensorType(DType.UINT8, (256,))}

    def there_and_back(inputs):
        meant = compression.decode_moment(inputs["codes"])
        return {"meant": meant, "codes": compression.encode_moment(meant)}

    codes = np.arange(256, dtype=np.uint8)
    out = load(there_and_back, types)(codes=codes)
    np.testing.assert_array_equal(out["codes"], codes)
    assert (np.diff(out["meant"]) > 0).all()


@pytest.mark.parametrize("bits", [4, 8])
def test_codecs_have_the_same_bits_on_opencl(bits):
    """Over all exponents, with zeros, subnormals, infinities and NaN."""
    rng = np.random.default_rng(0)
    on_device, moments_on_device = traced(bits, ""), moments("")
    for _ in range(20):
        x = rng.integers(0, 1 << 32, COUNT, dtype=np.uint32).view(np.float32)
        x[:64] = rng.standard_normal(64) * 10.0 ** rng.uniform(-44, 30)
        x[rng.integers(0, 64, 4)] = [0.0, -0.0, 1e-45, -1e-40]
        pairs = [(on_device(x=x), TRACED[bits](x=x)), (moments_on_device(v=x), MOMENTS(v=x))]
        for found, expected in pairs:
            for name, array in expected.items():
                assert found[name].tobytes() == array.tobytes(), name


def test_join_and_split_keep_every_element_in_the_order_of_names():
    """Whatever the order in which they are given."""
    tensors = {"b": Tensor([[1.0, 2.0]]), "a": Tensor([3.0]), "c": Tensor(-0.0)}
    flat = compression.join(tensors)
    assert flat.numpy().tobytes() == np.array([3, 1, 2, -0.0], np.float32).tobytes()
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    for name, tensor in compression.split(flat, shapes).items():
        np.testing.assert_array_equal(tensor.numpy(), tensors[name].numpy())


def test_matrix_of_rank_one_survives_factoring():
    """And a vector stays what it is; more axes than two count as columns."""
    rng = np.random.default_rng(0)
    rows, columns = rng.uniform(0.1, 1, 3), rng.uniform(0.1, 1, 8)
    v = {
        "w": Tensor(np.outer(rows, columns).reshape(3, 4, 2).astype(np.float32)),
        "b": Tensor([1.0, 0.0]),
    }
    shapes = {name: tensor.shape for name, tensor in v.items()}
    factors = compression.factor(v)
    assert {n: t.shape for n, t in factors.items()} == compression.factored_shapes(shapes)
    for name, tensor in compression.unfactor(factors, shapes).items():
        np.testing.assert_allclose(tensor.numpy(), v[name].numpy(), rtol=1e-5)


def test_moments_of_zero_factor_to_zero():
    """A table of which nothing was used yet; no zero divides."""
    v = {"w": Tensor.zeros(3, 4)}
    back = compression.unfactor(compression.factor(v), {"w": (3, 4)})
    assert not back["w"].numpy().any()
