"""Golden vectors: inputs and expected bits for every op, and the check of a device against them.

`vectors.json` beside this file is data for every implementation of the contract, Solidity included:

    arithmetic_version  of docs/spec/arithmetic.md, which is normative
    inputs              {name, dtype, shape, bits}: bits is 0x and the elements in order, in
                        hexadecimal, each big-endian with two digits a byte
    cases               {name, nodes, expected}: a short chain of nodes {op, dtype, shape, inputs,
                        attributes}; an input is the name of an input or "$i", the i-th node of the
                        chain; expected has the bits of the last node

tests/vectors/generate.py writes it from the reference; tests/vectors/arithmetic.json is a link to
it, which tests/contracts/Arithmetic.t.sol reads.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.backend import Backend
from engine.dtypes import DType, from_numpy
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
    inputs = {value["name"]: _array(value, value["bits"]) for value in content["inputs"]}
    cases = []
    for case in content["cases"]:
        nodes = tuple((_node(node), tuple(node["inputs"])) for node in case["nodes"])
        expected = _array(case["nodes"][-1], case["expected"])
        cases.append(Case(case["name"], nodes, expected))
    return Vectors(inputs, tuple(cases))


def _array(of: Mapping[str, Any], bits: str) -> Array:
    dtype = DType[of["dtype"]].numpy
    stored = np.frombuffer(bytes.fromhex(bits.removeprefix("0x")), f">u{dtype.itemsize}")
    return stored.astype(f"<u{dtype.itemsize}").view(dtype).reshape(of["shape"])


def _node(of: Mapping[str, Any]) -> Node:
    return Node(Op[of["op"]], DType[of["dtype"]], tuple(of["shape"]), (), tuple(of["attributes"]))


@cache
def load() -> Vectors:
    """The vectors that come with this engine."""
    return parse(json.loads((files("engine") / "vectors.json").read_text("utf-8")))


def program_of(vectors: Vectors) -> Program:
    """One Program with an output per case, named `case000` and so on."""
    nodes: list[Node] = []
    index: dict[str, int] = {}
    for name, array in sorted(vectors.inputs.items()):
        index[name] = len(nodes)
        nodes.append(Node(Op.INPUT, from_numpy(array.dtype), array.shape))
    outputs = []
    for number, case in enumerate(vectors.cases):
        start = len(nodes)
        for node, inputs in case.nodes:
            read = tuple(start + int(i[1:]) if i.startswith("$") else index[i] for i in inputs)
            nodes.append(replace(node, inputs=read))
        outputs.append((f"case{number:03}", len(nodes) - 1))
    return Program(tuple(nodes), tuple(index.items()), tuple(outputs))


def check_device(backend: Backend) -> list[str]:
    """What a backend gets wrong, an element per line: op, inputs, expected and actual bits."""
    return list(islice(_differences(backend, load()), FAILURES_MAX))


def _differences(backend: Backend, vectors: Vectors) -> Iterator[str]:
    results = backend.load(program_of(vectors))(vectors.inputs)
    for number, case in enumerate(vectors.cases):
        expected = _bits(case.expected)
        actual = _bits(results[f"case{number:03}"].numpy())
        for i in np.flatnonzero(expected != actual):
            yield (
                f"{case.name}({_describe_inputs(vectors, case, int(i))}): "
                f"expected {expected[i]:#x}, got {actual[i]:#x}"
            )


def _describe_inputs(vectors: Vectors, case: Case, element: int) -> str:
    """The bits that an elementwise result depends on; the position where it depends on many."""
    names = [i for _, inputs in case.nodes for i in inputs if not i.startswith("$")]
    arrays = [vectors.inputs[name] for name in names]
    if any(array.shape != case.expected.shape for array in arrays):
        position = np.unravel_index(element, case.expected.shape)
        return f"{', '.join(names)}) at ({', '.join(str(int(i)) for i in position)}"
    return ", ".join(f"{_bits(array)[element]:#x}" for array in arrays)


def _bits(array: Array) -> NDArray[np.unsignedinteger[Any]]:
    """The elements in order, as unsigned integers of their size."""
    return np.ascontiguousarray(array).reshape(-1).view(f"u{array.itemsize}")
