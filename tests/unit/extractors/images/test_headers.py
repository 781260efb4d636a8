"""Files with a million parts: refused before Pillow goes through them."""

from __future__ import annotations

import struct

import pytest
from PIL import Image

from spacer_tasks.exceptions import DataLimitError
from spacer_tasks.extractors import read_photo
from spacer_tasks.extractors.images.headers import check_headers
from tests.support.files.hostile_headers import (
    FILES,
    chunk,
    exif,
    gif_with,
    jpeg_with,
    numbers,
    png_with,
    segment,
    tiff,
)
from tests.support.files.image_kinds import KINDS


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_too_many_parts_is_refused_before_it_is_read(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, told = FILES[name]
    data = make()
    assert len(data) < 21_000_000
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("it is decoded"))
    with pytest.raises(DataLimitError, match=f"reef: .*{told}"):
        read_photo(data, "reef")


READ = {
    "a JPEG with a preview and notes": jpeg_with(
        segment(0xE2, bytes(60_000)) * 200 + segment(0xFE, b"reef") * 50
    ),
    "a JPEG with bytes between its parts": jpeg_with(
        b"\xff" * 5000 + segment(0xFE, b"") + bytes(99)
    ),
    "EXIF in two pieces": jpeg_with(exif(tiff((282, 5, 9000, numbers(36_000))))),
    "a PNG of many chunks": png_with(chunk(b"tEXt", b"a\0b") * 5000),
    "a GIF with a profile": gif_with(
        b"\x21\xff\x0bICCRGBG1012" + (b"\xff" + bytes(255)) * 2000 + b"\0"
    ),
    "a TIFF whose tags share a number": tiff((282, 5, 1, 300), (283, 5, 1, 300)),
    "a TIFF that points behind its end": tiff((1000, 4, 2**31, 10**9)),
    "a BigTIFF": tiff(big=True),
    "a BigTIFF in big endian": b"MM\0\x2b\0\x08\0\0" + struct.pack(">Q", 2**63),
    "a TIFF of its first bytes": b"II*\0\x08\0",
    "a GIF of its first bytes": b"GIF89a",
    "a JPEG of its first bytes": b"\xff\xd8\xff",
    "a PNG of its first bytes": b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffIDAT",
    **KINDS,
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_what_programs_write_and_what_is_damaged_passes(name: str) -> None:
    check_headers(READ[name], "reef")


@pytest.mark.parametrize("name", [name for name in READ if not name.endswith(("bytes", "endian"))])
def test_what_passes_is_read(name: str) -> None:
    assert read_photo(READ[name], "reef").pixels.ndim == 3
