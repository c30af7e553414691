"""Which nodes of a Program get a buffer, and which are computed together in one kernel.

Nothing here can change a bit: an element's value does not depend on where it is computed. Two
passes:

1. `choose_realised`, from the outputs backwards. Folds, scatters, outputs and operands of DOT get a
   buffer. An elementwise node does if inlining it into everything that reads it would repeat more
   work than a round trip through memory costs. Everything else is inlined through its addresses.
2. `group`: a node with a buffer is a kernel; kernels over the same number of elements are joined
   where each reads the other's results only at its own element (optimizer updates, the tail of a
   fold, bias and activation after a DOT). A result that nobody else reads then loses its buffer.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from engine.addressing import is_reshape
from engine.ops import FOLDS, Op
from engine.program import Program

INLINE_COST_MAX = 4
"""Scalar operations and more loads than one that are always cheaper to repeat."""

TRANSFER_COST = 8
"""Storing or loading an element, in scalar operations of a vectorised loop."""

REPEATED_WORK_MAX = 1 << 14
"""Repeated operations that cost less than another kernel."""

COST_MAX = 512
"""More operations than this are never repeated."""

INSTANCES_MAX = 4
KERNEL_NODES_MAX = 320
PRODUCT_TAIL_MAX = 20
"""A longer tail of a DOT runs faster over whole rows than over tiles."""

SHORT_FOLD, RESULTS_ENOUGH = 9, 1024
"""So few elements (a window of 3 x 3), of so many results, are folded like any elementwise op."""

KERNEL_BUFFERS_MAX = 48
JOIN_CANDIDATES = 12
JOINED_GROUPS_MAX = 4096

_COST = {Op.CONST: 0, Op.IOTA: 0, Op.VIEW: 0, Op.PAD: 2, Op.DIV: 6, Op.SQRT: 6, Op.GATHER: 4}
_FREE = frozenset({Op.CONST, Op.IOTA, Op.VIEW})
_ALONE = FOLDS | {Op.SCATTER}
_MOVING = frozenset({Op.VIEW, Op.PAD, Op.GATHER})


@dataclass(frozen=True, slots=True)
class Kernel:
    """Nodes computed together.

    `seed` is the SUM, MAX or DOT that the kernel folds, or the SCATTER; None for a map over
    elements, short folds among them. `stores` are the nodes written to a buffer, each of `size`
    elements, computed element by element from buffers and from the seed's element at the same flat
    address.
    """

    seed: int | None
    stores: tuple[int, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """Kernels in an order that respects their reads; every read node is a store or an INPUT."""

    kernels: tuple[Kernel, ...]
    realised: frozenset[int]


def schedule(program: Program) -> Schedule:
    """Kernels for a valid program."""
    realised = choose_realised(program)
    return group(program, realised)


# Pass 1


def choose_realised(program: Program) -> set[int]:
    """The nodes that get a buffer, INPUTs included."""
    realised = _always_realised(program)
    instances: list[dict[int, int]] = [{} for _ in program.nodes]
    keys: dict[tuple[int, int, int], int] = {}
    for index in range(len(program.nodes) - 1, -1, -1):
        node = program.nodes[index]
        if index not in realised and _should_realise(program, index, realised, instances[index]):
            realised.add(index)
        for position, i in enumerate(node.inputs):
            for key, size in _reads(program, index, position, index in realised, instances[index]):
                way = key if isinstance(key, int) else keys.setdefault(key, len(keys))
                instances[i][way] = size
    return _bound_kernels(program, realised)


def _always_realised(program: Program) -> set[int]:
    realised = {index for _, index in program.outputs}
    for index, node in enumerate(program.nodes):
        if node.op is Op.INPUT or node.op in _ALONE or node.op is Op.GATHER:
            realised.add(index)
        if node.op is Op.DOT:
            realised.update(dot_operand(program, index, side) for side in (0, 1))
    return realised


def _cone(program: Program, index: int, realised: set[int]) -> Iterator[int]:
    """A node, what is computed inline for it, and the nodes with buffers that are read there."""
    seen, stack = {index}, [index]
    while stack:
        at = stack.pop()
        yield at
        new = set(program.nodes[at].inputs) - seen if at not in realised else set()
        seen |= new
        stack += new


def _inline_cost(program: Program, index: int, realised: set[int], enough: float) -> int:
    """Operations and loads for one element of a node; the count stops when it is `enough`."""
    total = -(TRANSFER_COST // 2)  # what is stored is loaded, too
    for at in _cone(program, index, realised):
        total += TRANSFER_COST // 2 if at in realised else _COST.get(program.nodes[at].op, 1)
        if total >= enough:
            break
    return total


def _reads(
    program: Program, index: int, position: int, is_realised: bool, instances: dict[int, int]
) -> Iterable[tuple[int | tuple[int, int, int], int]]:
    """The ways a node's operand is evaluated: (a key per kernel and address formula, how often)."""
    node = program.nodes[index]
    if node.op in _ALONE:
        return [((index, position, -1), program.nodes[node.inputs[position]].size)]
    if is_realised:
        instances = {-1 - index: node.size}
    if node.op in _MOVING and not _is_reshape(program, index):
        return [((index, position, key), size) for key, size in instances.items()]
    return instances.items()


