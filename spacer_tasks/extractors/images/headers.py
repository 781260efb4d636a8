"""What stands before and between an image's pixels, counted before Pillow goes through it.

Pillow reads a file's segments, chunks, blocks and tags one by one in Python, joins some of them,
and makes objects of what they hold. A file of megabytes can have a million of them, each of a few
bytes: seconds for each megabyte, and a hundred bytes of memory for each of its own. Here they are
counted in the same order, and a file with more than any camera or program writes is refused.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

from PIL.JpegImagePlugin import MARKER

from spacer_tasks.exceptions import DataLimitError

#: segments of a JPEG before its pixels: cameras write 20, with a preview in 64 kB each some hundred
MAX_SEGMENTS = 10_000
#: of them with EXIF, which Pillow joins one by one; the standard has one
MAX_EXIF = 100
#: bytes before a JPEG's or GIF's pixels that belong to nothing, and are gone through one by one
MAX_FILL = 2**18
#: chunks of a PNG: one for each 8 kB of pixels in most programs
MAX_CHUNKS = 100_000
#: of them that are compressed, each of which is inflated to at most a megabyte
MAX_COMPRESSED = 256
#: blocks of a GIF before its first frame: 255 bytes each
MAX_BLOCKS = 100_000
#: tags of a TIFF or of EXIF, and numbers in one of them: strips of one row each are 65,535
MAX_VALUES = 100_000
#: times the file's length that its tags may hold together: some share their numbers
SHARED = 2

_EXIF = b"Exif\0\0"
_START_OF_SCAN = 0xDA
#: bytes of a number, by the type of a tag (TIFF 6.0, page 15, and BigTIFF's own)
_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
           16: 8, 17: 8, 18: 8}  # fmt: skip
#: types that stay bytes
_BYTES = (1, 2, 7)
#: tags that say where strips and tiles are, each of which is decoded by itself
OFFSETS = (273, 324)
_BLOCK = re.compile(rb"[!,;]")


def check_headers(data: bytes, name: str) -> None:
    """Refuse a file with more parts than any program writes.

    What is damaged passes: whatever reads it says so.

    Raises
    ------
    DataLimitError
        It has; the text says of what.
    """
    for magic, check in _CHECKS.items():
        if data.startswith(magic):
            check(data, name)


def _too_many(name: str, what: str, most: int) -> DataLimitError:
    return DataLimitError(f"{name}: more than {most} {what}; expected a file as cameras write it")


def _check_jpeg(data: bytes, name: str) -> None:
    at, segments, filled = 2, 0, 0
    exif: list[bytes] = []
    while at + 1 < len(data):
        if data[at] != 0xFF:
            found = data.find(b"\xff", at)
            filled += (found if found >= 0 else len(data)) - at
            at = found if found >= 0 else len(data)
        elif data[at + 1] in (0x00, 0xFF):
            # a fill byte, or one that was escaped
            filled += 1
            at += 1 if data[at + 1] else 2
        else:
            marker = data[at + 1]
            segments += 1
            known = MARKER.get(0xFF00 | marker)
            if marker == _START_OF_SCAN or known is None:
                break
            if known[2] is None:
                # with nothing behind it
                at += 2
                continue
            length = max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
            if marker == 0xE1 and data[at + 4 : at + 10] == _EXIF:
                exif.append(data[at + 10 : at + 2 + length])
            at += 2 + length
        if filled > MAX_FILL:
            raise _too_many(name, "bytes that say nothing before its pixels", MAX_FILL)
        if segments > MAX_SEGMENTS:
            raise _too_many(name, "segments before its pixels", MAX_SEGMENTS)
        if len(exif) > MAX_EXIF:
            raise _too_many(name, "segments of EXIF", MAX_EXIF)
    if exif:
        _check_directory(b"".join(exif), f"{name}: its EXIF")


def _check_png(data: bytes, name: str) -> None:
    at, chunks, compressed = 8, 0, 0
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        chunks += 1
        compressed += kind in (b"iCCP", b"zTXt", b"iTXt")
        if chunks > MAX_CHUNKS:
            raise _too_many(name, "chunks", MAX_CHUNKS)
        if compressed > MAX_COMPRESSED:
            raise _too_many(name, "compressed chunks of text or profiles", MAX_COMPRESSED)
        at += 12 + length


def _check_gif(data: bytes, name: str) -> None:
    # the screen's header, and its colours where it has some
    at = 13 + (3 << ((data[10] & 7) + 1) if len(data) > 10 and data[10] & 0x80 else 0)
    blocks = filled = 0
    while at < len(data):
        found = _BLOCK.search(data, at)
        start = found.start() if found else len(data)
        filled += start - at
        if filled > MAX_FILL:
            raise _too_many(name, "bytes that say nothing before its pixels", MAX_FILL)
        if data[start : start + 1] != b"!":
            return
        at = start + 2
        while True:
            blocks += 1
            if blocks > MAX_BLOCKS:
                raise _too_many(name, "blocks before its first frame", MAX_BLOCKS)
            length = data[at] if at < len(data) else 0
            at += 1 + length
            if not length:
                break


def _check_directory(data: bytes, name: str) -> None:
    """The first directory of a TIFF, or of EXIF, which is one."""
    order, big = "<" if data[:2] == b"II" else ">", 43 in data[2:4]
    # where the directory is, how many tags it has, and one of them: number, type, count, value
    head, first, tag = ("QQ", 8, "HHQ8s") if big else ("IH", 4, "HHI4s")
    place, count, entry = (struct.Struct(order + each) for each in (head[0], head[1], tag))
    if len(data) < first + place.size:
        return
    (at,) = place.unpack_from(data, first)
    if at + count.size > len(data):
        return
    (tags,) = count.unpack_from(data, at)
    at += count.size
    tags = min(tags, (len(data) - at) // entry.size)
    if tags > MAX_VALUES:
        raise _too_many(name, "tags", MAX_VALUES)
    held = 0
    for number, kind, values, value in entry.iter_unpack(data[at : at + tags * entry.size]):
        size = values * _WIDTHS.get(kind, 0)
        if size <= place.size:
            continue
        (start,) = place.unpack(value)
        held += max(0, min(size, len(data) - start))
        # of a file that is cut short they are not there, and are passed over
        many = values > MAX_VALUES and (kind not in _BYTES or number in OFFSETS)
        if many and start + size <= len(data):
            raise _too_many(name, f"numbers in tag {number}", MAX_VALUES)
    if held > SHARED * len(data):
        raise DataLimitError(
            f"{name}: its tags hold {held} bytes in a file of {len(data)}; expected a file as"
            " cameras write it"
        )


_CHECKS: dict[bytes, Callable[[bytes, str], None]] = {
    b"\xff\xd8\xff": _check_jpeg,
    b"\x89PNG\r\n\x1a\n": _check_png,
    b"GIF8": _check_gif,
    b"II": _check_directory,
    b"MM": _check_directory,
}
