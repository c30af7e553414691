"""Layers, named as in torch.nn: objects that hold parameters and are called.

A parameter is a Tensor attribute; layers nest as attributes, in lists or in mappings. Names in
`state_dict` and the distributions of first values are torch's, so that weights move both ways.
`functional_call` runs a layer with other tensors in place of its own, which is how a model enters a
traced step: the parameters come in as inputs and go out as outputs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from math import prod, sqrt
from typing import Any, Self

import numpy as np

from engine import functional as F
from engine import init, optim, state
from engine.dtypes import DType
from engine.init import Rng
from engine.realize import defer, is_tracing
from engine.state import named_tensors, parts, require_fit
from engine.tensor import Tensor
from engine.windows import Sizes, per_axis

__all__ = ["init", "optim", "state"]
ModuleList = list


class Module:
    """A layer: its Tensor attributes are parameters, its Module attributes are part of it."""

    training = True
    buffer_names: frozenset[str] = frozenset()

    def forward(self, *inputs: Any, **options: Any) -> Tensor:
        """What the layer computes."""
        raise NotImplementedError(f"{type(self).__name__}.forward")

    def __call__(self, *inputs: Any, **options: Any) -> Tensor:
        return self.forward(*inputs, **options)

    def register_buffer(self, name: str, tensor: Tensor) -> None:
        """A tensor that is part of the state, and not trained."""
        self.buffer_names |= {name}
        setattr(self, name, tensor)

    parameters, state_dict = state.get_parameters, state.get_state_dict
    load_state_dict = state.load_state_dict

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """(name, tensor) of what is trained, in the order of definition."""
        return ((name, tensor) for name, tensor, is_buffer in named_tensors(self) if not is_buffer)

    def buffers(self) -> dict[str, Tensor]:
        """The tensors that are not trained, by name."""
        return {name: tensor for name, tensor, is_buffer in named_tensors(self) if is_buffer}

    def with_parameters(self, state_dict: Mapping[str, Tensor], prefix: str = "") -> Self:
        """A copy of the layer that holds the tensors of `state_dict` instead of its own.

        Buffers that a call of the copy changes are changed in the copy: see its `buffers`.
        """
        new: Self = _replaced(self, state_dict, prefix)
        return new

    def modules(self) -> "Iterator[Module]":
        """The layer and all that are part of it."""
        return _modules(self)

    def apply(self, function: "Callable[[Module], object]") -> Self:
        """Call a function with the layer and each of its parts; returns self."""
        for module in self.modules():
            function(module)
        return self

    def train(self, mode: bool = True) -> Self:
        """Behave as in training (dropout, batch statistics), or not; returns self."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Behave as when used; returns self."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for tensor in self.parameters():
            tensor.grad = None


def _modules(part: object) -> Iterator[Module]:
    if isinstance(part, Module):
        yield part
    for _, below in parts(part):
        yield from _modules(below)


def _replaced(part: Any, tensors: Mapping[str, Tensor], prefix: str) -> Any:
    """A copy in which every tensor is the one of its name; `prefix` ends with a dot or is empty."""
    if isinstance(part, Tensor):
        return tensors[prefix[:-1]]
    new = {n: _replaced(below, tensors, f"{prefix}{n}.") for n, below in parts(part)}
    if isinstance(part, (list, tuple)):
        return type(part)(new.values())
    if isinstance(part, Module):
        part = copy(part)
        vars(part).update(new)
    return new if isinstance(part, Mapping) else part


def functional_call(module: Module, state_dict: Mapping[str, Tensor], *inputs: Tensor) -> Tensor:
    """What `module` computes with the tensors of `state_dict` instead of its own."""
    require_fit(module.state_dict(), state_dict)
    return module.with_parameters(state_dict)(*inputs)


class Sequential(Module):
    """Layers one after the other; their parameters are named 0.weight, 0.bias, 1...."""

    def __init__(self, *layers: Callable[[Tensor], Tensor]) -> None:
        vars(self).update({str(i): layer for i, layer in enumerate(layers)})

    def __iter__(self) -> Iterator[Callable[[Tensor], Tensor]]:
        return (layer for name, layer in vars(self).items() if name.isdigit())

    def forward(self, x: Tensor) -> Tensor:
        """What the last layer gives."""
        for layer in self:
            x = layer(x)
        return x


