"""What generated OpenCL C may consist of: words of the generators' own text, and numbers."""

import ast
import re
from functools import cache
from pathlib import Path

import engine

_WORD = re.compile(r"[A-Za-z_]\w*")
_TOKEN = re.compile(
    r"""(?P<number>0x[0-9a-f]+u?l? | \d+\.\d*f | \d+u?l?)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<rest>[\s;=()+*<\[\],{}?:>.&|%/^!~-])
    """,
    re.VERBOSE,
)


@cache
def words_of_the_engine() -> frozenset[str]:
    """Every word in a string of the engine's sources that is not a docstring, digits taken off."""
    words: set[str] = set()
    for path in Path(engine.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        prose = {
            id(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found = [] if id(node) in prose else _WORD.findall(node.value)
                words.update(_undigited(word) for word in found)
    return frozenset(words)


def _undigited(word: str) -> str:
    return re.sub(r"\d+", "", word)


def unknown_words(text: str) -> list[str]:
    """What a kernel's text holds that no generator wrote: [] for a sound one.

    A word is made of parts of the engine's own strings and of digits; a number is an integer or a
    literal with a point; quotes, backslashes, the preprocessor and comments are never there.
    """
    known, found, at = words_of_the_engine(), [], 0
    if "/*" in text or "//" in text:
        found.append("a comment")
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            return [*found, text[at : at + 20]]
        word = token["word"]
        if word and not _is_made_of(_undigited(word), known):
            found.append(word)
        at = token.end()
    return found


@cache
def _is_made_of(word: str, known: frozenset[str]) -> bool:
    """One of the engine's words, two letters, or words joined by _, as in `row_from`, `s0_1`."""
    if word in known or (len(word) <= 2 and known.issuperset(word)):
        return True
    return any(
        word[:i] in known and (word[i:] == "_" or word[i:] in known)
        for i in range(1, len(word))
        if word[i] == "_"
    )
