"""An ONNX file as a model that was looked at: no part of it is used that was not."""

from __future__ import annotations

import math
from typing import NamedTuple

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, TensorProto

from spacer_tasks.exceptions import WeightsError
from spacer_tasks.extractors.onnx_file.counts import check_counts
from spacer_tasks.extractors.onnx_file.operators import (
    LEAST,
    MAX_COUNT,
    MAX_INTEGER,
    OF_SIZES,
    OPERATORS,
    SIZE_INPUTS,
)

#: nodes of a graph: a vision transformer of 24 layers has some 2,000
MAX_NODES = 20_000
#: dimensions of a tensor
MAX_RANK = 8
#: ONNX 1.6 of 2019; exporters write newer ones
LEAST_OPSET = 11
OWN_DOMAINS = ("", "ai.onnx")
SHOWN = 80
#: bytes of an element, of the types that networks are made of
WIDTHS: dict[int, int] = {
    TensorProto.BOOL: 1,
    TensorProto.INT8: 1,
    TensorProto.UINT8: 1,
    TensorProto.INT16: 2,
    TensorProto.UINT16: 2,
    TensorProto.FLOAT16: 2,
    TensorProto.INT32: 4,
    TensorProto.UINT32: 4,
    TensorProto.FLOAT: 4,
    TensorProto.INT64: 8,
    TensorProto.UINT64: 8,
    TensorProto.DOUBLE: 8,
}
#: where the numbers of each type are, if they are not raw bytes
_FIELDS: dict[int, str] = {
    TensorProto.FLOAT: "float_data",
    TensorProto.DOUBLE: "double_data",
    TensorProto.INT64: "int64_data",
    TensorProto.UINT32: "uint64_data",
    TensorProto.UINT64: "uint64_data",
}
_PLAIN: dict[int, str] = {
    AttributeProto.FLOAT: "f",
    AttributeProto.INT: "i",
    AttributeProto.STRING: "s",
    AttributeProto.TENSOR: "t",
    AttributeProto.FLOATS: "floats",
    AttributeProto.INTS: "ints",
    AttributeProto.STRINGS: "strings",
}


class CheckedModel(NamedTuple):
    """A model whose graph has one input, of patches, and the output that features come from."""

    model: onnx.ModelProto
    #: what the input's numbers are: `TensorProto.FLOAT` or `FLOAT16`
    element: int
    #: of the input, None where any number is taken: patches, and three more
    shape: tuple[int | None, ...]
    output: str


def checked_model(data: bytes, name: str, output: str | None) -> CheckedModel:
    """The model of a file.

    Parameters
    ----------
    name
        Which file, in errors.
    output
        Which of its outputs is taken; the only one where None.

    Raises
    ------
    WeightsError
        It is no ONNX file, or one that is not taken here; the text names the part.
    """
    check_counts(data, name)
    try:
        model = onnx.ModelProto.FromString(data)
    except (DecodeError, ValueError) as error:
        raise WeightsError(f"{name} is not an ONNX file: {str(error)[:SHOWN]}") from error
    if not model.HasField("graph") or not model.graph.node:
        raise WeightsError(f"{name} is not an ONNX file: there is no graph in it")
    # what no runtime needs, or what could say that other parts are not as they are
    model.DiscardUnknownFields()
    for field in ("metadata_props", "configuration"):
        model.ClearField(field)
    for field in ("value_info", "quantization_annotation", "metadata_props"):
        model.graph.ClearField(field)
    _check_opset(model, name)
    values = _Values(model.graph, name)
    element, shape = values.input()
    values.check_nodes()
    chosen = _output(model.graph, name, output, values)
    return CheckedModel(model, element, shape, chosen)


