"""Expressions in OpenCL C: what one element of a node is, as statements over loads.

A Body collects the statements of one scope (the inside of a loop). `value` returns the name of a C
variable that holds an element, inlining everything down to nodes that have a buffer of their own.
Only operators and two macros are used, never a library call: some drivers do not inline those.
"""

from collections.abc import Callable, Collection
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

REGISTER = {
    DType.FLOAT32: "float",
    DType.INT32: "int",
    DType.UINT32: "uint",
    DType.BOOL: "int",
    DType.UINT8: "int",
    DType.INT8: "int",
    DType.FLOAT16: "uint",
    DType.BFLOAT16: "uint",
}

CUT_MIN = 16
"""The fewest elements in a row for which a padded axis is worth two loops."""

HALVES = {DType.FLOAT16: "half", DType.BFLOAT16: "bfloat"}
"""Kept as bits; the names in the prelude of their conversions."""

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
        self._operands: dict[tuple[int, Address], list[tuple[int, Address]]] = {}
        self._guards: dict[tuple[int, Address], str] = {}
        self._shifted: dict[Variable, tuple[Variable, int]] = {}  # variable = another - a number
        self.cuts: dict[Variable, int] = {}
        """Variables that, counted in two of which the inner has this extent, save a division."""

    def bind(self, index: int, address: Address, name: str) -> None:
        """Say that a variable already holds an element."""
        self._values[index, address] = name

    def value(self, index: int, address: Address) -> str:
        """The name of a variable with the element of a node at a flat address."""
        stack = [(index, address, False)]
        while stack:
            at, where, ready = stack.pop()
            if (at, where) in self._values:
                continue
            if ready:
                names = [self._values[key] for key in self._operands[at, where]]
                self._values[at, where] = self._emit(at, where, names)
                continue
            operands = [] if at in self._loaded else self._find_operands(at, where)
            self._operands[at, where] = operands
            stack.append((at, where, True))
            stack += [(i, a, False) for i, a in reversed(operands)]
        return self._values[index, address]

    def store(self, index: int, address: Address) -> None:
        """Write an element of a node to the node's buffer."""
        name = self.value(index, address)
        self.addresses.add(address)
        pointer = self.parameters.write(index)
        where = self.parameters.address(address)
        if self._nodes[index].dtype is DType.FLOAT32:
            name = f"canonical({name})"
        self.lines.append(f"{pointer}[{where}] = {name};")

    def derive(self, operator: str, address: Address, divisor: int) -> Variable:
        """A variable that holds address / divisor or address % divisor."""
        key = (operator, address, divisor)
        if key not in self._derived:
            self.addresses.add(address)
            self._wish_for(address, divisor)
            extent = address.high // divisor + 1 if operator == "/" else divisor
            text = f"(U)({self.parameters.address(address)}) {operator} {divisor}"
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

    def _find_operands(self, index: int, address: Address) -> list[tuple[int, Address]]:
        """The elements that an element is made of; may emit index variables."""
        operands = self._operands_at(index, address)
        if address.guard:
            operands = [(i, replace(a, guard=a.guard or address.guard)) for i, a in operands]
        return operands

    def _operands_at(self, index: int, address: Address) -> list[tuple[int, Address]]:
        node = self._nodes[index]
        if node.op is Op.VIEW:
            inner = through_view(address, node.shape, node.attributes, self.derive)
            return [(node.inputs[0], inner)]
        if node.op is Op.PAD:
            return self._inside_pad(index, node, address)
        if node.op is Op.GATHER:
            return self._gathered_row(index, node, address)
        if node.op in (Op.SUM, Op.MAX):
            count = self._nodes[node.inputs[0]].shape[-1]
            return [(node.inputs[0], combine([(address, count)], k)) for k in range(count)]
        return [(i, address) for i in node.inputs]

    def _inside_pad(self, index: int, node: Node, address: Address) -> list[tuple[int, Address]]:
        source = self._nodes[node.inputs[0]]
        axes = _padded_axes(source.shape, node.shape, node.attributes[::2])
        where = coordinates(address, [outer for outer, _, _ in axes], self.derive)
        conditions: list[str] = []
        inside: list[Address] = []
        for position, (_, low, inner) in zip(where, axes, strict=True):
            if position.high < low or position.low >= low + inner:
                return []
            if position.low >= low and position.high < low + inner:
                inside.append(combine([(position, 1)], -low))
            else:
                inside.append(self._inside_axis(position, low, inner, conditions))
        result = combine(zip(inside, strides([inner for _, _, inner in axes]), strict=True))
        if not conditions:
            return [(node.inputs[0], result)]
        guard = self.declare("int", " && ".join([address.guard] * bool(address.guard) + conditions))
        self._guards[index, address] = guard
        return [(node.inputs[0], replace(result, guard=guard))]

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
        self.addresses.add(high)
        text = self.parameters.address(high)
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

    def _gathered_row(self, index: int, node: Node, address: Address) -> list[tuple[int, Address]]:
        rows, width = self._nodes[node.inputs[0]].shape
        if rows == 0:
            return []
        row, column = split(address, width, self.derive)
        at = self.value(node.inputs[1], row)
        guard = self.declare("int", f"{at} >= 0 && {at} < {rows}")
        self._guards[index, address] = guard
        chosen = self._guarded(guard, at, rows)
        return [(node.inputs[0], combine([(chosen, width), (column, 1)]))]

    def _guarded(self, guard: str, text: str, extent: int) -> Address:
        """The address in `text` where it is inside, else 0: always legal to load from."""
        return affine(0, [(Variable(self.declare("I", f"{guard} ? {text} : 0"), extent), 1)])

    def _emit(self, index: int, address: Address, operands: list[str]) -> str:
        node = self._nodes[index]
        if index in self._loaded:
            self.addresses.add(address)
            text = f"{self.parameters.read(index)}[{self.parameters.address(address)}]"
            text = f"{address.guard} ? {text} : 0" if address.guard else text
            return self.declare(REGISTER[node.dtype], text)
        if node.op in (Op.PAD, Op.GATHER):
            if not operands:
                return self.declare(REGISTER[node.dtype], "0")
            guard = self._guards.get((index, address))
            if guard is None:
                return operands[0]
            return self.declare(REGISTER[node.dtype], f"{guard} ? {operands[0]} : 0")
        if node.op is Op.VIEW:
            return operands[0]
        if node.op is Op.IOTA:
            self.addresses.add(address)
            return self.declare("int", f"(int)({self.parameters.address(address)})")
        if node.op in (Op.SUM, Op.MAX):
            return self._short_fold(node, operands)
        source = self._nodes[node.inputs[0]].dtype if node.inputs else node.dtype
        return self.declare(REGISTER[node.dtype], scalar(node, source, operands))

    def _short_fold(self, node: Node, lanes: list[str]) -> str:
        """The tree over at most 32 lanes of one element each."""
        is_float = node.dtype is DType.FLOAT32
        kind = "int" if node.op is Op.MAX and is_float else REGISTER[node.dtype]
        if kind == "int" and is_float:
            lanes = [self.declare(kind, f"order_of({lane})") for lane in lanes]
        add = _wrapping("+")
        while (count := len(lanes)) > 1:
            gap = 1 << (count - 1).bit_length() - 1
            pairs = list(zip(lanes, lanes[gap:], strict=False))
            texts = [
                f"{a} > {b} ? {a} : {b}" if node.op is Op.MAX else add(node.dtype, a, b)
                for a, b in pairs
            ]
            lanes = [self.declare(kind, text) for text in texts] + lanes[len(pairs) : gap]
        return (
            self.declare("float", f"float_of({lanes[0]})")
            if kind == "int" and is_float
            else lanes[0]
        )


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


