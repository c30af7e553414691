"""AINUR_DEBUG: each stage prints when it is asked for, and only then."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine import DType, Tensor, TensorType, trace
from engine.backend import list_devices

ROOT = Path(__file__).parents[2]
STAGES = ["graph", "program", "schedule", "kernels", "plan"]
TYPES = {"x": TensorType(DType.FLOAT32, (2, 3))}


def function(i: dict[str, Tensor]) -> dict[str, Tensor]:
    """A constant, an attribute, a fold and an elementwise tail."""
    return {"y": (i["x"].T * 0.5).sum(1).sqrt()}


def test_nothing_is_printed_without_being_asked(capsys, monkeypatch):
    """Neither by default nor for the command line's AINUR_DEBUG=1."""
    for words in (None, "", "1", "graphs"):
        monkeypatch.delenv("AINUR_DEBUG", raising=False)
        if words is not None:
            monkeypatch.setenv("AINUR_DEBUG", words)
        trace(function, TYPES)
        assert capsys.readouterr() == ("", "")


def test_graph_and_program_are_printed_whole(capsys, monkeypatch):
    """Every value and node with its type, what it is made of and its attributes."""
    monkeypatch.setenv("AINUR_DEBUG", "program,1,graph")
    program = trace(function, TYPES)
    out, err = capsys.readouterr()
    assert out == ""
    graph, table = err.split("[program]\n")
    assert graph.splitlines()[:4] == [
        "[graph]",
        "v0 = INPUT FLOAT32 (2, 3) x",
        "v1 = PERMUTE FLOAT32 (3, 2) v0 [1, 0]",
        "v2 = CONST FLOAT32 (3, 2) 0x3f000000 (0.5)",
    ]
    lines = table.splitlines()
    assert len(lines) == len(program.nodes) + 3
    assert lines[0] == "n0 = INPUT FLOAT32 (2, 3) x"
    assert lines[2] == "n2 = VIEW FLOAT32 (3, 2) n0 [0, 1, 3]"
    assert lines[-3] == f"y: n{len(program.nodes) - 1}"
    assert program.digest.hex() in lines[-2]


@pytest.mark.skipif(not list_devices(), reason="no OpenCL device")
def test_device_stages_are_printed_for_the_program_alone():
    """In order, without what admits the device."""
    code = (
        "import numpy as np\n"
        "from engine.backend import open_backend\n"
        "from tests.engine.test_debug import TYPES, function, trace\n"
        "loaded = open_backend('').load(trace(function, TYPES))\n"
        "print(loaded({'x': np.full((2, 3), 4, np.float32)})['y'].numpy())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "AINUR_DEBUG": ",".join(STAGES)},
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout == "[2. 2. 2.]\n"
    headings = [line[1:-1] for line in done.stderr.splitlines() if line[:1] + line[-1:] == "[]"]
    assert headings == STAGES
    assert "kernel 0: SUM n" in done.stderr
    assert done.stderr.count("kernel __attribute__") == done.stderr.count("launch ") == 1
