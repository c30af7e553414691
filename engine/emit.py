"""What the generators of kernels share: the kernel at hand, index variables, shares of work."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil

from engine.addressing import Address, Variable, affine, merge_axes, refine, strides
from engine.expressions import CUT_MIN, INDEX_32_BIT_MAX, Body, Parameters
from engine.program import Program
from engine.schedule import Kernel, Schedule

WORK_PER_ITEM = 1 << 15
"""Scalar operations worth a work-item of their own on a processor."""

CUTS_MAX = 4


@dataclass(frozen=True, slots=True)
class Target:
    """What the code is for."""

    is_gpu: bool
    compute_units: int
    tile: tuple[int, int, int] = (6, 2, 8)
    """Rows, vectors and their length: a matrix product's register tile on a processor."""
    group_side: int = 16
    """A square of this side is a work-group of a matrix product on a GPU."""


@dataclass(frozen=True, slots=True)
class KernelSource:
    """A kernel: its text with `NAME` for its name, the nodes whose buffers it takes, its launch."""

    text: str
    buffers: tuple[int, ...]
    global_size: tuple[int, ...]
    local_size: tuple[int, ...]


class Context:
    """What the generators of one kernel share."""

    def __init__(
        self, program: Program, schedule: Schedule, kernel: Kernel, target: Target
    ) -> None:
        self.program = program
        self.kernel = kernel
        self.target = target
        self.parameters = Parameters(program)
        self._loaded = schedule.realised - set(kernel.stores)

    def is_loaded(self, index: int) -> bool:
        """Whether a node is read from a buffer."""
        return index in self._loaded

    def body(self, prefix: str = "v") -> Body:
        """A new scope in which everything with a buffer outside this kernel is loaded."""
        return Body(self.parameters, self._loaded, prefix)

    def stores(self, address: Address, seed: str = "", prefix: str = "s") -> Body:
        """The statements that store this kernel's results at a flat address."""
        body = self.body(prefix)
        if self.kernel.seed is not None:
            body.bind(self.kernel.seed, address, seed)
        for index in self.kernel.stores:
            body.store(index, address)
        return body

    def result_shape(self) -> list[int]:
        """The results' common shape with as many axes as any node at the same elements has."""
        seen: set[int] = set()
        shapes = []
        stack = list(self.kernel.stores)
        while stack:
            index = stack.pop()
            node = self.program.nodes[index]
            if index in seen or node.size != self.kernel.size:
                continue
            seen.add(index)
            shapes.append(node.shape)
            if index not in self._loaded and index != self.kernel.seed:
                stack += node.inputs
        return refine(shapes) or [1]

    def items(self, work: int) -> int:
        """How many work-items a processor should share some scalar operations among."""
        most = 8 * self.target.compute_units
        return max(1, min(most, work // WORK_PER_ITEM))

    def source(
        self, lines: Sequence[str], global_size: tuple[int, ...], local_size: tuple[int, ...]
    ) -> KernelSource:
        """The finished kernel."""
        largest = max(self.parameters.magnitude, *(2 * n for n in global_size))
        index = "int" if largest <= INDEX_32_BIT_MAX else "long"
        sizes = ", ".join(str(n) for n in (*local_size, 1, 1)[:3])
        text = "\n".join(
            [
                f"kernel __attribute__((reqd_work_group_size({sizes})))",
                f"void NAME({self.parameters.signature()}) {{",
                f"typedef {index} I; typedef u{index} U;",
                *lines,
                "}\n",
            ]
        )
        return KernelSource(text, self.parameters.buffers, global_size, local_size)


def without_divisions(shape: Sequence[int], build: Callable[[list[Variable]], Body]) -> list[int]:
    """`shape` with axes cut in two, and joined again, where that leaves fewer addresses to divide.

    `build` gives the statements for one element of the shape.
    """
    result = list(shape)
    for _ in range(CUTS_MAX):
        variables = axes(result)
        body = build(variables)
        wishes = [
            body.cuts.get(v, 0) if v is not variables[-1] or body.cuts.get(v, 0) >= CUT_MIN else 0
            for v in variables
        ]
        if not any(wishes):
            break
        cut = [
            (v.extent // n, n) if n else (v.extent,) for v, n in zip(variables, wishes, strict=True)
        ]
        result = [n for part in cut for n in part]
    return merged(result, build(axes(result)).addresses)


def axes(shape: Sequence[int], prefix: str = "x") -> list[Variable]:
    """One variable per axis."""
    return [Variable(f"{prefix}{i}", n) for i, n in enumerate(shape)]


def flat(variables: Sequence[Variable]) -> Address:
    """The row-major address of an element."""
    return affine(0, zip(variables, strides([v.extent for v in variables]), strict=True))


def unflatten(name: str, variables: Sequence[Variable]) -> list[str]:
    """Statements that set the variables from a flat index in `name`; unsigned for speed."""
    lines = []
    for i, (variable, stride) in enumerate(
        zip(variables, strides([v.extent for v in variables]), strict=True)
    ):
        text = f"(U){name} / {stride}" if stride > 1 else name
        text = f"(U){text} % {variable.extent}" if i else text
        lines.append(f"const I {variable.name} = {text};")
    return lines


def merged(shape: Sequence[int], addresses: Iterable[Address]) -> list[int]:
    """`shape` with neighbouring axes joined where every address strides through both as one."""
    variables = axes(shape)
    forms = {tuple(a.coefficient(v) for v in variables) for a in addresses}
    return merge_axes(shape, list(forms))[0] or [1]


def share(
    name: str, size: int, items: int, dimension: int, multiple: int = 1
) -> tuple[list[str], int]:
    """(statements that set name_from and name_to for this work-item, how many items there are)."""
    chunk = ceil(ceil(size / items) / multiple) * multiple
    lines = [
        f"const I {name}_from = (I)get_global_id({dimension}) * {chunk};",
        f"const I {name}_to = {name}_from + {chunk} < {size} ? {name}_from + {chunk} : {size};",
    ]
    return lines, ceil(size / chunk)
