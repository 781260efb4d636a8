"""Caffe's Pooling layer: the largest or the average of windows, edges as Caffe's.

Source: Caffe, `pooling_layer.cpp`. Windows at the lower and right edges may lie partly beyond the
padded image. The largest is of what lies within the image; the average divides by the part of the
window that lies within the image and its padding.
"""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from spacer_tasks.extractors.caffe.formats.definition import Layer
from spacer_tasks.extractors.caffe.making import LayerWeights, Made, Shape, one_image
from spacer_tasks.extractors.caffe.windows import Windows, pair, pooled

_METHODS = {"MAX": 0, "AVE": 1, "STOCHASTIC": 2}
_ROUNDINGS = {"CEIL": 0, "FLOOR": 1}
#: numbers of one image that windows cover: it bounds what a hostile definition can ask for
MAX_NUMBERS = 2**27
#: what Caffe begins a maximum with (-FLT_MAX)
LOWEST = float(np.finfo(np.float32).min)


class Pooling(nn.Module):
    """Of images, float32 (n, channels, rows, columns), to `shape` (rows, columns).

    Parameters
    ----------
    shape_in, shape
        Rows and columns before and after.
    largest
        The largest of each window, else its average.
    """

    divisors: Tensor

    def __init__(
        self,
        windows: Windows,
        shape_in: tuple[int, int],
        shape: tuple[int, int],
        *,
        largest: bool,
    ) -> None:
        super().__init__()
        self.windows, self.largest = windows, largest
        spans = [
            _spans(windows, length, count, axis)
            for axis, (length, count) in enumerate(zip(shape_in, shape, strict=True))
        ]
        self.register_buffer("divisors", torch.tensor(np.outer(*spans), dtype=torch.float32))
        # what the windows cover is padded or cut to exactly, so that torch rounds nothing
        after = [
            (count - 1) * windows.stride[axis] + windows.kernel[axis] - windows.pad[axis] - length
            for axis, (length, count) in enumerate(zip(shape_in, shape, strict=True))
        ]
        self.padding = (windows.pad[1], after[1], windows.pad[0], after[0])

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.windows.kernel, self.windows.stride
        if self.largest:
            return functional.max_pool2d(self._padded(x, LOWEST), kernel, stride)
        sums = functional.avg_pool2d(self._padded(x, 0), kernel, stride, divisor_override=1)
        return sums.div_(self.divisors)

    def _padded(self, x: Tensor, value: float) -> Tensor:
        # rows and columns that no window covers do no harm at the end
        padding = [max(0, each) for each in self.padding]
        return functional.pad(x, padding, value=value) if any(padding) else x


def _spans(windows: Windows, length: int, count: int, axis: int) -> np.ndarray:
    """Rows or columns of each window within the image and its padding."""
    starts = np.arange(count) * windows.stride[axis] - windows.pad[axis]
    ends = np.minimum(starts + windows.kernel[axis], length + windows.pad[axis])
    return ends - starts


def make(layer: Layer, bottoms: list[Shape], weights: LayerWeights) -> Made:
    """The layer `Pooling`."""
    channels, *image = one_image(layer, bottoms)
    options = layer.options("pooling_param")
    method = options.choice("pool", _METHODS, "MAX")
    if method == "STOCHASTIC":
        raise layer.error("pool is STOCHASTIC, which Caffe has for training only")
    ceil = options.choice("round_mode", _ROUNDINGS, "CEIL") == "CEIL"
    is_global = options.boolean("global_pooling", False)
    has_kernel = any(map(options.has, ("kernel_size", "kernel_h", "kernel_w")))
    if is_global and has_kernel:
        raise layer.error("global_pooling takes no kernel size")
    rows, columns = image
    windows = Windows(
        kernel=(rows, columns)
        if is_global
        else pair(options, "kernel_size", "kernel_h", "kernel_w", default=None, least=1),
        stride=pair(options, "stride", "stride_h", "stride_w", default=1, least=1),
        pad=pair(options, "pad", "pad_h", "pad_w", default=0, least=0),
    )
    options.ignore(("engine",))
    options.check_all_known()
    if is_global and (windows.stride != (1, 1) or windows.pad != (0, 0)):
        raise layer.error("global_pooling takes no stride and no padding")
    if any(pad >= kernel for pad, kernel in zip(windows.pad, windows.kernel, strict=True)):
        raise layer.error(f"padding {windows.pad} is not less than the kernel {windows.kernel}")
    return Made(
        *pooled_windows(
            layer, (channels, rows, columns), windows, ceil=ceil, largest=method == "MAX"
        )
    )


def pooled_windows(
    layer: Layer, shape: tuple[int, int, int], windows: Windows, *, ceil: bool, largest: bool
) -> tuple[Pooling, Shape]:
    """The module, and the shape of an image after it."""
    channels, rows, columns = shape
    count = (pooled(rows, windows, 0, ceil=ceil), pooled(columns, windows, 1, ceil=ceil))
    if min(count) < 1:
        raise layer.error(f"its windows are larger than the {rows} x {columns} image")
    covered = [
        (n - 1) * windows.stride[axis] + windows.kernel[axis] for axis, n in enumerate(count)
    ]
    if channels * prod(covered) > MAX_NUMBERS:
        raise layer.error("its windows are larger than any net's")
    module = Pooling(windows, (rows, columns), count, largest=largest)
    return module, (channels, *count)
