"""Tracing: a function on tensors becomes the same Program every time, or says why not."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine import DType, Tensor, TensorType, TraceError, UsageError, gradient, jit, nn, trace
from engine.backend import Backend, list_devices, open_backend, set_default_backend
from engine.functional import cross_entropy, relu
from engine.ops import Op
from engine.optim import AdamW, Optimizer

F32, I32 = DType.FLOAT32, DType.INT32
X = {"x": TensorType(F32, (3, 4))}
OUTER = Tensor(1.0)


def ops(program):
    """The ops of a Program, in order, without its inputs."""
    return [node.op for node in program.nodes if node.op is not Op.INPUT]


def test_traced_program_does_what_the_function_does():
    """The Program's outputs are the function's, bit for bit, and so are its names."""

    def function(i):
        return {"b": (i["x"].T @ i["x"]).exp(), "a": i["x"].sum(0) + i["y"]}

    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    y = np.ones(4, np.float32)
    program = trace(function, {**X, "y": TensorType(F32, (4,))})
    assert program.input_types == {"x": (F32, (3, 4)), "y": (F32, (4,))}
    assert program.output_types == {"a": (F32, (4,)), "b": (F32, (4, 4))}
    outputs = open_backend("reference").load(program)({"x": x, "y": y})
    expected = function({"x": Tensor(x), "y": Tensor(y)})
    for name, tensor in expected.items():
        np.testing.assert_array_equal(outputs[name].numpy(), tensor.numpy())


def test_common_subexpressions_are_merged():
    """The same computation written twice is in the table once."""
    program = trace(lambda i: {"y": i["x"].exp() * 2.0, "z": i["x"].exp() * 2.0 + 7.0}, X)
    once = trace(lambda i: {"y": i["x"].exp() * 2.0}, X)
    assert len(program.nodes) == len(once.nodes) + 2  # the constant 7 and the addition
    assert len(set(program.nodes)) == len(program.nodes)


def test_dead_code_is_dropped():
    """What no output needs is not in the Program; an unused input is."""
    program = trace(lambda i: {"y": (i["x"] * 3.0, i["x"] + 1.0)[1]}, {**X, "z": X["x"]})
    assert ops(program) == [Op.CONST, Op.ADD]
    assert program.input_types.keys() == {"x", "z"}


def test_movement_is_merged_to_one_view():
    """A chain of affine movement is one VIEW; one that cancels out is none."""
    chain = trace(lambda i: {"y": i["x"].T.flip(0)[1:].unsqueeze(0).expand(2, 3, 3)}, X)
    assert ops(chain) == [Op.VIEW]
    assert chain.nodes[-1].attributes == (2, 0, -1, 4)
    nothing = trace(lambda i: {"y": i["x"].T.T.reshape(12).flip(0).flip(0).reshape(3, 4)}, X)
    assert nothing.outputs == (("y", 0),)


def test_reshape_that_is_not_affine_takes_two_views():
    """The transposed matrix is laid out before it is reshaped."""
    assert ops(trace(lambda i: {"y": i["x"].T.reshape(12)[::2]}, X)) == [Op.VIEW, Op.VIEW]
    assert ops(trace(lambda i: {"y": i["x"].T.reshape(2, 2, 3)}, X)) == [Op.VIEW]


def test_views_of_constants_are_constants():
    """Nothing is read where the elements are known."""
    program = trace(lambda i: {"y": i["x"] + Tensor.ones(4, 1).detach().T.expand(3, 4).flip(0)}, X)
    assert ops(program) == [Op.CONST, Op.ADD]


def test_neutral_operations_vanish():
    """x * 1, x / 1, x ** 1, i + 0, casts to the same dtype and sums of one element."""
    x = trace(lambda i: {"y": (1 * i["x"] / 1.0).float().unsqueeze(0).sum(0) ** 1}, X)
    assert ops(x) == []
    assert ops(trace(lambda i: {"y": i["x"] + 0.0}, X)) == [Op.CONST, Op.ADD]  # -0 + 0 is +0


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda i: {"y": i["x"] * i["x"].sum().item()}, "must not look at elements"),
        (lambda i: {"y": i["x"] if i["x"].sum() > 0 else -i["x"]}, "must not look at elements"),
        (lambda i: {"y": i["x"].numpy()}, "must not look at elements"),
        (lambda i: {"y": i["x"] * OUTER.item()}, "pass in what it reads"),
        (lambda i: {"y": i["x"] * float(Tensor(2.0))}, "must not look at elements"),
        (lambda i: {"y": i["x"], "z": OUTER.assign(OUTER + 1.0)}, "return what it changes"),
        (lambda i: {"y": i["x"].assign(i["x"] + 1.0)}, "return what it changes"),
        (lambda i: {"y": i["x"], "z": i["x"].sum().backward()}, r"use gradient\(loss"),
        (lambda i: {"y": i["x"] + Tensor([1.0, 2.0, 3.0, 4.0])}, r"FLOAT32 \(4,\) that holds data"),
        (lambda i: i["x"], "must return named tensors"),
        (lambda i: {}, "must return named tensors"),
        (lambda i: {"y": 1.0}, "output 'y' must be a Tensor, not float"),
        (lambda i: {1: i["x"]}, "output 1"),
        (lambda i: {"a b": i["x"]}, "output name 'a b'"),
        (lambda i: {"y": i["x"].reshape(*[1] * 11, 3, 4)}, "rank: 13"),
        (lambda i: {"y": i["x"].expand(2**30, 3, 4)}, "elements"),
    ],
)
def test_what_cannot_be_traced_says_why(function, message):
    """A function that looks at elements or captures data raises TraceError."""
    with pytest.raises(TraceError, match=message):
        trace(function, X)


def test_a_failed_trace_ends():
    """After a TraceError elements can be looked at again, and the tensor is what it was."""
    with pytest.raises(TraceError):
        trace(lambda i: {"y": i["x"] * OUTER.assign(OUTER + 1.0)}, X)
    assert OUTER.item() == 1.0


def test_a_symbol_that_leaked_has_no_elements():
    """What was kept from inside a trace says so when it is looked at."""
    leaked = {}
    trace(lambda i: leaked.update(y=i["x"] * 2.0) or {"y": i["x"]}, X)
    with pytest.raises(TraceError, match="symbolic input 'x' has no elements: return it"):
        leaked["y"].numpy()


def test_a_symbol_of_another_trace_is_refused():
    """A tensor that leaked from one trace cannot enter another."""
    leaked = {}
    trace(lambda i: leaked.update(i) or {"y": i["x"]}, X)
    with pytest.raises(TraceError, match=r"'x' FLOAT32 .* another trace"):
        trace(lambda i: {"y": i["z"] + leaked["x"]}, {"z": X["x"]})


STEP = """
from engine import AdamW, DType, TensorType, gradient, trace
from engine.functional import cross_entropy, gelu
F = DType.FLOAT32
rule = AdamW(lr=1e-2)
names = ["w1", "w2", "bias"]
def step(i):
    p = {n: i[n] for n in names}
    loss = cross_entropy(gelu(i["x"] @ p["w1"]) @ p["w2"] + p["bias"], i["y"])
    g = dict(zip(names, gradient(loss, *p.values())))
    new, state = rule.step(p, g, {n: i["s." + n] for n in rule.init(p)})
    return {**new, **{"s." + n: t for n, t in state.items()}, "loss": loss}
