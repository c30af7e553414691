"""Write engine/vectors.json: `python -m tests.vectors.generate` from the repository root.

Inputs are chosen to separate right from nearly right: every pair of special values, sums and
products that round differently when contracted, flushed or rounded twice. Expected bits come from
the reference backend, which tests/engine/test_arithmetic.py checks against rational arithmetic.
"""

import json
from itertools import product
from pathlib import Path

import numpy as np

from engine import graph, random, transcendental
from engine.dtypes import DType, from_numpy
from engine.lower import lower
from engine.ops import ARITHMETIC_VERSION, Op
from engine.reference import ReferenceBackend
from engine.vectors import Vectors, parse, program_of

F32, I32, U32, BOOL, U8, I8, F16, BF16 = DType
COUNT = 256
PATH = Path(__file__).parents[2] / "engine" / "vectors.json"

FLOATS = [
    0x00000000, 0x80000000, 0x7F800000, 0xFF800000, 0x7FC00000, 0x00000001, 0x807FFFFF, 0x00800000,
    0x3F800000, 0xBF800001, 0x7F7FFFFF, 0x4B000001, 0x33800000, 0x40490FDB,
]  # fmt: skip
"""Zeros, infinities, NaN, subnormals, the smallest and largest normals, ones and odd neighbours."""

BOUNDARIES = [
    0x4EFFFFFF, 0x4F000000, 0xCF000000, 0xCF000001, 0x4F7FFFFF, 0x4F800000, 0x42FE0000, 0x42FF0000,
    0x43000000, 0xC3000000, 0xC3008000, 0x437F0000, 0x437F8000, 0x43800000, 0x3F7FFFFF, 0xBF7FFFFF,
]  # fmt: skip
"""Floats around the ends of the integer types."""

HALFWAY = [
    (sign * a, b * 2.0**-24, sign * c)
    for sign in (1, -1)
    for a, b, c in ((24929, 673, 2.0**-60), (1549, 10831, -(2.0**-60)))
]
"""a * b lies halfway between two binary32 numbers and c decides: binary64 would round c away."""

INTEGERS = [
    0,
    1,
    2,
    3,
    7,
    31,
    32,
    33,
    127,
    128,
    255,
    256,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    0xFFFFFF80,
]


def build() -> dict[str, object]:
    """The content of vectors.json."""
    content = {
        "arithmetic_version": ARITHMETIC_VERSION,
        "inputs": [{"name": name, **encode_array(array)} for name, array in inputs().items()],
        "cases": cases(),
    }
    for case in content["cases"]:
        shape, dtype = case["nodes"][-1]["shape"], DType[case["nodes"][-1]["dtype"]]
        case["expected"] = "0x" + "00" * (int(np.prod(shape)) * dtype.bytes)
    vectors = parse(content)
    for case, bits in zip(content["cases"], expected(vectors), strict=True):
        case["expected"] = bits
    return content


def expected(vectors: Vectors) -> list[str]:
    """The reference's bits for every case."""
    results = ReferenceBackend().load(program_of(vectors))(vectors.inputs)
    return [encode_array(results[f"case{i:03}"].numpy())["bits"] for i in range(len(vectors.cases))]


def encode_array(array: np.ndarray) -> dict[str, object]:
    """An array as the file holds it."""
    stored = np.ascontiguousarray(array).view(f"u{array.itemsize}").astype(f">u{array.itemsize}")
    return {
        "dtype": from_numpy(array.dtype).name,
        "shape": list(array.shape),
        "bits": f"0x{stored.tobytes().hex()}",
    }


def inputs() -> dict[str, np.ndarray]:
    """The shared inputs, by name."""
    random = np.random.default_rng(20260101)
    a, b, c = floats(random)
    ints = integers(random)
    matrix = (random.standard_normal((1, 5, 300)) * 8).astype(np.float32)
    return {
        "a": a,
        "b": b,
        "c": c,
        "p": (a.view(np.uint32) % 3 == 0),
        "q": (b.view(np.uint32) % 2 == 0),
        "i": ints[0].view(np.int32),
        "j": ints[1].view(np.int32),
        "u": ints[0],
        "v": ints[1],
        "bytes": np.arange(COUNT, dtype=np.uint8),
        "signed_bytes": np.arange(COUNT, dtype=np.uint8).view(np.int8),
        "halves": halves(0x7C00, 0x7E00).view(F16.numpy),
        "bfloats": halves(0x7F80, 0x7FC0).view(BF16.numpy),
        "ties": ties(),
        "special": a[: 7 * 14].reshape(1, 7, 14).copy(),
        "special_too": b[: 14 * 3].reshape(1, 14, 3).copy(),
        "rows": hard_rows(random, 6, 97),
        "matrix": matrix,
        "other": (random.standard_normal((1, 300, 11)) * 8).astype(np.float32),
        "index": np.array([3, -1, 0, 3, 6, 5, 2**31 - 1, 3], np.int32),
        "updates": hard_rows(random, 8, 97),
    }


