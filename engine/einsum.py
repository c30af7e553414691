"""Einstein sums, as matrix products of two operands at a time.

einsum("bij,bjk->bik", a, b)    a letter of both that is not in the result is summed
einsum("ii->i", a)              a letter twice in one operand is its diagonal
einsum("...i,...i", a, b)       ... stands for axes that broadcast; no -> means the letters
                                that occur once, in alphabetical order
"""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters
from typing import TYPE_CHECKING

from engine.errors import UsageError
from engine.folds import contract
from engine.lifting import lift
from engine.methods import several_of

if TYPE_CHECKING:
    from engine.tensor import Tensor


def einsum(formula: str, *operands: Tensor | Sequence[Tensor]) -> Tensor:
    """The sum of products that a formula of letters names, operand by operand from the left."""
    several, _ = several_of(operands, 0)
    inputs, out = _letters(formula, several)
    result, have = _diagonals(several[0], inputs[0])
    for at in range(1, len(several)):
        other, letters = _diagonals(several[at], inputs[at])
        needed = set("".join(inputs[at + 1 :]) + out)
        result, have = _product(result, have, other, letters, needed)
    result, have = _summed(result, have, set(out))
    return result.permute([have.index(c) for c in out]) if out else result


def _letters(formula: str, operands: list[Tensor]) -> tuple[list[str], str]:
    """The letters of each operand and of the result, with letters for the axes of an ellipsis."""
    left, arrow, out = formula.replace(" ", "").partition("->")
    parts = left.split(",")
    if len(parts) != len(operands):
        raise UsageError(f"einsum {formula!r} names {len(parts)} operands, not {len(operands)}")
    free = [c for c in ascii_letters if c not in left]
    ranks = [t.ndim - len(p.replace("...", "")) for p, t in zip(parts, operands, strict=True)]
    dots = free[: max(n if "..." in p else 0 for p, n in zip(parts, ranks, strict=True))]
    inputs = [
        p.replace("...", "".join(dots[len(dots) - n :])) for p, n in zip(parts, ranks, strict=True)
    ]
    if any(len(p) != t.ndim for p, t in zip(inputs, operands, strict=True)):
        raise UsageError(f"einsum {formula!r} does not fit shapes {[t.shape for t in operands]}")
    if len(set(out.replace(".", ""))) < len(out.replace(".", "")) or not set(out) <= {*left, "."}:
        raise UsageError(f"einsum {formula!r} must name letters of its operands, none twice, in ->")
    if not arrow:
        out = "..." + "".join(sorted(c for c in set(left) - set(".,") if left.count(c) == 1))
    return inputs, out.replace("...", "".join(dots))


def _diagonals(x: Tensor, letters: str) -> tuple[Tensor, str]:
    for c in letters:
        while letters.count(c) > 1:
            a, b = letters.index(c), letters.rindex(c)
            x = x.diagonal(0, a, b)
            letters = letters[:a] + letters[a + 1 : b] + letters[b + 1 :] + c
    return x, letters


def _summed(x: Tensor, letters: str, needed: set[str]) -> tuple[Tensor, str]:
    gone = [at for at, c in enumerate(letters) if c not in needed]
    return (x.sum(gone) if gone else x), "".join(c for c in letters if c in needed)


def _product(a: Tensor, m: str, b: Tensor, n: str, needed: set[str]) -> tuple[Tensor, str]:
    """The product of two operands, summed over the letters that nothing else needs."""
    a, m = _summed(a, m, needed | set(n))
    b, n = _summed(b, n, needed | set(m))
    sizes = {c: k for c, k in zip(m + n, a.shape + b.shape, strict=True) if k != 1}
    a = a.expand([sizes.get(c, 1) if c in n else k for c, k in zip(m, a.shape, strict=True)])
    b = b.expand([sizes.get(c, 1) if c in m else k for c, k in zip(n, b.shape, strict=True)])
    out = "".join(dict.fromkeys(c for c in m + n if c in needed))
    return lift(lambda x, y: contract(f"{m},{n}->{out}", x, y))(a, b), out


def tensordot(a: Tensor, b: Tensor, dims: int | Sequence[Sequence[int]] = 2) -> Tensor:
    """The sum of products over the last axes of one and the first of the other, or these."""
    if isinstance(dims, int):
        dims = (range(a.ndim - dims, a.ndim), range(dims))
    m, n = list(ascii_letters[: a.ndim]), list(ascii_letters[a.ndim : a.ndim + b.ndim])
    for i, j in zip(*dims, strict=True):
        n[j] = m[i]
    out = [c for c in m + n if not (c in m and c in n)]
    return einsum(f"{''.join(m)},{''.join(n)}->{''.join(out)}", a, b)


def kron(a: Tensor, b: Tensor) -> Tensor:
    """Each element of one times the whole other."""
    rank = max(a.ndim, b.ndim)
    m, n = ((1,) * (rank - t.ndim) + t.shape for t in (a, b))
    left = a.reshape([k for size in m for k in (size, 1)])
    right = b.reshape([k for size in n for k in (1, size)])
    return (left * right).reshape([i * j for i, j in zip(m, n, strict=True)])
