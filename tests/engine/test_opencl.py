"""The OpenCL backend returns the bits of the reference, keeps its memory, and fails politely."""

import gc
import os
from itertools import product
from random import Random

import numpy as np
import pytest

from engine import TensorType, gradient, opencl, trace
from engine.backend import list_devices, open_backend
from engine.dtypes import DType
from engine.emit import Target
from engine.errors import DeviceError, UsageError
from engine.functional import cross_entropy, relu
from engine.nn import Linear
from engine.ops import Op
from engine.optim import AdamW
from engine.planner import live_bytes_max
from engine.program import Node, Program
from engine.reference import ReferenceBackend
from engine.schedule import schedule
from engine.validate import validate
from tests.engine.random_programs import random_inputs, random_program

F32 = DType.FLOAT32
PROGRAMS = int(os.environ.get("AINUR_RANDOM_PROGRAMS", "4"))


@pytest.fixture(scope="module")
def device():
    """The best device, admitted by its golden vectors."""
    return open_backend()


@pytest.fixture(scope="module")
def gpu_like():
    """A device that is given the kernels of a GPU: groups, local memory and barriers."""
    device = opencl._devices()[0]
    info = opencl._describe(0, device)
    variant = opencl._variants(device)[0]
    backend = opencl.OpenCLBackend(device, info, variant.options, variant.prelude)
    backend.target = Target(is_gpu=True, compute_units=info.compute_units)
    return backend


def assert_same_bits(backend, program: Program, inputs) -> None:
    """Every output of a program has the reference's bits."""
    validate(program)
    expected = ReferenceBackend().load(program)(inputs)
    actual = backend.load(program)(inputs)
    for name, buffer in expected.items():
        want, got = buffer.numpy(), actual[name].numpy()
        assert (got.dtype, got.shape) == (want.dtype, want.shape)
        assert got.tobytes() == want.tobytes(), name


def joined(seed: int, count: int) -> tuple[Program, dict[str, np.ndarray]]:
    """Several random programs beside each other in one, because every build costs time."""
    random = Random(seed)
    nodes, inputs, outputs, values = [], [], [], {}
    for number in range(count):
        part = random_program(random, steps=12)
        given = random_inputs(part, random)
        base = len(nodes)
        for n in part.nodes:
            read = tuple(base + i for i in n.inputs)
            nodes.append(Node(n.op, n.dtype, n.shape, read, n.attributes))
        inputs += [(f"p{number:02}.{name}", base + i) for name, i in part.inputs]
        outputs += [(f"p{number:02}.{name}", base + i) for name, i in part.outputs]
        values |= {f"p{number:02}.{name}": value for name, value in given.items()}
    return Program(tuple(nodes), tuple(inputs), tuple(outputs)), values


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_random_programs_have_the_bits_of_the_reference(device, seed):
    """Any graph, fused in any way, on special values."""
    assert_same_bits(device, *joined(seed, 4))


