"""The layers that a net may have, by their types, and the simple ones among them."""

from __future__ import annotations

from functools import reduce
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional

import spacer_tasks.extractors.caffe.convolution as convolution
import spacer_tasks.extractors.caffe.normalization as normalization
import spacer_tasks.extractors.caffe.pooling as pooling
from spacer_tasks.extractors.caffe.formats.definition import TRAIN, Layer
from spacer_tasks.extractors.caffe.making import LayerWeights, Made, Maker, Shape, axis_of, one

_OPERATIONS = {"PROD": 0, "SUM": 1, "MAX": 2}


class ReLU(nn.Module):
    """x, or `slope` times x where it is negative. `in_place` where nothing else reads x."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope
        self.in_place = False

    def forward(self, x: Tensor) -> Tensor:
        if self.slope == 0:
            return functional.relu(x, inplace=self.in_place)
        return functional.leaky_relu(x, self.slope, inplace=self.in_place)


class PReLU(nn.Module):
    """The same with a slope for each channel, or one for all."""

    def __init__(self, slopes: Tensor) -> None:
        super().__init__()
        self.slopes = nn.Parameter(slopes.view(-1), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return functional.prelu(x, self.slopes)


class InnerProduct(nn.Module):
    """The axes from `axis` on flattened and multiplied with a matrix (outputs, inputs)."""

    def __init__(self, weight: Tensor, bias: Tensor | None, axis: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x.flatten(self.axis), self.weight, self.bias)


class Concat(nn.Module):
    """Blobs one after the other along an axis."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, *blobs: Tensor) -> Tensor:
        return torch.cat(blobs, dim=self.axis)


class Eltwise(nn.Module):
    """The product, the sum with coefficients, or the largest, number by number."""

    def __init__(self, operation: str, coefficients: list[float]) -> None:
        super().__init__()
        self.operation, self.coefficients = operation, coefficients

    def forward(self, *blobs: Tensor) -> Tensor:
        if self.operation == "PROD":
            return reduce(torch.mul, blobs)
        if self.operation == "MAX":
            return reduce(torch.maximum, blobs)
        total = blobs[0] * self.coefficients[0]
        for blob, coefficient in zip(blobs[1:], self.coefficients[1:], strict=True):
            total.add_(blob, alpha=coefficient)
        return total


class Softmax(nn.Module):
    """exp(x) divided by its sum along an axis."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        return functional.softmax(x, dim=self.axis)


def _relu(layer: Layer, bottoms: list[Shape], weights: LayerWeights) -> Made:
    options = layer.options("relu_param")
    slope = options.number("negative_slope", 0.0)
    options.ignore(("engine",))
    options.check_all_known()
    return Made(ReLU(slope), one(layer, bottoms))


def _prelu(layer: Layer, bottoms: list[Shape], weights: LayerWeights) -> Made:
    shape = one(layer, bottoms)
    options = layer.options("prelu_param")
    shared = options.boolean("channel_shared", False)
    options.ignore(("filler",))
    options.check_all_known()
    (slopes,) = weights.tensors([() if shared else shape[:1]])
    return Made(PReLU(slopes), shape)


def _dropout(layer: Layer, bottoms: list[Shape], weights: LayerWeights) -> Made:
    if layer.phase == TRAIN:
        raise layer.error("its phase is TRAIN: what it drops would be random")
    options = layer.options("dropout_param")
    options.number("dropout_ratio", 0.5)
    options.check_all_known()
    return Made(nn.Identity(), one(layer, bottoms))


def _inner_product(layer: Layer, bottoms: list[Shape], weights: LayerWeights) -> Made:
    shape = one(layer, bottoms)
    options = layer.options("inner_product_param")
    count = options.integer("num_output", least=1)
    has_bias = options.boolean("bias_term", True)
    transposed = options.boolean("transpose", False)
    axis = axis_of(layer, options.integer("axis", 1, least=-32), shape)
    options.ignore(("weight_filler", "bias_filler"))
    options.check_all_known()
    inputs = prod(shape[axis:])
    matrix = (inputs, count) if transposed else (count, inputs)
    weight, *bias = weights.tensors([matrix, (count,)] if has_bias else [matrix])
    module = InnerProduct(weight.T if transposed else weight, bias[0] if bias else None, axis + 1)
    return Made(module, (*shape[:axis], count))


def _concat(layer: Layer, bottoms: list[Shape], weights: LayerWeights) -> Made:
    options = layer.options("concat_param")
    if options.has("axis") and options.has("concat_dim"):
        raise layer.error("axis and concat_dim are both set")
    axis = options.integer("axis", options.integer("concat_dim", 1), least=-32)
    options.check_all_known()
    if not bottoms:
        raise layer.error("it takes no blobs")
    axis = axis_of(layer, axis, bottoms[0])
    if len({(*shape[:axis], None, *shape[axis + 1 :]) for shape in bottoms}) > 1:
        raise layer.error(f"its blobs have shapes {bottoms}, different beside axis {axis + 1}")
    length = sum(shape[axis] for shape in bottoms)
    shape = (*bottoms[0][:axis], length, *bottoms[0][axis + 1 :])
    return Made(Concat(axis + 1), shape)


def _eltwise(layer: Layer, bottoms: list[Shape], weights: LayerWeights) -> Made:
    options = layer.options("eltwise_param")
    operation = options.choice("operation", _OPERATIONS, "SUM")
    coefficients = options.numbers("coeff")
    options.ignore(("stable_prod_grad",))
    options.check_all_known()
    if len(bottoms) < 2 or len(set(bottoms)) > 1:
        raise layer.error(f"its blobs have shapes {bottoms}; expected two or more of one shape")
    if coefficients and (operation != "SUM" or len(coefficients) != len(bottoms)):
        raise layer.error(f"{len(coefficients)} coeff; a SUM takes one for each blob")
    return Made(Eltwise(operation, coefficients or [1.0] * len(bottoms)), bottoms[0])


def _softmax(layer: Layer, bottoms: list[Shape], weights: LayerWeights) -> Made:
    shape = one(layer, bottoms)
    options = layer.options("softmax_param")
    axis = axis_of(layer, options.integer("axis", 1, least=-32), shape)
    options.ignore(("engine",))
    options.check_all_known()
    return Made(Softmax(axis + 1), shape)


#: what makes a module of a layer, by the layer's type
MAKERS: dict[str, Maker] = {
    "BatchNorm": normalization.make_batch_norm,
    "Concat": _concat,
    "Convolution": convolution.make,
    "Dropout": _dropout,
    "Eltwise": _eltwise,
    "InnerProduct": _inner_product,
    "LRN": normalization.make_lrn,
    "PReLU": _prelu,
    "Pooling": pooling.make,
    "ReLU": _relu,
    "Scale": normalization.make_scale,
    "Softmax": _softmax,
}
#: layers that may write where they read; in Caffe, others there give something else
IN_PLACE_TYPES = {"BatchNorm", "Dropout", "PReLU", "ReLU", "Scale", "Softmax"}
