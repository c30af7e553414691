"""The generator against the vectors of its authors, and against what its numbers should be like."""

import numpy as np
import pytest

from engine import graph, random
from engine.backend import Backend, open_backend
from engine.dtypes import DType
from engine.errors import UsageError
from engine.lower import lower
from engine.realize import elements

# The known answers that come with Random123: counters, key, result.
KNOWN = [
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((2**32 - 1,) * 2, (2**32 - 1,) * 2, (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]


def words(values: tuple[int, ...]) -> graph.Value:
    return graph.data(np.array(values, np.uint32), DType.UINT32)


@pytest.mark.parametrize(("counters", "key", "expected"), KNOWN)
def test_block_gives_the_known_answers(
    counters: tuple[int, int], key: tuple[int, int], expected: tuple[int, int]
) -> None:
    first, second = (words((counter,)) for counter in counters)
    found = random.block(words(key), first, second)
    assert tuple(int(elements(value)[0]) for value in found) == expected


def test_seed_is_two_words() -> None:
    assert elements(random.key_of(0x0123456789ABCDEF)).tolist() == [0x01234567, 0x89ABCDEF]
    for seed in (-1, 2**64):
        with pytest.raises(UsageError, match="a seed is an integer"):
            random.key_of(seed)


def test_bits_are_first_words_then_second_words() -> None:
    key = words((0, 0))
    drawn = elements(random.bits(key, (5,)))
    assert drawn[0] == 0x6B200159
    assert drawn[3] == 0x99BA4EFE
    assert np.array_equal(elements(random.bits(key, (5, 1)))[:, 0], drawn)
    assert elements(random.bits(key, (0, 3))).shape == (0, 3)


def test_numbers_are_distributed_as_named() -> None:
    """At 40,000 numbers the mean of a sample is off by more than 5 deviations once in a million."""
    count, key = 40_000, random.key_of(7)
    even = elements(random.uniform(key, (count,)))
    assert even.min() >= 0
    assert even.max() < 1
    assert abs(even.mean() - 0.5) < 5 * (1 / 12 / count) ** 0.5
    normal = elements(random.normal(random.split(key, 1), (count,)))
    assert abs(normal.mean()) < 5 / count**0.5
    assert abs(normal.var() - 1) < 5 * (2 / count) ** 0.5
    whole = elements(random.integers(key, -3, 4, (count,)))
    assert sorted(set(whole.tolist())) == list(range(-3, 4))
    assert np.abs(np.bincount(whole + 3) - count / 7).max() < 5 * (count / 7) ** 0.5


def test_streams_differ() -> None:
    key = random.key_of(1)
    keys = [key, random.split(key, 0), random.split(key, 1), random.split(random.split(key, 0), 0)]
    drawn = {elements(random.bits(k, (4,))).tobytes() for k in keys}
    assert len(drawn) == len(keys)


@pytest.mark.parametrize("dtype", [DType.INT32, DType.FLOAT32])
def test_wrong_key_is_refused(dtype: DType) -> None:
    with pytest.raises(UsageError, match="a key is UINT32 of shape"):
        random.bits(graph.const(0, dtype, (2,)), (3,))


def test_integers_out_of_range_are_refused() -> None:
    for low, high in ((3, 3), (0, 2**31 + 1), (-(2**31) - 1, 0)):
        with pytest.raises(UsageError, match="do not exist in INT32"):
            random.integers(random.key_of(0), low, high, (2,))


@pytest.fixture(scope="module")
def device() -> Backend:
    return open_backend()


def test_device_draws_the_bits_of_the_reference(device: Backend) -> None:
    key = graph.input_value("key", DType.UINT32, (2,))
    program = lower(
        {"bits": random.bits(key, (7,)), "normal": random.normal(key, (7,))}, {"key": key}
    )
    given = {"key": np.array([5, 2**32 - 9], np.uint32)}
    reference, found = (b.load(program)(given) for b in (open_backend("reference"), device))
    for name in reference:
        assert found[name].numpy().tobytes() == reference[name].numpy().tobytes()
