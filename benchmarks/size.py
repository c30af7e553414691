"""How much code the engine is: `python -m benchmarks.size`.

A line of code is a line of a module with a token on it that is neither a comment nor part of a
docstring. PROGRAMS are the modules that check, cost and run what strangers send; the others make
Programs from tensors and run in the process of whoever writes them.
"""

import ast
import io
import tokenize
from pathlib import Path

ENGINE = Path(__file__).parents[1] / "engine"
_words = str.split
PROGRAMS = frozenset(
    _words(
        "addressing ahead arithmetic backend commitment cost debug dtypes emit errors expressions "
        "kernels matmul opencl ops planner prelude program random reduction reference scalars "
        "schedule tuning validate vectors views"
    )
)
LAYOUT = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)


def lines_of_code(source: str) -> int:
    """Lines with code on them."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in (*LAYOUT, tokenize.ENDMARKER):
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str()), lineno=start, end_lineno=int(end)):
                lines.difference_update(range(start, end + 1))
    return len(lines)


def sizes() -> dict[str, int]:
    """Lines of code of every module of the engine, by name."""
    return {path.stem: lines_of_code(path.read_text("utf-8")) for path in ENGINE.glob("*.py")}


def main() -> None:
    """Print all modules, the largest first, and the sums."""
    counted = sizes()
    for name, count in sorted(counted.items(), key=lambda item: -item[1]):
        print(f"{count:6,}  {name}{'' if name in PROGRAMS else ' (tensors)'}")
    programs = sum(counted[name] for name in PROGRAMS)
    print(f"{programs:6,}  Programs\n{sum(counted.values()) - programs:6,}  tensors")
    print(f"{sum(counted.values()):6,}  in all")


if __name__ == "__main__":
    main()
