"""EfficientNet-B0 up to its global average pool, for inference, from the weights files in use.

Source: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks"
(ICML 2019), table 1, with the padding and the batch-norm epsilon of the authors' TensorFlow code.
Modules are named so that the state dicts of the networks in use load by their own keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

from spacer_tasks.extractors.files.state_dict import TRAINING_COUNTERS, load_module

FEATURE_DIM = 1280
#: of the TensorFlow code; torch's default (1e-5) gives other numbers
BATCH_NORM_EPSILON = 1e-3
STEM_CHANNELS = 32
#: squeezed channels per channel that enters the block
SQUEEZE_RATIO = 0.25
#: the layer after the features
CLASSIFICATION_LAYER = "_fc.*"
#: table 1: kernel, expansion, channels out, repeats, stride of the first repeat
STAGES = (
    (3, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (5, 6, 40, 2, 2),
    (3, 6, 80, 3, 2),
    (5, 6, 112, 3, 1),
    (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's "SAME".

    The output has ceil(input / stride) rows and columns; where the padding is odd, the extra
    row and column of zeros go below and to the right (TensorFlow guide, "Notes on padding").
    """

    def __init__(
        self, channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        # at stride 1 the padding is the same on all sides, and the convolution does it itself
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(channels, out, kernel, stride, padding, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] > 1:
            above, below = self._padding_of(x.shape[2])
            left, right = self._padding_of(x.shape[3])
            x = functional.pad(x, (left, right, above, below))
        return super().forward(x)

    def _padding_of(self, length: int) -> tuple[int, int]:
        kernel, stride = self.kernel_size[0], self.stride[0]
        total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
        return total // 2, total - total // 2


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """With the epsilon of the TensorFlow code."""
    return nn.BatchNorm2d(channels, eps=BATCH_NORM_EPSILON)


def _swish(x: Tensor) -> Tensor:
    return functional.silu(x, inplace=True)


class MBConv(nn.Module):
    """Inverted bottleneck: expand, convolve each channel, squeeze and excite, project."""

    def __init__(self, channels: int, out: int, kernel: int, expansion: int, stride: int) -> None:
        super().__init__()
        inner = channels * expansion
        self.expands = expansion > 1
        self.skips = stride == 1 and channels == out
        if self.expands:
            self._expand_conv = SameConv2d(channels, inner, 1)
            self._bn0: nn.Module = batch_norm(inner)
        self._depthwise_conv = SameConv2d(inner, inner, kernel, stride, groups=inner)
        self._bn1: nn.Module = batch_norm(inner)
        squeezed = int(channels * SQUEEZE_RATIO)
        self._se_reduce = nn.Conv2d(inner, squeezed, 1)
        self._se_expand = nn.Conv2d(squeezed, inner, 1)
        self._project_conv = SameConv2d(inner, out, 1)
        self._bn2: nn.Module = batch_norm(out)

    def forward(self, block_input: Tensor) -> Tensor:
        x = block_input
        if self.expands:
            x = _swish(self._bn0(self._expand_conv(x)))
        x = _swish(self._bn1(self._depthwise_conv(x)))
        gate = functional.adaptive_avg_pool2d(x, 1)
        gate = torch.sigmoid(self._se_expand(_swish(self._se_reduce(gate))))
        projected: Tensor = self._bn2(self._project_conv(x.mul_(gate)))
        return projected.add_(block_input) if self.skips else projected


class EfficientNetB0(nn.Module):
    """Patches, float32 (n, 3, height, width) in [0, 1], to features, float32 (n, 1280)."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SameConv2d(3, STEM_CHANNELS, 3, stride=2)
        self._bn0: nn.Module = batch_norm(STEM_CHANNELS)
        self._blocks = nn.ModuleList(stage_blocks(MBConv))
        last = STAGES[-1][2]
        self._conv_head = SameConv2d(last, FEATURE_DIM, 1)
        self._bn1: nn.Module = batch_norm(FEATURE_DIM)

    def forward(self, x: Tensor) -> Tensor:
        x = _swish(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        x = _swish(self._bn1(self._conv_head(x)))
        return functional.adaptive_avg_pool2d(x, 1).flatten(1)

    def fold_batch_norm(self) -> None:
        """Put each batch norm into the convolution before it: same function, less memory traffic.

        Only for a network that is loaded and will not be trained.
        """
        self.eval()
        fold(self, "_conv_stem", "_bn0")
        for block in self._blocks:
            if block.expands:
                fold(block, "_expand_conv", "_bn0")
            fold(block, "_depthwise_conv", "_bn1")
            fold(block, "_project_conv", "_bn2")
        fold(self, "_conv_head", "_bn1")


def stage_blocks(make: Callable[[int, int, int, int, int], nn.Module]) -> Iterator[nn.Module]:
    """The blocks of all stages: `make` takes channels, channels out, kernel, expansion, stride."""
    channels = STEM_CHANNELS
    for kernel, expansion, out, repeats, stride in STAGES:
        for repeat in range(repeats):
            yield make(channels, out, kernel, expansion, stride if repeat == 0 else 1)
            channels = out


def fold(module: nn.Module, convolution: str, norm: str) -> None:
    """Put the batch norm of a module into the convolution before it."""
    conv, bn = getattr(module, convolution), getattr(module, norm)
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    setattr(module, norm, nn.Identity())


def load_network(data: bytes, name: str) -> EfficientNetB0:
    """The network of a weights file, its batch norms folded, on the CPU in float32.

    Parameters
    ----------
    data
        What `torch.save({"net": state_dict})` wrote.
    name
        Which file, in errors.

    Raises
    ------
    WeightsError
        The file is no such file, or its tensors are not of this network.
    """
    net = load_module(
        EfficientNetB0,
        data,
        name,
        network="EfficientNet-B0",
        entry="net",
        unused=(CLASSIFICATION_LAYER, TRAINING_COUNTERS),
    )
    net.fold_batch_norm()
    # torch's stubs leave out this form of `to`
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