def _check_opset(model: onnx.ModelProto, name: str) -> None:
    own = [each for each in model.opset_import if each.domain in OWN_DOMAINS]
    if len(own) != 1:
        raise WeightsError(f"{name}: it names {len(own)} versions of ONNX's operators, expected 1")
    newest = onnx.defs.onnx_opset_version()
    if not LEAST_OPSET <= own[0].version <= newest:
        raise WeightsError(
            f"{name}: its operators are of version {own[0].version}, expected {LEAST_OPSET} to"
            f" {newest}"
        )
    # others are of operators that no node here may have
    opset = onnx.helper.make_opsetid("", own[0].version)
    model.ClearField("opset_import")
    model.opset_import.append(opset)


class _Values:
    """What the names in a graph stand for, and which come from the pixels."""

    def __init__(self, graph: onnx.GraphProto, name: str) -> None:
        self._graph = graph
        self._name = name
        self._known: set[str] = set()
        #: those that depend on what the pixels are, not only on how many
        self._seen: set[str] = set()
        for tensor in graph.initializer:
            _check_tensor(tensor, f"{name}: the tensor {_short(tensor.name)}")
            self._add(tensor.name)

    def input(self) -> tuple[int, tuple[int | None, ...]]:
        """The type and shape of the only input that is not in the file."""
        constants = {tensor.name for tensor in self._graph.initializer}
        inputs = [each for each in self._graph.input if each.name not in constants]
        if len(inputs) != 1:
            shown = ", ".join(_short(each.name) for each in inputs[:5])
            raise WeightsError(f"{self._name}: {len(inputs)} inputs ({shown}), expected 1: patches")
        value = inputs[0]
        kind = value.type.tensor_type
        where = f"{self._name}: the input {_short(value.name)}"
        if kind.elem_type not in (TensorProto.FLOAT, TensorProto.FLOAT16):
            raise WeightsError(
                f"{where} is of {_type_name(kind.elem_type)}, expected FLOAT or FLOAT16"
            )
        shape = tuple(
            each.dim_value if each.WhichOneof("value") == "dim_value" else None
            for each in kind.shape.dim
        )
        if len(shape) != 4:
            raise WeightsError(
                f"{where} has {len(shape)} dimensions, expected 4: patches, channels, rows, columns"
            )
        if any(each is not None and not 1 <= each <= MAX_COUNT for each in shape):
            raise WeightsError(f"{where} has the shape {shape}, expected numbers from 1")
        self._add(value.name)
        self._seen.add(value.name)
        # constants among the inputs are an old way of writing them; they are constants all the same
        del self._graph.input[:]
        self._graph.input.append(value)
        return kind.elem_type, shape

    def check_nodes(self) -> None:
        """Each node: known, of known inputs, and no larger than the file and the patches say."""
        if len(self._graph.node) > MAX_NODES:
            raise WeightsError(
                f"{self._name}: {len(self._graph.node)} nodes, expected at most {MAX_NODES}"
            )
        for number, node in enumerate(self._graph.node):
            where = f"{self._name}: node {number} ({_short(node.op_type)})"
            if node.domain not in OWN_DOMAINS:
                raise WeightsError(
                    f"{where} is of the domain {_short(node.domain)}; only ONNX's own operators"
                    " are taken"
                )
            if node.op_type not in OPERATORS or node.overload:
                raise WeightsError(f"{where}: this operator is not taken here")
            node.domain = ""
            for attribute in node.attribute:
                _check_attribute(attribute, where)
            self._check_inputs(node, where)
            for each in node.output:
                if each:
                    self._add(each)

    def _check_inputs(self, node: onnx.NodeProto, where: str) -> None:
        given = list(node.input)
        unknown = [each for each in given if each and each not in self._known]
        if unknown:
            raise WeightsError(f"{where} takes {_short(unknown[0])}, which nothing before it makes")
        sizes = SIZE_INPUTS.get(node.op_type, ())
        for index, each in enumerate(given):
            if each in self._seen and (index in sizes or sizes == (-1,)):
                raise WeightsError(
                    f"{where} takes a size from the pixels ({_short(each)}); sizes must be in the"
                    " file, or follow from the number of patches"
                )
        if node.op_type not in OF_SIZES and self._seen.intersection(given):
            self._seen.update(node.output)

    def comes_from_pixels(self, name: str) -> bool:
        """Whether a value depends on what the pixels are."""
        return name in self._seen

    def _add(self, name: str) -> None:
        if not name or name in self._known:
            raise WeightsError(
                f"{self._name}: two values have the name {_short(name)}, or it is empty"
            )
        self._known.add(name)