def _should_realise(
    program: Program, index: int, realised: set[int], instances: dict[int, int]
) -> bool:
    node = program.nodes[index]
    if node.op in _FREE:
        return False
    if len(instances) > INSTANCES_MAX:
        return True
    repeated = sum(instances.values()) - node.size
    if repeated <= 0:
        return False
    transfers = TRANSFER_COST * node.size * (1 + len(instances))
    enough = max(INLINE_COST_MAX, min((REPEATED_WORK_MAX + transfers) / repeated, COST_MAX))
    return _inline_cost(program, index, realised, enough) >= enough


def _bound_kernels(program: Program, realised: set[int]) -> set[int]:
    """Realise more where one kernel would grow over KERNEL_NODES_MAX nodes."""
    sizes: list[int] = []
    for index, node in enumerate(program.nodes):
        size = sum(sizes[i] for i in node.inputs if i not in realised) + (node.op not in _FREE)
        if size > KERNEL_NODES_MAX and index not in realised:
            size = _cone_size(program, index, realised)  # without counting twice
            if size > KERNEL_NODES_MAX:
                realised.add(index)
        sizes.append(0 if index in realised else size)
    return realised


def _cone_size(program: Program, index: int, realised: set[int]) -> int:
    """How many nodes are computed inline for a node, up to a little over KERNEL_NODES_MAX."""
    inline = (at for at in _cone(program, index, realised) if at not in realised)
    counted = (at for at in inline if program.nodes[at].op not in _FREE)
    return sum(1 for _ in islice(counted, KERNEL_NODES_MAX + 1))


def dot_operand(program: Program, index: int, side: int) -> int:
    """The node to load a DOT's operand from: views are read where they are."""
    node = program.nodes[index].inputs[side]
    while program.nodes[node].op is Op.VIEW:
        node = program.nodes[node].inputs[0]
    return node


# Pass 2


@dataclass(slots=True)
class _Group:
    seed: int | None
    stores: list[int]
    size: int
    reads: dict[int, bool]  # node with a buffer -> whether only at the reader's own element
    nodes: int  # how many nodes are computed inline
    joinable: bool  # a SCATTER writes its elements in an order of its own
    is_product: bool
    ancestors: int = 0  # bit set of groups


def group(program: Program, realised: set[int]) -> Schedule:
    """Join the kernels of `realised` nodes where possible, and put them in order."""
    groups: list[_Group] = []
    owner: dict[int, int] = {}
    inputs = {index for _, index in program.inputs}
    singles = [_single(program, index, realised) for index in sorted(realised - inputs)]
    if len(singles) > JOINED_GROUPS_MAX:
        return _result(program, singles)
    for made in singles:
        (index,) = made.stores
        target = _join_target(groups, owner, made)
        if target is None:
            made.ancestors = _ancestors(groups, owner, made)
            owner[index] = len(groups)
            groups.append(made)
        else:
            _join(groups, owner, target, made)
            owner[index] = target
    return _result(program, _in_order(groups))


