"""A photo's bytes as an RGB image, or an error that says what is wrong with them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from spacer_tasks.concurrency.decoding import decoding
from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import DataLimitError, ImageError, SpacerError
from spacer_tasks.extractors.images.costs import bytes_to_decode, check_before_opening
from spacer_tasks.extractors.images.damage import blank_rows, nothing_read
from spacer_tasks.extractors.images.in_flight import share
from spacer_tasks.extractors.images.jpeg import decode_jpeg, lost_pixels
from spacer_tasks.extractors.images.leniency import cut_images

logger = logging.getLogger(__name__)

Decoded = TypeVar("Decoded")

#: tags of a TIFF: a tile is decoded whole, and can be far larger than the image
TILE_WIDTH, TILE_LENGTH = 322, 323
#: what Pillow calls the colours of the JPEGs that `decode_jpeg` takes
JPEG_MODES = {"RGB", "L"}
#: what Pillow calls greys of 16 and 32 bits
DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
WHITE = 255
#: formats whose last row is usually stored first
BOTTOM_UP = ("BMP", "DIB", "TGA")
#: characters of a decoder's own words that are passed on; answers and feature files hold them
REASON = 200


class Photo(NamedTuple):
    """The pixels of an image, and what of it is missing.

    Attributes
    ----------
    pixels
        uint8, shape (height, width, 3), as Pillow's `convert("RGB")` makes them.
    incomplete
        None for an image that is whole. Else what was found, in one line: pixels are missing, and
        grey, black or made up, as Pillow leaves them (and so the reference); or they are white or
        black because they have more than 8 bits.
    """

    pixels: NDArray[np.uint8]
    incomplete: str | None


def load_image(data: bytes, name: str) -> Image.Image:
    """The image, decoded wholly, in mode RGB as Pillow's `convert("RGB")` makes it.

    Takes and raises what `read_photo` does. What is missing of an incomplete image is logged.
    """
    image, incomplete = _read(data, name, _to_rgb, _to_rgb)
    if incomplete:
        logger.warning("%s: the image is incomplete: %s", name, incomplete)
    return image


def load_pixels(data: bytes, name: str) -> NDArray[np.uint8]:
    """The pixels of `read_photo`; what is missing of an incomplete image is logged."""
    photo = read_photo(data, name)
    if photo.incomplete:
        logger.warning("%s: the image is incomplete: %s", name, photo.incomplete)
    return photo.pixels


def read_photo(data: bytes, name: str) -> Photo:
    """The pixels of an image, with fewer copies on the way than in `load_image`.

    EXIF orientation is not applied: points are marked on the pixels as they are stored. Of several
    frames the first is taken. An image that is damaged or cut short is read as far as it goes, as
    the reference reads it, and that is said; where SPACER_INCOMPLETE_IMAGES is "refuse", it is an
    error.

    Parameters
    ----------
    data
        The file's content, in one of the formats of `SPACER_IMAGE_FORMATS`.
    name
        Says which image in errors.

    Raises
    ------
    DataLimitError
        More pixels than `SPACER_MAX_IMAGE_PIXELS`, or more than its bytes or `SPACER_DECODED_BYTES`
        allow; found from the header, before decoding.
    ImageError
        The file is empty, no image, or none of its pixels can be read; or it is incomplete, and
        such images are refused.
    """
    odd_jpeg = False

    def pixels(image: Image.Image) -> NDArray[np.uint8]:
        nonlocal odd_jpeg
        if image.format == "JPEG" and image.mode in JPEG_MODES:
            decoded = decode_jpeg(data, image.width, image.height)
            if decoded is not None:
                return decoded
            odd_jpeg = True
        return _rgb(image)

    found, incomplete = _read(data, name, pixels, _rgb)
    lost = lost_pixels(data) if odd_jpeg and incomplete is None else None
    if lost is not None:
        if get_settings().incomplete_images == "refuse":
            raise ImageError(f"{name}: the image is {lost}")
        incomplete = _described(lost, found, "JPEG")
    return Photo(found, incomplete)


def _to_rgb(image: Image.Image) -> Image.Image:
    return image.convert("RGB")


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    # `convert` would copy what is RGB
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _read(
    data: bytes,
    name: str,
    decode: Callable[[Image.Image], Decoded],
    decode_cut: Callable[[Image.Image], Decoded],
) -> tuple[Decoded, str | None]:
    """The image, and what is missing of it.

    Parameters
    ----------
    decode
        Makes what is wanted of an image that Pillow opened.
    decode_cut
        The same by Pillow alone, of an image that is incomplete.
    """
    beyond: str | None = None

    def looked_through(image: Image.Image) -> Decoded:
        nonlocal beyond
        found = decode(image)
        beyond = _beyond_white(image)
        if beyond and get_settings().incomplete_images == "refuse":
            raise ImageError(f"{name}: {beyond}")
        return found

    try:
        with cut_images(read=False):
            return _decoded(data, name, looked_through), beyond
    except ImageError as error:
        if not data or get_settings().incomplete_images == "refuse":
            raise
        # words only: the error's traceback holds what was decoded until now
        said, reason = str(error), _reason(error.__cause__)

    def what_is_there(image: Image.Image) -> tuple[str | None, Decoded | None]:
        image.load()
        if nothing_read(image, data, lambda file, question: _decoded(file, name, question)):
            return image.format, None
        return image.format, decode_cut(image)

    try:
        with cut_images(read=True):
            image_format, found = _decoded(data, name, what_is_there)
    except ImageError:
        # what was wrong at first says more
        raise ImageError(said) from None
    if found is None:
        raise ImageError(f"{name}: no pixel of the image can be read; it is {reason}")
    return found, _described(reason, np.asarray(found), image_format)


def _beyond_white(image: Image.Image) -> str | None:
    """What is lost of greys of more than 8 bits, which `convert` cuts off, as the reference does.

    Such an image is white nearly everywhere; one of fractions is black.
    """
    if image.mode not in DEEP_MODES:
        return None
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= WHITE and not (image.mode == "F" and 0 < high <= 1):
        return None
    return (
        f"its greys are from {low:g} to {high:g}, and what is not from 0 to {WHITE} is cut off;"
        " expected 8 bits for each pixel and colour"
    )


def _reason(error: BaseException | None) -> str:
    """Why an image could not be read strictly, in one line."""
    if isinstance(error, UnidentifiedImageError):
        return "damaged: what stands before its pixels is not as its format has it"
    text = _line(error)
    return f"{'cut short' if 'truncated' in text.lower() else 'damaged'}: {text}"


def _described(reason: str, pixels: NDArray[np.uint8], image_format: str | None) -> str:
    """What is missing, with how much of it is seen to be."""
    upwards = image_format in BOTTOM_UP
    blank = blank_rows(pixels[::-1] if upwards else pixels)
    if not blank:
        return reason
    where, are = "first" if upwards else "last", "is" if blank == 1 else "are"
    return f"{reason}; the {where} {blank} of {len(pixels)} rows {are} of one colour"


def _line(error: BaseException | None) -> str:
    return " ".join(str(error).split())[:REASON] or type(error).__name__


def _decoded(data: bytes, name: str, decode: Callable[[Image.Image], Decoded]) -> Decoded:
    """What `decode` makes of the opened image, whose header was checked."""
    limit = get_settings().max_image_pixels
    _let_pillow_take(limit)
    if not data:
        raise ImageError(f"{name}: the file is empty")
    try:
        # closed also where it fails half way; a decoded image needs its file no more
        check_before_opening(data, limit, name)
        with (
            share() as memory,
            BytesIO(data) as stream,
            Image.open(stream, formats=_formats(get_settings().image_formats)) as image,
        ):
            _check_header(image, limit, name)
            memory.grow_to(bytes_to_decode(image, data, name), name)
            with decoding():
                return decode(image)
    except (SpacerError, MemoryError):
        # one who waits may be stopped, and memory that runs out says nothing about the image
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataLimitError(
            f"{name}: {error}; the limit is {limit} pixels (SPACER_MAX_IMAGE_PIXELS)"
        ) from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name}: not an image that can be read; it starts with the bytes {data[:16]!r};"
            f" expected {', '.join(get_settings().image_formats)} (SPACER_IMAGE_FORMATS)"
        ) from error
    # Pillow's decoders raise SyntaxError, struct.error, IndexError and more on damaged files
    except Exception as error:
        raise ImageError(f"{name}: the image is damaged or cut short ({_line(error)})") from error


@lru_cache(maxsize=4)
def _formats(allowed: tuple[str, ...]) -> list[str]:
    """Those of the formats that this build of Pillow has."""
    Image.init()
    return [name for name in allowed if name in Image.OPEN]


def _check_header(image: Image.Image, limit: int, name: str) -> None:
    for what, width, height in (("", image.width, image.height), *_tiles(image)):
        if width * height > limit:
            raise DataLimitError(
                f"{name}: {what}{width} x {height} = {width * height} pixels, more than the {limit}"
                " of SPACER_MAX_IMAGE_PIXELS"
            )


def _tiles(image: Image.Image) -> list[tuple[str, int, int]]:
    """The size of a TIFF's tiles, where it has some."""
    if not isinstance(image, TiffImageFile):
        return []
    width, height = image.tag_v2.get(TILE_WIDTH), image.tag_v2.get(TILE_LENGTH)
    if width is None or height is None:
        return []
    return [("tiles of ", int(width), int(height))]


def _let_pillow_take(limit: int) -> None:
    """Keep Pillow's own guard against bombs, but never below the limit that the operator set."""
    if Image.MAX_IMAGE_PIXELS is not None and limit > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = limit
