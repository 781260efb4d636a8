"""Pillow's switch is each thread's own while it reads here, and others' as they set it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from threading import Barrier, Event

import numpy as np
import pytest
from PIL import Image, ImageFile

from spacer_tasks.extractors import read_photo
from spacer_tasks.extractors.images.leniency import cut_images
from tests.support.files.image_kinds import KINDS

CUT = KINDS["PNG"][:2000]


@pytest.fixture(autouse=True)
def switch() -> Iterator[None]:
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    yield
    ImageFile.LOAD_TRUNCATED_IMAGES = before


def reads_cut_images() -> bool:
    """Whether Pillow does, asked as a thumbnailer of the site would."""
    try:
        Image.open(BytesIO(CUT)).load()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("set_by_the_process", [False, True])
def test_the_process_has_its_own_way_while_photos_are_read_here(set_by_the_process: bool) -> None:
    ImageFile.LOAD_TRUNCATED_IMAGES = set_by_the_process
    for read in (True, False):
        inside, asked = Event(), Event()

        def reading(read: bool, inside: Event, asked: Event) -> bool:
            with cut_images(read=read):
                inside.set()
                asked.wait(30)
                return reads_cut_images()

        with ThreadPoolExecutor(1) as pool:
            here = pool.submit(reading, read, inside, asked)
            assert inside.wait(30)
            assert reads_cut_images() is set_by_the_process
            now = ImageFile.LOAD_TRUNCATED_IMAGES
            assert bool(now) is set_by_the_process
            assert now == set_by_the_process
            asked.set()
            assert here.result() is read


def test_a_process_that_sets_it_later_has_its_way_too() -> None:
    assert read_photo(CUT, "reef").incomplete
    for value in (True, False, True):
        ImageFile.LOAD_TRUNCATED_IMAGES = value
        assert reads_cut_images() is value
        # and what is missing is seen all the same
        assert read_photo(CUT, "reef").incomplete
        assert reads_cut_images() is value


def test_many_threads_see_each_what_is_missing_of_its_own_photo() -> None:
    threads, times = 8, 30
    begin = Barrier(threads)
    whole = read_photo(KINDS["PNG"], "reef").pixels
    cut = read_photo(CUT, "reef").pixels

    def reading(number: int) -> None:
        begin.wait(30)
        for turn in range(times):
            is_cut = (number + turn) % 2 == 0
            photo = read_photo(CUT if is_cut else KINDS["PNG"], "reef")
            assert bool(photo.incomplete) is is_cut
            np.testing.assert_array_equal(photo.pixels, cut if is_cut else whole)

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(reading, number) for number in range(threads)]:
            done.result()


def test_an_error_inside_leaves_nothing_behind() -> None:
    with pytest.raises(ZeroDivisionError), cut_images(read=True):
        raise ZeroDivisionError
    assert not reads_cut_images()


def test_importing_leaves_the_switch_alone() -> None:
    program = (
        "from PIL import ImageFile; import spacer_tasks.extractors;"
        "print(ImageFile.LOAD_TRUNCATED_IMAGES is False)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert ran.stdout.strip() == b"True"