def _single(program: Program, index: int, realised: set[int]) -> _Group:
    node = program.nodes[index]
    seeded = node.op in _ALONE
    elements = program.nodes[node.inputs[0]].shape[-1] if node.op in (Op.SUM, Op.MAX) else 1
    reads: dict[int, bool] = {}
    seen: set[tuple[int, bool]] = set()
    stack = [(i, node.op not in _ALONE | _MOVING) for i in node.inputs]
    if node.op is Op.VIEW:
        stack = [(node.inputs[0], _is_reshape(program, index))]
    while stack:
        at, own = stack.pop()
        if (at, own) in seen:
            continue
        seen.add((at, own))
        if at in realised:
            reads[at] = own and reads.get(at, True)
            continue
        own_below = own and (program.nodes[at].op not in _MOVING or _is_reshape(program, at))
        stack += [(i, own_below) for i in program.nodes[at].inputs]
    joinable = node.op is not Op.SCATTER
    count = 1 + sum(program.nodes[at].op not in _FREE for at in {at for at, _ in seen})
    short = elements <= SHORT_FOLD and elements * count <= KERNEL_NODES_MAX
    if node.op in (Op.SUM, Op.MAX) and short and node.size >= RESULTS_ENOUGH:
        seeded, count = False, elements * count
    return _Group(
        index if seeded else None, [index], node.size, reads, count, joinable, node.op is Op.DOT
    )


def _is_reshape(program: Program, index: int) -> bool:
    node = program.nodes[index]
    return node.op is Op.VIEW and is_reshape(
        node.shape, node.attributes, program.nodes[node.inputs[0]].size
    )


def _ancestors(groups: list[_Group], owner: dict[int, int], made: _Group) -> int:
    """The groups that must run before: those it reads and theirs."""
    bits = 0
    for i in made.reads:
        if i in owner:
            bits |= 1 << owner[i] | groups[owner[i]].ancestors
    return bits


def _join_target(groups: list[_Group], owner: dict[int, int], made: _Group) -> int | None:
    """An earlier group that can compute `made` at the same element, best first."""
    if made.seed is not None:
        return None
    read = sorted({owner[i] for i in made.reads if i in owner}, reverse=True)
    recent = range(len(groups) - 1, max(-1, len(groups) - 1 - JOIN_CANDIDATES), -1)
    for candidate in [*read, *(c for c in recent if groups[c].seed is None)]:
        if _can_join(groups, owner, candidate, made):
            return candidate
    return None


def _can_join(groups: list[_Group], owner: dict[int, int], candidate: int, made: _Group) -> bool:
    other = groups[candidate]
    if other.size != made.size or not other.joinable:
        return False
    if other.is_product and made.nodes > PRODUCT_TAIL_MAX:
        return False
    if other.nodes + made.nodes > KERNEL_NODES_MAX:
        return False
    if len({*other.reads, *made.reads, *other.stores}) + 1 > KERNEL_BUFFERS_MAX:
        return False
    for i, own in made.reads.items():
        at = owner.get(i)
        if at == candidate and not own:
            return False
        if at is not None and at != candidate and groups[at].ancestors >> candidate & 1:
            return False
    return True


def _join(groups: list[_Group], owner: dict[int, int], target: int, made: _Group) -> None:
    joined = groups[target]
    gained = _ancestors(groups, owner, made) & ~(1 << target)
    for i, own in made.reads.items():
        if owner.get(i) != target:
            joined.reads[i] = own and joined.reads.get(i, True)
    joined.stores += made.stores
    joined.nodes += made.nodes
    if gained & ~joined.ancestors:
        for other in groups:
            if other is joined or other.ancestors >> target & 1:
                other.ancestors |= gained


def _in_order(groups: list[_Group]) -> list[_Group]:
    """Every group after its ancestors."""
    order: list[_Group] = []
    done = 0
    waiting = list(range(len(groups)))
    while waiting:
        ready = [at for at in waiting if not groups[at].ancestors & ~done]
        order += [groups[at] for at in ready]
        waiting = [at for at in waiting if groups[at].ancestors & ~done]
        for at in ready:
            done |= 1 << at
    return order


def _result(program: Program, groups: list[_Group]) -> Schedule:
    """Kernels without the stores that nobody else reads."""
    needed = {index for _, index in program.outputs}.union(*(g.reads for g in groups))
    kernels = tuple(
        Kernel(g.seed, tuple(i for i in g.stores if i in needed), g.size) for g in groups
    )
    inputs = {index for _, index in program.inputs}
    return Schedule(kernels, frozenset(inputs.union(*(k.stores for k in kernels))))
