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

from spacer_tasks.concurrency.decoding import longest_s
from spacer_tasks.config.settings import IMAGE_FORMATS
from spacer_tasks.exceptions import DataLimitError, ImageError, InputError
from spacer_tasks.extractors import load_image, load_pixels, read_photo
from spacer_tasks.extractors.images import reading
from spacer_tasks.extractors.images.jpeg import decode_jpeg
from tests.support.files.image_kinds import KINDS, MORE_KINDS, PHOTO, SOME, file_of, png_of


@pytest.fixture(autouse=True)
def every_format(monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]) -> None:
    """Also those that are off where the operator says nothing."""
    monkeypatch.setenv("SPACER_IMAGE_FORMATS", " ".join(IMAGE_FORMATS))
    settings_changed()


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


@pytest.fixture
def refusing(settings_changed: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACER_INCOMPLETE_IMAGES", "refuse")
    settings_changed()


@pytest.mark.parametrize("missing", [1, 2, 100, 500])
@pytest.mark.parametrize("kind", ["JPEG", "progressive JPEG", "CMYK JPEG", "grey JPEG"])
def test_a_jpeg_without_its_end_is_read_and_what_is_missing_is_said(
    kind: str, missing: int
) -> None:
    data = KINDS[kind][:-missing]
    photo = read_photo(data, "reef")
    whole = read_photo(KINDS[kind], "reef")
    assert whole.incomplete is None
    assert photo.incomplete is not None
    assert photo.incomplete.startswith("cut short: image file is truncated")
    if missing < 3:
        # the end's marker alone
        np.testing.assert_array_equal(photo.pixels, whole.pixels)
    else:
        assert (photo.pixels != whole.pixels).any()


def test_the_rows_of_one_colour_are_counted() -> None:
    photo = read_photo(KINDS["JPEG of best quality"][:-2000], "reef")
    np.testing.assert_array_equal(photo.pixels[-8:], np.full((8, 50, 3), 128, np.uint8))
    assert photo.incomplete is not None
    assert photo.incomplete.endswith("; the last 8 of 40 rows are of one colour")
    # stored from the last row to the first
    photo = read_photo(KINDS["BMP"][:-1000], "reef")
    assert photo.incomplete is not None
    assert photo.incomplete.endswith("; the first 7 of 40 rows are of one colour")


@pytest.mark.parametrize(
    "kind", ["JPEG", "PNG", "BMP", "GIF of three frames", "TIFF of three frames", "MPO"]
)
def test_half_an_image_is_read_as_pillow_reads_it(kind: str) -> None:
    data = KINDS[kind]
    first_frame = len(data) // (3 if "frames" in kind or kind == "MPO" else 1)
    photo = read_photo(data[: first_frame // 2 + 100], "reef")
    assert photo.incomplete is not None
    assert photo.incomplete.startswith("cut short: ")
    whole = load_pixels(data, "reef")
    np.testing.assert_array_equal(load_image(data[: first_frame // 2 + 100], "reef"), photo.pixels)
    some = slice(-3, None) if kind == "BMP" else slice(0, 3)
    np.testing.assert_array_equal(photo.pixels[some], whole[some])


def test_a_wrong_checksum_of_a_comment_costs_no_pixel_and_is_said() -> None:
    header = struct.pack(">IIBBBBB", 50, 40, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in SOME))
    data = png_of((b"IHDR", header), (b"tEXt", b"by\0diver"), (b"IDAT", rows), (b"IEND", b""))
    photo = read_photo(data.replace(b"diver", b"Diver"), "reef")
    np.testing.assert_array_equal(photo.pixels, SOME)
    assert photo.incomplete is not None
    assert photo.incomplete.startswith("damaged: ")


def test_a_jpeg_that_is_damaged_inside_is_read_and_that_is_said() -> None:
    """Pillow says nothing of it, also where it is strict."""
    data = bytearray(KINDS["JPEG with restart markers"])
    at = data.rindex(b"\xff\xd2")
    data[at + 1] = 0xD7
    photo = read_photo(bytes(data), "reef")
    np.testing.assert_array_equal(photo.pixels, np.asarray(Image.open(BytesIO(bytes(data)))))
    assert photo.incomplete is not None
    assert photo.incomplete.startswith("damaged: Corrupt JPEG data: found marker")


def test_bytes_that_a_camera_leaves_before_the_end_cost_nothing() -> None:
    data = KINDS["JPEG"]
    photo = read_photo(data[:-2] + bytes(7) + data[-2:], "reef")
    np.testing.assert_array_equal(photo.pixels, load_pixels(data, "reef"))
    assert photo.incomplete is None


def test_a_cut_photo_that_is_of_one_colour_is_a_photo() -> None:
    """Black is what is not read, grey what libjpeg makes of nothing: here they are in the file."""
    for colour in ("black", "grey", "blue"):
        photo = Image.new("RGB", (200, 150), colour)
        for data in (file_of(photo, "JPEG")[:-2], file_of(photo, "PNG")[:-40]):
            found = read_photo(data, "reef")
            assert found.incomplete is not None
            np.testing.assert_allclose(found.pixels[:100], np.asarray(photo)[:100], atol=1)


@pytest.mark.parametrize(
    "kind", ["JPEG", "progressive JPEG", "CMYK JPEG", "PNG", "interlaced PNG", "tiled TIFF"]
)
def test_an_image_without_a_pixel_is_an_input_error(kind: str) -> None:
    data = {**KINDS, **MORE_KINDS}[kind]
    if "JPEG" in kind:
        scan = data.index(b"\xff\xda") + 2
        end = scan + int.from_bytes(data[scan : scan + 2], "big")
    else:
        end = data.index(b"IDAT") + 8 if "PNG" in kind else 242
    for load in (load_image, load_pixels, read_photo):
        with pytest.raises(
            ImageError, match=r"^reef 7\.jpg: no pixel of the image can be read; it"
        ):
            load(data[:end], "reef 7.jpg")


@pytest.mark.usefixtures("refusing")
@pytest.mark.parametrize("missing", [1, 2, 100, 500])
@pytest.mark.parametrize("kind", ["JPEG", "progressive JPEG"])
def test_a_truncated_jpeg_is_an_input_error_where_such_are_refused(kind: str, missing: int) -> None:
    for load in (load_image, load_pixels):
        with pytest.raises(ImageError, match=r"reef 7\.jpg: .*cut short.*truncated"):
            load(KINDS[kind][:-missing], "reef 7.jpg")


@pytest.mark.usefixtures("refusing")
@pytest.mark.parametrize("kind", ["PNG", "TIFF, compressed", "BMP", "WebP", "GIF of three frames"])
def test_half_an_image_is_an_input_error_where_such_are_refused(kind: str) -> None:
    data = KINDS[kind]
    first_frame = len(data) // (3 if "frames" in kind else 1)
    with pytest.raises(ImageError, match="reef"):
        load_image(data[: first_frame // 2], "reef")


@pytest.mark.usefixtures("refusing")
def test_a_jpeg_that_is_damaged_inside_is_an_input_error_where_such_are_refused() -> None:
    data = bytearray(KINDS["JPEG with restart markers"])
    data[data.rindex(b"\xff\xd2") + 1] = 0xD7
    with pytest.raises(ImageError, match=r"reef: .*Corrupt JPEG data: found marker"):
        load_pixels(bytes(data), "reef")
    assert read_photo(KINDS["JPEG"], "reef").incomplete is None


@pytest.mark.parametrize("kind", ["TIFF, compressed", "WebP"])
def test_half_an_image_is_an_input_error_where_pillow_takes_it_whole(kind: str) -> None:
    with pytest.raises(ImageError, match="reef"):
        load_image(KINDS[kind][: len(KINDS[kind]) // 2], "reef")


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


def test_who_watches_sees_how_long_an_image_is_decoded() -> None:
    # the decoder itself looks
    seen = reading._decoded(file_of(PHOTO, "PNG"), "a.png", lambda _: longest_s())
    assert seen > 0
    assert longest_s() == 0


GREYS = np.linspace(0, 1, 1200).reshape(30, 40)


@pytest.mark.parametrize(
    ("greys", "said"),
    [
        ((GREYS * 65535).astype(np.uint16), "its greys are from 0 to 65535, and what is not from"),
        ((GREYS * 65535).astype(">u2"), "its greys are from 0 to 65535"),
        ((GREYS * 70000).astype(np.int32), "its greys are from 0 to 70000"),
        (GREYS.astype(np.float32), "its greys are from 0 to 1,"),
        ((GREYS * 255).astype(np.uint16), None),
        ((GREYS * 255).astype(np.float32), None),
        (np.zeros((30, 40), np.float32), None),
    ],
)
def test_greys_of_more_than_8_bits_are_told_of(
    greys: Any,
    said: str | None,
    monkeypatch: pytest.MonkeyPatch,
    settings_changed: Callable[[], None],
) -> None:
    data = file_of(Image.fromarray(greys), "TIFF")
    found = read_photo(data, "reef").incomplete
    assert found is None if said is None else found is not None and found.startswith(said)
    monkeypatch.setenv("SPACER_INCOMPLETE_IMAGES", "refuse")
    settings_changed()
    if said is None:
        read_photo(data, "reef")
    else:
        with pytest.raises(ImageError, match=f"^reef: {said}"):
            read_photo(data, "reef")
