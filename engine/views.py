"""Affine views: which element of a stored tensor each element of a view is.

Element (i, j, ...) of a view is element offset + i * strides[0] + j * strides[1] + ... of the
stored elements in row-major order. Permuting, expanding and slicing a view gives a view; reshaping
does where the strides allow it. Axes of length 1 have stride 0, so equal views compare equal.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from engine.addressing import strides

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class View:
    """A shape and an affine address formula."""

    shape: Shape
    offset: int
    strides: tuple[int, ...]

    @property
    def attributes(self) -> tuple[int, ...]:
        """The attributes of the VIEW node that does this."""
        return (self.offset, *self.strides)

    def permute(self, axes: Sequence[int]) -> "View":
        """Axis i of the result is axis axes[i]."""
        shape, strides = tuple(self.shape[a] for a in axes), tuple(self.strides[a] for a in axes)
        return View(shape, self.offset, strides)

    def expand(self, shape: Shape) -> "View":
        """Axes of length 1 repeated: their stride is 0 already."""
        return View(shape, self.offset, self.strides)

    def slice(self, starts: Sequence[int], steps: Sequence[int], shape: Shape) -> "View":
        """Element i of an axis is element start + i * step."""
        offset = self.offset + sum(s * t for s, t in zip(starts, self.strides, strict=True))
        strides = (t * step for t, step in zip(self.strides, steps, strict=True))
        return View(shape, offset, _normal(shape, strides))

    def affine(self, attributes: Sequence[int], shape: Shape) -> "View":
        """Element i of an axis is element start + steps . i: (start, *steps) for each axis."""
        width = 1 + len(shape)
        totals = [
            sum(t * n for t, n in zip(self.strides, attributes[at::width], strict=True))
            for at in range(width)
        ]
        return View(shape, self.offset + totals[0], _normal(shape, totals[1:]))

    def reshape(self, shape: Shape) -> "View | None":
        """The same elements in row-major order, or None where that is not affine."""
        runs = self._runs()
        strides: list[int] = []
        for n in reversed(shape):
            if n == 1:
                strides.append(0)
                continue
            count, stride = runs.pop()
            if count % n:
                return None
            strides.append(stride)
            if count != n:
                runs.append((count // n, stride * n))
        return View(shape, self.offset, tuple(reversed(strides)))

    def _runs(self) -> list[tuple[int, int]]:
        """(length, stride) of the longest runs of axes that one stride walks through."""
        runs: list[tuple[int, int]] = []
        for n, stride in zip(self.shape, self.strides, strict=True):
            if n == 1:
                continue
            if runs and runs[-1][1] == n * stride:
                runs[-1] = (runs[-1][0] * n, stride)
            else:
                runs.append((n, stride))
        return runs


def contiguous(shape: Shape) -> View:
    """The view that shows all elements in order."""
    return View(shape, 0, _normal(shape, strides(shape)))


def _normal(shape: Shape, strides: Iterable[int]) -> tuple[int, ...]:
    return tuple(0 if n == 1 else s for n, s in zip(shape, strides, strict=True))
