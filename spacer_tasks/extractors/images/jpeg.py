"""Decode a sound JPEG straight into an array, with the pixels that Pillow makes of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

try:
    import simplejpeg
except ImportError:  # Pillow decodes instead
    simplejpeg = None


def decode_jpeg(data: bytes, width: int, height: int) -> NDArray[np.uint8] | None:
    """The pixels, uint8, shape (height, width, 3), or None where Pillow must decide.

    Both are libjpeg-turbo with the same options, so their pixels are the same. But Pillow keeps
    four bytes a pixel, and a second copy is made for numpy: for a photo that costs as much again
    as decoding it. A file with anything odd in it is left to Pillow, whose errors are known.

    Parameters
    ----------
    data
        A file that Pillow opened as a JPEG in colour (not CMYK) or grey.
    width, height
        What Pillow found in its header, and what may be allocated.
    """
    if simplejpeg is None:
        return None
    try:
        if simplejpeg.decode_jpeg_header(data)[:2] != (height, width):
            return None
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data, "RGB", fastdct=False, fastupsample=False, strict=True
        )
    # a warning of the decoder's is an error here
    except ValueError:
        return None
    return pixels
