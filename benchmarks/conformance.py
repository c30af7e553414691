"""Record what PyTorch does with every case of tests/engine/conformance.json.

    python -m benchmarks.conformance        # needs torch; rewrites the file

A case is an expression of the tensors in tests/engine/conformance_inputs.py that PyTorch and
engine.Tensor understand alike; F and nn are torch.nn.functional and torch.nn, or the engine's.
conformance.txt has one a line; a word of capitals stands for each of its meanings in EACH. Recorded
are a case's results, and the gradient of their weighted sum by each float that it names.
"""

import ast
import importlib.util
import json
import re
import sys
from itertools import product
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "tests" / "engine"
EACH = {
    "UNARY": "neg abs sign square exp exp2 expm1 sin cos tan atan sinh cosh tanh asinh sigmoid erf "
    "floor ceil trunc round frac isnan isinf isfinite signbit logical_not positive deg2rad "
    "rad2deg relu reciprocal",
    "POSITIVE": "sqrt rsqrt log log2 log10 log1p asin acos atanh erfinv logit",
    "BINARY": "add sub mul div maximum minimum fmod remainder atan2 logaddexp copysign hypot",
    "COMPARE": "lt le gt ge eq ne",
    "INTEGER": "add sub mul div floor_divide remainder fmod bitwise_and bitwise_or bitwise_xor "
    "maximum minimum lt eq logical_and logical_or logical_xor",
    "TRUTH": "add mul logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor eq",
    "EDGE": "floor ceil trunc round sign abs isnan isinf isfinite signbit",
    "FOLD": "sum mean prod var std amax amin norm logsumexp",
    "WHERE": "argmax argmin any all",
    "SCAN": "cumsum cumprod logcumsumexp cummax cummin",
    "OTHER": "(x,y) (x,v) (c,x[:,:1]) (s,x)",
    "NUMBER": "2 3.0 -1.5 0.5 1",
    "REDUCE": "sum prod mean amax amin",
    "MODE": "reflect replicate circular",
    "BOOL": "True False",
    "AXIS": "0 1 -1",
    "OFFSET": "0 1 -1 2 -3",
    "TURN": "0 1 2 3 -1",
    "ACT": "relu relu6 elu selu celu gelu silu mish softplus softsign tanhshrink hardshrink "
    "softshrink hardtanh hardsigmoid hardswish logsigmoid leaky_relu sigmoid tanh",
    "LOSS": "mse_loss l1_loss smooth_l1_loss huber_loss",
    "HOW": "none mean sum",
}
CASES = (Path(__file__).parent / "conformance.txt").read_text().splitlines()


def expanded() -> list[str]:
    """Every case with each word of capitals replaced by each of its meanings."""
    found: dict[str, None] = {}
    for case in CASES:
        words = [word for word in EACH if re.search(rf"\b{word}\b", case)]
        for choice in product(*(EACH[word].split() for word in words)):
            text = case
            for word, meaning in zip(words, choice, strict=True):
                text = re.sub(rf"\b{word}\b", meaning, text)
            found[text] = None
    return list(found)


def main() -> None:
    """Write the file."""
    import numpy as np
    import torch

    spec = importlib.util.spec_from_file_location("inputs", FOLDER / "conformance_inputs.py")
    assert spec is not None
    assert spec.loader is not None
    inputs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(inputs)
    functional, nn = torch.nn.functional, torch.nn
    names: dict[str, Any] = {name: getattr(torch, name) for name in dir(torch)}
    names |= {
        "F": functional,
        "nn": nn,
        "pad": functional.pad,
        "one_hot": lambda n, *k: functional.one_hot(n.long(), *k),
    }
    names |= {"zeros_of": torch.zeros, "ones_of": torch.ones}
    names |= {"written": inputs.written, "changed": inputs.changed}

    def number(value: float) -> float | str:
        return str(value) if value != value or abs(value) == float("inf") else float(f"{value:.7g}")

    def record(array: Any) -> list[Any]:
        array = np.asarray(array)
        flat = array.reshape(-1).tolist()
        return [array.dtype.kind, list(array.shape), [number(v) for v in flat]]

    lines = []
    for case in expanded():
        tensors = {n: torch.tensor(a) for n, a in inputs.INPUTS.items()}
        tensors |= {n: tensors[n].long() for n in ("at", "rows", "cols", "once")}
        used = {node.id for node in ast.walk(ast.parse(case)) if isinstance(node, ast.Name)}
        leaves = {n: t for n, t in tensors.items() if t.dtype == torch.float32 and n in used}
        for tensor in leaves.values():
            tensor.requires_grad_()
        try:
            results = inputs.flat(eval(case, names | tensors))
            losses = [
                (r * torch.tensor(inputs.seed_of(r.shape, at))).sum()
                for at, r in enumerate(results)
                if isinstance(r, torch.Tensor) and r.requires_grad
            ]
            if losses:
                sum(losses[1:], losses[0]).backward()
        except (RuntimeError, TypeError, AttributeError, IndexError, ValueError) as error:
            print(f"left out: {case}: {error}", file=sys.stderr)
            continue
        outputs = [record(r.detach() if isinstance(r, torch.Tensor) else r) for r in results]
        gradients = {n: record(t.grad) for n, t in leaves.items() if t.grad is not None}
        lines.append(json.dumps([case, outputs, gradients], separators=(",", ":")))
    text = ",\n".join(lines)
    (FOLDER / "conformance.json").write_text(f"[\n{text}\n]\n")
    print(f"{len(lines)} cases of PyTorch {torch.__version__}")


if __name__ == "__main__":
    main()
