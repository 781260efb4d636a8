"""ATen's operators by name, and the nodes of each: those of convolutional networks, and of plain
transformers.
"""

from __future__ import annotations

import torch
from onnx import TensorProto

from spacer_tasks.extractors.export import layers, shapes
from spacer_tasks.extractors.export.graph import Emit, Graph, refuse_unless
from spacer_tasks.extractors.export.recording import Batch, Call, NotExportableError, Value

#: ONNX's types of what networks compute with
TYPES = {
    torch.float32: TensorProto.FLOAT,
    torch.float64: TensorProto.DOUBLE,
    torch.int32: TensorProto.INT32,
    torch.int64: TensorProto.INT64,
    torch.uint8: TensorProto.UINT8,
}
#: arguments that may depend on the number of patches
SIZES = {"size", "shape"}


def emit(graph: Graph, call: Call) -> None:
    """Add the nodes of a call.

    Raises
    ------
    NotExportableError
        Its operator is not known here, or not with these arguments.
    """
    make = OPERATORS.get(call.operator)
    if make is None:
        raise NotExportableError(f"it uses the operator {call.operator}")
    for key, argument in call.arguments.items():
        several = argument if isinstance(argument, list) else [argument]
        alone = key in SIZES or not any(isinstance(each, Batch) for each in several)
        refuse_unless(alone, call, f"has a `{key}` that depends on how many patches there are")
    try:
        made = make(graph, call)
    # an argument that is given here for the first time
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise NotExportableError(f"the operator {call.operator} with {error}") from error
    names = [made] if isinstance(made, str) else made
    # of some, only the first is ever used
    for output, name in zip(call.outputs, names, strict=False):
        graph.names[output.number] = name


def _same(graph: Graph, call: Call) -> str:
    return graph.of(call.arguments["self"])


def _unary(operator: str) -> Emit:
    return lambda graph, call: graph.add(operator, graph.of(call.arguments["self"]))


def _binary(operator: str) -> Emit:
    def make(graph: Graph, call: Call) -> str:
        given, dtype = call.arguments, call.outputs[0].dtype
        refuse_unless(given.get("rounding_mode") is None, call, "rounds")
        for argument in (given["self"], given["other"]):
            # else torch converts one of them
            own = getattr(argument, "dtype", dtype)
            refuse_unless(own == dtype, call, f"takes {own} and gives {dtype}")
        other = graph.of(given["other"], dtype)
        if given.get("alpha", 1) != 1:
            other = graph.add("Mul", other, graph.of(given["alpha"], dtype))
        return graph.add(operator, graph.of(given["self"], dtype), other)

    return make


def _rsub(graph: Graph, call: Call) -> str:
    refuse_unless(call.arguments["alpha"] == 1, call, "has a factor")
    x = call.arguments["self"]
    return graph.add("Sub", graph.of(call.arguments["other"], x.dtype), graph.of(x))


def _pow(graph: Graph, call: Call) -> str:
    base, exponent = call.arguments["self"], call.arguments["exponent"]
    dtype = call.outputs[0].dtype
    return graph.add("Pow", graph.of(base, dtype), graph.of(exponent, dtype))


def _rsqrt(graph: Graph, call: Call) -> str:
    return graph.add("Reciprocal", graph.add("Sqrt", graph.of(call.arguments["self"])))


def _silu(graph: Graph, call: Call) -> str:
    """The runtime makes one operator of the two."""
    x = graph.of(call.arguments["self"])
    return graph.add("Mul", x, graph.add("Sigmoid", x))


def _gelu(graph: Graph, call: Call) -> str:
    """x times the normal distribution's cumulative function, or its approximation by tanh
    (Hendrycks and Gimpel, arXiv:1606.08415).
    """
    x = graph.of(call.arguments["self"])
    if call.arguments["approximate"] == "tanh":
        cube = graph.add("Mul", graph.add("Mul", x, x), x)
        inner = graph.add("Add", x, graph.add("Mul", cube, graph.of(0.044715)))
        curve = graph.add("Tanh", graph.add("Mul", inner, graph.of((2 / torch.pi) ** 0.5)))
    else:
        curve = graph.add("Erf", graph.add("Div", x, graph.of(2**0.5)))
    whole = graph.add("Mul", x, graph.add("Add", curve, graph.of(1.0)))
    return graph.add("Mul", whole, graph.of(0.5))


def _clip(low: str, high: str) -> Emit:
    def make(graph: Graph, call: Call) -> str:
        given = call.arguments
        dtype = call.outputs[0].dtype
        bounds = ["" if given[key] is None else graph.of(given[key], dtype) for key in (low, high)]
        return graph.add("Clip", graph.of(given["self"]), *bounds)

    return make


def _elu(graph: Graph, call: Call) -> str:
    given = call.arguments
    refuse_unless(given["scale"] == given["input_scale"] == 1, call, "is scaled")
    return graph.add("Elu", graph.of(given["self"]), alpha=float(given["alpha"]))


