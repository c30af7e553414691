"""Optimizers against their published formulas in binary64, eagerly and traced."""

import numpy as np
import pytest

from engine import SGD, AdamW, Optimizer, Tensor, TensorType, UsageError, optim, trace
from engine.backend import open_backend

RNG = np.random.default_rng(2)
START = RNG.standard_normal((3, 2))
GRADIENTS = [RNG.standard_normal((3, 2)) for _ in range(12)]


def adamw(lr, betas, eps, decay):
    """Loshchilov and Hutter 2019, algorithm 2, with the learning rate in front of the decay."""
    p, m, v = START.copy(), np.zeros((3, 2)), np.zeros((3, 2))
    for t, g in enumerate(GRADIENTS, 1):
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        p = p * (1 - lr * decay)
        p -= lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
    return p


def sgd(lr, momentum, nesterov, decay):
    """torch.optim.SGD's documentation."""
    p, b = START.copy(), None
    for raw in GRADIENTS:
        g = raw + decay * p
        if momentum:
            b = g if b is None else momentum * b + g
            g = g + momentum * b if nesterov else b
        p = p - lr * g
    return p


def adam(lr, decay):
    """Kingma and Ba 2015, algorithm 1, with the decay in the gradient."""
    p, m, v = START.copy(), np.zeros((3, 2)), np.zeros((3, 2))
    for t, raw in enumerate(GRADIENTS, 1):
        g = raw + decay * p
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        p = p - lr * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return p


def rmsprop(lr, momentum):
    """torch.optim.RMSprop's documentation."""
    p, v, b = START.copy(), np.zeros((3, 2)), np.zeros((3, 2))
    for g in GRADIENTS:
        v = 0.99 * v + 0.01 * g * g
        b = momentum * b + g / (np.sqrt(v) + 1e-8)
        p = p - lr * b
    return p


def dampened(lr, momentum, dampening):
    """torch.optim.SGD: the first gradient is not dampened."""
    p, b = START.copy(), None
    for g in GRADIENTS:
        b = g if b is None else momentum * b + (1 - dampening) * g
        p = p - lr * b
    return p


def muon(lr, momentum, decay):
    """Jordan et al. 2024: five steps of their quintic on the momentum, wide side first."""
    p, b = START.copy(), np.zeros((3, 2))
    for g in GRADIENTS:
        b = momentum * b + (1 - momentum) * g
        x = (momentum * b + (1 - momentum) * g).T
        x = x / (np.linalg.norm(x) + 1e-7)
        for _ in range(5):
            a = x @ x.T
            x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
        p = p * (1 - lr * decay) - lr * np.sqrt(3 / 2) * x.T
    return p


def eager(rule):
    """Twelve steps of the torch-like optimizer."""
    p = Tensor(START, requires_grad=True)
    optimizer = Optimizer([("p", p)], rule)
    for g in GRADIENTS:
        optimizer.zero_grad()
        (p * Tensor(g)).sum().backward()
        optimizer.step()
    return p.numpy()


def traced(rule):
    """The same twelve steps as a Program, run on the reference backend."""
    p = {"p": Tensor(START)}
    state = {"p": p["p"].numpy()} | {f"s.{k}": t.numpy() for k, t in rule.init(p).items()}

    def step(i):
        inner = {name[2:]: tensor for name, tensor in i.items() if name.startswith("s.")}
        new, after = rule.step({"p": i["p"]}, {"p": i["g"]}, inner)
        return {**new, **{f"s.{name}": tensor for name, tensor in after.items()}}

    types = {name: TensorType(Tensor(a).dtype, a.shape) for name, a in state.items()}
    run = open_backend("reference").load(trace(step, {**types, "g": types["p"]}))
    for g in GRADIENTS:
        outputs = run({**state, "g": g.astype(np.float32)})
        state = {name: buffer.numpy() for name, buffer in outputs.items()}
    return state["p"]


CASES = [
    (AdamW(), adamw(1e-3, (0.9, 0.999), 1e-8, 1e-2)),
    (AdamW(0.1, (0.8, 0.99), 1e-6, 0.0), adamw(0.1, (0.8, 0.99), 1e-6, 0.0)),
    (SGD(0.1), sgd(0.1, 0.0, False, 0.0)),
    (SGD(0.1, 0.9), sgd(0.1, 0.9, False, 0.0)),
    (SGD(0.1, 0.9, True, 0.05), sgd(0.1, 0.9, True, 0.05)),
    (SGD(0.1, 0.9, dampening=0.3), dampened(0.1, 0.9, 0.3)),
    (optim.Adam(0.1, weight_decay=0.1), adam(0.1, 0.1)),
    (optim.RMSprop(0.01), rmsprop(0.01, 0.0)),
    (optim.RMSprop(0.01, momentum=0.5), rmsprop(0.01, 0.5)),
    (optim.Muon(0.02), muon(0.02, 0.95, 0.1)),
]


