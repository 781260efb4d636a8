"""Small files that claim many pixels, refused before anything is decoded."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from spacer_tasks.concurrency.shares import Shares
from spacer_tasks.concurrency.stopping import stopped_by
from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import ConfigError, DataLimitError, ImageError, TaskCancelledError
from spacer_tasks.extractors import read_photo
from spacer_tasks.extractors.images import in_flight
from spacer_tasks.extractors.images.costs import PYTHON_PIXELS
from tests.support.files.hostile_images import png, saved
from tests.support.files.image_kinds import KINDS, MORE_KINDS


def webp(width: int, height: int, flags: int) -> bytes:
    """The extended header of a WebP, and an animation without frames."""
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes([flags, 0, 0, 0]) + sizes
    body += b"ANIM" + struct.pack("<I", 6) + bytes(6)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def packed_bmp(width: int, height: int, rows: bytes) -> bytes:
    """A BMP of run lengths."""
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(rows), 0, 0, 256, 0)
    offset = 14 + len(head) + 1024
    return (
        struct.pack("<2sIHHI", b"BM", offset + len(rows), 0, 0, offset) + head + bytes(1024) + rows
    )


def many_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan is there again and again."""
    stream = BytesIO()
    Image.new("L", (4000, 4000), 90).save(stream, "JPEG", progressive=True)
    data = stream.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + data[-2:]


def padded_bmp(width: int, height: int, length: int) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return struct.pack("<2sIHHI", b"BM", length, 0, 0, 54) + head + bytes(length - 54)


