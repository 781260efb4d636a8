"""A pickle of objects whose classes are not installed here.

Python's pickler insists on importing a class before it names it. What is written here is read by
any Python 3, and arrays by numpy 1 and 2: they are named by numpy's older place, which both know.

Source: PEP 307 and PEP 3154 (the instructions); `array_reduce` in numpy's `methods.c`.
"""

from __future__ import annotations

import pickle
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacer_tasks.classifiers.pyspacer.objects import PickledObject

#: 3 has bytes of its own, which 2 writes half again as large
PROTOCOL = 3


def pickle_bytes(root: object) -> bytes:
    """The pickle of numbers, texts, tuples, lists, dicts, arrays and `PickledObject`s.

    An object that is there twice is written once. Integers have 32 bits; arrays are of
    integers, floats or texts.
    """
    writer = _Writer()
    writer.write(root)
    return b"".join([pickle.PROTO, bytes([PROTOCOL]), *writer.parts, pickle.STOP])


class _Writer:
    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.memo: dict[int, int] = {}

    def write(self, value: object) -> None:
        if value is None or isinstance(value, bool):
            self.add(pickle.NONE if value is None else pickle.NEWTRUE if value else pickle.NEWFALSE)
        elif isinstance(value, int):
            self.add(pickle.BININT, struct.pack("<i", value))
        elif isinstance(value, float):
            self.add(pickle.BINFLOAT, struct.pack(">d", value))
        elif isinstance(value, str):
            self.write_sized(pickle.BINUNICODE, value.encode("utf-8"))
        elif isinstance(value, bytes):
            self.write_sized(pickle.BINBYTES, value)
        elif isinstance(value, tuple):
            self.write_many(pickle.MARK, value, pickle.TUPLE)
        elif isinstance(value, list):
            self.write_many(pickle.EMPTY_LIST + pickle.MARK, value, pickle.APPENDS)
        elif isinstance(value, dict):
            items = [part for item in value.items() for part in item]
            self.write_many(pickle.EMPTY_DICT + pickle.MARK, items, pickle.SETITEMS)
        elif isinstance(value, np.ndarray):
            self.write_array(value)
        elif isinstance(value, PickledObject):
            self.write_object(value)
        else:
            raise TypeError(f"no way to write a {type(value).__name__}")

    def write_sized(self, instruction: bytes, content: bytes) -> None:
        self.add(instruction, struct.pack("<I", len(content)), content)

    def write_many(self, start: bytes, items: Any, end: bytes) -> None:
        self.add(start)
        for item in items:
            self.write(item)
        self.add(end)

    def write_array(self, array: NDArray[Any]) -> None:
        texts = array.dtype.kind == "U"
        code = array.dtype.str[1:]
        sizes = (array.dtype.itemsize, 4, 8) if texts else (-1, -1, 0)
        self.write_name("numpy.core.multiarray", "_reconstruct")
        self.add(pickle.MARK)
        self.write_name("numpy", "ndarray")
        self.write((0,))
        self.write(b"b")
        self.add(pickle.TUPLE, pickle.REDUCE, pickle.MARK)
        self.write(1)
        self.write(array.shape)
        self.write_name("numpy", "dtype")
        self.write((code, False, True))
        self.add(pickle.REDUCE)
        self.write((3, "<", None, None, None, *sizes))
        self.add(pickle.BUILD)
        self.write(False)
        self.write(array.astype(array.dtype.newbyteorder("<")).tobytes())
        self.add(pickle.TUPLE, pickle.BUILD)

    def write_object(self, value: PickledObject) -> None:
        known = self.memo.get(id(value))
        if known is not None:
            self.add(pickle.LONG_BINGET, struct.pack("<I", known))
            return
        self.write_name(value.module, value.name)
        self.memo[id(value)] = len(self.memo)
        self.add(pickle.EMPTY_TUPLE, pickle.NEWOBJ)
        self.add(pickle.LONG_BINPUT, struct.pack("<I", self.memo[id(value)]))
        self.write(value.attributes or {})
        self.add(pickle.BUILD)

    def write_name(self, module: str, name: str) -> None:
        self.add(pickle.GLOBAL, f"{module}\n{name}\n".encode())

    def add(self, *parts: bytes) -> None:
        self.parts.extend(parts)