@pytest.mark.parametrize("seed", range(PROGRAMS // 2))
def test_kernels_for_gpus_have_the_bits_of_the_reference(gpu_like, seed):
    """The same with one work-item per element or lane."""
    assert_same_bits(gpu_like, *joined(1000 + seed, 4))


SHAPES = [(1, 4, 3, 24), (2, 9, 256, 5), (1, 33, 257, 50), (1, 130, 600, 10), (3, 1, 70, 31)]


@pytest.mark.parametrize("transposed", [False, True])
def test_products_of_all_shapes_have_the_bits_of_the_reference(device, transposed):
    """Edges of tiles, panels and blocks; operands read along either axis; bias and ReLU joined."""
    random = np.random.default_rng(1)
    nodes, inputs, outputs, values = [], [], [], {}

    def given(name, shape):
        inputs.append((name, len(nodes)))
        nodes.append(Node(Op.INPUT, F32, shape))
        values[name] = (random.standard_normal(shape) * 3).astype(np.float32)
        return len(nodes) - 1

    def add(*fields):
        nodes.append(Node(*fields))
        return len(nodes) - 1

    for number, (batch, m, k, n) in enumerate(SHAPES):
        a = given(f"{number}.a", (batch, k, m) if transposed else (batch, m, k))
        b = given(f"{number}.b", (batch, n, k) if transposed else (batch, k, n))
        bias = given(f"{number}.c", (n,))
        if transposed:
            a = add(Op.VIEW, F32, (batch, m, k), (a,), (0, m * k, 1, m))
            b = add(Op.VIEW, F32, (batch, k, n), (b,), (0, n * k, 1, k))
        out = add(Op.DOT, F32, (batch, m, n), (a, b))
        bias = add(Op.VIEW, F32, (batch, m, n), (bias,), (0, 0, 0, 1))
        shifted = add(Op.ADD, F32, (batch, m, n), (out, bias))
        zero = add(Op.CONST, F32, (batch, m, n), (), (0,))
        positive = add(Op.LT, DType.BOOL, (batch, m, n), (zero, shifted))
        relu = add(Op.SELECT, F32, (batch, m, n), (positive, shifted, zero))
        outputs.append((f"{number}.out", relu))
    assert_same_bits(device, Program(tuple(nodes), tuple(inputs), tuple(outputs)), values)


def doubling(shape=(64,)) -> Program:
    """x -> x + x."""
    nodes = (Node(Op.INPUT, F32, shape), Node(Op.ADD, F32, shape, (0, 0)))
    return Program(nodes, (("x", 0),), (("x", 1),))


def test_outputs_feed_the_next_call_without_a_copy(device):
    """State goes round on the device; buffers that are still held are never written again."""
    loaded = device.load(doubling())
    first = loaded({"x": np.ones(64, np.float32)})
    state = first
    for _ in range(10):
        state = loaded(state)
    assert state["x"].numpy().tolist() == [2048.0] * 64
    assert first["x"].numpy().tolist() == [2.0] * 64


def test_memory_of_dropped_buffers_is_used_again(device):
    """A long run with a constant state needs constant memory."""
    loaded = device.load(doubling((5000,)))
    state = loaded({"x": np.zeros(5000, np.float32)})
    for _ in range(5):
        state = loaded(state)
    gc.collect()
    held = device._pool.managed_bytes
    for _ in range(50):
        state = loaded(state)
    assert device._pool.managed_bytes == held


def test_an_input_that_is_an_output_is_returned_canonical(device):
    """A NaN with any payload comes back as the canonical one."""
    program = Program((Node(Op.INPUT, F32, (2,)),), (("x", 0),), (("y", 0),))
    given = np.array([0xFFC12345, 0x3F800000], np.uint32).view(np.float32)
    result = device.load(program)({"x": given})["y"].numpy()
    assert result.view(np.uint32).tolist() == [0x7FC00000, 0x3F800000]


def test_a_program_is_compiled_once(device):
    """Loading the same digest again gives the same kernels."""
    assert device.load(doubling((7,))) is device.load(doubling((7,)))


def test_a_program_too_large_is_refused_with_the_figures(device):
    """Nothing is allocated; the message has the need and the limit."""
    too_many = device.info.memory_bytes // 4
    with pytest.raises(DeviceError, match=str(device.info.memory_bytes)) as caught:
        device.load(doubling((too_many,)))
    assert str(too_many * 4 * 2) in str(caught.value)


def test_a_buffer_of_another_backend_is_refused(device):
    """The message says what to pass instead."""
    foreign = ReferenceBackend().upload(np.zeros(64, np.float32))
    with pytest.raises(UsageError, match=r"\.numpy\(\)"):
        device.load(doubling())({"x": foreign})


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, r"missing \['x'\]"),
        ({"x": np.zeros(64, np.float32), "y": np.zeros(1, np.float32)}, r"unknown \['y'\]"),
        ({"x": np.zeros(63, np.float32)}, r"FLOAT32 \(63,\)"),
        ({"x": np.zeros(64, np.int32)}, "INT32"),
        ({"x": np.zeros(64, np.float64)}, "float64"),
    ],
)
def test_wrong_inputs_are_refused(device, inputs, message):
    """Names, shapes and dtypes are the program's or nothing runs."""
    with pytest.raises(UsageError, match=message):
        device.load(doubling())(inputs)


def test_devices_are_listed_and_selected():
    """By index, by a part of the name, by nothing; the unknown is named with what there is."""
    devices = list_devices()
    assert [d.index for d in devices] == list(range(len(devices)))
    chosen = open_backend("0")
    assert open_backend(devices[0].name[:6]) is chosen
    assert open_backend("reference").name == "reference"
    with pytest.raises(DeviceError, match="no OpenCL device matches 'abacus'"):
        open_backend("abacus")


def test_a_device_with_wrong_bits_is_refused(monkeypatch):
    """Fast mathematics gives other NaNs: the error names an op, its inputs and both bits."""
    variants = [opencl._Variant(("-w", "-cl-fast-relaxed-math"))]
    monkeypatch.setattr(opencl, "_variants", lambda device: variants)
    monkeypatch.setattr(opencl, "_opened", {})
    with pytest.raises(DeviceError, match=r"ADD FLOAT32\(0x\w+, 0x\w+\): expected 0x7fc00000"):
        opencl.open_device(0)


