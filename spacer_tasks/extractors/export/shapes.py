"""Views, axes, parts and padding as ONNX nodes."""

from __future__ import annotations

import numpy as np
import torch

from spacer_tasks.extractors.export.graph import Graph, outputs_of, refuse_unless
from spacer_tasks.extractors.export.recording import Batch, Call, Value

#: beyond either end of any axis
FIRST, LAST = np.iinfo(np.int64).min, np.iinfo(np.int64).max


def view(graph: Graph, call: Call) -> str:
    """In another shape: the one that torch came to."""
    x, shape = graph.of(call.arguments["self"]), call.outputs[0].shape
    if sum(isinstance(each, Batch) for each in shape) == 1 and 0 not in shape:
        # left to be found, which costs the runtime nothing
        found = [-1 if isinstance(each, Batch) else each for each in shape]
        return graph.add("Reshape", x, graph.integers(*found))
    return graph.add("Reshape", x, graph.sizes(shape))


def expand(graph: Graph, call: Call) -> str:
    """Axes of length 1 repeated."""
    x = graph.of(call.arguments["self"])
    return graph.add("Expand", x, graph.sizes(call.outputs[0].shape))


def permute(graph: Graph, call: Call) -> str:
    """Axes in another order."""
    rank = len(call.arguments["self"].shape)
    order = [each % rank for each in call.arguments["dims"]]
    return graph.add("Transpose", graph.of(call.arguments["self"]), perm=order)


def transpose(graph: Graph, call: Call) -> str:
    """Two axes exchanged."""
    order = list(range(len(call.arguments["self"].shape)))
    one, other = call.arguments.get("dim0", 0), call.arguments.get("dim1", 1)
    order[one], order[other] = order[other], order[one]
    return graph.add("Transpose", graph.of(call.arguments["self"]), perm=order)


def concatenate(graph: Graph, call: Call) -> str:
    """One after the other."""
    parts = [graph.of(each) for each in call.arguments["tensors"]]
    return graph.add("Concat", *parts, axis=call.arguments["dim"])


def stack(graph: Graph, call: Call) -> str:
    """The same along a new axis."""
    axis = call.arguments["dim"] % len(call.outputs[0].shape)
    new = graph.integers(axis)
    parts = [graph.add("Unsqueeze", graph.of(each), new) for each in call.arguments["tensors"]]
    return graph.add("Concat", *parts, axis=axis)


def cut(graph: Graph, call: Call) -> str:
    """Some places of an axis."""
    given = call.arguments
    start, end = given["start"] or 0, LAST if given["end"] is None else given["end"]
    x: Value = given["self"]
    if call.outputs[0].shape == x.shape:
        return graph.of(x)
    refuse_unless(given["dim"] % len(x.shape) != 0, call, "takes some of the patches")
    bounds = (start, end, given["dim"], given["step"])
    return graph.add("Slice", graph.of(x), *(graph.integers(each) for each in bounds))


def select(graph: Graph, call: Call) -> str:
    """One place of an axis."""
    x: Value = call.arguments["self"]
    refuse_unless(call.arguments["dim"] % len(x.shape) != 0, call, "takes one of the patches")
    return _one_of(graph, graph.of(x), call.arguments["dim"], call.arguments["index"])


def unbind(graph: Graph, call: Call) -> list[str]:
    """Every place of an axis."""
    x, axis = graph.of(call.arguments["self"]), call.arguments["dim"]
    return [_one_of(graph, x, axis, number) for number in range(len(call.outputs))]


def _one_of(graph: Graph, x: str, axis: int, number: int) -> str:
    place = graph.constant(torch.tensor(number, dtype=torch.int64))
    return graph.add("Gather", x, place, axis=axis)


def split(graph: Graph, call: Call) -> list[str]:
    """Parts along an axis."""
    axis = call.arguments["dim"]
    lengths = [each.shape[axis] for each in call.outputs]
    x, sizes = graph.of(call.arguments["self"]), graph.sizes(lengths)
    name = graph.add("Split", x, sizes, outputs=len(lengths), axis=axis)
    return outputs_of(name, len(lengths))


def flip(graph: Graph, call: Call) -> str:
    """Axes backwards."""
    axes = [each % len(call.arguments["self"].shape) for each in call.arguments["dims"]]
    refuse_unless(0 not in axes, call, "turns the order of the patches")
    back = [-1] * len(axes)
    bounds = (back, [FIRST] * len(axes), axes, back)
    x = graph.of(call.arguments["self"])
    return graph.add("Slice", x, *(graph.integers(*each) for each in bounds))


def pad(graph: Graph, call: Call) -> str:
    """A number around the last axes; negative padding takes away."""
    given = call.arguments
    x: Value = given["self"]
    rank = len(x.shape)
    before, after = [0] * rank, [0] * rank
    # the last axis comes first, with before and after in turn
    for number in range(len(given["pad"]) // 2):
        before[-1 - number], after[-1 - number] = given["pad"][2 * number : 2 * number + 2]
    value = graph.of(given["value"], x.dtype)
    name = graph.add("Pad", graph.of(x), graph.integers(*before, *after), value)
    in_rows_and_columns = rank == 4 and not any(before[:2] + after[:2])
    if in_rows_and_columns and given["value"] == 0 and min(before + after) >= 0:
        graph.padded[name] = (graph.of(x), [*before[2:], *after[2:]])
    return name
