"""Caffe's LRN, BatchNorm and Scale layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from spacer_tasks.extractors.caffe.formats.definition import TRAIN, Layer
from spacer_tasks.extractors.caffe.making import LayerWeights, Made, Shape, axis_of, one, one_image
from spacer_tasks.extractors.caffe.pooling import Pooling, pooled_windows
from spacer_tasks.extractors.caffe.windows import MAX_LENGTH, Windows

_REGIONS = {"ACROSS_CHANNELS": 0, "WITHIN_CHANNEL": 1}


class LRNAcrossChannels(nn.Module):
    """x / (k + alpha / size * the sum of squares of `size` channels) ** beta.

    Source: Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks"
    (2012), section 3.3; Caffe divides alpha by the size.
    """

    def __init__(self, size: int, alpha: float, beta: float, k: float) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        return functional.local_response_norm(x, self.size, self.alpha, self.beta, self.k)


class LRNWithinChannel(nn.Module):
    """x / (1 + alpha * the average of squares around it) ** beta, edges as average pooling's."""

    def __init__(self, pooling: Pooling, alpha: float, beta: float) -> None:
        super().__init__()
        self.pooling, self.alpha, self.beta = pooling, alpha, beta

    def forward(self, x: Tensor) -> Tensor:
        averages: Tensor = self.pooling(x.square())
        return averages.mul_(self.alpha).add_(1).pow_(-self.beta).mul_(x)


class BatchNorm(nn.Module):
    """(x - mean) / deviation, of each channel."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def forward(self, x: Tensor) -> Tensor:
        shape = (-1, *(1,) * (x.dim() - 2))
        return x.sub(self.mean.view(shape)).div_(self.deviation.view(shape))


class Scale(nn.Module):
    """x * scale + bias, both spread over a blob's axes before and after theirs.

    Parameters
    ----------
    scale
        The weights; where None, the second blob.
    bias
        The weights, or None.
    after
        Axes of the blob after those of scale and bias.
    """

    def __init__(self, scale: Tensor | None, bias: Tensor | None, after: int) -> None:
        super().__init__()
        self.scale = None if scale is None else nn.Parameter(scale, requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
        self.after = after

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        scale = self.scale if scale is None else scale
        assert scale is not None
        scaled = x * self._spread(scale)
        return scaled if self.bias is None else scaled.add_(self._spread(self.bias))

    def _spread(self, weights: Tensor) -> Tensor:
        return weights.view((*weights.shape, *(1,) * self.after))


def make_lrn(layer: Layer, bottoms: list[Shape], weights: LayerWeights) -> Made:
    """The layer `LRN`."""
    shape = one_image(layer, bottoms)
    options = layer.options("lrn_param")
    size = options.integer("local_size", 5, least=1)
    alpha, beta = options.number("alpha", 1.0), options.number("beta", 0.75)
    k = options.number("k", 1.0)
    region = options.choice("norm_region", _REGIONS, "ACROSS_CHANNELS")
    options.ignore(("engine",))
    options.check_all_known()
    if size % 2 == 0 or size > MAX_LENGTH:
        raise layer.error(f"local_size is {size}, expected an odd number up to {MAX_LENGTH}")
    if region == "ACROSS_CHANNELS":
        # more channels than there are make no difference but to what is allocated
        reach = min(size, 2 * shape[0] + 1)
        return Made(LRNAcrossChannels(reach, alpha * reach / size, beta, k), shape)
    windows = Windows((size, size), (1, 1), (size // 2, size // 2))
    pooling, pooled = pooled_windows(layer, shape, windows, ceil=True, largest=False)
    if pooled != shape:
        raise layer.error(f"local_size {size} is larger than the image")
    return Made(LRNWithinChannel(pooling, alpha, beta), shape)


def make_batch_norm(layer: Layer, bottoms: list[Shape], weights: LayerWeights) -> Made:
    """The layer `BatchNorm`: mean, variance and the factor that both were summed with."""
    shape = one(layer, bottoms)
    options = layer.options("batch_norm_param")
    epsilon = options.number("eps", 1e-5)
    use_stored = options.boolean("use_global_stats", layer.phase != TRAIN)
    options.ignore(("moving_average_fraction",))
    options.check_all_known()
    if not use_stored:
        raise layer.error("it would take the mean and variance of each batch, not the stored ones")
    mean, variance, factor = weights.tensors([shape[:1], shape[:1], (1,)])
    count = factor.double()
    share = torch.where(count == 0, count, 1 / count)
    deviation = (variance.double() * share + epsilon).sqrt()
    if deviation.device.type != "meta" and not bool((deviation > 0).all()):
        raise layer.error("its variances are not all positive")
    return Made(BatchNorm((mean.double() * share).float(), deviation.float()), shape)


def make_scale(layer: Layer, bottoms: list[Shape], weights: LayerWeights) -> Made:
    """The layer `Scale`: by weights, or by a second blob."""
    if len(bottoms) not in (1, 2):
        raise layer.error(f"it takes {len(bottoms)} blobs, expected one or two")
    shape = bottoms[0]
    options = layer.options("scale_param")
    axis, axes = options.integer("axis", 1, least=-32), options.integer("num_axes", 1, least=-1)
    has_bias = options.boolean("bias_term", False)
    options.ignore(("filler", "bias_filler"))
    options.check_all_known()
    if len(bottoms) == 2:
        return _scale_by_blob(layer, bottoms, weights, axis, has_bias=has_bias)
    spread: Shape = ()
    start = len(shape)
    if axes:
        start = axis_of(layer, axis, shape)
        spread = shape[start:] if axes < 0 else shape[start : start + axes]
        if axes > len(spread):
            raise layer.error(f"num_axes {axes} is more than its blob has from axis {axis} on")
    scale, *bias = weights.tensors([spread, spread] if has_bias else [spread])
    after = len(shape) - start - len(spread)
    return Made(Scale(scale, bias[0] if bias else None, after), shape)


def _scale_by_blob(
    layer: Layer, bottoms: list[Shape], weights: LayerWeights, axis: int, *, has_bias: bool
) -> Made:
    shape, scale = bottoms
    # the second blob has a batch axis as the first
    if axis % (1 + len(shape)) != 0 or shape[: len(scale)] != scale:
        raise layer.error(
            f"its second blob scales one of shape {shape} by {scale}; expected axis 0 and the same"
            " lengths"
        )
    if has_bias:
        raise layer.error("a bias beside a second blob would be of each image in the batch")
    return Made(Scale(None, None, len(shape) - len(scale)), shape)
