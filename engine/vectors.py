"""Golden vectors: inputs and expected bits for every op, and the check of a device against them.

`vectors.json` beside this file is data for every implementation of the contract, Solidity included:

    inputs  name -> {dtype, shape, bits}: bits is 0x and the elements in order, in hexadecimal, each
            big-endian with two digits a byte
    cases   {name, nodes, expected}: a short chain of nodes {op, dtype, shape, inputs, attributes};
            an input is the name of an input or "$i", the i-th node of the chain

tests/vectors/generate.py writes it from the reference; tests/vectors/arithmetic.json is a link to
it; docs/spec/arithmetic.md is normative.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.backend import Backend
from engine.dtypes import DType
from engine.ops import Op
from engine.program import Node, Program

Array: TypeAlias = NDArray[np.generic]

FAILURES_MAX = 20
"""More than this is not worth reading."""


@dataclass(frozen=True, slots=True)
class Case:
    """A chain of nodes over named inputs, and the bits of its last node."""

    name: str
    nodes: tuple[tuple[Node, tuple[str, ...]], ...]  # inputs by name; Node.inputs is empty
    expected: Array


@dataclass(frozen=True, slots=True)
class Vectors:
    """All cases, over shared inputs."""

    inputs: Mapping[str, Array]
    cases: tuple[Case, ...]


def parse(content: Mapping[str, Any]) -> Vectors:
    """The vectors in a decoded `vectors.json`."""
    inputs = {name: _array(value) for name, value in content["inputs"].items()}
    cases = []
    for case in content["cases"]:
        nodes = tuple((_node(node), tuple(node["inputs"])) for node in case["nodes"])
        last = case["nodes"][-1]
        expected = _array({**last, "bits": case["expected"]})
        cases.append(Case(case["name"], nodes, expected))
    return Vectors(inputs, tuple(cases))


def _array(value: Mapping[str, Any]) -> Array:
    dtype = DType[value["dtype"]].numpy
    stored = np.frombuffer(bytes.fromhex(value["bits"].removeprefix("0x")), f">u{dtype.itemsize}")
    return stored.astype(f"<u{dtype.itemsize}").view(dtype).reshape(value["shape"])


def _node(node: Mapping[str, Any]) -> Node:
    return Node(
        Op[node["op"]], DType[node["dtype"]], tuple(node["shape"]), (), tuple(node["attributes"])
    )


@cache
def load() -> Vectors:
    """The vectors that come with this engine."""
    return parse(json.loads((files("engine") / "vectors.json").read_text("utf-8")))


def program_of(vectors: Vectors) -> Program:
    """One Program with an output per case, named `case000` and so on."""
    nodes: list[Node] = []
    names: list[tuple[str, int]] = []
    for name, array in sorted(vectors.inputs.items()):
        names.append((name, len(nodes)))
        nodes.append(Node(Op.INPUT, _dtype(array), array.shape))
    index = dict(names)
    outputs = []
    for number, case in enumerate(vectors.cases):
        start = len(nodes)
        for node, inputs in case.nodes:
            read = tuple(start + int(i[1:]) if i.startswith("$") else index[i] for i in inputs)
            nodes.append(Node(node.op, node.dtype, node.shape, read, node.attributes))
        outputs.append((f"case{number:03}", len(nodes) - 1))
    return Program(tuple(nodes), tuple(names), tuple(outputs))


def _dtype(array: Array) -> DType:
    return next(d for d in DType if d.numpy == array.dtype)


def check_device(backend: Backend, vectors: Vectors | None = None) -> list[str]:
    """What a backend gets wrong, an element per line: op, inputs, expected and actual bits."""
    vectors = vectors or load()
    results = backend.load(program_of(vectors))(vectors.inputs)
    failures: list[str] = []
    for number, case in enumerate(vectors.cases):
        actual = results[f"case{number:03}"].numpy()
        failures += _differences(vectors, case, actual, FAILURES_MAX - len(failures))
    return failures


def _differences(vectors: Vectors, case: Case, actual: Array, most: int) -> list[str]:
    unsigned = f"u{actual.itemsize}"
    expected_bits = case.expected.reshape(-1).view(unsigned)
    actual_bits = np.ascontiguousarray(actual).reshape(-1).view(unsigned)
    wrong = np.flatnonzero(expected_bits != actual_bits)[: max(most, 0)]
    return [
        f"{case.name}({_describe_inputs(vectors, case, int(i))}): "
        f"expected {expected_bits[i]:#x}, got {actual_bits[i]:#x}"
        for i in wrong
    ]


def _describe_inputs(vectors: Vectors, case: Case, element: int) -> str:
    """The bits that an elementwise result depends on; the position where it depends on many."""
    names = [i for _, inputs in case.nodes for i in inputs if not i.startswith("$")]
    arrays = [vectors.inputs[name] for name in names]
    if any(array.shape != case.expected.shape for array in arrays):
        position = np.unravel_index(element, case.expected.shape)
        return f"{', '.join(names)}) at ({', '.join(str(int(i)) for i in position)}"
    bits = (array.reshape(-1).view(f"u{array.itemsize}")[element] for array in arrays)
    return ", ".join(f"{int(b):#x}" for b in bits)


def encode_array(array: Array) -> dict[str, Any]:
    """An array as `vectors.json` holds it."""
    stored = np.ascontiguousarray(array).view(f"u{array.itemsize}").astype(f">u{array.itemsize}")
    return {
        "dtype": _dtype(array).name,
        "shape": list(array.shape),
        "bits": f"0x{stored.tobytes().hex()}",
    }
