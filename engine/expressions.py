"""Expressions in OpenCL C: what one element of a node is, as statements over loads.

A Body collects the statements of one scope (the inside of a loop). `value` returns the name of a C
variable that holds an element, inlining everything down to nodes that have a buffer of their own.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from math import gcd

from engine.addressing import (
    Address,
    Variable,
    affine,
    combine,
    coordinates,
    divided,
    split,
    strides,
    through_view,
)
from engine.dtypes import DType
from engine.ops import Op
from engine.program import Node, Program
from engine.scalars import FOLD_TEXT, REGISTER, scalar

CUT_MIN = 16
"""The fewest elements in a row for which a padded axis is worth two loops."""

INDEX_32_BIT_MAX = 2**30
"""Above this, addresses are computed in 64 bits; half of the range, so that no step overflows."""


@dataclass
class Parameters:
    """The buffers of a kernel, in order of first use, and the largest address in it."""

    program: Program
    reads: dict[int, str] = field(default_factory=dict)
    writes: dict[int, str] = field(default_factory=dict)
    magnitude: int = 0

    def read(self, index: int) -> str:
        """The name of the pointer to a node's buffer."""
        return self.writes.get(index) or self.reads.setdefault(index, f"a{len(self.reads)}")

    def write(self, index: int) -> str:
        """The name of the pointer to a node's buffer that this kernel fills."""
        return self.writes.setdefault(index, f"o{len(self.writes)}")

    def address(self, address: Address) -> str:
        """An address as C, remembered for the choice of the index type."""
        self.magnitude = max(self.magnitude, address.magnitude)
        return address.text()

    @property
    def buffers(self) -> tuple[int, ...]:
        """The nodes whose buffers are the kernel's arguments, in order."""
        return (*self.writes, *self.reads)

    def signature(self) -> str:
        """The argument list."""
        outputs = [f"global {self._type(i)} *restrict {name}" for i, name in self.writes.items()]
        inputs = [
            f"global const {self._type(i)} *restrict {name}" for i, name in self.reads.items()
        ]
        return ", ".join(outputs + inputs)

    def _type(self, index: int) -> str:
        return self.program.nodes[index].dtype.opencl


@dataclass(frozen=True, slots=True)
class _Below:
    """The elements that an element is made of, and a condition without which it is zero."""

    operands: Sequence[tuple[int, Address]] = ()
    guard: str = ""