@pytest.mark.parametrize(("rule", "expected"), CASES)
def test_rule_is_its_formula(rule, expected):
    """Twelve steps agree with binary64 to single precision."""
    rtol = 2e-4 if isinstance(rule, optim.Muon) else 2e-6  # its quintic magnifies
    np.testing.assert_allclose(eager(rule), expected, rtol=rtol, atol=2e-6)


@pytest.mark.parametrize("rule", [rule for rule, _ in CASES])
def test_eager_and_traced_steps_have_the_same_bits(rule):
    """One arithmetic: the Program's parameters equal the eager ones bit for bit."""
    np.testing.assert_array_equal(eager(rule), traced(rule))


def test_state_starts_at_zero():
    """A step that finds zeros is the first step, whatever created them."""
    for rule in (AdamW(), SGD(0.1, 0.9)):
        for tensor in rule.init({"p": Tensor(START)}).values():
            assert not tensor.numpy().any()


def test_learning_rate_may_be_a_tensor():
    """A schedule enters as a tensor, and changes nothing but the rate."""
    np.testing.assert_allclose(eager(SGD(Tensor(0.1))), eager(SGD(0.1)), rtol=1e-6)
    np.testing.assert_allclose(eager(AdamW(Tensor(0.1))), eager(AdamW(0.1)), rtol=1e-6)


def test_missing_gradients_are_named():
    """A parameter without gradient, or gradients with other names, are errors."""
    optimizer = Optimizer([("layer.weight", Tensor(START, requires_grad=True))], SGD(0.1))
    with pytest.raises(UsageError, match=r"layer.weight has no gradient"):
        optimizer.step()
    with pytest.raises(UsageError, match=r"\['a', 'b'\]"):
        SGD(0.1).step({"a": Tensor(START)}, {"b": Tensor(START)}, {})


def test_optimizer_as_in_torch():
    """Made of tensors or of groups with options of their own; the rate may be changed."""
    a, b, c = (Tensor(START, requires_grad=True) for _ in range(3))
    both = optim.SGD([a, b], lr=0.1, momentum=0.9)
    one = optim.SGD([{"params": [("c", c)], "lr": 0.2}, {"params": []}], 0.1)
    assert isinstance(both, Optimizer)
    for i, g in enumerate(GRADIENTS[:3]):
        both.zero_grad()
        c.grad = Tensor(g)
        ((a + b * 2.0) * Tensor(g)).sum().backward()
        both.step()
        one.step()
        if i == 1:
            both.lr = 0.05
    p, q, v = START.copy(), START.copy(), np.zeros((3, 2))
    for g, lr in zip(GRADIENTS, (0.1, 0.1, 0.05), strict=False):
        v = 0.9 * v + g
        p, q = p - lr * v, q - lr * 2 * v
    np.testing.assert_allclose(a.numpy(), p, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(b.numpy(), q, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(c.numpy(), START - 0.2 * sum(GRADIENTS[:3]), rtol=1e-5, atol=1e-6)
    assert both.lr.item() == np.float32(0.05)
    assert one.lr == 0.2
    with pytest.raises(UsageError, match="Muon is for matrices"):
        optim.Muon(lr=0.1).step({"b": Tensor([1.0])}, {"b": Tensor([1.0])}, {"momentum.b": a})


def test_clipping_of_gradients_in_place():
    """By their joint norm, or each element."""
    a, b, c = (Tensor(x, requires_grad=True) for x in ([3.0, 0.0], [4.0], [1.0]))
    (a.square().sum() / 2 + b.square().sum() / 2).backward()
    assert optim.clip_grad_norm_([a, b, c], 1.0).item() == 5.0
    np.testing.assert_allclose(a.grad.numpy(), [0.6, 0.0], rtol=1e-6)
    optim.clip_grad_value_([a, b, c], 0.5)
    np.testing.assert_allclose([*a.grad.numpy(), *b.grad.numpy()], [0.5, 0.0, 0.5], rtol=1e-6)
    assert c.grad is None


def test_schedules_are_functions_of_the_step():
    """For a tensor of steps at once; the first step is 0."""
    step = Tensor.arange(12)
    at = np.arange(12)
    up, down = np.minimum((at + 1) / 4, 1), np.clip((at - 4) / 6, 0, 1)
    expected = {
        "linear": (optim.linear(step, 1.0, 0.2, 8), 1 - 0.8 * np.minimum(at / 8, 1)),
        "cosine": (
            optim.cosine(step, 1.0, 0.1, 10, warm_up=4),
            up * (0.1 + 0.45 * (1 + np.cos(np.pi * down))),
        ),
        "decay": (optim.decay(step, 0.5, 5), 0.5 * 0.1 ** (at // 5)),
    }
    for found, wanted in expected.values():
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5)