def _leaky_relu(graph: Graph, call: Call) -> str:
    slope = float(call.arguments["negative_slope"])
    return graph.add("LeakyRelu", graph.of(call.arguments["self"]), alpha=slope)


def _prelu(graph: Graph, call: Call) -> str:
    return graph.add("PRelu", graph.of(call.arguments["self"]), graph.of(call.arguments["weight"]))


def _hardsigmoid(graph: Graph, call: Call) -> str:
    return graph.add("HardSigmoid", graph.of(call.arguments["self"]), alpha=1 / 6, beta=0.5)


def _softmax(graph: Graph, call: Call) -> str:
    x, axis = call.arguments["self"], call.arguments["dim"]
    refuse_unless(axis % len(x.shape) != 0, call, "mixes the patches")
    return graph.add("Softmax", graph.of(x), axis=axis)


def _mish(graph: Graph, call: Call) -> str:
    x = graph.of(call.arguments["self"])
    return graph.add("Mul", x, graph.add("Tanh", graph.add("Softplus", x)))


def _reduced(operator: str) -> Emit:
    def make(graph: Graph, call: Call) -> str:
        x: Value = call.arguments["self"]
        kept = call.outputs[0].dtype == x.dtype
        refuse_unless(kept, call, f"takes {x.dtype} and gives {call.outputs[0].dtype}")
        rank = len(x.shape)
        axes = sorted(axis % rank for axis in call.arguments.get("dim") or range(rank))
        refuse_unless(0 not in axes, call, "mixes the patches")
        if operator == "ReduceMean" and rank == 4 and axes == [2, 3]:
            pooled = graph.add("GlobalAveragePool", graph.of(x))
            return pooled if call.arguments["keepdim"] else graph.add("Flatten", pooled, axis=1)
        keep = int(call.arguments["keepdim"])
        return graph.add(operator, graph.of(x), graph.integers(*axes), keepdims=keep)

    return make


def _cast(graph: Graph, call: Call) -> str:
    x, dtype = call.arguments["self"], call.outputs[0].dtype
    refuse_unless(dtype in TYPES, call, f"gives {dtype}")
    return graph.of(x) if x.dtype == dtype else graph.add("Cast", graph.of(x), to=TYPES[dtype])


OPERATORS: dict[str, Emit] = {
    "_adaptive_avg_pool2d": layers.adaptive_average_pool,
    "_native_batch_norm_legit_no_training": layers.batch_norm,
    "_prelu_kernel": _prelu,
    "_scaled_dot_product_flash_attention_for_cpu": layers.attention,
    "_softmax": _softmax,
    "_to_copy": _cast,
    "_unsafe_view": shapes.view,
    "abs": _unary("Abs"),
    "add": _binary("Add"),
    "addmm": layers.product_and_sum,
    "alias": _same,
    "amax": _reduced("ReduceMax"),
    "avg_pool2d": layers.average_pool,
    "bmm": layers.product,
    "cat": shapes.concatenate,
    "clamp": _clip("min", "max"),
    "clone": _same,
    "constant_pad_nd": shapes.pad,
    "convolution": layers.convolution,
    "detach": _same,
    "div": _binary("Div"),
    "elu": _elu,
    "erf": _unary("Erf"),
    "exp": _unary("Exp"),
    "expand": shapes.expand,
    "flip": shapes.flip,
    "gelu": _gelu,
    "hardsigmoid": _hardsigmoid,
    "hardswish": _unary("HardSwish"),
    "hardtanh": _clip("min_val", "max_val"),
    "leaky_relu": _leaky_relu,
    "max_pool2d_with_indices": layers.max_pool,
    "maximum": _binary("Max"),
    "mean": _reduced("ReduceMean"),
    "mish": _mish,
    "minimum": _binary("Min"),
    "mm": layers.product,
    "mul": _binary("Mul"),
    "native_batch_norm": layers.batch_norm,
    "native_layer_norm": layers.layer_norm,
    "neg": _unary("Neg"),
    "permute": shapes.permute,
    "pow": _pow,
    "reciprocal": _unary("Reciprocal"),
    "relu": _unary("Relu"),
    "rsqrt": _rsqrt,
    "rsub": _rsub,
    "select": shapes.select,
    "sigmoid": _unary("Sigmoid"),
    "silu": _silu,
    "slice": shapes.cut,
    "split": shapes.split,
    "split_with_sizes": shapes.split,
    "sqrt": _unary("Sqrt"),
    "squeeze": shapes.view,
    "stack": shapes.stack,
    "sub": _binary("Sub"),
    "sum": _reduced("ReduceSum"),
    "t": shapes.transpose,
    "tanh": _unary("Tanh"),
    "transpose": shapes.transpose,
    "unbind": shapes.unbind,
    "unsqueeze": shapes.view,
    "view": shapes.view,
}
