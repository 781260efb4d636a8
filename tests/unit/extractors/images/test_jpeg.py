"""Where the pixels of a JPEG begin, and what libjpeg says of a damaged one."""

from __future__ import annotations

import pytest

from spacer_tasks.extractors.images.jpeg import before_pixels, lost_pixels, scan_count
from tests.support.files.image_kinds import KINDS

JPEG = KINDS["JPEG"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "JPEG" in kind])
def test_the_header_ends_where_the_first_scan_begins(kind: str) -> None:
    data = KINDS[kind]
    header = before_pixels(data)
    assert header is not None
    scan = data.index(b"\xff\xda", 0)
    assert data.startswith(header)
    assert len(header) == scan + 2 + int.from_bytes(data[scan + 2 : scan + 4], "big")


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xd8", JPEG[:100], b"\xff\xd8" + b"\xff" * 1000, b"\xff\xd8\xff\xe0\0\0" * 9],
)
def test_a_file_without_a_scan_has_no_pixels(data: bytes) -> None:
    assert before_pixels(data) is None


def test_bytes_between_markers_are_passed_over() -> None:
    stuffed = JPEG[:2] + b"\xff" * 5 + JPEG[2:]
    header = before_pixels(stuffed)
    assert header is not None
    assert len(header) == len(before_pixels(JPEG) or b"") + 5


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "JPEG" in kind and "TIFF" not in kind])
def test_scans_are_counted_up_to_the_end_of_the_image(kind: str) -> None:
    data = KINDS[kind]
    count = scan_count(data)
    assert count == data.count(b"\xff\xda")
    assert scan_count(data + b"\xff\xda" * 9) == count
    assert scan_count(data[:-2] + b"\xff\xda\0\2" * 9) == count + 9
    assert scan_count(data[:2] + b"\xff\xd9" + data[2:] + b"\xff\xda") > count


def test_what_costs_pixels_is_said_and_what_costs_none_is_not() -> None:
    assert lost_pixels(JPEG) is None
    assert lost_pixels(JPEG[:-2]) == "cut short: Premature end of JPEG file"
    # some cameras leave bytes before the end
    assert lost_pixels(JPEG[:-2] + bytes(7) + JPEG[-2:]) is None
    ended = JPEG[: len(JPEG) - 300] + b"\xff\xd9"
    assert lost_pixels(ended) == "damaged: Corrupt JPEG data: premature end of data segment"
