"""The documents name what exists: the code map is whole, and no path leads nowhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
PATH = re.compile(r"\b(?:engine|scheduler|node|contracts|tests|examples|docs|scripts)/[\w./-]*\w")


@pytest.mark.parametrize("package", ["engine", "scheduler", "node"])
def test_every_module_is_on_the_map(package: str) -> None:
    """ARCHITECTURE.md says of each module what it is for."""
    map_ = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = map_[map_.index(f"### {package}/") :].split("\n### ", 1)[0]
    modules = {path.name for path in (ROOT / package).glob("*.py")} - {"__init__.py"}
    assert modules == set(re.findall(r"`(\w+\.py)`", section))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_paths_in_documents_exist(document: Path) -> None:
    """Whatever a document points at inside the repository is there."""
    named = set(PATH.findall(document.read_text(encoding="utf-8")))
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