def test_a_kernel_that_does_not_build_is_a_device_error(device):
    """A driver's failure never leaves as an exception of the driver."""
    with pytest.raises(DeviceError, match="building"):
        device.build("kernel void broken(")


@pytest.mark.parametrize("backend", ["device", "gpu_like"])
def test_short_folds_of_many_results_have_the_bits_of_the_reference(backend, request):
    """They are folded element by element, as elementwise ops are, beside others that read them."""
    random, nodes, outputs = Random(3), [], []
    for dtype in (F32, DType.INT32, DType.UINT32):
        for op, length in product((Op.SUM, Op.MAX), (1, 2, 3, 4, 7, 9)):
            at = len(nodes)
            nodes += [Node(Op.INPUT, dtype, (1030, length)), Node(op, dtype, (1030, 1), (at,))]
            nodes += [Node(Op.MUL, dtype, (1030, 1), (at + 1, at + 1))]
            outputs += [at + 1, at + 2]
    inputs = tuple((f"i{at:03}", at) for at, n in enumerate(nodes) if n.op is Op.INPUT)
    program = Program(tuple(nodes), inputs, tuple((f"o{at:03}", at) for at in outputs))
    assert all(kernel.seed is None for kernel in schedule(program).kernels)
    assert_same_bits(request.getfixturevalue(backend), program, random_inputs(program, random))


def test_intermediate_tensors_share_one_arena(device):
    """What is alive at once fits, and a chain of products needs two places for ever."""
    square = TensorType(F32, (64, 64))

    def chain(i):
        x = i["x"]
        for _ in range(9):
            x = x @ i["x"]
        return {"y": x}

    loaded = device.load(trace(chain, {"x": square}))
    assert loaded.memory_plan.arenas == (2 * 64 * 64 * 4,)
    assert live_bytes_max(loaded.lifetimes) == 2 * 64 * 64 * 4


def test_twenty_training_steps_have_the_bits_of_the_reference(device):
    """State that goes round on either backend ends as the same parameters and moments."""
    rng = np.random.default_rng(5)
    first, second = Linear(64, 32, rng=rng), Linear(32, 10, rng=rng)
    layers = {"a": first, "b": second}
    parameters = {f"{n}.{k}": t for n, m in layers.items() for k, t in m.state_dict().items()}
    start = parameters | AdamW().init(parameters)

    def step(i):
        current = {name: i[name] for name in parameters}
        hidden = relu(i["x"] @ current["a.weight"].transpose() + current["a.bias"])
        logits = hidden @ current["b.weight"].transpose() + current["b.bias"]
        loss = cross_entropy(logits, i["y"])
        gradients = dict(zip(current, gradient(loss, *current.values()), strict=True))
        new, moments = AdamW(lr=1e-2).step(current, gradients, {n: i[n] for n in start})
        return new | moments | {"loss": loss}

    types = {name: TensorType(t.dtype, t.shape) for name, t in start.items()}
    types |= {"x": TensorType(F32, (48, 64)), "y": TensorType(DType.INT32, (48,))}
    program = trace(step, types)
    x = rng.standard_normal((20, 48, 64)).astype(np.float32)
    y = rng.integers(0, 10, (20, 48)).astype(np.int32)
    ends = []
    for backend in (ReferenceBackend(), device):
        loaded = backend.load(program)
        state = {name: backend.upload(t.numpy()) for name, t in start.items()}
        losses = []
        for at in range(20):
            outputs = loaded(state | {"x": x[at], "y": y[at]})
            losses.append(float(outputs.pop("loss").numpy()))
            state = outputs
        assert losses[-1] < losses[0]
        ends.append({name: buffer.numpy().tobytes() for name, buffer in state.items()})
    assert ends[0] == ends[1]


@pytest.mark.parametrize(
    ("allowed", "given", "expected"),
    [
        (range(4), {}, "1"),
        (range(2), {}, None),
        (range(4), {"POCL_AFFINITY": "0"}, "0"),
        (range(4), {"POCL_MAX_PTHREAD_COUNT": "1"}, None),
    ],
    ids=["all processors", "some processors", "chosen", "threads chosen"],
)
def test_threads_are_pinned_where_nobody_chose(monkeypatch, allowed, given, expected) -> None:
    """Four processors; the variable that PoCL reads when its devices are listed."""
    for name in ("POCL_AFFINITY", "POCL_MAX_PTHREAD_COUNT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(allowed), raising=False)
    list_devices()
    assert os.environ.get("POCL_AFFINITY") == expected
