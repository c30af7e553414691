"""Random Programs have the reference's bits on every device that is there, and a fault is found."""

import json
from argparse import Namespace
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import devices
from benchmarks.devices import numbered_program, shrink
from engine.backend import list_devices
from engine.dtypes import DType
from engine.ops import Op
from engine.program import Program, decode, encode
from engine.reference import HostBuffer, ReferenceBackend, evaluate
from engine.validate import validate


def options(state, **changes):
    """Those of the command."""
    given = {"device": [], "gpu_kernels": False, "programs": 25, "seed": 9, "batch": 25}
    return Namespace(state=state, failures=str(state.parent / "failures"), **(given | changes))


@pytest.mark.skipif(not list_devices(), reason="no OpenCL device")
def test_every_device_has_the_references_bits(tmp_path, capsys):
    """The first Programs of a seed; the state says what was run, and the next run goes on."""
    state = tmp_path / "state.json"
    assert devices.compare_programs(options(state)) == 0
    done = json.loads(state.read_text())
    assert (done["programs"], done["failures"]) == (25, 0)
    assert done["outputs"] >= 25 * len(list_devices())
    assert len(done["ops"]) > 15
    capsys.readouterr()
    assert devices.compare_programs(options(state)) == 0
    assert "from Program 25" in capsys.readouterr().out
    assert json.loads(state.read_text())["outputs"] == done["outputs"]
    with pytest.raises(SystemExit, match="is of seed 9"):
        devices.compare_programs(options(state, seed=10))


def test_programs_are_always_the_same_and_differ():
    """By seed and number; all of them are valid, and together they have every op."""
    programs = [numbered_program(4, index)[0] for index in range(400)]
    assert programs[:40] == [numbered_program(4, index)[0] for index in range(40)]
    assert programs[7] != numbered_program(5, 7)[0]
    for program in programs:
        validate(program)
        assert decode(encode(program)) == program
    nodes = [node for program in programs for node in program.nodes]
    assert {node.op for node in nodes} == set(Op)
    assert {node.dtype for node in nodes} == set(DType)


def test_inputs_are_full_of_special_values():
    """NaNs that are not canonical, infinities, subnormals and both zeros."""
    values = [a for i in range(1, 60) for a in numbered_program(4, i)[1].values()]
    bits = np.concatenate([a.reshape(-1).view(np.uint32) for a in values if a.dtype == np.float32])
    for special in (0xFFC12345, 0x7F800001, 0x7F800000, 0xFF800000, 1, 0x007FFFFF, 0, 0x80000000):
        assert special in bits


class WrongMul(ReferenceBackend):
    """A device whose products of float32 have a wrong last bit where they are above 1."""

    def load(self, program: Program):
        def run(inputs):
            swapped = [replace(n, op=Op.ADD) if is_wrong(n) else n for n in program.nodes]
            values = evaluate(replace(program, nodes=tuple(swapped)), inputs)
            return {name: HostBuffer(values[index]) for name, index in program.outputs}

        return run


def is_wrong(node):
    return node.op is Op.MUL and node.dtype is DType.FLOAT32


def test_a_difference_is_cut_down_to_what_matters(tmp_path, capsys):
    """One wrong op in a loss with gradients: few nodes are left, printed with bits, and saved."""
    backend = WrongMul()
    fails = devices._fails
    for index in range(0, 200, 25):
        program, inputs = numbered_program(6, index)
        if any(map(is_wrong, program.nodes)) and fails(backend, program, inputs):
            break
    small, values = shrink(program, inputs, lambda p, i: fails(backend, p, i))
    validate(small)
    assert fails(backend, small, values)
    computed = [node for node in small.nodes if node.op is not Op.INPUT]
    assert [node.op for node in computed] == [Op.MUL]
    assert len(program.nodes) > 20
    devices._report(backend, "broken", options(tmp_path / "s", seed=6), index, "loss")
    text = capsys.readouterr().out
    assert f"DIFFERS: --seed 6, Program {index}" in text
    assert "MUL FLOAT32" in text
    assert "elements differ; element" in text
    saved = tmp_path / "failures" / f"6-{index}"
    again = decode((saved / "program.bin").read_bytes())
    assert fails(backend, again, dict(np.load(saved / "inputs.npz")))


def test_what_fails_only_together_is_kept_together():
    """A fault of fusion, say: the nodes between the two that it takes."""
    program, inputs = numbered_program(6, 25)
    ops = [node.op for node in program.nodes]
    assert Op.SUM in ops

    def fails(candidate, _):
        ops = {node.op for node in candidate.nodes}
        return {Op.MUL, Op.SUM} <= ops

    small, _ = shrink(program, inputs, fails)
    validate(small)
    computed = [node.op for node in small.nodes if node.op is not Op.INPUT]
    assert {Op.MUL, Op.SUM} <= set(computed)
    assert len(computed) < len(program.nodes) / 3
