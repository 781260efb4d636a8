"""What decoding an image would cost, from its header and before its pixels.

A file of 200 bytes can claim 100 million pixels. Formats are told apart by what their decoders
take: bytes for each pixel, and whether Python itself decodes.
"""

from __future__ import annotations

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from spacer_tasks.exceptions import DataLimitError
from spacer_tasks.extractors.images.headers import OFFSETS, check_headers
from spacer_tasks.extractors.images.jpeg import SCAN, scan_count

#: bytes that are held for each pixel while an image is decoded: one to four in Pillow, four more as
#: RGB, three in the array and three on the way there
BYTES_A_PIXEL = 11
#: where there are four bytes for each pixel before they are made RGB
WIDE_MODES, WIDE_BYTES = ("RGBA", "RGBX", "RGBa", "CMYK", "I", "F", "LA", "PA", "YCbCr", "LAB"), 3
MORE_BYTES = {"WEBP": 16, "JPEG2000": 16, "AVIF": 16, "GIF": 12}
#: pixels of an image that is decoded by a loop in Python, as BMPs packed by run lengths are, and
#: bytes of its file: one of 100 million pixels takes a minute, and 10 MB that are no pixels 7 s
PYTHON_PIXELS, PYTHON_BYTES = 2_000_000, 4_000_000
#: pixels of an image of whatever few bytes
SMALL_PIXELS = 4_000_000
#: pixels for each byte of the file: a black PNG has 1,000, which is what deflate can do
PIXELS_A_BYTE = 2_000
#: of an image that takes so many bytes and more, which are 40 million pixels of most: photos have
#: less than 50 pixels for a byte
LARGE_BYTES, LARGE_PIXELS_A_BYTE = 40_000_000 * BYTES_A_PIXEL, 200
#: pixels times scans: a progressive JPEG goes through all its pixels in each, and has 10 of them
SCANNED_PIXELS = 1_000_000_000
#: for each byte of the file; one colour in 10 scans has 3,000
SCANNED_A_BYTE = 4_000
JPEGS = ("JPEG", "MPO")
#: what Pillow calls a TIFF's strips and tiles that are JPEGs
JPEGS_IN_TIFF = ("jpeg", "tiff_jpeg")
#: of a WebP's extended header: it is an animation
_ANIMATED = 2


def check_before_opening(data: bytes, limit: int, name: str) -> None:
    """Refuse what takes memory or time as soon as Pillow opens it: a WebP that claims too many
    pixels, and what `check_headers` refuses.

    Raises
    ------
    DataLimitError
        It is larger than `limit` pixels, or a large animation, or has too many parts.
    """
    check_headers(data, name)
    if data[:4] != b"RIFF" or data[8:16] != b"WEBPVP8X" or len(data) < 30:
        return
    width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
    if width * height > limit:
        raise DataLimitError(
            f"{name}: {width} x {height} = {width * height} pixels, more than the {limit} of"
            " SPACER_MAX_IMAGE_PIXELS"
        )
    if data[20] & _ANIMATED and width * height > SMALL_PIXELS:
        raise DataLimitError(
            f"{name}: an animation of {width} x {height} pixels, expected a photo, or an animation"
            f" of at most {SMALL_PIXELS} pixels"
        )
    _check_density(width * height, len(data), name, MORE_BYTES["WEBP"])


def bytes_to_decode(image: Image.Image, data: bytes, name: str) -> int:
    """The memory that decoding an opened image takes.

    Raises
    ------
    DataLimitError
        Its bytes cannot be so many pixels, or it would take time without measure.
    """
    pixels = image.width * image.height
    wide = WIDE_BYTES if image.mode in WIDE_MODES else 0
    bytes_a_pixel = MORE_BYTES.get(image.format or "", BYTES_A_PIXEL) + wide
    _check_density(pixels, len(data), name, bytes_a_pixel)
    decoders = {tile[0] for tile in getattr(image, "tile", [])}
    if decoders & Image.DECODERS.keys() and (pixels > PYTHON_PIXELS or len(data) > PYTHON_BYTES):
        raise DataLimitError(
            f"{name}: {image.width} x {image.height} pixels packed as photos are not"
            f" ({image.format}, {', '.join(sorted(decoders))}) in {len(data)} bytes, expected at"
            f" most {PYTHON_PIXELS} in {PYTHON_BYTES}"
        )
    if jpegs := _jpegs_in(image):
        # each strip of a TIFF has a part of the pixels
        scans = scan_count(data) if image.format in JPEGS else data.count(SCAN) / jpegs
        scanned = pixels * scans
        if scanned > SCANNED_PIXELS or (
            scanned > 10 * SMALL_PIXELS and scanned > SCANNED_A_BYTE * len(data)
        ):
            raise DataLimitError(
                f"{name}: {scans:.0f} scans of {pixels} pixels, expected as many as cameras write,"
                " 10"
            )
    return pixels * bytes_a_pixel


def _jpegs_in(image: Image.Image) -> int:
    """How many JPEGs make up an image: one, none, or a TIFF's strips or tiles."""
    if image.format in JPEGS:
        return 1
    if not isinstance(image, TiffImageFile) or image.info.get("compression") not in JPEGS_IN_TIFF:
        return 0
    return max(1, *(len(image.tag_v2.get(tag, ())) for tag in OFFSETS))


def _check_density(pixels: int, length: int, name: str, bytes_a_pixel: int) -> None:
    large = pixels * bytes_a_pixel > LARGE_BYTES
    most = LARGE_PIXELS_A_BYTE if large else PIXELS_A_BYTE
    if pixels > SMALL_PIXELS and pixels > most * length:
        raise DataLimitError(
            f"{name}: {pixels} pixels in a file of {length} bytes, expected at most {most} for"
            " each byte"
        )
