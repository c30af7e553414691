"""docs/spec/economy.md names the attacks that are tested, and nothing that is not."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests" / "contracts"

_NAMED = re.compile(r"`(\w+)\.(test\w+)`")
_FUNCTION = re.compile(r"^    function (test\w+)\(", re.MULTILINE)


def named() -> set[tuple[str, str]]:
    """Every test of the table, with its file."""
    text = (ROOT / "docs" / "spec" / "economy.md").read_text(encoding="utf-8")
    return set(_NAMED.findall(text.split("\n## Attacks\n")[1].split("\n## ")[0]))


def written() -> set[tuple[str, str]]:
    """Every Solidity test, with its file."""
    return {
        (path.name.removesuffix(".t.sol"), name)
        for path in TESTS.glob("*.t.sol")
        for name in _FUNCTION.findall(path.read_text(encoding="utf-8"))
    }


def test_every_attack_of_the_table_is_tested() -> None:
    """Whoever renames or drops a test changes the table."""
    assert len(named()) > 40
    assert named() - written() == set()


def test_every_test_of_an_attack_is_in_the_table() -> None:
    """A new attack is told to readers too."""
    attacks = {(file, name) for file, name in written() if "test_attack_" in name}
    assert attacks - named() == set()
