"""A pickle written again in protocol 0 or 1, instruction by instruction as Python 2 wrote them.

Few machines have a Python 2. `in_protocol` takes a pickle apart, with stand-ins for its classes,
and writes what `save` of Python 2.7's `pickle.py` would: so all pickles among the fixtures come in
all protocols. `test_reading.py` compares it with what Python 2 did write.
"""

from __future__ import annotations

import pickle
import struct
from io import BytesIO
from typing import Any

#: what the classes of these modules are made by: a call, not `copy_reg._reconstructor`
CALLED = ("numpy", "_codecs", "__builtin__", "builtins", "sklearn.linear_model.sgd_fast",
          "sklearn.linear_model._sgd_fast")  # fmt: skip


class StandIn:
    """An object of a class that is not there: what it was made of, and its state."""

    module: str
    name: str

    def __new__(cls, *arguments: Any) -> StandIn:
        made = super().__new__(cls)
        made.arguments = arguments
        made.state = None
        return made

    arguments: tuple[Any, ...]
    state: Any

    def __setstate__(self, state: Any) -> None:
        self.state = state


class PlainString(bytes):
    """A string of Python 2. Of `bytes` Python 3 has one object for each letter, however many there
    are in the file.
    """


class _Reader(pickle._Unpickler):  # the one in Python
    def __init__(self, data: bytes) -> None:
        # bytes where Python 2 had them, texts where it had those
        super().__init__(BytesIO(data), encoding="bytes", fix_imports=False)
        self.classes: dict[tuple[str, str], type[StandIn]] = {}

    def _decode_string(self, value: bytes) -> bytes:
        return PlainString(value)

    def find_class(self, module: str, name: str) -> type[StandIn]:
        members = {"module": module, "name": name}
        return self.classes.setdefault((module, name), type(name, (StandIn,), members))


def in_protocol(data: bytes, protocol: int) -> bytes:
    """The pickle, which may be of any protocol, in protocol 0 or 1."""
    writer = _Writer(protocol)
    writer.save(_Reader(data).load())
    return b"".join(writer.parts) + b"."


class _Writer:
    def __init__(self, protocol: int) -> None:
        self.binary = protocol == 1
        self.parts: list[bytes] = []
        #: places by id, with the objects, so that no id is given twice
        self.memo: dict[int, tuple[int, Any]] = {}

    def save(self, value: Any) -> None:
        if id(value) in self.memo:
            place = self.memo[id(value)][0]
            self.parts.append(self._place(b"g", b"h", b"j", place))
        elif value is None:
            self.parts.append(b"N")
        elif isinstance(value, bool):
            self.parts.append(b"I01\n" if value else b"I00\n")
        elif isinstance(value, type):
            assert issubclass(value, StandIn)
            self.parts.append(f"c{value.module}\n{value.name}\n".encode())
            self._put(value)
        elif isinstance(value, StandIn):
            self._object(value)
        else:
            saves: dict[type, Any] = {
                int: self._int, float: self._float, PlainString: self._string,
                bytes: self._string, str: self._unicode,
                tuple: self._tuple, list: self._list, dict: self._dict,
            }  # fmt: skip
            saves[type(value)](value)

    def _object(self, value: StandIn) -> None:
        cls = type(value)
        if value.arguments or cls.module.startswith(CALLED):
            self.save(cls)
            self.save(value.arguments)
        else:
            self.save(_RECONSTRUCTOR)
            self.save((cls, _OBJECT, None))
        self.parts.append(b"R")
        self._put(value)
        if value.state is not None:
            self.save(value.state)
            self.parts.append(b"b")

    def _int(self, value: int) -> None:
        if self.binary and 0 <= value < 2**8:
            self.parts.append(b"K%c" % value)
        elif self.binary and 0 <= value < 2**16:
            self.parts.append(b"M" + struct.pack("<H", value))
        elif self.binary and -(2**31) <= value < 2**31:
            self.parts.append(b"J" + struct.pack("<i", value))
        else:
            # Python 2's int of 64 bits, and its long
            self.parts.append(b"I%d\n" % value if abs(value) < 2**63 else b"L%dL\n" % value)

    def _float(self, value: float) -> None:
        text = b"F" + repr(value).encode() + b"\n"
        self.parts.append(b"G" + struct.pack(">d", value) if self.binary else text)

    def _string(self, value: bytes) -> None:
        if self.binary:
            short = len(value) < 256
            size = bytes([len(value)]) if short else struct.pack("<i", len(value))
            self.parts.append((b"U" if short else b"T") + size + value)
        else:
            # as Python 2's: without the b, and quotes chosen by the same rule
            self.parts.append(b"S" + repr(bytes(value))[1:].encode() + b"\n")
        self._put(value)

    def _unicode(self, value: str) -> None:
        if self.binary:
            encoded = value.encode()
            self.parts.append(b"X" + struct.pack("<i", len(encoded)) + encoded)
        else:
            plain = value.replace("\\", "\\u005c").replace("\n", "\\u000a")
            self.parts.append(b"V" + plain.encode("raw-unicode-escape") + b"\n")
        self._put(value)

    def _tuple(self, value: tuple[Any, ...]) -> None:
        if self.binary and not value:
            self.parts.append(b")")
            return
        self.parts.append(b"(")
        for item in value:
            self.save(item)
        self.parts.append(b"t")
        if value:
            self._put(value)

    def _list(self, value: list[Any]) -> None:
        self.parts.append(b"]" if self.binary else b"(l")
        self._put(value)
        if self.binary and len(value) > 1:
            self.parts.append(b"(")
            for item in value:
                self.save(item)
            self.parts.append(b"e")
            return
        for item in value:
            self.save(item)
            self.parts.append(b"a")

    def _dict(self, value: dict[Any, Any]) -> None:
        self.parts.append(b"}" if self.binary else b"(d")
        self._put(value)
        at_once = self.binary and len(value) > 1
        self.parts.append(b"(" if at_once else b"")
        for key, item in value.items():
            self.save(key)
            self.save(item)
            self.parts.append(b"" if at_once else b"s")
        self.parts.append(b"u" if at_once else b"")

    def _put(self, value: Any) -> None:
        place = len(self.memo)
        self.memo[id(value)] = (place, value)
        self.parts.append(self._place(b"p", b"q", b"r", place))

    def _place(self, text: bytes, short: bytes, long: bytes, place: int) -> bytes:
        if not self.binary:
            return text + b"%d\n" % place
        return short + bytes([place]) if place < 256 else long + struct.pack("<i", place)


_RECONSTRUCTOR = type("", (StandIn,), {"module": "copy_reg", "name": "_reconstructor"})
_OBJECT = type("", (StandIn,), {"module": "__builtin__", "name": "object"})
