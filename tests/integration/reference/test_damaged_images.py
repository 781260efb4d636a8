"""The real reference and this project see the same of photos that are damaged in many ways.

`TEST_DAMAGE=50` damages each kind of file so many times; `TEST_DAMAGE_SEED` in another way.
"""

from __future__ import annotations

import hashlib
import os
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spacer_tasks.exceptions import DataLimitError, ImageError
from spacer_tasks.extractors import read_photo
from tests.support.environments.reference import run_reference
from tests.support.files.image_kinds import KINDS, MORE_KINDS, file_of

TIMES = int(os.environ.get("TEST_DAMAGE", "3"))
SEED = int(os.environ.get("TEST_DAMAGE_SEED", "1"))
#: at the start of files that no worker reads unless its operator allows them
OFF = (b"\0\0\0\x0cjP", b"\xffO\xffQ", b"P6", b"P5", b"\0\0\x02", b"\0\0\x0a")
SLOPE = np.add.outer(np.arange(90), np.arange(120))[..., None] * np.array([1, 2, 3])
PHOTO = Image.fromarray((SLOPE % 256).astype(np.uint8))
SIXTEEN_BITS = Image.fromarray((SLOPE[..., 0] * 200).astype(np.uint16))


def turned(kind: str, turn: int) -> bytes:
    """The photo, with a note of how to turn it, which is not heeded."""
    exif = Image.Exif()
    exif[0x0112] = turn
    return file_of(PHOTO, kind, exif=exif)


#: with many rows and little noise, as photos have: those of image_kinds.py are small
PHOTOS = {
    "JPEG": file_of(PHOTO, "JPEG", quality=80),
    "JPEG of optimised tables": file_of(PHOTO, "JPEG", optimize=True),
    "progressive JPEG, 4:1:1": file_of(PHOTO, "JPEG", progressive=True, subsampling="4:1:1"),
    "progressive grey JPEG": file_of(PHOTO.convert("L"), "JPEG", progressive=True),
    "progressive CMYK JPEG": file_of(PHOTO.convert("CMYK"), "JPEG", progressive=True),
    "grey PNG with alpha": file_of(PHOTO.convert("LA"), "PNG"),
    "PNG of one bit": file_of(PHOTO.convert("1"), "PNG"),
    "PNG of 16 bits": file_of(SIXTEEN_BITS, "PNG"),
    "PNG with a transparent colour": file_of(PHOTO, "PNG", transparency=(3, 4, 5)),
    "PNG of a palette": file_of(PHOTO.convert("P"), "PNG", transparency=5),
    "PNG of several frames": file_of(PHOTO, "PNG", save_all=True, append_images=[PHOTO.rotate(3)]),
    "TIFF": file_of(PHOTO, "TIFF"),
    "TIFF of 16 bits": file_of(SIXTEEN_BITS, "TIFF"),
    "TIFF of a palette": file_of(PHOTO.convert("P"), "TIFF"),
    "TIFF in CMYK": file_of(PHOTO.convert("CMYK"), "TIFF"),
    "TIFF with alpha": file_of(PHOTO.convert("RGBA"), "TIFF"),
    "TIFF by deflate": file_of(PHOTO, "TIFF", compression="tiff_adobe_deflate"),
    "TIFF by PackBits": file_of(PHOTO, "TIFF", compression="packbits"),
    "TIFF by JPEG": file_of(PHOTO, "TIFF", compression="jpeg"),
    "BMP": file_of(PHOTO, "BMP"),
    "BMP of a palette": file_of(PHOTO.convert("P"), "BMP"),
    "BMP of one bit": file_of(PHOTO.convert("1"), "BMP"),
    "BMP with alpha": file_of(PHOTO.convert("RGBA"), "BMP"),
    "GIF": file_of(PHOTO, "GIF"),
    "interlaced GIF": file_of(PHOTO.convert("P"), "GIF", interlace=1),
    "WebP": file_of(PHOTO, "WEBP"),
    "WebP without loss": file_of(PHOTO, "WEBP", lossless=True),
    "WebP with alpha": file_of(PHOTO.convert("RGBA"), "WEBP"),
    **{
        f"{kind} that says {turn}": turned(kind, turn)
        for turn in (3, 6, 8)
        for kind in ("JPEG", "PNG", "TIFF", "WEBP")
    },
    **{f"small {kind}": data for kind, data in {**KINDS, **MORE_KINDS}.items()},
}


