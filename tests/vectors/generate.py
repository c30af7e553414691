"""Write engine/vectors.json: `python tests/vectors/generate.py` from the repository root.

Inputs are chosen to separate right from nearly right: every pair of special values, sums and
products that round differently when contracted, flushed or rounded twice. Expected bits come from
the reference backend, which tests/engine/test_arithmetic.py checks against rational arithmetic.
"""

import json
from itertools import product
from pathlib import Path

import numpy as np

from engine.dtypes import DType
from engine.reference import ReferenceBackend
from engine.vectors import Vectors, encode_array, parse, program_of

F32, I32, U32, BOOL, U8, I8 = DType
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
    content = {"inputs": {k: encode_array(v) for k, v in inputs().items()}, "cases": cases()}
    for case in content["cases"]:
        shape, dtype = case["nodes"][-1]["shape"], DType[case["nodes"][-1]["dtype"]]
        case["expected"] = "00" * (int(np.prod(shape)) * dtype.bytes)
    vectors = parse(content)
    for case, bits in zip(content["cases"], expected(vectors), strict=True):
        case["expected"] = bits
    return content


def expected(vectors: Vectors) -> list[str]:
    """The reference's bits for every case."""
    results = ReferenceBackend().load(program_of(vectors))(vectors.inputs)
    return [encode_array(results[f"case{i:03}"].numpy())["bits"] for i in range(len(vectors.cases))]


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
    sources = {F32: "a", I32: "i", U32: "u", BOOL: "p", U8: "bytes", I8: "signed_bytes"}
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
    return [{"name": name, "nodes": nodes} for name, nodes in named]


def _name(single: dict) -> str:
    mode = {0: " value", 1: " bits"}[single["attributes"][0]] if single["op"] == "CAST" else ""
    return f"{single['op']}{mode} {single['dtype']}"


def _chain_name(chain: list[dict]) -> str:
    return " then ".join(_name(n) for n in chain)


if __name__ == "__main__":
    PATH.write_text(json.dumps(build(), indent=1) + "\n", encoding="utf-8")
