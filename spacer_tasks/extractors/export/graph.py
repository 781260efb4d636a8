"""An ONNX graph while it is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor

from spacer_tasks.extractors.export.recording import (
    Batch,
    Call,
    NotExportableError,
    Repeated,
    Value,
)

#: adds the nodes of a call; gives the name of what they make, or the names of several
Emit = Callable[["Graph", Call], "str | list[str]"]


class Graph:
    """Nodes in the order they run, and the constants that they take.

    Parameters
    ----------
    patches
        The name of value 0.
    """

    def __init__(self, patches: str) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        #: by the number of a value, what it is called
        self.names: dict[int, str] = {0: patches}
        #: by the name of what is padded with zeros in rows and columns: of what, and by how much
        self.padded: dict[str, tuple[str, list[int]]] = {}
        self._patches = patches
        self._constant_names: dict[Any, str] = {}

    def add(self, operator: str, *inputs: str, outputs: int = 1, **options: Any) -> str:
        """Add a node; the name of what it gives, or of the first of several."""
        name = f"{operator}{len(self.nodes)}"
        names = outputs_of(name, outputs)
        self.nodes.append(helper.make_node(operator, inputs, names, name=name, **options))
        return name

    def of(self, argument: Any, dtype: torch.dtype = torch.float32) -> str:
        """What an operator was given: a value, a constant, or a number, which takes `dtype`."""
        if isinstance(argument, Value):
            return self.names[argument.number]
        if isinstance(argument, Tensor):
            return self.constant(argument)
        if isinstance(argument, Repeated):
            sizes = [Batch(1), *argument.tensor.shape[1:]]
            return self.add("Expand", self.constant(argument.tensor), self.sizes(sizes))
        if not isinstance(argument, (bool, int, float)):
            raise TypeError(f"a number or a tensor is {type(argument).__name__}")
        return self.constant(torch.tensor(argument, dtype=dtype))

    def constant(self, tensor: Tensor) -> str:
        """A constant of this content; the same for the same tensor, or the same few numbers."""
        key: Any = (tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
        array = tensor.detach().contiguous().numpy()
        if array.size <= 8:
            # most are made for one call, and others come to be where they were
            key = (array.tobytes(), tensor.dtype, tuple(tensor.shape))
        if key not in self._constant_names:
            self._constant_names[key] = name = f"constant{len(self.constants)}"
            self.constants.append(numpy_helper.from_array(array, name))
        return self._constant_names[key]

    def integers(self, *values: int) -> str:
        """A list of integers."""
        return self.constant(torch.tensor(values, dtype=torch.int64))

    def sizes(self, sizes: Sequence[int | Batch]) -> str:
        """A list of integers, some of them multiples of the number of patches."""
        if not any(isinstance(each, Batch) for each in sizes):
            return self.integers(*(each for each in sizes if not isinstance(each, Batch)))
        count = self.add("Shape", self._patches, start=0, end=1)
        parts = [
            self.add("Mul", count, self.integers(each.times))
            if isinstance(each, Batch)
            else self.integers(each)
            for each in sizes
        ]
        return self.add("Concat", *parts, axis=0)


def outputs_of(name: str, count: int) -> list[str]:
    """What the outputs of a node are called."""
    return [name, *(f"{name}.{number}" for number in range(1, count))]


def refuse_unless(fits: bool, call: Call, why: str) -> None:
    """Raise that this kind of the operator is not known here."""
    if not fits:
        raise NotExportableError(f"the operator {call.operator} {why}")


def numpy_type(dtype: torch.dtype) -> np.dtype[Any]:
    """numpy's type of the same numbers."""
    return np.dtype(str(dtype).removeprefix("torch."))
