"""What of an incomplete image was read: how much of it is blank, and whether anything is there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spacer_tasks.exceptions import ImageError
from spacer_tasks.extractors.images.jpeg import END_OF_IMAGE, before_pixels

#: rows of the largest block that a JPEG is coded in; of no data at all libjpeg makes up one block
BLOCK = 32
#: formats that libjpeg decodes
JPEGS = ("JPEG", "MPO")
#: opens a file leniently and answers a question about the image
Ask = Callable[[bytes, Callable[[Image.Image], bool]], bool]


def blank_rows(pixels: NDArray[np.uint8]) -> int:
    """The rows at the end of an image that are of one colour, as what decoders do not reach is.

    Parameters
    ----------
    pixels
        uint8, shape (height, width, 3).
    """
    # one after the other, from the end: most images have few or none
    for count, row in enumerate(pixels[::-1]):
        if (row != pixels[-1, -1]).any():
            return count
    return len(pixels)


def nothing_read(image: Image.Image, data: bytes, ask: Ask) -> bool:
    """Whether all pixels of an incomplete image are what they were before anything was read.

    Parameters
    ----------
    image
        What was read leniently, before it is converted: that takes several times its memory.
    data
        Its file.
    """
    try:
        # what a decoder writes is the same whatever was there before
        if _holds(image, 0) and ask(data, _still_filled):
            return True
        header = before_pixels(data) if image.format in JPEGS else None
        if header is None or not _one_colour(image, min(BLOCK, image.height - 1)):
            return False
        # as long as the file: a header alone is too short for so many pixels
        alone = header + END_OF_IMAGE + bytes(len(data) - len(header))
        return ask(alone, lambda made_up: _same(image, made_up))
    except (ImageError, ValueError):
        # of a mode that Pillow does not look through; the image itself was read
        return False


def _still_filled(image: Image.Image) -> bool:
    """Whether an image of ones is one still when it was read into."""
    # Pillow turns a TIFF as it says when it has read it, so its size before may be another
    size: tuple[int, int] = getattr(image, "_tile_size", image.size)
    image.im = _filled(image.mode, size, 1).im
    image.load()
    return _holds(image, 1)


def _holds(image: Image.Image, value: int) -> bool:
    return image.getextrema() == _filled(image.mode, (1, 1), value).getextrema()


def _filled(mode: str, size: tuple[int, int], value: int) -> Image.Image:
    bands = Image.getmodebands(mode)
    return Image.new(mode, size, value if bands == 1 else (value,) * bands)


def _one_colour(image: Image.Image, start: int) -> bool:
    """Whether all rows from this one on are of one colour."""
    # the last row first: it is rarely blank, and the rest is copied to look at it
    for top in (image.height - 1, start):
        rows = image.crop((0, top, image.width, image.height))
        if any(len(set(band.getextrema())) > 1 for band in rows.split()):
            return False
    return True


def _same(image: Image.Image, made_up: Image.Image) -> bool:
    """Whether two images that end in one colour are the same."""
    made_up.load()
    first = (0, 0, image.width, min(BLOCK, image.height))
    last = (image.width - 1, image.height - 1)
    return (
        image.size == made_up.size
        and image.mode == made_up.mode
        and image.getpixel(last) == made_up.getpixel(last)
        and image.crop(first).tobytes() == made_up.crop(first).tobytes()
    )
