"""EfficientNet-Lite0 up to its global average pool, for inference, from the published weights.

Source: the authors' TensorFlow code, `efficientnet/lite/efficientnet_lite_builder.py` in
github.com/tensorflow/tpu: the stages, padding and batch-norm epsilon of EfficientNet-B0, ReLU6 in
place of swish, and no squeeze and excitation. The stem and the head are those of B0 in every size
of Lite.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from spacer_tasks.extractors.efficientnet.network import (
    CLASSIFICATION_LAYER,
    FEATURE_DIM,
    STAGES,
    STEM_CHANNELS,
    SameConv2d,
    batch_norm,
    fold,
    stage_blocks,
)
from spacer_tasks.extractors.files.state_dict import TRAINING_COUNTERS, load_module


class LiteBlock(nn.Module):
    """Inverted bottleneck: expand, convolve each channel, project."""

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
        self._project_conv = SameConv2d(inner, out, 1)
        self._bn2: nn.Module = batch_norm(out)

    def forward(self, block_input: Tensor) -> Tensor:
        x = block_input
        if self.expands:
            x = functional.relu6(self._bn0(self._expand_conv(x)), inplace=True)
        x = functional.relu6(self._bn1(self._depthwise_conv(x)), inplace=True)
        projected: Tensor = self._bn2(self._project_conv(x))
        return projected.add_(block_input) if self.skips else projected


class EfficientNetLite0(nn.Module):
    """Patches, float32 (n, 3, height, width), preprocessed, to features, float32 (n, 1280)."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SameConv2d(3, STEM_CHANNELS, 3, stride=2)
        self._bn0: nn.Module = batch_norm(STEM_CHANNELS)
        self._blocks = nn.ModuleList(stage_blocks(LiteBlock))
        self._conv_head = SameConv2d(STAGES[-1][2], FEATURE_DIM, 1)
        self._bn1: nn.Module = batch_norm(FEATURE_DIM)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu6(self._bn0(self._conv_stem(x)), inplace=True)
        for block in self._blocks:
            x = block(x)
        x = functional.relu6(self._bn1(self._conv_head(x)), inplace=True)
        return functional.adaptive_avg_pool2d(x, 1).flatten(1)

    def fold_batch_norm(self) -> None:
        """As `EfficientNetB0.fold_batch_norm`."""
        self.eval()
        fold(self, "_conv_stem", "_bn0")
        for block in self._blocks:
            if block.expands:
                fold(block, "_expand_conv", "_bn0")
            fold(block, "_depthwise_conv", "_bn1")
            fold(block, "_project_conv", "_bn2")
        fold(self, "_conv_head", "_bn1")


def load_lite(data: bytes, name: str) -> EfficientNetLite0:
    """The network of a file of `torch.save(state_dict)`, its batch norms folded, on the CPU.

    Raises
    ------
    WeightsError
        The file is no such file, or its tensors are not of this network.
    """
    net = load_module(
        EfficientNetLite0,
        data,
        name,
        network="EfficientNet-Lite0",
        unused=(CLASSIFICATION_LAYER, TRAINING_COUNTERS),
    )
    net.fold_batch_norm()
    return net