def scalar(node: Node, source: DType, operands: list[str]) -> str:
    """The C expression of one elementwise op; `source` is the type of its first operand."""
    if node.op is Op.CONST:
        return _constant(node)
    if node.op is Op.CAST:
        return (
            _reinterpret(node, source, *operands)
            if node.attributes[0]
            else _convert(node, source, *operands)
        )
    return _SCALAR[node.op](source, *operands)


def _constant(node: Node) -> str:
    bits = node.attributes[0]
    if node.dtype is DType.FLOAT32:
        return f"as_float({bits:#x}u)"
    if node.dtype is DType.BOOL:
        return str(int(bits != 0))
    if node.dtype is DType.UINT8:
        return str(bits & 0xFF)
    if node.dtype is DType.INT8:
        return str((bits & 0xFF) - 256 * (bits >> 7 & 1))
    if node.dtype.is_storage:
        return f"{bits & 0xFFFF}u"
    return f"(int){bits:#x}u" if node.dtype is DType.INT32 else f"{bits:#x}u"


def _reinterpret(node: Node, source: DType, a: str) -> str:
    if source is DType.FLOAT32:
        a = f"canonical({a})"
    # A NaN made here becomes canonical where it is stored or its bits are looked at again.
    return f"as_{node.dtype.opencl}({a})"


