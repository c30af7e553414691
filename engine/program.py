"""Programs: a computation as data.

A Program is a table of nodes in topological order, with named inputs and outputs. It has canonical
bytes and a digest, and says nothing about how it is executed. `decode` accepts bytes from
strangers: it refuses anything malformed or over `Limits` before memory is allocated for it. Whether
the table makes sense (shapes, dtypes, addresses) is `engine.validate`'s business, and `decode`
calls it.

The bytes are a header, then the nodes. Integers are unsigned LEB128 in the fewest bytes, so that
one Program has one encoding; attributes are signed, zigzag-coded (0, -1, 1, -2 as 0, 1, 2, 3).

    header      "AINP", format version, arithmetic version, number of nodes, inputs, outputs
    inputs      count, then per name in sorted order: length, ASCII name, node index
    outputs     the same
    node        op, dtype, rank, dimensions, indices of its inputs (as many as the op has),
                number of attributes, attributes

The digest is a Merkle root over the header and one leaf per node, so a chain can open one node.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from math import prod
from typing import NamedTuple, TypeVar

from engine.commitment import merkle_root
from engine.cost import cost
from engine.dtypes import DType
from engine.errors import ProgramError
from engine.ops import ARITHMETIC_VERSION, ARITY, Op
from engine.validate import DEFAULT_LIMITS, Limits, validate

MAGIC = b"AINP"
FORMAT_VERSION = 0

_VARINT_BYTES_MAX = 9  # 63 bits

Names = tuple[tuple[str, int], ...]
Code = TypeVar("Code", bound=IntEnum)


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
        return prod(self.shape)

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
    inputs: Names
    outputs: Names
    arithmetic_version: int = ARITHMETIC_VERSION

    @cached_property
    def _hash(self) -> int:
        return hash((self.nodes, self.inputs, self.outputs, self.arithmetic_version))

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def input_types(self) -> dict[str, TensorType]:
        """The type of every named input."""
        return self._types(self.inputs)

    @cached_property
    def output_types(self) -> dict[str, TensorType]:
        """The type of every named output."""
        return self._types(self.outputs)

    @cached_property
    def leaves(self) -> tuple[bytes, ...]:
        """The encoded header and nodes: the data of the digest's leaves."""
        return (_encode_header(self), *(_encode_node(node) for node in self.nodes))

    @cached_property
    def digest(self) -> bytes:
        """32 bytes that stand for this Program: the Merkle root over `leaves`."""
        return merkle_root(self.leaves)

    def to_bytes(self) -> bytes:
        """The canonical bytes; `decode` is the inverse."""
        return b"".join(self.leaves)

    def _types(self, names: Names) -> dict[str, TensorType]:
        nodes = self.nodes
        return {name: TensorType(nodes[i].dtype, nodes[i].shape) for name, i in names}


def encode(program: Program) -> bytes:
    """The canonical bytes of a program; raises ProgramError for what no bytes can say."""
    return program.to_bytes()


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Program:
    """The valid Program that `data` encodes.

    `decode(encode(p)) == p` and, for accepted bytes, `encode(decode(b)) == b`. Raises ProgramError
    for anything else, after work and memory proportional to the bytes at hand, never to a claim.
    """
    limits.check("program_bytes", len(data))
    reader = _Reader(data)
    if reader.take(len(MAGIC)) != MAGIC:
        raise ProgramError(f"does not begin with {MAGIC!r}: not a Program")
    for what, known in (("format", FORMAT_VERSION), ("arithmetic", ARITHMETIC_VERSION)):
        if (version := reader.varint()) != known:
            raise ProgramError(
                f"{what} version {version}, this engine knows {known}: use a matching release"
            )
    count = limits.check("nodes", reader.varint())
    inputs = _decode_names(reader, limits)
    outputs = _decode_names(reader, limits)
    nodes = tuple(_decode_node(reader) for _ in range(count))
    if reader.at != len(data):
        raise ProgramError(f"{len(data) - reader.at} bytes after the last node")
    program = Program(nodes, inputs, outputs)
    validate(program, limits)
    # No job can ask for more, and whoever adds up costs has numbers of some size.
    spent = cost(program)
    limits.check("flops", spent.flops)
    limits.check("bytes_moved", spent.bytes_moved)
    return program