types = {"x": TensorType(F, (8, 4)), "y": TensorType(DType.INT32, (8,)),
         "w1": TensorType(F, (4, 6)), "w2": TensorType(F, (6, 3)), "bias": TensorType(F, (3,))}
types |= {f"s.{k}.{n}": types[n] for k in "mv" for n in names}
types |= {"s.bias1": TensorType(F, ()), "s.bias2": TensorType(F, ())}
print(trace(step, types).digest.hex())
"""


def test_tracing_is_deterministic_across_processes():
    """The same function gives the same bytes whatever the hash seed."""
    root = Path(__file__).parents[2]
    digests = {
        subprocess.run(
            [sys.executable, "-c", STEP],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "12345")
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == 64


class Net(nn.Module):
    """A small classifier."""

    def __init__(self):
        rng = np.random.default_rng(3)
        self.hidden = nn.Linear(6, 16, rng=rng)
        self.output = nn.Linear(16, 3, rng=rng)

    def forward(self, x):
        return self.output(relu(self.hidden(x)))


def batches(count):
    """Reproducible batches of ten."""
    random = np.random.default_rng(5)
    for _ in range(count):
        x = random.standard_normal((10, 6)).astype(np.float32)
        yield Tensor(x), Tensor((x[:, 0] > 0).astype(np.int32))


def devices() -> list[Backend]:
    """The reference, and the best device where there is one."""
    return [open_backend("reference"), *([open_backend("")] if list_devices() else [])]


@pytest.fixture
def default_backend():
    """Set the default backend for one test."""
    yield set_default_backend
    set_default_backend(None)


@pytest.mark.parametrize("backend", devices(), ids=lambda backend: backend.name)
def test_jitted_training_gives_the_bits_of_eager_training(backend, default_backend):
    """Ten steps of AdamW, once with backward and an Optimizer, once as one Program per step."""
    default_backend(backend)
    model = Net()
    rule = AdamW(lr=1e-2)

    @jit
    def step(parameters, moments, x, y):
        loss = cross_entropy(nn.functional_call(model, parameters, x), y)
        gradients = dict(zip(parameters, gradient(loss, *parameters.values()), strict=True))
        return rule.step(parameters, gradients, moments), loss

    parameters = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    moments = rule.init(parameters)
    jitted = []
    for x, y in batches(10):
        (parameters, moments), loss = step(parameters, moments, x, y)
        jitted.append(loss.numpy())

    optimizer = Optimizer(model.named_parameters(), rule)
    eager = []
    for x, y in batches(10):
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        eager.append(loss.numpy())

    np.testing.assert_array_equal(jitted, eager)
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(parameters[name].numpy(), tensor.numpy(), err_msg=name)


def test_jitted_function_runs_its_python_twice():
    """The second call confirms the first; then the Program alone runs."""
    calls = []

    @jit
    def double(x):
        calls.append(x)
        return x * 2.0

    for n in range(5):
        assert double(Tensor([float(n)])).numpy() == [2.0 * n]
    assert len(calls) == 2


def test_jit_takes_and_gives_any_nesting():
    """Dicts, lists, tuples, None, numbers and keywords come through."""

    @jit
    def function(pair, *, scale, flip=False, extra=None):
        a, b = pair
        total = (a["x"] + b[0]) * scale
        return {"total": -total if flip else total, "parts": [a["x"], (extra, b[0])]}

    pair = ({"x": Tensor([1.0, 2.0])}, [Tensor(3.0)])
    for _ in range(3):
        for flip in (False, True):
            result = function(pair, scale=2, flip=flip)
            expected = [-8.0, -10.0] if flip else [8.0, 10.0]
            np.testing.assert_array_equal(result["total"].numpy(), expected)
            first, (nothing, second) = result["parts"]
            np.testing.assert_array_equal(first.numpy(), [1.0, 2.0])
            assert (nothing, second.item()) == (None, 3.0)


def test_jit_tells_numbers_of_different_types_apart():
    """1, True and 1.0 are equal in Python, but not beside an integer tensor."""
    function = jit(lambda x, n: x * n)
    x = Tensor([3, 4])
    assert [function(x, n).dtype for n in (1, 1.0, True)] == [I32, F32, I32]


def test_results_that_alias_are_independent():
    """A result that is an argument, or the same as another result, is not tied to it."""

    @jit
    def function(x):
        y = x + 1.0
        return x, y, y

    for _ in range(3):
        given = Tensor([1.0])
        same, first, second = function(given)
        first.assign(Tensor([7.0]))
        same.assign(Tensor([9.0]))
        assert [t.item() for t in (given, same, first, second)] == [1.0, 9.0, 7.0, 2.0]


def test_one_tensor_given_twice_is_one_argument():
    """The gradient by it counts both places, as it does without jit."""

    def function(a, b):
        return gradient((a * b).sum(), a)[0]

    x, z = Tensor([3.0]), Tensor([5.0])
    jitted = jit(function)
    for _ in range(3):
        assert jitted(x, z).item() == function(x, z).item() == 5.0
        assert jitted(x, x).item() == function(x, x).item() == 6.0


def test_an_argument_made_from_another_is_refused():
    """Its gradient would be lost; detached or computed inside, it is clear what is meant."""
    jitted = jit(lambda a, b: gradient((a * b).sum(), a)[0])
    x = Tensor([3.0])
    with pytest.raises(TraceError, match="computed from another one"):
        jitted(x, x * 2.0)
    assert jitted(x, (x * 2.0).detach()).item() == 6.0


def test_a_new_shape_gets_a_program_until_there_are_too_many():
    """Shapes may change a few times, never silently and never without end."""
    total = jit(lambda x: x.sum())
    for n in (1, 2, 3, 4, 5, 6, 7, 8, 1, 8):
        assert total(Tensor.ones(n)).item() == n
    with pytest.raises(TraceError, match=r"over 8 kinds of arguments.*\(9,\).*pad to a few shapes"):
        total(Tensor.ones(9))
    assert total(Tensor.ones(5)).item() == 5


def test_jit_follows_the_default_backend(default_backend):
    """A device chosen later runs the same Program."""
    total = jit(lambda x: x.exp().sum())
    x = Tensor(np.linspace(-1, 1, 1000))
    found = []
    for backend in devices() * 2:
        default_backend(backend)
        found.append(total(x).item())
    assert len(set(found)) == 1


def test_a_jitted_function_inside_a_trace_is_part_of_it():
    """Nothing is run while a larger function is traced."""
    inner = jit(lambda x: x * 2.0)
    assert ops(trace(lambda i: {"y": inner(i["x"]) + 1.0}, X)) == [
        Op.CONST, Op.MUL, Op.CONST, Op.ADD,
    ]  # fmt: skip


class Counter:
    """Python state that a Program does not have."""

    count = 0.0

    def next(self):
        self.count += 1.0
        return self.count


COUNTER, RANDOM = Counter(), np.random.default_rng(0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lambda x, c=COUNTER: x * c.next(), "another Program at its second call"),
        (lambda: lambda x, r=RANDOM: x * r.random(), "another Program"),
        (lambda: lambda x, m=[]: x * len(m.append(0) or m), "another Program"),
        (lambda: lambda x: x * OUTER, "holds data was captured"),
        (lambda: lambda x: x * x.sum().item(), "must not look at elements"),
        (lambda: lambda x: (x, 1.0), "must return Tensors, not 1.0"),
        (lambda: lambda x: x.shape, "must return Tensors, not 2"),
        (lambda: lambda x: Optimizer([("x", x)], AdamW()).step(), "."),
    ],
)
def test_what_jit_cannot_do_faithfully_says_why(make, message):
    """By the second call at the latest."""
    function = jit(make())
    with pytest.raises((TraceError, UsageError), match=message):
        [function(Tensor([1.0, 2.0])) for _ in range(2)]


@pytest.mark.parametrize("argument", [np.ones(3), {"x": np.float32(1)}, [object()]])
def test_jit_refuses_arguments_that_it_cannot_follow(argument):
    """An array would be baked into the Program."""
    with pytest.raises(TraceError, match="a jitted function takes Tensors, numbers and strings"):
        jit(lambda x: Tensor(1.0))(argument)
