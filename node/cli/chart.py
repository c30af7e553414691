"""A curve in a terminal: block characters, an eighth of a line fine. Pure text, no colours.

Written here instead of taken from a library: what `job watch` needs of one is these lines.
"""

import itertools
import math
from collections.abc import Sequence

BLOCKS = " ▁▂▃▄▅▆▇█"
NOT_FINITE = "x"
COLUMNS_A_VALUE_MAX = 6


def chart(values: Sequence[float], *, width: int = 64, height: int = 8) -> list[str]:
    """`height` lines of at most `width` columns and the scale's labels; [] for no values.

    More values than columns are averaged. A value that is not finite is a cross on the lowest line.
    """
    if not values:
        return []
    columns = [_mean(part) for part in _parts(values, width)]
    finite = [value for value in columns if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (math.nan, math.nan)
    wide = max(1, min(COLUMNS_A_VALUE_MAX, width // len(columns)))
    labels = [f"{high:.4g}", *[""] * (height - 2), f"{low:.4g}"]
    margin = max(map(len, labels))
    lines = []
    for row, label in zip(reversed(range(height)), labels, strict=True):
        cells = "".join(_cell(value, low, high, row, height) * wide for value in columns)
        lines.append(f"{label:>{margin}} {'┤' if label else '│'}{cells}".rstrip())
    return lines


def _parts(values: Sequence[float], width: int) -> list[Sequence[float]]:
    count = min(len(values), width)
    bounds = [len(values) * i // count for i in range(count + 1)]
    return [values[a:b] for a, b in itertools.pairwise(bounds)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _cell(value: float, low: float, high: float, row: int, height: int) -> str:
    """What a value shows in a row; row 0 is the lowest, where each shows at least an eighth."""
    if not math.isfinite(value):
        return NOT_FINITE if row == 0 else " "
    share = (value - low) / (high - low) if high > low else 1.0
    eighths = 1 + round(share * (8 * height - 1)) - 8 * row
    return BLOCKS[max(0, min(8, eighths))]