def _encode_header(program: Program) -> bytes:
    numbers = (FORMAT_VERSION, program.arithmetic_version, len(program.nodes))
    names = _encode_names(program.inputs) + _encode_names(program.outputs)
    return MAGIC + _varints(numbers) + names


def _encode_names(names: Names) -> bytes:
    parts = [_varints([len(names)])]
    for name, index in names:
        if not name.isascii():
            raise ProgramError(f"the name {name!r} is not ASCII")
        parts += [_varints([len(name)]), name.encode("ascii"), _varints([index])]
    return b"".join(parts)


def _encode_node(node: Node) -> bytes:
    zigzag = (2 * a if a >= 0 else -2 * a - 1 for a in node.attributes)
    head = (node.op, node.dtype, len(node.shape))
    return _varints([*head, *node.shape, *node.inputs, len(node.attributes), *zigzag])


def _varints(numbers: Iterable[int]) -> bytes:
    """Unsigned LEB128, each in the fewest bytes."""
    out = bytearray()
    for number in numbers:
        rest = int(number)
        if not 0 <= rest < 1 << (7 * _VARINT_BYTES_MAX):
            raise ProgramError(f"{rest} cannot be encoded: it must be in 0 .. 2**63 - 1")
        while rest > 0x7F:
            out.append(0x80 | rest & 0x7F)
            rest >>= 7
        out.append(rest)
    return bytes(out)


def _decode_names(reader: "_Reader", limits: Limits) -> Names:
    names: list[tuple[str, int]] = []
    for _ in range(limits.check("names", reader.varint())):
        name = reader.take(limits.check("name_bytes", reader.varint()))
        names.append((name.decode("latin-1"), reader.varint()))  # `validate` wants ASCII letters
    return tuple(names)


def _decode_node(reader: "_Reader") -> Node:
    """Numbers as they come; the limits that the bytes' length does not imply are `validate`'s."""
    op, dtype = reader.code(Op), reader.code(DType)
    shape = reader.varints(reader.varint())
    inputs = reader.varints(ARITY[op])
    zigzag = reader.varints(reader.varint())
    return Node(op, dtype, shape, inputs, tuple(~(z >> 1) if z & 1 else z >> 1 for z in zigzag))


class _Reader:
    """A cursor over a stranger's bytes; everything it refuses is a ProgramError."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        part = self._data[self.at : self.at + count]
        if len(part) != count:
            raise ProgramError(f"ends at byte {len(self._data)}, in the middle of a field")
        self.at += count
        return part

    def varint(self) -> int:
        """The next unsigned integer; one in more bytes than it needs is refused."""
        if self.at < len(self._data) and (first := self._data[self.at]) < 0x80:  # nearly all are
            self.at += 1
            return first
        number = 0
        for position in range(_VARINT_BYTES_MAX):
            (byte,) = self.take(1)
            number |= (byte & 0x7F) << (7 * position)
            if byte < 0x80:
                if byte == 0 and position > 0:
                    raise ProgramError(f"byte {self.at - 1}: an integer in too many bytes")
                return number
        raise ProgramError(f"byte {self.at - 1}: an integer of 2**63 or more")

    def varints(self, count: int) -> tuple[int, ...]:
        """The next `count` integers."""
        return tuple([self.varint() for _ in range(count)])

    def code(self, kind: type[Code]) -> Code:
        """The next integer, as an op or a dtype."""
        number = self.varint()
        try:
            return kind(number)
        except ValueError:
            what = kind.__name__.lower()
            raise ProgramError(f"byte {self.at - 1}: unknown {what} {number}") from None
