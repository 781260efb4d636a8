"""Protocol buffers' wire format, field by field from a file, nothing read ahead of need.

Source: "Encoding" of Protocol Buffers' documentation. A length is held against what is left before
anything is done with it, so no file can ask for more memory than it has bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from spacer_tasks.exceptions import WeightsError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_SIZES = {FIXED64: 8, FIXED32: 4}
#: bytes of the longest varint
_MAX_VARINT = 10
#: fields read of one file: a thousand layers have some 20,000
MAX_FIELDS = 200_000
#: bytes of a name
MAX_TEXT = 1000


@dataclass(frozen=True)
class Field:
    """A field: its number and kind, the value of a varint, and where its content lies."""

    number: int
    kind: int
    value: int
    start: int
    end: int


class WireReader:
    """Reads a seekable binary file; `name` says which in errors."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self._left = MAX_FIELDS
        self.size = stream.seek(0, 2)

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """The fields of the message between two offsets. It may be read from meanwhile."""
        position = start
        while position < end:
            self._left -= 1
            if self._left < 0:
                raise self.error(position, f"it has more than {MAX_FIELDS} fields")
            key, position = self._varint(position, end)
            number, kind = key >> 3, key & 7
            value = 0
            content = position
            if kind == VARINT:
                value, position = self._varint(position, end)
            elif kind == BYTES:
                length, content = self._varint(position, end)
                position = content + length
            elif kind in _SIZES:
                position += _SIZES[kind]
            else:
                raise self.error(content, f"a field of the unknown kind {kind}")
            if number == 0 or position > end:
                what = "a field without a number" if number == 0 else "a field longer than the rest"
                raise self.error(content, what)
            yield Field(number, kind, value, content, position)

    def text(self, field: Field) -> str:
        """The text in a field."""
        self.expect(field, BYTES)
        if field.end - field.start > MAX_TEXT:
            raise self.error(field.start, f"a name of {field.end - field.start} bytes")
        return self.read(field.start, field.end).decode("utf-8", errors="replace")

    def integers(self, field: Field) -> Iterator[int]:
        """The integers in a field, packed or one by itself."""
        if field.kind == VARINT:
            yield field.value
            return
        self.expect(field, BYTES)
        position = field.start
        while position < field.end:
            value, position = self._varint(position, field.end)
            yield value

    def expect(self, field: Field, kind: int) -> None:
        """Refuse a field of another kind."""
        if field.kind != kind:
            raise self.error(field.start, f"field {field.number} is of another kind than Caffe's")

    def read(self, start: int, end: int) -> bytes:
        """The bytes between two offsets."""
        self._stream.seek(start)
        data = self._stream.read(end - start)
        if len(data) != end - start:
            raise self.error(start, "it ends too early")
        return data

    def read_into(self, start: int, buffer: memoryview) -> None:
        """Fill a buffer with the bytes from an offset on."""
        self._stream.seek(start)
        # BufferedIOBase fills it wholly, or the file ended
        if self._stream.readinto(buffer) != len(buffer):  # type: ignore[attr-defined]
            raise self.error(start, "it ends too early")

    def error(self, position: int, text: str) -> WeightsError:
        """An error that says where in the file."""
        return WeightsError(
            f"{self._name} is damaged or not a .caffemodel: at byte {position}, {text}"
        )

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        """The integer at an offset, and the offset after it."""
        self._stream.seek(position)
        data = self._stream.read(min(_MAX_VARINT, end - position))
        value = 0
        for count, byte in enumerate(data):
            value |= (byte & 127) << (7 * count)
            if byte < 128:
                return value, position + count + 1
        raise self.error(position, "an integer without an end")
