"""The arrays of an `.npz`, read without numpy's loader and without the copies that a stream takes.

Files may be hostile: what an entry becomes is known before it is inflated, what its header claims
before anything is made of it.
"""

from __future__ import annotations

import math
import struct
import zipfile
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np

# as zlib, with checksums ten times and decompression twice as fast
from isal import isal_zlib as zlib
from numpy.typing import NDArray

#: bytes of one array in a file: 8 times a thousand points of 4096 float64 numbers
MAX_ARRAY_BYTES = 2**28
#: bytes that a compressed array may become however small it is: 4 times a thousand points of 4096
#: float32 numbers; and for each of its own, where it is larger: features hardly compress
MAX_INFLATED, INFLATED_A_BYTE = 2**26, 20
#: bytes of an array's header; numpy writes 118 for plain numbers, and its parser goes deep into
#: what is longer
MAX_HEADER = 1000
#: bytes of an array of which no size can matter
SMALL = 2**16
#: entries of a file, which has 5; bytes at its end that list them
MAX_ENTRIES, LISTED_BYTES = 100, 2**17
_ENTRY, _END, _LARGE_END = b"PK\1\2", b"PK\5\6", b"PK\6\7"
#: bytes of the record at a file's end; of what stands before it in archives of over 4 GB
_END_BYTES, _LARGE_END_BYTES = 22, 20


class DamagedEntryError(ValueError):
    """An entry is not as its file lists it, larger than it may be, or no array."""


class NpzArrays:
    """The entries of a file, by their names.

    Raises
    ------
    DamagedEntryError
        There are more entries than a feature file has.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        if _listed(data).count(_ENTRY) > MAX_ENTRIES:
            raise DamagedEntryError(f"more than {MAX_ENTRIES} entries")
        with zipfile.ZipFile(BytesIO(data)) as archive:
            self.entries = {entry.filename: entry for entry in archive.infolist()}

    def read(self, name: str, most: int) -> NDArray[Any]:
        """The array of an entry of at most so many bytes. What is not compressed is a view."""
        entry = self.entries[name]
        limit = most
        if entry.compress_type != zipfile.ZIP_STORED:
            limit = min(most, max(MAX_INFLATED, INFLATED_A_BYTE * entry.compress_size))
        if entry.file_size > limit:
            raise DamagedEntryError(f"{name} has {entry.file_size} bytes, over {limit}")
        content = _content(self._data, entry)
        # after its magic and version, the length of the header: two bytes in version 1, then four
        wide = content[6] != 1
        begin = 12 if wide else 10
        (length,) = struct.unpack_from("<I" if wide else "<H", content, 8)
        if length > MAX_HEADER:
            raise DamagedEntryError(f"{name} has a header of {length} bytes, over {MAX_HEADER}")
        shape, fortran, dtype = _header(bytes(content[: begin + length]))
        count = math.prod(shape)
        if count * dtype.itemsize > len(content) - begin - length:
            # said before anything is made of what a hostile header claims
            raise DamagedEntryError(f"{name} claims shape {str(shape)[:100]}, more than it holds")
        # a number of a byte becomes one of four
        if count * max(4, dtype.itemsize) > max(limit, 4 * SMALL):
            raise DamagedEntryError(f"{name} claims shape {str(shape)[:100]}, over {limit} bytes")
        values = np.frombuffer(content, dtype, count, begin + length)
        return values.reshape(shape, order="F" if fortran else "C")


def _listed(data: bytes) -> bytes:
    """What lists the entries; of a file with an unusual end, all of the end that is searched.

    The record at the end is laid out as APPNOTE.TXT of PKWARE says, 4.3.16.
    """
    end, large = data[-_END_BYTES:], data[-_END_BYTES - _LARGE_END_BYTES :]
    if end.startswith(_END) and end.endswith(b"\0\0") and not large.startswith(_LARGE_END):
        (size,) = struct.unpack_from("<I", end, 12)
        if size <= LISTED_BYTES:
            return data[-_END_BYTES - size : -_END_BYTES]
    return data[-LISTED_BYTES:]


def _content(data: bytes, entry: zipfile.ZipInfo) -> memoryview:
    """An entry's bytes, checked against its checksum."""
    # the local header is 30 bytes, a name and an extra field of these lengths
    lengths = struct.unpack_from("<HH", data, entry.header_offset + 26)
    start = entry.header_offset + 30 + sum(lengths)
    content = memoryview(data)[start : start + entry.compress_size]
    if entry.compress_type == zipfile.ZIP_DEFLATED:
        # one byte more than announced, to see that there is none
        inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, entry.file_size + 1)
        content = memoryview(inflated)
    elif entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
        raise DamagedEntryError(
            f"{entry.filename} is encrypted, or compressed as no feature file is"
        )
    if len(content) != entry.file_size or zlib.crc32(content) != entry.CRC:
        raise DamagedEntryError(f"{entry.filename} is damaged: its size or checksum is another")
    return content


@lru_cache(maxsize=256)
def _header(start: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type; files of one kind share their headers."""
    stream = BytesIO(start)
    version = np.lib.format.read_magic(stream)
    try:
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        else:
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    # Python's parser says so of what is nested too deep
    except MemoryError as error:
        raise DamagedEntryError("a header that cannot be read") from error
    if dtype.hasobject:
        raise DamagedEntryError("holds Python objects, expected numbers")
    if min(shape, default=0) < 0:
        raise DamagedEntryError(f"claims shape {shape}")
    return shape, fortran, dtype
