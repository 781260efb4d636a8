"""The model of a network: its graph, checked and serialized."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import Tensor

from spacer_tasks.extractors.export.graph import Graph
from spacer_tasks.extractors.export.operators import emit
from spacer_tasks.extractors.export.recording import Batch, NotExportableError, recorded

INPUT, OUTPUT = "patches", "features"
#: of ONNX 1.15: every operator here is in it, and runtimes of 2024 and later read it
OPSET, IR_VERSION = 18, 9
#: bytes of constants; a protobuf message has less than 2 GiB
MAX_BYTES = 2**31 - 2**20


class Exported(NamedTuple):
    """A serialized model, and the network's own vectors of the patches that it was made with."""

    model: bytes
    vectors: NDArray[np.float32]


def onnx_model(network: Callable[[Tensor], Tensor], patches: NDArray[np.uint8]) -> Exported:
    """The model: `patches`, uint8 (n, size, size, 3), to `features`, float32 (n, dimensions).

    Parameters
    ----------
    network
        The same, in torch on the CPU, with parameters that need no gradients.
    patches
        `recording.MOST` of them.

    Raises
    ------
    NotExportableError
        The network does what no ONNX model is made of here; the text says what.
    """
    recording, vectors = recorded(network, patches)
    result = recording.result
    if result.dtype != torch.float32 or len(result.shape) != 2 or result.shape[0] != Batch(1):
        raise NotExportableError("what it gives is not a vector of float32 for each patch")
    graph = Graph(INPUT)
    for call in recording.calls:
        emit(graph, call)
    graph.nodes.append(helper.make_node("Identity", [graph.names[result.number]], [OUTPUT]))
    if sum(each.ByteSize() for each in graph.constants) > MAX_BYTES:
        raise NotExportableError("its parameters are more than an ONNX model holds, 2 GiB")
    given = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", *patches.shape[1:]])
    dimensions = vectors.shape[1:]
    features = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", *dimensions])
    nodes = _needed(graph.nodes)
    model = helper.make_model(
        helper.make_graph(nodes, "network", [given], [features], graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    return Exported(bytes(model.SerializeToString()), vectors)


def _needed(nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Those on the way to the features, in their order."""
    needed: list[onnx.NodeProto] = []
    names = {OUTPUT}
    for node in reversed(nodes):
        if names.intersection(node.output):
            needed.append(node)
            names.update(node.input)
    return needed[::-1]
