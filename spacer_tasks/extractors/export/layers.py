"""Convolutions, products, pools, norms and attention as ONNX nodes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spacer_tasks.extractors.export.graph import Graph, refuse_unless
from spacer_tasks.extractors.export.recording import Call


def convolution(graph: Graph, call: Call) -> str:
    """Padding with zeros before it is made its own."""
    given = call.arguments
    refuse_unless(not given["transposed"], call, "is transposed")
    weight, padding = given["weight"], [*given["padding"], *given["padding"]]
    refuse_unless(isinstance(weight, Tensor), call, "has weights that come from the patches")
    x = graph.of(given["input"])
    if x in graph.padded:
        # as TensorFlow pads, more on one side than on the other: torch's convolutions cannot
        x, around = graph.padded[x]
        padding = [own + more for own, more in zip(padding, around, strict=True)]
    bias = [] if given["bias"] is None else [graph.of(given["bias"])]
    return graph.add(
        "Conv",
        x,
        graph.of(weight),
        *bias,
        kernel_shape=list(weight.shape[2:]),
        strides=given["stride"],
        dilations=given["dilation"],
        pads=padding,
        group=given["groups"],
    )


def product(graph: Graph, call: Call) -> str:
    """A matrix product, or one for each of a batch."""
    return graph.add("MatMul", *(graph.of(call.arguments[each]) for each in ("self", "mat2")))


def product_and_sum(graph: Graph, call: Call) -> str:
    """The same with a summand, as of a linear layer, whose weights torch shows transposed."""
    given = call.arguments
    matrix = given["mat2"]
    transposed = isinstance(matrix, Tensor) and not matrix.is_contiguous()
    return graph.add(
        "Gemm",
        graph.of(given["mat1"]),
        graph.of(matrix.t() if transposed else matrix),
        graph.of(given["self"]),
        alpha=float(given["alpha"]),
        beta=float(given["beta"]),
        transB=int(transposed),
    )


def attention(graph: Graph, call: Call) -> list[str]:
    """Softmax of the scaled products of queries and keys, times the values."""
    given = call.arguments
    plain = given["dropout_p"] == 0 and not given["is_causal"] and given["attn_mask"] is None
    refuse_unless(plain, call, "has a mask or drops values")
    query, key, value = (graph.of(given[each]) for each in ("query", "key", "value"))
    scale = given["query"].shape[-1] ** -0.5 if given["scale"] is None else given["scale"]
    keys = graph.add("Transpose", key, perm=[0, 1, 3, 2])
    weights = graph.add("MatMul", graph.add("Mul", query, graph.of(scale)), keys)
    return [graph.add("MatMul", graph.add("Softmax", weights, axis=-1), value)]


def batch_norm(graph: Graph, call: Call) -> list[str]:
    """With the mean and variance of the training."""
    given = call.arguments
    refuse_unless(not given.get("training", False), call, "is in training")
    channels = given["input"].shape[1]
    plain = {"weight": torch.ones(channels), "bias": torch.zeros(channels)}
    numbers = [
        graph.of(plain[key] if given[key] is None else given[key])
        for key in ("weight", "bias", "running_mean", "running_var")
    ]
    x = graph.of(given["input"])
    return [graph.add("BatchNormalization", x, *numbers, epsilon=float(given["eps"]))]


def layer_norm(graph: Graph, call: Call) -> list[str]:
    """Over the last axes."""
    given = call.arguments
    shape, weight = given["normalized_shape"], given["weight"]
    numbers = [graph.of(torch.ones(shape) if weight is None else weight)]
    if given["bias"] is not None:
        numbers.append(graph.of(given["bias"]))
    x, epsilon = graph.of(given["input"]), float(given["eps"])
    return [graph.add("LayerNormalization", x, *numbers, axis=-len(shape), epsilon=epsilon)]


def max_pool(graph: Graph, call: Call) -> list[str]:
    """The largest of each window. torch gives the places too, which nobody may use."""
    given = call.arguments
    kernel = _pair(given["kernel_size"])
    return [
        graph.add(
            "MaxPool",
            graph.of(given["self"]),
            kernel_shape=kernel,
            strides=_pair(given["stride"]) or kernel,
            pads=_pair(given["padding"]) * 2,
            dilations=_pair(given["dilation"]),
            ceil_mode=int(given["ceil_mode"]),
        )
    ]


def average_pool(graph: Graph, call: Call) -> str:
    """The mean of each window."""
    given = call.arguments
    refuse_unless(given["divisor_override"] is None, call, "has a divisor of its own")
    refuse_unless(not given["ceil_mode"], call, "rounds its size up")
    kernel = _pair(given["kernel_size"])
    return graph.add(
        "AveragePool",
        graph.of(given["self"]),
        kernel_shape=kernel,
        strides=_pair(given["stride"]) or kernel,
        pads=_pair(given["padding"]) * 2,
        count_include_pad=int(given["count_include_pad"]),
    )


def adaptive_average_pool(graph: Graph, call: Call) -> str:
    """To a number of rows and columns, where that makes all windows the same."""
    lengths, wanted = call.arguments["self"].shape[-2:], call.arguments["output_size"]
    even = all(length % out == 0 for length, out in zip(lengths, wanted, strict=True))
    refuse_unless(even, call, f"makes {list(wanted)} of {list(lengths)}, by windows that differ")
    window = [length // out for length, out in zip(lengths, wanted, strict=True)]
    x = graph.of(call.arguments["self"])
    return graph.add("AveragePool", x, kernel_shape=window, strides=window)


def _pair(values: Sequence[int]) -> list[int]:
    """Of rows and columns, which torch may give as one number."""
    return list(values) * (2 if len(values) == 1 else 1)
