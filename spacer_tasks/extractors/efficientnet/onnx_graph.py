"""EfficientNet-B0 as an ONNX model, made in memory from the loaded network.

Built node by node, without an exporter: the network is a handful of operators, and this takes
milliseconds. Its input is the patches as they are cut, so that bytes go in and nothing is copied
before the runtime has them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from spacer_tasks.extractors.efficientnet.network import FEATURE_DIM, EfficientNetB0, MBConv

INPUT = "patches"
OUTPUT = "features"
#: of ONNX 1.15: every operator here is in it, and runtimes of 2024 and later read it
OPSET, IR_VERSION = 18, 9


def onnx_model(net: EfficientNetB0, size: int) -> bytes:
    """The model: `patches`, uint8 (n, size, size, 3), to `features`, float32 (n, 1280).

    Parameters
    ----------
    net
        With its batch norms folded.
    size
        Rows and columns of a patch.
    """
    graph = _Graph()
    x = graph.add("Cast", INPUT, to=TensorProto.FLOAT)
    x = graph.add("Transpose", x, perm=[0, 3, 1, 2])
    # the stem takes the patches' scale, 0 to 255, into its weights
    x = graph.swish(graph.convolution(net._conv_stem, x, scale=1 / 255))
    for block in net._blocks:
        assert isinstance(block, MBConv)
        x = _block(graph, block, x)
    x = graph.swish(graph.convolution(net._conv_head, x))
    graph.add("Flatten", graph.add("GlobalAveragePool", x), to_name=OUTPUT, axis=1)
    patches = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", size, size, 3])
    features = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", FEATURE_DIM])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "efficientnet_b0", [patches], [features], graph.weights),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    return bytes(model.SerializeToString())


def _block(graph: _Graph, block: MBConv, block_input: str) -> str:
    """`MBConv.forward`, node by node."""
    x = block_input
    if block.expands:
        x = graph.swish(graph.convolution(block._expand_conv, x))
    x = graph.swish(graph.convolution(block._depthwise_conv, x))
    gate = graph.swish(graph.convolution(block._se_reduce, graph.add("GlobalAveragePool", x)))
    gate = graph.add("Sigmoid", graph.convolution(block._se_expand, gate))
    x = graph.convolution(block._project_conv, graph.add("Mul", x, gate))
    return graph.add("Add", x, block_input) if block.skips else x


class _Graph:
    """Nodes in the order they run, each with one output, named by its number."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, to_name: str | None = None, **options: Any) -> str:
        """Add a node; the name of its output."""
        name = to_name or f"{operator}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **options))
        return name

    def convolution(self, layer: nn.Conv2d, x: str, scale: float = 1) -> str:
        """A convolution with bias; `scale` is what its input is multiplied with first."""
        assert layer.bias is not None
        kernel, stride = layer.kernel_size[0], layer.stride[0]
        return self.add(
            "Conv",
            x,
            self._weight(layer.weight.detach().numpy() * np.float32(scale)),
            self._weight(layer.bias.detach().numpy()),
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            group=layer.groups,
            # what is uneven goes below and to the right, as with TensorFlow
            auto_pad="SAME_UPPER",
        )

    def swish(self, x: str) -> str:
        """The runtime makes one operator of the two."""
        return self.add("Mul", x, self.add("Sigmoid", x))

    def _weight(self, values: Any) -> str:
        name = f"weight{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name