def floats(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of special values, then operands of hard roundings."""
    pairs = np.array(list(product(FLOATS, FLOATS)), np.uint32)
    room = COUNT - len(pairs) - len(BOUNDARIES)
    near = random.integers(0x3F000000, 0x41000000, (room, 2), dtype=np.uint32)
    edge = np.array([(x, 0x3F800000) for x in BOUNDARIES], np.uint32)
    bits = np.concatenate([pairs, edge, near]).astype(np.uint32)
    a, b = (np.ascontiguousarray(bits[:, i]).view(np.float32) for i in (0, 1))
    with np.errstate(all="ignore"):
        c = -(a * b)  # a * b + c is the rounding error of a * b, unless contracted or rounded twice
        c[::7] = np.float32(2.0**-126) / np.float32(3)
        c[::5] = np.nextafter(c[::5], np.float32(0))
    c[np.isnan(c)] = np.float32(1)
    for at, triple in enumerate(HALFWAY, start=COUNT - len(HALFWAY)):
        a[at], b[at], c[at] = triple
    return a, b, c


def halves(infinity: int, nan: int) -> np.ndarray:
    """16-bit patterns: zeros, subnormals, ones, ends, infinity, NaN; then any."""
    known = [0, 1, 2, 0x3FF, 0x400, 0x401, 0x3C00, 0x3F80, infinity - 1, infinity, nan]
    bits = np.random.default_rng(3).integers(0, infinity, COUNT, dtype=np.uint16)
    bits[: 2 * len(known)] = [b | s for b in known for s in (0, 0x8000 if b != nan else 0)]
    return bits


def ties() -> np.ndarray:
    """Floats halfway between neighbours in 16 bits, or next to that, over all exponents."""
    draw = np.random.default_rng(4)
    coarse = draw.integers(0, 1 << 19, COUNT, dtype=np.uint32) << 13
    coarse[::2] = draw.integers(0x70 << 10, 0x90 << 10, (COUNT + 1) // 2, dtype=np.uint32) << 13
    coarse[1::4] &= 0xFFFF0000
    half = np.where(np.arange(COUNT) % 4 == 1, 0x8000, 0x1000)
    return (coarse + half + draw.integers(-1, 2, COUNT)).astype(np.uint32).view(np.float32)


def integers(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of special integers."""
    pairs = np.array(list(product(INTEGERS, INTEGERS)), np.uint32)
    assert len(pairs) == COUNT
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])


