"""A photo's bytes as an RGB image, or an error that says what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import DataLimitError, ImageError
from spacer_tasks.extractors.images.jpeg import decode_jpeg

Decoded = TypeVar("Decoded")

#: what cameras and image programs write; JPEG is also MPO. Pillow reads 30 more, each a program to
#: be attacked: EPS runs another one (Ghostscript), icons hold images of another size than they say
FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "DIB", "WEBP", "GIF", "JPEG2000", "AVIF", "PPM", "TGA")
#: tags of a TIFF: a tile is decoded whole, and can be far larger than the image
TILE_WIDTH, TILE_LENGTH = 322, 323
#: what Pillow calls the colours of the JPEGs that `decode_jpeg` takes
JPEG_MODES = {"RGB", "L"}


def load_image(data: bytes, name: str) -> Image.Image:
    """The image, decoded wholly, in mode RGB as Pillow's `convert("RGB")` makes it.

    EXIF orientation is not applied: points are marked on the pixels as they are stored. Of several
    frames the first is taken.

    Parameters
    ----------
    data
        The file's content, in one of `FORMATS`.
    name
        Says which image in errors.

    Raises
    ------
    DataLimitError
        More pixels than `SPACER_MAX_IMAGE_PIXELS`; found from the header, before decoding.
    ImageError
        The file is empty, no image, damaged or cut short.
    """
    return _decoded(data, name, lambda image: image.convert("RGB"))


def load_pixels(data: bytes, name: str) -> NDArray[np.uint8]:
    """The pixels of `load_image`, uint8, shape (height, width, 3), with fewer copies on the way.

    Takes and raises what `load_image` does.
    """

    def pixels(image: Image.Image) -> NDArray[np.uint8]:
        if image.format == "JPEG" and image.mode in JPEG_MODES:
            decoded = decode_jpeg(data, image.width, image.height)
            if decoded is not None:
                return decoded
        # `convert` would copy what is RGB
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))

    return _decoded(data, name, pixels)


def _decoded(data: bytes, name: str, decode: Callable[[Image.Image], Decoded]) -> Decoded:
    """What `decode` makes of the opened image, whose header was checked."""
    limit = get_settings().max_image_pixels
    _let_pillow_take(limit)
    if not data:
        raise ImageError(f"{name}: the file is empty")
    try:
        # closed also where it fails half way; a decoded image needs its file no more
        with BytesIO(data) as stream, Image.open(stream, formats=_formats()) as image:
            _check_header(image, limit, name)
            return decode(image)
    except (DataLimitError, ImageError, MemoryError):
        # memory that runs out says nothing about the image
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataLimitError(
            f"{name}: {error}; the limit is {limit} pixels (SPACER_MAX_IMAGE_PIXELS)"
        ) from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name}: not an image that can be read; it starts with the bytes {data[:16]!r}"
        ) from error
    # Pillow's decoders raise SyntaxError, struct.error, IndexError and more on damaged files
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{name}: the image is damaged or cut short ({reason})") from error


@lru_cache(maxsize=1)
def _formats() -> list[str]:
    """Those of `FORMATS` that this build of Pillow has."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


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
