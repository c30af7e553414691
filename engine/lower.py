"""Lowering: from the graph to the table of a Program.

Movement becomes affine views of what is stored, several in a row merged to one VIEW where the
formula stays affine; CUSTOM vanishes; equal nodes become one; what serves no output is left out.
The order of the table depends on the graph and the names alone, so the same function gives the same
bytes in every process.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from engine.debug import graph_lines, program_lines, show
from engine.errors import ProgramError, TraceError
from engine.graph import MOVEMENT, Kind, Value, topological
from engine.ops import Op
from engine.program import Node, Program
from engine.validate import validate
from engine.views import View, contiguous

_Name: TypeAlias = tuple[str, int]


def lower(outputs: Mapping[str, Value], inputs: Mapping[str, Value]) -> Program:
    """The Program that computes `outputs` from `inputs`.

    An input may be any value: what it was made of is not looked at. Every given input is in the
    Program, used or not. Raises TraceError for a leaf that is not given and for a graph that no
    valid Program can hold.
    """
    show("graph", graph_lines, outputs, inputs)
    table = _Table(inputs)
    named = sorted(outputs.items())
    given = set(inputs.values())
    ends = [value for _, value in named]
    for value in topological(ends, lambda v: () if v in given else lowered_inputs(v)):
        table.add(value)
    starts = [(name, table.places[value][0]) for name, value in sorted(inputs.items())]
    program = _without_dead_nodes(
        table.nodes, starts, [(name, table.stored(value)) for name, value in named]
    )
    try:
        validate(program)
    except ProgramError as error:
        raise TraceError(f"the graph is not a valid Program: {error}") from error
    show("program", program_lines, program)
    return program


def lowered_inputs(value: Value) -> tuple[Value, ...]:
    """What the elements of a value are made of."""
    return value.inputs[:1] if value.kind is Kind.CUSTOM else value.inputs


class _Table:
    """The nodes so far, and where each value's elements are: a node, seen through a view."""

    def __init__(self, inputs: Mapping[str, Value]) -> None:
        self.nodes: list[Node] = []
        self.places: dict[Value, tuple[int, View]] = {}
        self._known: dict[Node, int] = {}
        for _, value in sorted(inputs.items()):
            self.nodes.append(Node(Op.INPUT, value.dtype, value.shape))
            self.places[value] = len(self.nodes) - 1, contiguous(value.shape)

    def add(self, value: Value) -> None:
        """Give a value, whose inputs are there, its place."""
        kind = value.kind
        if value in self.places:
            return
        if kind is Kind.DATA or kind is Op.INPUT:
            raise TraceError(_foreign_leaf(value))
        if kind is Kind.CUSTOM:
            self.places[value] = self.places[value.inputs[0]]
        elif kind in MOVEMENT:
            index, view = self.places[value.inputs[0]]
            moved = _moved(value, view)
            if moved is None:  # a reshape that is not affine: the elements are laid out first
                index, moved = self.stored(value.inputs[0]), contiguous(value.shape)
            self.places[value] = index, moved
        else:
            reads = tuple(self.stored(i) for i in value.inputs)
            node = Node(Op(kind), value.dtype, value.shape, reads, value.attributes)
            self.places[value] = self._emit(node), contiguous(value.shape)

    def stored(self, value: Value) -> int:
        """The node that has a value's elements in order, a VIEW if need be."""
        index, view = self.places[value]
        base = self.nodes[index]
        if base.shape == view.shape and view == contiguous(view.shape):
            return index
        if base.op is Op.CONST:
            return self._emit(replace(base, shape=view.shape))
        return self._emit(Node(Op.VIEW, value.dtype, view.shape, (index,), view.attributes))

    def _emit(self, node: Node) -> int:
        """The index of a node, new or the same as one before."""
        if node not in self._known:
            self.nodes.append(node)
            self._known[node] = len(self.nodes) - 1
        return self._known[node]


def _moved(value: Value, view: View) -> View | None:
    """The view of `value`'s input, moved as `value` says."""
    shape, attributes = value.shape, value.attributes
    if value.kind is Kind.RESHAPE:
        return view.reshape(shape)
    if value.kind is Kind.PERMUTE:
        return view.permute(attributes)
    if value.kind is Kind.EXPAND:
        return view.expand(shape)
    if value.kind is Kind.AFFINE:
        return view.affine(attributes, shape)
    return view.slice(attributes[::2], attributes[1::2], shape)


def _foreign_leaf(value: Value) -> str:
    what = f"{value.dtype.name} {value.shape}"
    if value.kind is Kind.DATA:
        return f"a tensor {what} that holds data was captured; pass it as an input"
    return f"the symbolic input {value.name!r} {what} belongs to another trace"


def _without_dead_nodes(nodes: list[Node], inputs: list[_Name], outputs: list[_Name]) -> Program:
    live = {index for _, index in (*inputs, *outputs)}
    for index in range(len(nodes) - 1, -1, -1):
        if index in live:
            live.update(nodes[index].inputs)
    kept = sorted(live)
    moved = {old: new for new, old in enumerate(kept)}
    table = (replace(nodes[old], inputs=tuple(moved[i] for i in nodes[old].inputs)) for old in kept)
    starts, ends = ([(name, moved[i]) for name, i in names] for names in (inputs, outputs))
    return Program(tuple(table), tuple(starts), tuple(ends))
