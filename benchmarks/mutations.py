"""Small wrong changes of a Solidity source, one at a time: what benchmarks.mutants tries.

Works on the text. Comments and strings are blanked first, so that offsets stay true and nothing in
them is touched; so are lines that hold no behaviour (imports, events, errors, fields).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_IGNORED = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:[^\"\\\n]|\\.)*\"", re.DOTALL)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_NO_BEHAVIOUR = re.compile(
    r"^[ \t]*(?:pragma|import|using|event|error|mapping)\b[^;]*;|^import\b[^;]*;"
    r"|^[ \t]*struct\b[^}]*}|^[ \t]*(?:\w+(?:\.\w+)?) public immutable \w+;",
    re.MULTILINE,
)
_SWAPS = {
    "comparison": {
        "<=": "<", ">=": ">", "<": "<=", ">": ">=", "==": "!=", "!=": "==",
    },
    "arithmetic": {
        "+=": "-=", "-=": "+=", "+": "-", "-": "+", "*": "/", "/": "*", "%": "*", "++": "--",
        "--": "++", ">>": "<<", "<<": ">>",
    },
    "boolean": {"&&": "||", "||": "&&", "true": "false", "false": "true"},
}  # fmt: skip
_OPERATOR = re.compile(
    r"\*\*|<<|>>=?|[<>=!]=|=>|\+\+|--|[+\-*/%]=?|&&|\|\||[<>]|\b(?:true|false)\b"
)
_NUMBER = re.compile(r"(?<![\w.])\d[\d_]*(?![\w.])")
_NOT = re.compile(r"!(?=[\w(])")
_STATEMENT = re.compile(
    r"^[ \t]+((?:emit |delete |\+\+|--)?[\w.]+(?:\[[^\]]*\])*(?:\.\w+)*"
    r"(?: [+\-|&^*/]?= |\()[^;{}]*;)$"
    r"|^[ \t]+((?:delete |\+\+|--)[^;{}]*;)$",
    re.MULTILINE,
)
_GUARD = re.compile(r"\bif \([^;{}]*\)\s*(?:\{\s*revert [^;{}]*;\s*\}|revert [^;{}]*;)")
_RETURN_IF = re.compile(r"\bif \([^;{}]*\) return\b[^;]*;")
_MODIFIER = re.compile(r"\bonlyOwner\b ?(?=\{)")
_CALL = re.compile(r"(?<=\()([\w.\[\]]+), ([\w.\[\]]+)(?=[,)])")
_NO_CALL = re.compile(r"\boverride\s*\([^)]*\)|\brevert [^;]*;|\bcontract \w+ is [^{]*{")
_TERNARY = re.compile(r"\? ([^:;?()]+) : ([^:;?,()]+)(?=[;,)])")

_CONTROL = (
    "if (",
    "for (",
    "while (",
    "return(",
    "return ",
    "else ",
    "Governor",
    "ERC20",
    "revert ",
)
_IDS = ("jobId", "unitId", "Unit", "round")


@dataclass(frozen=True, slots=True, order=True)
class Mutation:
    """Replaces `old` at `offset` of a source by `new`."""

    offset: int
    kind: str
    old: str
    new: str

    def apply(self, source: str) -> str:
        """The changed source."""
        end = self.offset + len(self.old)
        assert source[self.offset : end] == self.old
        return source[: self.offset] + self.new + source[end:]

    def line(self, source: str) -> int:
        """Where it is, from 1."""
        return source.count("\n", 0, self.offset) + 1


def essence(source: str) -> str:
    """A source without its comments and its white space: what it does depends on nothing else."""
    return "".join(_COMMENT.sub("", source).split())


def mutations_of(source: str) -> list[Mutation]:
    """Every change that we know how to make, in the order of their places."""
    code = _NO_BEHAVIOUR.sub(_blank, _IGNORED.sub(_blank, source))
    start = code.find("{")
    found = {*_operators(code), *_literals(code), *_removals(code), *_exchanges(code)}
    return sorted(mutation for mutation in found if mutation.offset > start)


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def _operators(code: str) -> Iterator[Mutation]:
    for match in _OPERATOR.finditer(code):
        for kind, swaps in _SWAPS.items():
            if match[0] in swaps:
                yield Mutation(match.start(), kind, match[0], swaps[match[0]])
    for match in _NOT.finditer(code):
        yield Mutation(match.start(), "boolean", "!", "")


def _literals(code: str) -> Iterator[Mutation]:
    for match in _NUMBER.finditer(code):
        value = int(match[0].replace("_", ""))
        yield Mutation(match.start(), "constant", match[0], str(value + 1))
        if value > 1:
            yield Mutation(match.start(), "constant", match[0], str(value - 1))


def _removals(code: str) -> Iterator[Mutation]:
    for match in _STATEMENT.finditer(code):
        text = match[1] or match[2]
        if text.startswith(_CONTROL):
            continue
        kind = "event" if text.startswith("emit ") else "statement"
        yield Mutation(match.end() - len(text), kind, text, "{}")
    for match in _GUARD.finditer(code):
        yield Mutation(match.start(), "guard", match[0], "{}")
    for match in _RETURN_IF.finditer(code):
        yield Mutation(match.start(), "guard", match[0], "{}")
    for match in _MODIFIER.finditer(code):
        yield Mutation(match.start(), "modifier", match[0], "")


def _exchanges(code: str) -> Iterator[Mutation]:
    for match in _CALL.finditer(_NO_CALL.sub(_blank, code)):
        one, other = match[1], match[2]
        # An id of another type than its neighbour: the compiler refuses the exchange.
        if one != other and not one.endswith(_IDS):
            yield Mutation(match.start(), "arguments", match[0], f"{other}, {one}")
    for match in _TERNARY.finditer(code):
        new = f"? {match[2]} : {match[1]}"
        yield Mutation(match.start(), "branches", match[0], new)