HOSTILE = {
    "a WebP of four bytes a pixel": (
        webp(6300, 6300, 0) + bytes(30_000),
        "39690000 pixels in a file of 300.. bytes, expected at most 200",
    ),
    "a PNG of colours and transparency": (
        saved(Image.new("RGBA", (6300, 6300)), "PNG"),
        "39690000 pixels in a file of 154172 bytes, expected at most 200",
    ),
    "a small BMP of megabytes": (
        packed_bmp(999, 1000, b"\1\5" * 3_000_000),
        "999 x 1000 pixels packed as photos are not .* in 60",
    ),
    "a large BMP that is not there": (
        padded_bmp(9000, 9000, 60_000),
        "81000000 pixels in a file of 60000 bytes, expected at most 200 for each byte",
    ),
    "a small JPEG of many scans": (many_scans(40), "scans of 16000000 pixels, expected as many"),
    "an animation": (webp(10_000, 10_000, 2), "an animation of 10000 x 10000 pixels"),
    "a padded animation": (webp(9000, 9000, 2) + bytes(10**6), "an animation of 9000 x 9000"),
    "a WebP over the limit": (webp(20_000, 20_000, 0), "more than the 100000000 of SPACER_MAX_I"),
    "a WebP of nothing": (webp(9000, 9000, 0), "81000000 pixels in a file of"),
    "a PNG of nothing": (png(9000, 9000, b""), "81000000 pixels in a file of"),
    "a BMP of line ends": (packed_bmp(9000, 9000, b"\0\0" * 9000), "81000000 pixels in a file of"),
    "a padded BMP of line ends": (
        packed_bmp(9000, 9000, b"\0\0" * 250_000),
        "packed as photos are not",
    ),
    "a JPEG of many scans": (many_scans(1000), "scans of 16000000 pixels, expected as many as"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_small_file_of_many_pixels_is_refused_before_it_is_decoded(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, told = HOSTILE[name]
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("it is decoded"))
    with pytest.raises(DataLimitError, match=f"reef: .*{told}"):
        read_photo(data, "reef")


def test_what_photos_and_small_images_are_is_read() -> None:
    side = int(PYTHON_PIXELS**0.5) - 1
    assert read_photo(packed_bmp(40, 30, b"\x28\x01\0\0" * 30), "reef").pixels.shape == (30, 40, 3)
    assert read_photo(png(side, side), "reef").pixels.shape == (side, side, 3)
    assert read_photo(many_scans(5), "reef").pixels.shape == (4000, 4000, 3)


def test_what_a_phone_leaves_behind_the_image_is_no_scan() -> None:
    stream = BytesIO()
    # 7,000 x 7,000 pixels, and a film of a second or two
    Image.new("L", (7000, 7000), 90).save(stream, "JPEG", progressive=True)
    film = np.random.default_rng(0).integers(0, 256, 4_000_000, np.uint8).tobytes()
    assert film.count(b"\xff\xda") > 20
    assert read_photo(stream.getvalue() + film, "reef").incomplete is None


@pytest.mark.parametrize(
    "before_scans", [b"\xff\x02\xff\xff", b"\xff\xfe\x00\x06\xff\xd9\xff\xd9", b"\xff\xff\xd0"]
)
def test_scans_behind_what_looks_like_an_end_are_counted(before_scans: bytes) -> None:
    data = many_scans(300)
    last = data.rindex(b"\xff\xda")
    first = data.index(b"\xff\xda", data.index(b"\xff\xda") + 1)
    assert last > first
    with pytest.raises(DataLimitError, match="scans of 16000000 pixels"):
        read_photo(data[:first] + before_scans + data[first:], "reef")


@pytest.fixture(autouse=True)
def settings_read_again(settings_changed: Callable[[], None]) -> None:
    """What a test sets is not the next one's."""


OTHERS = ("JPEG 2000", "AVIF", "PPM", "TGA")


@pytest.mark.parametrize("kind", OTHERS)
def test_formats_that_cameras_do_not_write_are_read_where_the_operator_says_so(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ImageError, match=r"expected JPEG, PNG, .* \(SPACER_IMAGE_FORMATS\)"):
        read_photo(MORE_KINDS[kind], "reef")
    monkeypatch.setenv("SPACER_IMAGE_FORMATS", f"jpeg {kind.replace(' ', '')}")
    get_settings.cache_clear()
    assert read_photo(MORE_KINDS[kind], "reef").pixels.shape == (40, 50, 3)
    with pytest.raises(ImageError):
        read_photo(KINDS["PNG"], "reef")


@pytest.mark.parametrize("value", ["EPS", "JPEG PDF", "[]"])
def test_no_other_format_of_pillow_s_can_be_set(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACER_IMAGE_FORMATS", value)
    get_settings.cache_clear()
    with pytest.raises(ConfigError, match=r"SPACER_IMAGE_FORMATS.*expected of JPEG"):
        get_settings()


def set_budget(monkeypatch: pytest.MonkeyPatch, budget: int) -> None:
    monkeypatch.setenv("SPACER_DECODED_BYTES", str(budget))
    get_settings.cache_clear()


def test_an_image_that_never_fits_is_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    set_budget(monkeypatch, 40 * 50 * 11)
    assert read_photo(KINDS["JPEG"], "reef").pixels.shape == (40, 50, 3)
    set_budget(monkeypatch, 40 * 50 * 11 - 1)
    with pytest.raises(DataLimitError, match="reef: decoding it takes 22000 bytes, more than"):
        read_photo(KINDS["JPEG"], "reef")


def test_an_image_waits_until_another_task_is_done_with_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_budget(monkeypatch, 40 * 50 * 12)
    waits, read = threading.Event(), threading.Event()

    def second() -> None:
        with stopped_by(waits.set):
            read_photo(KINDS["JPEG"], "reef")
            read.set()

    monkeypatch.setattr("spacer_tasks.concurrency.shares.LOOK_S", 0.01)
    with in_flight.share():
        read_photo(KINDS["JPEG"], "reef")
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(30)
        assert not read.is_set()
    assert read.wait(30)
    thread.join()
    assert in_flight.SHARES.taken == 0


def test_a_task_that_waits_for_its_share_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    set_budget(monkeypatch, 40 * 50 * 11)
    monkeypatch.setattr("spacer_tasks.concurrency.shares.LOOK_S", 0.01)
    errors: list[BaseException] = []

    def cancelled() -> None:
        raise TaskCancelledError

    def second() -> None:
        try:
            with stopped_by(cancelled):
                read_photo(KINDS["JPEG"], "reef")
        except TaskCancelledError as error:
            errors.append(error)

    with in_flight.share():
        read_photo(KINDS["JPEG"], "reef")
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(30)
    assert len(errors) == 1
    assert in_flight.SHARES.taken == 0


def test_many_threads_never_take_more_than_there_is() -> None:
    shares, most = Shares(), []

    def work(amount: int) -> None:
        for _ in range(50):
            shares.take(amount, 10)
            most.append(shares.taken)
            shares.give_back(amount)

    threads = [threading.Thread(target=work, args=(n,)) for n in (1, 3, 5, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(most) == 200
    assert max(most) <= 10
    assert shares.taken == 0


def test_a_damaged_image_gives_its_share_back() -> None:
    with pytest.raises(ImageError):
        read_photo(KINDS["JPEG"][:200] + bytes(50), "reef")
    assert in_flight.SHARES.taken == 0
    assert np.asarray(read_photo(KINDS["JPEG"], "reef").pixels).shape == (40, 50, 3)


def test_a_large_photo_of_one_colour_that_is_cut_short_is_read() -> None:
    # what its header alone makes is looked at, and is too short for so many pixels
    data = saved(Image.new("RGB", (2100, 2100)), "JPEG", progressive=True)
    photo = read_photo(data[:-500], "reef")
    assert photo.pixels.shape == (2100, 2100, 3)
    assert photo.incomplete is not None
    assert photo.incomplete.startswith("cut short")
