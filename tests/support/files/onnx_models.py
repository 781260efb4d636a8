"""Small networks as ONNX files: good ones, and the hostile ones of strangers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

#: rows and columns of a patch
SIZE = 32
CHANNELS = 8
OPTIONS: dict[str, Any] = {
    "patch_size": SIZE,
    "mean": [0.5, 0.4, 0.3],
    "deviation": [0.25, 0.2, 0.3],
}
Nodes = Sequence[onnx.NodeProto]


def weights() -> dict[str, NDArray[Any]]:
    """Of a convolution of 3 × 3 with stride 2."""
    random = np.random.default_rng(0)
    return {
        "kernel": random.normal(0, 0.3, (CHANNELS, 3, 3, 3)).astype(np.float32),
        "bias": random.normal(0, 0.3, CHANNELS).astype(np.float32),
    }


def body() -> list[onnx.NodeProto]:
    """From `x` to `maps`, (n, CHANNELS, 16, 16)."""
    return [
        helper.make_node(
            "Conv", ["x", "kernel", "bias"], ["c"], strides=[2, 2], pads=[1, 1, 1, 1], group=1
        ),
        helper.make_node("Relu", ["c"], ["maps"]),
    ]


def pool() -> list[onnx.NodeProto]:
    """From `maps` to `y`, (n, CHANNELS)."""
    return [
        helper.make_node("GlobalAveragePool", ["maps"], ["p"]),
        helper.make_node("Flatten", ["p"], ["y"], axis=1),
    ]


def model(
    nodes: Nodes | None = None,
    more: dict[str, NDArray[Any]] | None = None,
    *,
    shape: Sequence[int | str | None] = ("n", 3, SIZE, SIZE),
    outputs: Sequence[str] = ("y",),
    element: int = TensorProto.FLOAT,
    opset: int = 17,
) -> onnx.ModelProto:
    """A model; without arguments the good one."""
    graph = helper.make_graph(
        [*body(), *pool()] if nodes is None else list(nodes),
        "network",
        [helper.make_tensor_value_info("x", element, shape)],
        [helper.make_tensor_value_info(each, element, None) for each in outputs],
        [numpy_helper.from_array(a, key) for key, a in {**weights(), **(more or {})}.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def integers(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def _with(change: Callable[[onnx.ModelProto], object]) -> Callable[[], bytes]:
    def make() -> bytes:
        made = model()
        change(made)
        return bytes(made.SerializeToString())

    return make


def _after_pool(
    nodes: Nodes, more: dict[str, NDArray[Any]] | None = None, **given: Any
) -> Callable[[], bytes]:
    """More nodes, from `y` to `z`."""
    return lambda: bytes(
        model([*body(), *pool(), *nodes], more, outputs=["z"], **given).SerializeToString()
    )


def _external(tensor: onnx.TensorProto, path: str = "/etc/passwd") -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=path)


def _external_constant(made: onnx.ModelProto) -> None:
    tensor = numpy_helper.from_array(np.zeros(3, np.float32))
    _external(tensor, "../../secret")
    made.graph.node.insert(0, helper.make_node("Constant", [], ["k"], value=tensor))


def _inner() -> onnx.GraphProto:
    out = helper.make_tensor_value_info("o", TensorProto.FLOAT, None)
    return helper.make_graph([helper.make_node("Identity", ["y"], ["o"])], "inner", [], [out])


def _function(made: onnx.ModelProto) -> None:
    made.functions.append(
        helper.make_function(
            "own",
            "F",
            ["a"],
            ["b"],
            [helper.make_node("Relu", ["a"], ["b"])],
            [helper.make_opsetid("", 17)],
        )
    )


def _claims(*dims: int) -> Callable[[onnx.ModelProto], None]:
    def change(made: onnx.ModelProto) -> None:
        del made.graph.initializer[0].dims[:]
        made.graph.initializer[0].dims.extend(dims)

    return change


def _attribute(name: str, *values: int) -> Callable[[onnx.ModelProto], None]:
    def change(made: onnx.ModelProto) -> None:
        (found,) = [each for each in made.graph.node[0].attribute if each.name == name]
        if found.type == onnx.AttributeProto.INT:
            found.i = values[0]
        else:
            del found.ints[:]
            found.ints.extend(values)

    return change


def _two_values(made: onnx.ModelProto) -> None:
    made.graph.node[0].attribute[0].f = 1


def field(number: int, content: bytes) -> bytes:
    """A field of the wire format, of bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    """An integer of the wire format."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def _sequences() -> bytes:
    """A type of a sequence of a sequence, and so on."""
    inner = b""
    for _ in range(2000):
        inner = field(4, field(1, inner))
    return field(7, field(13, field(2, inner)))


def _size_of_pixels() -> bytes:
    nodes = [
        helper.make_node("ReduceMax", ["y"], ["m"], keepdims=0),
        helper.make_node("Cast", ["m"], ["i"], to=TensorProto.INT64),
        helper.make_node("Unsqueeze", ["i", "axis"], ["s"]),
        helper.make_node("ConstantOfShape", ["s"], ["big"]),
        helper.make_node("ReduceSum", ["big"], ["sum"], keepdims=0),
        helper.make_node("Add", ["y", "sum"], ["z"]),
    ]
    return _after_pool(nodes, {"axis": integers(0)})()


def _much_work() -> bytes:
    """A product of 1000 × 1000 matrices, 5,000 times, in a small file."""
    nodes = [helper.make_node("MatMul", ["y", "wide"], ["m0"])]
    nodes += [helper.make_node("Expand", ["column", "square"], ["e"])]
    nodes += [helper.make_node("Mul", ["e", "zero_of_y"], ["q0"])]
    nodes.insert(0, helper.make_node("ReduceMean", ["y"], ["zero_of_y"], keepdims=0))
    nodes += [helper.make_node("MatMul", [f"q{i}", "q0"], [f"q{i + 1}"]) for i in range(5000)]
    nodes += [
        helper.make_node("ReduceMax", ["q5000"], ["top"], keepdims=0),
        helper.make_node("Add", ["m0", "top"], ["z"]),
    ]
    return _after_pool(
        nodes,
        {
            "wide": np.zeros((CHANNELS, 4), np.float32),
            "column": np.zeros((1000, 1), np.float32),
            "square": integers(1000, 1000),
        },
    )()


#: by what they are: how the file is made, and what its error says
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "it is empty"),
    "a text": (lambda: b"# not a network\n" * 20, "damaged or not an ONNX file"),
    "a picture": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(100), "not an ONNX file"),
    "a pickle": (lambda: b"\x80\x02}q\x00.", "not an ONNX file"),
    "cut short": (lambda: model().SerializeToString()[:-200], "longer than what is left"),
    "no graph": (lambda: b"\x08\x08", "there is no graph in it"),
    "a million nodes": (lambda: field(7, b"\x0a\x00" * 10**6), "more than 400000 fields"),
    "sequences of sequences": (_sequences, "values that are no plain tensors"),
    "integers one by one": (
        lambda: field(7, field(5, field(7, bytes(2**23)))),
        "bytes of integers one by one",
    ),
    "a name of 20 MB": (lambda: field(7, field(2, b"x" * 20 * 2**20)), "a text of 20971520 bytes"),
    "weights in /etc/passwd": (
        _with(lambda made: _external(made.graph.initializer[0])),
        "data in another file",
    ),
    "a constant in another file": (_with(_external_constant), "data in another file"),
    "a million notes": (lambda: field(14, b"") * 10**6, "more than 400000 fields"),
    "a note of 20 MB": (lambda: field(14, field(2, b"x" * 20 * 2**20)), "a text of 20971520 by"),
    "a constant that claims": (
        _after_pool(
            [
                helper.make_node(
                    "Constant",
                    [],
                    ["k"],
                    value=TensorProto(data_type=TensorProto.FLOAT, dims=[2**31 - 1, 2**31 - 1]),
                ),
                helper.make_node("Add", ["y", "k"], ["z"]),
            ]
        ),
        "4611686014132420609",
    ),
    "a branch": (
        _with(
            lambda made: made.graph.node.append(
                helper.make_node("If", ["y"], ["z"], then_branch=_inner(), else_branch=_inner())
            )
        ),
        "a graph in a node",
    ),
    "a loop": (
        _with(
            lambda made: made.graph.node.append(
                helper.make_node("Loop", ["", ""], ["z"], body=_inner())
            )
        ),
        "a graph in a node",
    ),
    "a function": (_with(_function), "a model with functions"),
    "a training": (_with(lambda made: made.training_info.add()), "a model with a training"),
    "a sparse tensor": (
        _with(lambda made: made.graph.sparse_initializer.add()),
        "a graph with sparse tensors",
    ),
    "an operator of others": (
        _after_pool([helper.make_node("Evil", ["y"], ["z"], domain="own")]),
        "of the domain 'own'",
    ),
    "an unknown operator": (_after_pool([helper.make_node("Evil", ["y"], ["z"])]), "('Evil')"),
    "random numbers": (
        _after_pool([helper.make_node("RandomNormalLike", ["y"], ["z"])]),
        "this operator is not taken here",
    ),
    "operators of the future": (lambda: model(opset=999).SerializeToString(), "version 999"),
    "operators of no version": (lambda: model(opset=0).SerializeToString(), "version 0"),
    "two versions": (
        _with(lambda made: made.opset_import.append(helper.make_opsetid("ai.onnx", 13))),
        "names 2 versions",
    ),
    "a claim of 2^62 numbers": (_with(_claims(2**31 - 1, 2**31 - 1)), "expected 18446744056"),
    "a claim that wraps around": (_with(_claims(2**32, 2**32)), "has the shape"),
    "a negative size": (_with(_claims(-1, 216)), "has the shape"),
    "many dimensions": (_with(_claims(*[1] * 5000, 216)), "has the shape"),
    "more numbers than it says": (_with(_claims(1)), "864 bytes, expected 4"),
    "a stride of 0": (_with(_attribute("strides", 0, 0)), "'strides' is 0, expected 1"),
    "a group of 0": (_with(_attribute("group", 0)), "'group' is 0, expected 1"),
    "a padding of 2^40": (_with(_attribute("pads", 2**40, 0, 0, 0)), "'pads' is 1099511627776"),
    "an attribute of two values": (_with(_two_values), "has two values"),
    "a cycle": (
        _after_pool(
            [
                helper.make_node("Add", ["y", "b"], ["a"]),
                helper.make_node("Add", ["a", "y"], ["b"]),
                helper.make_node("Add", ["a", "b"], ["z"]),
            ]
        ),
        "takes 'b', which nothing before it makes",
    ),
    "one name twice": (_after_pool([helper.make_node("Relu", ["y"], ["y"])]), "two values"),
    "an output that nothing makes": (
        lambda: model(outputs=["nowhere"]).SerializeToString(),
        "does not depend on the patches",
    ),
    "an output without pixels": (
        _after_pool([helper.make_node("Identity", ["bias"], ["z"])]),
        "does not depend on the patches",
    ),
    "two outputs": (
        lambda: model(outputs=["y", "p"]).SerializeToString(),
        "2 outputs ('y', 'p'); say which",
    ),
    "two inputs": (
        _with(
            lambda made: made.graph.input.append(
                helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1])
            )
        ),
        "2 inputs ('x', 'mask')",
    ),
    "an input of bytes": (
        lambda: model(element=TensorProto.UINT8).SerializeToString(),
        "is of UINT8, expected FLOAT",
    ),
    "an input of two dimensions": (
        lambda: model(shape=["n", 10]).SerializeToString(),
        "has 2 dimensions, expected 4",
    ),
    "other patches": (
        lambda: model(shape=["n", 3, 48, 48]).SerializeToString(),
        "patches of 48 × 48, not of 32 × 32",
    ),
    "four channels": (
        lambda: model(shape=["n", 4, SIZE, SIZE]).SerializeToString(),
        "takes 4 channels",
    ),
    "seven patches at once": (
        lambda: model(shape=[7, 3, SIZE, SIZE]).SerializeToString(),
        "exactly 7 patches at once",
    ),
    "a training's norm": (
        _after_pool(
            [helper.make_node("BatchNormalization", ["y", *["bias"] * 4], ["z"], training_mode=1)]
        ),
        "exported for training",
    ),
    "a size of the pixels": (_size_of_pixels, "takes a size from the pixels"),
}
#: those that look well, and which only their run shows
ENDED: dict[str, tuple[Callable[[], bytes], str]] = {
    "40 GB of a constant": (
        _after_pool(
            [
                helper.make_node("ConstantOfShape", ["s"], ["big"]),
                helper.make_node("ReduceSum", ["big"], ["sum"], keepdims=0),
                helper.make_node("Add", ["y", "sum"], ["z"]),
            ],
            {"s": integers(100_000, 100_000)},
        ),
        "weights",
    ),
    "2 GB of an expansion": (
        _after_pool(
            [
                helper.make_node("Unsqueeze", ["y", "at"], ["u"]),
                helper.make_node("Expand", ["u", "s"], ["e"]),
                helper.make_node("ReduceMax", ["e"], ["z"], axes=[2], keepdims=0),
            ],
            {"at": integers(2), "s": integers(1, CHANNELS, 16_000_000)},
        ),
        "weights",
    ),
    "a tile of a billion": (
        _after_pool(
            [
                helper.make_node("Tile", ["y", "s"], ["t"]),
                helper.make_node("ReduceMax", ["t"], ["z"], axes=[1], keepdims=1),
            ],
            {"s": integers(1, 2**27)},
        ),
        "weights",
    ),
    "a product that grows each time": (
        _after_pool(
            [
                helper.make_node("Unsqueeze", ["y", "at"], ["m0"]),
                *(
                    helper.make_node("Concat", [f"m{n}", f"m{n}"], [f"m{n + 1}"], axis=2)
                    for n in range(31)
                ),
                helper.make_node("ReduceMax", ["m31"], ["z"], axes=[2], keepdims=0),
            ],
            {"at": integers(2)},
        ),
        "weights",
    ),
    "a convolution that makes maps of 4 gigabytes": (
        _after_pool(
            [
                helper.make_node("Unsqueeze", ["y", "at"], ["u"]),
                helper.make_node("ConvTranspose", ["u", "w2"], ["c"], strides=[30000, 30000]),
                helper.make_node("ReduceMax", ["c"], ["z"], axes=[2, 3], keepdims=0),
            ],
            {"at": integers(2, 3), "w2": np.ones((CHANNELS, 1, 30000, 1), np.float32)},
        ),
        "weights",
    ),
    "a division by zero": (
        _after_pool(
            [
                helper.make_node("Div", ["one", "none"], ["q"]),
                helper.make_node("Cast", ["q"], ["f"], to=TensorProto.FLOAT),
                helper.make_node("Add", ["y", "f"], ["z"]),
            ],
            {"one": integers(1), "none": integers(0)},
        ),
        "weights",
    ),
    "work without end": (_much_work, "takes more than|does not end"),
    "shapes that do not fit": (
        _after_pool([helper.make_node("Reshape", ["y", "s"], ["z"])], {"s": integers(-1, 7)}),
        "its network cannot be used",
    ),
    "an index out of bounds": (
        _after_pool([helper.make_node("Gather", ["y", "i"], ["z"], axis=1)], {"i": integers(99)}),
        "its network cannot be used",
    ),
    "patches that mix": (
        _after_pool([helper.make_node("Softmax", ["y"], ["z"], axis=0)]),
        "depends on the others in its pass",
    ),
    "numbers that are not finite": (
        _after_pool(
            [helper.make_node("Sub", ["y", "far"], ["d"]), helper.make_node("Log", ["d"], ["z"])],
            {"far": np.array(1e9, np.float32)},
        ),
        "not finite",
    ),
    "maps without a pooling": (
        lambda: model(body(), outputs=["maps"]).SerializeToString(),
        "pooling=average or max serves",
    ),
    "a number in all": (
        _after_pool([helper.make_node("ReduceMean", ["y"], ["z"], keepdims=0)]),
        "an array of the shape",
    ),
}
