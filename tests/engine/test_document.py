"""docs/engine.md shows what the engine prints, today."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from engine.backend import list_devices

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "engine.md").read_text(encoding="utf-8")
STAGES = ("graph", "program", "schedule", "kernels", "plan")


def shown(language: str, after: str = "") -> list[str]:
    """The document's blocks of a language, below some words."""
    rest = DOCUMENT[DOCUMENT.index(after) :]
    return [block.strip() for block in re.findall(rf"```{language}\n(.*?)```", rest, re.DOTALL)]


@pytest.fixture(scope="module")
def printed(tmp_path_factory) -> dict[str, str]:
    """What the script prints: each stage, and its result as `bits`."""
    devices = list_devices()
    if not devices or devices[0].kind != "cpu":
        pytest.skip("the document shows a processor's kernels")
    script = tmp_path_factory.mktemp("document") / "step.py"
    script.write_text(shown("python")[0])
    environment = {**os.environ, "AINUR_DEBUG": ",".join(STAGES), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, check=True, text=True
    )
    found = dict(re.findall(r"^\[(\w+)\]\n(.*?)(?=^\[\w+\]\n|\Z)", done.stderr, re.S | re.M))
    assert tuple(found) == STAGES
    return {**found, "bits": done.stdout}


@pytest.mark.parametrize("stage", ["graph", "program", "schedule", "plan"])
def test_stage_is_shown_as_it_is(printed, stage):
    """If this fails, put what the script prints into the document, and read the text again."""
    assert shown("text", f"`[{stage}]`:")[0] == printed[stage].strip()


def test_kernels_that_are_shown_are_generated(printed):
    """Each excerpt is in the OpenCL C as it stands."""
    for excerpt in shown("c"):
        assert excerpt in printed["kernels"]


def test_device_and_reference_agree_on_the_bits_that_are_shown(printed):
    """The last block is the script's whole output, and its halves are equal."""
    assert shown("text", "## 6. Bits")[0] == printed["bits"].strip()
    lines = printed["bits"].splitlines()
    assert lines[: len(lines) // 2] == lines[len(lines) // 2 :]
    kernels = printed["schedule"].strip().count("\n") + 1
    nodes = len(re.findall(r"^n\d+ =", printed["program"], re.M))
    assert f"{nodes} nodes, {['', 'one', 'two', 'three', 'four'][kernels]} kernels" in DOCUMENT
