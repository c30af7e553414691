"""Single elements of a Program's nodes, recomputed by the reference from what a device stored.

`stored` finds nodes that every backend keeps in a buffer, each with the nodes it is computed from;
`expose` makes a choice of them outputs, which changes no kernel but for what it writes; `elements`
gives elements of a node from its operands, whatever else the Program computes. Together they check
a device against the definition of the bits, at a small part of its own work.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engine.addressing import strides
from engine.ops import FOLDS, Op
from engine.program import Program
from engine.reference import Array, evaluate_node

STORED = FOLDS | {Op.SCATTER, Op.GATHER}
OPERANDS_MAX, DEPTH_MAX, ELEMENTS_MAX = 32, 200, 1 << 22
"""What is larger is not looked at: it cannot be sampled cheaply."""

Positions = NDArray[np.int64]


class TooDear(Exception):
    """An element is made of more than can be recomputed on the side."""


def stored(program: Program) -> dict[int, frozenset[int]]:
    """Nodes with a buffer -> the INPUTs and other such nodes, few, that it is computed from."""
    outputs = {index for _, index in program.outputs}
    found: dict[int, frozenset[int]] = {}
    behind: list[frozenset[int] | None] = []  # None where it is too much
    depths: list[int] = []
    for index, node in enumerate(program.nodes):
        parts = [behind[i] for i in node.inputs]
        few = [p for p in parts if p is not None]
        depth = 1 + max((depths[i] for i in node.inputs), default=0)
        union = frozenset[int]().union(*few)
        small = len(few) == len(parts) and len(union) <= OPERANDS_MAX and depth <= DEPTH_MAX
        is_stored = node.op in STORED or index in outputs or node.op is Op.INPUT
        if is_stored and small and node.op is not Op.INPUT:
            found[index] = union
        behind.append(frozenset({index}) if is_stored else union if small else None)
        depths.append(0 if is_stored else depth)
    return found


def expose(program: Program, nodes: Iterable[int]) -> Program:
    """The Program with these nodes as further outputs, named ~index."""
    known = {index for _, index in (*program.inputs, *program.outputs)}
    more = [(f"~{index:05}", index) for index in sorted(set(nodes) - known)]
    return replace(program, outputs=(*program.outputs, *more))


def elements(program: Program, known: Mapping[int, Array], target: int, at: Positions) -> Array:
    """The elements of a node at flat positions, computed from the whole arrays in `known`.

    Raises TooDear where that takes more than ELEMENTS_MAX, an evaluation counted as 100 at least.
    """
    memory: dict[tuple[int, int], tuple[Positions, Array]] = {}
    room = [ELEMENTS_MAX]

    def get(i: int, at: Positions) -> Array:
        if i in known:
            return known[i].reshape(-1)[at]
        key = (i, id(at))
        if key not in memory:
            room.append(room.pop() - len(at) - 100)
            if room[0] < 0:
                raise TooDear
            memory[key] = (at, compute(i, at))  # the positions are kept: nothing else has their id
        return memory[key][1]

    def compute(i: int, at: Positions) -> Array:
        node, count = program.nodes[i], len(at)
        shapes = [program.nodes[j].shape for j in node.inputs]

        def axes() -> Positions:
            pairs = zip(strides(node.shape), node.shape, strict=True)
            table = np.array([at // n % m for n, m in pairs], np.int64)
            return table.reshape(len(node.shape), count)

        match node.op:
            case Op.IOTA:
                return at.astype(np.int32)
            case Op.VIEW:
                return get(node.inputs[0], node.attributes[0] + _dot(node.attributes[1:], axes()))
            case Op.PAD:
                lows = np.array(node.attributes[::2], np.int64)[:, None]
                lengths = np.array(shapes[0], np.int64)[:, None]
                where = axes() - lows
                inside = np.asarray(((where >= 0) & (where < lengths)).all(0))
                return _where(inside, get(node.inputs[0], _dot(strides(shapes[0]), where * inside)))
            case Op.GATHER:
                row, column = at // node.shape[1], at % node.shape[1]
                chosen = get(node.inputs[1], row).astype(np.int64)
                inside = np.asarray((chosen >= 0) & (chosen < shapes[0][0]))
                return _where(inside, get(node.inputs[0], chosen * inside * node.shape[1] + column))
            case Op.SCATTER:
                rows, width = shapes[1]
                index = get(node.inputs[0], np.arange(rows))
                one = replace(node, shape=(1, 1), attributes=(1,))
                sums: list[Array] = []
                for position in at:
                    hits = np.flatnonzero(index == position // width)
                    values = get(node.inputs[1], hits * width + position % width).reshape(-1, 1)
                    sums.append(evaluate_node(one, [np.zeros(len(hits), np.int32), values]))
                return np.concatenate(sums).reshape(-1)
            case Op.SUM | Op.MAX:
                n = shapes[0][-1]
                line = (at[:, None] * n + np.arange(n)).reshape(-1)
                lines = get(node.inputs[0], line).reshape(count, n)
                return evaluate_node(replace(node, shape=(count, 1)), [lines]).reshape(-1)
            case Op.DOT:
                (_, m, depth), n = shapes[0], node.shape[2]
                k, row, column = np.arange(depth), at[:, None] // n, at[:, None] % n
                left = get(node.inputs[0], (row * depth + k).reshape(-1))
                right = get(node.inputs[1], ((row // m * depth + k) * n + column).reshape(-1))
                pair = [left.reshape(count, 1, -1), right.reshape(count, -1, 1)]
                return evaluate_node(replace(node, shape=(count, 1, 1)), pair).reshape(-1)
            case _:
                operands = [get(j, at) for j in node.inputs]
                return evaluate_node(replace(node, shape=(count,)), operands)

    return compute(target, at)


def _dot(steps: Iterable[int], axes: Positions) -> Positions:
    return np.asarray(np.array(list(steps), np.int64) @ axes)


def _where(inside: NDArray[np.bool_], value: Array) -> Array:
    return np.where(inside, value, np.zeros((), value.dtype))
