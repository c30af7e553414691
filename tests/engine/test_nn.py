"""Layers: names, shapes, replaced parameters, and a small network that learns."""

from pathlib import Path

import numpy as np
import pytest

from engine import (
    SGD,
    AdamW,
    DType,
    Optimizer,
    Tensor,
    TensorType,
    TraceError,
    UsageError,
    jit,
    nn,
    realize,
    trace,
)
from engine import functional as F
from engine.state import safe_load


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


TORCH = safe_load(Path(__file__).parent / "torch_layers.safetensors")


class Block(nn.Module):
    """Layers under the names of the module that torch saved."""

    def __init__(self):
        self.norm = nn.LayerNorm(6)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.table = nn.Embedding(5, 6)
        self.up = nn.ConvTranspose1d(6, 2, 3, stride=2)

    def forward(self, index):
        x = self.norm(self.table(index))
        return self.up((x + self.attention(x, x, x)[0]).transpose(1, 2))


def test_state_that_torch_saved_gives_torchs_outputs():
    """Names, shapes and formulas are torch's; 64-bit counters become INT32."""
    layers = nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(16, 3)).eval()
    for module, prefix, inputs, expected in (
        (net, "net.", "x", "y"),
        (Block(), "block.", "i", "z"),
    ):
        own = {n.removeprefix(prefix): t for n, t in TORCH.items() if n.startswith(prefix)}
        module.load_state_dict(own)
        found = module(TORCH[inputs]).numpy()
        np.testing.assert_allclose(found, TORCH[expected].numpy(), rtol=2e-5, atol=2e-6)


def test_batch_norm_follows_the_batches_and_uses_what_it_learnt():
    """Eagerly the running statistics are replaced; in a copy they are returned."""
    layer = nn.BatchNorm2d(3)
    batches = [rng().standard_normal((4, 3, 2, 2)) * k + k for k in (1, 2, 3)]
    mean, var = np.zeros(3), np.ones(3)
    for x in batches:
        y = layer(Tensor(x))
        mean = 0.9 * mean + 0.1 * x.mean((0, 2, 3))
        var = 0.9 * var + 0.1 * x.var((0, 2, 3), ddof=1)
        np.testing.assert_allclose(y.numpy().mean((0, 2, 3)), np.zeros(3), atol=1e-6)
    assert layer.num_batches_tracked.item() == 3
    np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-5)
    np.testing.assert_allclose(layer.running_var.numpy(), var, rtol=1e-5)
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]

    expected = (batches[0] - mean[:, None, None]) / np.sqrt(var + 1e-5)[:, None, None]
    x = Tensor(batches[0])
    np.testing.assert_allclose(layer.eval()(x).numpy(), expected, rtol=1e-4, atol=1e-5)

    def step(inputs):
        called = layer.train().with_parameters(inputs["state"])
        return {"y": called(inputs["x"]), **called.buffers()}

    new = jit(step)({"state": layer.state_dict(), "x": x})
    layer(x)
    np.testing.assert_array_equal(new["running_mean"].numpy(), layer.running_mean.numpy())
    assert new["num_batches_tracked"].item() == 4


def test_statistics_of_the_last_batch_cost_no_run_of_their_own(monkeypatch):
    """They are computed in the run that computes the loss."""
    model = nn.Sequential(nn.Linear(6, 4, rng=rng()), nn.BatchNorm1d(4), nn.Linear(4, 1, rng=rng()))
    runs = []
    run = realize._run
    monkeypatch.setattr(realize, "_run", lambda values: (runs.append(len(values)), run(values))[1])
    for _ in range(2):
        model(Tensor(rng().standard_normal((8, 6)))).sum().item()
    assert runs == [4, 4]


def test_modules_in_lists_and_mappings_are_parts():
    """Names as in torch's ModuleList; training mode and parameters reach all of them."""
    model = nn.Sequential(nn.ReLU())
    model.layers = nn.ModuleList([nn.Linear(2, 2, rng=rng()), nn.BatchNorm1d(2)])
    model.more = {"a": nn.PReLU(), "pair": (nn.LayerNorm(3), 4)}
    assert list(model.state_dict()) == [
        "layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias",
        "layers.1.running_mean", "layers.1.running_var", "layers.1.num_batches_tracked",
        "more.a.weight", "more.pair.0.weight", "more.pair.0.bias",
    ]  # fmt: skip
    assert len(model.parameters()) == 7
    assert not any(module.training for module in model.eval().modules())
    assert sum(1 for _ in model.modules()) == 6
    doubled = {name: tensor * 2 for name, tensor in model.state_dict().items()}
    copy = model.with_parameters(doubled)
    assert copy.more["pair"][1] == 4
    assert copy.more["a"].weight.item() == 0.5
    assert model.more["a"].weight.item() == 0.25
    names = []
    model.apply(lambda module: names.append(type(module).__name__))
    assert names[:2] == ["Sequential", "Layer"]


