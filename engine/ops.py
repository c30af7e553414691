"""The primitive operations: all that a Program can contain.

Twenty-four of them. Each scalar of a result is one IEEE-754 or integer operation, one link of a
fold in a fixed order, or a copy from a statically known address; docs/spec/arithmetic.md gives the
bits. Everything else (softmax, exp, Adam) is lowered to these. There is no branch, no loop and no
address that depends on data, except GATHER and SCATTER, whose addressable set and cost are static.
"""

from enum import IntEnum

ARITHMETIC_VERSION = 1
"""The version of docs/spec/arithmetic.md; part of every Program's digest."""


class Op(IntEnum):
    """A primitive operation; its value is the code in a Program's canonical bytes.

    Attributes are integers. Shapes are row-major and every result is logically contiguous.
    """

    # Sources: no inputs.
    INPUT = 1  # a named tensor given at run time
    CONST = 2  # attributes (bits,): one bit pattern, 0 <= bits < 2**32, fills the shape
    IOTA = 3  # INT32 of shape (n,): 0, 1, ..., n-1

    # Elementwise: all inputs have the result's shape; no broadcasting.
    ADD = 10  # a + b          FLOAT32, INT32, UINT32 (integers wrap)
    MUL = 11  # a * b          FLOAT32, INT32, UINT32
    FMA = 12  # a * b + c      FLOAT32, one rounding
    DIV = 13  # a / b          FLOAT32 correctly rounded; INT32, UINT32 truncate, x/0 = 0
    SQRT = 14  # sqrt(a)       FLOAT32 correctly rounded
    LT = 15  # a < b           -> BOOL
    EQ = 16  # a == b          -> BOOL
    SELECT = 17  # c ? a : b   inputs (BOOL, T, T)
    CAST = 18  # attributes (mode,): 0 converts the value (float to int truncates, saturates,
    #            NaN -> 0), 1 keeps the bits (32-bit types only, NaN made canonical first)
    AND = 20  # a & b          INT32, UINT32, BOOL
    OR = 21  # a | b
    XOR = 22  # a ^ b
    SHL = 23  # a << b         INT32, UINT32; b of the same type; b outside 0..31 gives 0
    SHR = 24  # a >> b         UINT32 logical (outside 0..31: 0), INT32 arithmetic (outside: sign)

    # Movement: one index formula each, never an arithmetic result.
    VIEW = 30  # attributes (offset, stride per result axis): in.flat[offset + sum of i * stride]
    PAD = 31  # attributes (low, high per axis), each >= 0: zeros around the input

    # Folds in a fixed order.
    SUM = 40  # over the last axis, which stays with length 1; FLOAT32, INT32, UINT32
    MAX = 41  # over the last axis, which stays with length 1; FLOAT32, INT32, UINT32
    DOT = 42  # (batch, m, k) x (batch, k, n) -> (batch, m, n), FLOAT32, fused multiply-adds

    # Addressing by data, with static cost.
    GATHER = 50  # inputs table (n, d), index (m,) INT32 -> (m, d); out of range gives zeros
    SCATTER = 51  # inputs index (m,) INT32, rows (m, d) -> (n, d) from attributes (n,):
    #               rows of equal index are summed in order, from zero; out of range is dropped


ELEMENTWISE = frozenset(op for op in Op if Op.ADD <= op <= Op.SHR)
MOVEMENT = frozenset({Op.VIEW, Op.PAD})
SOURCES = frozenset({Op.INPUT, Op.CONST, Op.IOTA})
FOLDS = frozenset({Op.SUM, Op.MAX, Op.DOT})

ARITY: dict[Op, int] = {
    **dict.fromkeys(Op, 2),
    **dict.fromkeys(SOURCES, 0),
    **dict.fromkeys((Op.SQRT, Op.CAST, Op.VIEW, Op.PAD, Op.SUM, Op.MAX), 1),
    **dict.fromkeys((Op.FMA, Op.SELECT), 3),
}
"""The number of inputs."""
