"""The preprocessing before a model: it then takes patches as they are cut."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from spacer_tasks.extractors.onnx_file.model import CheckedModel
from spacer_tasks.extractors.preprocessing import Preprocessing

#: of the names that are added; made longer until no name in the file begins with it
PREFIX = "patches_"


def with_preprocessing(
    checked: CheckedModel, preprocessing: Preprocessing, size: int, *, channels_last: bool
) -> bytes:
    """The model, serialized: `patches`, uint8 (n, size, size, 3), to the chosen output.

    Parameters
    ----------
    size
        Rows and columns of a patch.
    channels_last
        Whether the model takes (n, rows, columns, 3), not (n, 3, rows, columns).
    """
    model, graph = checked.model, checked.model.graph
    inner = graph.input[0].name
    names = {inner, *(name for node in graph.node for name in (*node.output, *node.input))}
    names.update(tensor.name for tensor in graph.initializer)
    prefix = PREFIX
    while any(name.startswith(prefix) for name in names):
        prefix += "_"
    outer, x = f"{prefix}in", f"{prefix}in"
    nodes: list[NodeProto] = []

    def add(operator: str, *inputs: str, **options: Any) -> str:
        made = f"{prefix}{len(nodes)}"
        nodes.append(helper.make_node(operator, [*inputs], [made], **options))
        return made

    def constant(name: str, values: np.typing.NDArray[np.generic]) -> str:
        graph.initializer.append(numpy_helper.from_array(values, f"{prefix}{name}"))
        return f"{prefix}{name}"

    if preprocessing.channels == "BGR":
        x = add("Gather", x, constant("turned", np.array([2, 1, 0])), axis=3)
    x = add("Cast", x, to=TensorProto.FLOAT)
    # (byte / scale - mean) / deviation, as one product and one sum
    mean, deviation = np.array(preprocessing.mean), np.array(preprocessing.deviation)
    factor = (1 / (preprocessing.scale * deviation)).astype(np.float32)
    summand = (-mean / deviation).astype(np.float32)
    x = add("Mul", x, constant("factor", factor))
    x = add("Add", x, constant("summand", summand))
    if not channels_last:
        x = add("Transpose", x, perm=[0, 3, 1, 2])
    if checked.element == TensorProto.FLOAT16:
        x = add("Cast", x, to=TensorProto.FLOAT16)
    nodes.append(helper.make_node("Identity", [x], [inner]))
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])
    batch = "n" if checked.shape[0] is None else checked.shape[0]
    del graph.input[:]
    graph.input.append(
        helper.make_tensor_value_info(outer, TensorProto.UINT8, [batch, size, size, 3])
    )
    # what the file claims of its shape is not asked: the runtime finds it out
    (output,) = [each for each in graph.output if each.name == checked.output]
    output.type.tensor_type.ClearField("shape")
    del graph.output[:]
    graph.output.append(output)
    return bytes(model.SerializeToString())
