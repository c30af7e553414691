"""What a Program costs: a pure function of its table, known before anything runs.

flops       Operations, on whatever type, so that nothing that a device executes is free. Per
            element of the result: 1 for every elementwise op (2 for FMA), for GATHER, for PAD, and
            for a VIEW of a VIEW or PAD. Per element of the input: 1 for SUM and MAX, and for the
            rows of a SCATTER, whose result counts too: it is cleared. 2 * batch * m * n * k for
            DOT. A VIEW of anything else is an address, CONST and IOTA are no input at all: they
            cost nothing, except as an output (1 per element: a copy).
bytes_moved Every stored tensor is written once and read once per node that uses it, however it is
            addressed; a view reads no more than it shows and no more than there is. Fusion can only
            make it less.
peak_bytes  The memory plan: inputs and outputs live throughout; every other node but VIEW, PAD,
            CONST and IOTA is stored when it is computed and freed after the last node that reads
            it, be it through a view. An output that is itself an input takes no memory of its own.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.ops import MOVEMENT, SOURCES, Op

if TYPE_CHECKING:
    from engine.program import Node, Program

_NOT_STORED = MOVEMENT | SOURCES - {Op.INPUT}


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one run of a Program."""

    flops: int
    bytes_moved: int
    peak_bytes: int


def cost(program: "Program") -> Cost:
    """The cost of one run of a valid program."""
    return Cost(_flops(program), _bytes_moved(program), _peak_bytes(program))


def _flops(program: "Program") -> int:
    nodes = program.nodes
    copied = {index for _, index in program.outputs if nodes[index].op in _NOT_STORED}
    total = sum(nodes[index].size for index in copied)
    return total + sum(_node_flops(node, [nodes[i] for i in node.inputs]) for node in nodes)


def _node_flops(node: "Node", inputs: list["Node"]) -> int:
    match node.op:
        case Op.FMA:
            return 2 * node.size
        case Op.DOT:
            return 2 * node.size * inputs[0].shape[2]
        case Op.SUM | Op.MAX:
            return inputs[0].size
        case Op.SCATTER:
            return inputs[1].size + node.size
        case Op.VIEW:
            return node.size if inputs[0].op in MOVEMENT else 0
        case Op.INPUT | Op.CONST | Op.IOTA:
            return 0
        case _:
            return node.size


def _bytes_moved(program: "Program") -> int:
    """Writes of stored nodes and outputs, and what they read."""
    nodes = program.nodes
    outputs = {index for _, index in program.outputs}
    stored: list[int] = []  # bytes in memory behind each node
    total = 0
    for index, node in enumerate(nodes):
        behind = sum(stored[i] for i in node.inputs) if node.op in _NOT_STORED else node.bytes
        stored.append(min(behind, node.bytes))
        is_written = index in outputs or node.op not in _NOT_STORED
        if node.op is Op.INPUT or not is_written:
            continue
        if node.op in _NOT_STORED:
            total += node.bytes + stored[index]
        elif node.op is Op.GATHER:  # rows, not the whole table
            total += 2 * node.bytes + stored[node.inputs[1]]
        else:
            total += node.bytes + sum(stored[i] for i in dict.fromkeys(node.inputs))
    return total


def _peak_bytes(program: "Program") -> int:
    nodes = program.nodes
    permanent = {index for _, index in (*program.inputs, *program.outputs)}
    last_use = _last_uses(program)
    freed: dict[int, int] = {}
    live = peak = sum(nodes[index].bytes for index in permanent)
    for index, node in enumerate(nodes):
        if node.op not in _NOT_STORED and index not in permanent:
            live += node.bytes
            end = last_use[index]
            freed[end] = freed.get(end, 0) + node.bytes
        peak = max(peak, live)
        live -= freed.pop(index, 0)
    return peak


def _last_uses(program: "Program") -> list[int]:
    """For every node the last stored node or output that reads it, through views or directly."""
    outputs = {index for _, index in program.outputs}
    last = list(range(len(program.nodes)))
    for index in range(len(program.nodes) - 1, -1, -1):
        node = program.nodes[index]
        is_pass_through = node.op in _NOT_STORED and index not in outputs
        reader = last[index] if is_pass_through else index
        for i in node.inputs:
            last[i] = max(last[i], reader)
    return last
