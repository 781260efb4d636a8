"""Images made to take memory or time, or to be something else."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image


def png(width: int, height: int, rows: bytes | None = None, extra: bytes = b"") -> bytes:
    """A grey PNG, black unless said otherwise; a billion pixels of it compress to a megabyte."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    if rows is None:
        rows = zeros((width + 1) * height)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )


def text_chunk(size: int) -> bytes:
    body = b"Comment\0\0" + zeros(size)
    return (
        struct.pack(">I", len(body))
        + b"zTXt"
        + body
        + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    )


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def gif_that_grows(width: int, height: int) -> bytes:
    """The screen is one pixel, the first frame is not."""
    data = bytearray(saved(Image.new("P", (1, 1)), "GIF"))
    at = data.index(b",")
    data[at + 5 : at + 9] = struct.pack("<HH", width, height)
    return bytes(data)


def zeros(count: int) -> bytes:
    """The zlib stream of many zeros, without compressing them all."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    million = packer.compress(bytes(10**6)) + packer.flush(zlib.Z_FULL_FLUSH)
    rest = packer.compress(bytes(count % 10**6)) + packer.flush()
    checksum = (count % 65521) << 16 | 1
    return b"\x78\xda" + million * (count // 10**6) + rest + struct.pack(">I", checksum)


def directory(*tags: tuple[int, int, int]) -> bytes:
    """A TIFF's directory, without the place of the next one: number, type and value of each tag."""
    entries = [struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags]
    return struct.pack("<H", len(tags)) + b"".join(entries)


def tiff_of_a_large_tile(side: int) -> bytes:
    """Ten pixels wide, and its one tile is far larger."""
    tile = zeros(side * side)
    tile += b"\0" * (len(tile) % 2)
    tags = directory(
        (256, 4, 10), (257, 4, 10), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1),
        (322, 4, side), (323, 4, side), (324, 4, 8), (325, 4, len(tile)),
    )  # fmt: skip
    return b"II*\0" + struct.pack("<I", 8 + len(tile)) + tile + tags + bytes(4)


def tiff_of_frames(count: int) -> bytes:
    """All of the same 9 x 9 pixels."""
    pixels = bytes(82)
    tags = directory(
        (256, 4, 9), (257, 4, 9), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1),
        (278, 4, 9), (279, 4, 81),
    )  # fmt: skip
    data = bytearray(b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels)
    for number in range(count):
        following = len(data) + len(tags) + 4 if number < count - 1 else 0
        data += tags + struct.pack("<I", following)
    return bytes(data)


def tiff_in_a_circle() -> bytes:
    data = bytearray(saved(Image.new("L", (9, 9)), "TIFF"))
    (directory,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, directory)
    struct.pack_into("<I", data, directory + 2 + 12 * count, directory)
    return bytes(data)


def jpeg_with_exif(exif: bytes) -> bytes:
    return saved(Image.new("RGB", (40, 30)), "JPEG", exif=b"Exif\0\0" + exif)


def ico_of_a_large_png() -> bytes:
    inner = png(9_000, 9_000, zeros(9_001 * 9_000))
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(inner), 22) + inner


SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
#: the file, and what comes of it: a shape, or a part of the error
FILES: dict[str, tuple[Callable[[], bytes], list[int] | str]] = {
    "a bomb": (lambda: png(30_000, 30_000, zeros(30_001 * 30_000)), "DataLimitError"),
    "a bomb that lies about its size": (
        lambda: png(40, 30, zeros(500_000_000)),
        [30, 40, 3],
    ),
    # an incomplete image: the reference reads it without its comment
    "a comment of a gigabyte": (lambda: png(40, 30, extra=text_chunk(2**30)), [30, 40, 3]),
    "one pixel high": (lambda: png(20_000_000, 1), [1, 20_000_000, 3]),
    "one pixel wide": (lambda: png(1, 2_000_000), [2_000_000, 1, 3]),
    "one pixel high, and too long": (lambda: png(2**31 - 1, 1, b""), "Error"),
    "one pixel": (lambda: png(1, 1), [1, 1, 3]),
    "no pixel": (lambda: png(0, 1, zlib.compress(b"")), "ImageError"),
    "a GIF that grows": (lambda: gif_that_grows(60_000, 60_000), "Error"),
    "a GIF of 5,000 frames": (
        lambda: saved(
            Image.new("L", (40, 30)),
            "GIF",
            save_all=True,
            append_images=[Image.new("L", (40, 30), n % 255) for n in range(4999)],
        ),
        [30, 40, 3],
    ),
    "a TIFF of 5,000 frames": (lambda: tiff_of_frames(5000), [9, 9, 3]),
    "a TIFF whose directory is its own next": (tiff_in_a_circle, [9, 9, 3]),
    "a TIFF of a tile far larger than it": (lambda: tiff_of_a_large_tile(30_000), "Error"),
    "EXIF that is nothing": (lambda: jpeg_with_exif(b"nothing"), [30, 40, 3]),
    "EXIF that ends": (lambda: jpeg_with_exif(b"II*\0\x08\0\0\0\xff\xff"), [30, 40, 3]),
    "EXIF in a circle": (
        lambda: jpeg_with_exif(
            b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x8769, 4, 1, 8) + struct.pack("<I", 8)
        ),
        [30, 40, 3],
    ),
    "an icon of a large image": (ico_of_a_large_png, "ImageError"),
    "SVG": (lambda: SVG, "ImageError"),
    "SVG behind a JPEG's first bytes": (lambda: b"\xff\xd8\xff\xe0" + SVG, "ImageError"),
    "a JPEG behind SVG": (lambda: SVG + saved(Image.new("RGB", (9, 9)), "JPEG"), "ImageError"),
    "PostScript": (lambda: saved(Image.new("RGB", (9, 9)), "EPS"), "ImageError"),
    "PDF": (lambda: saved(Image.new("RGB", (9, 9)), "PDF"), "ImageError"),
    "HTML": (lambda: b"<html><script>alert(1)</script></html>", "ImageError"),
    "CMYK": (lambda: saved(Image.new("CMYK", (40, 30)), "JPEG"), [30, 40, 3]),
    "16 bits": (
        lambda: saved(Image.fromarray(np.full((30, 40), 40_000, np.uint16)), "PNG"),
        [30, 40, 3],
    ),
    "a palette": (lambda: saved(Image.new("P", (40, 30)), "PNG"), [30, 40, 3]),
    "a palette that is missing": (
        lambda: png(40, 30)[:25] + b"\x03" + png(40, 30)[26:],
        "ImageError",
    ),
}