def hard_rows(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Rows whose sum depends on the order: wide exponents, and one row each with NaN and -0."""
    scale = 2.0 ** random.integers(-12, 12, (rows, columns))
    result = (random.standard_normal((rows, columns)) * scale).astype(np.float32)
    result[1] = -0.0
    result[2, columns // 2] = np.nan
    result[3, 5:9] = np.float32([np.inf, -0.0, 0.0, 1e-45])
    return result


def node(op: str, dtype: DType, shape: list[int], *names: str, attributes: list[int] | None = None):
    """One node of a case."""
    return {
        "op": op,
        "dtype": dtype.name,
        "shape": shape,
        "inputs": list(names),
        "attributes": attributes or [],
    }


def cases() -> list[dict[str, object]]:
    """Every op, without the expected bits."""
    n = [COUNT]
    single = [node(op, F32, n, "a", "b") for op in ("ADD", "MUL", "DIV")]
    single += [node("FMA", F32, n, "a", "b", "c"), node("SQRT", F32, n, "a")]
    for dtype, a, b in ((F32, "a", "b"), (I32, "i", "j"), (U32, "u", "v")):
        single += [node(op, BOOL, n, a, b) for op in ("LT", "EQ")]
        single += [node("SELECT", dtype, n, "p", a, b)]
    for dtype, a, b in ((I32, "i", "j"), (U32, "u", "v")):
        for op in ("ADD", "MUL", "DIV", "AND", "OR", "XOR", "SHL", "SHR"):
            single.append(node(op, dtype, n, a, b))
    single += [node(op, BOOL, n, "p", "q") for op in ("AND", "OR", "XOR")]
    single += [node("SELECT", BOOL, n, "p", "q", "p")]
    sources = {F32: "a", I32: "i", U32: "u", BOOL: "p", U8: "bytes", I8: "signed_bytes"}
    sources |= {F16: "halves", BF16: "bfloats"}
    single += [node("CAST", to, n, "ties", attributes=[0]) for to in (F16, BF16)]
    single += [
        node("CAST", to, n, name, attributes=[0])
        for (dtype, name), to in product(sources.items(), DType)
        if dtype is not to
    ]
    words = {F32: "a", I32: "i", U32: "u"}
    single += [
        node("CAST", to, n, name, attributes=[1])
        for (dtype, name), to in product(words.items(), words)
        if dtype is not to
    ]
    single += [
        node("IOTA", I32, n),
        node("CONST", F32, n, attributes=[0x00000001]),
        node("VIEW", F32, [6, 4, 5], "rows", attributes=[96, 97, -7, -1]),
        node("PAD", F32, [7, 99], "rows", attributes=[0, 1, 2, 0]),
        *(node("VIEW", d, [16, 9], sources[d], attributes=[255, -16, -1]) for d in sources),
        *(node("PAD", d, [COUNT + 3], sources[d], attributes=[1, 2]) for d in sources),
        node("DOT", F32, [1, 7, 3], "special", "special_too"),
        node("SUM", F32, [6, 1], "rows"),
        node("MAX", F32, [6, 1], "rows"),
        node("DOT", F32, [1, 5, 11], "matrix", "other"),
        node("GATHER", F32, [8, 97], "rows", "index"),
        node("SCATTER", F32, [6, 97], "index", "updates", attributes=[6]),
    ]
    chains = [
        [node("MUL", F32, n, "a", "b"), node("ADD", F32, n, "$0", "c")],
        [
            node("VIEW", F32, [97, 6], "rows", attributes=[0, 1, 97]),
            node("SUM", F32, [97, 1], "$0"),
        ],
        [node("SUM", F32, [6, 1], "rows"), node("SQRT", F32, [6, 1], "$0")],
    ]
    for dtype, name in ((I32, "i"), (U32, "u")):
        split = node("VIEW", dtype, [4, 64], name, attributes=[0, 64, 1])
        chains += [[split, node(op, dtype, [4, 1], "$0")] for op in ("SUM", "MAX")]
    named = [(_name(s), [s]) for s in single] + [(_chain_name(c), c) for c in chains]
    for op, (dtype, count) in product(("SUM", "MAX"), LONG):
        named.append((f"{op} {dtype.name} of {count}", long_fold(op, dtype, count)))
    named += [(f"threefry2x32-20 word {word}", threefry(word)) for word in (0, 1)]
    named += [(f"lowered {name}", function(name)) for name in ("tanh", "sin")]
    return [{"name": name, "nodes": nodes} for name, nodes in named]


LONG = ((F32, 4096), (F32, 4097), (F32, 20000), (I32, 5000), (U32, 8192))


def long_fold(op: str, dtype: DType, count: int) -> list[dict]:
    """A fold of numbers made from their places: multiples of an odd number, as bits of floats."""

    def constant(bits: int) -> dict:
        return node("CONST", U32, [count], attributes=[bits])

    chain = [
        node("IOTA", I32, [count]),
        node("CAST", U32, [count], "$0", attributes=[0]),
        constant(2654435761),
        node("MUL", U32, [count], "$1", "$2"),
        constant(0x87FFFFFF),
        node("AND", U32, [count], "$3", "$4"),
        constant(0x38000000),
        node("OR", U32, [count], "$5", "$6"),
        node("CAST", dtype, [count], "$7", attributes=[int(dtype is not U32)]),
    ]
    return [*chain, node(op, dtype, [1], "$8")]


def threefry(word: int) -> list[dict]:
    """One word of threefry2x32-20 of counters (u, v)."""
    u, v = (graph.input_value(name, U32, (COUNT,)) for name in "uv")
    return chain_of(random.block(random.key_of(0x0123456789ABCDEF), u, v)[word], {"u": u, "v": v})


def function(name: str) -> list[dict]:
    """A lowered function of "a"."""
    a = graph.input_value("a", F32, (COUNT,))
    return chain_of(getattr(transcendental, name)(a), {"a": a})


def chain_of(value: graph.Value, given: dict[str, graph.Value]) -> list[dict]:
    """The nodes that compute a value."""
    program = lower({"y": value}, given)
    names = {index: name for name, index in program.inputs}
    made: list[dict] = []
    for index, n in enumerate(program.nodes):
        if n.op is not Op.INPUT:
            inputs = [names[i] for i in n.inputs]
            names[index] = f"${len(made)}"
            attributes = list(n.attributes)
            made.append(node(n.op.name, n.dtype, list(n.shape), *inputs, attributes=attributes))
    assert names[program.outputs[0][1]] == f"${len(made) - 1}"
    return made


def _name(single: dict) -> str:
    if single["op"] != "CAST":
        return f"{single['op']} {single['dtype']}"
    mode = ("value", "bits")[single["attributes"][0]]
    return f"CAST {mode} of {single['inputs'][0]} to {single['dtype']}"


def _chain_name(chain: list[dict]) -> str:
    return " then ".join(_name(n) for n in chain)


def text(content: dict[str, object]) -> str:
    """The file: an input or a case a line."""
    inputs, cases = (",\n".join(map(json.dumps, content[key])) for key in ("inputs", "cases"))
    version = content["arithmetic_version"]
    return (
        f'{{"arithmetic_version": {version},\n"inputs": [\n{inputs}\n],\n"cases": [\n{cases}\n]}}\n'
    )


if __name__ == "__main__":
    PATH.write_text(text(build()), encoding="utf-8")
