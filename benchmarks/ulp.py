"""The worst error of every lowered function, in ulp: `python -m benchmarks.ulp`.

Unary functions are run on all 2**32 arguments, pow on random pairs, on an OpenCL device: it returns
the reference's bits (tests/engine/test_backends_agree.py). The truth is numpy's or scipy's function
in binary64, whose own error is below 2**-26 of our unit. A unit is the distance of binary32 numbers
at the true value, 2**-149 below the normal range; an overflow counts as 2**128. Correctly rounded
results are at most 0.5 away and are only counted.

The graphs of odd and even functions work on the size and copy the sign; those, and functions that
are NaN for every negative argument, are run on each 61st chunk of the negative half only.

A run of all takes hours; progress is kept in --state after every chunk, and the same command goes
on where it stopped. --every 61 takes each 61st chunk, and all from 2**-12 to 64 in size, where the
polynomials are (take no power of two: it would see few fractions).
"""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import scipy.special
from numpy.typing import NDArray

from engine import elementwise as e
from engine import graph, transcendental
from engine.backend import Backend, Buffer, open_backend
from engine.dtypes import DType
from engine.lower import lower
from engine.program import Program

CHUNK = 1 << 20
CHUNKS = 1 << 12
CENTRAL = range(115 * 8, 133 * 8)  # 2**-12 to 64 in size
Doubles = NDArray[np.float64]

