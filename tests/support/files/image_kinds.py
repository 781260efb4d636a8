"""One small photo as a file of each kind that is read."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

SOME = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
SOME[:20] = 90
PHOTO = Image.fromarray(SOME)


def file_of(image: Image.Image, file_format: str, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


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


KINDS = kinds()
