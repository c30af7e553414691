"""One element of an op in OpenCL C: a row of text per op and type.

Only operators and functions of the prelude are used, never a library call: some drivers do not
inline those. `{0}`, `{1}` and `{2}` are the operands, names of variables of type `REGISTER`.
"""

from dataclasses import dataclass

from engine.dtypes import DType
from engine.ops import Op
from engine.program import Node

F32, I32, U32, BOOL = DType.FLOAT32, DType.INT32, DType.UINT32, DType.BOOL

REGISTER = {
    F32: "float",
    I32: "int",
    U32: "uint",
    BOOL: "int",
    DType.UINT8: "int",
    DType.INT8: "int",
    DType.FLOAT16: "uint",
    DType.BFLOAT16: "uint",
}
"""The type of a variable with an element of each type; 16-bit floats are kept as bits."""

_ELEMENTWISE: dict[tuple[Op, DType | None], str] = {
    # By the type of the first operand; signed overflow has no meaning in C, unsigned has.
    (Op.ADD, None): "{0} + {1}",
    (Op.ADD, I32): "(int)((uint){0} + (uint){1})",
    (Op.MUL, None): "{0} * {1}",
    (Op.MUL, I32): "(int)((uint){0} * (uint){1})",
    (Op.FMA, None): "FMA({0}, {1}, {2})",
    (Op.DIV, F32): "DIV({0}, {1})",
    (Op.DIV, I32): "int_div({0}, {1})",
    (Op.DIV, U32): "uint_div({0}, {1})",
    (Op.SQRT, None): "SQRT({0})",
    (Op.LT, None): "{0} < {1}",
    (Op.EQ, None): "{0} == {1}",
    (Op.SELECT, None): "{0} ? {1} : {2}",
    (Op.AND, None): "{0} & {1}",
    (Op.OR, None): "{0} | {1}",
    (Op.XOR, None): "{0} ^ {1}",
    (Op.SHL, I32): "(uint){1} < 32u ? (int)((uint){0} << ((uint){1} & 31u)) : 0",
    (Op.SHL, U32): "(uint){1} < 32u ? (uint)((uint){0} << ((uint){1} & 31u)) : 0",
    (Op.SHR, I32): "{0} >> ((uint){1} < 32u ? {1} : 31)",
    (Op.SHR, U32): "{1} < 32u ? {0} >> ({1} & 31u) : 0u",
}

_CONVERTED = {
    # To each type from float, from unsigned, from signed and smaller ones.
    F32: ("{}", "(float){}", "(float){}"),
    I32: ("float_to_int({})", "(int){}", "(int){}"),
    U32: ("float_to_uint({})", "(uint){}", "(uint){}"),
    BOOL: ("{} != 0", "{} != 0", "{} != 0"),
    DType.UINT8: ("float_within({}, 0, 255)", "uint_up_to({}, 255u)", "int_within({}, 0, 255)"),
    DType.INT8: (
        "float_within({}, -128, 127)",
        "uint_up_to({}, 127u)",
        "int_within({}, -128, 127)",
    ),
}
_HALVES = {DType.FLOAT16: "half", DType.BFLOAT16: "bfloat"}


def scalar(node: Node, source: DType, operands: list[str]) -> str:
    """The C expression of one elementwise op; `source` is the type of its first operand."""
    if node.op is Op.CONST:
        return _constant(node.dtype, node.attributes[0])
    if node.op is Op.CAST:
        (a,) = operands
        return (
            _converted(node.dtype, source, a) if node.attributes == (0,) else _kept(node, source, a)
        )
    row = _ELEMENTWISE.get((node.op, source)) or _ELEMENTWISE[node.op, None]
    return row.format(*operands)


def _constant(dtype: DType, bits: int) -> str:
    if dtype is BOOL:
        return str(int(bits != 0))
    if dtype is DType.INT8:
        return str((bits & 0xFF) - 256 * (bits >> 7 & 1))
    if dtype is DType.UINT8:
        return str(bits & 0xFF)
    if dtype in _HALVES:
        return f"{bits & 0xFFFF}u"
    return {F32: "as_float({:#x}u)", I32: "(int){:#x}u", U32: "{:#x}u"}[dtype].format(bits)


def _kept(node: Node, source: DType, a: str) -> str:
    """The same bits. A NaN made here becomes canonical where it is stored or looked at again."""
    return f"as_{node.dtype.opencl}({f'canonical({a})' if source is F32 else a})"


def _converted(to: DType, source: DType, a: str) -> str:
    if to is source:
        return a
    if source in _HALVES:
        a, source = f"{_HALVES[source]}_to_float({a})", F32
    if to in _HALVES:
        return f"float_to_{_HALVES[to]}({_converted(F32, source, a)})"
    return _CONVERTED[to][0 if source is F32 else 1 if source is U32 else 2].format(a)


@dataclass(frozen=True, slots=True)
class FoldText:
    """How SUM or MAX of one type combines elements."""

    c_type: str
    identity: str
    take: str
    """An element as it enters the fold."""
    combine: str
    give: str
    """The result as it leaves."""

    def adding(self, target: str, element: str) -> str:
        """target = target (+) element, both already taken."""
        return f"{target} = {self.combine.format(target, element)};"


_SUM, _MAX = "{0} + {1}", "{0} > {1} ? {0} : {1}"
FOLD_TEXT = {
    (Op.SUM, F32): FoldText("float", "-0.0f", "{}", _SUM, "{}"),
    (Op.SUM, I32): FoldText("uint", "0u", "(uint){}", _SUM, "(int){}"),
    (Op.SUM, U32): FoldText("uint", "0u", "(uint){}", _SUM, "(uint){}"),
    (Op.MAX, F32): FoldText("int", "(int)0x80000000", "order_of({})", _MAX, "float_of({})"),
    (Op.MAX, I32): FoldText("int", "(int)0x80000000", "{}", _MAX, "{}"),
    (Op.MAX, U32): FoldText("uint", "0u", "{}", _MAX, "{}"),
}