TRUTH: dict[str, Callable[..., Doubles]] = {
    **{name: getattr(np, name) for name in ("exp", "exp2", "expm1", "log", "log2", "log10")},
    **{name: getattr(np, name) for name in ("log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{f"a{name}": getattr(np, f"arc{name}") for name in ("sin", "cos", "tan")},
    **{f"a{name}": getattr(np, f"arc{name}") for name in ("sinh", "cosh", "tanh")},
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sqrt": np.sqrt,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "erf": scipy.special.erf,
    "erfinv": scipy.special.erfinv,
    "pow": np.power,
    "atan2": np.arctan2,
}
BINARY = ("pow", "atan2")
BOTH_HALVES = (*BINARY, "exp", "exp2", "expm1", "sigmoid", "log1p", "acos")


def main() -> None:
    """Measure the named functions and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ulp", description=__doc__)
    parser.add_argument("functions", nargs="*", default=list(TRUTH), help=", ".join(TRUTH))
    parser.add_argument("--device", default="", help="as for engine.backend.open_backend")
    parser.add_argument("--state", type=Path, default=Path("ulp.json"), help="where progress is")
    parser.add_argument("--every", type=int, default=1, help="only each so manieth chunk")
    options = parser.parse_args()
    state = json.loads(options.state.read_text()) if options.state.exists() else {}
    backend = open_backend(options.device)
    for name in options.functions:
        measured = state.setdefault(name, {"done": 0, "tried": 0, "wrong": 0, "worst": 0.0})
        if measured["done"] < CHUNKS:
            for progress in measure(name, backend, measured, options.every):
                measured.update(progress)
                options.state.write_text(json.dumps(state, indent=1))
        print(row(name, measured), flush=True)


def row(name: str, m: dict[str, float]) -> str:
    """A line of the table."""
    share = 100 * m["wrong"] / m["tried"]
    return (
        f"| {name} | {m['tried']:,} | {max(m['worst'], 0.5):.3f} | {m.get('at', '')} "
        f"| {share:.2f} % | {m.get('broken', 0)} |"
    )


def measure(
    name: str, backend: Backend, so_far: dict[str, object], every: int
) -> Iterator[dict[str, object]]:
    """The state after each further chunk."""
    run = backend.load(program(name))
    result = dict(so_far)
    for chunk in range(int(str(so_far["done"])), CHUNKS):
        is_mirrored = name not in BOTH_HALVES and chunk >= CHUNKS // 2
        is_central = name not in BINARY and chunk % (CHUNKS // 2) in CENTRAL and not is_mirrored
        if chunk % (61 if is_mirrored else every) and not is_central:
            continue
        arguments = operands(name, chunk)
        got = run(uploads(name, chunk, arguments))["y"].numpy().astype(np.float32, copy=False)
        with np.errstate(all="ignore"):
            exact = TRUTH[name](*(a.astype(np.float64) for a in arguments))
            wrong = np.flatnonzero(bits(got) != bits(exact.astype(np.float32)))
        errors, broken = distances(got[wrong], exact[wrong])
        result["broken"] = int(str(result.get("broken", 0))) + int(broken.sum())
        result["wrong"] = int(str(result["wrong"])) + len(wrong)
        result["tried"] = int(str(result["tried"])) + CHUNK
        result["done"] = chunk + 1
        if len(wrong) and errors.max() > float(str(result["worst"])):
            at = int(wrong[errors.argmax()])
            result["worst"] = float(errors.max())
            result["at"] = ", ".join(f"{a[at]!s}" for a in arguments)
        yield result
    yield {**result, "done": CHUNKS}


def bits(a: NDArray[np.float32]) -> NDArray[np.uint32]:
    """The bits, with one NaN."""
    return np.where(np.isnan(a), np.uint32(0x7FC00000), a.view(np.uint32))


def distances(got: NDArray[np.float32], exact: Doubles) -> tuple[Doubles, NDArray[np.bool_]]:
    """(units between result and truth, which are wrong in kind: NaN, or the sign of zero)."""
    with np.errstate(all="ignore"):
        broken = (np.isnan(got) != np.isnan(exact)) | ((got == 0) & (exact == 0))
        a, b = (np.clip(v.astype(np.float64), -(2.0**128), 2.0**128) for v in (got, exact))
        unit = np.ldexp(1.0, np.maximum(np.frexp(b)[1] - 24, -149))
        return np.where(broken | np.isnan(got), 0.0, np.abs(a - b) / unit), broken


def program(name: str) -> Program:
    """y = name(x), x the bits from `start` on; of two arguments both are given."""
    if name in BINARY:
        a, b = (graph.input_value(n, DType.FLOAT32, (CHUNK,)) for n in "ab")
        return lower({"y": getattr(transcendental, name)(a, b)}, {"a": a, "b": b})
    start = graph.input_value("start", DType.UINT32, (1,))
    counted = e.add(graph.bitcast(graph.iota(CHUNK), DType.UINT32), start)
    x = graph.bitcast(counted, DType.FLOAT32)
    y = e.sqrt(x) if name == "sqrt" else getattr(transcendental, name)(x)
    return lower({"y": y}, {"start": start})


def operands(name: str, chunk: int) -> list[NDArray[np.float32]]:
    """The arguments of a chunk; for two arguments random ones."""
    if name not in BINARY:
        first = np.uint32(chunk * CHUNK)
        return [(np.arange(CHUNK, dtype=np.uint32) + first).view(np.float32)]
    random = np.random.default_rng(chunk)
    a, b = random.integers(0, 2**32, (2, CHUNK), dtype=np.uint32).view(np.float32)
    if name == "pow":  # most pairs overflow: let most results be spread over all exponents
        near = np.exp2(random.uniform(-2.0, 2.0, CHUNK // 4)).astype(np.float32)
        a[: CHUNK // 4] = near
        with np.errstate(all="ignore"):
            wanted = random.uniform(-150, 129, CHUNK) / np.log2(np.abs(a).astype(np.float64))
        b[: -CHUNK // 8] = wanted[: -CHUNK // 8].astype(np.float32)
        whole = slice(CHUNK // 4, CHUNK // 2)
        b[whole] = np.rint(b[whole])
    return [a, b]


def uploads(
    name: str, chunk: int, arguments: list[NDArray[np.float32]]
) -> dict[str, Buffer | NDArray[np.generic]]:
    """The Program's inputs."""
    if name in BINARY:
        return dict(zip("ab", arguments, strict=True))
    return {"start": np.array([chunk * CHUNK], np.uint32)}


if __name__ == "__main__":
    main()