def _convert(node: Node, source: DType, a: str) -> str:
    to = node.dtype
    if to is source:
        return a
    if source in HALVES:
        a, source = f"{HALVES[source]}_to_float({a})", DType.FLOAT32
    if to in HALVES:
        a = a if source is DType.FLOAT32 else f"(float){a}"
        return f"float_to_{HALVES[to]}({a})"
    if to is source:
        return a
    if to is DType.BOOL:
        return f"{a} != 0"
    if to is DType.FLOAT32:
        return f"(float){a}"
    low, high = (-128, 127) if to is DType.INT8 else (0, 255)
    if source is DType.FLOAT32:
        if to.is_storage:
            return f"float_within({a}, {low}, {high})"
        return f"float_to_{to.opencl}({a})"
    if not to.is_storage:
        return f"({to.opencl}){a}"
    if source is DType.UINT32:
        return f"uint_up_to({a}, {high}u)"
    return f"int_within({a}, {low}, {high})"


def _wrapping(operator: str) -> Callable[[DType, str, str], str]:
    """Signed overflow has no meaning in C, so INT32 goes through unsigned."""

    def text(source: DType, a: str, b: str) -> str:
        if source is DType.INT32:
            return f"(int)((uint){a} {operator} (uint){b})"
        return f"{a} {operator} {b}"

    return text


def _divide(source: DType, a: str, b: str) -> str:
    if source is DType.FLOAT32:
        return f"DIV({a}, {b})"
    return f"{source.opencl}_div({a}, {b})"


def _shift_left(source: DType, a: str, b: str) -> str:
    return f"(uint){b} < 32u ? ({source.opencl})((uint){a} << ((uint){b} & 31u)) : 0"


def _shift_right(source: DType, a: str, b: str) -> str:
    if source is DType.UINT32:
        return f"{b} < 32u ? {a} >> ({b} & 31u) : 0u"
    return f"{a} >> ((uint){b} < 32u ? {b} : 31)"


_SCALAR: dict[Op, Callable[..., str]] = {
    Op.ADD: _wrapping("+"),
    Op.MUL: _wrapping("*"),
    Op.FMA: lambda _, a, b, c: f"FMA({a}, {b}, {c})",
    Op.DIV: _divide,
    Op.SQRT: lambda _, a: f"SQRT({a})",
    Op.LT: lambda _, a, b: f"{a} < {b}",
    Op.EQ: lambda _, a, b: f"{a} == {b}",
    Op.SELECT: lambda _, c, a, b: f"{c} ? {a} : {b}",
    Op.AND: lambda _, a, b: f"{a} & {b}",
    Op.OR: lambda _, a, b: f"{a} | {b}",
    Op.XOR: lambda _, a, b: f"{a} ^ {b}",
    Op.SHL: _shift_left,
    Op.SHR: _shift_right,
}
