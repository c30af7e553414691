"""The golden vectors cover every op, follow from the reference, and catch what they must."""

import json
import re
import runpy
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from engine import opencl
from engine.ops import Op
from engine.prelude import PRELUDE
from engine.reference import HostBuffer, ReferenceBackend
from engine.validate import validate
from engine.vectors import check_device, load, program_of

GENERATE = Path(__file__).parents[1] / "vectors" / "generate.py"


def test_the_file_is_what_the_generator_writes():
    """Nobody edits expected bits by hand."""
    stored = json.loads((files("engine") / "vectors.json").read_text("utf-8"))
    assert stored == runpy.run_path(str(GENERATE))["build"]()


def test_every_op_has_a_case():
    """All but INPUT, which every case uses; the Program of all cases is valid."""
    used = {node.op for case in load().cases for node, _ in case.nodes}
    assert used == set(Op) - {Op.INPUT}
    validate(program_of(load()))


def test_every_storage_type_is_cast_both_ways():
    """From each type to each other one."""
    casts = {name for name in (case.name for case in load().cases) if name.startswith("CAST value")}
    assert len(casts) == 8 * 7 + 2


def test_tests_and_wheel_share_one_file():
    """The file beside the tests is a link to the engine's."""
    link = GENERATE.with_name("arithmetic.json")
    assert link.is_symlink()
    assert link.samefile(str(files("engine") / "vectors.json"))


def test_the_reference_passes():
    """It defined them."""
    assert check_device(ReferenceBackend()) == []


@cache
def right_results():
    """The reference's outputs for all cases."""
    return ReferenceBackend().load(program_of(load()))(load().inputs)


@dataclass
class Flawed:
    """The reference with one bit of one output turned."""

    name: str
    element: int

    def load(self, program):
        def run(inputs):
            outputs = right_results()
            array = outputs[self.name].numpy()
            array.reshape(-1).view(f"u{array.itemsize}")[self.element] ^= 1
            return outputs | {self.name: HostBuffer(array)}

        return run


@pytest.mark.parametrize("number", range(len(load().cases)))
def test_one_wrong_bit_is_named_with_op_inputs_and_both_values(number):
    """In every case."""
    case = load().cases[number]
    (failure,) = check_device(Flawed(f"case{number:03}", 0))
    assert failure.startswith(f"{case.name}(")
    assert "expected 0x" in failure
    assert ", got 0x" in failure


def test_an_elementwise_failure_gives_the_bits_of_its_inputs():
    """So that it can be tried by hand."""
    (failure,) = check_device(Flawed("case000", 1))
    a, b = (load().inputs[name].view(np.uint32)[1] for name in "ab")
    assert failure.startswith(f"ADD FLOAT32({a:#x}, {b:#x}): ")


def broken_backend(*replacements: tuple[str, str]) -> opencl.OpenCLBackend:
    """The first device with a prelude that does something else."""
    device = opencl._devices()[0]
    variant = opencl._variants(device)[0]
    backend = opencl.OpenCLBackend(device, opencl._describe(0, device), variant.options)
    for old, new in replacements:
        assert old in PRELUDE
        backend._prelude = backend._prelude.replace(old, new)
    return backend


def test_contraction_is_noticed(monkeypatch):
    """A compiler that fuses a * b + c on its own, which is done here to its source, is refused."""
    backend = broken_backend()
    build = backend.build

    def contracting(source: str):
        product = r"(const float (\w+) = (\w+ \* \w+);.*?)= \2 \+ (\w+);"
        source, count = re.subn(product, contracted, source, flags=re.DOTALL)
        assert count
        return build(source)

    def contracted(match: re.Match[str]) -> str:
        a, b = match[3].split(" * ")
        return f"{match[1]}= FMA({a}, {b}, {match[4]});"

    monkeypatch.setattr(backend, "build", contracting)
    failures = check_device(backend)
    assert failures
    assert all(f.startswith("MUL FLOAT32 then ADD FLOAT32") for f in failures)


def test_flushed_subnormals_are_noticed():
    """Whatever the device says about itself: results are flushed here as some GPUs do."""
    flush = "fabs(a) < 0x1p-126f ? copysign(0.0f, a) : a != a ? as_float"
    failures = check_device(broken_backend(("return a != a ? as_float", f"return {flush}")))
    assert any(f.startswith("ADD FLOAT32") for f in failures)
    assert any(f.startswith("FMA FLOAT32") for f in failures) or len(failures) >= 20
