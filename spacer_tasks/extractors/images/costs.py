"""What decoding an image would cost, from its header and before its pixels.

A file of 200 bytes can claim 100 million pixels. Formats are told apart by what their decoders
take: bytes for each pixel, and whether Python itself decodes.
"""

from __future__ import annotations

from PIL import Image

from spacer_tasks.exceptions import DataLimitError

#: bytes that are held for each pixel while an image is decoded: one to four in Pillow, four more as
#: RGB, three in the array and three on the way there
BYTES_A_PIXEL = 11
#: where there are four bytes for each pixel before they are made RGB
WIDE_MODES, WIDE_BYTES = ("RGBA", "RGBX", "RGBa", "CMYK", "I", "F", "LA", "PA", "YCbCr", "LAB"), 3
MORE_BYTES = {"WEBP": 16, "JPEG2000": 16, "AVIF": 16, "GIF": 12}
#: pixels of an image that is decoded by a loop in Python, as BMPs packed by run lengths are: one of
#: 100 million takes a minute
PYTHON_PIXELS = 4_000_000
#: pixels of an image of whatever few bytes
SMALL_PIXELS = 4_000_000
#: pixels for each byte of the file: a black PNG has 1,000, which is what deflate can do
PIXELS_A_BYTE = 2_000
#: of an image that takes half a gigabyte and more: photos have less than 50
LARGE_PIXELS, LARGE_PIXELS_A_BYTE = 40_000_000, 200
#: strips and tiles, each of which is decoded by itself: a scan of one row each has 65,535
MAX_PARTS = 100_000
#: bytes one after the other that fill up the space before a part of a JPEG, which Pillow goes
#: through one by one
MAX_FILL = 4096
#: pixels times scans: a progressive JPEG goes through all its pixels in each, and has 10 of them
SCANNED_PIXELS = 1_000_000_000
#: for each byte of the file; one colour in 10 scans has 3,000
SCANNED_A_BYTE = 4_000
START_OF_SCAN = b"\xff\xda"
JPEGS = ("JPEG", "MPO")
#: of a WebP's extended header: it is an animation
_ANIMATED = 2


def check_before_opening(data: bytes, limit: int, name: str) -> None:
    """Refuse what takes memory or time as soon as Pillow opens it: a WebP that claims too many
    pixels, a JPEG that is filled up.

    Raises
    ------
    DataLimitError
        It is larger than `limit` pixels, or a large animation, or filled up.
    """
    if data[:2] == b"\xff\xd8":
        filled = data.find(b"\xff" * MAX_FILL)
        if 0 <= filled < data.find(START_OF_SCAN):
            raise DataLimitError(
                f"{name}: more than {MAX_FILL} bytes at byte {filled} that say nothing; expected a"
                " JPEG as cameras write it"
            )
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
    _check_density(width * height, len(data), name)


def bytes_to_decode(image: Image.Image, data: bytes, name: str) -> int:
    """The memory that decoding an opened image takes.

    Raises
    ------
    DataLimitError
        Its bytes cannot be so many pixels, or it would take time without measure.
    """
    pixels = image.width * image.height
    _check_density(pixels, len(data), name)
    parts = getattr(image, "tile", [])
    if len(parts) > MAX_PARTS:
        raise DataLimitError(f"{name}: {len(parts)} strips or tiles, expected at most {MAX_PARTS}")
    decoders = {tile[0] for tile in parts}
    if pixels > PYTHON_PIXELS and decoders & Image.DECODERS.keys():
        raise DataLimitError(
            f"{name}: {image.width} x {image.height} pixels packed as photos are not"
            f" ({image.format}, {', '.join(sorted(decoders))}), expected at most {PYTHON_PIXELS}"
        )
    if image.format in JPEGS:
        scans = data.count(START_OF_SCAN)
        scanned = pixels * scans
        if scanned > SCANNED_PIXELS or (
            scanned > 10 * SMALL_PIXELS and scanned > SCANNED_A_BYTE * len(data)
        ):
            raise DataLimitError(
                f"{name}: {scans} scans of {pixels} pixels, expected as many as cameras write, 10"
            )
    wide = WIDE_BYTES if image.mode in WIDE_MODES else 0
    return pixels * (MORE_BYTES.get(image.format or "", BYTES_A_PIXEL) + wide)


def _check_density(pixels: int, length: int, name: str) -> None:
    most = LARGE_PIXELS_A_BYTE if pixels > LARGE_PIXELS else PIXELS_A_BYTE
    if pixels > SMALL_PIXELS and pixels > most * length:
        raise DataLimitError(
            f"{name}: {pixels} pixels in a file of {length} bytes, expected at most {most} for"
            " each byte"
        )
