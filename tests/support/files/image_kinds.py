"""A small photo in every kind of file that is read, also in those that Pillow does not write."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SOME = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
SOME[:20] = 90
PHOTO = Image.fromarray(SOME)
#: where rows and columns of the seven passes of an interlaced PNG begin, and their steps
ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
         (1, 0, 2, 1)]  # fmt: skip


def file_of(image: Image.Image, file_format: str, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def png_of(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of these chunks, with their checksums."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def interlaced_png(pixels: NDArray[np.uint8]) -> bytes:
    height, width = pixels.shape[:2]
    rows = bytearray()
    for top, left, down, right in ADAM7:
        for row in pixels[top::down, left::right]:
            rows += b"\0" + row.tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    return png_of((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows))), (b"IEND", b""))


def tiled_tiff(pixels: NDArray[np.uint8], side: int = 16) -> bytes:
    """Grey, in tiles that are not compressed, the directory before them."""
    height, width = pixels.shape
    across, down = -(-width // side), -(-height // side)
    padded = np.zeros((down * side, across * side), np.uint8)
    padded[:height, :width] = pixels
    tiles = [
        padded[y * side : (y + 1) * side, x * side : (x + 1) * side].tobytes()
        for y in range(down)
        for x in range(across)
    ]
    count = len(tiles)
    lists = 8 + 2 + 12 * 11 + 4
    start = lists + 8 * count
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
        (277, 3, 1, 1), (284, 3, 1, 1), (322, 4, 1, side), (323, 4, 1, side),
        (324, 4, count, lists), (325, 4, count, lists + 4 * count),
    ]  # fmt: skip
    offsets = [start + side * side * number for number in range(count)]
    return b"".join(
        [
            b"II*\0" + struct.pack("<IH", 8, len(tags)),
            *(struct.pack("<HHII", *tag) for tag in tags),
            bytes(4),
            struct.pack(f"<{count}I", *offsets),
            struct.pack(f"<{count}I", *[side * side] * count),
            *tiles,
        ]
    )


def kinds() -> dict[str, bytes]:
    transparent = PHOTO.convert("P")
    sixteen_bits = Image.fromarray(SOME[..., 0].astype(np.uint16) * 257)
    frames = [Image.fromarray(np.roll(SOME, step, axis=0)) for step in (7, 14)]
    rotated = Image.Exif()
    rotated[0x0112] = 6
    return {
        "JPEG": file_of(PHOTO, "JPEG"),
        "progressive JPEG": file_of(PHOTO, "JPEG", progressive=True),
        "JPEG that says it is rotated": file_of(PHOTO, "JPEG", exif=rotated),
        "JPEG of best quality": file_of(PHOTO, "JPEG", quality=100, subsampling="4:4:4"),
        "JPEG subsampled in one direction": file_of(PHOTO, "JPEG", subsampling="4:2:2"),
        "JPEG with restart markers": file_of(PHOTO, "JPEG", restart_marker_blocks=2),
        "JPEG that keeps RGB": file_of(PHOTO, "JPEG", keep_rgb=True),
        "CMYK JPEG": file_of(PHOTO.convert("CMYK"), "JPEG"),
        "grey JPEG": file_of(PHOTO.convert("L"), "JPEG"),
        "PNG": file_of(PHOTO, "PNG"),
        "PNG of one bit": file_of(PHOTO.convert("1"), "PNG"),
        "PNG of 16 bits": file_of(sixteen_bits, "PNG"),
        "PNG with alpha": file_of(PHOTO.convert("RGBA"), "PNG"),
        "PNG of a palette": file_of(PHOTO.convert("P"), "PNG"),
        "PNG of a palette with a transparent colour": file_of(transparent, "PNG", transparency=3),
        "PNG of a palette with transparencies": file_of(
            transparent, "PNG", transparency=bytes(range(256))
        ),
        "GIF of three frames": file_of(PHOTO, "GIF", save_all=True, append_images=frames),
        "TIFF of three frames": file_of(PHOTO, "TIFF", save_all=True, append_images=frames),
        "TIFF of 32-bit floats": file_of(PHOTO.convert("F"), "TIFF"),
        "TIFF, compressed": file_of(PHOTO, "TIFF", compression="tiff_lzw"),
        "BMP": file_of(PHOTO, "BMP"),
        "WebP": file_of(PHOTO, "WEBP"),
        "MPO": file_of(PHOTO, "MPO", save_all=True, append_images=frames),
    }


#: what every test of reading goes through
KINDS = kinds()
#: and what only those of damaged files do
MORE_KINDS = {
    "interlaced PNG": interlaced_png(SOME),
    "PNG in many parts": png_of(
        (b"IHDR", struct.pack(">IIBBBBB", 50, 40, 8, 2, 0, 0, 0)),
        *[
            (b"IDAT", part)
            for whole in [zlib.compress(b"".join(b"\0" + row.tobytes() for row in SOME))]
            for part in (whole[at : at + 500] for at in range(0, len(whole), 500))
        ],
        (b"tEXt", b"Comment\0of a diver"),
        (b"IEND", b""),
    ),
    "progressive CMYK JPEG": file_of(PHOTO.convert("CMYK"), "JPEG", progressive=True),
    "grey progressive JPEG": file_of(PHOTO.convert("L"), "JPEG", progressive=True),
    "tiled TIFF": tiled_tiff(SOME[..., 0]),
    "TIFF in strips, packed": file_of(PHOTO, "TIFF", compression="packbits"),
    "TIFF, deflated": file_of(PHOTO, "TIFF", compression="tiff_adobe_deflate"),
    "TIFF of a JPEG": file_of(PHOTO, "TIFF", compression="jpeg"),
    "TIFF that says it is rotated": file_of(PHOTO, "TIFF", tiffinfo={274: 6}),
    "BMP of a palette": file_of(PHOTO.convert("P"), "BMP"),
    "lossless WebP": file_of(PHOTO, "WEBP", lossless=True),
    "GIF with a transparent colour": file_of(PHOTO.convert("P"), "GIF", transparency=3),
    "JPEG 2000": file_of(PHOTO, "JPEG2000"),
    "AVIF": file_of(PHOTO, "AVIF"),
    "PPM": file_of(PHOTO, "PPM"),
    "TGA": file_of(PHOTO, "TGA"),
    "packed TGA": file_of(PHOTO, "TGA", compression="tga_rle"),
}  # fmt: skip
