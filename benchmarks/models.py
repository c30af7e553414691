"""The models of `benchmarks.steps`: their parameters, a batch, and their loss in every framework.

All frameworks start from the same numbers, so their losses can be compared. torch and tinygrad are
optional: they are imported where they are used. Parameters are named as in torch and hold its
shapes. The GPT is nanoGPT's for characters: no biases, no dropout, the embedding is the last layer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod, sqrt
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine import Tensor
from engine import functional as F

Arrays: TypeAlias = dict[str, NDArray[Any]]
Tensors: TypeAlias = Mapping[str, Any]
"""Named tensors of any of the frameworks."""

LAYERS, HEADS, WIDTH, CONTEXT, SEQUENCES, VOCABULARY = 4, 4, 128, 64, 12, 65
WIDTHS, BATCH, CLASSES = (784, 512, 512, 10), 128, 10


@dataclass(frozen=True, slots=True)
class Model:
    """A model and a batch; each loss takes named parameters, x and y of one framework."""

    name: str
    parameters: Arrays
    x: NDArray[Any]
    y: NDArray[Any]
    ours: Callable[[Tensors, Tensor, Tensor], Tensor]
    torch: Callable[[Tensors, Any, Any], Any]
    tinygrad: Callable[[Tensors, Any, Any], Any]


def gpt() -> Model:
    """4 layers, 4 heads, width 128, context 64, batch 12, 65 characters: 0.8 million parameters."""
    random = np.random.default_rng(0)
    shapes = {"wte": (VOCABULARY, WIDTH), "wpe": (CONTEXT, WIDTH), "ln_f": (WIDTH,)}
    for i in range(LAYERS):
        shapes |= {f"{i}.ln_1": (WIDTH,), f"{i}.attn": (3 * WIDTH, WIDTH)}
        shapes |= {f"{i}.proj": (WIDTH, WIDTH), f"{i}.ln_2": (WIDTH,)}
        shapes |= {f"{i}.fc": (4 * WIDTH, WIDTH), f"{i}.out": (WIDTH, 4 * WIDTH)}
    parameters = {
        name: np.float32(0.02) * random.standard_normal(shape).astype(np.float32)
        if len(shape) > 1
        else np.ones(shape, np.float32)
        for name, shape in shapes.items()
    }
    x, y = random.integers(0, VOCABULARY, (2, SEQUENCES, CONTEXT)).astype(np.int32)
    return Model("GPT", parameters, x, y, _gpt_ours, _gpt_torch, _gpt_tinygrad)


def _gpt_ours(p: Tensors, x: Tensor, y: Tensor) -> Tensor:
    n, t = x.shape
    heads = (n, t, HEADS, WIDTH // HEADS)
    row, column = Tensor.arange(t).reshape(t, 1), Tensor.arange(t)
    h = p["wte"][x] + p["wpe"]
    for i in range(LAYERS):
        z = F.layer_norm(h, weight=p[f"{i}.ln_1"]) @ p[f"{i}.attn"].T
        q, k, v = (
            z[..., j * WIDTH : (j + 1) * WIDTH].reshape(heads).transpose(1, 2) for j in range(3)
        )
        scores = q @ k.transpose(2, 3) * (1 / sqrt(WIDTH // HEADS))
        weights = F.softmax((row < column).where(float("-inf"), scores))
        h = h + (weights @ v).transpose(1, 2).reshape(n, t, WIDTH) @ p[f"{i}.proj"].T
        h = h + F.gelu(F.layer_norm(h, weight=p[f"{i}.ln_2"]) @ p[f"{i}.fc"].T) @ p[f"{i}.out"].T
    logits = F.layer_norm(h, weight=p["ln_f"]) @ p["wte"].T
    return F.cross_entropy(logits.reshape(n * t, VOCABULARY), y.reshape(n * t))


def _gpt_torch(p: Tensors, x: Any, y: Any) -> Any:
    from torch.nn import functional as f

    n, t = x.shape
    h = p["wte"][x] + p["wpe"]
    for i in range(LAYERS):
        z = f.layer_norm(h, (WIDTH,), p[f"{i}.ln_1"]) @ p[f"{i}.attn"].T
        q, k, v = (
            part.view(n, t, HEADS, WIDTH // HEADS).transpose(1, 2) for part in z.split(WIDTH, 2)
        )
        a = f.scaled_dot_product_attention(q, k, v, is_causal=True)
        h = h + a.transpose(1, 2).reshape(n, t, WIDTH) @ p[f"{i}.proj"].T
        z = f.layer_norm(h, (WIDTH,), p[f"{i}.ln_2"])
        h = h + f.gelu(z @ p[f"{i}.fc"].T) @ p[f"{i}.out"].T
    logits = f.layer_norm(h, (WIDTH,), p["ln_f"]) @ p["wte"].T
    return f.cross_entropy(logits.view(n * t, VOCABULARY), y.view(n * t))


def _gpt_tinygrad(p: Tensors, x: Any, y: Any) -> Any:
    n, t = x.shape
    h = p["wte"][x] + p["wpe"]
    for i in range(LAYERS):
        z = (h.layernorm() * p[f"{i}.ln_1"]) @ p[f"{i}.attn"].T
        q, k, v = (
            part.reshape(n, t, HEADS, WIDTH // HEADS).transpose(1, 2) for part in z.split(WIDTH, 2)
        )
        a = q.scaled_dot_product_attention(k, v, is_causal=True)
        h = h + a.transpose(1, 2).reshape(n, t, WIDTH) @ p[f"{i}.proj"].T
        h = h + ((h.layernorm() * p[f"{i}.ln_2"]) @ p[f"{i}.fc"].T).gelu() @ p[f"{i}.out"].T
    logits = (h.layernorm() * p["ln_f"]) @ p["wte"].T
    return logits.reshape(n * t, VOCABULARY).sparse_categorical_crossentropy(y.reshape(n * t))


def mlp() -> Model:
    """784-512-512-10 with ReLU, batch 128."""
    random = np.random.default_rng(0)
    shapes = {}
    for i, (before, after) in enumerate(pairwise(WIDTHS)):
        shapes |= {f"{i}.weight": (after, before), f"{i}.bias": (after,)}
    x = random.standard_normal((BATCH, WIDTHS[0])).astype(np.float32)
    y = random.integers(0, CLASSES, BATCH).astype(np.int32)
    return Model("MLP", _uniform(random, shapes), x, y, _mlp_ours, _mlp_torch, _mlp_tinygrad)


def _uniform(random: np.random.Generator, shapes: dict[str, tuple[int, ...]]) -> Arrays:
    """Parameters within 1 / sqrt(inputs of their layer)."""
    result = {}
    for name, shape in shapes.items():
        bound = 1 / sqrt(prod(shapes[name.replace("bias", "weight")][1:]))
        result[name] = random.uniform(-bound, bound, shape).astype(np.float32)
    return result


def _mlp_ours(p: Tensors, x: Tensor, y: Tensor) -> Tensor:
    x = F.relu(x @ p["0.weight"].T + p["0.bias"])
    x = F.relu(x @ p["1.weight"].T + p["1.bias"])
    return F.cross_entropy(x @ p["2.weight"].T + p["2.bias"], y)


def _mlp_torch(p: Tensors, x: Any, y: Any) -> Any:
    from torch.nn import functional as f

    x = f.relu(f.linear(x, p["0.weight"], p["0.bias"]))
    x = f.relu(f.linear(x, p["1.weight"], p["1.bias"]))
    return f.cross_entropy(f.linear(x, p["2.weight"], p["2.bias"]), y)


def _mlp_tinygrad(p: Tensors, x: Any, y: Any) -> Any:
    x = (x @ p["0.weight"].T + p["0.bias"]).relu()
    x = (x @ p["1.weight"].T + p["1.bias"]).relu()
    return (x @ p["2.weight"].T + p["2.bias"]).sparse_categorical_crossentropy(y)


def convolutional() -> Model:
    """Two 3x3 convolutions (16, 32 channels), each with ReLU and pooling, then a layer; 128 images.

    The net of examples/mnist.py.
    """
    random = np.random.default_rng(0)
    shapes = {"0.weight": (16, 1, 3, 3), "0.bias": (16,), "1.weight": (32, 16, 3, 3)}
    shapes |= {"1.bias": (32,), "2.weight": (CLASSES, 32 * 7 * 7), "2.bias": (CLASSES,)}
    x = random.standard_normal((BATCH, 1, 28, 28)).astype(np.float32)
    y = random.integers(0, CLASSES, BATCH).astype(np.int32)
    parameters = _uniform(random, shapes)
    return Model("convolutional", parameters, x, y, _conv_ours, _conv_torch, _conv_tinygrad)


def _conv_ours(p: Tensors, x: Tensor, y: Tensor) -> Tensor:
    for i in range(2):
        x = F.max_pool2d(F.relu(F.conv2d(x, p[f"{i}.weight"], p[f"{i}.bias"], padding=1)), 2)
    return F.cross_entropy(x.flatten(1) @ p["2.weight"].T + p["2.bias"], y)


def _conv_torch(p: Tensors, x: Any, y: Any) -> Any:
    from torch.nn import functional as f

    for i in range(2):
        x = f.max_pool2d(f.relu(f.conv2d(x, p[f"{i}.weight"], p[f"{i}.bias"], padding=1)), 2)
    return f.cross_entropy(f.linear(x.flatten(1), p["2.weight"], p["2.bias"]), y)


def _conv_tinygrad(p: Tensors, x: Any, y: Any) -> Any:
    for i in range(2):
        x = x.conv2d(p[f"{i}.weight"], p[f"{i}.bias"], padding=1).relu().max_pool2d(2)
    return (x.flatten(1) @ p["2.weight"].T + p["2.bias"]).sparse_categorical_crossentropy(y)


MODELS = {"gpt": gpt, "mlp": mlp, "convolutional": convolutional}
