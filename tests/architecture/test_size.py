"""The engine does not grow unnoticed: docs/results/engine.md says why it has what it has."""

from benchmarks.size import PROGRAMS, lines_of_code, sizes

ENGINE_MAX, PROGRAMS_MAX = 7575, 3300


def test_the_engine_stays_within_its_size() -> None:
    """Whoever adds takes something away, or argues for another limit."""
    counted = sizes()
    assert counted.keys() >= PROGRAMS
    assert sum(counted.values()) <= ENGINE_MAX
    assert sum(counted[name] for name in PROGRAMS) <= PROGRAMS_MAX


def test_only_code_counts() -> None:
    """Not blank lines, comments and docstrings; of a statement every line."""
    source = '"""A\n\nB."""\n# c\n\nx = (\n    1,\n)\n\n\ndef f():\n    """D."""\n    return "e"\n'
    assert lines_of_code(source) == 5
