"""Layers, named as in torch.nn: objects that hold parameters and are called.

A parameter is a Tensor attribute; layers nest as attributes, in lists or in mappings. Names in
`state_dict` and the distributions of first values are torch's, so that weights move both ways.
`functional_call` runs a layer with other tensors in place of its own, which is how a model enters a
traced step: the parameters come in as inputs and go out as outputs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from math import inf, prod, sqrt
from typing import Any, Self

import numpy as np

from engine import functional as F
from engine import init, optim, state
from engine.dtypes import DType
from engine.errors import UsageError
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
        return F.linear(x, self.weight, self.bias)


class Conv2d(Module):
    """F.conv2d with a weight of its own; arguments in torch's order."""

    rank = 2

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes = 1,
        padding: Sizes | str = 0, dilation: Sizes = 1, groups: int = 1, bias: bool = True,
        padding_mode: str = "zeros", *, rng: Rng = None,
    ) -> None:  # fmt: skip
        shape = (out_channels, in_channels // groups, *per_axis(kernel_size, self.rank))
        self.weight, self.bias = _kernel(shape, out_channels, bias, rng)
        self.places, self.mode = (stride, padding, dilation, groups), padding_mode
        self.around: list[int] = []
        if padding_mode != "zeros":
            if isinstance(padding, str):
                raise UsageError(f"padding {padding!r} with padding_mode: give numbers")
            self.around = [p for p in per_axis(padding, self.rank)[::-1] for _ in (0, 1)]
            self.places = (stride, 0, dilation, groups)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in_channels, *axes) -> (batch, out_channels, *places)."""
        x = F.pad(x, self.around, self.mode) if self.around else x
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
        self.places = (stride, padding, output_padding, groups, dilation)

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


class ConvTranspose3d(ConvTranspose2d):
    """ConvTranspose2d with three axes."""

    rank = 3


class Embedding(Module):
    """Rows of a table by INT32 index, drawn from the normal distribution.

    The row `padding_idx` is zeros and gets no gradient.
    """

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, *,
        rng: Rng = None,
    ) -> None:  # fmt: skip
        self.weight = init.normal((num_embeddings, embedding_dim), rng=rng)
        self.padding_idx = padding_idx
        if padding_idx is not None:
            row = Tensor([padding_idx % num_embeddings])
            self.weight.assign(self.weight.index_fill(0, row, 0.0))

    def forward(self, x: Tensor) -> Tensor:
        """(...) -> (..., embedding_dim)."""
        return F.embedding(x, self.weight, self.padding_idx)


def _affine(
    shape: Sizes, has_weight: bool = True, has_bias: bool = True
) -> tuple[Tensor | None, Tensor | None]:
    weight = Tensor(np.ones(shape), requires_grad=True) if has_weight else None
    return weight, Tensor(np.zeros(shape), requires_grad=True) if has_bias else None


class LayerNorm(Module):
    """The last axes brought to mean 0 and variance 1, scaled and shifted."""

    def __init__(
        self, normalized_shape: Sizes, eps: float = 1e-5, elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:  # fmt: skip
        self.normalized_shape, self.eps, is_affine = normalized_shape, eps, elementwise_affine
        self.weight, self.bias = _affine(normalized_shape, is_affine, is_affine and bias)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape that ends with normalized_shape."""
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNorm(LayerNorm):
    """The last axes brought to a mean square of 1, and scaled."""

    def __init__(
        self, normalized_shape: Sizes, eps: float = 2.0**-23, elementwise_affine: bool = True
    ) -> None:
        super().__init__(normalized_shape, eps, elementwise_affine, bias=False)

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


class InstanceNorm2d(InstanceNorm):
    """InstanceNorm with torch's arguments; it has no running statistics."""

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = False
    ) -> None:
        super().__init__(num_features, eps, affine)


InstanceNorm1d = InstanceNorm3d = InstanceNorm2d


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
            mean = var = None
        return F.batch_norm(x, mean, var, self.weight, self.bias, self.training, eps=self.eps)


BatchNorm1d = BatchNorm2d = BatchNorm3d = BatchNorm


