"""Programs: a computation as data.

A Program is a table of nodes in topological order, with named inputs and outputs. It has canonical
bytes and a digest, and says nothing about how it is executed. `decode` accepts bytes from strangers:
it refuses anything malformed or over `Limits` before memory is allocated for it. Whether the table
makes sense (shapes, dtypes, addresses) is `engine.validate`'s business, and `decode` calls it.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from engine.dtypes import DType
from engine.ops import Op

ARITHMETIC_VERSION = 0
"""The version of docs/spec/arithmetic.md; part of every Program's digest."""


@dataclass(frozen=True, slots=True)
class Node:
    """One primitive operation; `inputs` are indices of earlier nodes."""

    op: Op
    dtype: DType
    shape: tuple[int, ...]
    inputs: tuple[int, ...] = ()
    attributes: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """The number of elements."""
        count = 1
        for n in self.shape:
            count *= n
        return count

    @property
    def bytes(self) -> int:
        """The bytes of the result when stored."""
        return self.size * self.dtype.bytes


class TensorType(NamedTuple):
    """The dtype and shape of a named input or output."""

    dtype: DType
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Program:
    """A table of nodes with named inputs and outputs, both sorted by name."""

    nodes: tuple[Node, ...]
    inputs: tuple[tuple[str, int], ...]
    outputs: tuple[tuple[str, int], ...]
    arithmetic_version: int = field(default=ARITHMETIC_VERSION)

    @cached_property
    def input_types(self) -> dict[str, TensorType]:
        """The type of every named input."""
        return {name: self._type(index) for name, index in self.inputs}

    @cached_property
    def output_types(self) -> dict[str, TensorType]:
        """The type of every named output."""
        return {name: self._type(index) for name, index in self.outputs}

    def _type(self, index: int) -> TensorType:
        node = self.nodes[index]
        return TensorType(node.dtype, node.shape)