class Linear(Module):
    """x @ weight.T + bias, with weight (out_features, in_features)."""

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, rng: Rng = None
    ) -> None:
        bound = 1 / sqrt(in_features)
        self.weight = init.uniform((out_features, in_features), -bound, bound, rng)
        self.bias = init.uniform((out_features,), -bound, bound, rng) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) -> (..., out_features)."""
        y = x @ self.weight.T
        return y if self.bias is None else y + self.bias


class Conv2d(Module):
    """F.conv2d with a weight of its own; arguments in torch's order."""

    rank = 2

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes = 1,
        padding: Sizes | str = 0, dilation: Sizes = 1, groups: int = 1, bias: bool = True, *,
        rng: Rng = None,
    ) -> None:  # fmt: skip
        shape = (out_channels, in_channels // groups, *per_axis(kernel_size, self.rank))
        self.weight, self.bias = _kernel(shape, out_channels, bias, rng)
        self.places = (groups, stride, dilation, padding)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in_channels, *axes) -> (batch, out_channels, *places)."""
        return F.conv2d(x, self.weight, self.bias, *self.places)


class ConvTranspose2d(Module):
    """F.conv_transpose2d with a weight of its own; arguments in torch's order."""

    rank = 2

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes = 1,
        padding: Sizes = 0, output_padding: Sizes = 0, groups: int = 1, bias: bool = True,
        dilation: Sizes = 1, *, rng: Rng = None,
    ) -> None:  # fmt: skip
        shape = (in_channels, out_channels // groups, *per_axis(kernel_size, self.rank))
        self.weight, self.bias = _kernel(shape, out_channels, bias, rng)
        self.places = (groups, stride, dilation, padding, output_padding)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in_channels, *places) -> (batch, out_channels, *axes)."""
        return F.conv_transpose2d(x, self.weight, self.bias, *self.places)


def _kernel(
    shape: Sequence[int], outputs: int, has_bias: bool, rng: Rng
) -> tuple[Tensor, Tensor | None]:
    """A weight and, if asked for, a bias within 1 / sqrt(inputs of one place), bias drawn first."""
    bound = 1 / sqrt(prod(shape[1:]))
    bias = init.uniform((outputs,), -bound, bound, rng) if has_bias else None
    return init.uniform(shape, -bound, bound, rng), bias


class Conv1d(Conv2d):
    """Conv2d with one axis."""

    rank = 1


class Conv3d(Conv2d):
    """Conv2d with three axes."""

    rank = 3


class ConvTranspose1d(ConvTranspose2d):
    """ConvTranspose2d with one axis."""

    rank = 1


class Embedding(Module):
    """Rows of a table by INT32 index, drawn from the normal distribution."""

    def __init__(self, num_embeddings: int, embedding_dim: int, *, rng: Rng = None) -> None:
        self.weight = init.normal((num_embeddings, embedding_dim), rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        """(...) -> (..., embedding_dim)."""
        return F.embedding(x, self.weight)


def _affine(
    shape: Sizes, has_weight: bool = True, has_bias: bool = True
) -> tuple[Tensor | None, Tensor | None]:
    weight = Tensor(np.ones(shape), requires_grad=True) if has_weight else None
    return weight, Tensor(np.zeros(shape), requires_grad=True) if has_bias else None


class LayerNorm(Module):
    """The last axes brought to mean 0 and variance 1, scaled and shifted."""

    def __init__(
        self, normalized_shape: Sizes, eps: float = 1e-5, affine: bool = True, bias: bool = True
    ) -> None:
        self.normalized_shape, self.eps = normalized_shape, eps
        self.weight, self.bias = _affine(normalized_shape, affine, affine and bias)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape that ends with normalized_shape."""
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNorm(LayerNorm):
    """The last axes brought to a mean square of 1, and scaled."""

    def __init__(self, normalized_shape: Sizes, eps: float = 2.0**-23, affine: bool = True) -> None:
        super().__init__(normalized_shape, eps, affine, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape that ends with normalized_shape."""
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)


class GroupNorm(Module):
    """F.group_norm with a weight and a bias of its own."""

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True
    ) -> None:
        self.num_groups, self.eps = num_groups, eps
        self.weight, self.bias = _affine(num_channels, affine, affine)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, *axes)."""
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


class InstanceNorm(GroupNorm):
    """Every channel of every image for itself; affine by tinygrad's default, not by torch's."""

    def __init__(self, num_features: int, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__(num_features, num_features, eps, affine)


class BatchNorm(Module):
    """Each channel by its statistics: the batch's in training, else the running ones.

    A training call replaces the running ones. In a traced function call a copy and return them:
    `copy = model.with_parameters(state); y = copy(x); new = copy.buffers()`.
    """

    running_mean: Tensor | None = None
    running_var: Tensor | None = None
    num_batches_tracked: Tensor

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:  # fmt: skip
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = _affine(num_features, affine, affine)
        if track_running_stats:
            self.register_buffer("running_mean", Tensor(np.zeros(num_features)))
            self.register_buffer("running_var", Tensor(np.ones(num_features)))
            self.register_buffer("num_batches_tracked", Tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, *axes)."""
        mean, var = self.running_mean, self.running_var
        if self.training and mean is not None and var is not None:
            for tensor in () if is_tracing() else self.buffers().values():
                tensor.assign(tensor)  # of the last batch: data by now, or computed
            self.running_mean, self.running_var = F.running_statistics(x, mean, var, self.momentum)
            self.num_batches_tracked = self.num_batches_tracked + 1
            if not is_tracing():
                defer([tensor.value for tensor in self.buffers().values()])
        return F.batch_norm(x, mean, var, self.weight, self.bias, self.training, self.eps)


BatchNorm1d = BatchNorm2d = BatchNorm3d = BatchNorm


class MultiheadAttention(Module):
    """Attention in several heads with torch's parameters; it returns no weights."""

    def __init__(
        self, embed_dim: int, num_heads: int, bias: bool = True, batch_first: bool = False, *,
        rng: Rng = None,
    ) -> None:  # fmt: skip
        self.num_heads, self.batch_first = num_heads, batch_first
        self.in_proj_weight = init.xavier_uniform((3 * embed_dim, embed_dim), rng=rng)
        self.in_proj_bias = _affine(3 * embed_dim, False, bias)[1]
        self.out_proj = Linear(embed_dim, embed_dim, bias, rng=rng)
        self.out_proj.bias = _affine(embed_dim, False, bias)[1]

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:  # fmt: skip
        """(time, batch, width), or (batch, time, width) if `batch_first`.

        As in torch a BOOL mask names the pairs that do not count here.
        """
        if attn_mask is not None and attn_mask.dtype is DType.BOOL:
            attn_mask = ~attn_mask
        query, key, value = (self._heads(x, i) for i, x in enumerate((query, key, value)))
        y = F.scaled_dot_product_attention(query, key, value, attn_mask, 0.0, is_causal)
        joined = y.permute(0, 2, 1, 3) if self.batch_first else y.permute(2, 0, 1, 3)
        return self.out_proj(joined.flatten(2))

    def _heads(self, x: Tensor, part: int) -> Tensor:
        """(batch, heads, time, width / heads) of query, key or value."""
        width = x.shape[-1]
        rows = slice(part * width, (part + 1) * width)
        y = x @ self.in_proj_weight[rows].T
        y = y if self.in_proj_bias is None else y + self.in_proj_bias[rows]
        y = y.reshape(*x.shape[:2], self.num_heads, -1)
        return y.permute(0, 2, 1, 3) if self.batch_first else y.permute(1, 2, 0, 3)


class Dropout(Module):
    """In training each element is 0 with probability p, by the stream of `Tensor.rand` or a key.

    A traced function must give it a key, another one for each call and step: `Tensor.split_key`.
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def forward(self, x: Tensor, key: Tensor | int | None = None) -> Tensor:
        """Any shape."""
        return x.dropout(self.p, self.training, key)


class PReLU(Module):
    """F.prelu with slopes of its own."""

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        self.weight = Tensor([init] * num_parameters, requires_grad=True)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape; channels are axis 1."""
        return F.prelu(x, self.weight)


def _layer(function: Callable[..., Any], order: str = "") -> Callable[..., Module]:
    """A layer that calls a function of its inputs with what it was made with.

    `order` names torch's positional arguments where the function has them in another order.
    """

    class Layer(Module):
        def __init__(self, *arguments: object, **options: object) -> None:
            self.arguments = () if order else arguments
            self.options = dict(zip(order.split(), arguments, strict=False))
            self.options |= {_RENAMED.get(name, name): value for name, value in options.items()}

        def forward(self, *inputs: Tensor) -> Tensor:
            result: Tensor = function(*inputs, *self.arguments, **self.options)
            return result

    return Layer


_RENAMED = {"dim": "axis", "negative_slope": "neg_slope"}


def _layers(*functions: Callable[..., Any]) -> Iterator[Callable[..., Module]]:
    return (_layer(function) for function in functions)


Flatten = _layer(lambda x, start_dim=1, end_dim=-1: x.flatten(start_dim, end_dim))
Identity = _layer(lambda x, *_: x)
MaxPool2d = _layer(F.max_pool2d, "kernel_size stride padding dilation return_indices ceil_mode")
AvgPool2d = _layer(
    F.avg_pool2d, "kernel_size stride padding ceil_mode count_include_pad divisor_override"
)
AdaptiveAvgPool2d, AdaptiveMaxPool2d = _layers(F.adaptive_avg_pool2d, F.adaptive_max_pool2d)
PixelShuffle, Upsample = _layers(F.pixel_shuffle, F.interpolate)
Tanh, Sigmoid = _layers(lambda x: x.tanh(), lambda x: x.sigmoid())
ReLU, ReLU6, LeakyReLU, ELU = _layers(F.relu, F.relu6, F.leaky_relu, F.elu)
CELU, SELU, GELU, GLU = _layers(F.celu, F.selu, F.gelu, F.glu)
SiLU, Mish, Softplus, Softsign = _layers(F.silu, F.mish, F.softplus, F.softsign)
Softmax, LogSoftmax, LogSigmoid = _layers(F.softmax, F.log_softmax, F.logsigmoid)
Hardtanh, Hardsigmoid, Hardswish = _layers(F.hardtanh, F.hardsigmoid, F.hardswish)
MSELoss, L1Loss, KLDivLoss = _layers(F.mse_loss, F.l1_loss, F.kl_div)
HuberLoss, SmoothL1Loss = _layers(F.huber_loss, F.smooth_l1_loss)
NLLLoss, CrossEntropyLoss = _layers(F.nll_loss, F.cross_entropy)
BCELoss, BCEWithLogitsLoss = _layers(F.binary_crossentropy, F.binary_crossentropy_logits)
