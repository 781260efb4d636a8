"""Writes weights files in Caffe's formats, field by field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support.checkout import FIXTURES_FOLDER

Array = NDArray[Any]
FIXTURES = FIXTURES_FOLDER / "caffe"


def varint(value: int) -> bytes:
    """An integer, seven bits a byte."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def message(number: int, content: bytes) -> bytes:
    """A field with a length: a message, a text or packed numbers."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def integer(number: int, value: int) -> bytes:
    """A field with an integer."""
    return varint(number << 3) + varint(value)


def blob(values: Array, shape: Sequence[int] | None = None) -> bytes:
    """Weights as the current format has them."""
    dimensions = b"".join(map(varint, values.shape if shape is None else shape))
    return message(7, message(1, dimensions)) + message(5, values.astype("<f4").tobytes())


def older_blob(values: Array, shape: Sequence[int] | None = None) -> bytes:
    """Weights with the four dimensions of V1."""
    dimensions = (*(1,) * (4 - values.ndim), *values.shape) if shape is None else shape
    header = b"".join(integer(number, each) for number, each in enumerate(dimensions, start=1))
    return header + message(5, values.astype("<f4").tobytes())


def layer(name: str, blobs: Iterable[bytes]) -> bytes:
    """A layer as the current format has it."""
    return message(100, message(1, name.encode()) + b"".join(message(7, each) for each in blobs))


def older_layer(name: str, blobs: Iterable[bytes]) -> bytes:
    """A layer of V1."""
    return message(2, message(4, name.encode()) + b"".join(message(6, each) for each in blobs))


def caffemodel(layers: Mapping[str, Sequence[Array]]) -> bytes:
    """A weights file in the current format."""
    return b"".join(
        layer(name, [blob(np.asarray(each)) for each in blobs]) for name, blobs in layers.items()
    )


def one_layer(layer_type: str, options: str = "", shape: Sequence[int] = (2, 3, 5, 6)) -> str:
    """The definition of a net of one layer, `it`, from the blob `data` to `out`."""
    dims = " ".join(f"dim: {each}" for each in shape)
    return (
        f'input: "data" input_shape {{ {dims} }}\n'
        f'layer {{ name: "it" type: "{layer_type}" bottom: "data" top: "out" {options} }}'
    )
