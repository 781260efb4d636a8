"""Photos are decoded as Pillow's `convert("RGB")` does, or refused with a reason."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spacer_tasks.exceptions import DataLimitError, ImageError, InputError
from spacer_tasks.extractors import load_image

SOME = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
SOME[:20] = 90
PHOTO = Image.fromarray(SOME)


def file_of(image: Image.Image, file_format: str, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixels."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"")
    chunks = [
        struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        for body in (chunk, data, b"IEND")
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
def test_every_kind_of_image_is_what_convert_makes_of_it(kind: str) -> None:
    image = load_image(KINDS[kind], "reef")
    expected = Image.open(BytesIO(KINDS[kind])).convert("RGB")
    assert image.mode == "RGB"
    assert image.size == (50, 40)
    np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))


@pytest.mark.parametrize("missing", [1, 2, 100, 500])
@pytest.mark.parametrize("kind", ["JPEG", "progressive JPEG"])
def test_a_truncated_jpeg_is_an_input_error(kind: str, missing: int) -> None:
    with pytest.raises(ImageError, match=r"reef 7\.jpg: .*cut short.*truncated"):
        load_image(KINDS[kind][:-missing], "reef 7.jpg")


@pytest.mark.parametrize("kind", ["PNG", "TIFF, compressed", "BMP", "WebP", "GIF of three frames"])
def test_half_an_image_is_an_input_error(kind: str) -> None:
    data = KINDS[kind]
    first_frame = len(data) // (3 if "frames" in kind else 1)
    with pytest.raises(ImageError, match="reef"):
        load_image(data[: first_frame // 2], "reef")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"II*\x00",
        b"%PDF-1.4\n",
        b"<html><body>404 Not Found</body></html>",
        b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        bytes(1000),
        file_of(PHOTO, "EPS"),
    ],
    ids=lambda data: repr(data[:12]),
)
def test_a_file_that_is_no_image_is_an_input_error(data: bytes) -> None:
    with pytest.raises(ImageError, match=r"reef\.jpg: "):
        load_image(data, "reef.jpg")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore")
def test_damage_anywhere_gives_an_image_or_an_input_error(kind: str) -> None:
    chance = random.Random(kind)
    for _ in range(25):
        damaged = bytearray(KINDS[kind])
        for _ in range(chance.choice((1, 3, 10))):
            damaged[chance.randrange(chance.choice((64, len(damaged))))] = chance.randrange(256)
        try:
            assert load_image(bytes(damaged), "reef").mode == "RGB"
        except InputError as error:
            assert str(error).startswith("reef: ")  # noqa: PT017 -- either outcome is right


def test_too_many_pixels_are_refused_before_decoding(
    settings_changed: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACER_MAX_IMAGE_PIXELS", "1999")
    settings_changed()
    # these have no pixels at all: decoding would be another error
    with pytest.raises(DataLimitError, match=r"reef: 100 x 20 = 2000 pixels, more than the 1999"):
        load_image(png_header(100, 20), "reef")
    with pytest.raises(ImageError, match="cut short"):
        load_image(png_header(100, 19), "reef")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("width", "height"), [(10_001, 10_000), (200_000, 200_000)])
def test_a_decompression_bomb_is_over_the_limit(width: int, height: int) -> None:
    with pytest.raises(DataLimitError, match=r"reef: .*100000000"):
        load_image(png_header(width, height), "reef")


def test_a_limit_above_pillow_s_own_is_the_limit(
    settings_changed: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    monkeypatch.setenv("SPACER_MAX_IMAGE_PIXELS", "2000")
    settings_changed()
    assert load_image(KINDS["PNG"], "reef").size == (50, 40)
