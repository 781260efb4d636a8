"""Decode a sound JPEG straight into an array, with the pixels that Pillow makes of it."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

try:
    import simplejpeg
except ImportError:  # Pillow decodes instead
    simplejpeg = None

#: warnings of libjpeg after which pixels are made up; others, such as bytes between two parts of
#: the file, which some cameras leave there, cost none
CUT_SHORT = "Premature end of JPEG file"
LOST = (
    CUT_SHORT,
    "Corrupt JPEG data: premature end of data segment",
    "Corrupt JPEG data: bad Huffman code",
    "Corrupt JPEG data: bad arithmetic code",
    "Corrupt JPEG data: found marker",
)
START_OF_SCAN = 0xDA
#: the same as a file has it, and what ends an image
SCAN, END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"
#: a marker between pixels that something stands behind, or the end
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")
#: the first marker that a JPEG has with something behind it
FIRST_SEGMENT = 0xC0
#: markers behind the first pixels that are gone through: a progressive JPEG has some 20
MAX_MARKERS = 10_000
#: markers with nothing behind them: TEM, and where decoders may start again
STANDALONE = {0x01, *range(0xD0, 0xD8)}


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
        return _decoded(data)
    # a warning of the decoder's is an error here
    except ValueError:
        return None


def lost_pixels(data: bytes) -> str | None:
    """How pixels got lost in a file that Pillow reads without a word: cut short, or damaged.

    Parameters
    ----------
    data
        A file that `decode_jpeg` leaves to Pillow and that Pillow has read.
    """
    if simplejpeg is None:
        return None
    try:
        _decoded(data)
    except ValueError as error:
        said = " ".join(str(error).split())
        if said.startswith(LOST):
            return f"{'cut short' if said.startswith(CUT_SHORT) else 'damaged'}: {said}"
    return None


def before_pixels(data: bytes) -> bytes | None:
    """The file up to the first byte that pixels are coded in, or None where there is none."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            # any number of them may stand before a marker
            at += 1
        elif marker in STANDALONE:
            at += 2
        else:
            end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            if marker == START_OF_SCAN:
                return data[:end]
            at = end
    return None


def scan_count(data: bytes) -> int:
    """How many times a decoder goes through the pixels: the scans up to the image's end.

    Behind it phones leave a film, and some cameras further images. Where markers are not as a
    JPEG's, or too many to be gone through, all that looks like a scan counts.
    """
    everything = data.count(SCAN)
    header = before_pixels(data)
    if everything <= 1 or header is None:
        return everything
    at, scans = len(header), 1
    for _ in range(MAX_MARKERS):
        found = _MARKER.search(data, at)
        if found is None or found[0] == END_OF_IMAGE:
            return scans
        if found[0][1] < FIRST_SEGMENT:
            # libjpeg may pass over it alone, not over what stands behind it
            return everything
        scans += found[0] == SCAN
        at = found.end() + max(2, int.from_bytes(data[found.end() : found.end() + 2], "big"))
    return everything


def _decoded(data: bytes) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
        data, "RGB", fastdct=False, fastupsample=False, strict=True
    )
    return pixels
