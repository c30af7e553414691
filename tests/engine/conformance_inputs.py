"""The tensors that recorded cases name, and how a case is read."""

import numpy as np


def _floats(*shape: int, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    """Numbers without pattern or ties, the same everywhere."""
    count = int(np.prod(shape))
    share = np.modf(np.arange(1, count + 1) * 0.6180339887 + 0.137 * len(shape))[0]
    return (low + (high - low) * share).astype(np.float32).reshape(shape)


INPUTS: dict[str, np.ndarray] = {
    "x": _floats(3, 4),
    "y": _floats(3, 4)[::-1, ::-1].copy() * np.float32(0.9),
    "p": _floats(3, 4, low=0.1, high=0.9),
    "q": _floats(3, 4, low=1.1, high=3.0),
    "v": _floats(4),
    "c": _floats(2, 3, 4),
    "d": _floats(2, 4, 3),
    "m": _floats(4, 5),
    "a": _floats(3, 3),
    "w": _floats(7, 2),
    "o": _floats(1, 3, 1),
    "im": _floats(1, 4, 5, 6),
    "w1": _floats(6, 3, 2),
    "w2": _floats(6, 2, 2, 3),
    "w3": _floats(2, 1, 2, 1, 2),
    "wt": _floats(4, 3, 2, 3),
    "mask": np.array([[1, 1, 0, 1], [0, 1, 1, 0], [1, 0, 1, 1], [1, 1, 1, 1]], np.bool_),
    "signs": np.array([[1, -1, 1, 1], [-1, -1, 1, -1], [1, 1, -1, 1]], np.int32),
    "s": np.float32(0.75) * np.ones((), np.float32),
    "e": np.zeros((0, 3), np.float32),
    "tied": np.array([[1, 1, 0], [0, 2, 2]], np.float32),
    "zeros": np.array([2, 0, 3, 0], np.float32),
    "edges": np.array([0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 8388607.5, 1e10, -7.9], np.float32),
    "special": np.array([0, -0.0, 1, -1, np.inf, -np.inf, np.nan], np.float32),
    "i": np.array([[7, -7, 0, 5], [-8, 3, 2, -1]], np.int32),
    "j": np.array([[2, 2, 3, -3], [-3, 1, 5, 4]], np.int32),
    "n": np.array([3, 1, 1, 2], np.int32),
    "b": np.array([[True, True, False, False], [True, False, True, False]]),
    "g": np.array([True, False, True]),
    "at": np.array([[3, 0, 0], [1, 2, 1]], np.int32),
    "rows": np.array([2, 0, 2], np.int32),
    "cols": np.array([3, 0, 1], np.int32),
    "once": np.array([[2, 0, 1, 0], [1, 2, 0, 2]], np.int32),
}


def written(x, key, value):
    """x with x[key] = value."""
    result = x.clone()
    result[key] = value
    return result


def changed(x, change):
    """x after a change in place."""
    result = x * 1.5
    change(result)
    return result


def flat(results) -> list:
    """Every tensor or number of nested results."""
    if isinstance(results, (list, tuple)):
        return [leaf for part in results for leaf in flat(part)]
    return [results]


def seed_of(shape, number: int) -> np.ndarray:
    """The gradient of the loss by a result."""
    return _floats(*shape, low=-1.0, high=1.0) * np.float32(1.0 / (1 + number))