def test_first_values_have_torchs_distributions():
    """Bounds and deviations; one seed, one model."""
    conv = nn.Conv2d(4, 50, 3, groups=2, rng=rng())
    assert conv.weight.shape == (50, 2, 3, 3)
    assert 0.9 < np.abs(conv.weight.numpy()).max() * np.sqrt(18) <= 1.0
    assert np.abs(conv.bias.numpy()).max() <= 1 / np.sqrt(18)
    up = nn.ConvTranspose2d(4, 6, 3, bias=False, rng=rng())
    assert up.weight.shape == (4, 6, 3, 3)
    assert up.bias is None
    shape = (300, 200)
    bounds = {"xavier_uniform": np.sqrt(6 / 500), "kaiming_uniform": np.sqrt(6 / 200)}
    for name, bound in bounds.items():
        drawn = np.abs(getattr(nn.init, name)(shape, rng=rng()).numpy())
        assert 0.99 * bound < drawn.max() <= bound
    for name, deviation in {"xavier_normal": np.sqrt(2 / 500), "kaiming_normal": 0.1}.items():
        drawn = getattr(nn.init, name)(shape, rng=rng()).numpy()
        assert abs(drawn.std() / deviation - 1) < 0.01
    nn.init.manual_seed(7)
    first = nn.Linear(3, 2).weight.numpy()
    nn.init.manual_seed(7)
    np.testing.assert_array_equal(nn.Linear(3, 2).weight.numpy(), first)
    with pytest.raises(UsageError, match="two axes"):
        nn.init.xavier_normal((3,))


def test_functions_as_layers_take_torchs_arguments():
    """Positional or named, as in torch.nn."""
    x = Tensor(rng().standard_normal((2, 4, 6, 6)))
    pairs = [
        (nn.LeakyReLU(negative_slope=0.2), F.leaky_relu(x, 0.2)),
        (nn.Softmax(dim=1), F.softmax(x, 1)),
        (nn.GELU(approximate="tanh"), F.gelu(x, "tanh")),
        (nn.MaxPool2d(3, 2, 1), F.max_pool2d(x, 3, 2, padding=1)),
        (nn.MaxPool2d(kernel_size=2, dilation=2), F.max_pool2d(x, 2, dilation=2)),
        (nn.AvgPool2d(3, 2, 1, True, False), F.avg_pool2d(x, 3, 2, 1, True, False)),
        (nn.Upsample(scale_factor=2), F.interpolate(x, scale_factor=2)),
        (nn.GroupNorm(2, 4), F.group_norm(x, 2)),
        (nn.InstanceNorm(4), F.instance_norm(x)),
        (nn.RMSNorm(6), F.rms_norm(x, 6)),
        (nn.Identity(1), x),
    ]
    for layer, expected in pairs:
        np.testing.assert_array_equal(layer(x).numpy(), expected.numpy())
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    target = Tensor([0, 3])
    np.testing.assert_array_equal(
        loss(x[:, :, 0, 0], target).numpy(),
        F.cross_entropy(x[:, :, 0, 0], target, label_smoothing=0.1).numpy(),
    )


def test_module_without_forward_says_so():
    """A layer must define forward."""
    with pytest.raises(NotImplementedError, match=r"Module\.forward"):
        nn.Module()(Tensor.zeros(1, dtype=DType.FLOAT32))


def test_dropout_scales_what_it_keeps():
    """The seed of `init` says what; nothing is dropped in use, and a trace refuses to draw."""
    layer, x = nn.Dropout(0.25), Tensor(np.ones((100, 100)))
    nn.init.manual_seed(3)
    y = layer(x).numpy()
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.02
    nn.init.manual_seed(3)
    np.testing.assert_array_equal(layer(x).numpy(), y)
    np.testing.assert_array_equal(nn.Dropout(1.0)(x).numpy(), x.numpy() * 0)
    np.testing.assert_array_equal(layer.eval()(x).numpy(), x.numpy())
    inputs = {"x": TensorType(DType.FLOAT32, (4,)), "key": TensorType(DType.UINT32, (2,))}
    with pytest.raises(TraceError, match="pass a key"):
        trace(lambda i: {"y": layer.train()(i["x"])}, inputs)
    assert trace(lambda i: {"y": layer(i["x"], i["key"])}, inputs).output_types