def damaged(data: bytes, draw: random.Random) -> Iterator[tuple[str, bytes]]:
    """The file, cut and changed; what was done comes first."""
    size = len(data)
    yield "garbage behind it", data + b"garbage" * 20
    yield "an error page in it", data[: size * 2 // 3] + b"<html>503</html>"
    for _ in range(TIMES):
        for cut in (draw.randrange(1, size), size - draw.randrange(1, min(30, size))):
            yield f"cut at {cut} of {size}", data[:cut]
        at = draw.randrange(20, size)
        yield f"zeros from {at}", data[:at] + bytes(size - at)
        yield f"a hole at {at}", data[:at] + data[at + draw.randrange(1, 50) :]
        changed = bytearray(data)
        places = [draw.randrange(20, size) for _ in range(draw.choice((1, 3, 20)))]
        for place in places:
            changed[place] = draw.randrange(256)
        yield f"other bytes at {places}", bytes(changed)
    if data.startswith(b"\x89PNG"):
        at = 8
        while at < size:
            (length,) = struct.unpack_from(">I", data, at)
            checksum = at + 8 + length
            wrong = bytes([data[checksum] ^ 0xFF])
            yield f"a wrong checksum at {at}", data[:checksum] + wrong + data[checksum + 1 :]
            at = checksum + 4


def ours(data: bytes) -> tuple[Any, str | None]:
    """Shape and checksum of the pixels, or why there are none."""
    try:
        pixels = read_photo(data, "reef").pixels
    except (ImageError, DataLimitError) as error:
        return None, str(error)
    return [list(pixels.shape), hashlib.sha256(pixels.tobytes()).hexdigest()], None


REFERENCE = """
    import hashlib, warnings
    warnings.simplefilter('ignore')
    import numpy as np
    from spacer.data_classes import DataLocation
    from spacer.storage import load_image

    answers = []
    for path in args:
        try:
            pixels = np.array(load_image(DataLocation('filesystem', path)).convert('RGB'))
        except Exception:
            answers.append(None)
            continue
        one_colour = bool((pixels == pixels[:1, :1]).all())
        sha256 = hashlib.sha256(pixels.tobytes()).hexdigest()
        answers.append([list(pixels.shape), sha256, one_colour])
    return answers
"""


@pytest.mark.filterwarnings("ignore")
def test_a_damaged_photo_has_the_reference_s_pixels_or_none(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    draw = random.Random(SEED)
    cases = [
        (f"{kind}: {what}", broken)
        for kind, data in PHOTOS.items()
        if not data.startswith(OFF) and b"ftypavif" not in data[:40]
        for what, broken in damaged(data, draw)
    ]
    paths = [tmp_path / f"{number}.photo" for number in range(len(cases))]
    for path, (_, data) in zip(paths, cases, strict=True):
        path.write_bytes(data)
    answers: list[Any] = run_reference(REFERENCE, [str(path) for path in paths])
    read = 0
    for (name, data), theirs in zip(cases, answers, strict=True):
        with subtests.test(name):
            seen, refused = ours(data)
            if theirs is not None and refused is not None:
                # it makes features of the one colour that is there
                assert "no pixel of the image can be read" in refused
                assert theirs[2]
            elif refused is None:
                read += 1
                assert seen == (theirs or [])[:2]
    assert read > len(cases) / 2
