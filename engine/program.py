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
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from engine.commitment import merkle_root
from engine.dtypes import DType
from engine.errors import ProgramError
from engine.ops import ARITHMETIC_VERSION, ARITY, Op
from engine.validate import DEFAULT_LIMITS, Limits, validate

MAGIC = b"AINP"
FORMAT_VERSION = 0

_VARINT_BYTES_MAX = 9  # 63 bits


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
    def _hash(self) -> int:
        return hash((self.nodes, self.inputs, self.outputs, self.arithmetic_version))

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def input_types(self) -> dict[str, TensorType]:
        """The type of every named input."""
        return {name: self._type(index) for name, index in self.inputs}

    @cached_property
    def output_types(self) -> dict[str, TensorType]:
        """The type of every named output."""
        return {name: self._type(index) for name, index in self.outputs}

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

    def _type(self, index: int) -> TensorType:
        node = self.nodes[index]
        return TensorType(node.dtype, node.shape)


def encode(program: Program) -> bytes:
    """The canonical bytes of a program; raises ProgramError for what no bytes can say."""
    return program.to_bytes()


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Program:
    """The valid Program that `data` encodes.

    `decode(encode(p)) == p` and, for accepted bytes, `encode(decode(b)) == b`. Raises ProgramError
    for anything else, after work and memory proportional to the bytes at hand, never to a claim.
    """
    if len(data) > limits.program_bytes:
        raise ProgramError(f"{len(data)} bytes, more than the limit of {limits.program_bytes}")
    reader = _Reader(data)
    if reader.take(len(MAGIC)) != MAGIC:
        raise ProgramError(f"does not begin with {MAGIC!r}: not a Program")
    reader.expect("format version", FORMAT_VERSION)
    reader.expect("arithmetic version", ARITHMETIC_VERSION)
    count = reader.count("nodes", limits.nodes)
    inputs = _decode_names(reader, "inputs", limits)
    outputs = _decode_names(reader, "outputs", limits)
    nodes = tuple(_decode_node(reader, limits) for _ in range(count))
    reader.finish()
    program = Program(nodes, inputs, outputs)
    validate(program, limits)
    _check_cost(program, limits)
    return program


def _check_cost(program: Program, limits: Limits) -> None:
    """Refuse what no job can ask for, so that whoever adds up costs has numbers of some size."""
    from engine.cost import cost  # which needs this module

    spent = cost(program)
    for what, number, limit in (
        ("operations", spent.flops, limits.flops),
        ("bytes moved", spent.bytes_moved, limits.bytes_moved),
    ):
        if number > limit:
            raise ProgramError(f"{number} {what}, more than the limit of {limit}")


def _encode_header(program: Program) -> bytes:
    numbers = (FORMAT_VERSION, program.arithmetic_version, len(program.nodes))
    return b"".join(
        [MAGIC, _varints(numbers), _encode_names(program.inputs), _encode_names(program.outputs)]
    )


def _encode_names(names: tuple[tuple[str, int], ...]) -> bytes:
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


def _decode_names(reader: "_Reader", what: str, limits: Limits) -> tuple[tuple[str, int], ...]:
    names: list[tuple[str, int]] = []
    for _ in range(reader.count(what, limits.names)):
        raw = reader.take(reader.count(f"bytes of a name in {what}", limits.name_bytes))
        if not raw.isascii():
            raise ProgramError(f"a name in {what} is not ASCII: {raw!r}")
        names.append((raw.decode("ascii"), reader.varint()))
    return tuple(names)


def _decode_node(reader: "_Reader", limits: Limits) -> Node:
    op, dtype = reader.op(), reader.dtype()
    shape = tuple(reader.varint() for _ in range(reader.count("dimensions", limits.rank)))
    inputs = tuple(reader.varint() for _ in range(ARITY[op]))
    attributes = reader.count("attributes", limits.attributes)
    zigzag = [reader.varint() for _ in range(attributes)]
    return Node(
        op, dtype, shape, inputs, tuple(z >> 1 if z % 2 == 0 else ~(z >> 1) for z in zigzag)
    )


class _Reader:
    """A cursor over a stranger's bytes; everything it refuses is a ProgramError."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        part = self._data[self._at : self._at + count]
        if len(part) != count:
            raise ProgramError(f"ends at byte {len(self._data)}, in the middle of a field")
        self._at += count
        return part

    def _byte(self) -> int:
        at = self._at
        if at >= len(self._data):
            raise ProgramError(f"ends at byte {at}, in the middle of a field")
        self._at = at + 1
        return self._data[at]

    def varint(self) -> int:
        """The next unsigned integer; one in more bytes than it needs is refused."""
        if self._at < len(self._data) and (byte := self._data[self._at]) < 0x80:  # nearly all are
            self._at += 1
            return byte
        number = 0
        for position in range(_VARINT_BYTES_MAX):
            byte = self._byte()
            number |= (byte & 0x7F) << (7 * position)
            if byte < 0x80:
                if byte == 0 and position > 0:
                    raise ProgramError(f"byte {self._at - 1}: an integer in too many bytes")
                return number
        raise ProgramError(f"byte {self._at - 1}: an integer of 2**63 or more")

    def count(self, what: str, limit: int) -> int:
        """The next integer, as a number of things that must not pass `limit`."""
        number = self.varint()
        if number > limit:
            raise ProgramError(f"{number} {what}, more than the limit of {limit}")
        return number

    def expect(self, what: str, known: int) -> None:
        """Refuse a version other than ours."""
        number = self.varint()
        if number != known:
            raise ProgramError(
                f"{what} {number}, this engine knows {known}: use a matching release"
            )

    def op(self) -> Op:
        """The next integer, as an op."""
        code = self.varint()
        try:
            return Op(code)
        except ValueError:
            raise ProgramError(f"byte {self._at - 1}: unknown op {code}") from None

    def dtype(self) -> DType:
        """The next integer, as a dtype."""
        code = self.varint()
        try:
            return DType(code)
        except ValueError:
            raise ProgramError(f"byte {self._at - 1}: unknown dtype {code}") from None

    def finish(self) -> None:
        """Refuse bytes after the end."""
        if self._at != len(self._data):
            raise ProgramError(f"{len(self._data) - self._at} bytes after the last node")