class MultiheadAttention(Module):
    """Attention in several heads with torch's parameters."""

    def __init__(
        self, embed_dim: int, num_heads: int, bias: bool = True, batch_first: bool = False, *,
        rng: Rng = None,
    ) -> None:  # fmt: skip
        self.num_heads, self.batch_first = num_heads, batch_first
        self.in_proj_weight = init.xavier_uniform((3 * embed_dim, embed_dim), rng=rng)
        self.in_proj_bias = _affine(3 * embed_dim, False, bias)[1]
        self.out_proj = Linear(embed_dim, embed_dim, bias, rng=rng)
        self.out_proj.bias = _affine(embed_dim, False, bias)[1]

    def forward(  # type: ignore[override]
        self, query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Tensor | None = None,
        need_weights: bool = True, attn_mask: Tensor | None = None,
        average_attn_weights: bool = True, is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        """(time, batch, width), or (batch, time, width) if `batch_first`; and the weights, of all
        heads or their mean, or None.

        As in torch a BOOL mask names the pairs, or the keys of a batch, that do not count here.
        """
        masks = [attn_mask, None if key_padding_mask is None else key_padding_mask[:, None, None]]
        added = [m.where(-inf, 0.0) if m.dtype is DType.BOOL else m for m in masks if m is not None]
        mask = sum(added[1:], added[0]) if added else None
        query, key, value = (self._heads(x, i) for i, x in enumerate((query, key, value)))
        weights = F.attention_weights(query, key, mask, is_causal and mask is None)
        y = weights @ value
        joined = y.permute(0, 2, 1, 3) if self.batch_first else y.permute(2, 0, 1, 3)
        shown = weights.mean(1) if average_attn_weights else weights
        return self.out_proj(joined.flatten(2)), shown if need_weights else None

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
        return F.dropout(x, self.p, self.training, key)


class Dropout2d(Dropout):
    """In training each channel (axis 1) is 0 with probability p."""

    def forward(self, x: Tensor, key: Tensor | int | None = None) -> Tensor:
        """(n, channels, *axes)."""
        return F.dropout2d(x, self.p, self.training, key)


Dropout1d = Dropout3d = Dropout2d


class Bilinear(Module):
    """F.bilinear with a weight of its own."""

    def __init__(
        self, in1_features: int, in2_features: int, out_features: int, bias: bool = True, *,
        rng: Rng = None,
    ) -> None:  # fmt: skip
        bound = 1 / sqrt(in1_features)
        self.weight = init.uniform((out_features, in1_features, in2_features), -bound, bound, rng)
        self.bias = init.uniform((out_features,), -bound, bound, rng) if bias else None

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """(..., in1_features), (..., in2_features) -> (..., out_features)."""
        return F.bilinear(x, other, self.weight, self.bias)


def Parameter(data: Any, requires_grad: bool = True) -> Tensor:
    """A tensor that is trained."""
    return Tensor(data, requires_grad=requires_grad)


class PReLU(Module):
    """F.prelu with slopes of its own."""

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        self.weight = Tensor([init] * num_parameters, requires_grad=True)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape; channels are axis 1."""
        return F.prelu(x, self.weight)


def _layer(function: Callable[..., Any], order: str = "", **fixed: Any) -> Callable[..., Module]:
    """A layer that calls a function of its inputs with what it was made with, and what is fixed.

    `order` names torch's positional arguments where the function has them in another order.
    """

    class Layer(Module):
        def __init__(self, *arguments: object, **options: object) -> None:
            self.arguments = () if order else arguments
            self.options = dict(zip(order.split(), arguments, strict=False)) | fixed | options

        def forward(self, *inputs: Tensor) -> Tensor:
            result: Tensor = function(*inputs, *self.arguments, **self.options)
            return result

    return Layer


def _layers(*functions: Callable[..., Any]) -> Iterator[Callable[..., Module]]:
    return (_layer(function) for function in functions)


def _pads(mode: str, order: str = "padding") -> Iterator[Callable[..., Module]]:
    """Layers that pad one, two or three axes, all alike if by one number."""

    def pad(x: Tensor, padding: Sizes, rank: int, value: float = 0.0) -> Tensor:
        return F.pad(x, per_axis(padding, 2 * rank), mode, value)

    return (_layer(pad, order, rank=rank) for rank in (1, 2, 3))


ModuleDict = dict
Flatten = _layer(lambda x, start_dim=1, end_dim=-1: x.flatten(start_dim, end_dim))
Unflatten, Identity = _layers(lambda x, dim, sizes: x.unflatten(dim, sizes), lambda x, *_, **__: x)
ZeroPad1d, ZeroPad2d, ZeroPad3d = _pads("constant")
ConstantPad1d, ConstantPad2d, ConstantPad3d = _pads("constant", "padding value")
ReflectionPad1d, ReflectionPad2d, ReflectionPad3d = _pads("reflect")
ReplicationPad1d, ReplicationPad2d, ReplicationPad3d = _pads("replicate")
CircularPad1d, CircularPad2d, CircularPad3d = _pads("circular")
MaxPool1d, MaxPool2d, MaxPool3d = (
    _layer(pool, "kernel_size stride padding dilation return_indices ceil_mode")
    for pool in (F.max_pool1d, F.max_pool2d, F.max_pool3d)
)
AvgPool1d, AvgPool2d, AvgPool3d = _layers(F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)
LPPool1d, LPPool2d, LPPool3d = _layers(F.lp_pool1d, F.lp_pool2d, F.lp_pool3d)
MaxUnpool1d, MaxUnpool2d = _layers(F.max_unpool1d, F.max_unpool2d)
MaxUnpool3d, AdaptiveMaxPool3d = _layers(F.max_unpool3d, F.adaptive_max_pool3d)
AdaptiveAvgPool1d, AdaptiveAvgPool2d = _layers(F.adaptive_avg_pool1d, F.adaptive_avg_pool2d)
AdaptiveMaxPool1d, AdaptiveMaxPool2d = _layers(F.adaptive_max_pool1d, F.adaptive_max_pool2d)
AdaptiveAvgPool3d, LocalResponseNorm = _layers(F.adaptive_avg_pool3d, F.local_response_norm)
PixelShuffle, PixelUnshuffle = _layers(F.pixel_shuffle, F.pixel_unshuffle)
ChannelShuffle, Upsample, Fold, Unfold = _layers(F.channel_shuffle, F.interpolate, F.fold, F.unfold)
UpsamplingNearest2d = _layer(F.interpolate, mode="nearest")
UpsamplingBilinear2d = _layer(F.interpolate, mode="bilinear", align_corners=True)
CosineSimilarity, PairwiseDistance = _layers(F.cosine_similarity, F.pairwise_distance)
Tanh, Sigmoid, Threshold, Softmin = _layers(F.tanh, F.sigmoid, F.threshold, F.softmin)
ReLU, ReLU6, LeakyReLU, ELU = _layers(F.relu, F.relu6, F.leaky_relu, F.elu)
CELU, SELU, GELU, GLU = _layers(F.celu, F.selu, F.gelu, F.glu)
SiLU, Mish, Softplus, Softsign = _layers(F.silu, F.mish, F.softplus, F.softsign)
Softmax, LogSoftmax, LogSigmoid = _layers(F.softmax, F.log_softmax, F.logsigmoid)
Hardtanh, Hardsigmoid, Hardswish = _layers(F.hardtanh, F.hardsigmoid, F.hardswish)
Hardshrink, Softshrink, Tanhshrink = _layers(F.hardshrink, F.softshrink, F.tanhshrink)
Softmax2d = _layer(lambda x: F.softmax(x, -3))
MSELoss, L1Loss, KLDivLoss = _layers(F.mse_loss, F.l1_loss, F.kl_div)
HuberLoss, SmoothL1Loss = _layers(F.huber_loss, F.smooth_l1_loss)
NLLLoss, CrossEntropyLoss = _layers(F.nll_loss, F.cross_entropy)
BCELoss, BCEWithLogitsLoss = _layers(F.binary_cross_entropy, F.binary_cross_entropy_with_logits)
PoissonNLLLoss, GaussianNLLLoss = _layers(F.poisson_nll_loss, F.gaussian_nll_loss)
HingeEmbeddingLoss, MarginRankingLoss = _layers(F.hinge_embedding_loss, F.margin_ranking_loss)
CosineEmbeddingLoss, TripletMarginLoss = _layers(F.cosine_embedding_loss, F.triplet_margin_loss)
SoftMarginLoss, MultiMarginLoss = _layers(F.soft_margin_loss, F.multi_margin_loss)
MultiLabelSoftMarginLoss = _layer(F.multilabel_soft_margin_loss)