def _output(graph: onnx.GraphProto, name: str, wanted: str | None, values: _Values) -> str:
    names = [each.name for each in graph.output]
    shown = ", ".join(map(_short, names[:10]))
    if wanted is None and len(names) != 1:
        raise WeightsError(
            f"{name}: {len(names)} outputs ({shown}); say which by the option output"
        )
    chosen = names[0] if wanted is None else wanted
    if chosen not in names:
        raise WeightsError(f"{name}: no output {_short(chosen)}; there are: {shown}")
    if not values.comes_from_pixels(chosen):
        raise WeightsError(f"{name}: the output {_short(chosen)} does not depend on the patches")
    return chosen


def _check_attribute(attribute: AttributeProto, where: str) -> None:
    where = f"{where}: the attribute {_short(attribute.name)}"
    field = _PLAIN.get(attribute.type)
    if field is None:
        raise WeightsError(f"{where} is of a kind that is not taken here")
    value = getattr(attribute, field)
    # a field beside the one that its type names could be read by one program and not by another
    for other in _PLAIN.values():
        repeated = other.endswith("s") and other != "s"
        is_set = bool(getattr(attribute, other)) if repeated else attribute.HasField(other)
        if other != field and is_set:
            raise WeightsError(f"{where} has two values")
    if field == "t":
        _check_tensor(value, where)
    elif field in ("i", "ints"):
        least, most = LEAST.get(attribute.name, -MAX_INTEGER), MAX_INTEGER
        if attribute.name in LEAST:
            most = MAX_COUNT
        for each in [value] if field == "i" else value:
            if not least <= each <= most:
                raise WeightsError(f"{where} is {each}, expected {least} to {most}")
        if attribute.name == "training_mode" and value != 0:
            raise WeightsError(f"{where}: exported for training, expected for inference")
    elif field in ("f", "floats") and not all(
        map(math.isfinite, [value] if field == "f" else value)
    ):
        raise WeightsError(f"{where} is not a finite number")


def _check_tensor(tensor: TensorProto, where: str) -> None:
    """The numbers that its shape says must be there, as many as there are."""
    if tensor.external_data or tensor.data_location != TensorProto.DEFAULT:
        raise WeightsError(
            f"{where} has its data in another file, which is not taken; save the model as one file"
        )
    width = WIDTHS.get(tensor.data_type)
    if width is None:
        raise WeightsError(f"{where} is of {_type_name(tensor.data_type)}, which is not taken here")
    dims = list(tensor.dims)
    if len(dims) > MAX_RANK or any(not 0 <= each <= MAX_INTEGER for each in dims):
        raise WeightsError(f"{where} has the shape {dims[: MAX_RANK + 1]}")
    count = math.prod(dims)
    if tensor.HasField("raw_data"):
        found, expected, unit = len(tensor.raw_data), count * width, "bytes"
    else:
        listed = getattr(tensor, _FIELDS.get(tensor.data_type, "int32_data"))
        found, expected, unit = len(listed), count, "numbers"
    if found != expected:
        raise WeightsError(f"{where} has the shape {dims} and {found} {unit}, expected {expected}")


def _type_name(number: int) -> str:
    try:
        return str(TensorProto.DataType.Name(number))
    except ValueError:
        return f"type {number}"


def _short(text: str) -> str:
    return repr(text[:SHOWN])
