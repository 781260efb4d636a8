"""What an ONNX file holds, counted in its bytes before anything is made of them.

A parser makes an object of some hundred bytes of each field, so a file of empty nodes becomes a
hundred times its size. Here fields are counted one by one, and what no network needs is refused:
graphs in nodes, functions, sparse tensors, sequences. What is left, a parser makes no more of than
the file is long and `MAX_FIELDS` objects.

Source: "Encoding" of Protocol Buffers' documentation; field numbers of `onnx.proto`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from spacer_tasks.exceptions import WeightsError

#: of the wire format
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_SIZES = {FIXED64: 8, FIXED32: 4}
_MAX_VARINT = 10
#: fields of one file: a vision transformer of 24 layers has some 50,000
MAX_FIELDS = 400_000
#: bytes of a text, such as a name; a node's documentation may be a whole stack of calls
MAX_TEXT = 2**20
#: bytes of integers that are written one after the other; a parser makes up to 8 of each
MAX_INTEGERS = 2**22
#: bytes of a file: what a protobuf message holds
MAX_FILE = 2**31 - 1


class Kind(NamedTuple):
    """A kind of message: its inner messages, what is refused, and fields that may be long."""

    name: str
    inner: Mapping[int, Kind] = {}
    refused: Mapping[int, str] = {}
    integers: frozenset[int] = frozenset()
    long: frozenset[int] = frozenset()


_SMALL = Kind("entry")
_TENSOR = Kind(
    "tensor",
    inner={3: _SMALL, 16: _SMALL},
    refused={6: "texts", 13: "data in another file"},
    integers=frozenset({1, 5, 7, 11}),
    long=frozenset({4, 9, 10}),
)
_ATTRIBUTE = Kind(
    "attribute",
    inner={5: _TENSOR, 10: _TENSOR},
    refused={
        6: "a graph in a node, as of a loop or a branch",
        11: "graphs in a node, as of a loop or a branch",
        14: "types",
        15: "types",
        21: "a reference to a function",
        22: "sparse tensors",
        23: "sparse tensors",
    },
    integers=frozenset({8}),
    long=frozenset({7}),
)
_NODE = Kind("node", inner={5: _ATTRIBUTE, 9: _SMALL, 10: _SMALL})
_DIMENSION = Kind("dimension")
_SHAPE = Kind("shape", inner={1: _DIMENSION})
_ARRAY_TYPE = Kind("type", inner={2: _SHAPE})
_TYPE = Kind(
    "type",
    inner={1: _ARRAY_TYPE},
    refused=dict.fromkeys((4, 5, 7, 8, 9), "values that are no plain tensors"),
)
_VALUE = Kind("value", inner={2: _TYPE, 4: _SMALL})
_GRAPH = Kind(
    "graph",
    inner={1: _NODE, 5: _TENSOR, 11: _VALUE, 12: _VALUE, 13: _VALUE, 16: _SMALL},
    refused={15: "sparse tensors"},
    # it is dropped: of a quantized network, a line for each tensor
    long=frozenset({14}),
)
_MODEL = Kind(
    "model",
    inner={7: _GRAPH, 8: _SMALL, 14: _SMALL},
    refused={20: "a training", 25: "functions"},
    long=frozenset({26}),
)


def check_counts(data: bytes, name: str) -> None:
    """Refuse a file of which a parser would make far more than it is long.

    Raises
    ------
    WeightsError
        It is no protobuf message, has too many fields or a text that is too long, or holds what
        is refused here; the text says what, and where in the file.
    """
    if len(data) > MAX_FILE:
        raise WeightsError(f"{name}: {len(data)} bytes, an ONNX file has at most {MAX_FILE}")
    if not data:
        raise WeightsError(f"{name} is not an ONNX file: it is empty")
    _Counter(data, name).go(_MODEL)


class _Counter:
    def __init__(self, data: bytes, name: str) -> None:
        self._data = data
        self._name = name
        self._fields = 0
        self._integers = 0

    def go(self, kind: Kind) -> None:
        """Messages in messages, without recursion: no depth can be too large."""
        waiting = [(kind, 0, len(self._data))]
        while waiting:
            kind, at, end = waiting.pop()
            while at < end:
                self._fields += 1
                if self._fields > MAX_FIELDS:
                    raise WeightsError(f"{self._name}: more than {MAX_FIELDS} fields")
                key, at = self._varint(at, end)
                number, wire = key >> 3, key & 7
                if number == 0:
                    raise self._damaged(at, "a field without a number")
                if number in kind.refused:
                    raise WeightsError(
                        f"{self._name}: byte {at}: a {kind.name} with {kind.refused[number]},"
                        " which is not taken here"
                    )
                start = at
                if wire == VARINT:
                    _, at = self._varint(at, end)
                elif wire == BYTES:
                    length, start = self._varint(at, end)
                    at = start + length
                elif wire in _SIZES:
                    at += _SIZES[wire]
                else:
                    raise self._damaged(at, f"a field of the unknown kind {wire}")
                if at > end:
                    raise self._damaged(start, "a field longer than what is left")
                if wire != BYTES:
                    continue
                if number in kind.inner:
                    waiting.append((kind.inner[number], start, at))
                elif number in kind.integers:
                    self._integers += at - start
                    if self._integers > MAX_INTEGERS:
                        raise WeightsError(
                            f"{self._name}: more than {MAX_INTEGERS} bytes of integers one by one;"
                            " expected tensors as raw bytes"
                        )
                elif number not in kind.long and at - start > MAX_TEXT:
                    raise WeightsError(
                        f"{self._name}: byte {start}: a text of {at - start} bytes in a"
                        f" {kind.name}, expected at most {MAX_TEXT}"
                    )

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = 0
        for count in range(_MAX_VARINT):
            if at >= end:
                break
            byte = self._data[at]
            at += 1
            value |= (byte & 127) << (7 * count)
            if byte < 128:
                return value, at
        raise self._damaged(at, "an integer without an end")

    def _damaged(self, at: int, what: str) -> WeightsError:
        return WeightsError(f"{self._name} is damaged or not an ONNX file: at byte {at}, {what}")
