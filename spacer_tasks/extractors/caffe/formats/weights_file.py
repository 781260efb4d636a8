"""The weights in a `.caffemodel`: which layers have which, and each read into a tensor once.

First the file's outline is read, which is small; weights are read when they are asked for, each
straight from the file into its tensor. So the file is never in memory beside the network.

Of the layers only names and weights are taken, as Caffe does. Field numbers are those of Caffe's
`caffe.proto`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from spacer_tasks.exceptions import WeightsError
from spacer_tasks.extractors.caffe.formats.wire import (
    BYTES,
    FIXED32,
    FIXED64,
    VARINT,
    Field,
    WireReader,
)

#: weights of one layer; a layer of Caffe's has at most three
MAX_BLOBS = 64
#: axes of a blob in Caffe
MAX_AXES = 32
#: weights are kept in weights files only
_HDF5 = b"\x89HDF\r\n\x1a\n"
# NetParameter
_LAYERS_V1, _LAYERS = 2, 100
# of a layer, in each format: name, weights
_LAYER_FIELDS = {_LAYERS_V1: (4, 6), _LAYERS: (1, 7)}
# V1LayerParameter.layer, a layer of the format V0
_LAYER_V0 = 1
# BlobProto; the four older dimensions are num, channels, height, width
_OLDER_DIMENSIONS = (1, 2, 3, 4)
_DATA, _SHAPE, _DOUBLES = 5, 7, 8
#: bytes read at a time where numbers lie singly, five bytes each or nine
_CHUNK = 2**20


@dataclass(frozen=True)
class _Numbers:
    """Where some numbers of a blob lie: packed, or each after the byte of its field."""

    start: int
    end: int
    packed: bool


@dataclass
class Blob:
    """The outline of a layer's weights."""

    #: of the current format
    shape: list[int] = field(default_factory=list)
    #: (num, channels, height, width) of older files; absent where none is set
    older_shape: dict[int, int] = field(default_factory=dict)
    floats: list[_Numbers] = field(default_factory=list)
    doubles: list[_Numbers] = field(default_factory=list)

    @property
    def numbers(self) -> tuple[list[_Numbers], int]:
        """Where its numbers lie, and the bytes of each; Caffe takes doubles where there are any."""
        return (self.doubles, 8) if self.doubles else (self.floats, 4)

    @property
    def dimensions(self) -> tuple[int, ...]:
        """The shape that the file says."""
        if self.older_shape:
            return tuple(self.older_shape.get(number, 0) for number in _OLDER_DIMENSIONS)
        return tuple(self.shape)

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether it has a shape; the four older dimensions are filled up with ones in front."""
        if self.older_shape and len(shape) <= len(_OLDER_DIMENSIONS):
            shape = (*(1,) * (len(_OLDER_DIMENSIONS) - len(shape)), *shape)
        return self.dimensions == tuple(shape)


class WeightsFile:
    """A `.caffemodel`, open for as long as weights are read from it.

    Raises
    ------
    WeightsError
        It is none, or damaged; the text names the byte.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._name = name
        self._reader = WireReader(stream, name)
        if self._reader.size >= len(_HDF5) and self._reader.read(0, len(_HDF5)) == _HDF5:
            raise WeightsError(f"{name} is in HDF5; expected a .caffemodel in protocol buffers")
        #: weights by the name of their layer; of layers with the same name the last, as in Caffe
        self.layers: dict[str, list[Blob]] = dict(self._layers())
        if not self.layers:
            raise WeightsError(f"{name} has no layers; expected a .caffemodel")

    def check(self, blob: Blob, shape: Sequence[int], what: str) -> None:
        """Refuse weights of another shape or number; `what` names them in errors."""
        if not blob.fits(shape):
            raise WeightsError(
                f"{what} have shape {blob.dimensions} in {self._name}, expected {tuple(shape)}"
            )
        numbers, size = blob.numbers
        found = sum(_count(part, size) for part in numbers)
        if found != prod(shape):
            raise WeightsError(
                f"{what} are {found} numbers in {self._name}, expected {prod(shape)}"
            )
        if any(part.packed and (part.end - part.start) % size for part in numbers):
            raise WeightsError(f"{what} end within a number in {self._name}")

    def tensor(self, blob: Blob, shape: Sequence[int], what: str) -> Tensor:
        """The weights, float32, of a shape that they must have; `what` names them in errors."""
        # so what is allocated has as many numbers as the file
        self.check(blob, shape, what)
        numbers, size = blob.numbers
        tensor = torch.empty(tuple(shape), dtype=torch.float32)
        self._fill(tensor.view(-1).numpy(), numbers, size)
        # the smallest and largest tell of any that is not finite, without a copy
        if not all(map(torch.isfinite, torch.aminmax(tensor))):
            raise WeightsError(f"{what} hold numbers that are not finite in {self._name}")
        return tensor

    def _fill(self, numbers: np.ndarray, parts: list[_Numbers], size: int) -> None:
        position = 0
        for part in parts:
            count = _count(part, size)
            target = numbers[position : position + count]
            if part.packed and size == 4:
                # the file's numbers are little-endian, as this machine's are
                self._reader.read_into(part.start, target.data.cast("B"))
            else:
                self._fill_in_chunks(target, part, size)
            position += count

    def _fill_in_chunks(self, target: np.ndarray, part: _Numbers, size: int) -> None:
        value = ("value", f"<f{size}")
        record = np.dtype([value] if part.packed else [("field", "u1"), value])
        step = _CHUNK // record.itemsize
        for first in range(0, len(target), step):
            count = min(step, len(target) - first)
            start = part.start + first * record.itemsize
            data = self._reader.read(start, start + count * record.itemsize)
            # a double beyond float32 becomes infinite, which is told of later
            with np.errstate(over="ignore"):
                target[first : first + count] = np.frombuffer(data, record)["value"]

    # --- the outline ---------------------------------------------------------------------------

    def _layers(self) -> Iterator[tuple[str, list[Blob]]]:
        for each in self._reader.fields(0, self._reader.size):
            if each.number not in _LAYER_FIELDS:
                continue
            self._reader.expect(each, BYTES)
            name_field, blobs_field = _LAYER_FIELDS[each.number]
            name = ""
            blobs: list[Blob] = []
            for part in self._reader.fields(each.start, each.end):
                if part.number == name_field:
                    name = self._reader.text(part)
                elif part.number == blobs_field:
                    self._reader.expect(part, BYTES)
                    if len(blobs) == MAX_BLOBS:
                        raise self._reader.error(part.start, f"a layer of over {MAX_BLOBS} weights")
                    blobs.append(self._blob(part))
                elif each.number == _LAYERS_V1 and part.number == _LAYER_V0:
                    raise WeightsError(
                        f"{self._name} is in the format V0, from before 2014; Caffe's tool"
                        " upgrade_net_proto_binary makes a current one of it"
                    )
            yield name, blobs

    def _blob(self, message: Field) -> Blob:
        blob = Blob()
        for part in self._reader.fields(message.start, message.end):
            if part.number in _OLDER_DIMENSIONS:
                self._reader.expect(part, VARINT)
                blob.older_shape[part.number] = part.value
            elif part.number == _SHAPE:
                self._reader.expect(part, BYTES)
                for each in self._reader.fields(part.start, part.end):
                    for dimension in self._reader.integers(each):
                        if len(blob.shape) == MAX_AXES:
                            raise self._reader.error(each.start, f"over {MAX_AXES} dimensions")
                        blob.shape.append(dimension)
            elif part.number == _DATA:
                _add(blob.floats, part, FIXED32, self._reader)
            elif part.number == _DOUBLES:
                _add(blob.doubles, part, FIXED64, self._reader)
        return blob


def _add(numbers: list[_Numbers], part: Field, single: int, reader: WireReader) -> None:
    if part.kind != single:
        reader.expect(part, BYTES)
        numbers.append(_Numbers(part.start, part.end, packed=True))
        return
    # its key is one byte, as the number of the field is below 16
    start = part.start - 1
    if numbers and not numbers[-1].packed and numbers[-1].end == start:
        start = numbers.pop().start
    numbers.append(_Numbers(start, part.end, packed=False))


def _count(part: _Numbers, size: int) -> int:
    return (part.end - part.start) // (size if part.packed else size + 1)
