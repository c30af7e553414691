"""A new Program's kernels are compiled by several processes, and no helper is ever needed."""

import json
import os
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest

from engine import ahead, opencl
from engine.ahead import KERNELS_MIN, Work, divide, mark_of, processes_for
from engine.dtypes import DType
from engine.emit import KernelSource
from engine.ops import Op
from engine.program import Node, Program
from engine.reference import ReferenceBackend

F32 = DType.FLOAT32
COUNT = KERNELS_MIN + 1


def many_kernels() -> tuple[Program, dict[str, np.ndarray]]:
    """Sums of different lengths: a kernel each."""
    nodes: list[Node] = []
    for at in range(COUNT):
        nodes += [Node(Op.INPUT, F32, (2, 40 + at)), Node(Op.SUM, F32, (2, 1), (2 * at,))]
    inputs = tuple((f"i{at:02}", 2 * at) for at in range(COUNT))
    outputs = tuple((f"o{at:02}", 2 * at + 1) for at in range(COUNT))
    values = {name: np.full(nodes[i].shape, 0.1, np.float32) for name, i in inputs}
    return Program(tuple(nodes), inputs, outputs), values


@pytest.fixture
def device(monkeypatch, tmp_path):
    """A backend of PoCL's that has loaded nothing, and a folder that holds no mark."""
    device = opencl._devices()[0]
    if device.platform.name.strip() != opencl._POCL:
        pytest.skip("other drivers compile when they are told to")
    monkeypatch.setenv("POCL_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(opencl, "processes_for", lambda kernels, units: processes_for(kernels, 2))
    variant = opencl._variants(device)[0]
    return opencl.OpenCLBackend(device, opencl._describe(0, device), variant.options)


@pytest.fixture
def started(monkeypatch):
    """The helpers that are started."""
    processes: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def started(*args, **kwargs):
        processes.append(start(*args, **kwargs))
        return processes[-1]

    monkeypatch.setattr(ahead.subprocess, "Popen", started)
    return processes


def assert_right(backend) -> None:
    program, values = many_kernels()
    expected = ReferenceBackend().load(program)(values)
    for name, buffer in backend.load(program)(values).items():
        assert buffer.numpy().tobytes() == expected[name].numpy().tobytes()


def test_helpers_start_for_a_new_program_and_end_with_its_loading(device, started, tmp_path):
    """A mark beside what PoCL compiled says that the program is no longer new."""
    assert_right(device)
    assert [process.returncode is not None for process in started] == [True]
    assert len(list(tmp_path.glob("ainur-*"))) == 1
    assert_right(device.retargeted(device.target))
    assert len(started) == 1


@pytest.mark.parametrize("helper", ["raise SystemExit(1)", "import os; os.abort()"])
def test_a_helper_that_dies_does_not_matter(device, started, monkeypatch, helper):
    """It has only not helped."""
    monkeypatch.setattr(ahead, "_HELPER", helper)
    assert_right(device)
    assert len(started) == 1


def test_nothing_is_started_where_there_is_no_interpreter(device, monkeypatch):
    """An embedded one has no executable."""
    monkeypatch.setattr(sys, "executable", "/nowhere")
    assert_right(device)


@pytest.mark.parametrize("is_orphan", [False, True])
def test_a_helper_compiles_all_that_is_left_while_its_parent_lives(device, tmp_path, is_orphan):
    """Here that is everything: a file of machine code for each kernel."""
    single = "__attribute__((reqd_work_group_size(1, 1, 1)))"
    text = f"kernel {single} void NAME(global float *o) {{{{ o[0] = {{}}; }}}}"
    sources = [KernelSource(text.format(at), (0,), (4,), (1,)) for at in range(3)]
    _, info, options, prelude = device._made
    work = Work(info.index, options, prelude, *divide(sources, 2), 64)
    order = json.dumps([1 if is_orphan else os.getpid(), 1, asdict(work)])
    command = [sys.executable, "-c", ahead._HELPER]
    subprocess.run(command, input=order, text=True, check=True, capture_output=True)
    assert len(list(tmp_path.rglob("*.so"))) == (0 if is_orphan else 3)
    assert not mark_of(work).exists()


def test_helpers_begin_at_other_ends():
    """Each at the end of its own part, so that two meet as late as possible."""
    sources = [KernelSource(f"void NAME() {{ {at} }}", (), (1,), (1,)) for at in range(7)]
    parts, kernels = divide(sources, 3)
    assert [kernel[0] for kernel in kernels] == [0, 0, 0, 1, 1, 1, 2]
    assert all(f"void {name}()" in parts[part] for part, name, *_ in kernels)
    work = Work(0, (), "", parts, kernels, 0)
    assert work.order(0) == [0, 1, 2, 3, 4, 5, 6]
    assert work.order(1) == [5, 4, 3, 2, 1, 0, 6]
    assert work.order(2) == [6, 5, 4, 3, 2, 1, 0]


def test_few_kernels_or_one_unit_need_no_helper():
    """And many units do not start many processes."""
    assert processes_for(KERNELS_MIN - 1, 64) == processes_for(1000, 1) == 1
    assert processes_for(KERNELS_MIN, 2) == 2
    assert processes_for(1000, 64) == 1 + ahead.HELPERS_MAX
