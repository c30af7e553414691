"""Layers: names, shapes, replaced parameters, and a small network that learns."""

import numpy as np
import pytest

from engine import SGD, AdamW, DType, Optimizer, Tensor, UsageError, nn
from engine import functional as F


def rng():
    return np.random.default_rng(0)


def mlp():
    seeded = rng()
    return nn.Sequential(nn.Linear(6, 16, rng=seeded), nn.ReLU(), nn.Linear(16, 3, rng=seeded))


def test_parameters_are_named_as_in_torch():
    """Sequential numbers its layers; Linear has weight (out, in) and bias."""
    state = mlp().state_dict()
    assert {name: t.shape for name, t in state.items()} == {
        "0.weight": (16, 6), "0.bias": (16,), "2.weight": (3, 16), "2.bias": (3,),
    }  # fmt: skip
    assert all(t.requires_grad for t in state.values())
    assert list(nn.Linear(2, 3, bias=False, rng=rng()).state_dict()) == ["weight"]


def test_linear_is_affine():
    """x @ weight.T + bias, for any number of leading axes."""
    layer = nn.Linear(4, 3, rng=rng())
    x = rng().standard_normal((2, 5, 4)).astype(np.float32)
    expected = x @ layer.weight.numpy().T + layer.bias.numpy()
    np.testing.assert_allclose(layer(Tensor(x)).numpy(), expected, rtol=1e-5, atol=1e-6)
    bound = 1 / np.sqrt(4)
    assert np.abs(layer.weight.numpy()).max() <= bound


def test_initial_values_are_the_seeds():
    """The same seed gives the same network."""
    for name, tensor in mlp().state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), mlp().state_dict()[name].numpy())


def test_other_layers():
    """Embedding, LayerNorm, GELU and Flatten do what functional does."""
    table = nn.Embedding(7, 4, rng=rng())
    x = table(Tensor([[1, 2], [6, 0]]))
    np.testing.assert_array_equal(x.numpy()[1, 0], table.weight.numpy()[6])
    y = nn.LayerNorm(4)(x)
    np.testing.assert_array_equal(y.numpy(), F.layer_norm(x).numpy())
    assert nn.Flatten()(nn.GELU()(y)).shape == (2, 8)


def test_functional_call_uses_the_given_parameters():
    """A model runs with other tensors in place of its own, which stay."""
    model, x = mlp(), Tensor(rng().standard_normal((2, 6)))
    zeros = {name: t.zeros_like() for name, t in model.state_dict().items()}
    before = model(x).numpy()
    np.testing.assert_array_equal(nn.functional_call(model, zeros, x).numpy(), np.zeros((2, 3)))
    np.testing.assert_array_equal(model(x).numpy(), before)
    with pytest.raises(UsageError, match=r"missing \['0.bias'\], unknown \['zero'\]"):
        nn.functional_call(model, {**dict(list(zeros.items())[:1]), "2.weight": zeros["2.weight"],
                                   "2.bias": zeros["2.bias"], "zero": x}, x)  # fmt: skip


def test_load_state_dict_checks_types():
    """Loaded tensors must fit; then the models agree."""
    model, other = mlp(), mlp()
    changed = {name: t + 1 for name, t in model.state_dict().items()}
    other.load_state_dict(changed)
    np.testing.assert_array_equal(other.state_dict()["0.bias"].numpy(), changed["0.bias"].numpy())
    changed["0.bias"] = Tensor.zeros(17)
    with pytest.raises(UsageError, match=r"0.bias is .*\(16,\).*\(17,\)"):
        other.load_state_dict(changed)


@pytest.mark.parametrize("rule", [AdamW(lr=0.02), SGD(lr=0.3, momentum=0.9, nesterov=True)])
def test_small_network_learns(rule):
    """A two-layer network fits three classes in forty steps."""
    x = rng().standard_normal((48, 6)).astype(np.float32)
    y = (x @ rng().standard_normal((6, 3))).argmax(1).astype(np.int32)
    model, inputs, target = mlp(), Tensor(x), Tensor(y)
    optimizer = Optimizer(model.named_parameters(), rule)
    first = F.cross_entropy(model(inputs), target).item()
    for _ in range(40):
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), target).backward()
        optimizer.step()
    assert F.cross_entropy(model(inputs), target).item() < first / 4
    assert F.accuracy(model(inputs), target).item() > 0.95


def test_module_without_forward_says_so():
    """A layer must define forward."""
    with pytest.raises(NotImplementedError, match=r"Module\.forward"):
        nn.Module()(Tensor.zeros(1, dtype=DType.FLOAT32))
