"""Caffe's Convolution layer, in two dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import Tensor, nn
from torch.nn import functional

from spacer_tasks.extractors.caffe.formats.definition import Layer
from spacer_tasks.extractors.caffe.making import LayerWeights, Made, Shape, one_image
from spacer_tasks.extractors.caffe.windows import Windows, convolved, pair

#: numbers that a layer's windows hold together, of one image: VGG16's most are 29 million. It
#: bounds the memory and the time that a hostile definition can ask for.
MAX_COLUMNS = 2**28


class Convolution(nn.Module):
    """Of images, float32 (n, channels, rows, columns)."""

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        windows: Windows,
        group: int,
        lacking: Sequence[int],
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
        self.windows, self.group = windows, group
        #: columns and rows of zeros to the right and below, as torch orders them
        self.padding = (0, lacking[1], 0, lacking[0])

    def forward(self, x: Tensor) -> Tensor:
        w = self.windows
        if any(self.padding):
            x = functional.pad(x, self.padding)
        return functional.conv2d(x, self.weight, self.bias, w.stride, w.pad, w.dilation, self.group)


def make(layer: Layer, bottoms: list[Shape], weights: LayerWeights) -> Made:
    """The layer `Convolution`."""
    channels, *image = one_image(layer, bottoms)
    options = layer.options("convolution_param")
    count = options.integer("num_output", least=1)
    group = options.integer("group", 1, least=1)
    has_bias = options.boolean("bias_term", True)
    if options.integer("axis", 1, least=-32) not in (1, -3):
        raise layer.error("only images are convolved: axis must be 1")
    dilation = options.integers("dilation", least=1)
    if len(dilation) > 2:
        raise layer.error(f"dilation is set {len(dilation)} times, expected once or twice")
    windows = Windows(
        kernel=pair(options, "kernel_size", "kernel_h", "kernel_w", default=None, least=1),
        stride=pair(options, "stride", "stride_h", "stride_w", default=1, least=1),
        pad=pair(options, "pad", "pad_h", "pad_w", default=0, least=0),
        dilation=(dilation[0], dilation[-1]) if dilation else (1, 1),
    )
    options.ignore(("weight_filler", "bias_filler", "engine", "force_nd_im2col"))
    options.check_all_known()
    if channels % group or count % group:
        raise layer.error(f"{channels} channels to {count} are not {group} groups")
    counts = [convolved(length, windows, axis) for axis, length in enumerate(image)]
    (rows, columns), lacking = zip(*counts, strict=True)
    if rows < 1 or columns < 1:
        raise layer.error(f"its windows are larger than the {image[0]} x {image[1]} image")
    held = channels // group * prod(windows.kernel) * rows * columns
    padded = channels * prod(length + each for length, each in zip(image, lacking, strict=True))
    if max(held, padded) > MAX_COLUMNS:
        raise layer.error("its windows are larger than any net's")
    shape = (count, channels // group, *windows.kernel)
    weight, *bias = weights.tensors([shape, (count,)] if has_bias else [shape])
    module = Convolution(weight, bias[0] if bias else None, windows, group, lacking)
    return Made(module, (count, rows, columns))
