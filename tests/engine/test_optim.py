"""Optimizers against their published formulas in binary64, eagerly and traced."""

import numpy as np
import pytest

from engine import SGD, AdamW, Optimizer, Tensor, TensorType, UsageError, trace
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
]


@pytest.mark.parametrize(("rule", "expected"), CASES)
def test_rule_is_its_formula(rule, expected):
    """Twelve steps agree with binary64 to single precision."""
    np.testing.assert_allclose(eager(rule), expected, rtol=2e-6, atol=2e-6)


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
