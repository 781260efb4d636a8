"""Images of a few pixels whose files have more parts than any program writes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from io import BytesIO

from PIL import Image

from tests.support.files.hostile_images import saved


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def jpeg_with(inserted: bytes) -> bytes:
    """A JPEG of 40 x 30 pixels with something behind its first two bytes."""
    photo = saved(Image.new("RGB", (40, 30)), "JPEG")
    return photo[:2] + inserted + photo[2:]


def exif(directory: bytes) -> bytes:
    """As many segments as it takes."""
    pieces = [directory[at : at + 65_000] for at in range(0, len(directory), 65_000)]
    return b"".join(segment(0xE1, b"Exif\0\0" + piece) for piece in pieces)


def png_with(chunks: bytes) -> bytes:
    """A PNG of 9 x 9 pixels with chunks before its pixels."""
    photo = saved(Image.new("L", (9, 9)), "PNG")
    return photo[:33] + chunks + photo[33:]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def gif_with(inserted: bytes) -> bytes:
    """A GIF of 9 x 9 pixels with something before its frame."""
    photo = saved(Image.new("P", (9, 9)), "GIF")
    at = 13 + (3 << ((photo[10] & 7) + 1) if photo[10] & 0x80 else 0)
    return photo[:at] + inserted + photo[at:]


#: number, type, count, and value or what is pointed to
Tag = tuple[int, int, int, "int | bytes"]
#: of 10 x 10 grey pixels, which are the file's own first bytes
PLAIN: list[Tag] = [
    (256, 4, 1, 10), (257, 4, 1, 10), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
    (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, 10), (279, 4, 1, 100),
]  # fmt: skip


def tiff(*tags: Tag, big: bool = False) -> bytes:
    """A TIFF, or a BigTIFF, with these tags instead of `PLAIN`'s or beside them."""
    merged = sorted({tag[0]: tag for tag in [*PLAIN, *tags]}.values())
    if big:
        head = b"II\x2b\0\x08\0\0\0" + struct.pack("<QQ", 16, len(merged))
    else:
        head = b"II*\0\x08\0\0\0" + struct.pack("<H", len(merged))
    at = len(head) + len(merged) * (20 if big else 12) + (8 if big else 4)
    entries, behind = b"", b""
    for number, kind, count, value in merged:
        place = at + len(behind) if isinstance(value, bytes) else value
        behind += value if isinstance(value, bytes) else b""
        entries += struct.pack("<HHQQ" if big else "<HHII", number, kind, count, place)
    return head + entries + bytes(8 if big else 4) + behind + bytes(200)


def tiff_of_shared_tags(tags: int, size: int) -> bytes:
    """Each tag has these bytes, and all have the same."""
    data = tiff(*((1000 + n, 7, size, 300) for n in range(tags)))
    return data + bytes(size)


def tiff_of_jpeg_scans(count: int) -> bytes:
    """One strip, a progressive JPEG whose last scan is there again and again."""
    stream = BytesIO()
    Image.new("L", (4000, 4000), 90).save(stream, "JPEG", progressive=True)
    data = stream.getvalue()
    last = data.rindex(b"\xff\xda")
    scans = data[:last] + data[last:-2] * count + data[-2:]
    side = 4000
    return tiff(
        (256, 4, 1, side), (257, 4, 1, side), (259, 3, 1, 7), (278, 4, 1, side),
        (273, 4, 1, scans), (279, 4, 1, len(scans)),
    )  # fmt: skip


def numbers(count: int) -> bytes:
    return b"\1\0" * count


def compressed_text(kind: bytes) -> bytes:
    return chunk(kind, {b"iTXt": b"a\0\1\0\0\0"}.get(kind, b"a\0\0") + zlib.compress(bytes(10**6)))


#: the file, and what is said of it
FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "a JPEG of a million notes": (
        lambda: jpeg_with(segment(0xFE, b"") * 10**6),
        "more than 10000 segments",
    ),
    "a JPEG of markers with nothing behind them": (
        lambda: jpeg_with(b"\xff\xd0" * 10**6),
        "more than 10000 segments",
    ),
    "a JPEG of EXIF in small pieces": (
        lambda: jpeg_with(segment(0xE1, b"Exif\0\0x") * 9_000),
        "more than 100 segments of EXIF",
    ),
    "a JPEG filled up with FF": (lambda: jpeg_with(b"\xff" * 400_000), "262144 bytes that say no"),
    "a JPEG filled up with FF00": (
        lambda: jpeg_with(b"\xff\0" * 400_000),
        "262144 bytes that say nothing",
    ),
    "a JPEG filled up with zeros": (
        lambda: jpeg_with(segment(0xFE, b"") + bytes(400_000)),
        "262144 bytes that say nothing",
    ),
    "EXIF whose tags share their bytes": (
        lambda: jpeg_with(exif(tiff_of_shared_tags(3000, 60_000))),
        "its EXIF: its tags hold 180000",
    ),
    "EXIF of a million fractions": (
        lambda: jpeg_with(exif(tiff((282, 5, 500_000, numbers(2_000_000))))),
        "its EXIF: more than 100000 numbers in tag 282",
    ),
    "a PNG of a million chunks": (lambda: png_with(chunk(b"tEXt", b"a\0b") * 500_000), "0 chunks"),
    "a PNG of profiles": (lambda: png_with(compressed_text(b"iCCP") * 1000), "256 compressed"),
    "a PNG of packed notes": (lambda: png_with(compressed_text(b"zTXt") * 1000), "256 compressed"),
    "a PNG of packed texts": (lambda: png_with(compressed_text(b"iTXt") * 1000), "256 compressed"),
    "a GIF of a million notes": (
        lambda: gif_with(b"\x21\xfe\x01x\0" * 600_000),
        "more than 100000 blocks",
    ),
    "a GIF of a long note": (
        lambda: gif_with(b"\x21\xfe" + (b"\1x") * 2_000_000 + b"\0"),
        "more than 100000 blocks",
    ),
    "a GIF filled up": (lambda: gif_with(bytes(400_000)), "262144 bytes that say nothing"),
    "a TIFF whose tags share their bytes": (
        lambda: tiff_of_shared_tags(3000, 60_000),
        "its tags hold 180000",
    ),
    "a TIFF of two million strips": (
        lambda: tiff((273, 3, 2_000_000, numbers(2_000_000))),
        "more than 100000 numbers in tag 273",
    ),
    "a TIFF of strips at places of a byte": (
        lambda: tiff((273, 1, 2_000_000, bytes(2_000_000))),
        "more than 100000 numbers in tag 273",
    ),
    "a BigTIFF of two million strips": (
        lambda: tiff((273, 3, 2_000_000, numbers(2_000_000)), big=True),
        "more than 100000 numbers in tag 273",
    ),
    "a TIFF of a million fractions": (
        lambda: tiff((282, 5, 600_000, numbers(2_400_000))),
        "more than 100000 numbers in tag 282",
    ),
    "a BigTIFF of a million tags": (
        lambda: tiff(big=True)[:16] + struct.pack("<Q", 10**6) + bytes(20 * 10**6),
        "more than 100000 tags",
    ),
    "a TIFF whose strip has a thousand scans": (
        lambda: tiff_of_jpeg_scans(900),
        "scans of 16000000 pixels",
    ),
}