class Body:
    """The statements of one scope, with common subexpressions shared."""

    def __init__(self, parameters: Parameters, loaded: Collection[int], prefix: str = "v") -> None:
        self.parameters = parameters
        self.lines: list[str] = []
        self.addresses: set[Address] = set()
        self._nodes = parameters.program.nodes
        self._loaded = loaded
        self._prefix = prefix
        self._count = 0
        self._values: dict[tuple[int, Address], str] = {}
        self._derived: dict[tuple[str, Address, int], Variable] = {}
        self._shifted: dict[Variable, tuple[Variable, int]] = {}  # variable = another - a number
        self.cuts: dict[Variable, int] = {}
        """Variables that, counted in two of which the inner has this extent, save a division."""

    def bind(self, index: int, address: Address, name: str) -> None:
        """Say that a variable already holds an element."""
        self._values[index, address] = name

    def value(self, index: int, address: Address) -> str:
        """The name of a variable with the element of a node at a flat address."""
        stack: list[tuple[int, Address, _Below | None]] = [(index, address, None)]
        while stack:
            at, where, below = stack.pop()
            if (at, where) in self._values:
                continue
            if below is None:
                below = _Below() if at in self._loaded else self._below(at, where)
                stack.append((at, where, below))
                stack += [(i, a, None) for i, a in reversed(below.operands)]
            else:
                self._values[at, where] = self._emit(at, where, below)
        return self._values[index, address]

    def store(self, index: int, address: Address) -> None:
        """Write an element of a node to the node's buffer."""
        name = self.value(index, address)
        if self._nodes[index].dtype is DType.FLOAT32:
            name = f"canonical({name})"
        self.lines.append(f"{self.parameters.write(index)}[{self._text(address)}] = {name};")

    def derive(self, operator: str, address: Address, divisor: int) -> Variable:
        """A variable that holds address / divisor or address % divisor."""
        key = (operator, address, divisor)
        if key not in self._derived:
            self._wish_for(address, divisor)
            extent = address.high // divisor + 1 if operator == "/" else divisor
            text = f"(U)({self._text(address)}) {operator} {divisor}"
            self._derived[key] = Variable(self.declare("I", text), extent)
        return self._derived[key]

    def _wish_for(self, address: Address, divisor: int) -> None:
        for variable, coefficient in address.terms:
            variable, shift = self._shifted.get(variable, (variable, 0))
            extent, rest = divmod(divisor, coefficient)
            if rest or not 1 < extent < variable.extent:
                continue
            if variable.extent % extent == 0 == shift % extent:
                self.cuts[variable] = min(extent, self.cuts.get(variable, extent))

    def declare(self, c_type: str, text: str) -> str:
        """A new constant of this scope."""
        name = f"{self._prefix}{self._count}"
        self._count += 1
        self.lines.append(f"const {c_type} {name} = {text};")
        return name

    def _text(self, address: Address) -> str:
        self.addresses.add(address)
        return self.parameters.address(address)

    def _below(self, index: int, address: Address) -> _Below:
        """The elements that an element is made of; may emit index variables."""
        below = self._below_at(index, address)
        if address.guard:
            guarded = [(i, replace(a, guard=a.guard or address.guard)) for i, a in below.operands]
            below = _Below(guarded, below.guard)
        return below

    def _below_at(self, index: int, address: Address) -> _Below:
        node = self._nodes[index]
        if node.op is Op.VIEW:
            inner = through_view(address, node.shape, node.attributes, self.derive)
            return _Below([(node.inputs[0], inner)])
        if node.op is Op.PAD:
            return self._inside_pad(node, address)
        if node.op is Op.GATHER:
            return self._gathered_row(node, address)
        if node.op in (Op.SUM, Op.MAX):
            count = self._nodes[node.inputs[0]].shape[-1]
            elements = (combine([(address, count)], k) for k in range(count))
            return _Below([(node.inputs[0], element) for element in elements])
        return _Below([(i, address) for i in node.inputs])

    def _inside_pad(self, node: Node, address: Address) -> _Below:
        source = self._nodes[node.inputs[0]]
        axes = _padded_axes(source.shape, node.shape, node.attributes[::2])
        where = coordinates(address, [outer for outer, _, _ in axes], self.derive)
        conditions: list[str] = []
        inside: list[Address] = []
        for position, (_, low, inner) in zip(where, axes, strict=True):
            if position.high < low or position.low >= low + inner:
                return _Below()
            if position.low >= low and position.high < low + inner:
                inside.append(combine([(position, 1)], -low))
            else:
                inside.append(self._inside_axis(position, low, inner, conditions))
        result = combine(zip(inside, strides([inner for _, _, inner in axes]), strict=True))
        if not conditions:
            return _Below([(node.inputs[0], result)])
        guard = self.declare("int", " && ".join([address.guard] * bool(address.guard) + conditions))
        return _Below([(node.inputs[0], replace(result, guard=guard))], guard)

    def _inside_axis(
        self, position: Address, low: int, inner: int, conditions: list[str]
    ) -> Address:
        """The position in the axis inside a padding, if the conditions that are added hold."""
        step = gcd(low, inner)
        if step >= CUT_MIN:
            self._wish_for(position, step)
        high, rest = divided(position, step)
        if rest.low < 0 or rest.high >= step:
            step, high, rest = 1, position, Address(0)
        first, count = low // step, inner // step
        text = self._text(high)
        if high.low < first:
            conditions.append(f"{text} >= {first}")
        if high.high >= first + count:
            conditions.append(f"{text} < {first + count}")
        if count == 1:
            return rest
        shifted = Variable(self.declare("I", f"{text} - {first}"), count)
        if len(high.terms) == 1 and high.terms[0][1] == 1 and not high.offset:
            self._shifted[shifted] = (high.terms[0][0], first)
        return combine([(affine(0, [(shifted, step)]), 1), (rest, 1)])

    def _gathered_row(self, node: Node, address: Address) -> _Below:
        rows, width = self._nodes[node.inputs[0]].shape
        if rows == 0:
            return _Below()
        row, column = split(address, width, self.derive)
        at = self.value(node.inputs[1], row)
        guard = self.declare("int", f"{at} >= 0 && {at} < {rows}")
        chosen = Variable(self.declare("I", f"{guard} ? {at} : 0"), rows)  # always legal to load
        return _Below(
            [(node.inputs[0], combine([(affine(0, [(chosen, width)]), 1), (column, 1)]))], guard
        )

    def _emit(self, index: int, address: Address, below: _Below) -> str:
        node, guard = self._nodes[index], below.guard
        names = [self._values[key] for key in below.operands]
        if index in self._loaded:
            text, guard = f"{self.parameters.read(index)}[{self._text(address)}]", address.guard
        elif node.op in (Op.VIEW, Op.PAD, Op.GATHER):
            if names and not guard:
                return names[0]
            text = names[0] if names else "0"
        elif node.op is Op.IOTA:
            text = f"(int)({self._text(address)})"
        elif node.op in (Op.SUM, Op.MAX):
            return self._short_fold(node, names)
        else:
            source = self._nodes[node.inputs[0]].dtype if node.inputs else node.dtype
            text = scalar(node, source, names)
        return self.declare(REGISTER[node.dtype], f"{guard} ? {text} : 0" if guard else text)

    def _short_fold(self, node: Node, lanes: list[str]) -> str:
        """The tree over at most 32 lanes of one element each."""
        text = FOLD_TEXT[node.op, node.dtype]
        lanes = [self._through(text.c_type, text.take, lane) for lane in lanes]
        while (count := len(lanes)) > 1:
            gap = 1 << (count - 1).bit_length() - 1
            pairs = list(zip(lanes, lanes[gap:], strict=False))
            lanes[: len(pairs)] = [
                self.declare(text.c_type, text.combine.format(a, b)) for a, b in pairs
            ]
            del lanes[gap:]
        return self._through(REGISTER[node.dtype], text.give, lanes[0])

    def _through(self, c_type: str, template: str, name: str) -> str:
        return name if template == "{}" else self.declare(c_type, template.format(name))


def _padded_axes(
    inner: tuple[int, ...], outer: tuple[int, ...], lows: tuple[int, ...]
) -> list[tuple[int, int, int]]:
    """(outer length, low, inner length) per axis; axes without padding join the one before."""
    axes: list[tuple[int, int, int]] = []
    for n, m, low in zip(outer, inner, lows, strict=True):
        if axes and n == m:
            before = axes.pop()
            axes.append((before[0] * n, before[1] * n, before[2] * n))
        else:
            axes.append((n, low, m))
    return axes
