"""What the makers of layers share: shapes, weights, and what they give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from spacer_tasks.extractors.caffe.formats.definition import Layer
from spacer_tasks.extractors.caffe.formats.weights_file import WeightsFile

#: of one image in a blob: a batch may have any size
Shape = tuple[int, ...]


class Made(NamedTuple):
    """A layer's module, and the shape of an image's part of the blob that it gives."""

    module: nn.Module
    shape: Shape


class LayerWeights:
    """A layer's weights in the file.

    Parameters
    ----------
    read
        Whether the weights are read; else they are checked only.
    first
        Whether the layer is the first of its name, to which Caffe gives the weights.
    """

    def __init__(self, layer: Layer, file: WeightsFile, *, read: bool, first: bool) -> None:
        self._layer, self._file, self._read, self._first = layer, file, read, first
        self._taken = False

    def tensors(self, shapes: Sequence[Sequence[int]]) -> list[Tensor]:
        """The weights in their order, which must be as many as the shapes and have these."""
        self._taken = True
        if not self._first:
            raise self._layer.error("a layer before it has the same name, and so its weights")
        blobs = self._file.layers.get(self._layer.name)
        if blobs is None:
            raise self._layer.error("its weights are missing in the weights file")
        if len(blobs) != len(shapes):
            raise self._layer.error(
                f"the weights file has {len(blobs)} blobs of weights for it, expected {len(shapes)}"
            )
        found = []
        for number, (blob, shape) in enumerate(zip(blobs, shapes, strict=True)):
            what = f"{self._layer.fields.where}: weights {number}"
            if self._read:
                found.append(self._file.tensor(blob, shape, what))
            else:
                self._file.check(blob, shape, what)
                found.append(torch.empty(tuple(shape), device="meta"))
        return found

    def check_taken(self) -> None:
        """Refuse weights in the file for a layer that has none."""
        if not self._taken and self._first and self._file.layers.get(self._layer.name):
            self.tensors([])


Maker = Callable[[Layer, list[Shape], LayerWeights], Made]


def one(layer: Layer, bottoms: list[Shape]) -> Shape:
    """The shape of the one blob that a layer takes."""
    if len(bottoms) != 1:
        raise layer.error(f"it takes {len(bottoms)} blobs, expected one")
    return bottoms[0]


def one_image(layer: Layer, bottoms: list[Shape]) -> tuple[int, int, int]:
    """The same, where it must be of images: channels, rows, columns."""
    shape = one(layer, bottoms)
    if len(shape) != 3:
        raise layer.error(f"it takes images; its blob has {1 + len(shape)} axes, expected 4")
    return shape[0], shape[1], shape[2]


def axis_of(layer: Layer, axis: int, shape: Shape) -> int:
    """An axis of a blob, counted from its end where negative, as an axis of one image."""
    axes = 1 + len(shape)
    if not -axes <= axis < axes:
        raise layer.error(f"axis {axis} is none of its blob, which has {axes}")
    if axis % axes == 0:
        raise layer.error("axis 0 is that of the batch: images must not depend on each other")
    return axis % axes - 1
