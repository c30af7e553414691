"""Random traced functions on tensors with their gradients, from a seeded generator."""

from collections.abc import Callable
from math import prod
from random import Random

from engine import Program, Tensor, TensorType, gradient, trace
from engine import functional as F
from engine.dtypes import DType

F32, I32 = DType.FLOAT32, DType.INT32
LENGTHS = (1, 2, 3, 5, 7, 8, 16, 31, 33, 65)
ELEMENTS_MAX = 800

UNARY: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda x: x.exp(),
    lambda x: x.log(),
    lambda x: x.tanh(),
    lambda x: x.sigmoid(),
    lambda x: x.erf(),
    lambda x: x.sqrt(),
    lambda x: x.abs(),
    lambda x: x.square(),
    lambda x: -x,
    lambda x: 1.0 / x,
    lambda x: x**3,
    lambda x: x.clamp(-0.75, 1.25),
    F.relu,
    F.gelu,
    F.silu,
    lambda x: (x < 0.5).where(x * 3.0, x - 1.0),
)
BINARY: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / b,
    lambda a, b: a.maximum(b),
    lambda a, b: a.minimum(b),
    lambda a, b: a.fma(b, 0.3),
    lambda a, b: (a < b).where(a, b * b),
)
FOLDS: tuple[Callable[[Tensor, int], Tensor], ...] = (
    lambda x, axis: x.sum(axis, keepdim=True),
    lambda x, axis: x.mean(axis, keepdim=True),
    lambda x, axis: F.softmax(x, axis),
    lambda x, axis: F.log_softmax(x, axis),
    lambda x, axis: x - x.mean(axis, keepdim=True),
    lambda x, axis: F.logsumexp(x, axis, keepdim=True),
)


def random_step(random: Random, steps: int) -> Program:
    """A traced loss, what it was made of, and the gradient by every float input."""
    shapes = {f"in{i}": _shape(random) for i in range(random.randint(1, 3))}
    types = {name: TensorType(F32, shape) for name, shape in shapes.items()}
    types["rows"] = TensorType(I32, (random.choice((1, 4, 9)),))
    seed = random.getrandbits(64)

    def step(i: dict[str, Tensor]) -> dict[str, Tensor]:
        draw = Random(seed)
        made = [i[name] for name in shapes]
        for _ in range(steps):
            made.append(_following(draw, made, i["rows"]))
        loss = (made[-1] * 0.5).sum()
        for other in draw.sample(made, min(3, len(made))):
            loss = loss + other.square().mean()
        found = gradient(loss, *(i[name] for name in shapes))
        return {"loss": loss, "last": made[-1]} | {
            f"by.{name}": g for name, g in zip(shapes, found, strict=True)
        }

    return trace(step, types)


def _shape(random: Random) -> tuple[int, ...]:
    while True:
        shape = tuple(random.choice(LENGTHS) for _ in range(random.randint(1, 3)))
        if prod(shape) <= ELEMENTS_MAX:
            return shape


def _following(random: Random, made: list[Tensor], rows: Tensor) -> Tensor:
    """One more tensor from those made so far."""
    x = random.choice(made[-3:])
    axis = random.randrange(x.ndim)
    kind = random.choice(("unary", "unary", "binary", "binary", "fold", "move", "matmul", "rows"))
    if kind == "binary":
        return random.choice(BINARY)(x, _partner(random, x, made))
    if kind == "fold":
        return random.choice(FOLDS)(x, axis)
    if kind == "move":
        return _moved(random, x, axis)
    if kind == "matmul" and x.ndim == 2:
        return x @ x.transpose(0, 1) if random.random() < 0.5 else x.transpose(0, 1) @ x
    if kind == "rows" and x.ndim == 2 and x.numel() <= ELEMENTS_MAX:
        return x[rows]
    return random.choice(UNARY)(x)


def _partner(random: Random, x: Tensor, made: list[Tensor]) -> Tensor:
    """A tensor that broadcasts with `x`."""
    same = [t for t in made if t.shape == x.shape]
    kind = random.random()
    if kind < 0.5:
        return random.choice(same)
    if kind < 0.8:
        return x.sum(random.randrange(x.ndim), keepdim=True)
    return x.flip(random.randrange(x.ndim))


def _moved(random: Random, x: Tensor, axis: int) -> Tensor:
    n = x.shape[axis]
    ranges: list[slice] = [slice(None)] * x.ndim
    ranges[axis] = slice(random.randrange(n), None, random.choice((1, 2)))
    choices: list[Callable[[], Tensor]] = [
        lambda: x.flip(axis),
        lambda: x.reshape(-1),
        lambda: x.reshape(x.shape[-1], -1),
        lambda: x.permute(*random.sample(range(x.ndim), x.ndim)),
        lambda: x[tuple(ranges)],
    ]
    if 2 * x.numel() <= ELEMENTS_MAX:
        choices += [
            lambda: Tensor.cat([x, x.flip(axis)], axis),
            lambda: x.unsqueeze(0).expand(2, *x.shape).reshape(-1, x.shape[-1]),
        ]
    return random.choice(choices)()
