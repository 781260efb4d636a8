"""Photos are decoded as Pillow's `convert("RGB")` does, or refused with a reason."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from spacer_tasks.exceptions import DataLimitError, ImageError, InputError
from spacer_tasks.extractors import load_image, load_pixels, read_photo
from spacer_tasks.extractors.images import reading
from spacer_tasks.extractors.images.jpeg import decode_jpeg
from tests.support.files.image_kinds import KINDS, PHOTO, file_of


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixels."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"")
    chunks = [
        struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        for body in (chunk, data, b"IEND")
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
def test_every_kind_of_image_is_what_convert_makes_of_it(kind: str) -> None:
    image = load_image(KINDS[kind], "reef")
    expected = Image.open(BytesIO(KINDS[kind])).convert("RGB")
    assert image.mode == "RGB"
    assert image.size == (50, 40)
    np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))
    pixels = load_pixels(KINDS[kind], "reef")
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, np.asarray(expected))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
def test_the_faster_decoder_takes_jpegs_in_colour_or_grey_and_nothing_else(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []

    def observed(*args: Any) -> Any:
        taken.append(decode_jpeg(*args))
        return taken[-1]

    monkeypatch.setattr(reading, "decode_jpeg", observed)
    load_pixels(KINDS[kind], "reef")
    expected = "JPEG" in kind and "CMYK" not in kind
    assert [pixels is not None for pixels in taken] == [True] * expected


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_of_any_size_has_pillow_s_pixels(subsampling: str, progressive: bool) -> None:
    chance = np.random.default_rng(1)
    for width, height in [(1, 1), (1, 9), (7, 2), (8, 8), (15, 17), (16, 33), (63, 65), (130, 97)]:
        for quality in (30, 75, 95):
            colours = chance.integers(0, 256, (height, width, 3), dtype=np.uint8)
            data = file_of(
                Image.fromarray(colours),
                "JPEG",
                quality=quality,
                subsampling=subsampling,
                progressive=progressive,
            )
            fast = decode_jpeg(data, width, height)
            assert fast is not None
            np.testing.assert_array_equal(fast, np.asarray(Image.open(BytesIO(data))))


def test_a_jpeg_of_another_size_than_expected_is_left_to_pillow() -> None:
    assert decode_jpeg(KINDS["JPEG"], 50, 41) is None


def test_pillow_decodes_where_the_faster_decoder_is_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("spacer_tasks.extractors.images.jpeg.simplejpeg", None)
    pixels = load_pixels(KINDS["JPEG"], "reef")
    np.testing.assert_array_equal(pixels, np.asarray(load_image(KINDS["JPEG"], "reef")))


#: what the reference reads of a file that is cut short, and how: Pillow's own lenient mode
CUTS = {
    "JPEG": 500,
    "progressive JPEG": 500,
    "PNG": 100,
    "BMP": 500,
}


def leniently(data: bytes) -> NDArray[np.uint8]:
    """The pixels that Pillow gives where it may leave out what is missing."""
    read = (
        "import sys, numpy; from PIL import Image, ImageFile;"
        "ImageFile.LOAD_TRUNCATED_IMAGES = True;"
        "image = Image.open(sys.stdin.buffer).convert('RGB');"
        "numpy.save(sys.stdout.buffer, numpy.asarray(image))"
    )
    ran = subprocess.run([sys.executable, "-c", read], input=data, capture_output=True, check=True)
    found: NDArray[np.uint8] = np.load(BytesIO(ran.stdout))
    return found


@pytest.mark.parametrize("missing", [1, 2, 100])
@pytest.mark.parametrize("kind", CUTS)
def test_an_image_that_is_cut_short_has_the_pixels_that_the_reference_reads(
    kind: str, missing: int
) -> None:
    data = KINDS[kind][:-missing]
    photo = read_photo(data, "reef")
    np.testing.assert_array_equal(photo.pixels, leniently(data))
    np.testing.assert_array_equal(np.asarray(load_image(data, "reef")), photo.pixels)


@pytest.mark.parametrize("kind", CUTS)
def test_what_is_missing_of_an_image_is_said(kind: str) -> None:
    photo = read_photo(KINDS[kind][: -CUTS[kind]], "reef")
    assert photo.incomplete
    assert "\n" not in photo.incomplete
    assert read_photo(KINDS[kind], "reef").incomplete is None


@pytest.mark.parametrize("kind", CUTS)
def test_incomplete_images_are_refused_where_the_operator_says_so(
    kind: str, monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> None:
    monkeypatch.setenv("SPACER_INCOMPLETE_IMAGES", "refuse")
    settings_changed()
    for load in (load_image, load_pixels):
        with pytest.raises(ImageError, match=r"reef 7"):
            load(KINDS[kind][: -CUTS[kind]], "reef 7")


#: what says how to read their pixels is at their end, or their decoder takes them whole only
@pytest.mark.parametrize("kind", ["WebP", "TIFF, compressed"])
def test_half_an_image_that_gives_no_pixel_is_an_input_error(kind: str) -> None:
    data = KINDS[kind]
    with pytest.raises(ImageError, match="reef"):
        load_image(data[: len(data) // 2], "reef")


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
        outcomes = [outcome(load, bytes(damaged)) for load in (load_image, load_pixels)]
        assert outcomes[0] == outcomes[1]


def outcome(load: Callable[[bytes, str], Any], data: bytes) -> tuple[Any, bytes] | str:
    """The image's size and pixels, or the error."""
    try:
        pixels = np.asarray(load(data, "reef"))
    except InputError as error:
        assert str(error).startswith("reef: ")  # noqa: PT017 -- either outcome is right
        return str(error)
    return pixels.shape, pixels.tobytes()


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
