"""Addresses as affine forms: offset + sum of coefficient * variable, each variable with its range.

Movement ops are never executed. An element of a VIEW is read by composing the address of the result
with the view's formula; where a composition is not affine (a reshape of a transpose, say), `split`
asks its caller for a new variable that holds the quotient or the remainder.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import TypeAlias


@dataclass(frozen=True, slots=True, order=True)
class Variable:
    """An integer variable of generated code: 0 <= name < extent."""

    name: str
    extent: int


@dataclass(frozen=True, slots=True)
class Address:
    """offset + sum of coefficient * variable; terms sorted, none with a zero coefficient.

    `guard` names a condition without which the element must not be loaded: it may not exist.
    """

    offset: int
    terms: tuple[tuple[Variable, int], ...] = ()
    guard: str = ""

    @property
    def low(self) -> int:
        """The smallest value."""
        return self.offset + sum(min(0, c * (v.extent - 1)) for v, c in self.terms)

    @property
    def high(self) -> int:
        """The largest value."""
        return self.offset + sum(max(0, c * (v.extent - 1)) for v, c in self.terms)

    @property
    def magnitude(self) -> int:
        """A bound on every intermediate value when the form is evaluated term by term."""
        return abs(self.offset) + sum(abs(c) * v.extent for v, c in self.terms)

    def coefficient(self, variable: Variable) -> int:
        """The coefficient of a variable; zero where it does not appear."""
        return dict(self.terms).get(variable, 0)

    def text(self) -> str:
        """The form as C."""
        parts = [v.name if c == 1 else f"{c} * {v.name}" for v, c in self.terms]
        if self.offset or not parts:
            parts.append(str(self.offset))
        return " + ".join(parts)


Derive: TypeAlias = Callable[[str, Address, int], Variable]
"""derive("/" or "%", address, divisor): the variable that holds that quotient or remainder."""


def affine(offset: int, terms: Iterable[tuple[Variable, int]]) -> Address:
    """The canonical Address; variables that can only be zero disappear."""
    sums: dict[Variable, int] = {}
    for variable, coefficient in terms:
        if variable.extent > 1:
            sums[variable] = sums.get(variable, 0) + coefficient
    return Address(offset, tuple(sorted((v, c) for v, c in sums.items() if c)))


def combine(parts: Iterable[tuple[Address, int]], offset: int = 0) -> Address:
    """offset + sum of factor * address."""
    terms: list[tuple[Variable, int]] = []
    for address, factor in parts:
        offset += factor * address.offset
        terms += [(v, c * factor) for v, c in address.terms]
    return affine(offset, terms)


def strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Row-major strides, in elements."""
    return tuple(prod(shape[i + 1 :]) for i in range(len(shape)))


def split(address: Address, divisor: int, derive: Derive) -> tuple[Address, Address]:
    """(address / divisor, address % divisor) for an address that is never negative."""
    if divisor == 1:
        return address, Address(0)
    if address.high < divisor:
        return Address(0), address
    quotient, rest = divided(address, divisor)
    if rest.low >= 0 and rest.high < divisor:
        return quotient, rest
    if rest.low >= 0 and quotient != Address(0):
        more, rest = split(rest, divisor, derive)
        return combine([(quotient, 1), (more, 1)]), rest
    for unit in sorted({c for _, c in address.terms if c > 1 and divisor % c == 0}, reverse=True):
        high, low = _in_units(address, unit)
        if high.low >= 0 and low.low >= 0 and low.high < unit:
            quotient, rest = split(high, divisor // unit, derive)
            return quotient, combine([(rest, unit), (low, 1)])
    return (
        affine(0, [(derive("/", address, divisor), 1)]),
        affine(0, [(derive("%", address, divisor), 1)]),
    )


def _in_units(address: Address, unit: int) -> tuple[Address, Address]:
    """(high, low) with address = unit * high + low: terms of whole units, and the rest."""
    whole = [(v, c // unit) for v, c in address.terms if c % unit == 0]
    rest = [(v, c) for v, c in address.terms if c % unit]
    return affine(address.offset // unit, whole), affine(address.offset % unit, rest)


def divided(address: Address, divisor: int) -> tuple[Address, Address]:
    """Each coefficient divided by itself, towards zero; right if the rest stays in range."""
    high, low = [], []
    for variable, coefficient in address.terms:
        quotient = abs(coefficient) // divisor * (1 if coefficient > 0 else -1)
        high.append((variable, quotient))
        low.append((variable, coefficient - quotient * divisor))
    return affine(address.offset // divisor, high), affine(address.offset % divisor, low)


def coordinates(address: Address, shape: Sequence[int], derive: Derive) -> list[Address]:
    """The multi-index in `shape` of the element at a flat address."""
    result = []
    for stride in strides(shape):
        index, address = split(address, stride, derive)
        result.append(index)
    return result


def through_view(
    address: Address, shape: Sequence[int], attributes: Sequence[int], derive: Derive
) -> Address:
    """The address in a VIEW's input of the element at `address` of its result."""
    merged, (steps,) = merge_axes(shape, [attributes[1:]])
    index = coordinates(address, merged, derive)
    return combine(zip(index, steps, strict=True), attributes[0])


def merge_axes(
    shape: Sequence[int], forms: Sequence[Sequence[int]]
) -> tuple[list[int], list[list[int]]]:
    """Drop axes of length 1 and join neighbours that every form strides through as one."""
    kept = [i for i, n in enumerate(shape) if n != 1]
    sizes = [shape[i] for i in kept]
    rows = [[form[i] for i in kept] for form in forms]
    joined = [
        all(row[i] == row[i + 1] * sizes[i + 1] for row in rows)
        for i, _ in enumerate(pairwise(sizes))
    ]
    merged: list[int] = []
    columns: list[list[int]] = []
    for i, n in enumerate(sizes):
        column = [row[i] for row in rows]
        if i and joined[i - 1]:
            merged[-1] *= n
            columns[-1] = column
        else:
            merged.append(n)
            columns.append(column)
    return merged, [[column[r] for column in columns] for r in range(len(rows))]


def is_reshape(shape: Sequence[int], attributes: Sequence[int], source_size: int) -> bool:
    """Whether a VIEW keeps every element at its flat address."""
    if attributes[0] or prod(shape) != source_size:
        return False
    return all(
        n == 1 or s == t for n, s, t in zip(shape, attributes[1:], strides(shape), strict=True)
    )


def refine(shapes: Iterable[Sequence[int]]) -> list[int]:
    """One shape that every given shape (all of one size) is a reshape of by joining axes.

    Where there is none the first shape is returned: correct, with quotients left to compute.
    """
    shapes = list(shapes)
    cuts = sorted({prod(shape[i:]) for shape in shapes for i in range(len(shape) + 1)})
    if 0 in cuts or any(b % a for a, b in pairwise(cuts)):
        return list(shapes[0])
    return [b // a for a, b in pairwise(cuts)][::-1]
